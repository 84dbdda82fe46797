import { Decimal, type Period } from '@core/kernel';
import type { MeteredUsage } from './price-lines.js';

/** A part of an open period, with what was used in it so far. */
export interface UsedPart {
  readonly period: Period;
  /** Whether calls can pass in it: none do while it is paused. */
  readonly isOpen: boolean;
  readonly usage: readonly MeteredUsage[];
}

/** How far an open period has come, and whether that says enough of the rest. */
export interface ProjectionStanding {
  readonly asOf: Date;
  /** Of the time in which calls can pass, 0 to 1. */
  readonly elapsedShare: Decimal;
  /** Less than a tenth of that time has passed, and less than a day: one busy hour would be taken for the month. */
  readonly isTooEarly: boolean;
}

const DAY_MS = 86_400_000;
const SHARE_PLACES = 6;

/** How far a period has come at an instant. */
export function projectionStanding(parts: readonly UsedPart[], at: Date): ProjectionStanding {
  const open = parts.filter(({ isOpen }) => isOpen).map(({ period }) => period);
  const whole = open.reduce((sum, period) => sum + lengthMs(period), 0);
  const elapsed = elapsedMs(parts, at);
  const share = whole === 0 ? new Decimal(1) : new Decimal(elapsed).div(whole);
  return {
    asOf: at,
    elapsedShare: share.toDecimalPlaces(SHARE_PLACES, Decimal.ROUND_DOWN),
    isTooEarly: elapsed < Math.min(DAY_MS, whole / 10),
  };
}

/**
 * What will have been used of each part when the period ends, in their order: what was used so far, and for the time that is left what was
 * used per unit of the time that has passed, by meter and kind of api. Parts that have passed stay as they are, and where calls
 * cannot pass nothing is added. A meter that counts whole units keeps counting whole units.
 */
export function projectedUsage(parts: readonly UsedPart[], at: Date): MeteredUsage[][] {
  const elapsed = elapsedMs(parts, at);
  const counted = parts.flatMap(({ usage }) => usage);
  const keys = new Map(counted.map((one) => [keyOf(one), one]));
  return parts.map(({ period, isOpen, usage }) => {
    const left = isOpen ? lengthMs({ from: later(period.from, at), to: period.to }) : 0;
    if (left === 0 || elapsed === 0) return [...usage];
    return [...keys.values()].map(({ meter, protocol }) => {
      const own = (one: MeteredUsage) => one.meter === meter && one.protocol === protocol;
      const all = counted.filter(own).map(({ quantity }) => quantity);
      const soFar = usage.filter(own).map(({ quantity }) => quantity);
      const places = Math.max(...all.map((quantity) => quantity.decimalPlaces()));
      const quantity = Decimal.sum(0, ...all)
        .mul(left)
        .div(elapsed)
        .add(Decimal.sum(0, ...soFar))
        .toDecimalPlaces(places);
      return { meter, protocol, quantity };
    });
  });
}

/** How long calls could pass up to an instant. */
function elapsedMs(parts: readonly UsedPart[], at: Date): number {
  return parts
    .filter(({ isOpen }) => isOpen)
    .reduce((sum, { period: { from, to } }) => sum + lengthMs({ from, to: to < at ? to : at }), 0);
}

const keyOf = ({ meter, protocol }: MeteredUsage) => `${meter} ${protocol}`;
const later = (a: Date, b: Date) => (a > b ? a : b);

function lengthMs({ from, to }: Period): number {
  return Math.max(0, to.getTime() - from.getTime());
}
