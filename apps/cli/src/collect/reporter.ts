import type { QuarantinedRecords } from '@core/gateway-plugin';
import type { Surroundings } from './collect-options.js';
import type { LogFile } from './log-file.js';
import type { Aside, Position, SetAside } from './position.js';
import { progressBar, progressSentence, type Progress } from './progress.js';

const SAY_EVERY_MS = 10_000;
const SHOW_EVERY_MS = 200;
/** Reasons that are named when something is not counted; the file, or the service, has them all. */
const REASONS_SAID = 3;
const QUARANTINE = 'GET /v1/usage/quarantine';

/** Tells people what a collector does: a bar on a terminal, else a sentence from time to time. */
export class Reporter {
  readonly totals = { lines: 0, calls: 0, batches: 0, aside: 0, quarantined: 0 };
  private readonly startedAt = Date.now();
  private saidAt = Date.now();
  private shownAt = 0;

  constructor(
    private readonly around: Surroundings,
    private readonly sideFile: string,
  ) {}

  async progress(position: Position, log: LogFile): Promise<void> {
    const now = Date.now();
    if (this.around.show !== undefined) {
      if (now - this.shownAt < SHOW_EVERY_MS) return;
      this.shownAt = now;
      this.around.show(progressBar(await this.progressOf(position, log)));
    } else if (now - this.saidAt >= SAY_EVERY_MS) {
      this.saidAt = now;
      this.around.say(progressSentence(await this.progressOf(position, log)));
    }
  }

  setAside(added: readonly SetAside[], { count }: Aside): void {
    this.totals.aside += added.length;
    const reasons = new Set(added.map(({ reason }) => reason));
    this.around.say(
      `set aside ${added.length} of bytes ${added[0]?.from} to ${added.at(-1)?.to}, ${count} in all, ` +
        `see ${this.sideFile}: ${some(reasons)}`,
    );
  }

  /** Said of the first batch at once and of others from time to time: a wrong format is in all of them. */
  quarantined(sequence: number, { records, reasons }: QuarantinedRecords): void {
    if (this.totals.quarantined === 0) this.saidAt = 0;
    this.totals.quarantined += records;
    this.sayAtTimes(
      `the service cannot count ${records} records of batch ${sequence}, ${this.totals.quarantined} since the start, ` +
        `and keeps them in its quarantine (${QUARANTINE}): ${some(reasons)}`,
    );
  }

  /** The first failure is told at once, and that it goes on from time to time. */
  delay(line: string, tries: number): void {
    if (tries === 1) this.saidAt = 0;
    this.sayAtTimes(line);
  }

  sayAtTimes(line: string): void {
    if (Date.now() - this.saidAt < SAY_EVERY_MS) return;
    this.saidAt = Date.now();
    this.around.say(line);
  }

  async end(position: Position | undefined, log: LogFile | undefined): Promise<void> {
    const progress = await this.progressOf(position, log);
    this.around.say(progressSentence(progress));
    if (this.around.signal.aborted && progress.offset < progress.size)
      this.around.say(
        `not sent yet: ${progress.size - progress.offset} bytes, perhaps more; they stay in the log for the next start`,
      );
    const count = position?.aside.count ?? 0;
    if (count > 0) this.around.say(`${count} lines are set aside in ${this.sideFile}`);
    const { quarantined } = this.totals;
    if (quarantined > 0)
      this.around.say(
        `${quarantined} records went into the service's quarantine and hold invoices until they are corrected or dropped: ${QUARANTINE}`,
      );
  }

  private async progressOf(
    position: Position | undefined,
    log: LogFile | undefined,
  ): Promise<Progress> {
    const size = (await log?.size()) ?? 0;
    const offset = position?.offset ?? 0;
    return { ...this.totals, offset, size, elapsedMs: Date.now() - this.startedAt };
  }
}

function some(reasons: Iterable<string>): string {
  const all = [...reasons];
  return `${all.slice(0, REASONS_SAID).join(', ')}${all.length > REASONS_SAID ? ', …' : ''}`;
}
