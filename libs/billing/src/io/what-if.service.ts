import { Injectable } from '@nestjs/common';
import {
  meteredUsage,
  metersByProtocol,
  parseRateCardItems,
  whatIf,
  type BilledRateCard,
  type PriceDifference,
  type RatedInvoice,
} from '@core/billing';
import type { Scope } from '@core/identity';
import type { Period } from '@core/kernel';
import { InvalidRequest } from '@io/platform';
import { billedParts, cardKey, partsToRate, usageOfPart } from './parts-to-rate.js';
import { RatingService } from './rating.service.js';
import { WhatIfRepository, type SubscribedInvoice } from './what-if.repository.js';

/** Prices that are no rate card yet, and whose invoices to rate again by them. */
export interface WhatIfQuestion {
  readonly currency: string;
  readonly items: readonly object[];
  /** Periods that lie within it as a whole. */
  readonly span: Period;
  readonly customerId?: string;
}

/** What other prices would have made of one customer's invoices. */
export interface WhatIfRow extends PriceDifference {
  readonly customerId: string;
  readonly customerName: string;
  readonly currency: string;
  /** Of the span, in other currencies than the prices: not compared. */
  readonly otherInvoices: number;
}

/** Rates closed periods again by prices that nobody has yet. Stores nothing. */
@Injectable()
export class WhatIfService {
  constructor(
    private readonly invoices: WhatIfRepository,
    private readonly rating: RatingService,
  ) {}

  /** How many customers are compared, and each of them as soon as it is. Refuses a faulty question before the first. */
  async compare(
    scope: Scope,
    { currency, items, span, customerId }: WhatIfQuestion,
  ): Promise<{ readonly customers: number; readonly rows: AsyncIterable<WhatIfRow> }> {
    const prices = parseRateCardItems({ currency, items });
    if (span.to <= span.from) {
      throw new InvalidRequest([{ pointer: '/to', detail: 'must be after `from`' }]);
    }
    if (customerId !== undefined && !(await this.invoices.hasCustomer(scope, customerId))) {
      throw new InvalidRequest([
        { pointer: '/customerId', detail: 'is not a customer of this account' },
      ]);
    }
    const customers = await this.invoices.customers(scope, span, customerId);
    const rateCard = { id: 'what-if', version: 1, currency, prices };
    return { customers: customers.length, rows: this.rows(scope, { customers, span, rateCard }) };
  }

  private async *rows(
    scope: Scope,
    { customers, span, rateCard }: { customers: string[]; span: Period; rateCard: BilledRateCard },
  ): AsyncGenerator<WhatIfRow> {
    const { currency } = rateCard;
    for (const customerId of customers) {
      const invoices = await this.invoices.invoices(scope, span, customerId);
      const comparable = invoices.filter((invoice) => invoice.currency === currency);
      const rated = [];
      for (const invoice of comparable) rated.push(await this.withUsage(invoice, rateCard));
      const { recipient } = invoices.at(-1) ?? {};
      yield {
        customerId,
        customerName: recipient?.legalName ?? recipient?.name ?? '',
        currency,
        ...whatIf(rated, rateCard),
        otherInvoices: invoices.length - comparable.length,
      };
    }
  }

  private async withUsage(
    { subscription, period, lines }: SubscribedInvoice,
    rateCard: BilledRateCard,
  ): Promise<RatedInvoice> {
    const parts = partsToRate(subscription, period);
    const byProtocol = metersByProtocol(rateCard);
    const usage = [];
    for (const part of parts) {
      const used = await this.rating.periodUsages(usageOfPart(subscription, part, byProtocol));
      usage.push(used.flatMap((one) => meteredUsage(one)));
    }
    const cards = new Map(subscription.timeline.map((phase) => [cardKey(phase), rateCard]));
    const rated = billedParts(subscription, period, { parts, cards, usage });
    return { subscription, period, lines, parts: rated };
  }
}
