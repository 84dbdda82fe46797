import {
  Decimal,
  JsonFields,
  decimalText,
  exactMoney,
  isCurrency,
  toMoney,
  type DecimalForm,
  type FieldFault,
} from '@core/kernel';
import { AMOUNT, type TierCharge } from './charge.js';
import { InvalidPricePreview } from './errors.js';
import { rateOf, readPrice, type Price, type PricedUse, type Rate } from './price.js';

const STEPS_MAX = 1_000;
const QUANTITY: DecimalForm = { sign: 'not-negative', scale: 12 };
const SIGNED_AMOUNT: DecimalForm = { sign: 'any', scale: 18 };

/** A tier as the API shows it: decimals as strings, in plain notation. */
export interface TierChargeJson {
  readonly upTo: string | null;
  readonly quantity: string;
  readonly unitAmount?: string;
  readonly ratePercent?: string;
  readonly flatAmount: string;
  readonly amount: string;
}

/** What one quantity would be charged now. */
export interface PricePreview {
  /** Exact, in major units: price of the cumulative quantity − what was billed. May be negative. */
  readonly amount: string;
  readonly rounded: { readonly minor: string; readonly currency: string };
  /** The tiers that the cumulative quantity enters, before what was billed is taken off. */
  readonly tiers: readonly TierChargeJson[];
}

/** What each of several growing (or corrected) quantities would book, in minor units. */
export interface PriceStepsPreview {
  readonly deltas: readonly string[];
}

interface PreviewRequest {
  readonly currency: string;
  readonly rate: Rate;
  /** Cumulative uses over the period, in order. */
  readonly uses: readonly PricedUse[];
  /** Whether they were sent as a list, which is answered with deltas. */
  readonly isSteps: boolean;
  readonly billed: Decimal;
  /** Whether it was sent as an amount, and not as a quantity that is priced again. */
  readonly isMoney: boolean;
  readonly isFinal: boolean;
}

/**
 * Answers `POST /v1/prices/preview`; throws `InvalidPricePreview` naming every faulty field.
 *
 * What was billed by quantity is priced again without a minimum, since it was not the last line then.
 * The deltas of several quantities add up to what the last of them alone would be charged, rounded.
 */
export function previewPrice(json: unknown): PricePreview | PriceStepsPreview {
  const { currency, rate, uses, isSteps, billed, isMoney, isFinal } = parsePreview(json);
  const priced = uses.map((use, index) =>
    rate(use, { isFinal: isFinal && index === uses.length - 1 }),
  );
  const booked = priced.map(({ amount }) => bookedMinor({ amount, billed, isMoney, currency }));
  if (isSteps) {
    return {
      deltas: booked.map((minor, index) => (minor - (booked[index - 1] ?? 0n)).toString()),
    };
  }
  const [{ amount, tiers }, minor] = [first(priced), first(booked)];
  return {
    amount: plain(amount.sub(billed)),
    rounded: { minor: minor.toString(), currency },
    tiers: tiers.map(tierChargeJson),
  };
}

/**
 * The difference, rounded. What was billed as money was rounded then, so it is taken off what is rounded now: 3.685 of which 3.69
 * was billed leaves nothing, and not a cent to give back.
 */
function bookedMinor(of: {
  readonly amount: Decimal;
  readonly billed: Decimal;
  readonly isMoney: boolean;
  readonly currency: string;
}): bigint {
  const { amount, billed, isMoney, currency } = of;
  const before = isMoney ? exactMoney(billed, currency) : null;
  if (before) return toMoney(amount, currency).minor - before.minor;
  return toMoney(amount.sub(billed), currency).minor;
}

/** Writes the charge of a tier as the API shows it. */
export function tierChargeJson(tier: TierCharge): TierChargeJson {
  return { ...tier, quantity: plain(tier.quantity), amount: plain(tier.amount) };
}

function parsePreview(json: unknown): PreviewRequest {
  const faults: FieldFault[] = [];
  const fields = new JsonFields(json, '', faults);
  const currency = fields.text('currency', 3);
  if (currency !== '' && !isCurrency(currency)) {
    fields.refuse('currency', 'must be an ISO 4217 currency code, such as "EUR"');
  }
  const price = fields.member('price', readPrice);
  const isSteps = fields.has('quantities');
  const uses = price.model === 'percentage' ? readEvents(fields) : readQuantities(fields, price);
  const billedUse = readBilledQuantity(fields, price);
  const billedAmount = fields.optionalDecimal('billedAmount', SIGNED_AMOUNT);
  if (billedUse !== undefined && billedAmount !== undefined) {
    fields.refuse('billedAmount', 'must not be sent beside billedQuantity');
  }
  const isFinal = fields.boolean('isFinal', true);
  fields.refuseUnknown();
  if (faults.length > 0) throw new InvalidPricePreview({ errors: faults });

  const rate = rateOf(price);
  const billed =
    billedUse === undefined
      ? new Decimal(billedAmount ?? 0)
      : rate(billedUse, { isFinal: false }).amount;
  return { currency, rate, uses, isSteps, billed, isMoney: billedUse === undefined, isFinal };
}

function readEvents(fields: JsonFields): PricedUse[] {
  refuseBeside(fields, 'a percentage is charged on events', ['quantity', 'quantities']);
  const amounts = fields.list('events', { min: 0, max: STEPS_MAX }, decimalText(AMOUNT));
  return [{ events: amounts.map((amount) => new Decimal(amount)) }];
}

function readQuantities(fields: JsonFields, price: Price): PricedUse[] {
  refuseBeside(fields, `only a percentage is charged on events`, ['events']);
  if (fields.has('quantities')) {
    refuseBeside(fields, 'must not be sent beside quantities', ['quantity']);
    const steps = fields.list('quantities', { min: 1, max: STEPS_MAX }, decimalText(QUANTITY));
    return steps.map((quantity) => ({ quantity: new Decimal(quantity) }));
  }
  // A flat price is the same for any quantity, so it need not be sent.
  if (price.model === 'flat' && !fields.has('quantity')) return [{ quantity: new Decimal(0) }];
  return [{ quantity: new Decimal(fields.decimal('quantity', QUANTITY)) }];
}

function readBilledQuantity(fields: JsonFields, price: Price): PricedUse | undefined {
  if (price.model === 'percentage') {
    refuseBeside(fields, 'a percentage is billed by events: send billedAmount', ['billedQuantity']);
    return undefined;
  }
  const billed = fields.optionalDecimal('billedQuantity', QUANTITY);
  return billed === undefined ? undefined : { quantity: new Decimal(billed) };
}

function refuseBeside(fields: JsonFields, detail: string, names: readonly string[]): void {
  for (const name of names) if (fields.has(name)) fields.refuse(name, detail);
}

function first<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined) throw new RangeError('The list is empty.');
  return item;
}

/** Plain notation without a negative zero. */
function plain(value: Decimal): string {
  return value.isZero() ? '0' : value.toFixed();
}
