import { open, stat, truncate } from 'node:fs/promises';
import type { Aside, SetAside } from './position.js';

const SIDE_FILE_BYTES_MAX = 256 * 1024 * 1024;

/** Keeps what could not be counted, one JSON object per line, readable by its owner only. */
export class SideFile {
  constructor(
    readonly path: string,
    private readonly onFull: () => void,
    private readonly bytesMax: number = SIDE_FILE_BYTES_MAX,
  ) {}

  /** Takes away what a crash left behind the position: those lines are read again. */
  async cutBack({ fileBytes }: Aside): Promise<void> {
    const size = await stat(this.path).then(
      (stats) => stats.size,
      () => 0,
    );
    if (size > fileBytes) await truncate(this.path, fileBytes);
  }

  /** Writes and syncs them. A full file takes no more: then they are only counted, and it is said. */
  async append(before: Aside, added: readonly SetAside[]): Promise<Aside> {
    if (added.length === 0) return before;
    const count = before.count + added.length;
    const file = await open(this.path, 'a', 0o600);
    try {
      const { size } = await file.stat();
      const text = added.map((one) => `${JSON.stringify(one)}\n`).join('');
      if (size + Buffer.byteLength(text) > this.bytesMax) {
        this.onFull();
        return { count, fileBytes: size };
      }
      await file.writeFile(text);
      await file.sync();
      return { count, fileBytes: (await file.stat()).size };
    } finally {
      await file.close();
    }
  }
}
