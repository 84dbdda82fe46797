import assert from 'node:assert';
import { Injectable } from '@nestjs/common';
import {
  currentPeriod,
  openPeriod,
  projectionStanding,
  withPhases,
  type ProjectionStanding,
  type TaxedDraft,
} from '@core/billing';
import type { Scope } from '@core/identity';
import type { Period } from '@core/kernel';
import { NotFound } from '@io/platform';
import { redeemedCoupon, type StoredCoupon } from './coupon-rows.js';
import { CreditsService } from './credits.service.js';
import { InvoicesRepository } from './invoices.repository.js';
import { partsToRate, usedParts } from './parts-to-rate.js';
import { RatingService, type RatingTask } from './rating.service.js';
import type { TermsChange } from './changed-terms.service.js';
import { SubscriptionChangesService, type ChangeInstant } from './subscription-changes.service.js';
import { TermsRepository, type BillingTerms } from './terms.repository.js';
import type { SubscriptionOverTime } from './timelines.js';

/** An invoice without something and with it; null where nothing would be billed any more. */
export interface DraftPreviews {
  readonly before: TaxedDraft | null;
  readonly after: TaxedDraft | null;
}

/** An invoice before and after a change. */
export interface ChangePreview extends DraftPreviews {
  readonly at: Date;
  /** False when nothing would be different. */
  readonly isChange: boolean;
}

/** The open period as it stands, and as it will be when it ends. */
export interface ProjectedPeriod extends ProjectionStanding {
  readonly soFar: TaxedDraft;
  /** Null while too little is known. */
  readonly projected: TaxedDraft | null;
}

/** What periods will be charged, before they have ended. Stores nothing. */
@Injectable()
export class PreviewsService {
  constructor(
    private readonly terms: TermsRepository,
    private readonly invoices: InvoicesRepository,
    private readonly rating: RatingService,
    private readonly credits: CreditsService,
    private readonly changes: SubscriptionChangesService,
  ) {}

  /**
   * What the invoice would be of the period that a change falls into, without it and with it, by what was used of it so far. Throws as
   * the change itself.
   */
  async change(
    scope: Scope,
    id: string,
    change: TermsChange & { readonly at: ChangeInstant },
  ): Promise<ChangePreview> {
    const { at, phases } = await this.changes.planned(scope, id, change);
    const terms = await this.get(scope, id);
    const { subscription } = terms;
    const changed = await this.terms.changed(
      scope,
      terms,
      withPhases(subscription.timeline, phases),
    );
    const before = periodAt(subscription, at);
    const after = before && periodAt(changed.subscription, before.from);
    return {
      at,
      isChange: phases.length > 0,
      before: before && (await this.draft(terms, before)),
      after: after && (await this.draft(changed, after)),
    };
  }

  /** What the open period would be charged without a coupon, and if it were redeemed at an instant. */
  async withCoupon(
    scope: Scope,
    subscriptionId: string,
    { coupon, at }: { readonly coupon: StoredCoupon; readonly at: Date },
  ): Promise<DraftPreviews> {
    const terms = await this.get(scope, subscriptionId);
    const { billedTo: from, closesAt: to } = terms.subscription;
    if (to === null) return { before: null, after: null };
    // The last one that was redeemed.
    const redemption = { id: '~', redeemedAt: at, endedAt: null };
    const coupons = [...terms.coupons, redeemedCoupon(coupon, redemption, new Set())];
    const [before, after = null] = await this.drafts({ from, to }, [
      { terms },
      { terms: { ...terms, coupons } },
    ]);
    return { before, after };
  }

  /** What the open period would be charged if it were final with what is rolled up now; null when none is open. */
  async preview(scope: Scope, subscriptionId: string): Promise<TaxedDraft | null> {
    const terms = await this.get(scope, subscriptionId);
    const { billedTo: from, closesAt: to } = terms.subscription;
    return to === null ? null : this.draft(terms, { from, to });
  }

  /** What the period that usage is counted in asks for so far, without what is asked for the next one in advance; null when none is open. */
  async dueSoFar(scope: Scope, subscriptionId: string): Promise<TaxedDraft | null> {
    const terms = await this.get(scope, subscriptionId);
    const { subscription } = terms;
    const period = currentPeriod(subscription.timeline, subscription);
    if (!period) return null;
    const [draft] = await this.drafts(period, [{ terms, isOnlyOwn: true }]);
    return draft;
  }

  /**
   * What it is charged so far, and what it will be when the period ends, if usage goes on as it did: fees, included units, bounds and discounts are those of
   * the whole period either way, and tiers those of what will have been used. Null when no period is open.
   */
  async projection(
    scope: Scope,
    subscriptionId: string,
    asOf: Date,
  ): Promise<ProjectedPeriod | null> {
    const terms = await this.get(scope, subscriptionId);
    const { subscription } = terms;
    const period = currentPeriod(subscription.timeline, subscription);
    if (!period) return null;
    const parts = usedParts(partsToRate(subscription, period), []);
    const standing = projectionStanding(parts, asOf);
    const ways = standing.isTooEarly ? [{ terms }] : [{ terms }, { terms, projectedAt: asOf }];
    const [soFar, projected = null] = await this.drafts(period, ways);
    return { ...standing, soFar, projected };
  }

  private async draft(terms: BillingTerms, period: Period): Promise<TaxedDraft> {
    const [draft] = await this.drafts(period, [{ terms }]);
    return draft;
  }

  /** A period of one subscription in several ways, by one reading of its usage and its invoices; the first is always there. */
  private async drafts(
    period: Period,
    ways: readonly Pick<RatingTask, 'terms' | 'projectedAt' | 'isOnlyOwn'>[],
  ): Promise<[TaxedDraft, ...TaxedDraft[]]> {
    const subscription = ways[0]?.terms.subscription;
    assert(subscription, 'There is a way.');
    const { accountId, id: subscriptionId, customerId, currency } = subscription;
    const key = { subscriptionId, customerId, currency, period, invoiceId: null };
    const basis = await this.invoices.basis(accountId, key);
    const rated = await this.rating.rate(ways.map((way) => ({ ...way, period, basis })));
    const [first, ...rest] = await Promise.all(
      rated.map((draft) => this.credits.previewed(subscription, draft)),
    );
    assert(first, 'A period is rated.');
    return [first, ...rest];
  }

  private async get(scope: Scope, subscriptionId: string): Promise<BillingTerms> {
    const terms = await this.terms.find(scope, subscriptionId);
    if (!terms) throw new NotFound('subscription', subscriptionId);
    return terms;
  }
}

/** The period that an instant lies in, of those that have no invoice; null after the last. */
function periodAt({ timeline, billedTo, endsAt }: SubscriptionOverTime, at: Date): Period | null {
  let open = openPeriod(timeline, { billedTo, endsAt });
  while (open && open.period.to <= at)
    open = openPeriod(timeline, { billedTo: open.period.to, endsAt });
  return open && open.period;
}
