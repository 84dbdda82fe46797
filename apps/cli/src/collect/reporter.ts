import type { Surroundings } from './collect-options.js';
import type { LogFile } from './log-file.js';
import type { Aside, Position, SetAside } from './position.js';
import { progressBar, progressSentence, type Progress } from './progress.js';

const SAY_EVERY_MS = 10_000;
const SHOW_EVERY_MS = 200;
/** Reasons that are named when lines are set aside; the file has them all. */
const REASONS_SAID = 3;

/** Tells people what a collector does: a bar on a terminal, else a sentence from time to time. */
export class Reporter {
  readonly totals = { lines: 0, calls: 0, batches: 0, aside: 0 };
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
    const reasons = [...new Set(added.map(({ reason }) => reason))];
    const others = reasons.length > REASONS_SAID ? ', …' : '';
    this.around.say(
      `set aside ${added.length} of bytes ${added[0]?.from} to ${added.at(-1)?.to}, ${count} in all, ` +
        `see ${this.sideFile}: ${reasons.slice(0, REASONS_SAID).join(', ')}${others}`,
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
    if (count > 0) this.around.say(`${count} lines and records are set aside in ${this.sideFile}`);
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
