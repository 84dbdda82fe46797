import assert from 'node:assert';
import { Decimal, Temporal, allocate, decimal, type Money, type Period } from '@core/kernel';
import type { Price } from '@core/pricing';
import { timezoneOf } from './invoice-dates.js';
import type { PeriodRule } from './period-rule.js';

/** By whole local days of the customer's zone, or by seconds. */
export type ProrationBasis =
  { readonly unit: 'day'; readonly timezone: string } | { readonly unit: 'second' };

/** A part of a period in days or seconds, of how many the whole has. */
export interface ProrationShare {
  readonly used: number;
  readonly of: number;
}

/** What follows a part: another one, which takes over the day of the change, or nothing, so that the day still counts. */
export type PartEnd = 'hand-over' | 'end';

const DAY_MS = 86_400_000;
/** Decimals of a quantity. */
const UNIT_PLACES = 12;

/**
 * How much of the whole would-be period a part of it is. The whole is that of the calendar, also for who joined within it.
 *
 * By day, the first day counts from its first moment and the last to its end; the day of a hand-over belongs to what
 * follows, so that the parts of a period add up to it. A day is one whether it has 23, 24.5 or 25 hours, and a day that
 * the zone skipped is none. A period in which no local day begins has no days to count and is shared by seconds.
 */
export function prorationShare(
  part: Period,
  { whole, basis, end }: { whole: Period; basis: ProrationBasis; end: PartEnd },
): ProrationShare {
  assert(part.from >= whole.from && part.to <= whole.to && part.from <= part.to, 'A part of it.');
  const days = basis.unit === 'day' ? daysHandedOver(whole, basis.timezone) : 0;
  if (basis.unit === 'second' || days === 0) {
    return { used: secondsOf(part), of: secondsOf(whole) };
  }
  const isNothing = part.from.getTime() === part.to.getTime();
  if (isNothing || end === 'hand-over') {
    return { used: daysHandedOver(part, basis.timezone), of: days };
  }
  return { used: Math.min(days, daysTouched(part, basis.timezone)), of: days };
}

/**
 * How much a part is of the whole would-be period of its rule: by the days of the rule's zone, or by seconds where the rule counts from an
 * instant. What lies outside of the whole counts for nothing: the hours by which a change of zone made the period longer.
 */
export function partShare(
  { from, to }: Period,
  of: { readonly whole: Period; readonly rule: PeriodRule; readonly end: PartEnd },
): ProrationShare {
  const { whole, rule, end } = of;
  const within = (at: Date) => (at < whole.from ? whole.from : at > whole.to ? whole.to : at);
  const basis: ProrationBasis =
    rule.kind === 'anchored-instant'
      ? { unit: 'second' }
      : { unit: 'day', timezone: timezoneOf(rule) };
  return prorationShare({ from: within(from), to: within(to) }, { whole, basis, end });
}

/**
 * The price of a share of a period: its fee, its included units, its minimum and its maximum for that share. What a unit costs, and where
 * tiers end, stays as it is.
 */
export function proratedPrice(price: Price, share: ProrationShare): Price {
  const part = (amount: string) => prorate(decimal(amount), share).toFixed();
  const units = (whole: string) =>
    prorate(decimal(whole), share).toDecimalPlaces(UNIT_PLACES).toFixed();
  const { includedUnits, minimumAmount, maximumAmount } = price;
  return {
    ...price,
    ...(price.model === 'flat' && { amount: part(price.amount) }),
    ...(price.model === 'package' &&
      price.freeUnits !== undefined && { freeUnits: units(price.freeUnits) }),
    ...(includedUnits !== undefined && { includedUnits: units(includedUnits) }),
    ...(minimumAmount !== undefined && { minimumAmount: part(minimumAmount) }),
    ...(maximumAmount !== undefined && { maximumAmount: part(maximumAmount) }),
  };
}

/** The share of an amount, exact to the digits of a decimal; the line rounds it. */
export function prorate(amount: Decimal, { used, of }: ProrationShare): Decimal {
  return amount.mul(used).div(of);
}

/**
 * Splits the price of a period at the given instants, in rising order, by largest remainder: the parts add up to it, so
 * that what an upgrade credits for the rest of a period is what was charged for it.
 */
export function prorateAt(
  price: Money,
  cuts: readonly Date[],
  { whole, basis }: { whole: Period; basis: ProrationBasis },
): Money[] {
  const used = cuts.map((to, index) => {
    const part = { from: cuts[index - 1] ?? whole.from, to };
    return prorationShare(part, { whole, basis, end: 'hand-over' }).used;
  });
  const { used: all } = prorationShare(whole, { whole, basis, end: 'hand-over' });
  // Nothing follows the last part, so it takes what the others leave.
  const rest = used.reduce((left, part) => left - part, all);
  return allocate(
    price,
    [...used, rest].map((weight) => new Decimal(weight)),
  );
}

function secondsOf({ from, to }: Period): number {
  return Math.floor(to.getTime() / 1_000) - Math.floor(from.getTime() / 1_000);
}

/** The local days whose first moment lies after the first moment of `from`'s own, up to that of `to`'s own. */
function daysHandedOver({ from, to }: Period, timezone: string): number {
  return daysBetween(dayStart(from, timezone), dayStart(to, timezone));
}

/** The local days of which any moment lies in the part. */
function daysTouched({ from, to }: Period, timezone: string): number {
  return daysBetween(dayStart(from, timezone), dayEnd(to, timezone));
}

/** Local days between two first moments of days: clocks move by hours, and by a whole day where a zone skipped one. */
function daysBetween(fromMs: number, toMs: number): number {
  return Math.round((toMs - fromMs) / DAY_MS);
}

function dayStart(at: Date, timezone: string): number {
  return localDay(at, timezone).toZonedDateTime(timezone).epochMilliseconds;
}

/** The first moment of the day after the last moment before `at`. */
function dayEnd(at: Date, timezone: string): number {
  return localDay(new Date(at.getTime() - 1), timezone)
    .add({ days: 1 })
    .toZonedDateTime(timezone).epochMilliseconds;
}

function localDay(at: Date, timezone: string): Temporal.PlainDate {
  return Temporal.Instant.fromEpochMilliseconds(at.getTime())
    .toZonedDateTimeISO(timezone)
    .toPlainDate();
}
