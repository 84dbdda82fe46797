import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { openBytes, type LogBytes } from './log-bytes.js';

/** How a log begins. It finds the log again when it was renamed, copied or compressed. */
export interface Head {
  readonly bytes: number;
  readonly sha256: string;
}

/** One line and its bytes `[from, end)`. */
export interface Line {
  readonly text: string;
  readonly from: number;
  readonly end: number;
  /** Only the beginning of it was read. */
  readonly isTooLong: boolean;
}

/** So much of the content tells a log from all others. */
export const HEAD_BYTES_MAX = 4_096;
const FIRST_LINE_BYTES_MAX = 256 * 1024;
const CHUNK_BYTES = 4 * 1024 * 1024;
/** What is kept of a line that is longer than a chunk, such as the zeros that a crash leaves. */
const TOO_LONG_BYTES = 1_024;
const NEWLINE = 0x0a;

/** One open access log with at least one line, or a compressed one. It stays readable when it is renamed or deleted. */
export class LogFile {
  private chunk: Buffer | undefined;

  private constructor(
    readonly path: string,
    private readonly bytes: LogBytes,
    private readonly handle: FileHandle,
    /** Device and inode. */
    readonly node: string,
    /** SHA-256 of the first line, or of its first 256 KiB. */
    readonly firstLine: string,
    private readonly firstLineBytes: number,
  ) {}

  /** Opens a log. Undefined when there is none, or no line in it yet. Throws `DamagedLog` for gzip that cannot be read. */
  static async open(path: string): Promise<LogFile | undefined> {
    const opened = await openBytes(path);
    if (opened === undefined) return undefined;
    const { bytes, handle } = opened;
    try {
      const stats = await handle.stat({ bigint: true });
      const first = stats.isFile() ? await firstLineOf(bytes) : undefined;
      if (first !== undefined) {
        const node = `${stats.dev}:${stats.ino}`;
        return new LogFile(path, bytes, handle, node, sha256(first), first.length + 1);
      }
    } catch (error) {
      await bytes.close();
      throw error;
    }
    await bytes.close();
    return undefined;
  }

  get isCompressed(): boolean {
    return this.bytes.isFixed;
  }

  size(): Promise<number> {
    return this.bytes.size();
  }

  /** When it was last written, in nanoseconds. */
  async modifiedAt(): Promise<bigint> {
    return (await this.handle.stat({ bigint: true })).mtimeNs;
  }

  /** How the first `upTo` bytes begin, at least the first line and at most 4 KiB. */
  async head(upTo: number): Promise<Head> {
    const bytes = Math.min(Math.max(upTo, this.firstLineBytes), HEAD_BYTES_MAX);
    const buffer = Buffer.alloc(bytes);
    const read = await this.bytes.read(buffer, 0);
    return { bytes: read, sha256: sha256(buffer.subarray(0, read)) };
  }

  /** Whether it begins so: false once a log was truncated and written anew. */
  async hasHead(head: Head): Promise<boolean> {
    return (await this.firstLike([{ head }])) !== undefined;
  }

  /** The first of the candidates that begin as this log does. */
  async firstLike<T extends { readonly head: Head }>(
    candidates: readonly T[],
  ): Promise<T | undefined> {
    const buffer = Buffer.alloc(HEAD_BYTES_MAX);
    const read = await this.bytes.read(buffer, 0);
    const hashes = new Map<number, string>();
    const hashOf = (bytes: number): string => {
      const hash = hashes.get(bytes) ?? sha256(buffer.subarray(0, bytes));
      hashes.set(bytes, hash);
      return hash;
    };
    return candidates.find(({ head }) => head.bytes <= read && hashOf(head.bytes) === head.sha256);
  }

  /**
   * Reads complete lines from an offset, some 4 MiB of them. The end of a finished file counts as the end of its last
   * line. None when the log no longer begins with `head`: the offset belongs to what it was.
   */
  async readLines(
    from: number,
    { head, isFinished }: { head: Head; isFinished: boolean },
  ): Promise<Line[]> {
    this.chunk ??= Buffer.allocUnsafe(CHUNK_BYTES);
    const { chunk } = this;
    const read = await this.bytes.read(chunk, from);
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1 && end < read;) {
      lines.push(lineOf(chunk, { start, end, from, next: end + 1 }));
      start = end + 1;
      end = chunk.indexOf(NEWLINE, start);
    }
    if (isFinished && start < read && read < CHUNK_BYTES) {
      lines.push(lineOf(chunk, { start, end: read, from, next: read }));
    }
    if (lines.length === 0 && read === CHUNK_BYTES) {
      lines.push(...(await this.tooLongLine(from, { isFinished })));
    }
    if (lines.length > 0 && !this.bytes.isFixed && !(await this.hasHead(head))) return [];
    return lines;
  }

  async close(): Promise<void> {
    await this.bytes.close();
  }

  /** The one line that begins at the offset and is longer than a chunk; none while its end was not written. */
  private async tooLongLine(
    from: number,
    { isFinished }: { isFinished: boolean },
  ): Promise<Line[]> {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let text: string | undefined;
    for (let offset = from; ; offset += CHUNK_BYTES) {
      const read = await this.bytes.read(chunk, offset);
      text ??= chunk.toString('utf8', 0, Math.min(read, TOO_LONG_BYTES));
      const end = chunk.subarray(0, read).indexOf(NEWLINE);
      if (end !== -1) return [{ text, from, end: offset + end + 1, isTooLong: true }];
      if (read < CHUNK_BYTES)
        return isFinished ? [{ text, from, end: offset + read, isTooLong: true }] : [];
    }
  }
}

function lineOf(
  chunk: Buffer,
  { start, end, from, next }: { start: number; end: number; from: number; next: number },
): Line {
  const text = chunk.toString('utf8', start, end);
  return { text, from: from + start, end: from + next, isTooLong: false };
}

async function firstLineOf(bytes: LogBytes): Promise<Buffer | undefined> {
  for (const length of [HEAD_BYTES_MAX, FIRST_LINE_BYTES_MAX]) {
    const buffer = Buffer.alloc(length);
    const read = await bytes.read(buffer, 0);
    const end = buffer.subarray(0, read).indexOf(NEWLINE);
    if (end !== -1) return buffer.subarray(0, end);
    if (read < length) return undefined;
    if (length === FIRST_LINE_BYTES_MAX) return buffer;
  }
  return undefined;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
