import { createHash } from 'node:crypto';
import { open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { epochOf } from '@core/gateway-plugin';

/** What tells one log file from every other, also after it was renamed. */
export interface FileIdentity {
  /** Of device, inode and first line: an inode alone is given again to the next file. */
  readonly epoch: string;
  /** SHA-256 of the first line: it also finds the copy that `copytruncate` made. */
  readonly firstLine: string;
}

/** Complete lines of a file. */
export interface Lines {
  readonly lines: readonly string[];
  /** Offset of the byte after each line. */
  readonly ends: readonly number[];
}

const CHUNK_BYTES = 4 * 1024 * 1024;
const FIRST_LINE_BYTES = 256 * 1024;
const ROTATED = /^(?:[.-](?:\d[\dTZ:._-]*|old))?$/;

/** One open access log. It stays readable when it is renamed or deleted. */
export class LogFile {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    readonly identity: FileIdentity,
    /** Device and inode. */
    readonly node: string,
  ) {}

  /** Opens a log. Undefined when there is none, or no first line in it yet. */
  static async open(path: string): Promise<LogFile | undefined> {
    const handle = await open(path, 'r').catch(absent);
    if (handle === undefined) return undefined;
    const stats = await handle.stat({ bigint: true });
    const firstLine = stats.isFile() ? await firstLineOf(handle) : undefined;
    if (firstLine === undefined) {
      await handle.close();
      return undefined;
    }
    const node = `${stats.dev}:${stats.ino}`;
    const identity = { epoch: epochOf(`${node}:${firstLine}`), firstLine };
    return new LogFile(path, handle, identity, node);
  }

  /** Device and inode of what is at the path now; undefined when nothing is. */
  static async nodeAt(path: string): Promise<string | undefined> {
    const stats = await stat(path, { bigint: true }).catch(absent);
    return stats && `${stats.dev}:${stats.ino}`;
  }

  /** The log and the files that rotation made of it (`.1`, `-20261122`, `.old`), each open; the caller closes them. */
  static async family(path: string): Promise<LogFile[]> {
    const folder = dirname(path);
    const name = basename(path);
    const names = (await readdir(folder)).filter(
      (other) => other.startsWith(name) && ROTATED.test(other.slice(name.length)),
    );
    const logs = await Promise.all(names.map((other) => LogFile.open(join(folder, other))));
    return logs.filter((log) => log !== undefined);
  }

  async size(): Promise<number> {
    return (await this.handle.stat()).size;
  }

  /** When it was last written, in nanoseconds. */
  async modifiedAt(): Promise<bigint> {
    return (await this.handle.stat({ bigint: true })).mtimeNs;
  }

  /** False once the file was truncated and written anew. */
  async isSame(): Promise<boolean> {
    return (await firstLineOf(this.handle)) === this.identity.firstLine;
  }

  /**
   * Reads complete lines from an offset, some 4 MiB of them. The end of a finished file counts as the end of its last
   * line. None when the content changed while it was read.
   */
  async readLines(from: number, { isFinished }: { isFinished: boolean }): Promise<Lines> {
    const buffer = Buffer.alloc(CHUNK_BYTES);
    const { bytesRead } = await this.handle.read(buffer, 0, CHUNK_BYTES, from);
    if (!(await this.isSame())) return { lines: [], ends: [] };
    const lines: string[] = [];
    const ends: number[] = [];
    let start = 0;
    for (let end = buffer.indexOf(0x0a); end !== -1 && end < bytesRead;) {
      lines.push(buffer.toString('utf8', start, end));
      start = end + 1;
      ends.push(from + start);
      end = buffer.indexOf(0x0a, start);
    }
    if (lines.length === 0 && bytesRead === CHUNK_BYTES) {
      throw new Error(`the line at byte ${from} of ${this.path} is longer than 4 MiB`);
    }
    if (isFinished && start < bytesRead && bytesRead < CHUNK_BYTES) {
      lines.push(buffer.toString('utf8', start, bytesRead));
      ends.push(from + bytesRead);
    }
    return { lines, ends };
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

async function firstLineOf(handle: FileHandle): Promise<string | undefined> {
  const head = Buffer.alloc(FIRST_LINE_BYTES);
  const { bytesRead } = await handle.read(head, 0, FIRST_LINE_BYTES, 0);
  const end = head.subarray(0, bytesRead).indexOf(0x0a);
  if (end === -1) return undefined;
  return createHash('sha256').update(head.subarray(0, end)).digest('hex');
}

function absent(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
