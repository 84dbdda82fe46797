import { toMoney, type Decimal, type Money } from '@core/kernel';

/** How a line was made that asks for what is missing to a commitment. */
export interface CommitmentSnapshot {
  /** What all prices together ask for at least, for the share of the period in which it held; exact, in major units. */
  readonly amount: string;
  /** What they asked for. */
  readonly chargedMinor: string;
}

/**
 * What is missing to a minimum commitment at the end of a period; zero when enough was charged. Rounded is compared with rounded: an
 * unrounded minimum would ask for a fraction for ever.
 */
export function commitmentTrueUp(committed: Decimal, charged: Money): Money {
  const missing = toMoney(committed, charged.currency).minor - charged.minor;
  return { minor: missing > 0n ? missing : 0n, currency: charged.currency };
}
