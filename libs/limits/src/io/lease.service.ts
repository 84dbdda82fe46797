import { Injectable } from '@nestjs/common';
import {
  accountBucket,
  methodBucket,
  planBucket,
  quotaLimitIn,
  quotaPeriod,
  RATE_LEASE_MS,
  RateAuthority,
  stageBucket,
  type BucketName,
  type IpLists,
  type KeyInPlanRef,
  type PlanPolicy,
  type RateBucket,
  type RateGrant,
  type StageOfApiRef,
  type StageRules,
  type ThrottleLimit,
} from '@core/limits';
import { SystemClock } from '@io/platform';
import { PolicyDetails, PolicySource, type AccountPolicy } from './policy-source.js';
import { QuotaAuthority, type BlockReturn, type QuotaCounter } from './quota-authority.js';

/** A bucket as a gateway names it; the service knows its limit. */
export type BucketRef =
  | ({ readonly level: 'usage-plan' } & KeyInPlanRef)
  | ({ readonly level: 'method'; readonly method: string } & KeyInPlanRef & StageOfApiRef)
  | ({ readonly level: 'stage-method'; readonly method: string } & StageOfApiRef)
  | { readonly level: 'account' };

/** What a gateway that decides by itself asks for; docs/leases.md says what each field means. */
export interface LeaseQuestion {
  readonly holder: string;
  readonly keys: readonly ({ readonly apiKey: string } & StageOfApiRef)[];
  readonly stages: readonly ({ readonly usagePlanId: string } & StageOfApiRef)[];
  readonly rates: readonly {
    readonly bucket: BucketRef;
    readonly asked: number;
    readonly least: number;
    readonly wanted: number;
  }[];
  readonly quotas: readonly (KeyInPlanRef & {
    readonly asked: number;
    readonly wanted: number;
    readonly spent: number;
  })[];
  readonly returns: {
    readonly rates: readonly {
      readonly bucket: BucketRef;
      readonly units: number;
      readonly heldMs: number;
    }[];
    readonly quotas: readonly (KeyInPlanRef & {
      readonly periodFrom: Date;
      readonly units: number;
      readonly spent: number;
    })[];
  };
}

/** The gateway that asks. */
export interface LeaseAsker {
  readonly accountId: string;
  readonly gatewayId: string;
}

/** A holder is dead after 60 s of silence as it is written down, and lets go after 45 s: this is far within. */
const WRITTEN_MS = 5_000;
const HOLDERS_MAX = 10_000;

/** What one key may do on one stage. */
export interface KeyAnswer {
  readonly keyId: string;
  readonly customerId: string;
  readonly enabled: boolean;
  readonly expiresAt: Date | null;
  readonly ipPolicy: IpLists | null;
  readonly usagePlanId: string | null;
  readonly throttle: ThrottleLimit | null;
  readonly quota: {
    readonly limit: number;
    readonly periodFrom: Date;
    readonly periodTo: Date;
  } | null;
  readonly accountThrottle: ThrottleLimit;
  readonly clockOffsetMs: number;
}

/** A block of a quota. */
export interface QuotaAnswer {
  readonly granted: number;
  readonly remaining: number;
  readonly limit: number;
  readonly periodFrom: Date;
  readonly periodTo: Date;
}

/** The answers, each list in the order of the question; null for what is not there or not the account's. */
export interface LeaseAnswer {
  readonly leaseMs: number;
  readonly keys: readonly (KeyAnswer | null)[];
  readonly stages: readonly (StageRules | null)[];
  readonly rates: readonly (RateGrant | null)[];
  readonly quotas: readonly (QuotaAnswer | null)[];
  readonly at: Date;
}

interface CurrentQuota {
  readonly counter: QuotaCounter;
  readonly limit: number;
}

/**
 * Lends rates and quotas to gateways that decide by themselves, and tells them what keys may do. Every limit is the
 * one that holds here and now; a gateway only says of what it wants how much.
 */
@Injectable()
export class LeaseService {
  /** When each holder was last written down as alive, by this process. */
  private readonly beats = new Map<string, number>();

  constructor(
    private readonly policies: PolicySource,
    private readonly details: PolicyDetails,
    private readonly rates: RateAuthority,
    private readonly quotas: QuotaAuthority,
    private readonly clock: SystemClock,
  ) {}

