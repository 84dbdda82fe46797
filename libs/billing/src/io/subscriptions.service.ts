import { Injectable } from '@nestjs/common';
import {
  closingAt,
  isSame,
  PeriodAlreadyBilled,
  SubscriptionEnded,
  type PeriodRule,
  type Phase,
  type Timeline,
} from '@core/billing';
import type { Scope } from '@core/identity';
import type { FieldFault } from '@core/kernel';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  type Page,
  type PageQuery,
} from '@io/platform';
import { ChangedTermsService, readRule } from './changed-terms.service.js';
import { RateCardsService } from './rate-cards.service.js';
import { SubscriptionChangesRepository } from './subscription-changes.repository.js';
import { SubscriptionsRepository } from './subscriptions.repository.js';
import { firstPhase, type SubscriptionNow } from './timelines.js';

/** A subscription as it was asked for; what is left out is decided here. */
export interface SubscriptionRequest {
  readonly customerId: string;
  readonly usagePlanId: string;
  /** Its id or its name. */
  readonly rateCardId: string;
  /** The newest when left out. */
  readonly rateCardVersion?: number;
  /** Calendar months when left out. */
  readonly periodRule?: object;
  /** Of those months; the customer's own when left out. */
  readonly timezone?: string;
  readonly currency?: string;
  /** Now when left out. */
  readonly startsAt?: Date;
  /** Those of the customer, the issuer or the account when left out. */
  readonly netTermsDays?: number;
  /** The account itself when left out. */
  readonly issuerId?: string;
  /** Another account whose traffic is charged too; only in the default account. */
  readonly billedAccountId?: string;
  /** Until then nothing is asked for. */
  readonly trialEndsAt?: Date;
  readonly priceOverrides?: readonly object[];
  readonly addOns?: readonly object[];
}

/** How far from now a subscription may start: further back it would make years of invoices at once. */
const START_DAYS_MAX = 400;
const DAY_MS = 86_400_000;

/** Who is charged for which plan, by which prices, and over which periods. */
@Injectable()
export class SubscriptionsService {
  constructor(
    private readonly subscriptions: SubscriptionsRepository,
    private readonly changes: SubscriptionChangesRepository,
    private readonly terms: ChangedTermsService,
    private readonly rateCards: RateCardsService,
    private readonly clock: BusinessClock,
    private readonly pages: Pages,
  ) {}

  /** Throws `InvalidRequest` naming what is not there, `SubscriptionOverlaps` or `AccountBilledAlready`. */
  async create(scope: Scope, request: SubscriptionRequest): Promise<SubscriptionNow> {
    const { customerId, usagePlanId, rateCardId, rateCardVersion, netTermsDays = null } = request;
    const now = await this.clock.now(scope.accountId);
    const startsAt = request.startsAt ?? now;
    const { customer, usagePlan, issuer, billedAccount } = await this.subscriptions.references(
      scope,
      request,
    );
    const card = await this.rateCards.find(scope, rateCardId);
    const version = card?.versions.find(
      (one) => rateCardVersion === undefined || one.version === rateCardVersion,
    );
    const { currency, trialEndsAt } = request;
    const refusals: [boolean, FieldFault][] = [
      [!customer, { pointer: '/customerId', detail: 'is not a customer of this account' }],
      [!usagePlan, { pointer: '/usagePlanId', detail: 'is not a usage plan of this account' }],
      [
        request.issuerId !== undefined && !issuer,
        { pointer: '/issuerId', detail: 'is not an issuer of this account' },
      ],
      [
        request.billedAccountId !== undefined && !billedAccount,
        { pointer: '/billedAccountId', detail: 'is not an account that this account bills' },
      ],
      [
        billedAccount?.mode === 'test',
        { pointer: '/billedAccountId', detail: 'is a test account: those are not billed' },
      ],
      [!card, { pointer: '/rateCardId', detail: 'is not a rate card of this account' }],
      [
        card !== null && !version,
        { pointer: '/rateCardVersion', detail: 'is not a version of this rate card' },
      ],
      [
        currency !== undefined && version !== undefined && currency !== version.currency,
        { pointer: '/currency', detail: `must be the rate card's, ${version?.currency}` },
      ],
      [
        Math.abs(startsAt.getTime() - now.getTime()) > START_DAYS_MAX * DAY_MS,
        { pointer: '/startsAt', detail: `must be within ${START_DAYS_MAX} days of now` },
      ],
      [
        trialEndsAt !== undefined && !isWithinDays(trialEndsAt, startsAt, START_DAYS_MAX),
        {
          pointer: '/trialEndsAt',
          detail: `must be after the start, and at most ${START_DAYS_MAX} days after it`,
        },
      ],
    ];
    const faults = refusals.filter(([isRefused]) => isRefused).map(([, fault]) => fault);
    const chosen = card && version ? { card, version } : null;
    const own = this.terms.ownPrices(request, chosen, faults);
    if (faults.length > 0 || !customer || !card || !version) throw new InvalidRequest(faults);

    const periodRule = ruleOf(request, customer.timezone);
    const of = { usagePlanId, rateCardId: card.id, rateCardVersion: version.version, periodRule };
    const first: Phase = { ...firstPhase({ ...of, startsAt }), ...own };
    const timeline: Timeline =
      trialEndsAt === undefined
        ? [first]
        : [
            { ...first, kind: 'trial' },
            { ...first, startsAt: trialEndsAt },
          ];
    const isPlain = isSame(timeline, [firstPhase(first)]);
    const created = await this.subscriptions.create(scope, {
      ...of,
      customerId,
      currency: version.currency,
      netTermsDays,
      issuerId: issuer?.id ?? null,
      billedAccountId: request.billedAccountId ?? null,
      startsAt,
      closesAt: await this.terms.firstClosing(scope, timeline),
      phases: isPlain ? [] : timeline,
    });
    return { ...created, timeline, revision: isPlain ? 0 : 1, others: [], now };
  }

