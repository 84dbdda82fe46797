import {
  BATCH_RECORDS_MAX,
  ServiceClient,
  UsageAggregator,
  batchBody,
  deliverBatch,
  pause,
  type ServiceAddress,
} from '@core/gateway-plugin';
import { meaningOf } from './access-log-line.js';
import { LogFile, type Lines } from './log-file.js';
import { keepPosition, readPosition, type Cut, type Position } from './position.js';

/** What is collected, from where to where. */
export interface CollectOptions {
  readonly log: string;
  readonly service: ServiceAddress;
  /** The file that keeps the position. */
  readonly state: string;
  readonly intervalMs: number;
  /** Ends when all is sent. */
  readonly isOnce: boolean;
  readonly isDryRun: boolean;
  /** Goes on when lines that were never sent are gone. */
  readonly skipsLost: boolean;
}

/** What a command needs of its process. */
export interface Surroundings {
  readonly signal: AbortSignal;
  /** For people: progress and warnings. */
  readonly say: (line: string) => void;
  /** For programs: results. */
  readonly print: (line: string) => void;
}

/** Nothing can go on without a person; the message says what to do. */
export class CollectStopped extends Error {
  override readonly name = 'CollectStopped';
}

const DRY_RUN_RECORDS = 20;
/** How long a renamed log must be quiet, in intervals: nginx's workers open the new one at different moments. */
const QUIET_INTERVALS = 5;
const FINISHED_MAX = 100;
const SAY_EVERY_MS = 1_000;

/** Follows an access log until the signal, or to its end with `isOnce`. */
export async function collect(options: CollectOptions, around: Surroundings): Promise<void> {
  if (options.isDryRun) return dryRun(options, around);
  const collector = new Collector(options, around);
  try {
    await collector.run();
  } finally {
    await collector.close();
  }
}

async function dryRun({ log: path }: CollectOptions, { print, say }: Surroundings): Promise<void> {
  const log = await LogFile.open(path);
  if (log === undefined) throw new CollectStopped(`${path} does not exist or has no line yet`);
  const { lines } = await log.readLines(0, { isFinished: false });
  await log.close();
  const usage = new UsageAggregator();
  const meanings = lines.map((line) => meaningOf(line, 0));
  for (const meaning of meanings) if (meaning.kind === 'call') usage.add(meaning.call);
  const unreadable = meanings.filter(({ kind }) => kind === 'unreadable').length;
  say(`${lines.length} lines read, ${unreadable} unreadable, ${usage.size} records; the first:`);
  for (const record of usage.take(DRY_RUN_RECORDS)) print(JSON.stringify(record));
}

/**
 * Turns a log into batches, each line into exactly one:
 *
 *     lines ─▶ cut: numbered bytes, kept on disk ─▶ service ─▶ position after the cut, kept on disk
 *
 * A crash before the cut is kept reads the lines again; after it, the same bytes are sent again and the service
 * answers that it has them. The epoch is the file's, so a position that was lost or doubled meets a 409 and not a
 * second invoice line.
 */
class Collector {
  private readonly client: ServiceClient;
  private position: Position | undefined;
  private log: LogFile | undefined;
  private readonly totals = { calls: 0, batches: 0, unreadable: 0 };
  private saidAt = 0;

  constructor(
    private readonly options: CollectOptions,
    private readonly around: Surroundings,
  ) {
    this.client = new ServiceClient(options.service);
  }

  async run(): Promise<void> {
    this.position = await readPosition(this.options.state);
    if (this.position !== undefined) await this.send(this.position);
    while (!this.around.signal.aborted) {
      const hasLog = await this.openLog();
      if (hasLog) await this.sendNewLines({ isFinished: false });
      if (hasLog && (await this.finishRotated())) continue;
      if (this.options.isOnce) break;
      await pause(this.options.intervalMs, this.around.signal);
    }
    if (this.options.isOnce) await this.sayProgress();
  }

  async close(): Promise<void> {
    await this.log?.close();
    this.client.close();
  }

