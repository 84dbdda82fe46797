import assert from 'node:assert';
import { Decimal, type JsonFields } from '@core/kernel';
import type { ChargeOf } from './charge.js';
import { chargeWithin, readTier, readTiers, tierCosts, type Tier } from './tiers.js';

/** All units cost what the tier says that the whole quantity reaches. */
export interface VolumePrice {
  readonly model: 'volume';
  readonly tiers: readonly Tier[];
}

/** Reads what is particular to a volume price. */
export function readVolumePrice(fields: JsonFields): VolumePrice {
  return { model: 'volume', tiers: readTiers(fields, readTier) };
}

/** Quantity × unit amount of one tier + its flat amount. Not monotone: one unit more can make the whole cheaper. */
export function volumeCharge(price: VolumePrice): ChargeOf {
  const costs = price.tiers.map(tierCosts);
  const ends = price.tiers.map(({ upTo }) => (upTo === null ? null : new Decimal(upTo)));
  return (quantity) => {
    const reached = costs[ends.findIndex((end) => end === null || quantity.lte(end))];
    assert(reached, 'The last tier has no end.');
    const charge = chargeWithin(reached, quantity);
    return { amount: charge.amount, tiers: [charge] };
  };
}
