import { open, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip, type Gunzip } from 'node:zlib';

/** The content of an open file, compressed or not, by offset. */
export interface LogBytes {
  /** Whether what was read can never become something else. */
  readonly isFixed: boolean;
  /** Fills the buffer from an offset of the content; less comes only at its end. */
  read(buffer: Buffer, from: number): Promise<number>;
  /** Bytes of content; of a compressed file what its last four bytes say, modulo 4 GiB. */
  size(): Promise<number>;
  close(): Promise<void>;
}

const PACKED_BYTES = 64 * 1024;

/** A compressed file cannot be read: it is damaged, or being written. */
export class DamagedLog extends Error {
  override readonly name = 'DamagedLog';
}

/** A file as it is. It stays readable when it is renamed or deleted. */
export class PlainBytes implements LogBytes {
  readonly isFixed = false;

  constructor(private readonly handle: FileHandle) {}

  async read(buffer: Buffer, from: number): Promise<number> {
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await this.handle.read(
        buffer,
        filled,
        buffer.length - filled,
        from + filled,
      );
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  }

  async size(): Promise<number> {
    return (await this.handle.stat()).size;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

/** What a gzip file holds. It is unpacked as it is read, forwards; an earlier offset begins anew. */
export class GzipBytes implements LogBytes {
  readonly isFixed = true;
  private stream: Gunzip | undefined;
  private chunks: AsyncIterator<Buffer> | undefined;
  private pending: Buffer = Buffer.alloc(0);
  /** The offset of what is pending. */
  private at = 0;

  constructor(
    private readonly handle: FileHandle,
    private readonly path: string,
  ) {}

  async read(buffer: Buffer, from: number): Promise<number> {
    if (this.chunks === undefined || from < this.at) this.restart();
    let filled = 0;
    while (filled < buffer.length) {
      const skipped = Math.min(this.pending.length, from + filled - this.at);
      this.drop(skipped);
      const isThere = this.at === from + filled;
      if (isThere && this.pending.length > 0) {
        const copied = this.pending.copy(buffer, filled);
        filled += copied;
        this.drop(copied);
      } else if (!(await this.more())) break;
    }
    return filled;
  }

  async size(): Promise<number> {
    const { size } = await this.handle.stat();
    const last = Buffer.alloc(4);
    const { bytesRead } = await this.handle.read(last, 0, 4, Math.max(0, size - 4));
    return bytesRead === 4 ? last.readUInt32LE(0) : 0;
  }

  async close(): Promise<void> {
    this.stream?.destroy();
    await this.handle.close();
  }

  private restart(): void {
    this.stream?.destroy();
    const stream = createGunzip();
    this.stream = stream;
    this.chunks = stream[Symbol.asyncIterator]();
    this.pending = Buffer.alloc(0);
    this.at = 0;
    // A fault of either reaches the reader through the iterator.
    pipeline(this.packed(), stream, () => undefined);
  }

  private async *packed(): AsyncGenerator<Buffer> {
    for (let position = 0; ;) {
      const buffer = Buffer.allocUnsafe(PACKED_BYTES);
      const { bytesRead } = await this.handle.read(buffer, 0, PACKED_BYTES, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  private drop(bytes: number): void {
    this.pending = this.pending.subarray(bytes);
    this.at += bytes;
  }

  private async more(): Promise<boolean> {
    try {
      const next = await this.chunks?.next();
      if (next === undefined || next.done === true) return false;
      this.pending = next.value;
      return true;
    } catch (cause) {
      this.chunks = undefined;
      throw new DamagedLog(
        `${this.path} cannot be unpacked: it is damaged, or still being written. If it stays so, take it away and accept the loss with --skip-lost`,
        { cause },
      );
    }
  }
}

/** Opens a file, by its name. Undefined when there is none. */
export async function openBytes(
  path: string,
): Promise<{ bytes: LogBytes; handle: FileHandle } | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const bytes = path.endsWith('.gz') ? new GzipBytes(handle, path) : new PlainBytes(handle);
  return { bytes, handle };
}
