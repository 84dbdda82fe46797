import assert from 'node:assert';
import { Decimal } from './decimal.js';
import type { Money } from './money.js';

/**
 * Splits a sum in proportion to the weights by largest remainder; the parts add up to the whole.
 * Ties go to the earlier part. Weights are not negative and not all zero.
 */
export function allocate(whole: Money, weights: readonly Decimal[]): Money[] {
  const { currency } = whole;
  return largestRemainder(whole.minor, weights).map((minor) => ({ minor, currency }));
}

/** The same of a quantity, in steps of 10^-`places`; the whole has no more decimals than that. */
export function allocateQuantity(
  whole: Decimal,
  weights: readonly Decimal[],
  places: number,
): Decimal[] {
  assert(whole.decimalPlaces() <= places, 'The whole is a number of steps.');
  const steps = largestRemainder(scaled(whole, places), weights);
  const perUnit = new Decimal(10).pow(places);
  return steps.map((step) => new Decimal(step.toString()).div(perUnit));
}

/**
 * In whole numbers only: shares in decimals would tell two equal remainders apart by their last digit,
 * and which part gets the odd cent would hang on how long its share is.
 */
function largestRemainder(whole: bigint, weights: readonly Decimal[]): bigint[] {
  assert(!weights.some((weight) => weight.isNegative()), 'Weights are not negative.');
  const places = Math.max(0, ...weights.map((weight) => weight.decimalPlaces()));
  const integers = weights.map((weight) => scaled(weight, places));
  const total = sum(integers);
  assert(total > 0n, 'At least one weight must be positive.');

  const parts = integers.map((weight) => (whole * weight) / total);
  const remainders = integers.map((weight, index) => ({
    index,
    remainder: magnitude((whole * weight) % total),
  }));
  const missing = whole - sum(parts);
  const step = missing < 0n ? -1n : 1n;
  const largestFirst = remainders.toSorted((a, b) =>
    a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1,
  );
  const rounded = new Set(
    largestFirst.slice(0, Number(magnitude(missing))).map(({ index }) => index),
  );
  return parts.map((part, index) => (rounded.has(index) ? part + step : part));
}

function scaled(value: Decimal, places: number): bigint {
  return BigInt(value.mul(new Decimal(10).pow(places)).toFixed());
}

function sum(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n);
}

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value;
}
