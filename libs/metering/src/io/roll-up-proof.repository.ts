import { Injectable } from '@nestjs/common';
import type { Period } from '@core/kernel';
import { appendAudit, Database, Prisma, SystemClock } from '@io/platform';
import { HOUR_KEY, HOUR_SUMS, rolledUp } from './sum-records.js';

/** A roll-up that is not what its records make. A missing one counts as zero, on either side. */
export interface UsageDifference {
  readonly hour: Date;
  readonly customerId: string;
  readonly keyId: string;
  readonly meter: string;
  readonly apiId: string;
  readonly stage: string;
  readonly usagePlanId: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly statusClass: string;
  /** The hour's sum, and those of its last three quarters: of the records, and as they stand. */
  readonly expected: readonly string[];
  readonly found: readonly string[];
}

/** Whole UTC hours of an account, by its own clock. */
export interface AccountHours {
  readonly accountId: string;
  readonly period: Period;
}

/** A day of an account, by its own clock. */
export interface AccountDay {
  readonly accountId: string;
  /** Its first instant, in UTC. */
  readonly day: Date;
}

/** A record may be stamped so far ahead of the clock it was received at. */
const FUTURE_MS = 5 * 60_000;
const DAY_MS = 86_400_000;
/** A night that no worker saw is made up for within so many days. */
const DAYS_BACK = 7;

