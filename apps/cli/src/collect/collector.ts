import { ServiceClient, batchBody, deliverBatch, pause } from '@core/gateway-plugin';
import { lineReader, type LineReader } from './access-log-line.js';
import { batchOfLines } from './batch-cut.js';
import type { CollectOptions, Surroundings } from './collect-options.js';
import { DamagedLog } from './log-bytes.js';
import { LogFamily } from './log-family.js';
import { HEAD_BYTES_MAX, type Line, type LogFile } from './log-file.js';
import {
  keepPosition,
  readPosition,
  type Cut,
  type FinishedLog,
  type KnownLog,
  type Position,
  type SetAside,
} from './position.js';
import { Reporter } from './reporter.js';
import { SideFile } from './side-file.js';

/** Nothing can go on without a person; the message says what to do. */
export class CollectStopped extends Error {
  override readonly name = 'CollectStopped';
}

/** How long a renamed log must be quiet, in intervals: nginx's workers open the new one at different moments. */
const QUIET_INTERVALS = 5;

/**
 * Turns a log into batches, each line into exactly one:
 *
 *     lines ─▶ cut: numbered bytes, kept on disk ─▶ service ─▶ position after the cut, kept with the next cut
 *
 * A crash before the cut is kept reads the lines again; after it, the same bytes are sent again and the service
 * answers that it has them. The epoch is the log's, so a position that was lost or doubled meets a 409 and not a
 * second invoice line. What cannot be counted is on disk before the cut that leaves it out.
 */
export class Collector {
  private readonly client: ServiceClient;
  private readonly family: LogFamily;
  private readonly side: SideFile;
  private readonly read: LineReader;
  private position: Position | undefined;
  private log: LogFile | undefined;
  /** Lines that were read and did not fit into the last batch. */
  private ahead: Line[] = [];
  /** The size that this log was last seen to have. */
  private seenBytes = 0;
  private readonly reporter: Reporter;
  private readonly woken: AbortSignal;

  constructor(
    private readonly options: CollectOptions,
    private readonly around: Surroundings,
  ) {
    const { say, signal, drain } = around;
    this.woken = AbortSignal.any([signal, drain]);
    this.reporter = new Reporter(around, options.setAside);
    this.client = new ServiceClient(options.service);
    this.read = lineReader(options.format);
    this.family = new LogFamily(options.log, ({ message }) => this.reporter.sayAtTimes(message));
    this.side = new SideFile(options.setAside, () =>
      say(
        `${options.setAside} is full: from here on what is set aside is only counted; move it away`,
      ),
    );
  }

  async run(): Promise<void> {
    const { signal, drain } = this.around;
    this.position = await readPosition(this.options.state);
    if (this.position !== undefined) {
      await this.side.cutBack(this.position.aside);
      await this.send(this.position);
    }
    while (!signal.aborted) {
      // Asked before reading: what was written until then is read.
      const isLast = this.options.isOnce || drain.aborted;
      if ((await this.step({ isLast })) === 'again') continue;
      if (isLast) break;
      await pause(this.options.intervalMs, this.woken);
    }
    await this.reporter.end(this.position, this.log);
  }

  /** Reads and sends what there is; `again` when the next log can be read at once. */
  private async step({ isLast }: { isLast: boolean }): Promise<'again' | 'done'> {
    try {
      if (!(await this.openLog())) return 'done';
      await this.sendNewLines({ isFinished: false });
      return (await this.finishRotated({ isLast })) ? 'again' : 'done';
    } catch (error) {
      if (!(error instanceof DamagedLog) || isLast) throw error;
      this.reporter.sayAtTimes(error.message);
      await this.leave();
      return 'done';
    }
  }

  async close(): Promise<void> {
    await this.log?.close();
    this.client.close();
  }

  /** Opens the log that the position is in, or the one at the path when there is no position yet. */
  private async openLog(): Promise<boolean> {
    const { position } = this;
    if (position === undefined) return this.startFirst();
    if (this.log !== undefined && (await this.log.hasHead(position.log.head))) {
      if (this.log.isCompressed || (await this.log.size()) >= position.offset) return true;
    }
    const wasOpen = this.log !== undefined;
    await this.leave();
    if (position.finished.some(({ epoch }) => epoch === position.log.epoch))
      return this.startNext(position);
    this.log = await this.findLog(position);
    if (this.log !== undefined) return true;
    return this.passOverLost(position, wasOpen);
  }

