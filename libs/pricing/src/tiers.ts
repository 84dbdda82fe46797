import assert from 'node:assert';
import { Decimal, JsonFields, type ReadAt } from '@core/kernel';
import { AMOUNT, SIZE, type ChargeOf, type TierCharge } from './charge.js';

const TIERS_MAX = 100;
const ZERO = new Decimal(0);

/** One step of a tiered price, as it is written. */
export interface Tier {
  /** The last unit of this tier, included; `null` means no end. */
  readonly upTo: string | null;
  /** What each unit costs, in major units; absent means nothing. */
  readonly unitAmount?: string;
  /** Charged once when the tier is entered; the first tier is always entered. Absent means nothing. */
  readonly flatAmount?: string;
}

/** One step of a price in percent, as it is written. */
export interface PercentageTier {
  readonly upTo: string | null;
  readonly ratePercent: string;
  readonly flatAmount?: string;
}

/** A tier whose numbers were read. */
export interface TierCosts {
  readonly upTo: string | null;
  readonly perUnit: Decimal;
  readonly flat: Decimal;
  /** Names the tier in what so many units of it cost. */
  readonly charge: (quantity: Decimal, amount: Decimal) => TierCharge;
}

/** Reads the numbers of a tier that costs by unit. */
export function tierCosts({ upTo, unitAmount = '0', flatAmount = '0' }: Tier): TierCosts {
  return {
    upTo,
    perUnit: new Decimal(unitAmount),
    flat: flatAmount === '0' ? ZERO : new Decimal(flatAmount),
    charge: (quantity, amount) => ({ upTo, quantity, unitAmount, flatAmount, amount }),
  };
}

/** What so many units cost within one tier that was entered. */
export function chargeWithin({ perUnit, flat, charge }: TierCosts, units: Decimal): TierCharge {
  const variable = units.mul(perUnit);
  return charge(units, flat.isZero() ? variable : variable.add(flat));
}

/**
 * Cuts a quantity at the tiers' bounds and adds up what each part costs; a unit on a bound belongs to the tier that ends
 * there. The first tier is always entered, so that its flat amount is charged at quantity 0 too.
 *
 * A tier that was used to its end costs the same for whoever went past it, so those are charged ahead and added up: a
 * quantity is priced in the last tier it enters alone.
 */
export function sumOverTiers(tiers: readonly TierCosts[]): ChargeOf {
  const filled: TierCharge[] = [];
  const steps: { costs: TierCosts; from: Decimal; before: Decimal }[] = [];
  let [from, before] = [ZERO, ZERO];
  for (const costs of tiers) {
    steps.push({ costs, from, before });
    if (costs.upTo === null) break;
    const end = new Decimal(costs.upTo);
    const charge = chargeWithin(costs, end.sub(from));
    filled.push(charge);
    [from, before] = [end, before.add(charge.amount)];
  }
  return (quantity) => {
    const entered = lastBelow(steps, quantity);
    const step = steps[entered];
    assert(step, 'There is at least one tier.');
    const last = chargeWithin(step.costs, quantity.sub(step.from));
    const charges = filled.slice(0, entered);
    charges.push(last);
    return { amount: step.before.add(last.amount), tiers: charges };
  };
}

/** Which is the last step that begins below the quantity, or the first. */
function lastBelow(steps: readonly { readonly from: Decimal }[], quantity: Decimal): number {
  let [low, high] = [0, steps.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (steps[middle]?.from.lt(quantity)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Reads 1 to 100 tiers with rising bounds, the last one open. */
export function readTiers<T extends { readonly upTo: string | null }>(
  fields: JsonFields,
  readTier: ReadAt<T>,
): T[] {
  const tiers = fields.list('tiers', { min: 1, max: TIERS_MAX }, readTier);
  let bound = new Decimal(0);
  for (const [index, { upTo }] of tiers.entries()) {
    const isLast = index === tiers.length - 1;
    const detail = boundFault(upTo, { isLast, before: bound });
    if (detail !== null)
      fields.faults.push({ pointer: `${fields.pointer}/tiers/${index}/upTo`, detail });
    if (upTo !== null) bound = Decimal.max(bound, upTo);
  }
  return tiers;
}

function boundFault(
  upTo: string | null,
  { isLast, before }: { isLast: boolean; before: Decimal },
): string | null {
  // Stands for a bound that could not be read and was refused already: no bound is zero.
  if (upTo === '0') return null;
  if (isLast) return upTo === null ? null : 'must be null: the last tier has no end';
  if (upTo === null) return 'must not be null: only the last tier has no end';
  return before.lt(upTo)
    ? null
    : `must be above the tier before, which ends at ${before.toFixed()}`;
}

/** Reads a tier that costs by unit. */
export const readTier: ReadAt<Tier> = (json, pointer, faults) => {
  const fields = new JsonFields(json, pointer, faults);
  const upTo = readUpTo(fields);
  const unitAmount = fields.optionalDecimal('unitAmount', AMOUNT);
  const flatAmount = fields.optionalDecimal('flatAmount', AMOUNT);
  if (unitAmount === undefined && flatAmount === undefined) {
    fields.refuse('unitAmount', 'is required where there is no flatAmount');
  }
  fields.refuseUnknown();
  return {
    upTo,
    ...(unitAmount !== undefined && { unitAmount }),
    ...(flatAmount !== undefined && { flatAmount }),
  };
};

/** Reads a tier that costs by percent. */
export const readPercentageTier: ReadAt<PercentageTier> = (json, pointer, faults) => {
  const fields = new JsonFields(json, pointer, faults);
  const upTo = readUpTo(fields);
  const ratePercent = fields.decimal('ratePercent', AMOUNT);
  const flatAmount = fields.optionalDecimal('flatAmount', AMOUNT);
  fields.refuseUnknown();
  return { upTo, ratePercent, ...(flatAmount !== undefined && { flatAmount }) };
};

function readUpTo(fields: JsonFields): string | null {
  return fields.raw('upTo') === null ? null : fields.decimal('upTo', SIZE);
}
