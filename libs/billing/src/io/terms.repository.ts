import { Injectable } from '@nestjs/common';
import {
  parseRateCardItems,
  type BilledRateCard,
  type RedeemedCoupon,
  type TaxRule,
  type Timeline,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { Database, type Prisma } from '@io/platform';
import { redeemedCoupons } from './coupon-rows.js';
import { cardKey, type RateCards } from './parts-to-rate.js';
import { toSubscription, type Subscription } from './subscriptions.repository.js';
import { toTaxRule } from './tax-rules.repository.js';
import { overTime, type SubscriptionOverTime } from './timelines.js';

/** All that a period's invoice is computed from, but the usage. */
export interface BillingTerms {
  readonly subscription: SubscriptionOverTime;
  /** Of all its phases. */
  readonly cards: RateCards;
  readonly taxRules: readonly TaxRule[];
  /** Redeemed for it, or for all subscriptions of its customer. */
  readonly coupons: readonly RedeemedCoupon[];
}

/** How many versions of rate cards are kept in memory. */
const CARDS_MAX = 1_000;

/** Reads what periods are billed by. */
@Injectable()
export class TermsRepository {
  /** By account, card and version: a version never changes, so it is read once. */
  private readonly versions = new Map<string, BilledRateCard>();

  constructor(private readonly db: Database) {}

  async find({ accountId, customerId }: Scope, id: string): Promise<BillingTerms | null> {
    const row = await this.db.subscription.findFirst({
      where: { accountId, id, ...(customerId !== undefined && { customerId }) },
    });
    if (!row) return null;
    const [terms] = await this.of(this.db, accountId, [toSubscription(row)]);
    return terms ?? null;
  }

  /** The other accounts whose traffic an account's subscriptions charge. */
  async billedAccounts(accountId: string): Promise<string[]> {
    const rows = await this.db.subscription.findMany({
      where: { accountId, billedAccountId: { not: null } },
      distinct: ['billedAccountId'],
      orderBy: { billedAccountId: 'asc' },
      select: { billedAccountId: true },
    });
    return rows.flatMap((row) => row.billedAccountId ?? []);
  }

  /** Those of some subscriptions, by their ids. */
  async billedBy(
    accountId: string,
    subscriptionIds: readonly string[],
  ): Promise<ReadonlyMap<string, string>> {
    const rows = await this.db.subscription.findMany({
      where: { accountId, id: { in: [...subscriptionIds] }, billedAccountId: { not: null } },
      select: { id: true, billedAccountId: true },
    });
    return new Map(rows.map(({ id, billedAccountId }) => [id, billedAccountId ?? '']));
  }

  /** The terms of subscriptions of an account, in their order. */
  async of(
    db: Prisma.TransactionClient,
    accountId: string,
    subscriptions: readonly Subscription[],
  ): Promise<BillingTerms[]> {
    const customers = [...new Set(subscriptions.map(({ customerId }) => customerId))];
    const rows = await db.taxRule.findMany({
      where: { accountId, OR: [{ customerId: null }, { customerId: { in: customers } }] },
      orderBy: { id: 'asc' },
    });
    const rules = rows.map(toTaxRule);
    const coupons = await redeemedCoupons(db, accountId, subscriptions);
    const all: BillingTerms[] = [];
    for (const subscription of await overTime(db, accountId, subscriptions)) {
      const { customerId } = subscription;
      const cards = await this.cardsOf(db, subscription);
      const taxRules = rules.filter(
        (rule) => rule.customerId === null || rule.customerId === customerId,
      );
      const own = coupons.get(subscription.id) ?? [];
      all.push({ subscription, cards, taxRules, coupons: own });
    }
    return all;
  }

  /** The same terms with other phases. */
  async changed(
    { accountId }: Scope,
    terms: BillingTerms,
    timeline: Timeline,
  ): Promise<BillingTerms> {
    const subscription = { ...terms.subscription, timeline };
    return { ...terms, subscription, cards: await this.cards({ accountId, timeline }) };
  }

  /** The rate cards of all phases. */
  cards(of: Pick<SubscriptionOverTime, 'accountId' | 'timeline'>): Promise<RateCards> {
    return this.cardsOf(this.db, of);
  }

  private async cardsOf(
    db: Prisma.TransactionClient,
    { accountId, timeline }: Pick<SubscriptionOverTime, 'accountId' | 'timeline'>,
  ): Promise<RateCards> {
    const cards = new Map<string, BilledRateCard>();
    for (const phase of timeline) {
      const key = cardKey(phase);
      if (!cards.has(key)) cards.set(key, await this.rateCard(db, { accountId, ...phase }));
    }
    return cards;
  }

  private async rateCard(
    db: Prisma.TransactionClient,
    {
      accountId,
      rateCardId,
      rateCardVersion: version,
    }: Pick<Subscription, 'accountId' | 'rateCardId' | 'rateCardVersion'>,
  ): Promise<BilledRateCard> {
    const key = `${accountId} ${rateCardId} ${version}`;
    const known = this.versions.get(key);
    if (known) return known;
    const { currency, items } = await db.rateCardVersion.findUniqueOrThrow({
      where: { rateCardId_version: { rateCardId, version }, accountId },
    });
    const prices = parseRateCardItems({ currency, items: items as readonly object[] });
    const card = { id: rateCardId, version, currency, prices };
    const [oldest] = this.versions.keys();
    if (this.versions.size >= CARDS_MAX && oldest !== undefined) this.versions.delete(oldest);
    this.versions.set(key, card);
    return card;
  }
}
