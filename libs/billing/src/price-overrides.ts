import { JsonFields, type FieldFault } from '@core/kernel';
import { COMMITMENT_PRICE, isCommitmentPrice, readPrice, type Price } from '@core/pricing';
import type { BilledRateCard, PriceItem } from './price-lines.js';

/** A price of a customer's own, in place of the one of that id in the rate card. */
export interface PriceOverride {
  readonly priceId: string;
  readonly price: Price;
}

/** Reads overrides of the prices of one version of a rate card, and notes every faulty field. */
export function readPriceOverrides(
  json: readonly object[],
  { prices, faults }: { readonly prices: readonly PriceItem[]; readonly faults: FieldFault[] },
): PriceOverride[] {
  const seen = new Set<string>();
  return json.map((one, index) => {
    const fields = new JsonFields(one, `/priceOverrides/${index}`, faults);
    const priceId = fields.text('priceId', 100);
    const item = prices.find(({ id }) => id === priceId);
    const price = fields.member('price', readPrice);
    if (priceId !== '' && !item) fields.refuse('priceId', 'is no price of the rate card');
    if (seen.has(priceId)) fields.refuse('priceId', 'is overridden twice');
    if (item?.isCommitment && !isCommitmentPrice(price)) fields.refuse('price', COMMITMENT_PRICE);
    else if (item?.meter === null && price.model !== 'flat') {
      fields.refuse('price', 'must be flat, as no usage is counted for this price');
    }
    if (price.model === 'percentage') {
      fields.refuse('price', 'a percentage needs single events, and a meter keeps only their sum');
    }
    seen.add(priceId);
    fields.refuseUnknown();
    return { priceId, price };
  });
}

/** A rate card as it holds for a customer with prices of their own. */
export function withOverrides(
  rateCard: BilledRateCard,
  overrides: readonly PriceOverride[],
): BilledRateCard {
  if (overrides.length === 0) return rateCard;
  const prices = rateCard.prices.map((item) => {
    const own = overrides.find(({ priceId }) => priceId === item.id);
    return own ? { ...item, price: own.price } : item;
  });
  return { ...rateCard, prices };
}
