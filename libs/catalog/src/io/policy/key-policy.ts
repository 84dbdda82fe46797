import {
  addressCheck,
  Memo,
  overridden,
  type KeyOverride,
  type KeyPolicy,
  type StagePolicy,
} from '@core/limits';
import type { KeyRow, OverrideRow } from './policy.repository.js';
import { throttle } from './stage-rules.js';

/** What a key may do, as the tables say it; at this instant of the system's clock, since a boost ends by itself. */
export function keyPolicy(
  row: KeyRow,
  stages: readonly (StagePolicy | null)[],
  nowMs: number,
): KeyPolicy {
  const clockOffsetMs = Number(row.clockOffsetMs);
  const overrides = new Map(row.overrides.map((own) => [own.usagePlanId, keyOverride(own)]));
  const covered = stages.flatMap((policy) => {
    if (!policy) return [];
    const override = overrides.get(policy.plan.id);
    return [override ? overridden(policy, override, nowMs + clockOffsetMs) : policy];
  });
  return {
    keyId: row.id,
    customerId: row.customerId,
    accountId: row.accountId,
    enabled: row.enabled,
    expiresAtMs: row.expiresAt?.getTime() ?? null,
    clockOffsetMs,
    memo: new Memo(),
    accountThrottle: { rateLimit: row.rateLimit, burstLimit: row.burstLimit },
    ipPolicy: row.ipPolicy,
    allowsAddress: addressCheck(row.ipPolicy),
    // A key covers few stages, and their objects are shared by all keys: nearer than a table of its own.
    stage: (apiId, stage) => {
      for (const policy of covered)
        if (policy.apiId === apiId && policy.stage === stage) return policy;
      return null;
    },
  };
}

/** Until the next boost of the key ends, in one of its plans; null when none lasts. */
export function boostEndsInMs(row: KeyRow, nowMs: number): number | null {
  const atMs = nowMs + Number(row.clockOffsetMs);
  const ends = row.overrides
    .map(({ boostUntilMs }) => (boostUntilMs ?? 0) - atMs)
    .filter((endsInMs) => endsInMs > 0);
  return ends.length === 0 ? null : Math.min(...ends);
}

function keyOverride(row: OverrideRow): KeyOverride {
  const boost = throttle({ rateLimit: row.boostRateLimit, burstLimit: row.boostBurstLimit });
  return {
    throttle: throttle(row),
    boost:
      boost && row.boostUntilMs !== null ? { throttle: boost, untilMs: row.boostUntilMs } : null,
    quotaLimit: row.quotaLimit,
    extensions: row.extensions,
  };
}
