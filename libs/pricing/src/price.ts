import assert from 'node:assert';
import { Decimal, JsonFields, type DecimalForm, type FieldFault, type ReadAt } from '@core/kernel';
import { AMOUNT, type Charge, type ChargeOf, type TierCharge } from './charge.js';
import { converter, readConversion, type Conversion } from './conversion.js';
import { InvalidPrice } from './errors.js';
import { flatCharge, readFlatPrice, type FlatPrice } from './flat-price.js';
import {
  graduatedPercentageCharge,
  readGraduatedPercentagePrice,
  type GraduatedPercentagePrice,
} from './graduated-percentage-price.js';
import { graduatedCharge, readGraduatedPrice, type GraduatedPrice } from './graduated-price.js';
import { multiplierCharge, readMultiplierPrice, type MultiplierPrice } from './multiplier-price.js';
import { packageCharge, readPackagePrice, type PackagePrice } from './package-price.js';
import { perUnitCharge, readPerUnitPrice, type PerUnitPrice } from './per-unit-price.js';
import { percentageCharge, readPercentagePrice, type PercentagePrice } from './percentage-price.js';
import { readVolumePrice, volumeCharge, type VolumePrice } from './volume-price.js';

/** What may stand around any model. Amounts are in major units. */
export interface PriceTerms {
  readonly convert?: Conversion;
  /** Free units, after conversion and rounding. */
  readonly includedUnits?: string;
  /** 0 to 100. */
  readonly discountPercent?: string;
  /** For a whole period; applies to its last line only. */
  readonly minimumAmount?: string;
  readonly maximumAmount?: string;
}

type QuantityPrice =
  | FlatPrice
  | PerUnitPrice
  | GraduatedPrice
  | VolumePrice
  | GraduatedPercentagePrice
  | PackagePrice
  | MultiplierPrice;

/** How a quantity, or a list of events, becomes an amount. Plain JSON, exactly as the API shows it. */
export type Price = (QuantityPrice | PercentagePrice) & PriceTerms;

/** The model names, in the order the documentation lists them. */
export const PRICE_MODELS = [
  'per-unit',
  'flat',
  'graduated',
  'volume',
  'graduated-percentage',
  'package',
  'percentage',
  'multiplier',
] as const;

/** What was used in a period, from its start: a quantity, or for `percentage` the amounts of its events in order. */
export type PricedUse = { readonly quantity: Decimal } | { readonly events: readonly Decimal[] };

/** An amount with what it was made of. All amounts are exact, in major units, none is negative. */
export interface PricedAmount {
  /** Units that were charged, after conversion and free units; for events the sum of their amounts. */
  readonly units: Decimal;
  readonly tiers: readonly TierCharge[];
  /** What the model asks, before discount, maximum and minimum. The tiers, if any, add up to it. */
  readonly gross: Decimal;
  readonly amount: Decimal;
}

const PERCENT: DecimalForm = AMOUNT;

/**
 * Decimals an amount is kept to. Every product of accepted inputs has at most 70 (12 of the quantity, 18 of a
 * conversion, 20 of a price or percentage, 20 of the discount) and stays exact; a third is cut, and three thirds are whole.
 */
const EXACT_PLACES = 80;

/** Reads a price; throws `InvalidPrice` naming every faulty field. */
export function parsePrice(json: unknown): Price {
  const faults: FieldFault[] = [];
  const price = readPrice(json, '', faults);
  if (faults.length > 0) throw new InvalidPrice({ errors: faults });
  return price;
}

/** Reads a price that stands inside other JSON. */
export const readPrice: ReadAt<Price> = (json, pointer, faults) => {
  const fields = new JsonFields(json, pointer, faults);
  const faultsBefore = faults.length;
  const model = fields.choice('model', PRICE_MODELS);
  const isModelFaulty = faults.length > faultsBefore;
  if (isModelFaulty) return { model: 'flat', amount: '0' };
  const price = { ...readModel(model, fields), ...readTerms(fields) };
  fields.refuseUnknown();
  return price;
};

function readModel(model: Price['model'], fields: JsonFields): QuantityPrice | PercentagePrice {
  switch (model) {
    case 'flat':
      return readFlatPrice(fields);
    case 'per-unit':
      return readPerUnitPrice(fields);
    case 'graduated':
      return readGraduatedPrice(fields);
    case 'volume':
      return readVolumePrice(fields);
    case 'graduated-percentage':
      return readGraduatedPercentagePrice(fields);
    case 'package':
      return readPackagePrice(fields);
    case 'percentage':
      return readPercentagePrice(fields);
    case 'multiplier':
      return readMultiplierPrice(fields);
  }
}

