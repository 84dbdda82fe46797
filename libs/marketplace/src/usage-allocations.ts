import { allocateQuantity, Decimal } from '@core/kernel';

/** A part of a record's quantity, with what tells it apart. */
export interface UsageAllocation {
  readonly quantity: number;
  readonly tags: readonly Tag[];
}

export interface Tag {
  readonly key: string;
  readonly value: string;
}

/** How much of an hour's usage has these tags. */
export interface TaggedUsage {
  readonly tags: readonly Tag[];
  readonly metered: Decimal;
}

/** Of AWS; it counts an allocation without tags as one. */
export const ALLOCATIONS_MAX = 2_500;
export const TAGS_MAX = 5;
const KEY_MAX = 100;
const VALUE_MAX = 256;
/** So large may the allocations of a record be, as JSON: two such records fit into a request. */
const BYTES_MAX = 400_000;

/**
 * Splits a record's quantity by what was used with which tags, by largest remainder; the parts add up to it, no two have
 * equal tags, and none is zero. `untagged` is usage that cannot be told apart, such as what came late or was carried. When
 * there are more sets of tags than a record takes, the smallest go without tags.
 */
export function usageAllocations(
  quantity: number,
  tagged: readonly TaggedUsage[],
  untagged: Decimal,
): UsageAllocation[] {
  const sets = new Map<string, { tags: readonly Tag[]; metered: Decimal }>();
  const add = (tags: readonly Tag[], metered: Decimal) => {
    const fit = tags.map(fitting).toSorted((a, b) => (a.key < b.key ? -1 : 1));
    const name = JSON.stringify(fit);
    sets.set(name, { tags: fit, metered: metered.add(sets.get(name)?.metered ?? 0) });
  };
  for (const { tags, metered } of tagged) add(tags, metered);
  add([], untagged);
  const positive = [...sets.values()].filter(({ metered }) => metered.gt(0));
  if (quantity === 0 || positive.every(({ tags }) => tags.length === 0)) return [];
  const parts = allocateQuantity(
    new Decimal(quantity),
    positive.map(({ metered }) => metered),
    0,
  );
  const whole = positive
    .map(({ tags }, index) => ({ tags, quantity: parts[index]?.toNumber() ?? 0 }))
    .filter((part) => part.quantity > 0);
  return withinLimits(whole);
}

function withinLimits(parts: readonly UsageAllocation[]): UsageAllocation[] {
  const largestFirst = parts.toSorted((a, b) => b.quantity - a.quantity);
  let bytes = 0;
  const kept = largestFirst
    .filter(({ tags }) => tags.length > 0)
    .filter((part, index) => {
      bytes += JSON.stringify(part).length + 64;
      return index < ALLOCATIONS_MAX - 1 && bytes <= BYTES_MAX;
    });
  const all = parts.reduce((sum, { quantity }) => sum + quantity, 0);
  const rest = all - kept.reduce((sum, { quantity }) => sum + quantity, 0);
  return rest === 0 ? kept : [...kept, { tags: [], quantity: rest }];
}

/** A tag in the characters and lengths that AWS takes; others become `_`. An empty value is `-`. */
function fitting({ key, value }: Tag): Tag {
  return { key: plain(key).slice(0, KEY_MAX), value: plain(value).slice(0, VALUE_MAX) || '-' };
}

const plain = (text: string) => text.replace(/[^a-zA-Z0-9+ \-=._:\\/@]/gu, '_');
