import { Injectable } from '@nestjs/common';
import { Database } from '@io/platform';

/** What became of the blocks of dead holders. */
export interface Reclaimed {
  /** Counters of which a holder had units when it died. */
  readonly lost: number;
  /** Units that can be spent again. */
  readonly units: number;
}

/** A holder that was silent for so long is dead; it spends nothing once it was silent for `VOID_MS` (45 s). */
const DEAD_AFTER = '60 seconds';
/** A gateway's usage reaches so far beyond a call that all usage of the call must have come before it. */
const MARGIN = '60 seconds';
/** An epoch of a gateway that nothing was heard of for so long has ended: its last batch was its last. */
const SILENT = '1 hour';
/** How soon it is counted again when some units may have been spent. */
const AGAIN = '5 minutes';

/**
 * Gives back what crashed holders had not spent. It reads usage beside the counters, since one statement has to see
 * both as they are at one instant.
 */
@Injectable()
export class QuotaReclaimRepository {
  constructor(private readonly db: Database) {}

  /** Takes what dead holders held out of their names. It stays debited. Rows are locked in the order of their key. */
  async declareDead(): Promise<number> {
    const [found] = await this.db.$queryRaw<{ isAny: boolean }[]>`
      SELECT EXISTS (SELECT FROM quota_holder WHERE last_seen_at < now() - ${DEAD_AFTER}::interval) AS "isAny"`;
    // Every counter is looked at, so only when somebody died.
    if (!found?.isAny) return 0;
    return this.db.$executeRaw`
      WITH dead AS (
        DELETE FROM quota_holder WHERE last_seen_at < now() - ${DEAD_AFTER}::interval RETURNING id
      ), names AS (
        SELECT coalesce(array_agg(id), '{}') AS ids FROM dead
      ), losing AS (
        SELECT q.*, (SELECT sum(value::bigint) FROM jsonb_each_text(q.holds) WHERE key = ANY (names.ids)) AS units
        FROM quota_spend q, names WHERE q.holds ?| names.ids
        ORDER BY customer_id, usage_plan_id, key_id, period_from
        FOR UPDATE OF q
      ), cleared AS (
        UPDATE quota_spend q SET holds = q.holds - names.ids
        FROM losing l, names
        WHERE (q.customer_id, q.usage_plan_id, q.key_id, q.period_from)
            = (l.customer_id, l.usage_plan_id, l.key_id, l.period_from)
      )
      INSERT INTO quota_lost AS t (account_id, customer_id, usage_plan_id, key_id, period_from, period_to, units)
      SELECT account_id, customer_id, usage_plan_id, key_id, period_from, period_to, units FROM losing
      ON CONFLICT (customer_id, usage_plan_id, key_id, period_from)
      DO UPDATE SET units = t.units + excluded.units, counted_at = NULL, count_after = now()`;
  }

  /** Forgets what was lost of periods that are over by their account's clock: nobody could spend it any more. */
  async forgetPast(): Promise<number> {
    return this.db.$executeRaw`
      DELETE FROM quota_lost l USING account a
      WHERE a.id = l.account_id AND l.period_to <= now() + make_interval(secs => a.clock_offset_ms / 1000.0)`;
  }

  /**
   * Notes how much of each counter is known to be spent: debited, held by nobody who lives, and not lost. Whatever of
   * it was spent was spent before now, so the usage of up to now must show it.
   */
  async count(): Promise<number> {
    return this.db.$executeRaw`
      UPDATE quota_lost l SET counted_at = now(), spent = q.debited - l.units
        - (SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(q.holds))
      FROM quota_spend q
      WHERE (q.customer_id, q.usage_plan_id, q.key_id, q.period_from)
          = (l.customer_id, l.usage_plan_id, l.key_id, l.period_from)
        AND l.counted_at IS NULL AND l.count_after <= now()`;
  }