  /** The log with all that follows the offset. When it is truncated while it is looked at, the copy is whole: looks again. */
  private async findLog({ log: known, offset }: Position): Promise<LogFile | undefined> {
    for (let looks = 0; looks < 2; looks += 1) {
      const log = await this.family.find(known);
      if (log !== undefined && (log.isCompressed || (await log.size()) >= offset)) return log;
      await log?.close();
    }
    return undefined;
  }

  /** What followed the offset is gone: stops, unless all that was ever seen of it is sent. */
  private async passOverLost(position: Position, wasOpen: boolean): Promise<boolean> {
    const { log: path, skipsLost } = this.options;
    const isAllSent = wasOpen && this.seenBytes <= position.offset;
    if (!skipsLost && !isAllSent) {
      throw new CollectStopped(
        `${path} was truncated or replaced, and nothing beside it holds what followed byte ` +
          `${position.offset} of it. Put the rotated file back beside it (compressed by gzip or not at all), ` +
          'or accept the loss with --skip-lost',
      );
    }
    this.around.say(
      isAllSent
        ? `${path} was emptied and no copy is beside it: all ${position.offset} bytes that were seen are sent`
        : `lost: whatever followed byte ${position.offset} of the former log`,
    );
    const finished = await this.withFinished(position);
    await this.keep({ ...position, finished });
    return this.startNext({ ...position, finished });
  }

  /** The first log of all: the one at the path. What rotation had put aside before is not read. */
  private async startFirst(): Promise<boolean> {
    const log = await this.family.live();
    if (log === undefined) return false;
    const finished = await this.family.putAside();
    return this.start(log, { finished, clockOffsetMs: 0, aside: { count: 0, fileBytes: 0 } });
  }

  private async startNext(position: Position): Promise<boolean> {
    const next = await this.family.next(position.finished);
    if (next === undefined) return false;
    const { resumed } = next;
    if (resumed === undefined) return this.start(next.log, position);
    this.log = next.log;
    this.position = {
      ...position,
      log: { epoch: resumed.epoch, head: resumed.head },
      offset: resumed.bytes,
      nextSequence: resumed.nextSequence,
      cut: null,
      finished: position.finished.filter((before) => before !== resumed),
    };
    return true;
  }

  private async start(
    log: LogFile,
    carried: Pick<Position, 'finished' | 'clockOffsetMs' | 'aside'>,
  ): Promise<boolean> {
    const { finished, clockOffsetMs, aside } = carried;
    this.log = log;
    this.position = {
      log: { epoch: this.family.freshEpoch(log, finished), head: await log.head(0) },
      offset: 0,
      nextSequence: 0,
      cut: null,
      clockOffsetMs,
      aside,
      finished,
    };
    return true;
  }

  private async leave(): Promise<void> {
    await this.log?.close();
    this.log = undefined;
    this.ahead = [];
  }

  /** Closes the books of a log that rotation put aside. False while it is the live one or may still grow. */
  private async finishRotated({ isLast }: { isLast: boolean }): Promise<boolean> {
    const { log, position } = this;
    if (log === undefined || position === undefined || this.around.signal.aborted) return false;
    if (log.node === (await this.family.liveNode())) return false;
    const next = await this.family.next(await this.withFinished(position));
    await next?.log.close();
    if (next === undefined) return false;
    if (!isLast && !log.isCompressed && !(await this.isQuiet(log))) return false;
    await this.sendNewLines({ isFinished: true });
    const { position: sent = position } = this;
    if (this.around.signal.aborted) return false;
    await this.keep({ ...sent, finished: await this.withFinished(sent) });
    await this.leave();
    return true;
  }

  /** Whether nobody seems to write it any more. A time in the future says nothing. */
  private async isQuiet(log: LogFile): Promise<boolean> {
    const ageMs = Date.now() - Number((await log.modifiedAt()) / 1_000_000n);
    return ageMs < 0 || ageMs >= QUIET_INTERVALS * this.options.intervalMs;
  }

  private async withFinished(position: Position): Promise<FinishedLog[]> {
    const { log, offset: bytes, nextSequence } = position;
    const all = [...position.finished, { ...log, bytes, nextSequence }];
    return all.slice(-(await this.family.memory()));
  }

