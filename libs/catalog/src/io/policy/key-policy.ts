import {
  addressCheck,
  Memo,
  overridden,
  type IpLists,
  type KeyOverride,
  type KeyPolicy,
  type MethodPolicy,
  type StagePolicy,
  type ThrottleLimit,
} from '@core/limits';
import type { KeyRow, OverrideRow } from './policy.repository.js';
import { throttle } from './stage-rules.js';

/** What a policy was made of; the same again is the same policy. */
export interface KeySource {
  readonly row: string;
  readonly stages: readonly (StagePolicy | null)[];
}

/** What a key may do, with when it was read. */
export interface LoadedKey extends KeyPolicy {
  readonly source: KeySource;
  /** By the monotonic clock; a whole number, which stands in the object itself. */
  loadedAtMs: number;
}

/**
 * A key, in one object: each one apart that a decision reads is one more that is in no cache of the processor, where
 * thousands of keys are in use. So it is its own memo, and its first stage, which few keys have more than, stands in it.
 */
class KeyOfAccount extends Memo<MethodPolicy> implements LoadedKey {
  readonly accountId: string;
  readonly enabled: boolean;
  readonly isCustomerBlocked: boolean;
  readonly expiresAtMs: number | null;
  readonly clockOffsetMs: number;
  readonly keyId: string;
  readonly customerId: string;
  readonly accountThrottle: ThrottleLimit;
  readonly ipPolicy: IpLists | null;
  readonly allowsAddress: (sourceIp: string | null) => boolean;
  private readonly first: StagePolicy | null;
  private readonly others: readonly StagePolicy[];
  loadedAtMs: number;

  constructor(
    row: KeyRow,
    covered: readonly StagePolicy[],
    readonly source: KeySource,
    loadedAtMs: number,
  ) {
    super();
    this.loadedAtMs = loadedAtMs;
    this.accountId = row.accountId;
    this.enabled = row.enabled && !row.isCustomerBlocked;
    this.isCustomerBlocked = row.isCustomerBlocked;
    this.expiresAtMs = row.expiresAt?.getTime() ?? null;
    this.clockOffsetMs = Number(row.clockOffsetMs);
    this.keyId = row.id;
    this.customerId = row.customerId;
    this.accountThrottle = { rateLimit: row.rateLimit, burstLimit: row.burstLimit };
    this.ipPolicy = row.ipPolicy;
    this.allowsAddress = addressCheck(row.ipPolicy);
    [this.first = null, ...this.others] = covered;
  }

  get memo(): Memo<MethodPolicy> {
    return this;
  }

  stage(apiId: string, stage: string): StagePolicy | null {
    const { first } = this;
    if (first?.apiId === apiId && first.stage === stage) return first;
    for (const policy of this.others)
      if (policy.apiId === apiId && policy.stage === stage) return policy;
    return null;
  }
}

/**
 * What a key may do, as the tables say it; at this instant of the system's clock, since a boost ends by itself.
 * `source` is what they said.
 */
export function keyPolicy(
  row: KeyRow,
  { source, loadedAtMs }: Pick<LoadedKey, 'source' | 'loadedAtMs'>,
  nowMs: number,
): LoadedKey {
  const overrides = new Map(row.overrides.map((own) => [own.usagePlanId, keyOverride(own)]));
  const covered = source.stages.flatMap((policy) => {
    if (!policy) return [];
    const override = overrides.get(policy.plan.id);
    const atMs = nowMs + Number(row.clockOffsetMs);
    return [override ? overridden(policy, override, atMs) : policy];
  });
  return new KeyOfAccount(row, covered, source, loadedAtMs);
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
