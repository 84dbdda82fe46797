import { Injectable } from '@nestjs/common';
import type { Period } from '@core/kernel';
import type { Scope } from '@core/identity';
import { METERS, windowEdges, type Interval, type Meter } from '@core/metering';
import { InvalidRequest } from '@io/platform';
import { ConnectionsService } from './connections.service.js';
import { CustomUsageRepository } from './custom-usage.repository.js';
import { MeterRollUpRepository } from './meter-roll-up.repository.js';
import { RollUpRepository } from './roll-up.repository.js';
import { windowOf, type UsageFilter, type UsageGroup, type Window } from './sum-usage.js';
import {
  UsageRepository,
  type MeteredOf,
  type MeteredQuantity,
  type TopUsage,
  type UsageBacklog,
  type UsageSum,
} from './usage.repository.js';

/** What to read, and how to part it. */
export interface UsageQuestion {
  readonly period: Period;
  readonly interval: Interval;
  readonly timezone: string;
  readonly filter: Partial<Record<UsageGroup, string>>;
  readonly groupBy: readonly UsageGroup[];
}

/** A meter's quantity in one part of the time, with the values of the groups that were asked for. */
export type UsageItem = Period & { readonly meter: string; readonly quantity: string } & Partial<
    Record<UsageGroup, string>
  >;

/** What usage can be ranked by, and what tells two of them apart. */
export const TOP_GROUPS = {
  key: ['customerId', 'keyId'],
  customer: ['customerId'],
  'usage-plan': ['usagePlanId'],
  api: ['apiId'],
  method: ['apiId', 'method', 'resourcePath'],
  'status-class': ['statusClass'],
} as const satisfies Record<string, readonly UsageGroup[]>;
export type TopGroup = keyof typeof TOP_GROUPS;

/** Of whom, or of what, the most was used. */
export interface TopQuestion {
  readonly period: Period;
  readonly by: TopGroup;
  readonly meter: Meter;
  readonly limit: number;
  readonly filter: UsageQuestion['filter'];
}

/** What a customer used of a plan in a period. */
export interface UsagePeriod {
  readonly accountId: string;
  readonly customerId: string;
  readonly usagePlanId: string;
  readonly period: Period;
  /** Meters of which it matters through which kind of api they came; of the others it is not told apart. */
  readonly byProtocol: readonly string[];
}

const DAYS_MAX = 400;
const DAY_MS = 86_400_000;
const GROUPS_MAX = 10_000;
/** No bound, but of what a process can hold. */
const SUMS_MAX = 2_147_483_647;

/** Usage as it was rolled up: for pages and exports, and exactly for billing. */
@Injectable()
export class UsageService {
  constructor(
    private readonly usage: UsageRepository,
    private readonly rollUps: RollUpRepository,
    private readonly customUsage: CustomUsageRepository,
    private readonly meterRollUps: MeterRollUpRepository,
    private readonly connections: ConnectionsService,
  ) {}

  /** Roll-ups by part of the period, meter and groups. A customer sees only their own. */
  async read(scope: Scope, question: UsageQuestion): Promise<UsageItem[]> {
    const { period, interval, timezone, filter, groupBy } = question;
    checkPeriod(period);
    const edges = windowEdges(period, interval, timezone);
    const of = await this.filter(scope, filter);
    if (of === null) return [];
    const window = await this.window(scope.accountId, edges);
    const parts = { groups: groupBy, limit: GROUPS_MAX + 1 };
    const isBuiltIn = METERS.some((meter) => meter === filter.meter);
    const isOwn = filter.meter !== undefined && !isBuiltIn;
    const builtIn = isOwn ? [] : await this.usage.sums(of, window, parts);
    const own = isBuiltIn ? [] : await this.customUsage.sums(of, window, parts);
    const sums = [...builtIn, ...own].sort((a, b) => a.bucket - b.bucket);
    if (sums.length > GROUPS_MAX)
      throw fault(
        '/groupBy',
        `makes more than ${GROUPS_MAX} groups: ask for a shorter time, a longer interval, fewer groups or one customer`,
      );
    return sums.map(({ bucket, meter, quantity, ...groups }) => ({
      from: edges[bucket - 1] ?? period.from,
      to: edges[bucket] ?? period.to,
      ...groups,
      meter,
      quantity,
    }));
  }

  /** The largest users of a meter in a period, each with its share of all. A customer sees only their own. */
  async top(scope: Scope, { period, by, meter, limit, filter }: TopQuestion): Promise<TopUsage> {
    checkPeriod(period);
    const of = await this.filter(scope, { ...filter, meter });
    if (of === null) return { total: '0', groups: 0, items: [] };
    const window = await this.window(scope.accountId, [period.from, period.to]);
    return this.usage.top(of, window, { groups: TOP_GROUPS[by], limit });
  }

  /** What a customer used of a plan in a period with any bounds, exactly, of everything that is rolled up. */
  async periodUsage(asked: UsagePeriod): Promise<readonly MeteredQuantity[]> {
    const [used] = await this.periodUsages([asked]);
    return used ?? [];
  }