function readTerms(fields: JsonFields): PriceTerms {
  const includedUnits = fields.optionalDecimal('includedUnits', AMOUNT);
  const discountPercent = fields.optionalDecimal('discountPercent', PERCENT);
  const minimumAmount = fields.optionalDecimal('minimumAmount', AMOUNT);
  const maximumAmount = fields.optionalDecimal('maximumAmount', AMOUNT);
  if (discountPercent !== undefined && new Decimal(discountPercent).gt(100)) {
    fields.refuse('discountPercent', 'must not be above 100');
  }
  if (minimumAmount && maximumAmount && new Decimal(minimumAmount).gt(maximumAmount)) {
    fields.refuse('minimumAmount', 'must not be above maximumAmount');
  }
  return {
    ...(fields.has('convert') && { convert: fields.member('convert', readConversion) }),
    ...(includedUnits !== undefined && { includedUnits }),
    ...(discountPercent !== undefined && { discountPercent }),
    ...(minimumAmount !== undefined && { minimumAmount }),
    ...(maximumAmount !== undefined && { maximumAmount }),
  };
}

/** A price whose numbers were read: prices a use as `priceAmount` does. */
export type Rate = (use: PricedUse, line: { readonly isFinal: boolean }) => PricedAmount;

/**
 * Prices everything used since the period began, without rounding to a currency:
 * convert → round → free units → model → discount → maximum → minimum.
 *
 * Always price the cumulative use and subtract what was billed. The minimum applies only when `isFinal`,
 * that is on the last line of the period.
 */
export function priceAmount(
  price: Price,
  use: PricedUse,
  line: { readonly isFinal: boolean },
): PricedAmount {
  return rateOf(price)(use, line);
}

/** Reads the numbers of a price once, for whoever prices many lines by it: that is most of what a line costs. */
export function rateOf(price: Price): Rate {
  const [chargeOf, dueOf] = [chargeUse(price), applyTerms(price)];
  return (use, { isFinal }) => {
    const { units, charge } = chargeOf(use);
    const { amount: gross, tiers } = charge;
    return { units, tiers, gross, amount: dueOf(gross, isFinal) };
  };
}

function applyTerms(terms: PriceTerms): (gross: Decimal, isFinal: boolean) => Decimal {
  const { discountPercent, maximumAmount, minimumAmount } = terms;
  const kept = discountPercent && new Decimal(100).sub(discountPercent).div(100);
  const most = maximumAmount && new Decimal(maximumAmount);
  const least = minimumAmount && new Decimal(minimumAmount);
  return (gross, isFinal) => {
    let due = kept ? gross.mul(kept) : gross;
    if (most) due = Decimal.min(due, most);
    if (least && isFinal) due = Decimal.max(due, least);
    return due.decimalPlaces() > EXACT_PLACES ? due.toDecimalPlaces(EXACT_PLACES) : due;
  };
}

function chargeUse(price: Price): (use: PricedUse) => { units: Decimal; charge: Charge } {
  if (price.model === 'percentage') {
    const [chargeable, charge] = [chargeableEvents(price), percentageCharge(price)];
    return (use) => {
      assert('events' in use, 'A percentage is charged on events.');
      const events = chargeable(use.events);
      return { units: Decimal.sum(0, ...events), charge: charge(events) };
    };
  }
  const [chargeable, charge] = [chargeableUnits(price), quantityCharge(price)];
  return (use) => {
    assert('quantity' in use && !use.quantity.isNegative(), 'A quantity is not below zero.');
    const units = chargeable(use.quantity);
    return { units, charge: charge(units) };
  };
}

function chargeableUnits(terms: PriceTerms): (quantity: Decimal) => Decimal {
  const convert = converter(terms.convert);
  if (terms.includedUnits === undefined) return convert;
  const free = new Decimal(terms.includedUnits);
  return (quantity) => Decimal.max(0, convert(quantity).sub(free));
}

/** Converts each event's amount; the free units come off the first events, whose fixed amounts stay due. */
function chargeableEvents(terms: PriceTerms): (events: readonly Decimal[]) => Decimal[] {
  const convert = converter(terms.convert);
  return (events) => {
    let free = new Decimal(terms.includedUnits ?? 0);
    return events.map((event) => {
      const converted = convert(event);
      const covered = Decimal.min(converted, free);
      free = free.sub(covered);
      return converted.sub(covered);
    });
  };
}

function quantityCharge(price: QuantityPrice): ChargeOf {
  switch (price.model) {
    case 'flat':
      return flatCharge(price);
    case 'per-unit':
      return perUnitCharge(price);
    case 'graduated':
      return graduatedCharge(price);
    case 'volume':
      return volumeCharge(price);
    case 'graduated-percentage':
      return graduatedPercentageCharge(price);
    case 'package':
      return packageCharge(price);
    case 'multiplier':
      return multiplierCharge(price);
  }
}