  /** Opens the log that the position is in, or the one at the path when there is no position yet. */
  private async openLog(): Promise<boolean> {
    if (this.log !== undefined && (await this.log.isSame())) return true;
    await this.log?.close();
    this.log = undefined;
    const { position } = this;
    if (position === undefined) return this.startAt(await LogFile.open(this.options.log));
    const { epoch, firstLine } = position.file;
    if (position.finished.includes(firstLine)) return this.startAt(await this.nextLog(position));
    const log = await this.choose(
      (logs) =>
        logs.find(({ identity }) => identity.epoch === epoch) ??
        logs.find(({ identity }) => identity.firstLine === firstLine),
    );
    this.log = log;
    if (log !== undefined && (await log.size()) >= position.offset) return true;
    if (this.options.skipsLost) {
      this.around.say(`lost: whatever followed byte ${position.offset} of the former log`);
      await log?.close();
      return this.startAt(await LogFile.open(this.options.log));
    }
    throw new CollectStopped(
      `${this.options.log} was truncated or replaced, and nothing holds what followed byte ` +
        `${position.offset} of it. Put the rotated file back beside it, or accept the loss with --skip-lost`,
    );
  }

  private startAt(log: LogFile | undefined): boolean {
    this.log = log;
    if (log === undefined) return false;
    this.position = {
      file: log.identity,
      offset: 0,
      nextSequence: 0,
      cut: null,
      clockOffsetMs: this.position?.clockOffsetMs ?? 0,
      finished: this.position?.finished ?? [],
      finishedAt: this.position?.finishedAt ?? '0',
    };
    return true;
  }

  /** Closes the books of a log that rotation put aside. False while it is the live one or may still grow. */
  private async finishRotated(): Promise<boolean> {
    const { log, position } = this;
    if (log === undefined || position === undefined || this.around.signal.aborted) return false;
    if (log.node === (await LogFile.nodeAt(this.options.log))) return false;
    const modifiedAt = await log.modifiedAt();
    const finished = [...position.finished, log.identity.firstLine].slice(-FINISHED_MAX);
    const next = await this.nextLog({ finished, finishedAt: String(modifiedAt) });
    await next?.close();
    if (next === undefined) return false;
    const quietMs = this.options.isOnce ? 0 : QUIET_INTERVALS * this.options.intervalMs;
    if (Date.now() - Number(modifiedAt / 1_000_000n) < quietMs) return false;
    await this.sendNewLines({ isFinished: true });
    if (this.around.signal.aborted || this.position === undefined) return false;
    await this.keep({ ...this.position, finished, finishedAt: String(modifiedAt) });
    await log.close();
    this.log = undefined;
    return true;
  }

  /**
   * The oldest log that was written after the one that is finished; the live one comes last, whatever the clock says:
   * file times have a grain of some milliseconds.
   */
  private async nextLog({
    finished,
    finishedAt,
  }: Pick<Position, 'finished' | 'finishedAt'>): Promise<LogFile | undefined> {
    const since = BigInt(finishedAt);
    const live = await LogFile.nodeAt(this.options.log);
    const logs = await LogFile.family(this.options.log);
    let next: { log: LogFile; isLive: boolean; modifiedAt: bigint } | undefined;
    for (const log of logs) {
      const modifiedAt = await log.modifiedAt();
      const isLive = log.node === live;
      const isOlder =
        next === undefined || (isLive === next.isLive ? modifiedAt < next.modifiedAt : next.isLive);
      const isUnread = !finished.includes(log.identity.firstLine) && modifiedAt >= since;
      if (isUnread && isOlder) next = { log, isLive, modifiedAt };
    }
    await Promise.all(logs.filter((log) => log !== next?.log).map((log) => log.close()));
    return next?.log;
  }

  private async choose(
    which: (logs: readonly LogFile[]) => LogFile | undefined,
  ): Promise<LogFile | undefined> {
    const logs = await LogFile.family(this.options.log);
    const chosen = which(logs);
    await Promise.all(logs.filter((log) => log !== chosen).map((log) => log.close()));
    return chosen;
  }

