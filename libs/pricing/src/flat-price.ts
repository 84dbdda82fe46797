import { Decimal, type JsonFields } from '@core/kernel';
import { AMOUNT, type ChargeOf } from './charge.js';

/** A fixed amount per period, whatever was used. */
export interface FlatPrice {
  readonly model: 'flat';
  readonly amount: string;
  /** Whether a period is charged when it begins or when it has ended; absent means in arrears. */
  readonly paymentTerm?: 'in-advance' | 'in-arrears';
}

/** Reads what is particular to a flat price. */
export function readFlatPrice(fields: JsonFields): FlatPrice {
  return {
    model: 'flat',
    amount: fields.decimal('amount', AMOUNT),
    ...(fields.has('paymentTerm') && {
      paymentTerm: fields.choice('paymentTerm', ['in-advance', 'in-arrears']),
    }),
  };
}

/** The same for every quantity, so that what was billed once leaves nothing to bill. */
export function flatCharge(price: FlatPrice): ChargeOf {
  const charge = { amount: new Decimal(price.amount), tiers: [] };
  return () => charge;
}