  /** Takes back first, so that what comes back can be lent again. Rejects as a whole when something cannot be asked. */
  async answer(
    { accountId, gatewayId }: LeaseAsker,
    question: LeaseQuestion,
  ): Promise<LeaseAnswer> {
    const holder = `${gatewayId}/${question.holder}`;
    await this.beat(holder);
    const account = await this.details.account(accountId);
    const at = new Date(this.clock.nowMs() + account.clockOffsetMs);
    await Promise.all([
      this.takeBackRates(accountId, account, question.returns.rates),
      this.takeBackQuotas(accountId, holder, question.returns.quotas),
    ]);
    const [keys, stages] = await Promise.all([
      Promise.all(question.keys.map((wanted) => this.key(accountId, wanted))),
      Promise.all(question.stages.map((ref) => this.details.stageUnderPlan(accountId, ref))),
    ]);
    const rates = await this.lendRates(accountId, account, question.rates);
    // Last, since a question that fails gives nobody the blocks that it has debited.
    const quotas = await this.lendQuotas(accountId, { at, holder }, question.quotas);
    return { leaseMs: RATE_LEASE_MS, keys, stages, rates, quotas, at };
  }

  /** A holder lives while it asks, whatever it asks; written down at most every few seconds. */
  private async beat(holder: string): Promise<void> {
    const now = this.clock.monotonicMs();
    if (now - (this.beats.get(holder) ?? Number.NEGATIVE_INFINITY) < WRITTEN_MS) return;
    await this.quotas.beat(holder);
    if (this.beats.size >= HOLDERS_MAX) this.beats.clear();
    this.beats.set(holder, now);
  }

  private async key(
    accountId: string,
    { apiKey, apiId, stage }: LeaseQuestion['keys'][number],
  ): Promise<KeyAnswer | null> {
    const key = await this.policies.find(apiKey);
    if (key?.accountId !== accountId) return null;
    const plan = key.stage(apiId, stage)?.plan ?? null;
    return {
      keyId: key.keyId,
      customerId: key.customerId,
      enabled: key.enabled,
      expiresAt: key.expiresAtMs === null ? null : new Date(key.expiresAtMs),
      ipPolicy: key.ipPolicy,
      usagePlanId: plan?.id ?? null,
      throttle: plan?.throttle ?? null,
      quota: plan && quotaNow(plan, new Date(this.clock.nowMs() + key.clockOffsetMs)),
      accountThrottle: key.accountThrottle,
      clockOffsetMs: key.clockOffsetMs,
    };
  }

  private async lendRates(
    accountId: string,
    account: AccountPolicy,
    wishes: LeaseQuestion['rates'],
  ): Promise<(RateGrant | null)[]> {
    const buckets = await Promise.all(
      wishes.map(({ bucket }) => this.bucket(accountId, account, bucket)),
    );
    const known = wishes.flatMap(({ asked, least, wanted }, position) => {
      const bucket = buckets[position];
      return bucket ? [{ position, wish: { bucket, asked, least, wanted } }] : [];
    });
    if (known.length === 0) return buckets.map(() => null);
    const grants = await this.rates.lease(known.map(({ wish }) => wish));
    return inPlace(wishes.length, known, grants);
  }

  /** What was held for longer than a lease is void: the bucket has refilled meanwhile. */
  private async takeBackRates(
    accountId: string,
    account: AccountPolicy,
    returns: LeaseQuestion['returns']['rates'],
  ): Promise<void> {
    const due = await Promise.all(
      returns
        .filter(({ units, heldMs }) => units > 0 && heldMs < RATE_LEASE_MS)
        .map(async ({ bucket: ref, units, heldMs }) => {
          const bucket = await this.bucket(accountId, account, ref);
          return bucket ? [{ bucket, units, heldMs }] : [];
        }),
    );
    if (due.flat().length > 0) await this.rates.giveBack(due.flat());
  }

  private async lendQuotas(
    accountId: string,
    { at, holder }: { at: Date; holder: string },
    wishes: LeaseQuestion['quotas'],
  ): Promise<(QuotaAnswer | null)[]> {
    const counters = await Promise.all(wishes.map((ref) => this.counter(accountId, ref, at)));
    const known = wishes.flatMap(({ asked, wanted, spent }, position) => {
      const found = counters[position];
      return found ? [{ position, wish: { ...found, asked, wanted, spent } }] : [];
    });
    if (known.length === 0) return counters.map(() => null);
    const grants = await this.quotas.debit(
      known.map(({ wish }) => wish),
      holder,
    );
    const answers = grants.map((grant, index) => {
      const { counter, limit } = known[index]?.wish ?? {};
      return counter && limit !== undefined
        ? { ...grant, limit, periodFrom: counter.periodFrom, periodTo: counter.periodTo }
        : null;
    });
    return inPlace(wishes.length, known, answers);
  }

