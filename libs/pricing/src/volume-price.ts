import assert from 'node:assert';
import type { Decimal, JsonFields } from '@core/kernel';
import type { Charge } from './charge.js';
import { readTier, readTiers, type Tier } from './tiers.js';

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
export function volumeAmount(price: VolumePrice, quantity: Decimal): Charge {
  const reached = price.tiers.find(({ upTo }) => upTo === null || quantity.lte(upTo));
  assert(reached, 'The last tier has no end.');
  const { upTo, unitAmount = '0', flatAmount = '0' } = reached;
  const amount = quantity.mul(unitAmount).add(flatAmount);
  return { amount, tiers: [{ upTo, quantity, unitAmount, flatAmount, amount }] };
}
