import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { epochOf } from '@core/gateway-plugin';
import { DamagedLog } from './log-bytes.js';
import { HEAD_BYTES_MAX, LogFile } from './log-file.js';
import type { FinishedLog, KnownLog } from './position.js';

/** What rotation puts behind a name (`.1`, `-20261122`, `.old`), and Caddy before its extension. */
const ROTATED = /^(?:[.-](?:\d[\dTZ:._-]*|old))?(?:\.gz)?$/;
const FINISHED_MIN = 100;
const ROTATED_BEFORE_EXTENSION = /^-\d[\dTZ:._-]*$/;

/** A log to read, with what was already read of it. */
export interface Unread {
  readonly log: LogFile;
  /** It was finished and has grown. */
  readonly resumed: FinishedLog | undefined;
}

/** One of the files as it was seen. */
interface File {
  readonly name: string;
  /** Device and inode. */
  readonly node: string;
  /** In nanoseconds. */
  readonly modifiedAt: bigint;
  readonly size: bigint;
}

/** The log at a path and what rotation made of its predecessors. */
export class LogFamily {
  /** States of files that were found finished: while nobody touches them they are not opened again. */
  private readonly stayFinished = new Set<string>();

  constructor(
    readonly path: string,
    private readonly onDamaged: (fault: DamagedLog) => void,
  ) {}

  /** The log at the path. Undefined when there is none, or no line in it yet. */
  live(): Promise<LogFile | undefined> {
    return LogFile.open(this.path);
  }

  /** Device and inode of what is at the path now; undefined when nothing is. */
  async liveNode(): Promise<string | undefined> {
    return (await statOf(this.path))?.node;
  }

  /** Finds a log again: the file itself if it still is one, else a copy, else a compressed copy. */
  async find({ epoch, head }: KnownLog): Promise<LogFile | undefined> {
    const logs = await this.open();
    const same: LogFile[] = [];
    for (const log of logs) if (await log.hasHead(head)) same.push(log);
    const found =
      same.find((log) => epochOf(`${log.node}:${log.firstLine}`) === epoch) ??
      same.find((log) => !log.isCompressed) ??
      same[0];
    await closeAll(logs, found);
    return found;
  }

  /**
   * The oldest log that is not finished, or has grown since; the live one comes last, whatever the clock says: file
   * times have a grain of some milliseconds. Opens no more than it has to, and none twice that stays finished.
   */
  async next(finished: readonly FinishedLog[]): Promise<Unread | undefined> {
    for (;;) {
      const files = await this.files();
      const next = await this.firstUnread(files, finished);
      if (areSame(await this.files(), files)) return next;
      await next?.log.close();
    }
  }

  private async firstUnread(
    files: readonly File[],
    finished: readonly FinishedLog[],
  ): Promise<Unread | undefined> {
    const live = await this.liveNode();
    const oldestFirst = files.toSorted(
      (a, b) =>
        Number(a.node === live) - Number(b.node === live) || Number(a.modifiedAt - b.modifiedAt),
    );
    for (const file of oldestFirst) {
      if (this.stayFinished.has(stateOf(file))) continue;
      const log = await this.openFile(file.name);
      if (log === undefined) continue;
      const resumed = await log.firstLike(finished);
      if (resumed === undefined || (await log.size()) > resumed.bytes) return { log, resumed };
      if (file.node !== live) this.stayFinished.add(stateOf(file));
      await log.close();
    }
    return undefined;
  }

  /** The logs that rotation has put aside so far, as if they were read. */
  async putAside(): Promise<FinishedLog[]> {
    const live = await this.liveNode();
    const logs = await this.open();
    const aside: FinishedLog[] = [];
    for (const log of logs.filter(({ node }) => node !== live)) {
      const head = await log.head(HEAD_BYTES_MAX);
      aside.push({ epoch: '', head, bytes: Number.MAX_SAFE_INTEGER, nextSequence: 0 });
    }
    await closeAll(logs, undefined);
    return aside;
  }

  /** How many finished logs have to be remembered: those that may still be there, and some. */
  async memory(): Promise<number> {
    const names = await readdir(dirname(this.path));
    return names.filter((name) => this.isOfFamily(name)).length + FINISHED_MIN;
  }

  /**
   * The epoch of a log that is read from its start. One that was used already belongs to a predecessor with the same
   * inode and the same first line.
   */
  freshEpoch(log: LogFile, finished: readonly FinishedLog[]): string {
    for (let reuse = 0; ; reuse += 1) {
      const epoch = epochOf(`${log.node}:${log.firstLine}${reuse === 0 ? '' : `:${reuse}`}`);
      if (finished.every((before) => before.epoch !== epoch)) return epoch;
    }
  }

  /** All of them, each open. Anew when rotation gave one of them another name meanwhile: it would be missed under both. */
  private async open(): Promise<LogFile[]> {
    for (let files = await this.files(); ;) {
      const logs: LogFile[] = [];
      for (const { name } of files) {
        const log = await this.openFile(name);
        if (log !== undefined) logs.push(log);
      }
      const after = await this.files();
      if (areSame(after, files)) return logs;
      await closeAll(logs, undefined);
      files = after;
    }
  }

  /** All of them, by name; a compressed one not while the plain one is still there. */
  private async files(): Promise<File[]> {
    const folder = dirname(this.path);
    const names = (await readdir(folder)).filter((name) => this.isOfFamily(name)).toSorted();
    const files: File[] = [];
    for (const name of names) {
      if (name.endsWith('.gz') && names.includes(name.slice(0, -'.gz'.length))) continue;
      const file = await statOf(join(folder, name));
      if (file !== undefined) files.push({ name, ...file });
    }
    return files;
  }

  /** Undefined when it is gone, empty, or damaged, which is said. */
  private async openFile(name: string): Promise<LogFile | undefined> {
    try {
      return await LogFile.open(join(dirname(this.path), name));
    } catch (error) {
      if (!(error instanceof DamagedLog)) throw error;
      this.onDamaged(error);
      return undefined;
    }
  }

  private isOfFamily(name: string): boolean {
    const own = basename(this.path);
    if (name.startsWith(own) && ROTATED.test(name.slice(own.length))) return true;
    const extension = extname(own);
    const stem = own.slice(0, own.length - extension.length);
    const plain = name.replace(/\.gz$/, '');
    return (
      extension !== '' &&
      plain.startsWith(stem) &&
      plain.endsWith(extension) &&
      ROTATED_BEFORE_EXTENSION.test(plain.slice(stem.length, plain.length - extension.length))
    );
  }
}

/** The same files have the same names. */
const areSame = (some: readonly File[], others: readonly File[]): boolean =>
  isDeepStrictEqual(
    some.map(({ name, node }) => [name, node]),
    others.map(({ name, node }) => [name, node]),
  );

const stateOf = ({ node, modifiedAt, size }: File): string => `${node} ${modifiedAt} ${size}`;

/** Undefined when nothing is there. */
async function statOf(path: string): Promise<Omit<File, 'name'> | undefined> {
  try {
    const { dev, ino, mtimeNs, size } = await stat(path, { bigint: true });
    return { node: `${dev}:${ino}`, modifiedAt: mtimeNs, size };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function closeAll(logs: readonly LogFile[], but: LogFile | undefined): Promise<void> {
  await Promise.all(logs.filter((log) => log !== but).map((log) => log.close()));
}
