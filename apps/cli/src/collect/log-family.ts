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

/** The log at a path and what rotation made of its predecessors. */
export class LogFamily {
  constructor(
    readonly path: string,
    private readonly onDamaged: (fault: DamagedLog) => void,
  ) {}

  /** The log at the path. Undefined when there is none, or no line in it yet. */
  live(): Promise<LogFile | undefined> {
    return LogFile.open(this.path);
  }

  /** Device and inode of what is at the path now; undefined when nothing is. */
  liveNode(): Promise<string | undefined> {
    return nodeAt(this.path);
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
   * times have a grain of some milliseconds.
   */
  async next(finished: readonly FinishedLog[]): Promise<Unread | undefined> {
    const live = await this.liveNode();
    const logs = await this.open();
    let next: (Unread & { isLive: boolean; modifiedAt: bigint }) | undefined;
    for (const log of logs) {
      const modifiedAt = await log.modifiedAt();
      const isLive = log.node === live;
      const isOlder =
        next === undefined || (isLive === next.isLive ? modifiedAt < next.modifiedAt : next.isLive);
      if (!isOlder) continue;
      const resumed = await log.firstLike(finished);
      if (resumed === undefined || (await log.size()) > resumed.bytes)
        next = { log, resumed, isLive, modifiedAt };
    }
    await closeAll(logs, next?.log);
    return next && { log: next.log, resumed: next.resumed };
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

  /**
   * All of them, each open; a compressed one not while the plain one is still there. Anew when rotation gave one of
   * them another name meanwhile: it would be missed under both.
   */
  private async open(): Promise<LogFile[]> {
    for (let nodes = await this.nodes(); ;) {
      const logs = await this.openEach([...nodes.keys()]);
      const after = await this.nodes();
      if (isDeepStrictEqual(after, nodes)) return logs;
      await closeAll(logs, undefined);
      nodes = after;
    }
  }

  /** Device and inode of each of them, by name. */
  private async nodes(): Promise<Map<string, string | undefined>> {
    const folder = dirname(this.path);
    const nodes = new Map<string, string | undefined>();
    for (const name of (await readdir(folder)).toSorted())
      if (this.isOfFamily(name)) nodes.set(name, await nodeAt(join(folder, name)));
    return nodes;
  }

  private async openEach(names: readonly string[]): Promise<LogFile[]> {
    const logs: LogFile[] = [];
    for (const name of names) {
      if (name.endsWith('.gz') && names.includes(name.slice(0, -'.gz'.length))) continue;
      try {
        const log = await LogFile.open(join(dirname(this.path), name));
        if (log !== undefined) logs.push(log);
      } catch (error) {
        if (!(error instanceof DamagedLog)) throw error;
        this.onDamaged(error);
      }
    }
    return logs;
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

async function nodeAt(path: string): Promise<string | undefined> {
  try {
    const stats = await stat(path, { bigint: true });
    return `${stats.dev}:${stats.ino}`;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function closeAll(logs: readonly LogFile[], but: LogFile | undefined): Promise<void> {
  await Promise.all(logs.filter((log) => log !== but).map((log) => log.close()));
}
