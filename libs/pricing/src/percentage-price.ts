import { Decimal, type DecimalForm, type JsonFields } from '@core/kernel';
import { AMOUNT, type Charge } from './charge.js';

const COUNT: DecimalForm = { sign: 'not-negative', scale: 12 };

/** A share of each event's amount, as payment providers charge. An allowance that is absent or zero is not given. */
export interface PercentagePrice {
  readonly model: 'percentage';
  readonly ratePercent: string;
  /** Charged for every event that is not free. */
  readonly fixedAmountPerEvent?: string;
  /** The first events that are free: a whole number. */
  readonly freeEvents?: string;
  /** The first amount that is free, over all events. */
  readonly freeAmount?: string;
  /** Bounds of what one event that is not free costs, rate and fixed amount together. */
  readonly perEventMin?: string;
  readonly perEventMax?: string;
}

/** Reads what is particular to a percentage. */
export function readPercentagePrice(fields: JsonFields): PercentagePrice {
  const ratePercent = fields.decimal('ratePercent', AMOUNT);
  const fixedAmountPerEvent = fields.optionalDecimal('fixedAmountPerEvent', AMOUNT);
  const freeEvents = readFreeEvents(fields);
  const freeAmount = fields.optionalDecimal('freeAmount', AMOUNT);
  const perEventMin = fields.optionalDecimal('perEventMin', AMOUNT);
  const perEventMax = fields.optionalDecimal('perEventMax', AMOUNT);
  if (perEventMin && perEventMax && new Decimal(perEventMin).gt(perEventMax)) {
    fields.refuse('perEventMin', 'must not be above perEventMax');
  }
  return {
    model: 'percentage',
    ratePercent,
    ...(fixedAmountPerEvent !== undefined && { fixedAmountPerEvent }),
    ...(freeEvents !== undefined && { freeEvents }),
    ...(freeAmount !== undefined && { freeAmount }),
    ...(perEventMin !== undefined && { perEventMin }),
    ...(perEventMax !== undefined && { perEventMax }),
  };
}

/** A count in a string, or as a JSON number, which loses no digit of a count. */
function readFreeEvents(fields: JsonFields): string | undefined {
  const sent = fields.raw('freeEvents');
  if (typeof sent === 'number' && Number.isSafeInteger(sent) && sent >= 0) return String(sent);
  const count = fields.optionalDecimal('freeEvents', COUNT);
  if (count !== undefined && !new Decimal(count).isInteger()) {
    fields.refuse('freeEvents', 'must be a whole number');
  }
  return count;
}

/**
 * Charges the events in the order they came.
 *
 * The allowance that is used up first ends the free part for good. The event that crosses the free amount
 * pays the rate on what is above it, and the whole fixed amount.
 */
export function percentageCharge(price: PercentagePrice): (events: readonly Decimal[]) => Charge {
  const amountOf = eventAmount(price);
  return (events) => {
    const allowance = new FreeAllowance(price);
    let total = new Decimal(0);
    for (const event of events) {
      const charged = allowance.chargedPartOf(event);
      if (charged !== null) total = total.add(amountOf(charged));
    }
    return { amount: total, tiers: [] };
  };
}

function eventAmount(price: PercentagePrice): (charged: Decimal) => Decimal {
  const rate = new Decimal(price.ratePercent).div(100);
  const fixed = new Decimal(price.fixedAmountPerEvent ?? 0);
  const least = new Decimal(price.perEventMin ?? 0);
  const most = new Decimal(price.perEventMax ?? Infinity);
  return (charged) => Decimal.max(Decimal.min(charged.mul(rate).add(fixed), most), least);
}

/** What is left of the free events and the free amount while events go by. */
class FreeAllowance {
  #events: Decimal | null;
  #amount: Decimal | null;
  #isOver: boolean;

  constructor({ freeEvents = '0', freeAmount = '0' }: PercentagePrice) {
    this.#events = grantOf(freeEvents);
    this.#amount = grantOf(freeAmount);
    this.#isOver = this.#events === null && this.#amount === null;
  }

  /** How much of the event is charged; null when it is free as a whole. */
  chargedPartOf(event: Decimal): Decimal | null {
    if (this.#isOver) return event;
    if (this.#events?.isZero() || this.#amount?.isZero()) {
      this.#isOver = true;
      return event;
    }
    const excess = this.#amount === null ? new Decimal(0) : event.sub(this.#amount);
    if (excess.gt(0)) {
      this.#isOver = true;
      return excess;
    }
    this.#events = this.#events?.sub(1) ?? null;
    this.#amount = this.#amount?.sub(event) ?? null;
    return null;
  }
}

function grantOf(allowance: string): Decimal | null {
  const granted = new Decimal(allowance);
  return granted.isZero() ? null : granted;
}
