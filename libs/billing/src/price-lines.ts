import assert from 'node:assert';
import {
  addMoney,
  allocate,
  Decimal,
  decimal,
  formatMoney,
  toMoney,
  zeroMoney,
  type Money,
  type Period,
} from '@core/kernel';
import {
  priceAmount,
  tierChargeJson,
  type Price,
  type PricedAmount,
  type Protocol,
  type RateCardPrice,
  type TierChargeJson,
} from '@core/pricing';
import { addOnAmount, addOnPriceId, type AddOn } from './add-ons.js';
import { commitmentTrueUp, type CommitmentSnapshot } from './commitment.js';
import { daysOf } from './invoice-dates.js';
import { proratedPrice, type ProrationShare } from './proration.js';

/** One version of a rate card, which never changes, and its prices in the order of the lines. */
export interface BilledRateCard {
  readonly id: string;
  readonly version: number;
  readonly currency: string;
  readonly prices: readonly PriceItem[];
}

/** A price of a rate card, with the id by which lines name it. */
export interface PriceItem extends RateCardPrice {
  readonly id: string;
}

/** What was counted by a meter over the period, or over any part of it: parts are added up. */
export interface MeteredUsage {
  readonly meter: string;
  /** The kind of api it came through; null when the meter does not tell. */
  readonly protocol: Protocol | null;
  readonly quantity: Decimal;
}

/** What a line was made of, as plain JSON: enough to compute it again and to explain it. */
export interface RatingSnapshot {
  readonly rateCardId: string;
  readonly rateCardVersion: number;
  readonly priceId: string;
  readonly price: Price;
  readonly meter: string | null;
  readonly protocol?: Protocol;
  /** The usage plan of the part; absent where the subscription has had one only. */
  readonly usagePlanId?: string;
  /** Of a part of a period: fee, included units, minimum and maximum were asked for this share. */
  readonly share?: ProrationShare;
  /** When the price held, where it did not hold for the whole period. */
  readonly spans?: readonly { readonly from: string; readonly to: string }[];
  /** As metered, before conversion. */
  readonly quantity: string;
  /** As charged: after conversion, rounding and included units. */
  readonly units: string;
  readonly tiers: readonly TierChargeJson[];
  /** Before discount, maximum and minimum. */
  readonly grossAmount: string;
  /** Exact, in major units, before the one rounding. */
  readonly exactAmount: string;
  readonly roundedMinor: string;
  /** Of a commitment: the line asks for what its prices did not. */
  readonly commitment?: CommitmentSnapshot;
}

/** A part of a period throughout which the same terms hold. */
export interface BilledPart {
  readonly period: Period;
  /** Null where the subscription has had one plan only. */
  readonly usagePlanId: string | null;
  /** With the customer's own prices in place. */
  readonly rateCard: BilledRateCard;
  readonly addOns: readonly AddOn[];
  /** Whether anything is asked for: nothing in a trial, and while it is paused. */
  readonly isCharged: boolean;
  /** How much of the would-be period it is. Null means all of it. */
  readonly share: ProrationShare | null;
  /** What was used within it. */
  readonly usage: readonly MeteredUsage[];
}

/** The line of a price: what was used by it, and what that costs, rounded once. */
export interface PriceLine {
  readonly kind: 'price';
  readonly description: string;
  readonly meter: string | null;
  readonly quantity: Decimal;
  readonly exactAmount: Decimal;
  readonly amount: Money;
  readonly rating: RatingSnapshot;
}

/** What one price is asked for, over all parts of the period in which it held. */
interface Charge {
  readonly rateCard: BilledRateCard;
  readonly usagePlanId: string | null;
  readonly item: PriceItem;
  /** Null for a price of the rate card. */
  readonly addOn: AddOn | null;
  readonly quantity: Decimal;
  readonly share: ProrationShare | null;
  readonly spans: readonly Period[];
}

/**
 * The lines of the parts of a period, and what no price names. Parts in which the same price of the same plan held are one line: a change
 * of something else starts no tiers again. Where the plan or the price changed, each side is priced on its own, with its share of what is asked
 * for a whole period; what both sides cost alike is rounded once and split by largest remainder, so that it is what one line would ask.
 */
export function priceLines(
  parts: readonly BilledPart[],
  { period, timezone }: { readonly period: Period; readonly timezone: string },
): { lines: PriceLine[]; unpriced: MeteredUsage[] } {
  const unpriced: MeteredUsage[] = [];
  const charges: Charge[] = [];
  for (const part of parts) {
    if (!part.isCharged) {
      unpriced.push(...part.usage);
      continue;
    }
    const assigned = assignUsage(part.usage, part.rateCard.prices);
    unpriced.push(...assigned.unpriced);
    charges.push(...chargesOf(part, assigned.byPrice));
  }
  const all = parts.length === 1 ? charges : joinedCharges(charges);
  const joined = all.filter(({ item }) => !item.isCommitment);
  const each = joined.map((charge) => priceLine(charge, { period, timezone }));
  const lines = parts.length === 1 ? each : withoutLostUnits(each, joined);
  const commitments = all.filter(({ item }) => item.isCommitment);
  return { lines: [...lines, ...trueUpLines(commitments, lines)], unpriced: addedUp(unpriced) };
}

