import { Decimal, decimal, formatMoney, toMoney } from '@core/kernel';
import { priceAmount } from '@core/pricing';
import { ADD_ON_PREFIX } from './add-ons.js';
import type { CommitmentSnapshot } from './commitment.js';
import type { AdjustmentSource } from './draft-invoice.js';
import type { InvoiceLine } from './invoice-lines.js';
import { discountOf } from './line-discount.js';
import type { PriceItem, RatingSnapshot } from './price-lines.js';
import { prorate, proratedPrice } from './proration.js';

/** What changes an amount on its way from what the model asks to what the line says. */
export const AMOUNT_STEPS = [
  /** What the model asks for the units: the tiers, if any, add up to it. */
  'gross',
  'discount',
  'maximum',
  'minimum',
  /** Of an add-on: what is not asked for, since the period has a part only. */
  'share',
  /** Of a commitment: what of it the prices asked for. */
  'other-lines',
  'rounding',
  /** Of late usage and of what is asked in advance: what the period's own line charges. */
  'own-line',
  /** Likewise: what was billed for the period before. */
  'billed-before',
  /** What coupons take off. */
  'coupon',
  /** What a grant of credit pays. */
  'credit',
  /** A sum that a person decided on. */
  'decided',
  /** The tax that an inclusive price contains. */
  'tax-within',
] as const;

/** One of them, in major units. The steps of a line add up to its amount. */
export interface AmountStep {
  readonly step: (typeof AMOUNT_STEPS)[number];
  readonly amount: string;
}

/** How the metered quantity became the units that are charged. */
export interface ExplainedUnits {
  readonly metered: string;
  /** After conversion and its rounding. */
  readonly converted: string;
  /** What of it is included in the price. */
  readonly included: string;
  readonly charged: string;
}

/** Why a line says what it says, from what is kept with it. */
export interface LineExplanation {
  /** What was rated: the line's own price, or that of another period; null when it is of neither. */
  readonly rating: RatingSnapshot | null;
  readonly units: ExplainedUnits | null;
  readonly steps: readonly AmountStep[];
}

/** Takes a line apart. The price is computed again, and what was rounded since is told. */
export function explainLine(line: InvoiceLine, currency: string): LineExplanation {
  const { rating, source } = line;
  const rated = rating ?? (source && 'rating' in source ? source.rating : null);
  const decided = BigInt(line.tax?.grossMinor ?? line.amountMinor);
  const coupon = { step: 'coupon' as const, amount: money(-discountOf(line.discounts), currency) };
  const steps = rated
    ? [...priceSteps(rated, currency), ...stepsElsewhere(source, rated, currency), coupon]
    : [
        {
          step: source?.kind === 'credit' ? ('credit' as const) : ('decided' as const),
          amount: money(decided, currency),
        },
      ];
  return {
    rating: rated,
    units: rated && explainedUnits(rated),
    steps: withoutZeros([
      ...steps,
      { step: 'tax-within', amount: money(line.amountMinor - decided, currency) },
    ]),
  };
}

/** Where thirds are cut in steps; the rounding takes what that leaves. */
const STEP_PLACES = 40;

function priceSteps(rating: RatingSnapshot, currency: string): AmountStep[] {
  if (rating.commitment) return commitmentSteps(rating, rating.commitment, currency);
  const { share, priceId } = rating;
  const isAddOn = priceId.startsWith(ADD_ON_PREFIX);
  // Of a price its fee, bounds and included units are shared; of an add-on what it costs in the end.
  const price = share && !isAddOn ? proratedPrice(rating.price, share) : rating.price;
  const times = isAddOn && price.model === 'flat' ? decimal(rating.quantity) : new Decimal(1);
  const { discountPercent, maximumAmount, minimumAmount } = price;
  const gross = decimal(rating.grossAmount);
  const discounted = gross.mul(new Decimal(100).sub(discountPercent ?? 0)).div(100);
  const capped = maximumAmount ? Decimal.min(discounted, times.mul(maximumAmount)) : discounted;
  const due = minimumAmount ? Decimal.max(capped, times.mul(minimumAmount)) : capped;
  const shared = share && isAddOn ? prorate(due, share) : due;
  const rounded = decimal(money(BigInt(rating.roundedMinor), currency));
  const steps = [
    { step: 'gross' as const, by: gross },
    { step: 'discount' as const, by: discounted.sub(gross) },
    { step: 'maximum' as const, by: capped.sub(discounted) },
    { step: 'minimum' as const, by: due.sub(capped) },
    { step: 'share' as const, by: shared.sub(due) },
  ].map(({ step, by }) => ({ step, by: by.toDecimalPlaces(STEP_PLACES) }));
  const rounding = steps.reduce((left, { by }) => left.sub(by), rounded);
  return [...steps, { step: 'rounding' as const, by: rounding }].map(({ step, by }) => ({
    step,
    amount: by.toFixed(),
  }));
}

function commitmentSteps(
  { roundedMinor }: RatingSnapshot,
  { amount }: CommitmentSnapshot,
  currency: string,
): AmountStep[] {
  const rounded = BigInt(roundedMinor);
  const whole = toMoney(decimal(amount), currency).minor;
  const rounding = decimal(money(whole, currency)).sub(amount);
  return [
    { step: 'gross', amount },
    { step: 'other-lines', amount: money(rounded - whole, currency) },
    { step: 'rounding', amount: rounding.toFixed() },
  ];
}

function stepsElsewhere(
  source: AdjustmentSource | null,
  rating: RatingSnapshot,
  currency: string,
): AmountStep[] {
  if (!source || !('rating' in source)) return [];
  const [whole, before, line] = [rating.roundedMinor, source.billedMinor, source.roundedMinor].map(
    BigInt,
  ) as [bigint, bigint, bigint];
  return [
    { step: 'billed-before', amount: money(-before, currency) },
    { step: 'own-line', amount: money(line - (whole - before), currency) },
  ];
}

function explainedUnits({ price, quantity, units }: RatingSnapshot): ExplainedUnits {
  const { convert } = price;
  const asIs = { model: 'per-unit' as const, unitAmount: '0', ...(convert && { convert }) };
  const { units: converted } = priceAmount(
    asIs,
    { quantity: decimal(quantity) },
    { isFinal: true },
  );
  return {
    metered: quantity,
    converted: converted.toFixed(),
    included: converted.sub(units).toFixed(),
    charged: units,
  };
}

type RatedBy = Pick<RatingSnapshot, 'priceId' | 'meter' | 'protocol'>;

/**
 * The protocols whose usage of a meter a price is charged for, as `draftInvoice` gives usage to prices: its own, or what no
 * other price of the card claims. Null when that is all there are.
 */
export function protocolsOf(
  prices: readonly PriceItem[],
  { priceId, meter, protocol }: RatedBy,
): readonly string[] | null {
  if (protocol !== undefined) return [protocol];
  const claimed = prices
    .filter((price) => price.meter === meter && price.id !== priceId)
    .map((price) => price.protocol);
  const left = (['REST', 'HTTP', 'WEBSOCKET'] as const).filter((one) => !claimed.includes(one));
  return left.length === 3 ? null : left;
}

const money = (minor: bigint, currency: string) => formatMoney({ minor, currency });

/** Without the steps that change nothing; a line of nothing keeps its first. */
function withoutZeros(steps: readonly AmountStep[]): AmountStep[] {
  return steps.filter(({ amount }, index) => index === 0 || !decimal(amount).isZero());
}
