import type { GapRange, GapWaiver, UsageGap } from '@io/metering';
import { Id, Instant, Int, ListOf, PageQuery, Quantity, Text } from '@io/platform';

const SEQUENCE = { min: 0, max: Number.MAX_SAFE_INTEGER };

class RangeView {
  @Int(SEQUENCE)
  first: number;

  @Int(SEQUENCE)
  last: number;

  @Instant({ description: 'When a later batch first showed that these are missing.' })
  since: string;

  @Quantity({
    nullable: true,
    description:
      'By the mean of the batches right before and after; null when their records are kept no more.',
  })
  estimatedCalls: string | null;

  static from({ since, ...range }: GapRange): RangeView {
    return { ...range, since: since.toISOString() };
  }
}

/** Batches of one epoch of a gateway that never came, and that nobody waived. */
export class UsageGapView {
  @Id()
  gatewayId: string;

  @Text({ max: 64 })
  epoch: string;

  @Int({ ...SEQUENCE, description: 'The highest number that came.' })
  highest: number;

  @Int({ ...SEQUENCE, description: 'How many below it did not, and were not waived.' })
  missing: number;

  @Instant({ description: 'When a later batch first showed that these are missing.' })
  since: string;

  @Int({ ...SEQUENCE, description: 'How long ago that was.' })
  ageSeconds: number;

  @Quantity({ nullable: true, description: 'Of the ranges that could be estimated.' })
  estimatedCalls: string | null;

  @ListOf(() => RangeView, { max: 1_000, description: 'Their numbers, both ends included.' })
  ranges: RangeView[];

  static from({ since, ranges, ...gap }: UsageGap): UsageGapView {
    return {
      ...gap,
      since: since.toISOString(),
      ranges: ranges.map((range) => RangeView.from(range)),
    };
  }
}

export class UsageGapsView {
  @ListOf(() => UsageGapView, { max: 1_000 })
  items: UsageGapView[];
}

export class WaiveGapDto {
  @Id()
  gatewayId: string;

  @Text({ max: 64 })
  epoch: string;

  @Int({ ...SEQUENCE, description: 'The first number that will not come.' })
  first: number;

  @Int({ ...SEQUENCE, description: 'The last, included; all between them must be missing.' })
  last: number;

  @Text({ max: 1_024, description: 'Why nobody waits for them; it is shown and audited.' })
  reason: string;
}

/** Missing batches that a person gave up on. One that comes after all counts; the waiver stays. */
export class GapWaiverView {
  @Id()
  id: string;

  @Id()
  gatewayId: string;

  @Text({ max: 64 })
  epoch: string;

  @Int(SEQUENCE)
  first: number;

  @Int(SEQUENCE)
  last: number;

  @Text({ max: 1_024 })
  reason: string;

  @Id({ description: 'Whose token it was.' })
  createdBy: string;

  @Instant()
  createdAt: string;

  static from({ first, last, createdAt, ...waiver }: GapWaiver): GapWaiverView {
    return {
      ...waiver,
      first: Number(first),
      last: Number(last),
      createdAt: createdAt.toISOString(),
    };
  }
}

export class GapWaiverQuery extends PageQuery {}

export class GapWaiverPage {
  @ListOf(() => GapWaiverView, { max: 500 })
  items: GapWaiverView[];

  @Text({ optional: true })
  next?: string;
}
