import { Injectable, Logger } from '@nestjs/common';
import { BusinessClock, SystemClock } from '@io/platform';
import {
  SliceFailed,
  type AccountAt,
  type DoneSlice,
  type DueAccount,
  type DueCursor,
  type WantedSlice,
} from './slices.js';

/** What a run works through. */
export interface SliceWork {
  /** What is done with each, for the log: `closed`. */
  readonly verb: string;
  accounts(systemNow: Date): Promise<readonly DueAccount[]>;
  /** What is to be done for an account before its first slice. */
  begin(account: DueAccount): Promise<void>;
  /** Throws `SliceFailed`, and then nothing of the slice is done. */
  slice(account: AccountAt, wanted: WantedSlice): Promise<DoneSlice | null>;
  /** One of a slice that failed; answers whether it is done. */
  alone(account: AccountAt, id: string): Promise<boolean>;
}

/** So many are done in one transaction. */
const SLICE = 250;
/** So many slices at once: one is rated while the other is stored. */
const LANES = 2;
/** How many of those that failed are left out of later slices of a run; of the others, it fails again. */
const LEFT_OUT_MAX = 1_000;
const PROGRESS_MS = 10_000;

/** What a run has done so far. */
interface Run {
  done: number;
  /** By id. */
  readonly failures: Map<string, unknown>;
  readonly begunMs: number;
  toldMs: number;
}

/**
 * Works through what is due of all accounts, slice by slice. Any number of workers share the work: each takes slices that no other
 * holds. What fails does not keep the others waiting. What a run holds in memory does not grow with what is due.
 */
@Injectable()
export class SliceRunner {
  private readonly logger = new Logger('Invoicing');

  constructor(
    private readonly clock: BusinessClock,
    private readonly systemClock: SystemClock,
  ) {}

  /** Returns how many were done. Throws an `AggregateError` of what failed, after all that could be done is. */
  async run(work: SliceWork): Promise<number> {
    const nowMs = this.systemClock.monotonicMs();
    const run: Run = { done: 0, failures: new Map(), begunMs: nowMs, toldMs: nowMs };
    for (const account of await work.accounts(this.systemClock.now())) {
      await work.begin(account);
      // Whoever is several periods behind is due again after each pass.
      for (let before = -1; run.done > before;) {
        before = run.done;
        await allOf(Array.from({ length: LANES }, () => this.lane(work, account, run)));
      }
    }
    const failures = [...run.failures.values()];
    if (failures.length > 0) {
      const message = `${failures.length} subscription(s) could not be ${work.verb}.`;
      throw new AggregateError(failures, message);
    }
    return run.done;
  }

  private async lane(work: SliceWork, account: DueAccount, run: Run): Promise<void> {
    let after: DueCursor | null = null;
    for (;;) {
      const next: DueCursor | null = await this.next(work, { account, after, run });
      if (next === null) return;
      after = next;
      this.tellProgress(work, account, run);
    }
  }

  private async next(
    work: SliceWork,
    { account, after, run }: { account: DueAccount; after: DueCursor | null; run: Run },
  ): Promise<DueCursor | null> {
    try {
      const except = [...run.failures.keys()].slice(0, LEFT_OUT_MAX);
      const slice = await work.slice(this.at(account), { after, limit: SLICE, except });
      run.done += slice?.done ?? 0;
      return slice && slice.last;
    } catch (error) {
      if (!(error instanceof SliceFailed)) throw error;
      for (const id of error.ids) await this.alone(work, { account, id, run });
      return error.last;
    }
  }

  private async alone(
    work: SliceWork,
    { account, id, run }: { account: DueAccount; id: string; run: Run },
  ): Promise<void> {
    try {
      if (await work.alone(this.at(account), id)) run.done += 1;
    } catch (error) {
      this.logger.error(`${id} could not be ${work.verb}.`, error);
      run.failures.set(id, error);
    }
  }

  private at({ accountId, clockOffsetMs }: DueAccount): AccountAt {
    return { accountId, now: this.clock.at(clockOffsetMs) };
  }

  private tellProgress({ verb }: SliceWork, { accountId }: DueAccount, run: Run): void {
    const nowMs = this.systemClock.monotonicMs();
    if (nowMs - run.toldMs < PROGRESS_MS) return;
    run.toldMs = nowMs;
    const perSecond = Math.round((run.done * 1_000) / (nowMs - run.begunMs));
    this.logger.log(
      `${run.done} ${verb} so far, ${perSecond} per second; now those of ${accountId}.`,
    );
  }
}

/** Waits for all, also when one has failed: nothing goes on behind whoever is told of the failure. */
async function allOf(lanes: readonly Promise<void>[]): Promise<void> {
  const ends = await Promise.allSettled(lanes);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