  /** The same of many at once, in their order. Those of one account and period are read together. */
  async periodUsages(asked: readonly UsagePeriod[]): Promise<(readonly MeteredQuantity[])[]> {
    const spans = new Map<string, UsagePeriod[]>();
    for (const one of asked) {
      const span = spans.get(spanOf(one));
      if (span) span.push(one);
      else spans.set(spanOf(one), [one]);
    }
    const found = new Map<string, MeteredOf[]>();
    for (const [key, together] of spans) {
      for (const one of await this.metered(together)) {
        const id = `${key} ${one.customerId} ${one.usagePlanId}`;
        const known = found.get(id);
        if (known) known.push(one);
        else found.set(id, [one]);
      }
    }
    return asked.map(
      (one) => found.get(`${spanOf(one)} ${one.customerId} ${one.usagePlanId}`) ?? [],
    );
  }

  /** What went through a whole account in a period, whoever called; without what the account's own meters count. */
  async accountUsage({
    accountId,
    period,
    byProtocol,
  }: Omit<UsagePeriod, 'customerId' | 'usagePlanId'>): Promise<readonly MeteredQuantity[]> {
    const told = await this.told(accountId, byProtocol);
    return this.usage.meteredOfAccount(accountId, period, told);
  }

  /** Everything rolled up of a customer and meter, in each part that rising edges make of a time, by groups: exactly, of any size. */
  async sums(
    { accountId, customerId, meter }: { accountId: string; customerId: string; meter: string },
    edges: readonly Date[],
    groups: readonly UsageGroup[],
  ): Promise<UsageSum[]> {
    const filter: UsageFilter = { accountId, customerId, meter };
    const window = await this.window(accountId, edges);
    const parts = { groups, limit: SUMS_MAX };
    const isBuiltIn = METERS.some((one) => one === meter);
    return isBuiltIn
      ? this.usage.sums(filter, window, parts)
      : this.customUsage.sums(filter, window, parts);
  }

  /** What has not been counted yet, over all accounts: for whoever runs the service. */
  backlog(): Promise<UsageBacklog> {
    return this.usage.backlog();
  }

  /** How many acknowledged batches of an account are not rolled up yet. */
  async waitingBatches(accountId: string): Promise<number> {
    return (await this.rollUps.waiting(accountId)) + (await this.meterRollUps.waiting(accountId));
  }

  /** Rolls up everything of an account that was acknowledged before the call, with the minutes of its connections. */
  async rollUpNow(accountId: string): Promise<void> {
    await this.connections.count(accountId);
    while ((await this.rollUps.rollUp(accountId)) > 0);
    while ((await this.meterRollUps.rollUp(accountId)) > 0);
  }

  /** Rolls up what waits, in any account, and returns how many batches it was. Safe to run anywhere, any time. */
  async rollUpWaiting(): Promise<number> {
    let batches = 0;
    for (;;) {
      const rolledUp = (await this.rollUps.rollUp(null)) + (await this.meterRollUps.rollUp(null));
      if (rolledUp === 0) return batches;
      batches += rolledUp;
    }
  }

  /** Of one account and period. */
  private async metered(asked: readonly UsagePeriod[]): Promise<MeteredOf[]> {
    const [first] = asked;
    if (!first) return [];
    const { accountId, period } = first;
    const filter = {
      accountId,
      customerId: distinct(asked, ({ customerId }) => [customerId]),
      usagePlanId: distinct(asked, ({ usagePlanId }) => [usagePlanId]),
    };
    const told = await this.told(
      accountId,
      distinct(asked, (one) => one.byProtocol),
    );
    return [
      ...(await this.usage.metered(filter, period, told)),
      ...(await this.customUsage.metered(
        filter,
        windowOf([period.from, period.to], told.clockOffsetMs),
      )),
    ];
  }

  /** How the protocol of an account's usage is told. Where all apis are of one kind, the days tell it too. */
  private async told(accountId: string, byProtocol: readonly string[]) {
    const clockOffsetMs = await this.usage.clockOffsetMs(accountId);
    const isAllRest = (await this.usage.protocols(accountId)).every((one) => one === 'REST');
    return isAllRest
      ? { clockOffsetMs, ofDays: 'REST', byProtocol: [] }
      : { clockOffsetMs, ofDays: '', byProtocol };
  }

  private async window(accountId: string, edges: readonly Date[]): Promise<Window> {
    return windowOf(edges, await this.usage.clockOffsetMs(accountId));
  }

  /**
   * The account's usage with these values, of which a customer sees only their own; null when there can be none. A key is
   * a customer's for ever, and roll-ups lie by customer: a key alone is found by whose it is.
   */
  private async filter(
    { accountId, customerId: own }: Scope,
    asked: UsageQuestion['filter'],
  ): Promise<UsageFilter | null> {
    const filter: UsageFilter = { ...asked, accountId };
    if (own !== undefined) {
      if ((asked.customerId ?? own) !== own) return null;
      return { ...filter, customerId: own };
    }
    if (asked.keyId === undefined || asked.customerId !== undefined) return filter;
    const customerId = await this.usage.customerOf(accountId, asked.keyId);
    return customerId === null ? null : { ...filter, customerId };
  }
}

const spanOf = ({ accountId, period }: UsagePeriod) =>
  `${accountId} ${period.from.getTime()} ${period.to.getTime()}`;

const distinct = <T>(all: readonly T[], of: (one: T) => readonly string[]) => [
  ...new Set(all.flatMap(of)),
];

function checkPeriod({ from, to }: Period): void {
  const lengthMs = to.getTime() - from.getTime();
  if (lengthMs <= 0) throw fault('/to', 'must be after `from`');
  if (lengthMs > DAYS_MAX * DAY_MS)
    throw fault('/to', `must be at most ${DAYS_MAX} days after \`from\``);
}

const fault = (pointer: string, detail: string) => new InvalidRequest([{ pointer, detail }]);
