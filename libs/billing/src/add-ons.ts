import { Decimal, JsonFields, decimal, type DecimalForm, type FieldFault } from '@core/kernel';
import {
  priceAmount,
  readIsCommitment,
  readPrice,
  type Price,
  type PricedAmount,
} from '@core/pricing';
import { prorate, type ProrationShare } from './proration.js';

/** A price beside those of the rate card, of a quantity that is agreed and not counted: three seats, one support contract. */
export interface AddOn {
  readonly id: string;
  readonly description: string;
  readonly price: Price;
  readonly quantity: string;
  /** A minimum for all prices together, in place of the rate card's: what is charged is what they do not ask for. */
  readonly isCommitment?: true;
}

const ID = /^[A-Za-z0-9][A-Za-z0-9./-]{0,99}$/;
const QUANTITY: DecimalForm = { sign: 'positive', scale: 12 };

/** Reads add-ons, and notes every faulty field. */
export function readAddOns(json: readonly object[], faults: FieldFault[]): AddOn[] {
  const seen = new Set<string>();
  let hasCommitment = false;
  return json.map((one, index) => {
    const fields = new JsonFields(one, `/addOns/${index}`, faults);
    const id = fields.text('id', 100);
    if (id !== '' && !ID.test(id)) {
      fields.refuse('id', 'must be 1 to 100 letters, digits, dots, slashes or hyphens');
    }
    if (seen.has(id)) fields.refuse('id', 'is the id of another add-on too');
    seen.add(id);
    const description = fields.text('description', 200);
    const price = fields.member('price', readPrice);
    if (price.model === 'percentage') {
      fields.refuse('price', 'a percentage needs single events, and an add-on has a quantity');
    }
    const quantity = fields.has('quantity') ? fields.decimal('quantity', QUANTITY) : '1';
    const isCommitment = readIsCommitment(fields, price);
    if (isCommitment && quantity !== '1')
      fields.refuse('quantity', 'must be 1: a commitment is one sum');
    if (isCommitment && hasCommitment)
      fields.refuse('isCommitment', 'another add-on is the commitment');
    hasCommitment ||= isCommitment !== null;
    fields.refuseUnknown();
    return { id, description, price, quantity, ...isCommitment };
  });
}

/** What ids of add-ons on lines begin with. */
export const ADD_ON_PREFIX = 'add-on:';

/** The id by which lines name an add-on; no price of a rate card can have it. */
export function addOnPriceId({ id }: AddOn): string {
  return `${ADD_ON_PREFIX}${id}`;
}

/** What an add-on costs for a share of a period. A flat amount is asked for each of the quantity; the share is taken of the whole. */
export function addOnAmount(
  { price, quantity }: AddOn,
  share: ProrationShare | undefined,
): PricedAmount {
  const count = decimal(quantity);
  const whole = priceAmount(price, { quantity: count }, { isFinal: true });
  const times = price.model === 'flat' ? count : new Decimal(1);
  const amount = whole.amount.mul(times);
  return {
    ...whole,
    units: price.model === 'flat' ? count : whole.units,
    gross: whole.gross.mul(times),
    amount: share ? prorate(amount, share) : amount,
  };
}
