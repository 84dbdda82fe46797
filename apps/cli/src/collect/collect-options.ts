import type { ServiceAddress } from '@core/gateway-plugin';
import type { LogFormat } from './log-format.js';

/** What is collected, from where to where. */
export interface CollectOptions {
  readonly log: string;
  readonly format: LogFormat;
  readonly service: ServiceAddress;
  /** The file that keeps the position. */
  readonly state: string;
  /** The file that keeps what could not be counted. */
  readonly setAside: string;
  readonly intervalMs: number;
  /** How long the end waits for what is written to be sent. */
  readonly drainMs: number;
  /** Ends when all is sent. */
  readonly isOnce: boolean;
  readonly isDryRun: boolean;
  /** Goes on when lines that were never sent are gone. */
  readonly skipsLost: boolean;
}

/** What a command needs of its process. */
export interface Surroundings {
  /** Ends at once. */
  readonly signal: AbortSignal;
  /** Ends when what is written by then is sent. */
  readonly drain: AbortSignal;
  /** For people: warnings and what was done. */
  readonly say: (line: string) => void;
  /** For programs: results. */
  readonly print: (line: string) => void;
  /** Shows one line in the place of the last one, on a terminal. */
  readonly show?: ((line: string) => void) | undefined;
}
