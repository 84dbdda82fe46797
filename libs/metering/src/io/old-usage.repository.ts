import { Injectable } from '@nestjs/common';
import { Database, Prisma } from '@io/platform';
import type { Day } from './usage-partitions.repository.js';

/** Of one statement, so that none holds locks for long. */
const ROWS_MAX = 10_000;

/** From when on an account's counts of allowed calls are kept. */
export interface KeptDecisions {
  readonly accountId: string;
  readonly keptFrom: Date;
}

/** What is told beside records, and is older than anything that can still need it. */
@Injectable()
export class OldUsageRepository {
  constructor(private readonly db: Database) {}

  /** When the first day begins whose records are there, apart from these days; null when there is none. */
  async recordsKeptFrom(without: readonly Day[]): Promise<Date | null> {
    const [row] = await this.db.$queryRaw<{ at: Date | null }[]>`
      SELECT least(
        (SELECT min(made.day)::timestamp AT TIME ZONE 'UTC' FROM (
          SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent = 'usage_record'::regclass AND c.relname ~ '^usage_record_\\d{8}$'
        ) made WHERE day <> ALL (${without}::date[])),
        (SELECT date_trunc('day', min(received_at), 'UTC') FROM usage_record_default)) AS at`;
    return row?.at ?? null;
  }

  /**
   * Drops what was said of records and what was quarantined, and was settled before an instant; what waits or is open stays. Both came before they were settled,
   * and what is applied or counted came by then too: with all records of that time gone, another correction of them is refused as it would be without these rows.
   */
  async dropSettled(
    before: Date,
    isDryRun: boolean,
  ): Promise<{ corrections: number; quarantined: number }> {
    const settled = (open: string) =>
      Prisma.sql`state <> ${open} AND settled_at < ${before}::timestamptz`;
    return {
      corrections: await this.drop('usage_correction', settled('waiting'), isDryRun),
      quarantined: await this.drop('usage_quarantine', settled('open'), isDryRun),
    };
  }

  /**
   * Of each account with counts of allowed calls before an instant, from when on they are kept: from then, or from the first period that has not been billed or
   * whose invoice is a draft, or the first open record of the quarantine.
   */
  decisionsKeptFrom(before: Date): Promise<KeptDecisions[]> {
    return this.db.$queryRaw<KeptDecisions[]>`
      SELECT id AS "accountId", kept_from AS "keptFrom"
      FROM account a, LATERAL (SELECT date_trunc('hour', least(
        ${before}::timestamptz,
        (SELECT min(billed_to) FROM subscription s WHERE s.account_id = a.id AND (ends_at IS NULL OR ends_at > billed_to)),
        (SELECT min(period_from) FROM invoice i WHERE i.account_id = a.id AND status = 'draft'),
        (SELECT min(at) FROM usage_quarantine q WHERE q.account_id = a.id AND state = 'open')), 'UTC') AS kept_from) kept
      WHERE EXISTS (SELECT FROM decision_hour d WHERE d.account_id = a.id AND d.hour < kept_from)
      ORDER BY id`;
  }

  /** Drops an account's hours of allowed calls before an instant, and says so first: what is half dropped is not shown. */
  async dropDecisions({ accountId, keptFrom }: KeptDecisions, isDryRun: boolean): Promise<number> {
    if (!isDryRun) {
      await this.db.$executeRaw`
        INSERT INTO decision_trim AS t (account_id, kept_from) VALUES (${accountId}, ${keptFrom})
        ON CONFLICT (account_id) DO UPDATE SET kept_from = greatest(t.kept_from, excluded.kept_from)`;
    }
    const old = Prisma.sql`account_id = ${accountId} AND hour < ${keptFrom}::timestamptz`;
    return this.drop('decision_hour', old, isDryRun);
  }

  /** Drops the numbers of flushes of processes that told nothing since an instant; one that tells something again goes on from its own number. */
  dropCounters(before: Date, isDryRun: boolean): Promise<number> {
    const silent = Prisma.sql`flushed_at < ${before}::timestamptz`;
    return this.drop('decision_counter', silent, isDryRun);
  }

  /** Drops rows, some at a time, and answers of how many; dry, how many there are. */
  private async drop(
    table: 'usage_correction' | 'usage_quarantine' | 'decision_hour' | 'decision_counter',
    where: Prisma.Sql,
    isDryRun: boolean,
  ): Promise<number> {
    const name = Prisma.raw(table);
    if (isDryRun) {
      const [row] = await this.db.$queryRaw<{ count: number }[]>`
        SELECT count(*)::int AS count FROM ${name} WHERE ${where}`;
      return row?.count ?? 0;
    }
    for (let total = 0; ;) {
      const dropped = await this.db.$executeRaw`
        DELETE FROM ${name} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${name} WHERE ${where} LIMIT ${ROWS_MAX}))`;
      total += dropped;
      if (dropped < ROWS_MAX) return total;
    }
  }
}
