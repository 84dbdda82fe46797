import { atPointer, type FieldFault } from '@core/kernel';
import { InvalidPrice, parseRateCard, type RateCardPrice } from '@core/pricing';
import type { PriceItem } from './price-lines.js';
import { InvalidRateCard } from './errors.js';

const ITEM_ID = /^[A-Za-z0-9][A-Za-z0-9./-]{0,99}$/;

/**
 * Reads the items of a rate card, each with the id by which invoice lines name it: the one that was sent, else
 * `calls/REST`, `bytes-out` or `fee-3` by its meter or place. Throws `InvalidRateCard` naming every faulty field.
 */
export function parseRateCardItems(json: {
  readonly currency: string;
  readonly items: readonly object[];
}): PriceItem[] {
  const faults: FieldFault[] = [];
  const ids = json.items.map((item) => ('id' in item ? item.id : undefined));
  const prices = readPrices(json, faults);
  const items = prices.map((price, index) => {
    const id = ids[index];
    if (id === undefined) return { id: ownId(price, index), ...price };
    if (typeof id === 'string' && ITEM_ID.test(id)) return { id, ...price };
    const detail = 'must be 1 to 100 letters, digits, dots, slashes or hyphens';
    faults.push({ pointer: atPointer(`/items/${index}`, 'id'), detail });
    return { id: '', ...price };
  });
  refuseDoubleIds(items, faults);
  if (faults.length > 0) throw new InvalidRateCard({ errors: faults });
  return items;
}

function readPrices(
  { currency, items }: { readonly currency: string; readonly items: readonly object[] },
  faults: FieldFault[],
): readonly RateCardPrice[] {
  const prices = items.map((item) => ({ meter: null, ...item, id: undefined }));
  const withoutIds = prices.map(({ id: _, ...price }) => price);
  try {
    return parseRateCard({ name: 'card', currency, prices: withoutIds }).prices;
  } catch (error) {
    if (!(error instanceof InvalidPrice)) throw error;
    for (const { pointer, detail } of error.facts.errors) {
      faults.push({ pointer: pointer.replace(/^\/prices/, '/items'), detail });
    }
    return [];
  }
}

function ownId({ meter, protocol, isCommitment }: RateCardPrice, index: number): string {
  if (isCommitment) return 'commitment';
  if (meter === null) return `fee-${index + 1}`;
  return protocol ? `${meter}/${protocol}` : meter;
}

function refuseDoubleIds(items: readonly PriceItem[], faults: FieldFault[]): void {
  const seen = new Set<string>();
  for (const [index, { id }] of items.entries()) {
    if (id !== '' && seen.has(id)) {
      faults.push({ pointer: `/items/${index}/id`, detail: 'is the id of another item too' });
    }
    seen.add(id);
  }
}
