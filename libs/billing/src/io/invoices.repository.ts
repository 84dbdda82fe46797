import { Injectable } from '@nestjs/common';
import {
  parseRateCardItems,
  type BilledRateCard,
  type InvoiceStatus,
  type TaxRule,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { Database, pageArguments, type PageRequest } from '@io/platform';
import { draftBasis, type DraftBasis, type DraftKey } from './draft-basis.js';
import { toHeads, withLines, type Invoice, type InvoiceHead } from './invoice-rows.js';
import { toSubscription, type Subscription } from './subscriptions.repository.js';
import { toTaxRule } from './tax-rules.repository.js';

/** All that a period's invoice is computed from, but the usage. */
export interface BillingTerms {
  readonly subscription: Subscription;
  readonly rateCard: BilledRateCard;
  readonly taxRules: readonly TaxRule[];
}

/** Which invoices are wanted; the span is of when they were drafted. */
export interface InvoiceFilter {
  readonly customerId?: string;
  readonly status?: InvoiceStatus;
  readonly from?: Date;
  readonly to?: Date;
}

/** A subscription whose open period has ended. */
export interface DueSubscription {
  readonly accountId: string;
  readonly id: string;
}

/** Invoices and what they are made from, as they stand. */
@Injectable()
export class InvoicesRepository {
  constructor(private readonly db: Database) {}

  async terms(
    { accountId, customerId }: Scope,
    subscriptionId: string,
  ): Promise<BillingTerms | null> {
    const row = await this.db.subscription.findFirst({
      where: { accountId, id: subscriptionId, ...(customerId !== undefined && { customerId }) },
    });
    if (!row) return null;
    const { rateCardId, rateCardVersion: version } = row;
    const card = await this.db.rateCardVersion.findUniqueOrThrow({
      where: { rateCardId_version: { rateCardId, version }, accountId },
    });
    const items = card.items as readonly object[];
    const prices = parseRateCardItems({ currency: card.currency, items });
    const rateCard = { id: rateCardId, version, currency: card.currency, prices };
    const rules = await this.db.taxRule.findMany({
      where: { accountId, OR: [{ customerId: null }, { customerId: row.customerId }] },
    });
    return { subscription: toSubscription(row), rateCard, taxRules: rules.map(toTaxRule) };
  }

  /** What a draft depends on besides usage and terms. */
  basis(key: DraftKey): Promise<DraftBasis> {
    return draftBasis(this.db, key);
  }

  /** Subscriptions whose open period has ended by their account's clock, the longest waiting first. */
  due(systemNow: Date, limit: number): Promise<DueSubscription[]> {
    return this.db.$queryRaw<DueSubscription[]>`
      SELECT s.account_id AS "accountId", s.id
      FROM account a
      JOIN subscription s ON s.account_id = a.id
        AND s.closes_at <= ${systemNow}::timestamptz + a.clock_offset_ms * interval '1 millisecond'
      ORDER BY s.closes_at, s.id
      LIMIT ${limit}`;
  }

  async find({ accountId, customerId }: Scope, id: string): Promise<Invoice | null> {
    const row = await this.db.invoice.findFirst({
      where: { accountId, id, ...(customerId !== undefined && { customerId }) },
    });
    return row && withLines(this.db, row);
  }

  async page(
    { accountId, customerId: own }: Scope,
    { customerId, status, from, to }: InvoiceFilter,
    page: PageRequest,
  ): Promise<InvoiceHead[]> {
    const { where, ...rest } = pageArguments(page);
    const filters = [
      own === undefined ? {} : { customerId: own },
      customerId === undefined ? {} : { customerId },
      status === undefined ? {} : { status },
      { createdAt: { ...(from && { gte: from }), ...(to && { lt: to }) } },
      where,
    ];
    const rows = await this.db.invoice.findMany({ where: { accountId, AND: filters }, ...rest });
    return toHeads(this.db, rows);
  }
}
