import { Injectable, Logger } from '@nestjs/common';
import { SystemClock } from '@io/platform';
import {
  UsagePartitionsRepository,
  type Day,
  type PartitionHold,
} from './usage-partitions.repository.js';

const DAYS_AHEAD = 8;
const DAY_MS = 86_400_000;

/** What became of the partition of a day that is older than records are kept. */
export interface OldDay {
  readonly day: Day;
  /** `dropped`, `would-drop` in a dry run, `busy` when others read it, or why it is kept. */
  readonly outcome: 'dropped' | 'would-drop' | 'busy' | Exclude<PartitionHold, null>;
}

/** Makes partitions of usage records before they are needed, and drops those that nothing needs. Safe to run anywhere, any time. */
@Injectable()
export class UsagePartitionsService {
  private readonly logger = new Logger('UsagePartitions');

  constructor(
    private readonly partitions: UsagePartitionsRepository,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Makes today's partition and those of the next seven days, and gives records that came while there was none a
   * partition of their day; and the months of readings of those days. A day that others are reading is left for the next time; its records are in the default partition.
   */
  async ensure(): Promise<void> {
    const now = this.clock.now().getTime();
    await unlessBusy(() => this.partitions.ensureReadings(dayOf(now), DAYS_AHEAD));
    const ahead = Array.from({ length: DAYS_AHEAD }, (_, n) => dayOf(now + n * DAY_MS));
    for (const day of new Set([...ahead, ...(await this.partitions.strayDays())])) {
      if ((await unlessBusy(() => this.partitions.ensure(day))) !== BUSY) continue;
      // Each attempt holds up who writes there, so there is only one.
      this.logger.warn(`The partition of ${day} is not made yet: the default one is in use.`);
      return;
    }
  }

  /**
   * Drops the partitions whose records are all older than so many days, one by one, except those that hold records
   * which are not rolled up, not billed, or under a draft. Each outcome is logged. A dry run changes nothing.
   */
  async dropOld(days: number, { isDryRun }: { readonly isDryRun: boolean }): Promise<OldDay[]> {
    const outcomes: OldDay[] = [];
    for (const day of await this.partitions.daysBefore(this.clock.now(), days)) {
      const hold = await (isDryRun
        ? this.partitions.hold(day)
        : unlessBusy(() => this.partitions.drop(day)));
      const outcome = hold === BUSY ? 'busy' : (hold ?? (isDryRun ? 'would-drop' : 'dropped'));
      outcomes.push({ day, outcome });
      this.logger.log(`Usage records received on ${day}, kept for ${days} days: ${SAYS[outcome]}.`);
    }
    return outcomes;
  }
}

const SAYS: Readonly<Record<OldDay['outcome'], string>> = {
  dropped: 'dropped',
  'would-drop': 'would be dropped',
  busy: 'in use, tried again later',
  waiting: 'kept, since batches wait for the roll-up',
  unbilled: 'kept, since a subscription has not billed them',
  draft: 'kept, since an invoice over them is a draft',
};

const BUSY = Symbol('busy');
const LOCK_NOT_AVAILABLE = '55P03';

/** The value, or BUSY when a lock was not to be had in time. */
async function unlessBusy<T>(work: () => Promise<T>): Promise<T | typeof BUSY> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error && error.message.includes(LOCK_NOT_AVAILABLE)) return BUSY;
    throw error;
  }
}

const dayOf = (ms: number): Day => new Date(ms).toISOString().slice(0, 10);
