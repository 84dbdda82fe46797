import { Injectable } from '@nestjs/common';
import { parseRateCardItems, type BilledRateCard, type TaxRule } from '@core/billing';
import type { Scope } from '@core/identity';
import { Database, type Prisma } from '@io/platform';
import { toSubscription, type Subscription } from './subscriptions.repository.js';
import { toTaxRule } from './tax-rules.repository.js';

/** All that a period's invoice is computed from, but the usage. */
export interface BillingTerms {
  readonly subscription: Subscription;
  readonly rateCard: BilledRateCard;
  readonly taxRules: readonly TaxRule[];
}

/** How many versions of rate cards are kept in memory. */
const CARDS_MAX = 1_000;

/** Reads what periods are billed by. */
@Injectable()
export class TermsRepository {
  /** By account, card and version: a version never changes, so it is read once. */
  private readonly cards = new Map<string, BilledRateCard>();

  constructor(private readonly db: Database) {}

  async find({ accountId, customerId }: Scope, id: string): Promise<BillingTerms | null> {
    const row = await this.db.subscription.findFirst({
      where: { accountId, id, ...(customerId !== undefined && { customerId }) },
    });
    if (!row) return null;
    const [terms] = await this.of(this.db, accountId, [toSubscription(row)]);
    return terms ?? null;
  }

  /** The other accounts whose traffic an account's subscriptions charge; of one subscription only, when named. */
  async billedAccounts(accountId: string, subscriptionId?: string): Promise<string[]> {
    const rows = await this.db.subscription.findMany({
      where: {
        accountId,
        billedAccountId: { not: null },
        ...(subscriptionId !== undefined && { id: subscriptionId }),
      },
      distinct: ['billedAccountId'],
      orderBy: { billedAccountId: 'asc' },
      select: { billedAccountId: true },
    });
    return rows.flatMap((row) => row.billedAccountId ?? []);
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
    const all: BillingTerms[] = [];
    for (const subscription of subscriptions) {
      const { customerId } = subscription;
      const rateCard = await this.rateCard(db, subscription);
      const taxRules = rules.filter(
        (rule) => rule.customerId === null || rule.customerId === customerId,
      );
      all.push({ subscription, rateCard, taxRules });
    }
    return all;
  }

  private async rateCard(
    db: Prisma.TransactionClient,
    { accountId, rateCardId, rateCardVersion: version }: Subscription,
  ): Promise<BilledRateCard> {
    const key = `${accountId} ${rateCardId} ${version}`;
    const known = this.cards.get(key);
    if (known) return known;
    const { currency, items } = await db.rateCardVersion.findUniqueOrThrow({
      where: { rateCardId_version: { rateCardId, version }, accountId },
    });
    const prices = parseRateCardItems({ currency, items: items as readonly object[] });
    const card = { id: rateCardId, version, currency, prices };
    const [oldest] = this.cards.keys();
    if (this.cards.size >= CARDS_MAX && oldest !== undefined) this.cards.delete(oldest);
    this.cards.set(key, card);
    return card;
  }
}
