import { Injectable } from '@nestjs/common';
import { Database, Prisma } from '@io/platform';

/** What calls are told apart by. */
export interface ReconciliationFilter {
  readonly accountId: string;
  readonly customerId?: string | undefined;
  readonly keyId?: string | undefined;
  readonly apiId?: string | undefined;
  readonly stage?: string | undefined;
  readonly method?: string | undefined;
  readonly resourcePath?: string | undefined;
}

/** Calls of one key, method and hour of UTC that were allowed and metered unequally often. */
export interface Mismatch {
  readonly hour: Date;
  readonly customerId: string;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly allowed: string;
  readonly metered: string;
  /** Allowed less metered. */
  readonly difference: string;
}

/** All calls of a time, and where the two counts differ. */
export interface Reconciliation {
  readonly allowed: string;
  readonly metered: string;
  /** How many keys, methods and hours differ, also those that are not listed. */
  readonly mismatches: number;
  readonly items: readonly Mismatch[];
}

interface Row extends Mismatch {
  readonly allowedInAll: string;
  readonly meteredInAll: string;
  readonly mismatches: number;
  readonly rank: number | null;
}

const COLUMNS = {
  customerId: Prisma.sql`customer_id`,
  keyId: Prisma.sql`key_id`,
  apiId: Prisma.sql`api_id`,
  stage: Prisma.sql`stage`,
  method: Prisma.sql`method`,
  resourcePath: Prisma.sql`resource_path`,
} as const;
const NAMES = Prisma.sql`customer_id, key_id, api_id, stage, method, resource_path`;

/** Holds what the service allowed against what gateways metered. */
@Injectable()
export class ReconciliationRepository {
  constructor(private readonly db: Database) {}

  /** Whole hours of UTC: those that differ by hour, key and method, at most `limit`. One statement reads both counts. */
  async compare(
    { accountId, ...values }: ReconciliationFilter,
    { from, to }: { readonly from: Date; readonly to: Date },
    limit: number,
  ): Promise<Reconciliation> {
    const where = Prisma.join(
      [
        Prisma.sql`account_id = ${accountId} AND hour >= ${from} AND hour < ${to}`,
        ...Object.entries(COLUMNS).flatMap(([name, column]) => {
          const value = values[name as keyof typeof values];
          return value === undefined ? [] : [Prisma.sql`${column} = ${value}`];
        }),
      ],
      ' AND ',
    );
    const rows = await this.db.$queryRaw<Row[]>`
      WITH counted AS (
        SELECT hour, ${NAMES}, sum(allowed) AS allowed, sum(metered) AS metered
        FROM (
          SELECT hour, ${NAMES}, allowed, 0 AS metered FROM decision_hour WHERE ${where}
          UNION ALL
          SELECT hour, ${NAMES}, 0, quantity FROM usage_hour WHERE ${where} AND meter = 'calls') calls
        GROUP BY hour, ${NAMES}
      ), different AS (
        SELECT *, allowed - metered AS difference,
          row_number() OVER (ORDER BY hour, ${NAMES})::int AS rank
        FROM counted WHERE allowed <> metered
      )
      SELECT (SELECT coalesce(sum(allowed), 0)::text FROM counted) AS "allowedInAll",
        (SELECT trim_scale(coalesce(sum(metered), 0))::text FROM counted) AS "meteredInAll",
        (SELECT count(*)::int FROM different) AS mismatches,
        rank, hour, customer_id AS "customerId", key_id AS "keyId", api_id AS "apiId", stage, method,
        resource_path AS "resourcePath", allowed::text, trim_scale(metered)::text AS metered,
        trim_scale(difference)::text AS difference
      FROM (SELECT) one LEFT JOIN (SELECT * FROM different ORDER BY rank LIMIT ${limit}) d ON true
      ORDER BY rank`;
    const { allowedInAll = '0', meteredInAll = '0', mismatches = 0 } = rows[0] ?? {};
    return {
      allowed: allowedInAll,
      metered: meteredInAll,
      mismatches,
      items: rows.filter(({ rank }) => rank !== null),
    };
  }

  /** From when on allowed calls of the account are kept; null: all are. */
  async keptFrom(accountId: string): Promise<Date | null> {
    const trim = await this.db.decisionTrim.findUnique({ where: { accountId } });
    return trim?.keptFrom ?? null;
  }

  /** Gateways of the account that decide in a process of their own at the moment which does not tell what it allows. */
  async selfDeciding(accountId: string): Promise<string[]> {
    const rows = await this.db.$queryRaw<{ id: string }[]>`
      SELECT id FROM gateway g WHERE account_id = ${accountId}
        AND EXISTS (
          SELECT FROM quota_holder h WHERE split_part(h.id, '/', 1) = g.id AND NOT EXISTS (
            SELECT FROM usage_epoch e
            WHERE e.gateway_id = g.id AND e.epoch = split_part(h.id, '/', 2) AND e.counts_decisions)) ORDER BY id`;
    return rows.map(({ id }) => id);
  }
}