  private async takeBackQuotas(
    accountId: string,
    holder: string,
    returns: LeaseQuestion['returns']['quotas'],
  ): Promise<void> {
    const due = await Promise.all(
      returns.map(async (back): Promise<BlockReturn[]> => {
        const { keyId, usagePlanId, periodFrom, units, spent } = back;
        const found = await this.details.inPlan(accountId, { keyId, usagePlanId });
        if (!found || units + spent === 0) return [];
        const { customerId } = found.key;
        const periodTo = periodFrom;
        return [
          { counter: { accountId, customerId, usagePlanId, keyId, periodFrom, periodTo }, units },
        ];
      }),
    );
    if (due.flat().length > 0) await this.quotas.giveBack(due.flat(), holder);
  }

  /** The counter of a key that may spend, in the period that holds the instant. */
  private async counter(
    accountId: string,
    ref: KeyInPlanRef,
    at: Date,
  ): Promise<CurrentQuota | null> {
    const found = await this.details.inPlan(accountId, ref);
    if (!found || !found.key.enabled) return null;
    const { key, plan } = found;
    if (key.expiresAtMs !== null && at.getTime() >= key.expiresAtMs) return null;
    const quota = quotaNow(plan, at);
    if (!quota) return null;
    const { limit, periodFrom, periodTo } = quota;
    const { customerId, keyId } = key;
    return {
      limit,
      counter: { accountId, customerId, usagePlanId: plan.id, keyId, periodFrom, periodTo },
    };
  }

  private async bucket(
    accountId: string,
    account: AccountPolicy,
    ref: BucketRef,
  ): Promise<RateBucket | null> {
    switch (ref.level) {
      case 'account':
        return limited(accountBucket(accountId), account.throttle);
      case 'stage-method': {
        const rules = await this.details.stageOfApi(accountId, ref);
        return limited(stageBucket(ref, ref.method), rules && stageLimit(rules, ref.method));
      }
      case 'usage-plan': {
        const found = await this.details.inPlan(accountId, ref);
        return limited(planBucket(ref), found?.plan.throttle ?? null);
      }
      case 'method': {
        const [found, rules] = await Promise.all([
          this.details.inPlan(accountId, ref),
          this.details.stageUnderPlan(accountId, ref),
        ]);
        const isCovered = found?.key.stage(ref.apiId, ref.stage)?.plan.id === ref.usagePlanId;
        const method = isCovered && rules?.methods.find((rule) => nameOf(rule) === ref.method);
        return limited(methodBucket(ref, ref, ref.method), method ? method.planThrottle : null);
      }
    }
  }
}

const limited = (name: BucketName, limit: ThrottleLimit | null): RateBucket | null =>
  limit && { ...name, rateLimit: limit.rateLimit, burstLimit: limit.burstLimit };

const nameOf = ({ httpMethod, resourcePath }: StageRules['methods'][number]) =>
  `${httpMethod} ${resourcePath}`;

/** Of the method's own bucket, or with `*` of the one that all others share. */
function stageLimit(rules: StageRules, method: string): ThrottleLimit | null {
  if (method === '*') return rules.stageThrottle;
  return rules.methods.find(({ stageBucket: own }) => own === method)?.stageThrottle ?? null;
}

function quotaNow({ quota }: PlanPolicy, at: Date): KeyAnswer['quota'] {
  if (!quota) return null;
  const { from, to } = quotaPeriod(quota, at);
  const limit = quotaLimitIn(quota, { fromMs: from.getTime(), toMs: to.getTime() });
  return { limit, periodFrom: from, periodTo: to };
}

/** Answers back at the places of their questions; null everywhere else. */
function inPlace<T>(
  length: number,
  asked: readonly { readonly position: number }[],
  answers: readonly T[],
): (T | null)[] {
  const all = Array.from<T | null>({ length }).fill(null);
  for (const [index, { position }] of asked.entries()) all[position] = answers[index] ?? null;
  return all;
}
