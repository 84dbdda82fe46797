import { Decimal, JsonFields, type ReadAt } from '@core/kernel';
import { AMOUNT, SIZE } from './charge.js';

const TIERS_MAX = 100;

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

/** The units of a quantity that lie within one tier. */
export interface TierUnits<T> {
  readonly tier: T;
  readonly units: Decimal;
}

/**
 * Cuts a quantity at the tiers' bounds; a unit on a bound belongs to the tier that ends there.
 * The first tier is always among them, so that its flat amount is charged at quantity 0 too.
 */
export function unitsByTier<T extends { readonly upTo: string | null }>(
  quantity: Decimal,
  tiers: readonly T[],
): TierUnits<T>[] {
  const entered: TierUnits<T>[] = [];
  let start = new Decimal(0);
  for (const tier of tiers) {
    if (entered.length > 0 && quantity.lte(start)) break;
    const end = tier.upTo === null ? quantity : Decimal.min(quantity, tier.upTo);
    entered.push({ tier, units: end.sub(start) });
    start = end;
  }
  return entered;
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
