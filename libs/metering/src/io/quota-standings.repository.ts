import { Injectable } from '@nestjs/common';
import { quotaPeriod, type QuotaInterval } from '@core/limits';
import { Database } from '@io/platform';

/** Which quotas to read; what is left out is not asked for. */
export interface QuotaFilter {
  readonly accountId: string;
  readonly customerId?: string | undefined;
  readonly keyId?: string | undefined;
  readonly usagePlanId?: string | undefined;
}

/** How far a key has got with its quota of a plan, in the period of an instant. Units are text, since they are bigints. */
export interface QuotaStanding {
  readonly customerId: string;
  readonly keyId: string;
  readonly usagePlanId: string;
  readonly period: QuotaInterval;
  readonly from: Date;
  readonly to: Date;
  /** The key's own or the plan's, and what the key was given on top in the period; of a period that is over the one that held last. */
  readonly limit: string;
  /** `today` of a period that is over when no call was decided in it, or before limits were kept: then the limit that held is not known. */
  readonly limitOf: 'period' | 'today';
  /** What the authority has debited. */
  readonly used: string;
  /** How much of it processes hold in blocks, which they may not have spent yet. */
  readonly held: string;
  readonly remaining: string;
  /** Of the limit, to two decimals; null where the limit is 0. */
  readonly percent: string | null;
}

/** A key in a plan; without a quota where the plan has none. */
export interface PlanOfKey {
  readonly usagePlanId: string;
  readonly quotaPeriod: QuotaInterval | null;
  readonly quotaOffset: number | null;
}

/** What the authority of quotas says of keys in plans. */
@Injectable()
export class QuotaStandingsRepository {
  constructor(private readonly db: Database) {}

  /** The plans that a key is in, by id. */
  plansOf(accountId: string, keyId: string): Promise<PlanOfKey[]> {
    return this.db.$queryRaw<PlanOfKey[]>`
      SELECT p.id AS "usagePlanId", p.quota_period AS "quotaPeriod", p.quota_offset AS "quotaOffset"
      FROM usage_plan_key k JOIN usage_plan p ON p.id = k.usage_plan_id
      WHERE k.account_id = ${accountId} AND k.key_id = ${keyId}
      ORDER BY p.id`;
  }

  /** The standings of all keys in plans with a quota, the fullest first; at most `limit`. */
  async standings(
    { accountId, customerId = null, keyId = null, usagePlanId = null }: StandingFilter,
    { at, now }: { readonly at: Date; readonly now: Date },
    limit: number,
  ): Promise<QuotaStanding[]> {
    const plans = await this.db.$queryRaw<Required<PlanOfKey>[]>`
      SELECT id AS "usagePlanId", quota_period AS "quotaPeriod", quota_offset AS "quotaOffset" FROM usage_plan
      WHERE account_id = ${accountId} AND quota_limit IS NOT NULL AND (${usagePlanId}::text IS NULL OR id = ${usagePlanId})`;
    const periods = plans.map(({ quotaPeriod: period, quotaOffset }) =>
      quotaPeriod({ period: period ?? 'MONTH', offset: quotaOffset ?? 0 }, at),
    );
    return this.db.$queryRaw<QuotaStanding[]>`
      SELECT "customerId", "keyId", "usagePlanId", period, "from", "to", quota::text AS "limit",
        "limitOf", used::text, held::text,
        greatest(quota - used, 0)::text AS remaining, trim_scale(round(100 * used / nullif(quota, 0), 2))::text AS percent
      FROM (
        SELECT a.customer_id AS "customerId", k.key_id AS "keyId", p.id AS "usagePlanId", p.quota_period AS period,
          w.starts AS "from", w.ends AS "to", w.ends <= ${now}::timestamptz AS "isOver", s.applied_limit AS applied,
          coalesce(k.quota_limit, p.quota_limit) + coalesce((
            SELECT sum(e.units) FROM quota_extension e
            WHERE e.account_id = ${accountId} AND e.key_id = k.key_id AND e.usage_plan_id = p.id
              AND e.period_from = w.starts AND e.period_to = w.ends), 0) AS todays,
          coalesce(s.debited, 0) AS used,
          coalesce((SELECT sum(h.value::bigint) FROM jsonb_each_text(s.holds) h), 0) AS held
        FROM unnest(
          ${plans.map((plan) => plan.usagePlanId)}::text[],
          ${periods.map(({ from }) => from)}::timestamptz[],
          ${periods.map(({ to }) => to)}::timestamptz[]) AS w (id, starts, ends)
        JOIN usage_plan p ON p.id = w.id AND p.account_id = ${accountId}
        JOIN usage_plan_key k ON k.usage_plan_id = p.id AND (${keyId}::text IS NULL OR k.key_id = ${keyId})
        JOIN api_key a ON a.account_id = ${accountId} AND a.id = k.key_id AND a.deleted_at IS NULL
        LEFT JOIN quota_spend s ON s.customer_id = a.customer_id AND s.usage_plan_id = p.id AND s.key_id = k.key_id
          AND s.period_from = w.starts
        WHERE ${customerId}::text IS NULL OR a.customer_id = ${customerId}
      ) standing, LATERAL (
        SELECT CASE WHEN "isOver" THEN coalesce(applied, todays) ELSE todays END AS quota,
          CASE WHEN "isOver" AND applied IS NULL THEN 'today' ELSE 'period' END AS "limitOf"
      ) held_limit
      ORDER BY used / nullif(quota, 0) DESC NULLS FIRST, "keyId", "usagePlanId"
      LIMIT ${limit}`;
  }

  /** When the account's last batch of usage came, by the system's clock, and how many wait to be rolled up. */
  async reports(accountId: string): Promise<{ lastReportAt: Date | null; waitingBatches: number }> {
    const [row] = await this.db.$queryRaw<{ lastReportAt: Date | null; waitingBatches: number }[]>`
      SELECT (SELECT max(last_seen_at) FROM usage_epoch WHERE account_id = ${accountId}) AS "lastReportAt",
        (SELECT count(*) FROM usage_batch WHERE rolled_up_at IS NULL AND account_id = ${accountId})::int AS "waitingBatches"`;
    return row ?? { lastReportAt: null, waitingBatches: 0 };
  }
}

type StandingFilter = {
  readonly [Name in keyof QuotaFilter]: Name extends 'accountId'
    ? string
    : QuotaFilter[Name] | null;
};
