import { readFile } from 'node:fs/promises';
import { writeDurably } from '@core/gateway-plugin';
import type { FileIdentity } from './log-file.js';

/** A batch that may or may not have arrived. Its bytes are kept, so that a repeat cannot differ. */
export interface Cut {
  readonly sequence: number;
  /** The lines it was made of, in bytes `[from, to)` of the file. */
  readonly from: number;
  readonly to: number;
  readonly body: string;
}

/** How far a log was reported. */
export interface Position {
  readonly file: FileIdentity;
  /** All lines before this byte are in acknowledged batches. */
  readonly offset: number;
  readonly nextSequence: number;
  readonly cut: Cut | null;
  /** What is added to the times of lines without `tollgateTime`, as the last answer told. */
  readonly clockOffsetMs: number;
  /** First lines of the files that are done, newest last. */
  readonly finished: readonly string[];
  /** When the newest of them was last written, in nanoseconds. */
  readonly finishedAt: string;
}

const FORMAT = 1;

/** Reads a position that was kept. Undefined when there is none yet; throws when the file is no position. */
export async function readPosition(path: string): Promise<Position | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const kept: { format?: unknown; position?: Position } = JSON.parse(text);
  if (kept.format !== FORMAT || kept.position === undefined) {
    throw new Error(`${path} was not written by this version of tollgate collect`);
  }
  return kept.position;
}

/** Keeps a position: after a crash the file holds the old one or the new one. */
export async function keepPosition(path: string, position: Position): Promise<void> {
  await writeDurably(path, JSON.stringify({ format: FORMAT, position }));
}
