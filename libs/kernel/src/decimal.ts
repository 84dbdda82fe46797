import { Decimal as DecimalJs } from 'decimal.js';

/**
 * Decimals of 160 digits in plain notation: enough that quantity × conversion × unit price × discount, each as long
 * as we accept them (38 + 44 + 44 + 21 digits), loses none. The library's default of 20 digits silently rounds
 * 123456789012345678901234 × 0.0000035, and prints 0.00000035 as 3.5e-7 (docs/adr/0002).
 */
export const Decimal = DecimalJs.clone({
  precision: 160,
  rounding: DecimalJs.ROUND_HALF_UP,
  toExpNeg: -160,
  toExpPos: 160,
});
export type Decimal = DecimalJs;

export type DecimalInput = string | number | bigint | DecimalJs;

/** Makes a decimal of our own clone from any value, also from a Prisma or plain decimal.js one. */
export function decimal(value: DecimalInput): Decimal {
  return new Decimal(typeof value === 'object' ? value.toFixed() : value.toString());
}
