import { Injectable, Logger } from '@nestjs/common';
import type { Period } from '@core/kernel';
import { NotFound } from '@io/platform';
import {
  RollUpProofRepository,
  type AccountHours,
  type UsageDifference,
} from './roll-up-proof.repository.js';

/** The queue, and the job, that compares yesterday's roll-ups with their records. */
export const CHECK_USAGE = 'check-usage';

/** What became of one day of an account. */
export interface ProvenDay {
  readonly accountId: string;
  /** The hours of the day that were compared. */
  readonly period: Period;
  /** In order, at most `DIFFERENCES_MAX`. */
  readonly differences: readonly UsageDifference[];
  /** `incomplete` when records of these hours were dropped: nothing can be said, and nothing is changed. */
  readonly outcome: 'equal' | 'different' | 'rebuilt' | 'incomplete';
}

/** So many differences of a day are told; it has more when there are so many. */
export const DIFFERENCES_MAX = 1_000;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Proves roll-ups by their records, and makes them anew where they differ. */
@Injectable()
export class RollUpProofService {
  private readonly logger = new Logger('RollUpProof');

  constructor(private readonly proofs: RollUpProofRepository) {}

  /**
   * Compares each finished day of each account once, of the last seven. A difference is logged, and stays in the
   * metrics until the day is rebuilt. Safe to run anywhere, any time.
   */
  async checkDays(): Promise<{ days: number; differences: number }> {
    let differences = 0;
    const days = await this.proofs.uncheckedDays();
    for (const unchecked of days) {
      const { accountId, day } = unchecked;
      const period = { from: day, to: new Date(day.getTime() + DAY_MS) };
      const found = await this.compare({ accountId, period });
      await this.proofs.saveCheck(unchecked, found.differences.length);
      differences += found.differences.length;
      if (found.differences.length > 0)
        this.logger.error(
          `${found.differences.length} roll-ups of account ${accountId} on ${day.toISOString().slice(0, 10)} are not what their records make; see "rebuild-usage" in docs/operations.md.`,
        );
    }
    return { days: days.length, differences };
  }

  /**
   * Goes through the days of a period of whole UTC hours, of one account or of all, and makes anew the hours that
   * differ from their records; with `isDryRun` only compares. A second run finds nothing to do. Throws `NotFound`.
   */
  async *rebuild({
    accountId,
    period,
    isDryRun,
  }: {
    readonly accountId: string | null;
    readonly period: Period;
    readonly isDryRun: boolean;
  }): AsyncGenerator<ProvenDay> {
    const all = await this.proofs.accountIds();
    if (accountId !== null && !all.includes(accountId)) throw new NotFound('account', accountId);
    const accounts = accountId === null ? all : [accountId];
    for (const account of accounts)
      for (const day of daysOf(period)) {
        const found = await this.compare({ accountId: account, period: day });
        if (found.outcome !== 'different' || isDryRun) yield found;
        else yield { ...found, outcome: await this.rebuildDay(found) };
      }
  }

  private async compare({ accountId, period }: AccountHours): Promise<ProvenDay> {
    if (period.from < (await this.proofs.completeFrom(accountId)))
      return { accountId, period, differences: [], outcome: 'incomplete' };
    const differences = await this.proofs.differences({ accountId, period }, DIFFERENCES_MAX);
    const outcome = differences.length === 0 ? 'equal' : 'different';
    return { accountId, period, differences, outcome };
  }

  /** By the hour, so that roll-ups wait for one hour's sums at a time. */
  private async rebuildDay({ accountId, period, differences }: ProvenDay) {
    const differing = new Set(differences.map(({ hour }) => hour.getTime()));
    const isAll = differences.length < DIFFERENCES_MAX;
    for (let ms = period.from.getTime(); ms < period.to.getTime(); ms += HOUR_MS) {
      if (isAll && !differing.has(ms)) continue;
      const hour = { from: new Date(ms), to: new Date(ms + HOUR_MS) };
      if ((await this.proofs.rebuild({ accountId, period: hour })) === null) return 'incomplete';
    }
    const dayStart = period.from.getTime() - (period.from.getTime() % DAY_MS);
    const day = { from: new Date(dayStart), to: new Date(dayStart + DAY_MS) };
    const left = await this.compare({ accountId, period: day });
    await this.proofs.amendCheck({ accountId, day: day.from }, left.differences.length);
    return 'rebuilt';
  }
}

/** The period in parts that end with a UTC day. */
function* daysOf({ from, to }: Period): Generator<Period> {
  for (let ms = from.getTime(); ms < to.getTime();) {
    const end = Math.min(ms - (ms % DAY_MS) + DAY_MS, to.getTime());
    yield { from: new Date(ms), to: new Date(end) };
    ms = end;
  }
}