/** Three thirds are a whole. */
const COMMITTED_PLACES = 40;

/** The line of what is missing to the commitments that held in the period; of the last of them, where there were several. */
function trueUpLines(commitments: readonly Charge[], lines: readonly PriceLine[]): PriceLine[] {
  const last = commitments.at(-1);
  if (!last) return [];
  const { rateCard, item, usagePlanId } = last;
  const { currency } = rateCard;
  const committed = Decimal.sum(
    0,
    ...commitments.map((charge) => priced(charge).amount),
  ).toDecimalPlaces(COMMITTED_PLACES);
  const charged = lines.reduce((sum, { amount }) => addMoney(sum, amount), zeroMoney(currency));
  const amount = commitmentTrueUp(committed, charged);
  const exactAmount = amount.minor === 0n ? new Decimal(0) : committed.sub(formatMoney(charged));
  const { id, meter, price, description } = item;
  return [
    {
      kind: 'price',
      description,
      meter,
      quantity: new Decimal(0),
      exactAmount,
      amount,
      rating: {
        rateCardId: rateCard.id,
        rateCardVersion: rateCard.version,
        priceId: id,
        price,
        meter,
        ...(usagePlanId !== null && { usagePlanId }),
        quantity: '0',
        units: '0',
        tiers: [],
        grossAmount: committed.toFixed(),
        exactAmount: exactAmount.toFixed(),
        roundedMinor: amount.minor.toString(),
        commitment: { amount: committed.toFixed(), chargedMinor: charged.minor.toString() },
      },
    },
  ];
}

/** The key of what a price is asked for in a period: where it held from later on, with that instant. */
export function chargeKey({ priceId, spans }: RatingSnapshot, periodFrom: string): string {
  const from = spans?.[0]?.from ?? periodFrom;
  return from === periodFrom ? priceId : `${priceId} ${from}`;
}

function chargesOf(part: BilledPart, byPrice: ReadonlyMap<PriceItem, Decimal>): Charge[] {
  const { rateCard, usagePlanId, share } = part;
  const common = { rateCard, usagePlanId, share, spans: [part.period] };
  const hasOwn = part.addOns.some(({ isCommitment }) => isCommitment);
  const asked = rateCard.prices.filter(({ isCommitment }) => !(isCommitment && hasOwn));
  const ofCard = asked.map((item): Charge => {
    return { ...common, item, addOn: null, quantity: byPrice.get(item) ?? new Decimal(0) };
  });
  if (share?.used === 0) return ofCard;
  const ofAddOns = part.addOns.map((addOn): Charge => {
    const { description, price, isCommitment } = addOn;
    const about = { meter: null, description, price, ...(isCommitment && { isCommitment }) };
    const item = { id: addOnPriceId(addOn), ...about };
    return { ...common, item, addOn, quantity: decimal(addOn.quantity) };
  });
  return [...ofCard, ...ofAddOns];
}

/** Charges of the same price and plan are one. */
function joinedCharges(charges: readonly Charge[]): Charge[] {
  const joined = new Map<string, Charge>();
  for (const charge of charges) {
    const { item, addOn, usagePlanId, rateCard } = charge;
    const { id, version } = rateCard;
    const card = addOn ? [addOn.quantity] : [id, version, item.meter, item.protocol ?? null];
    const key = JSON.stringify([usagePlanId, item.id, item.price, item.description, ...card]);
    const before = joined.get(key);
    joined.set(key, before ? joinedCharge(before, charge) : charge);
  }
  return [...joined.values()];
}

function joinedCharge(before: Charge, { quantity, share, spans, addOn }: Charge): Charge {
  return {
    ...before,
    quantity: addOn ? quantity : before.quantity.add(quantity),
    share: addedShares(before.share, share),
    spans: joinedSpans([...before.spans, ...spans]),
  };
}

function addedShares(a: ProrationShare | null, b: ProrationShare | null): ProrationShare | null {
  if (!a || !b) return null;
  assert.equal(a.of, b.of, 'Parts are shares of one whole.');
  const used = a.used + b.used;
  return used === a.of ? null : { used, of: a.of };
}

/** Spans that touch are one. */
function joinedSpans(spans: readonly Period[]): Period[] {
  const joined: Period[] = [];
  for (const span of spans) {
    const last = joined.at(-1);
    if (last?.to.getTime() === span.from.getTime()) {
      joined.splice(-1, 1, { from: last.from, to: span.to });
    } else joined.push(span);
  }
  return joined;
}

