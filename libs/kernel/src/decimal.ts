import { Decimal as DecimalJs } from 'decimal.js';

/**
 * Decimals of 60 digits in plain notation. The library's default of 20 digits silently rounds the
 * product of two `numeric(38,18)`, and prints 0.00000035 as 3.5e-7 (docs/adr/0002).
 */
export const Decimal = DecimalJs.clone({
  precision: 60,
  rounding: DecimalJs.ROUND_HALF_UP,
  toExpNeg: -60,
  toExpPos: 60,
});
export type Decimal = DecimalJs;

export type DecimalInput = string | number | bigint | DecimalJs;

/** Makes a decimal of our own clone from any value, also from a Prisma or plain decimal.js one. */
export function decimal(value: DecimalInput): Decimal {
  return new Decimal(typeof value === 'object' ? value.toFixed() : value.toString());
}