  /** Sends what was written since, in as many batches as it takes. */
  private async sendNewLines({ isFinished }: { isFinished: boolean }): Promise<void> {
    const before = this.position;
    while (!this.around.signal.aborted && this.log !== undefined && this.position !== undefined) {
      const lines = await this.log.readLines(this.position.offset, { isFinished });
      if (lines.ends.length === 0) break;
      const { cut, hasCalls } = this.cutOf(lines, this.position);
      if (hasCalls) {
        await this.keep({ ...this.position, cut });
        await this.send(this.position);
      } else {
        this.position = { ...this.position, offset: cut.to };
      }
      if (this.options.isOnce && Date.now() - this.saidAt >= SAY_EVERY_MS) await this.sayProgress();
    }
    if (this.position !== undefined && this.position !== before && !this.around.signal.aborted) {
      await this.keep(this.position);
    }
  }

  /** As many of the lines as fit into one batch. */
  private cutOf({ lines, ends }: Lines, position: Position): { cut: Cut; hasCalls: boolean } {
    const usage = new UsageAggregator();
    let to = position.offset;
    let unreadable = 0;
    for (const [index, line] of lines.entries()) {
      const meaning = meaningOf(line, position.clockOffsetMs);
      if (meaning.kind === 'unreadable') unreadable += 1;
      if (meaning.kind === 'call') {
        usage.add(meaning.call);
        this.totals.calls += 1;
      }
      to = ends[index] ?? to;
      if (usage.size >= BATCH_RECORDS_MAX) break;
    }
    if (unreadable > 0) {
      this.totals.unreadable += unreadable;
      this.around.say(`${unreadable} unreadable lines in bytes ${position.offset} to ${to}`);
    }
    const hasCalls = usage.size > 0;
    const sequence = position.nextSequence;
    const body = batchBody(position.file.epoch, sequence, usage.take(BATCH_RECORDS_MAX));
    return { cut: { sequence, from: position.offset, to, body }, hasCalls };
  }

  /** Delivers the cut that a position holds, for as long as it takes. */
  private async send(position: Position): Promise<void> {
    const { cut } = position;
    if (cut === null) return;
    const delivery = await deliverBatch(this.client, cut.body, {
      signal: this.around.signal,
      onDelay: (tries, cause) =>
        this.sayAtTimes(`batch ${cut.sequence} waits, ${tries} tries, last: ${cause}`),
    });
    switch (delivery.outcome) {
      case 'stopped':
        return;
      case 'accepted':
      case 'duplicate':
        this.totals.batches += 1;
        this.position = {
          ...position,
          offset: cut.to,
          nextSequence: cut.sequence + 1,
          cut: null,
          clockOffsetMs: this.client.clock.offsetMs,
        };
        return;
      case 'conflict':
        throw new CollectStopped(
          `the service has other content for batch ${cut.sequence} of ${position.file.epoch}: ` +
            `was ${this.options.state} lost, restored or used twice? Nothing was counted twice; bring the right one back`,
        );
      case 'refused':
        throw new CollectStopped(
          `the service refused batch ${cut.sequence} (HTTP ${delivery.status}): ${delivery.answer}`,
        );
    }
  }

  private async keep(position: Position): Promise<void> {
    await keepPosition(this.options.state, position);
    this.position = position;
  }

  private async sayProgress(): Promise<void> {
    this.saidAt = Date.now();
    const { calls, batches, unreadable } = this.totals;
    const size = (await this.log?.size()) ?? 0;
    const read = `${this.position?.offset ?? 0} of ${size} bytes`;
    this.around.say(
      `${read}, ${calls} calls in ${batches} batches, ${unreadable} unreadable lines`,
    );
  }

  private sayAtTimes(line: string): void {
    if (Date.now() - this.saidAt < SAY_EVERY_MS) return;
    this.saidAt = Date.now();
    this.around.say(line);
  }
}
