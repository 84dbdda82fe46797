import { Decimal, decimal } from '@core/kernel';
import type { Aggregation } from './custom-meter.js';

/** Where an event stands in the order of `latest`: by time, then source, then id, texts by code point. */
export interface EventPlace {
  readonly atMicros: number;
  readonly source: string;
  readonly id: string;
}

/**
 * What any set of events amounts to for one meter. Two of disjoint sets merge into that of both, in any order, so that a
 * quantity does not depend on how events came or were parted into hours:
 *
 * - `sum` and `count` add up, `max` keeps the greater;
 * - `unique-count` is a set of members, not a number: distinct over a month is not the sum of its days;
 * - `latest` keeps the last one of a total order, so that two of one instant have one winner.
 */
export type MeterRollUp =
  | { readonly aggregation: 'sum' | 'count' | 'max'; readonly quantity: Decimal }
  | { readonly aggregation: 'unique-count'; readonly members: ReadonlySet<string> }
  | { readonly aggregation: 'latest'; readonly quantity: Decimal; readonly place: EventPlace };

/** What one event amounts to. */
export function rollUpOf(
  aggregation: Aggregation,
  { quantity, member }: { readonly quantity: string; readonly member: string | null },
  place: EventPlace,
): MeterRollUp {
  if (aggregation === 'unique-count')
    return { aggregation, members: new Set(member === null ? [] : [member]) };
  if (aggregation === 'latest') return { aggregation, quantity: decimal(quantity), place };
  return { aggregation, quantity: decimal(aggregation === 'count' ? '1' : quantity) };
}

/** The roll-up of both. Throws when they are of different aggregations, which no meter has. */
export function mergeRollUps(a: MeterRollUp, b: MeterRollUp): MeterRollUp {
  if (a.aggregation === 'unique-count' && b.aggregation === 'unique-count')
    return { aggregation: 'unique-count', members: new Set([...a.members, ...b.members]) };
  if (a.aggregation === 'latest' && b.aggregation === 'latest')
    return compareEventPlaces(a.place, b.place) >= 0 ? a : b;
  if (
    'place' in a ||
    'place' in b ||
    'members' in a ||
    'members' in b ||
    a.aggregation !== b.aggregation
  )
    throw new Error(`a roll-up by ${a.aggregation} has no part by ${b.aggregation}`);
  const quantity =
    a.aggregation === 'max' ? Decimal.max(a.quantity, b.quantity) : a.quantity.add(b.quantity);
  return { aggregation: a.aggregation, quantity };
}

/** The quantity that is shown and charged. */
export function quantityOf(rollUp: MeterRollUp): Decimal {
  return 'members' in rollUp ? new Decimal(rollUp.members.size) : rollUp.quantity;
}

/** Below zero when `a` comes before `b`; zero only for the same event. */
export function compareEventPlaces(a: EventPlace, b: EventPlace): number {
  return a.atMicros - b.atMicros || compareTexts(a.source, b.source) || compareTexts(a.id, b.id);
}

/** By code point, which is the order of UTF-8 bytes, and of the database's collation "C". */
function compareTexts(a: string, b: string): number {
  const others = b[Symbol.iterator]();
  for (const character of a) {
    const { value: other, done } = others.next();
    if (done) return 1;
    const difference = (character.codePointAt(0) ?? 0) - (other.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return others.next().done ? 0 : -1;
}
