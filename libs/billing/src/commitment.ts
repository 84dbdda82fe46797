import { contains, toMoney, type Decimal, type Money, type Period } from '@core/kernel';
import { prorate, type ProrationShare } from './proration.js';

/** A charge that may count towards a commitment: rounded, with the period it is for. */
export interface CommittedCharge {
  readonly amount: Money;
  readonly servicePeriod: Period;
}

/**
 * What is missing to a minimum commitment at the end of a period; zero when enough was charged.
 *
 * The commitment is prorated when the customer joined or left within the period. Charges made in advance for the next
 * period do not count. Rounded is compared with rounded: an unrounded minimum would ask for a fraction for ever.
 */
export function commitmentTrueUp(commitment: {
  readonly minimum: Decimal;
  readonly currency: string;
  readonly period: Period;
  readonly share: ProrationShare;
  readonly charges: readonly CommittedCharge[];
}): Money {
  const { minimum, currency, period, share, charges } = commitment;
  const charged = charges
    .filter(
      ({ amount, servicePeriod }) =>
        amount.currency === currency && contains(period, servicePeriod.from),
    )
    .reduce((sum, { amount }) => sum + amount.minor, 0n);
  const missing = toMoney(prorate(minimum, share), currency).minor - charged;
  return { minor: missing > 0n ? missing : 0n, currency };
}
