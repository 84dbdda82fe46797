import { Injectable } from '@nestjs/common';
import type { TaxedDraft } from '@core/billing';
import type { Scope } from '@core/identity';
import { NotFound } from '@io/platform';
import { CreditsService } from './credits.service.js';
import { InvoicesRepository } from './invoices.repository.js';
import { RatingService } from './rating.service.js';
import { TermsRepository } from './terms.repository.js';

/** What periods will be charged, before they have ended. Stores nothing. */
@Injectable()
export class PreviewsService {
  constructor(
    private readonly terms: TermsRepository,
    private readonly invoices: InvoicesRepository,
    private readonly rating: RatingService,
    private readonly credits: CreditsService,
  ) {}

  /** What the open period would be charged if it were final with what is rolled up now; null when none is open. */
  async preview(scope: Scope, subscriptionId: string): Promise<TaxedDraft | null> {
    const terms = await this.terms.find(scope, subscriptionId);
    if (!terms) throw new NotFound('subscription', subscriptionId);
    const { accountId, customerId, currency, billedTo: from, closesAt: to } = terms.subscription;
    if (to === null) return null;
    const period = { from, to };
    const key = { subscriptionId, customerId, currency, period, invoiceId: null };
    const basis = await this.invoices.basis(accountId, key);
    const [draft = null] = await this.rating.rate([{ terms, period, basis }]);
    return draft && this.credits.previewed(terms.subscription, draft);
  }
}