  /**
   * Gives back what usage proves unspent, of counters whose usage is complete up to when they were counted: no batch
   * waits for the roll-up or is missing, and each epoch of the account's gateways that was heard of in the period has
   * reported a later call, or has been silent for an hour. Metered calls beyond those known to be spent were spent
   * by the dead, at most; less than are known means that usage does not show all, and proves nothing. Nor does it for
   * a key that is or was in the plan for a WebSocket api, whose messages spend the quota and are not metered as calls.
   */
  async giveBack(): Promise<number> {
    const [row] = await this.db.$queryRaw<{ units: bigint }[]>`
      WITH complete AS (
        SELECT l.*, m.calls
        FROM quota_lost l
        JOIN account a ON a.id = l.account_id
        CROSS JOIN LATERAL (SELECT make_interval(secs => a.clock_offset_ms / 1000.0) AS ahead) c
        CROSS JOIN LATERAL (
          SELECT coalesce(sum(u.quantity), 0) AS calls FROM usage_hour u
          WHERE u.customer_id = l.customer_id AND u.key_id = l.key_id AND u.usage_plan_id = l.usage_plan_id
            AND u.meter = 'calls' AND u.hour >= l.period_from AND u.hour < l.period_to
        ) m
        WHERE l.counted_at < now() - ${MARGIN}::interval
          AND NOT EXISTS (
            SELECT FROM (
              SELECT key_id, usage_plan_id, api_id FROM usage_plan_key_stage
              UNION ALL SELECT key_id, usage_plan_id, api_id FROM usage_plan_key_stage_past
            ) s JOIN api ON api.id = s.api_id
            WHERE s.key_id = l.key_id AND s.usage_plan_id = l.usage_plan_id AND api.protocol = 'WEBSOCKET'
          )
          AND NOT EXISTS (SELECT FROM usage_batch b WHERE b.account_id = l.account_id AND b.rolled_up_at IS NULL)
          AND NOT EXISTS (SELECT FROM usage_correction k WHERE k.account_id = l.account_id AND k.key_id = l.key_id
            AND k.usage_plan_id = l.usage_plan_id AND k.at >= l.period_from AND k.at < l.period_to)
          AND EXISTS (SELECT FROM usage_epoch e WHERE e.account_id = l.account_id AND e.last_seen_at >= l.period_from - c.ahead)
          AND NOT EXISTS (
            SELECT FROM usage_epoch e
            WHERE e.account_id = l.account_id AND e.last_seen_at >= l.period_from - c.ahead
              AND (e.batches <= e.highest
                OR NOT coalesce(e.latest_at >= l.counted_at + c.ahead + ${MARGIN}::interval
                    AND e.last_seen_at >= l.counted_at + ${MARGIN}::interval, false)
                  AND greatest(e.last_seen_at, l.counted_at) >= now() - ${SILENT}::interval)
          )
        ORDER BY l.customer_id, l.usage_plan_id, l.key_id, l.period_from
        FOR UPDATE OF l SKIP LOCKED
      ), proven AS (
        SELECT *, CASE WHEN calls >= spent THEN greatest(units - ceil(calls - spent)::bigint, 0) ELSE 0 END AS unspent
        FROM complete
      ), returned AS (
        UPDATE quota_spend q SET debited = q.debited - p.unspent
        FROM proven p
        WHERE p.unspent > 0 AND (q.customer_id, q.usage_plan_id, q.key_id, q.period_from)
            = (p.customer_id, p.usage_plan_id, p.key_id, p.period_from)
      ), settled AS (
        DELETE FROM quota_lost l USING proven p
        WHERE p.unspent = p.units AND (l.customer_id, l.usage_plan_id, l.key_id, l.period_from)
            = (p.customer_id, p.usage_plan_id, p.key_id, p.period_from)
      ), again AS (
        UPDATE quota_lost l SET units = l.units - p.unspent, counted_at = NULL, count_after = now() + ${AGAIN}::interval
        FROM proven p
        WHERE p.unspent < p.units AND (l.customer_id, l.usage_plan_id, l.key_id, l.period_from)
            = (p.customer_id, p.usage_plan_id, p.key_id, p.period_from)
      )
      SELECT coalesce(sum(unspent), 0)::bigint AS units FROM proven`;
    return Number(row?.units ?? 0);
  }
}
