import { Decimal } from '@core/kernel';

/** What one part of a period holds, by the ways in which it can be counted. */
export interface CountedPart {
  /** Rising, and different of all parts. */
  readonly bucket: number;
  readonly aggregation: 'sum' | 'count' | 'max' | 'latest' | 'unique-count';
  readonly sum: string;
  readonly max: string;
  readonly latest: string;
  /** Values that no part before it has. */
  readonly members: number;
}

/**
 * What each part of a period adds to its quantity: the quantity up to its end less that up to its begin. So parts add up
 * to the period also where a quantity is none of theirs added: the greatest, the last, or how many different values.
 */
export function quantityGrowth(
  parts: readonly CountedPart[],
): { readonly bucket: number; readonly quantity: Decimal }[] {
  let so: Decimal | null = null;
  return parts.map((part) => {
    const before: Decimal | null = so;
    so = quantityWith(before, part);
    return { bucket: part.bucket, quantity: so.sub(before ?? 0) };
  });
}

function quantityWith(before: Decimal | null, part: CountedPart): Decimal {
  switch (part.aggregation) {
    case 'sum':
    case 'count':
      return (before ?? new Decimal(0)).add(part.sum);
    case 'max':
      return before ? Decimal.max(before, part.max) : new Decimal(part.max);
    case 'latest':
      return new Decimal(part.latest);
    case 'unique-count':
      return (before ?? new Decimal(0)).add(part.members);
  }
}
