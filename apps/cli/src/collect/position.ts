import { readFile } from 'node:fs/promises';
import { writeDurably } from '@core/gateway-plugin';
import type { Head } from './log-file.js';

/** A batch that may or may not have arrived. Its bytes are kept, so that a repeat cannot differ. */
export interface Cut {
  readonly sequence: number;
  /** The lines it was made of, in bytes `[from, to)` of the log. */
  readonly from: number;
  readonly to: number;
  readonly body: string;
}

/** The log that is being read. */
export interface KnownLog {
  /** Of device, inode and first line as it was first seen: it stays when the log is renamed, copied or compressed. */
  readonly epoch: string;
  readonly head: Head;
}

/**
 * A log that was read to its end, or one that rotation had put aside before the first start and that is never read.
 * When it has grown since, its batches go on where they were.
 */
export interface FinishedLog extends KnownLog {
  readonly bytes: number;
  readonly nextSequence: number;
}

/** A line that could not be counted. */
export interface SetAside {
  readonly epoch: string;
  /** Bytes `[from, to)` of the log. */
  readonly from: number;
  readonly to: number;
  readonly reason: string;
  readonly line: string;
}

/** How much was set aside. */
export interface Aside {
  /** All of them, since the first start. */
  readonly count: number;
  /** How long the side file is with all that is before `offset`; what a crash left after that is written again. */
  readonly fileBytes: number;
}

/** How far a log was reported. */
export interface Position {
  readonly log: KnownLog;
  /** All lines before this byte are in acknowledged batches. */
  readonly offset: number;
  readonly nextSequence: number;
  readonly cut: Cut | null;
  /** What is added to the times of lines without `tollgateTime`, as the last answer told. */
  readonly clockOffsetMs: number;
  readonly aside: Aside;
  /** The logs that are done, newest last. */
  readonly finished: readonly FinishedLog[];
}

const FORMAT = 2;

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

/** Keeps a position: after a crash, of the machine too, the file holds the old one or the new one. */
export async function keepPosition(path: string, position: Position): Promise<void> {
  await writeDurably(path, JSON.stringify({ format: FORMAT, position }));
}
