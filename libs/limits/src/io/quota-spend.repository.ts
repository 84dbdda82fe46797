import assert from 'node:assert';
import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { BLOCK_SHARE } from '@core/limits';
import { Database } from '@io/platform';
import {
  QuotaAuthority,
  type BlockGrant,
  type BlockReturn,
  type BlockWish,
  type QuotaCounter,
} from './quota-authority.js';

interface GrantRow {
  readonly position: number;
  /** A bigint, as the driver hands it over. */
  readonly granted: string;
  readonly remaining: string;
}

/**
 * $1 to $4 name the counters, $5 is the plan's limit now, $6 what waiting calls need, $7 what is wanted ahead, $8 what was
 * spent of earlier blocks, $9 the holder. What it holds at most is written with the debit, in the same row, and under which limit.
 */
export const DEBIT = `
  WITH wish AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
      WITH ORDINALITY AS w (customer_id, usage_plan_id, key_id, period_from, quota, asked, wanted, spent, position)
  ), locked AS (
    SELECT w.*, greatest(w.quota - q.debited, 0) AS remaining,
      greatest(coalesce((q.holds ->> $9::text)::bigint, 0) - w.spent, 0) AS held
    FROM quota_spend q JOIN wish w USING (customer_id, usage_plan_id, key_id, period_from)
    ORDER BY customer_id, usage_plan_id, key_id, period_from
    FOR UPDATE OF q
  ), grants AS (
    SELECT *, least(greatest(asked, least(wanted, remaining / ${BLOCK_SHARE})), remaining) AS granted FROM locked
  )
  UPDATE quota_spend q SET debited = q.debited + g.granted, applied_limit = g.quota,
    holds = jsonb_strip_nulls(q.holds || jsonb_build_object($9::text, nullif(g.held + g.granted, 0)))
  FROM grants g
  WHERE (q.customer_id, q.usage_plan_id, q.key_id, q.period_from)
      = (g.customer_id, g.usage_plan_id, g.key_id, g.period_from)
  RETURNING (g.position - 1)::int AS position, g.granted, g.remaining - g.granted AS remaining`;

/** Quota counters in Postgres: one row per (plan, key, period), one statement for all keys of a tick. */
@Injectable()
export class QuotaSpendRepository extends QuotaAuthority {
  /** Names this process among all holders. */
  private readonly self = `api/${randomUUID()}`;

  constructor(private readonly db: Database) {
    super();
  }

  /**
   * Debits a block for each wish and tells what was granted: as `blockSize` says, computed where the row is locked.
   * Rows are locked in the order of their key.
   */
  async debit(wishes: readonly BlockWish[], holder = this.self): Promise<BlockGrant[]> {
    const rows = await this.tryDebit(wishes, holder);
    if (rows.length < wishes.length) {
      await this.open(wishes.map((wish) => wish.counter));
      const known = new Set(rows.map((row) => row.position));
      const opened = wishes.flatMap((wish, position) =>
        known.has(position) ? [] : [{ wish, position }],
      );
      const more = await this.tryDebit(
        opened.map(({ wish }) => wish),
        holder,
      );
      rows.push(...more.map((row) => ({ ...row, position: opened[row.position]?.position ?? -1 })));
    }
    const byPosition = new Map(rows.map((row) => [row.position, row]));
    return wishes.map((_, position) => {
      const row = byPosition.get(position);
      assert(row, 'every wish has a row');
      return { granted: Number(row.granted), remaining: Number(row.remaining) };
    });
  }

  /** Only for rows that exist. Through the driver and prepared, since this is the one statement of the hot path. */
  private async tryDebit(wishes: readonly BlockWish[], holder: string): Promise<GrantRow[]> {
    const keys = columns(wishes.map((wish) => wish.counter));
    const { rows } = await this.db.pool.query<GrantRow>({
      name: 'debit-quota-blocks',
      text: DEBIT,
      values: [
        keys.customerId,
        keys.usagePlanId,
        keys.keyId,
        keys.periodFrom,
        wishes.map((wish) => wish.limit),
        wishes.map((wish) => wish.asked),
        wishes.map((wish) => wish.wanted),
        wishes.map((wish) => wish.spent ?? 0),
        holder,
      ],
    });
    return rows;
  }

  /** Makes the rows of counters that are new, in the order of their key. */
  private async open(counters: readonly QuotaCounter[]): Promise<void> {
    const keys = columns(counters);
    await this.db.$executeRaw`
      INSERT INTO quota_spend (account_id, customer_id, usage_plan_id, key_id, period_from, period_to)
      SELECT * FROM unnest(
        ${counters.map((counter) => counter.accountId)}::text[],
        ${keys.customerId}::text[], ${keys.usagePlanId}::text[], ${keys.keyId}::text[],
        ${keys.periodFrom}::timestamptz[],
        ${counters.map((counter) => counter.periodTo)}::timestamptz[])
      ORDER BY 2, 3, 4, 5
      ON CONFLICT DO NOTHING`;
  }

  /** Takes back what was debited and not spent, as far as the holder still counts as holding it. */
  async giveBack(returns: readonly BlockReturn[], holder = this.self): Promise<void> {
    if (returns.length === 0) return;
    const keys = columns(returns.map(({ counter }) => counter));
    await this.db.$executeRaw`
      WITH back AS (
        SELECT q.customer_id, q.usage_plan_id, q.key_id, q.period_from, b.units,
          greatest(coalesce((q.holds ->> ${holder}::text)::bigint, 0) - b.spent, 0) AS held
        FROM quota_spend q JOIN unnest(
          ${keys.customerId}::text[], ${keys.usagePlanId}::text[], ${keys.keyId}::text[], ${keys.periodFrom}::timestamptz[],
          ${returns.map(({ units }) => units)}::bigint[], ${returns.map(({ spent = 0 }) => spent)}::bigint[]
        ) AS b (customer_id, usage_plan_id, key_id, period_from, units, spent)
        USING (customer_id, usage_plan_id, key_id, period_from)
        ORDER BY customer_id, usage_plan_id, key_id, period_from
        FOR UPDATE OF q
      )
      UPDATE quota_spend q SET debited = q.debited - least(back.units, back.held),
        holds = jsonb_strip_nulls(q.holds ||
          jsonb_build_object(${holder}::text, nullif(greatest(back.held - back.units, 0), 0)))
      FROM back
      WHERE (q.customer_id, q.usage_plan_id, q.key_id, q.period_from)
          = (back.customer_id, back.usage_plan_id, back.key_id, back.period_from)`;
  }

  override async beat(holder = this.self): Promise<void> {
    await this.db.pool.query({
      name: 'beat-of-quota-holder',
      text: `INSERT INTO quota_holder (id, last_seen_at) VALUES ($1, now())
             ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at`,
      values: [holder],
    });
  }
}

function columns(counters: readonly QuotaCounter[]) {
  return {
    customerId: counters.map((counter) => counter.customerId),
    usagePlanId: counters.map((counter) => counter.usagePlanId),
    keyId: counters.map((counter) => counter.keyId),
    periodFrom: counters.map((counter) => counter.periodFrom),
  };
}