function priced({ item, addOn, quantity, share }: Charge): PricedAmount {
  if (addOn) return addOnAmount(addOn, share ?? undefined);
  const price = share ? proratedPrice(item.price, share) : item.price;
  return priceAmount(price, { quantity }, { isFinal: true });
}

function priceLine(
  charge: Charge,
  { period, timezone }: { readonly period: Period; readonly timezone: string },
): PriceLine {
  const { rateCard, item, share, quantity, usagePlanId } = charge;
  const { units, tiers, gross, amount } = priced(charge);
  const rounded = toMoney(amount, rateCard.currency);
  const [first, ...more] = charge.spans;
  const isWhole =
    first !== undefined && more.length === 0 && first.from <= period.from && first.to >= period.to;
  const spans = isWhole ? [] : charge.spans;
  return {
    kind: 'price',
    description: [item.description, ...spanTexts(spans, timezone)].join(': '),
    meter: item.meter,
    quantity,
    exactAmount: amount,
    amount: rounded,
    rating: {
      rateCardId: rateCard.id,
      rateCardVersion: rateCard.version,
      priceId: item.id,
      price: item.price,
      meter: item.meter,
      ...(item.protocol && { protocol: item.protocol }),
      ...(usagePlanId !== null && { usagePlanId }),
      ...(share && { share }),
      ...(!isWhole && {
        spans: spans.map(({ from, to }) => ({ from: from.toISOString(), to: to.toISOString() })),
      }),
      quantity: quantity.toFixed(),
      units: units.toFixed(),
      tiers: tiers.map(tierChargeJson),
      grossAmount: gross.toFixed(),
      exactAmount: amount.toFixed(),
      roundedMinor: rounded.minor.toString(),
    },
  };
}

/** The days of spans, as they stand behind what a line is for: `2026-02-01 to 2026-02-13`. Nothing for the whole period. */
function spanTexts(spans: readonly Period[], timezone: string): string[] {
  const days = spans.map((span) => {
    const { first, last } = daysOf(span, timezone);
    return `${first} to ${last}`;
  });
  return days.length === 0 ? [] : [days.join(', ')];
}

/**
 * What parts cost by equal prices, when it is no more and no less than they would cost as one, is rounded as one and split by largest
 * remainder: three thirds of 10.00 are 10.00. Tiers that began again on each side cost something else, and are rounded each.
 */
function withoutLostUnits(lines: readonly PriceLine[], charges: readonly Charge[]): PriceLine[] {
  const alike = new Map<string, number[]>();
  for (const [index, { item, addOn }] of charges.entries()) {
    const key = JSON.stringify([item.id, item.price, addOn?.quantity ?? null]);
    alike.set(key, [...(alike.get(key) ?? []), index]);
  }
  const split = [...lines];
  for (const indexes of alike.values()) {
    const [first, ...others] = indexes.flatMap((index) => charges[index] ?? []);
    if (!first || others.length === 0) continue;
    const weights = indexes.map((index) => lines[index]?.exactAmount ?? new Decimal(0));
    const inParts = Decimal.sum(0, ...weights);
    const asOne = priced(others.reduce(joinedCharge, first)).amount;
    if (inParts.isZero() || asOne.sub(inParts).abs().gt(NOTHING)) continue;
    const amounts = allocate(toMoney(asOne, first.rateCard.currency), weights);
    for (const [place, index] of indexes.entries()) {
      const [line, amount] = [lines[index], amounts[place]];
      if (!line || !amount) continue;
      const rating = { ...line.rating, roundedMinor: amount.minor.toString() };
      split[index] = { ...line, amount, rating };
    }
  }
  return split;
}

/** Less than any digit that a price or a quantity can have: what is cut off of a third. */
const NOTHING = new Decimal('1e-40');

/** Gives every part of the usage to one price, or to none. */
function assignUsage(usage: readonly MeteredUsage[], prices: readonly PriceItem[]) {
  const byPrice = new Map<PriceItem, Decimal>();
  const unpriced: MeteredUsage[] = [];
  for (const part of usage) {
    const ofMeter = prices.filter(({ meter }) => meter === part.meter);
    const item =
      ofMeter.find(({ protocol }) => protocol !== undefined && protocol === part.protocol) ??
      ofMeter.find(({ protocol }) => protocol === undefined);
    if (item) {
      byPrice.set(item, part.quantity.add(byPrice.get(item) ?? 0));
    } else unpriced.push(part);
  }
  return { byPrice, unpriced };
}

/** Usage by meter and protocol, in their order. */
function addedUp(usage: readonly MeteredUsage[]): MeteredUsage[] {
  const sums = new Map<string, MeteredUsage>();
  for (const part of usage) {
    const key = `${part.meter} ${part.protocol}`;
    const quantity = part.quantity.add(sums.get(key)?.quantity ?? 0);
    sums.set(key, { ...part, quantity });
  }
  return [...sums].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, part]) => part);
}
