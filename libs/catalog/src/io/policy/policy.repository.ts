import { Injectable } from '@nestjs/common';
import type { IpLists, QuotaExtension } from '@core/limits';
import { Database } from '@io/platform';

/** A key with its account's clock and throttle, and the stages that its plans cover. */
export interface KeyRow {
  readonly id: string;
  readonly accountId: string;
  readonly customerId: string;
  readonly enabled: boolean;
  readonly isCustomerBlocked: boolean;
  /** Of the value that was asked for: of one from before a rotation, the end of its overlap at the latest. */
  readonly expiresAt: Date | null;
  /** Whether it was found by a value from before a rotation. */
  readonly isPast: boolean;
  readonly ipPolicy: IpLists | null;
  /** A bigint, as the driver hands it over. */
  readonly clockOffsetMs: string;
  readonly rateLimit: number;
  readonly burstLimit: number;
  readonly stages: readonly StageRef[];
  /** Of plans in which the key has anything of its own. */
  readonly overrides: readonly OverrideRow[];
}

/** What a key has in one plan instead of what the plan says; extensions of periods that are not over. */
export interface OverrideRow {
  readonly usagePlanId: string;
  readonly rateLimit: number | null;
  readonly burstLimit: number | null;
  readonly quotaLimit: number | null;
  readonly boostRateLimit: number | null;
  readonly boostBurstLimit: number | null;
  readonly boostUntilMs: number | null;
  readonly extensions: readonly QuotaExtension[];
}

export interface StageRef {
  readonly usagePlanId: string;
  readonly apiId: string;
  readonly stage: string;
}

interface ThrottleRow {
  readonly httpMethod: string;
  readonly resourcePath: string;
  readonly rateLimit: number;
  readonly burstLimit: number;
}

/** One stage under one plan, with everything that limits calls to it. */
export interface StageRow {
  readonly accountId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly ambiguousPath: 'refuse' | 'strictest' | 'normalise';
  /** Of the api. */
  readonly ipPolicy: IpLists | null;
  readonly rateLimit: number | null;
  readonly burstLimit: number | null;
  readonly methods: readonly { readonly httpMethod: string; readonly resourcePath: string }[];
  readonly stageThrottles: readonly ThrottleRow[];
  readonly planThrottles: readonly ThrottleRow[];
  readonly plan: {
    readonly id: string;
    readonly rateLimit: number | null;
    readonly burstLimit: number | null;
    readonly quotaLimit: number | null;
    readonly quotaOffset: number | null;
    readonly quotaPeriod: 'DAY' | 'WEEK' | 'MONTH' | null;
    readonly onFailure: 'deny' | 'allow';
    readonly shadow: boolean;
  };
}

const KEY = `
  SELECT k.id, k.account_id AS "accountId", k.customer_id AS "customerId", k.enabled,
    EXISTS (SELECT FROM customer_block b WHERE b.customer_id = k.customer_id AND b.account_id = k.account_id) AS "isCustomerBlocked",
    least(k.expires_at, v.expires_at) AS "expiresAt", v.expires_at IS NOT NULL AS "isPast",
    k.ip_policy AS "ipPolicy", a.clock_offset_ms AS "clockOffsetMs",
    a.rate_limit AS "rateLimit", a.burst_limit AS "burstLimit",
    coalesce((
      SELECT jsonb_agg(jsonb_build_object('usagePlanId', s.usage_plan_id, 'apiId', s.api_id, 'stage', s.stage) ORDER BY s.api_id, s.stage)
      FROM usage_plan_key_stage s WHERE s.key_id = k.id
    ), '[]') AS stages,
    coalesce((
      SELECT jsonb_agg(jsonb_build_object('usagePlanId', p.usage_plan_id, 'rateLimit', p.rate_limit, 'burstLimit', p.burst_limit,
        'quotaLimit', p.quota_limit, 'boostRateLimit', p.boost_rate_limit, 'boostBurstLimit', p.boost_burst_limit,
        'boostUntilMs', floor(extract(epoch FROM p.boost_until) * 1000), 'extensions', coalesce(x.extensions, '[]'))
        ORDER BY p.usage_plan_id)
      FROM usage_plan_key p
      LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('units', e.units, 'fromMs', floor(extract(epoch FROM e.period_from) * 1000),
          'toMs', floor(extract(epoch FROM e.period_to) * 1000)) ORDER BY e.id) AS extensions
        FROM quota_extension e
        WHERE e.key_id = p.key_id AND e.usage_plan_id = p.usage_plan_id
          AND e.period_to > now() + make_interval(secs => a.clock_offset_ms / 1000.0)
      ) x ON true
      WHERE p.key_id = k.id
        AND (p.rate_limit IS NOT NULL OR p.quota_limit IS NOT NULL OR p.boost_until IS NOT NULL OR x.extensions IS NOT NULL)
    ), '[]') AS overrides
  FROM found v JOIN api_key k ON k.id = v.key_id JOIN account a ON a.id = k.account_id
  WHERE k.deleted_at IS NULL`;

