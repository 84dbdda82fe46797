import { Decimal, JsonFields, type ReadAt } from '@core/kernel';
import { SIZE } from './charge.js';

/** Turns metered units into priced units: bytes into GiB, calls into thousands. */
export interface Conversion {
  /** Exactly one of the two is given. */
  readonly divideBy?: string;
  readonly multiplyBy?: string;
  /** To whole priced units; absent means not at all. */
  readonly round?: 'up' | 'down' | 'half-up' | 'none';
}

/** Reads the `convert` member of a price. */
export const readConversion: ReadAt<Conversion> = (json, pointer, faults) => {
  const fields = new JsonFields(json, pointer, faults);
  const divideBy = fields.optionalDecimal('divideBy', SIZE);
  const multiplyBy = fields.optionalDecimal('multiplyBy', SIZE);
  if ((divideBy === undefined) === (multiplyBy === undefined)) {
    fields.refuse('divideBy', 'exactly one of divideBy and multiplyBy is required');
  }
  const conversion = {
    ...(divideBy !== undefined && { divideBy }),
    ...(multiplyBy !== undefined && { multiplyBy }),
    ...(fields.has('round') && {
      round: fields.choice('round', ['up', 'down', 'half-up', 'none']),
    }),
  };
  fields.refuseUnknown();
  return conversion;
};

const MODES = {
  up: Decimal.ROUND_CEIL,
  down: Decimal.ROUND_FLOOR,
  'half-up': Decimal.ROUND_HALF_UP,
} as const;

/** The quantity in priced units. Convert the cumulative quantity of a period: rounding is not additive. */
export function converter(conversion: Conversion | undefined): (quantity: Decimal) => Decimal {
  if (conversion === undefined) return (quantity) => quantity;
  const { round = 'none' } = conversion;
  const multiplyBy = new Decimal(conversion.multiplyBy ?? 1);
  const divideBy = new Decimal(conversion.divideBy ?? 1);
  const exact = (quantity: Decimal) => quantity.mul(multiplyBy).div(divideBy);
  if (round === 'none') return exact;
  return (quantity) => exact(quantity).toDecimalPlaces(0, MODES[round]);
}
