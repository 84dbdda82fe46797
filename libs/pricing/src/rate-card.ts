import { JsonFields, isCurrency, type FieldFault, type ReadAt } from '@core/kernel';
import { InvalidPrice } from './errors.js';
import { readPrice, type Price } from './price.js';

/** What kind of api the usage of a meter came through, as Amazon API Gateway names them. */
export type Protocol = 'REST' | 'HTTP' | 'WEBSOCKET';

/** One price of a rate card: one line on each invoice. */
export interface RateCardPrice {
  /** What is counted; null for a fee that depends on no usage. */
  readonly meter: string | null;
  /** Only usage through apis of this kind; absent means all usage of the meter that no other price claims so. */
  readonly protocol?: Protocol;
  /** The line's text on the invoice. */
  readonly description: string;
  readonly price: Price;
  /** A minimum for all prices together: what is charged is what they do not ask for. Its price is flat, for a whole period. */
  readonly isCommitment?: true;
}

/** A set of prices by meter in one currency. Immutable once used: a change is a new version. */
export interface RateCard {
  readonly name: string;
  readonly currency: string;
  readonly prices: readonly RateCardPrice[];
}

const PRICES_MAX = 200;
const METER = /^[a-z0-9][a-z0-9.-]{0,63}$/;

/** Reads a rate card; throws `InvalidPrice` naming every faulty field. */
export function parseRateCard(json: unknown): RateCard {
  const faults: FieldFault[] = [];
  const fields = new JsonFields(json, '', faults);
  const name = fields.text('name', 100);
  const currency = fields.text('currency', 3);
  if (currency !== '' && !isCurrency(currency)) {
    fields.refuse('currency', 'must be an ISO 4217 currency code, such as "EUR"');
  }
  const prices = fields.list('prices', { min: 1, max: PRICES_MAX }, readRateCardPrice);
  fields.refuseUnknown();
  refuseDoubleClaims(prices, faults);
  refuseSecondCommitment(prices, faults);
  if (faults.length > 0) throw new InvalidPrice({ errors: faults });
  return { name, currency, prices };
}

const readRateCardPrice: ReadAt<RateCardPrice> = (json, pointer, faults) => {
  const fields = new JsonFields(json, pointer, faults);
  const meter = fields.raw('meter') === null ? null : fields.text('meter', 64);
  if (meter && !METER.test(meter)) {
    fields.refuse('meter', 'must be lower-case letters, digits, dots and hyphens');
  }
  const description = fields.text('description', 200);
  const price = fields.member('price', readPrice);
  if (meter === null && price.model !== 'flat') {
    fields.refuse('meter', 'is required: only a flat price depends on no usage');
  }
  if (price.model === 'percentage') {
    fields.refuse('price', 'a percentage needs single events, and a meter keeps only their sum');
  }
  const protocol = fields.has('protocol')
    ? fields.choice('protocol', ['REST', 'HTTP', 'WEBSOCKET'])
    : undefined;
  if (meter === null && protocol) fields.refuse('protocol', 'must not be sent without a meter');
  const isCommitment = readIsCommitment(fields, price);
  if (isCommitment && meter !== null)
    fields.refuse('meter', 'must be null: a commitment is over all prices');
  fields.refuseUnknown();
  return { meter, ...(protocol && { protocol }), description, price, ...isCommitment };
};

/** Reads whether a price is a commitment, which must be a flat one and nothing else. */
export function readIsCommitment(
  fields: JsonFields,
  price: Price,
): { readonly isCommitment: true } | null {
  if (!fields.boolean('isCommitment', false)) return null;
  if (!isCommitmentPrice(price)) fields.refuse('price', COMMITMENT_PRICE);
  return { isCommitment: true };
}

export const COMMITMENT_PRICE =
  'must be flat, in arrears and without anything around it: it is a commitment';

const FLAT_FIELDS: ReadonlySet<string> = new Set(['model', 'amount', 'paymentTerm']);

/** Whether a price can be a commitment. */
export function isCommitmentPrice(price: Price): boolean {
  if (price.model !== 'flat' || isInAdvance(price)) return false;
  return Object.keys(price).every((name) => FLAT_FIELDS.has(name));
}

/** Whether a price is asked for before the period that it is for begins. */
export function isInAdvance(price: Price): boolean {
  return price.model === 'flat' && price.paymentTerm === 'in-advance';
}

/** Prices are together asked for one minimum at most. */
function refuseSecondCommitment(prices: readonly RateCardPrice[], faults: FieldFault[]): void {
  const first = prices.findIndex(({ isCommitment }) => isCommitment);
  for (const [index, { isCommitment }] of prices.entries()) {
    if (!isCommitment || index === first) continue;
    const detail = 'another price of this rate card is the commitment';
    faults.push({ pointer: `/prices/${index}/isCommitment`, detail });
  }
}

/** Usage must be charged by one price only. */
function refuseDoubleClaims(prices: readonly RateCardPrice[], faults: FieldFault[]): void {
  const claims = new Set<string>();
  for (const [index, { meter, protocol }] of prices.entries()) {
    const claim = `${meter} ${protocol}`;
    if (meter !== null && claims.has(claim)) {
      const detail = 'another price of this rate card charges the same usage';
      faults.push({ pointer: `/prices/${index}/meter`, detail });
    }
    claims.add(claim);
  }
}