  /** Sends what the log holds now, in as many batches as it takes. */
  private async sendNewLines({ isFinished }: { isFinished: boolean }): Promise<void> {
    const { log } = this;
    const before = this.position;
    if (log === undefined || before === undefined) return;
    const size = await log.size();
    // Of a log that was truncated since it was opened this would be the size of another one.
    if (!log.isCompressed && !(await log.hasHead(before.log.head))) return;
    this.seenBytes = size;
    const isThere = ({ offset }: Position): boolean =>
      log.isCompressed || isFinished || offset < size;
    for (
      let position = before;
      !this.around.signal.aborted && isThere(position);
      position = this.position ?? position
    ) {
      const lines = await this.nextLines(log, position, { isFinished });
      if (lines.length === 0) break;
      await this.sendLines(log, position, lines);
      await this.reporter.progress(this.position ?? position, log);
    }
    if (this.position !== before && !this.around.signal.aborted) await this.keep(this.position);
  }

  private async nextLines(
    log: LogFile,
    { offset, log: { head } }: Position,
    { isFinished }: { isFinished: boolean },
  ): Promise<readonly Line[]> {
    if (this.ahead[0]?.from !== offset)
      this.ahead = await log.readLines(offset, { head, isFinished });
    return this.ahead;
  }

  private async sendLines(log: LogFile, position: Position, lines: readonly Line[]): Promise<void> {
    const { epoch } = position.log;
    const { clockOffsetMs } = position;
    const batch = batchOfLines(lines, { read: this.read, epoch, clockOffsetMs });
    this.ahead = lines.slice(batch.lines);
    this.reporter.totals.lines += batch.lines;
    this.reporter.totals.calls += batch.calls;
    const aside = await this.setAside(position, batch.aside);
    const known = await knownBetter(log, position.log, batch.to);
    if (batch.records.length === 0) {
      this.position = { ...position, log: known, offset: batch.to, aside };
      return;
    }
    const sequence = position.nextSequence;
    const body = batchBody(epoch, sequence, batch.records);
    const cut: Cut = { sequence, from: position.offset, to: batch.to, body };
    await this.keep({ ...position, log: known, cut, aside });
    await this.send(this.position);
  }

  /** Delivers the cut that a position holds, for as long as it takes. */
  private async send(position: Position | undefined): Promise<void> {
    const cut = position?.cut ?? null;
    if (position === undefined || cut === null) return;
    const delivery = await deliverBatch(this.client, cut.body, {
      signal: this.around.signal,
      onDelay: (tries, cause) =>
        this.reporter.delay(`batch ${cut.sequence} waits, ${tries} tries, last: ${cause}`, tries),
    });
    switch (delivery.outcome) {
      case 'stopped':
        return;
      case 'accepted':
      case 'duplicate':
        this.reporter.totals.batches += 1;
        this.position = {
          ...position,
          offset: cut.to,
          nextSequence: cut.sequence + 1,
          cut: null,
          clockOffsetMs: this.client.clock.offsetMs,
        };
        if (delivery.quarantined !== null)
          this.reporter.quarantined(cut.sequence, delivery.quarantined);
        return;
      case 'conflict':
        throw new CollectStopped(
          `the service has other content for batch ${cut.sequence} of ${position.log.epoch}: ` +
            `was ${this.options.state} lost, restored or used twice? Nothing was counted twice; bring the right one back`,
        );
      case 'refused':
        throw new CollectStopped(
          `the service refused batch ${cut.sequence} (HTTP ${delivery.status}): ${delivery.answer}`,
        );
    }
  }

  private async setAside(
    position: Position,
    added: readonly SetAside[],
  ): Promise<Position['aside']> {
    if (added.length === 0) return position.aside;
    const aside = await this.side.append(position.aside, added);
    this.reporter.setAside(added, aside);
    return aside;
  }

  private async keep(position: Position | undefined): Promise<void> {
    if (position === undefined) return;
    await keepPosition(this.options.state, position);
    this.position = position;
  }
}

/** A log of which more was read is known by more of it, up to 4 KiB. */
async function knownBetter(log: LogFile, known: KnownLog, to: number): Promise<KnownLog> {
  if (known.head.bytes >= HEAD_BYTES_MAX) return known;
  const head = await log.head(to);
  // A log that became another one meanwhile is noticed by its old head, which then stays.
  return (await log.hasHead(known.head)) ? { ...known, head } : known;
}
