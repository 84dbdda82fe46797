import { Injectable } from '@nestjs/common';
import type { Period } from '@core/kernel';
import type { Scope } from '@core/identity';
import { quotaPeriod, type QuotaInterval } from '@core/limits';
import { BusinessClock, NotFound } from '@io/platform';
import { CustomUsageRepository } from './custom-usage.repository.js';
import {
  QuotaStandingsRepository,
  type PlanOfKey,
  type QuotaFilter,
  type QuotaStanding,
} from './quota-standings.repository.js';
import { windowOf } from './sum-usage.js';
import { UsageRepository, type UsageSoFar } from './usage.repository.js';

/** What a key used under one plan since the plan's period began; of a plan without a quota, since the month did, in UTC. */
export interface PlanSoFar extends Period {
  readonly usagePlanId: string;
  readonly period: QuotaInterval;
  readonly quota: QuotaStanding | null;
  readonly metered: readonly UsageSoFar[];
}

/** What a key used so far. */
export interface KeySoFar {
  readonly keyId: string;
  readonly customerId: string;
  /** The account's business time: periods are those of this instant. */
  readonly asOf: Date;
  /** When the account's gateways last reported, by the system's clock. Calls since then are not counted yet. */
  readonly lastReportAt: Date | null;
  readonly waitingBatches: number;
  readonly plans: readonly PlanSoFar[];
}

/** How far keys have got in periods that are open: their quotas by the authority, their usage with all that was acknowledged. */
@Injectable()
export class UsageSoFarService {
  constructor(
    private readonly usage: UsageRepository,
    private readonly customUsage: CustomUsageRepository,
    private readonly quotas: QuotaStandingsRepository,
    private readonly clock: BusinessClock,
  ) {}

  /** Quotas of keys in plans, the fullest first; of the periods of an instant, now unless one is given. */
  async quotaStandings(
    { accountId, customerId: own }: Scope,
    asked: Omit<QuotaFilter, 'accountId'>,
    { at, limit }: { readonly at: Date | undefined; readonly limit: number },
  ): Promise<QuotaStanding[]> {
    if (own !== undefined && (asked.customerId ?? own) !== own) return [];
    const filter = { ...asked, accountId, customerId: own ?? asked.customerId };
    const now = await this.clock.now(accountId);
    return this.quotas.standings(filter, { at: at ?? now, now }, limit);
  }

  /** A customer finds only their own keys. */
  async ofKey({ accountId, customerId: own }: Scope, keyId: string): Promise<KeySoFar> {
    const customerId = await this.usage.customerOf(accountId, keyId);
    if (customerId === null || (own ?? customerId) !== customerId)
      throw new NotFound('api key', keyId);
    const asOf = await this.clock.now(accountId);
    const reports = await this.quotas.reports(accountId);
    const ofNow = { at: asOf, now: asOf };
    const standings = await this.quotas.standings({ accountId, keyId }, ofNow, PLANS_MAX);
    const clockOffsetMs = await this.usage.clockOffsetMs(accountId);
    const plans: PlanSoFar[] = [];
    for (const plan of await this.quotas.plansOf(accountId, keyId)) {
      const { usagePlanId } = plan;
      const { period, from, to } = openPeriod(plan, asOf);
      const window = { ...windowOf([from, to], clockOffsetMs), withWaiting: true };
      const filter = { accountId, customerId, keyId, usagePlanId };
      const metered = [
        ...(await this.usage.soFar(filter, window)),
        ...(await this.customUsage.soFar(filter, window)),
      ];
      const quota = standings.find((standing) => standing.usagePlanId === usagePlanId) ?? null;
      plans.push({ usagePlanId, period, from, to, quota, metered });
    }
    return { keyId, customerId, asOf, ...reports, plans };
  }
}

/** A key is in at most one plan of a stage; this many stages nobody has. */
const PLANS_MAX = 10_000;

function openPeriod({ quotaPeriod: given, quotaOffset }: PlanOfKey, at: Date) {
  const period = given ?? 'MONTH';
  return { period, ...quotaPeriod({ period, offset: quotaOffset ?? 0 }, at) };
}
