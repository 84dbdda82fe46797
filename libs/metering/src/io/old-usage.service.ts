import { Injectable, Logger } from '@nestjs/common';
import { SystemClock } from '@io/platform';
import { OldUsageRepository } from './old-usage.repository.js';
import { UsagePartitionsService, type OldDay } from './usage-partitions.service.js';

const DAY_MS = 86_400_000;
/** A process that could not store its counts sends the same flush again every few seconds; one that sleeps for longer than this may count it twice. */
const COUNTER_DAYS = 30;

/** For how many days things are kept at least; 0: for ever. */
export interface UsageRetention {
  readonly usageDays: number;
  readonly decisionDays: number;
  /** It only tells what it would drop. */
  readonly isDryRun: boolean;
}

/** What was dropped, or would be. */
export interface DroppedUsage {
  readonly days: readonly OldDay[];
  readonly corrections: number;
  readonly quarantined: number;
  readonly decisionHours: number;
  readonly decisionCounters: number;
}

/** Drops what is older than it is kept, except what something can still need. Safe to run anywhere, any time. */
@Injectable()
export class OldUsageService {
  private readonly logger = new Logger('OldUsage');

  constructor(
    private readonly old: OldUsageRepository,
    private readonly partitions: UsagePartitionsService,
    private readonly clock: SystemClock,
  ) {}

  /** Drops days of records, what was said of the records of days that are gone, and counts of allowed calls. Each is logged. */
  async drop({ usageDays, decisionDays, isDryRun }: UsageRetention): Promise<DroppedUsage> {
    const days = usageDays === 0 ? [] : await this.partitions.dropOld(usageDays, { isDryRun });
    const settled =
      usageDays === 0
        ? { corrections: 0, quarantined: 0 }
        : await this.dropSettled(
            days.flatMap(({ day, outcome }) => (outcome === 'would-drop' ? [day] : [])),
            isDryRun,
          );
    const decisionHours = decisionDays === 0 ? 0 : await this.dropDecisions(decisionDays, isDryRun);
    const silentSince = this.daysAgo(COUNTER_DAYS);
    const decisionCounters = await this.old.dropCounters(silentSince, isDryRun);
    this.tell(
      decisionCounters,
      `counters of allowed calls silent since ${iso(silentSince)}`,
      isDryRun,
    );
    return { days, ...settled, decisionHours, decisionCounters };
  }

  private async dropSettled(
    without: readonly string[],
    isDryRun: boolean,
  ): Promise<{ corrections: number; quarantined: number }> {
    const before = await this.old.recordsKeptFrom(without);
    if (before === null) return { corrections: 0, quarantined: 0 };
    const dropped = await this.old.dropSettled(before, isDryRun);
    const settled = `settled before ${iso(before)}, when the records begin that are kept`;
    this.tell(dropped.corrections, `corrections ${settled}`, isDryRun);
    this.tell(dropped.quarantined, `quarantined records ${settled}`, isDryRun);
    return dropped;
  }

  private async dropDecisions(days: number, isDryRun: boolean): Promise<number> {
    let hours = 0;
    for (const kept of await this.old.decisionsKeptFrom(this.daysAgo(days))) {
      const dropped = await this.old.dropDecisions(kept, isDryRun);
      const what = `hours of allowed calls of ${kept.accountId} before ${iso(kept.keptFrom)}`;
      this.tell(dropped, what, isDryRun);
      hours += dropped;
    }
    return hours;
  }

  private tell(count: number, what: string, isDryRun: boolean): void {
    if (count > 0)
      this.logger.log(`${count} ${what}: ${isDryRun ? 'would be dropped' : 'dropped'}.`);
  }

  private daysAgo(days: number): Date {
    return new Date(this.clock.now().getTime() - days * DAY_MS);
  }
}

const iso = (at: Date) => at.toISOString();
