import {
  Currency,
  Flag,
  Instant,
  JsonList,
  JsonObject,
  Nested,
  OneOf,
  Quantity,
  Text,
  TextList,
} from '@io/platform';

/** The body of a price preview, for the documentation: the domain reads and checks it (@core/pricing). */
export class PreviewPriceBody {
  @Currency()
  currency: string;

  @JsonObject({ example: { model: 'per-unit', unitAmount: '0.0000035' } })
  price: object;

  @Quantity({ optional: true, description: 'What was used since the period began.' })
  quantity?: string;

  @TextList({
    optional: true,
    max: 1_000,
    itemMax: 40,
    description: 'Cumulative quantities over the period; the answer is what each step would book.',
  })
  quantities?: string[];

  @TextList({
    optional: true,
    max: 1_000,
    itemMax: 46,
    description: 'Only of the model `percentage`: the amounts of its events, in order.',
  })
  events?: string[];

  @Quantity({ optional: true, description: 'What was billed already, as a quantity.' })
  billedQuantity?: string;

  @Text({ optional: true, max: 46, description: 'What was billed already, as an amount.' })
  billedAmount?: string;

  @Flag({ optional: true, description: 'Last line of the period: minimums apply only then.' })
  isFinal?: boolean;
}

/** A sum in minor units. */
export class RoundedView {
  @Text({ example: '116550' })
  minor: string;

  @Currency()
  currency: string;
}

/** What a quantity would be charged, or with `quantities` what each step would book. */
export class PricePreviewView {
  @Text({ optional: true, max: 200, description: 'Exact, in major units.', example: '1165.5' })
  amount?: string;

  @Nested(() => RoundedView, { optional: true })
  rounded?: RoundedView;

  @JsonList({ optional: true, max: 100, description: 'The tiers that the quantity enters.' })
  tiers?: object[];

  @TextList({ optional: true, max: 1_000, itemMax: 60, description: 'In minor units.' })
  deltas?: string[];
}

/** The body of a preview of a billing period, for the documentation (@core/billing). */
export class PreviewPeriodBody {
  @JsonObject({ example: { kind: 'calendar', interval: 'month', timezone: 'Europe/Paris' } })
  rule: object;

  @Instant()
  at: string;

  @OneOf(['containing', 'previous', 'next'], { optional: true })
  which?: string;
}

/** A half-open period `[from, to)`. */
export class PeriodView {
  @Instant()
  from: string;

  @Instant()
  to: string;
}
