import assert from 'node:assert';
import { addMoney, Decimal, toMoney, zeroMoney, type Money } from '@core/kernel';

/** Why a line is taxed as it is, in the words of EN 16931 (its codes S, Z, E, AE and O). */
export const TAX_CATEGORIES = [
  'standard',
  'zero-rated',
  'exempt',
  'reverse-charge',
  'out-of-scope',
] as const;
export type TaxCategory = (typeof TAX_CATEGORIES)[number];

/** The tax of a line: what it is called on paper, and how it is computed. */
export interface TaxTerms {
  readonly name: string;
  readonly category: TaxCategory;
  /** `19` or `8.875`; 0 in every category but `standard`. */
  readonly ratePercent: string;
  /** Whether the amounts of the price contain the tax. */
  readonly isInclusive: boolean;
  /** Stands on the invoice where no tax is charged, since the law asks for it. */
  readonly reason: string | null;
}

/** The sum of an invoice's lines with one tax, and that tax: computed once, on the sum of the rounded lines. */
export interface TaxGroup {
  readonly name: string;
  readonly category: TaxCategory;
  readonly ratePercent: string;
  readonly reason: string | null;
  readonly net: Money;
  readonly tax: Money;
}

/** A line before tax: its amount as it was priced, rounded, which contains the tax when the terms say so. */
export interface TaxableLine {
  readonly amount: Money;
  /** Null when no rule says how it is taxed: no tax, and no group. */
  readonly terms: TaxTerms | null;
}

/** What tax makes of the lines. */
export interface TaxedLines {
  /** The net amount of each line, in their order. */
  readonly nets: readonly Money[];
  /** In the order in which the lines first need them. */
  readonly groups: readonly TaxGroup[];
}

/**
 * The tax of an invoice (EN 16931): once for each name, category and rate, on the sum of the rounded lines, half away from
 * zero. Nets and taxes of lines without inclusive prices are the lines' amounts and a percentage of their sum. An inclusive
 * price is a promise about the total: its sum stays what it is, the tax is taken out of it once, and the nets of its lines
 * are rounded by largest remainder so that they add up.
 */
export function taxLines(lines: readonly TaxableLine[], currency: string): TaxedLines {
  const nets = lines.map(({ amount }) => amount);
  const groups: TaxGroup[] = [];
  for (const [key, indexes] of groupIndexes(lines)) {
    const terms = lines[indexes[0] ?? 0]?.terms;
    assert(terms, `The group ${key} has terms.`);
    const { name, category, ratePercent, reason } = terms;
    const rate = new Decimal(ratePercent).div(100);
    const ofForm = (isInclusive: boolean) =>
      indexes.filter((index) => lines[index]?.terms?.isInclusive === isInclusive);
    const sumOf = (some: readonly number[]) =>
      some.reduce((sum, index) => addMoney(sum, nets[index] ?? sum), zeroMoney(currency));

    const exclusive = sumOf(ofForm(false));
    const inclusive = ofForm(true);
    const gross = sumOf(inclusive);
    const taxOnTop = share(exclusive, rate);
    const taxWithin = share(gross, rate.div(rate.add(1)));
    const netsWithin = netShares(
      inclusive.map((index) => nets[index] ?? gross),
      { rate, net: gross.minor - taxWithin.minor },
    );
    inclusive.forEach((index, place) => {
      nets[index] = { minor: netsWithin[place] ?? 0n, currency };
    });
    groups.push({
      name,
      category,
      ratePercent,
      reason,
      net: sumOf(indexes),
      tax: addMoney(taxOnTop, taxWithin),
    });
  }
  return { nets, groups };
}

/** The tax of a part of a group's net: by its rate, and never more than the group's own. */
export function taxOfPart(group: TaxGroup, part: Money): Money {
  if (part.minor === group.net.minor) return group.tax;
  const tax = share(part, new Decimal(group.ratePercent).div(100));
  const isPart = magnitude(part.minor) < magnitude(group.net.minor);
  return isPart && magnitude(tax.minor) > magnitude(group.tax.minor) ? group.tax : tax;
}

function groupIndexes(lines: readonly TaxableLine[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  lines.forEach(({ terms }, index) => {
    if (!terms) return;
    const key = JSON.stringify([terms.name, terms.category, terms.ratePercent]);
    groups.set(key, [...(groups.get(key) ?? []), index]);
  });
  return groups;
}

function share({ minor, currency }: Money, rate: Decimal): Money {
  return toMoney(majorUnits(minor, currency).mul(rate), currency);
}

/** The amount in major units, exactly. */
function majorUnits(minor: bigint, currency: string): Decimal {
  const unit = toMoney(new Decimal(1), currency).minor;
  return new Decimal(minor.toString()).div(unit.toString());
}

/** Net amounts of lines that contain tax, in minor units: each within one of its exact share, together the net of all. */
function netShares(
  grosses: readonly Money[],
  { rate, net }: { readonly rate: Decimal; readonly net: bigint },
): bigint[] {
  const exact = grosses.map(({ minor }) => new Decimal(minor.toString()).div(rate.add(1)));
  const floors = exact.map((value) => BigInt(value.floor().toFixed()));
  const missing = Number(net - floors.reduce((sum, floor) => sum + floor, 0n));
  const largestFirst = exact
    .map((value, index) => ({ index, remainder: value.sub(value.floor()) }))
    .toSorted((a, b) => b.remainder.cmp(a.remainder) || a.index - b.index);
  const rounded = new Set(largestFirst.slice(0, missing).map(({ index }) => index));
  return floors.map((floor, index) => (rounded.has(index) ? floor + 1n : floor));
}

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value;
}