/** Compares roll-ups with the records they were made of, and makes them anew. */
@Injectable()
export class RollUpProofRepository {
  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
  ) {}

  /**
   * The roll-ups of these hours that their records do not make, in order, at most `limit`. One statement, so what is
   * rolled up meanwhile is on both sides or on neither. Says nothing useful of hours before `completeFrom`.
   */
  async differences(hours: AccountHours, limit: number): Promise<UsageDifference[]> {
    const { accountId, period } = hours;
    const records = await this.recordsOf(this.db, hours);
    return this.db.$queryRaw<UsageDifference[]>`
      WITH of_records AS MATERIALIZED (${rolledUp(records)}),
      of_hours AS MATERIALIZED (
        SELECT ${HOUR_KEY}, ${HOUR_SUMS} FROM usage_hour
        WHERE account_id = ${accountId} AND hour >= ${period.from} AND hour < ${period.to}
      )
      SELECT hour, customer_id AS "customerId", key_id AS "keyId", meter, api_id AS "apiId", stage,
        usage_plan_id AS "usagePlanId", method, resource_path AS "resourcePath", status_class AS "statusClass",
        ${texts('r')} AS expected, ${texts('h')} AS found
      FROM of_records r FULL JOIN of_hours h USING (${HOUR_KEY})
      WHERE ${texts('r')} <> ${texts('h')}
      ORDER BY ${HOUR_KEY} LIMIT ${limit}`;
  }

  /**
   * Makes the roll-ups of these hours, and of the days they lie in, anew from their records and returns how many there are now; null, and nothing
   * is changed, when records of them were dropped. Roll-ups of all accounts wait meanwhile, so ask for few hours;
   * ingestion and readers do not.
   */
  async rebuild(hours: AccountHours): Promise<number | null> {
    const { accountId, period } = hours;
    return this.db.$transaction(
      async (tx) => {
        // In the order in which a roll-up takes them: hours, then records. No day is dropped from here on.
        await tx.$executeRaw`LOCK TABLE usage_hour IN SHARE ROW EXCLUSIVE MODE`;
        await tx.$executeRaw`LOCK TABLE usage_record IN ACCESS SHARE MODE`;
        if (period.from < (await this.completeFrom(accountId, tx))) return null;
        await tx.$executeRaw`
          DELETE FROM usage_hour WHERE account_id = ${accountId} AND hour >= ${period.from} AND hour < ${period.to}`;
        const rows = await tx.$executeRaw`
          INSERT INTO usage_hour (${HOUR_KEY}, ${HOUR_SUMS})
          SELECT ${HOUR_KEY}, ${HOUR_SUMS} FROM (${rolledUp(await this.recordsOf(tx, hours))}) made`;
        // A day is the sum of its hours, whichever of them are made anew.
        const [first, last] = [
          startOfDay(period.from),
          startOfDay(new Date(period.to.getTime() - 1)),
        ];
        await tx.$executeRaw`
          DELETE FROM usage_day WHERE account_id = ${accountId} AND day >= ${first} AND day <= ${last}`;
        await tx.$executeRaw`
          INSERT INTO usage_day (customer_id, key_id, day, meter, usage_plan_id, account_id, quantity)
          SELECT customer_id, key_id, date_trunc('day', hour, 'UTC'), meter, usage_plan_id, account_id, sum(quantity)
          FROM usage_hour
          WHERE account_id = ${accountId} AND hour >= ${first} AND hour < ${new Date(last.getTime() + DAY_MS)}
          GROUP BY 1, 2, 3, 4, 5, 6`;
        await appendAudit(tx, {
          accountId,
          principalId: 'rebuild-usage',
          action: 'rebuild-usage',
          subject: period.from.toISOString(),
          after: { to: period.to.toISOString(), rows },
        });
        return rows;
      },
      { timeout: 600_000, maxWait: 10_000 },
    );
  }

  /**
   * From when on the account's hours have all their records: after the last day of which batches came and whose
   * records are gone.
   */
  async completeFrom(accountId: string, db: Prisma.TransactionClient = this.db): Promise<Date> {
    const [row] = await db.$queryRaw<{ droppedTo: Date }[]>`
      SELECT coalesce(max(day) + interval '1 day', timestamptz '1970-01-01 00:00Z') AS "droppedTo"
      FROM generate_series(
        (SELECT date_bin('1 day', min(received_at), 'epoch') FROM usage_batch WHERE account_id = ${accountId}),
        ${this.clock.now()}, interval '24 hours') day
      WHERE to_regclass('usage_record_' || to_char(day AT TIME ZONE 'UTC', 'YYYYMMDD')) IS NULL
        AND EXISTS (SELECT FROM usage_batch WHERE account_id = ${accountId} AND record_count > 0
          AND received_at >= day AND received_at < day + interval '24 hours')
        AND NOT EXISTS (SELECT FROM usage_record_default
          WHERE received_at >= day AND received_at < day + interval '24 hours')`;
    const droppedTo = row?.droppedTo.getTime() ?? 0;
    if (droppedTo === 0) return new Date(0);
    return new Date(droppedTo + (await this.aheadMs(accountId, db)));
  }

  /** Days that have ended by their account's clock, had usage in reach, and were not checked, oldest first. */
  uncheckedDays(): Promise<AccountDay[]> {
    return this.db.$queryRaw<AccountDay[]>`
      SELECT a.id AS "accountId", day FROM account a,
        LATERAL (SELECT a.clock_offset_ms * interval '1 millisecond' AS ahead) clock,
        LATERAL (SELECT date_bin('1 day', ${this.clock.now()}::timestamptz + ahead, 'epoch') AS today) now,
        LATERAL generate_series(today - ${DAYS_BACK}::int * interval '24 hours', today - interval '24 hours',
          interval '24 hours') day
      WHERE EXISTS (SELECT FROM usage_batch b
          WHERE b.account_id = a.id AND b.received_at >= day - ahead - interval '5 minutes')
        AND NOT EXISTS (SELECT FROM usage_check c
          WHERE c.account_id = a.id AND c.day = (day AT TIME ZONE 'UTC')::date)
      ORDER BY day, a.id`;
  }

  /** Remembers what the check of a day found. Two at once find the same. */
  async saveCheck({ accountId, day }: AccountDay, differences: number): Promise<void> {
    await this.db.$executeRaw`
      INSERT INTO usage_check (account_id, day, checked_at, differences)
      VALUES (${accountId}, (${day}::timestamptz AT TIME ZONE 'UTC')::date, ${this.clock.now()}, ${differences})
      ON CONFLICT (account_id, day)
      DO UPDATE SET checked_at = excluded.checked_at, differences = excluded.differences`;
  }

  /** Remembers what is left of a day's differences, if it was checked: a day that was not has its check still to come. */
  async amendCheck({ accountId, day }: AccountDay, differences: number): Promise<void> {
    await this.db.$executeRaw`
      UPDATE usage_check SET checked_at = ${this.clock.now()}, differences = ${differences}
      WHERE account_id = ${accountId} AND day = (${day}::timestamptz AT TIME ZONE 'UTC')::date`;
  }

  /** The ids of all accounts. */
  async accountIds(): Promise<string[]> {
    const rows = await this.db.account.findMany({ select: { id: true }, orderBy: { id: 'asc' } });
    return rows.map(({ id }) => id);
  }

  private async recordsOf(
    db: Prisma.TransactionClient,
    { accountId, period }: AccountHours,
  ): Promise<Prisma.Sql> {
    const receivedFrom = new Date(period.from.getTime() - (await this.aheadMs(accountId, db)));
    return Prisma.sql`account_id = ${accountId} AND at >= ${period.from} AND at < ${period.to}
      AND received_at >= ${receivedFrom}
      AND NOT EXISTS (SELECT FROM usage_batch b WHERE b.id = batch_id AND b.rolled_up_at IS NULL)`;
  }

  /** How far ahead of the system's time a record of the account may be stamped. */
  private async aheadMs(accountId: string, db: Prisma.TransactionClient): Promise<number> {
    const { clockOffsetMs } = await db.account.findUniqueOrThrow({
      where: { id: accountId },
      select: { clockOffsetMs: true },
    });
    return Number(clockOffsetMs) + FUTURE_MS;
  }
}

const startOfDay = (at: Date) => new Date(at.getTime() - (at.getTime() % DAY_MS));

/** The four sums of a side, in plain notation. */
function texts(side: 'r' | 'h'): Prisma.Sql {
  const columns = ['quantity', 'quantity_15', 'quantity_30', 'quantity_45'];
  return Prisma.raw(
    `ARRAY[${columns.map((column) => `trim_scale(coalesce(${side}.${column}, 0))::text`).join(', ')}]`,
  );
}