  async list(
    scope: Scope,
    { customerId, ...query }: PageQuery & { customerId?: string },
  ): Promise<Page<SubscriptionNow>> {
    const filter = customerId === undefined ? {} : { customerId };
    const list = `subscriptions ${scope.accountId} ${scope.customerId ?? ''} ${customerId ?? ''}`;
    const page = this.pages.request(query, list);
    const { accountId } = scope;
    const found = await this.subscriptions.page(scope, filter, page);
    const inTime = await this.changes.overTime(accountId, found);
    const now = await this.clock.now(accountId);
    const all = inTime.map((subscription) => ({ ...subscription, now }));
    return this.pages.page(all, page, list);
  }

  async get(scope: Scope, id: string): Promise<SubscriptionNow> {
    const subscription = await this.changes.find(scope, id);
    if (!subscription) throw new NotFound('subscription', id);
    return { ...subscription, now: await this.clock.now(scope.accountId) };
  }

  /**
   * Ends a subscription, now when no instant is given; the open period is cut there. The end may be moved as long as
   * it has not passed. Throws `PeriodAlreadyBilled` or `SubscriptionEnded`.
   */
  async end(scope: Scope, id: string, at?: Date): Promise<SubscriptionNow> {
    const subscription = await this.get(scope, id);
    const { startsAt, endsAt: endedAt, billedTo, closesAt, timeline, now } = subscription;
    if (endedAt !== null && endedAt <= now) {
      if (at === undefined || at.getTime() === endedAt.getTime()) return subscription;
      throw new SubscriptionEnded(endedAt);
    }
    const endsAt = at ?? now;
    if (endsAt <= startsAt) {
      const detail = `must be after the start, ${startsAt.toISOString()}`;
      throw new InvalidRequest([{ pointer: '/at', detail }]);
    }
    if (endsAt < billedTo) throw new PeriodAlreadyBilled(billedTo);
    const dates = { endsAt, closesAt: closingAt(timeline, { billedTo, closesAt, endsAt }) };
    return { ...subscription, ...(await this.subscriptions.end(scope, subscription, dates)) };
  }
}

function isWithinDays(at: Date, from: Date, days: number): boolean {
  return at > from && at.getTime() - from.getTime() <= days * DAY_MS;
}

function ruleOf(
  { periodRule, timezone }: { readonly periodRule?: object; readonly timezone?: string },
  customerTimezone: string,
): PeriodRule {
  if (!periodRule) {
    return { kind: 'calendar', interval: 'month', timezone: timezone ?? customerTimezone };
  }
  if (timezone !== undefined) {
    const detail = 'must not be sent beside periodRule, which has its own';
    throw new InvalidRequest([{ pointer: '/timezone', detail }]);
  }
  const faults: FieldFault[] = [];
  const rule = readRule(periodRule, faults);
  if (!rule) throw new InvalidRequest(faults);
  return rule;
}