/** $1 are the hashes that the key's value may be stored under. */
const KEY_BY_HASH = `
  WITH found AS (
    SELECT id AS key_id, NULL::timestamptz AS expires_at FROM api_key WHERE hash = ANY($1::bytea[])
    UNION ALL SELECT key_id, expires_at FROM api_key_past_value WHERE hash = ANY($1::bytea[])
  ) ${KEY}`;
const KEY_BY_ID = `WITH found AS (SELECT $1::text AS key_id, NULL::timestamptz AS expires_at) ${KEY}`;

/** $1 is the usage plan, $2 the api, $3 the stage. */
const STAGE_UNDER_PLAN = `
  SELECT s.account_id AS "accountId", s.api_id AS "apiId", s.name AS stage, a.ambiguous_path AS "ambiguousPath", a.ip_policy AS "ipPolicy",
    s.rate_limit AS "rateLimit", s.burst_limit AS "burstLimit",
    coalesce((
      SELECT jsonb_agg(jsonb_build_object('httpMethod', m.http_method, 'resourcePath', m.resource_path))
      FROM method m WHERE m.api_id = s.api_id
    ), '[]') AS methods,
    coalesce((
      SELECT jsonb_agg(jsonb_build_object('httpMethod', t.http_method, 'resourcePath', t.resource_path,
        'rateLimit', t.rate_limit, 'burstLimit', t.burst_limit))
      FROM stage_method_throttle t WHERE (t.api_id, t.stage) = (s.api_id, s.name)
    ), '[]') AS "stageThrottles",
    coalesce((
      SELECT jsonb_agg(jsonb_build_object('httpMethod', t.http_method, 'resourcePath', t.resource_path,
        'rateLimit', t.rate_limit, 'burstLimit', t.burst_limit))
      FROM usage_plan_method_throttle t
      WHERE (t.usage_plan_id, t.api_id, t.stage) = (p.id, s.api_id, s.name)
    ), '[]') AS "planThrottles",
    jsonb_build_object('id', p.id, 'rateLimit', p.rate_limit, 'burstLimit', p.burst_limit,
      'quotaLimit', p.quota_limit, 'quotaOffset', p.quota_offset, 'quotaPeriod', p.quota_period,
      'onFailure', p.on_failure, 'shadow', p.shadow) AS plan
  FROM stage s
  JOIN api a ON a.id = s.api_id
  JOIN usage_plan p ON p.account_id = s.account_id AND p.id = $1
  WHERE s.api_id = $2 AND s.name = $3`;

/** What holds for all of an account. */
export interface AccountRow {
  readonly rateLimit: number;
  readonly burstLimit: number;
  /** A bigint, as the driver hands it over. */
  readonly clockOffsetMs: string;
}

/** What decisions have to know, read in one statement each; prepared, since there is one for each key in use. */
@Injectable()
export class PolicyRepository {
  constructor(private readonly db: Database) {}

  /** The key whose value has one of these hashes. */
  async keyByHash(hashes: readonly Buffer[]): Promise<KeyRow | null> {
    const { rows } = await this.db.pool.query<KeyRow>({
      name: 'policy-of-key',
      text: KEY_BY_HASH,
      values: [hashes],
    });
    return rows[0] ?? null;
  }

  async keyById(keyId: string): Promise<KeyRow | null> {
    const { rows } = await this.db.pool.query<KeyRow>({
      name: 'policy-of-key-by-id',
      text: KEY_BY_ID,
      values: [keyId],
    });
    return rows[0] ?? null;
  }

  async account(accountId: string): Promise<AccountRow | null> {
    const { rows } = await this.db.pool.query<AccountRow>(
      `SELECT rate_limit AS "rateLimit", burst_limit AS "burstLimit", clock_offset_ms AS "clockOffsetMs"
       FROM account WHERE id = $1`,
      [accountId],
    );
    return rows[0] ?? null;
  }

  /** One of the plans that cover a stage; null when none does. */
  async planOfStage(accountId: string, apiId: string, stage: string): Promise<string | null> {
    const { rows } = await this.db.pool.query<{ usage_plan_id: string }>(
      `SELECT usage_plan_id FROM usage_plan_stage
       WHERE account_id = $1 AND api_id = $2 AND stage = $3 ORDER BY 1 LIMIT 1`,
      [accountId, apiId, stage],
    );
    return rows[0]?.usage_plan_id ?? null;
  }

  /** Tells every process that what it knows of a key holds no longer, as a trigger would. */
  async tell(change: { accountId: string; keyId: string }): Promise<void> {
    await this.db.pool.query('SELECT tell_policy_of($1, $2)', [change.accountId, change.keyId]);
  }

  /** The stage with its own limits and the plan's; null when it has gone since. */
  async stage({ usagePlanId, apiId, stage }: StageRef): Promise<StageRow | null> {
    const { rows } = await this.db.pool.query<StageRow>({
      name: 'policy-of-stage',
      text: STAGE_UNDER_PLAN,
      values: [usagePlanId, apiId, stage],
    });
    return rows[0] ?? null;
  }
}
