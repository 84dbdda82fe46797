import type { ProjectedPeriod } from '@io/billing';
import { Flag, Id, Instant, Nested, OneOf, Quantity } from '@io/platform';
import { PeriodPreviewView, periodPreviewView } from './invoices.dto.js';

const METHOD = 'usage-by-elapsed-time';

/** What the open period will have cost when it ends, and how that is known. */
export class ProjectionView {
  @Id()
  subscriptionId: string;

  @Instant({
    nullable: true,
    description: 'By the account’s clock; null when nothing is left to bill.',
  })
  asOf: string | null;

  @OneOf([METHOD], {
    description:
      'Usage so far of each meter, and for the time that is left at its pace so far; fees, included units, minimums, maximums and discounts as they will be, and tiers by the projected quantity. Usage of the hours before may still come in.',
  })
  method: string;

  @Quantity({
    nullable: true,
    description: 'How much of the time in which calls can pass has passed, 0 to 1.',
  })
  elapsedShare: string | null;

  @Flag({
    description:
      'True in the first day, or in the first tenth of a shorter period: too little is known, and nothing is projected.',
  })
  isTooEarly: boolean;

  @Nested(() => PeriodPreviewView, { description: 'If the period were over now.' })
  soFar: PeriodPreviewView;

  @Nested(() => PeriodPreviewView, { nullable: true, description: 'When the period ends.' })
  projected: PeriodPreviewView | null;
}

/** A projection as the API shows it. */
export function projectionView(
  subscriptionId: string,
  projection: ProjectedPeriod | null,
): ProjectionView {
  const { asOf, elapsedShare, isTooEarly = false, soFar, projected } = projection ?? {};
  return {
    subscriptionId,
    asOf: asOf?.toISOString() ?? null,
    method: METHOD,
    elapsedShare: elapsedShare?.toFixed() ?? null,
    isTooEarly,
    soFar: periodPreviewView(subscriptionId, soFar ?? null),
    projected: projected ? periodPreviewView(subscriptionId, projected) : null,
  };
}
