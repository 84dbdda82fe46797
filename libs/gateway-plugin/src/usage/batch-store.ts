import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a numbered batch waits until the service has it. */
export interface StoredBatch {
  readonly epoch: string;
  readonly sequence: number;
}

/** Unsent batches in the order in which they are sent. */
export interface BatchStore {
  /** True when what is put survives the process, so that batches may pile up. */
  readonly isDurable: boolean;
  /** Returns when the batch is as safe as this store makes it. */
  put(batch: StoredBatch, body: string): Promise<void>;
  first(): StoredBatch | undefined;
  read(batch: StoredBatch): Promise<string>;
  /** The service has it. */
  remove(batch: StoredBatch): Promise<void>;
  /** The service will never take it; kept for a person when the store is durable. */
  setAside(batch: StoredBatch): Promise<void>;
}

/** Holds batches in memory; they die with the process. */
export class MemoryStore implements BatchStore {
  readonly isDurable = false;
  private readonly bodies = new Map<StoredBatch, string>();

  async put(batch: StoredBatch, body: string): Promise<void> {
    this.bodies.set(batch, body);
  }

  first(): StoredBatch | undefined {
    return this.bodies.keys().next().value;
  }

  async read(batch: StoredBatch): Promise<string> {
    return this.bodies.get(batch) ?? '';
  }

  async remove(batch: StoredBatch): Promise<void> {
    this.bodies.delete(batch);
  }

  async setAside(batch: StoredBatch): Promise<void> {
    this.bodies.delete(batch);
  }
}

const BATCH_FILE = /^([0-9A-Z]{26})-(\d{10})\.json$/;

/**
 * Holds each batch in a file `<epoch>-<sequence>.json` of its exact bytes, written and renamed with fsync. Batches that
 * an earlier process left come first. One process per folder; a second would send the same files again, which the
 * service answers as duplicates.
 */
export class SpoolStore implements BatchStore {
  readonly isDurable = true;
  private readonly batches: StoredBatch[] = [];

  private constructor(private readonly folder: string) {}

  /** Opens the folder, makes it when missing, and finds what was left unsent. */
  static async open(folder: string): Promise<SpoolStore> {
    const store = new SpoolStore(folder);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const names = (await readdir(folder)).toSorted();
    for (const name of names) {
      const [, epoch, sequence] = BATCH_FILE.exec(name) ?? [];
      if (epoch !== undefined) store.batches.push({ epoch, sequence: Number(sequence) });
      else if (name.endsWith('.json.tmp')) await rm(join(folder, name), { force: true });
    }
    return store;
  }

  async put(batch: StoredBatch, body: string): Promise<void> {
    await writeDurably(this.path(batch), body);
    this.batches.push(batch);
  }

  first(): StoredBatch | undefined {
    return this.batches[0];
  }

  read(batch: StoredBatch): Promise<string> {
    return readFile(this.path(batch), 'utf8');
  }

  async remove(batch: StoredBatch): Promise<void> {
    await rm(this.path(batch), { force: true });
    this.forget(batch);
  }

  async setAside(batch: StoredBatch): Promise<void> {
    await rename(this.path(batch), `${this.path(batch)}.refused`);
    this.forget(batch);
  }

  private forget(batch: StoredBatch): void {
    const index = this.batches.indexOf(batch);
    if (index !== -1) this.batches.splice(index, 1);
  }

  private path({ epoch, sequence }: StoredBatch): string {
    return join(this.folder, `${epoch}-${String(sequence).padStart(10, '0')}.json`);
  }
}

/** Writes a file so that after a crash it is there whole or not at all. */
export async function writeDurably(path: string, content: string): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(join(path, '..'), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
