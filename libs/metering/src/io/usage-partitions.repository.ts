import { Injectable } from '@nestjs/common';
import { Database } from '@io/platform';

/** A day in UTC, as `2026-11-22`. */
export type Day = string;

/** Why the records of a day are kept; null when nothing needs them any more. */
export type PartitionHold = 'waiting' | 'unbilled' | 'draft' | null;

/** Moving, or looking through, a day of records takes longer than any statement of a request may. */
const TRANSACTION = { timeout: 600_000, maxWait: 10_000 };

/** The partitions of usage records, a day each by `received_at`. Each method is one transaction. */
@Injectable()
export class UsagePartitionsRepository {
  constructor(private readonly db: Database) {}

  /** The days that records lie in the default partition of, since none was made in time. */
  async strayDays(): Promise<Day[]> {
    const rows = await this.db.$queryRaw<{ day: Day }[]>`
      SELECT DISTINCT (received_at AT TIME ZONE 'UTC')::date::text AS day FROM usage_record_default ORDER BY 1`;
    return rows.map(({ day }) => day);
  }

  /** The days with a partition of their own that end `days` or more before `now`, oldest first. */
  async daysBefore(now: Date, days: number): Promise<Day[]> {
    const rows = await this.db.$queryRaw<{ day: Day }[]>`
      SELECT day::text FROM (
        SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'usage_record'::regclass AND c.relname ~ '^usage_record_\\d{8}$'
      ) made
      WHERE (day + 1)::timestamp AT TIME ZONE 'UTC' <= ${now}::timestamptz - make_interval(days => ${days}::int)
      ORDER BY 1`;
    return rows.map(({ day }) => day);
  }

  /** Makes the partition of a day, and says whether it did. Records of that day in the default one move into it. */
  async ensure(day: Day): Promise<boolean> {
    return this.db.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT set_config('statement_timeout', '10min', true), set_config('lock_timeout', '2s', true)`;
      const [row] = await tx.$queryRaw<{ isMade: boolean }[]>`
        SELECT ensure_usage_partition(${day}::date) AS "isMade"`;
      return row?.isMade === true;
    }, TRANSACTION);
  }

  /** Makes the partitions of readings, a month each, for a day and so many after it. */
  async ensureReadings(first: Day, days: number): Promise<void> {
    await this.db.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT set_config('lock_timeout', '2s', true)`;
      await tx.$queryRaw`SELECT ensure_reading_partitions(${first}::date, ${days}::int)`;
    }, TRANSACTION);
  }

  /** What would keep the partition of a day from being dropped. */
  async hold(day: Day): Promise<PartitionHold> {
    return this.db.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT set_config('statement_timeout', '10min', true)`;
      const [row] = await tx.$queryRaw<{ hold: PartitionHold }[]>`
        SELECT usage_partition_hold(${day}::date) AS hold`;
      return row?.hold ?? null;
    }, TRANSACTION);
  }

  /** Drops the partition of a day unless something holds it, which it answers. */
  async drop(day: Day): Promise<PartitionHold> {
    return this.db.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT set_config('statement_timeout', '10min', true), set_config('lock_timeout', '2s', true)`;
      const [row] = await tx.$queryRaw<{ hold: PartitionHold }[]>`
        SELECT drop_usage_partition(${day}::date) AS hold`;
      return row?.hold ?? null;
    }, TRANSACTION);
  }
}
