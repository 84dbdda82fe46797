import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { currencyExponent } from '@core/kernel';
import { previewPrice } from './index.js';

/**
 * Prices a second time, by whole numbers alone and from the contract's words, and compares. It shares no arithmetic with
 * what it checks: every number is a fraction of two bigints, tiers are priced unit by unit from below, and what is free
 * of a list of events is found from their running sums.
 */
class Fraction {
  private constructor(
    readonly n: bigint,
    readonly d: bigint,
  ) {}

  static of(text: string | bigint): Fraction {
    if (typeof text === 'bigint') return new Fraction(text, 1n);
    const [whole = '', part = ''] = text.split('.');
    return new Fraction(BigInt(whole + part), 10n ** BigInt(part.length));
  }

  plus(b: Fraction) {
    return new Fraction(this.n * b.d + b.n * this.d, this.d * b.d);
  }
  minus(b: Fraction) {
    return new Fraction(this.n * b.d - b.n * this.d, this.d * b.d);
  }
  times(b: Fraction) {
    return new Fraction(this.n * b.n, this.d * b.d);
  }
  over(b: Fraction) {
    return new Fraction(this.n * b.d, this.d * b.n);
  }
  isAbove(b: Fraction) {
    return this.n * b.d > b.n * this.d;
  }
  least(b: Fraction) {
    return this.isAbove(b) ? b : this;
  }
  most(b: Fraction) {
    return this.isAbove(b) ? this : b;
  }
  /** To a whole number; `half` goes away from zero. */
  rounded(mode: 'up' | 'down' | 'half'): bigint {
    const isNegative = this.n < 0n;
    const magnitude = isNegative ? -this.n : this.n;
    const [whole, rest] = [magnitude / this.d, magnitude % this.d];
    const isHalf = rest * 2n >= this.d;
    const isUp = mode === 'half' ? isHalf : mode === 'up' && rest > 0n;
    const result = whole + (isUp ? 1n : 0n);
    return isNegative ? -result : result;
  }
}

const ZERO = Fraction.of(0n);
const HUNDRED = Fraction.of(100n);

interface AnyPrice {
  readonly model: string;
  readonly tiers?: readonly Record<string, string | null>[];
  readonly convert?: { divideBy?: string; multiplyBy?: string; round?: string };
  readonly [term: string]: unknown;
}

const num = (value: unknown, otherwise = '0') =>
  Fraction.of(typeof value === 'string' ? value : otherwise);

function convert(price: AnyPrice, quantity: Fraction): Fraction {
  const { divideBy = '1', multiplyBy = '1', round = 'none' } = price.convert ?? {};
  const exact = quantity.times(num(multiplyBy)).over(num(divideBy));
  if (round === 'none') return exact;
  return Fraction.of(exact.rounded(round === 'half-up' ? 'half' : round === 'up' ? 'up' : 'down'));
}

function ofQuantity(price: AnyPrice, q: Fraction): Fraction {
  const tiers = (price.tiers ?? []).map((tier, index, all) => ({
    from: index === 0 ? ZERO : num(all[index - 1]?.['upTo']),
    to: tier['upTo'] === null ? null : num(tier['upTo']),
    each: tier['ratePercent'] ? num(tier['ratePercent']).over(HUNDRED) : num(tier['unitAmount']),
    flat: num(tier['flatAmount']),
    isFirst: index === 0,
  }));
  switch (price.model) {
    case 'flat':
      return num(price['amount']);
    case 'per-unit':
      return q.times(num(price['unitAmount']));
    case 'multiplier':
      return q.times(num(price['multiplier']));
    case 'package': {
      const paid = q.minus(num(price['freeUnits'])).most(ZERO);
      const packages = paid.over(num(price['packageSize'])).rounded('up');
      return Fraction.of(packages).times(num(price['packageAmount']));
    }
    case 'volume': {
      const [tier] = tiers.filter(({ to }) => to === null || !q.isAbove(to));
      return q.times(tier?.each ?? ZERO).plus(tier?.flat ?? ZERO);
    }
    default:
      return tiers
        .filter(({ from, isFirst }) => isFirst || q.isAbove(from))
        .map(({ from, to, each, flat }) => {
          const end = to === null ? q : q.least(to);
          return end.minus(from).times(each).plus(flat);
        })
        .reduce((sum, amount) => sum.plus(amount), ZERO);
  }
}

function ofEvents(price: AnyPrice, events: readonly Fraction[]): Fraction {
  const [freeEvents, freeAmount] = [num(price['freeEvents']), num(price['freeAmount'])];
  const hasEvents = freeEvents.isAbove(ZERO);
  const hasAmount = freeAmount.isAbove(ZERO);
  const before = events.map((_, index) =>
    events.slice(0, index).reduce((sum, event) => sum.plus(event), ZERO),
  );
  const isSpent = (index: number) =>
    (hasEvents && !freeEvents.isAbove(Fraction.of(BigInt(index)))) ||
    (hasAmount && !freeAmount.isAbove(before[index] ?? ZERO));
  const crosses = (index: number) =>
    hasAmount && (before[index] ?? ZERO).plus(events[index] ?? ZERO).isAbove(freeAmount);
  const isAllCharged = !hasEvents && !hasAmount;
  const firstCharged = isAllCharged
    ? 0
    : events.findIndex((_, index) => isSpent(index) || crosses(index));
  return events
    .map((event, index) => {
      if (firstCharged < 0 || index < firstCharged) return ZERO;
      const isCut = index === firstCharged && !isAllCharged && !isSpent(index);
      const charged = isCut ? (before[index] ?? ZERO).plus(event).minus(freeAmount) : event;
      const cost = charged
        .times(num(price['ratePercent']).over(HUNDRED))
        .plus(num(price['fixedAmountPerEvent']));
      const capped =
        price['perEventMax'] === undefined ? cost : cost.least(num(price['perEventMax']));
      return capped.most(num(price['perEventMin']));
    })
    .reduce((sum, cost) => sum.plus(cost), ZERO);
}

/** convert → round → free units → price → discount → maximum → minimum. */
function reference(
  price: AnyPrice,
  use: { quantity: string } | { events: readonly string[] },
  isFinal: boolean,
): Fraction {
  const included = num(price['includedUnits']);
  let gross: Fraction;
  if ('events' in use) {
    let free = included;
    const events = use.events.map((event) => {
      const amount = convert(price, Fraction.of(event));
      const rest = amount.minus(free).most(ZERO);
      free = free.minus(amount).most(ZERO);
      return rest;
    });
    gross = ofEvents(price, events);
  } else {
    const units = convert(price, Fraction.of(use.quantity)).minus(included).most(ZERO);
    gross = ofQuantity(price, units);
  }
  const discounted = gross.times(HUNDRED.minus(num(price['discountPercent']))).over(HUNDRED);
  const capped =
    price['maximumAmount'] === undefined
      ? discounted
      : discounted.least(num(price['maximumAmount']));
  return isFinal ? capped.most(num(price['minimumAmount'])) : capped;
}

const minorOf = (amount: Fraction, currency: string) =>
  amount.times(Fraction.of(10n ** BigInt(currencyExponent(currency)))).rounded('half');

/** Short and long numbers alike: round ones meet bounds and halves, long ones fill every digit that is accepted. */
function decimals(scale: number, { max = 10n ** 26n - 1n, positive = false } = {}) {
  const least = positive ? 1n : 0n;
  const text = (whole: bigint, part: string) => {
    const trimmed = part.replace(/0+$/, '');
    const isZero = whole === 0n && trimmed === '';
    if (isZero) return positive ? '1' : '0';
    return trimmed === '' ? whole.toString() : `${whole}.${trimmed}`;
  };
  return fc.oneof(
    { weight: 6, arbitrary: fc.bigInt({ min: least, max: 40n }).map((whole) => whole.toString()) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.bigInt({ min: 0n, max: 40n }), fc.constantFrom('5', '25', '005', '001', '333'))
        .map(([whole, part]) => text(whole, part)),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.bigInt({ min: 0n, max }), fc.stringMatching(new RegExp(`^[0-9]{0,${scale}}$`)))
        .map(([whole, part]) => text(whole, part)),
    },
  );
}

const amounts = decimals(18);
const quantities = decimals(12);
const bounds = fc
  .uniqueArray(fc.bigInt({ min: 1n, max: 80n }), { maxLength: 5 })
  .map((halves) => halves.toSorted((a, b) => Number(a - b)))
  .map((halves) => halves.map((n) => `${n / 2n}${n % 2n === 1n ? '.5' : ''}`));
const tiersOf = (cost: 'unitAmount' | 'ratePercent') =>
  fc
    .tuple(bounds, fc.array(fc.tuple(amounts, amounts), { minLength: 6, maxLength: 6 }))
    .map(([ends, costs]) =>
      [...ends, null].map((upTo, index) => {
        const [each = '0', flatAmount = '0'] = costs[index] ?? [];
        return { upTo, [cost]: each, flatAmount };
      }),
    );
const percents = fc.oneof(
  fc.integer({ min: 0, max: 100 }).map(String),
  fc.constantFrom('33.333333333333333333', '99.5', '0.000000000000000001'),
);

const models: Record<string, fc.Arbitrary<AnyPrice>> = {
  flat: amounts.map((amount) => ({ model: 'flat', amount })),
  'per-unit': amounts.map((unitAmount) => ({ model: 'per-unit', unitAmount })),
  multiplier: amounts.map((multiplier) => ({ model: 'multiplier', multiplier })),
  graduated: tiersOf('unitAmount').map((tiers) => ({ model: 'graduated', tiers })),
  volume: tiersOf('unitAmount').map((tiers) => ({ model: 'volume', tiers })),
  'graduated-percentage': tiersOf('ratePercent').map((tiers) => ({
    model: 'graduated-percentage',
    tiers,
  })),
  package: fc.record({
    model: fc.constant('package'),
    packageSize: decimals(18, { positive: true }),
    packageAmount: amounts,
    freeUnits: amounts,
  }),
  percentage: fc
    .record(
      {
        model: fc.constant('percentage'),
        ratePercent: percents,
        fixedAmountPerEvent: amounts,
        freeEvents: fc.integer({ min: 0, max: 4 }).map(String),
        freeAmount: fc.oneof(fc.nat(5).map(String), decimals(18, { max: 100n })),
        perEvent: fc.tuple(amounts, amounts),
      },
      { requiredKeys: ['model', 'ratePercent'] },
    )
    .map(({ perEvent, ...price }) => {
      const [perEventMin, perEventMax] = ordered(perEvent);
      return { ...price, ...(perEvent && { perEventMin, perEventMax }) };
    }),
};

function ordered(pair: readonly [string, string] | undefined): readonly [string, string] {
  const [a, b] = pair ?? ['0', '0'];
  return Fraction.of(a).isAbove(Fraction.of(b)) ? [b, a] : [a, b];
}

const terms = fc
  .record(
    {
      convert: fc.tuple(
        fc.constantFrom('divideBy', 'multiplyBy'),
        fc.oneof(fc.constantFrom('3', '7', '1000', '1073741824'), decimals(18, { positive: true })),
        fc.constantFrom('up', 'down', 'half-up', 'none'),
      ),
      includedUnits: amounts,
      discountPercent: percents,
      bounds: fc.tuple(amounts, amounts),
    },
    { requiredKeys: [] },
  )
  .map(({ convert: by, bounds: pair, ...others }) => {
    const [minimumAmount, maximumAmount] = ordered(pair);
    return {
      ...others,
      ...(by && { convert: { [by[0]]: by[1], round: by[2] } }),
      ...(pair && { minimumAmount, maximumAmount }),
    };
  });
const currencies = fc.constantFrom('USD', 'JPY', 'KWD', 'CLF', 'HUF', 'ISK', 'UYW', 'BHD');

/** The last of the decimals that an answer keeps of an amount without end, such as a third. */
const TAIL = Fraction.of(`0.${'0'.repeat(78)}1`);

/** What the preview says, with its amount only as whether it is the exact one. */
function seen(sent: object, exact: Fraction) {
  const answer = previewPrice(sent);
  if (!('amount' in answer)) throw new Error('One quantity has one amount.');
  const { amount, rounded } = answer;
  const magnitude = Fraction.of(amount.replace('-', ''));
  const off = (amount.startsWith('-') ? ZERO.minus(magnitude) : magnitude).minus(exact);
  const isExact = !off.isAbove(TAIL) && !ZERO.minus(off).isAbove(TAIL);
  return { amount: isExact ? 'exact' : amount, rounded };
}

const expected = (exact: Fraction, currency: string) => ({
  amount: 'exact',
  rounded: { minor: minorOf(exact, currency).toString(), currency },
});

describe('previewPrice, against a second implementation in fractions', () => {
  const quantityModels = Object.keys(models).filter((model) => model !== 'percentage');

  it.each(quantityModels)('prices %s alike under any terms and at any quantity', (model) => {
    fc.assert(
      fc.property(
        models[model] ?? fc.constant({ model }),
        terms,
        quantities,
        fc.option(quantities, { nil: undefined }),
        fc.boolean(),
        currencies,
        (bare, around, quantity, billedQuantity, isFinal, currency) => {
          const price = { ...bare, ...around };
          const billed =
            billedQuantity === undefined
              ? ZERO
              : reference(price, { quantity: billedQuantity }, false);
          const sent = { currency, price, quantity, isFinal };
          const exact = reference(price, { quantity }, isFinal).minus(billed);
          const request = { ...sent, ...(billedQuantity !== undefined && { billedQuantity }) };
          expect(seen(request, exact)).toEqual(expected(exact, currency));
        },
      ),
      { numRuns: 400 },
    );
  });

  it('prices events by percentage alike under any terms', () => {
    fc.assert(
      fc.property(
        models['percentage'] ?? fc.constant({ model: 'percentage' }),
        terms,
        fc.array(fc.oneof(fc.nat(3).map(String), decimals(18, { max: 1_000n })), { maxLength: 8 }),
        fc.boolean(),
        currencies,
        (bare, around, events, isFinal, currency) => {
          const price = { ...bare, ...around };
          const exact = reference(price, { events }, isFinal);
          const request = { currency, price, events, isFinal };
          expect(seen(request, exact)).toEqual(expected(exact, currency));
        },
      ),
      { numRuns: 600 },
    );
  });

  it.each(quantityModels)('books the steps of %s as the differences of rounded sums', (model) => {
    fc.assert(
      fc.property(
        models[model] ?? fc.constant({ model }),
        terms,
        fc.array(quantities, { minLength: 1, maxLength: 8 }),
        currencies,
        (bare, around, steps, currency) => {
          const price = { ...bare, ...around };
          const booked = steps.map((quantity, index) =>
            minorOf(reference(price, { quantity }, index === steps.length - 1), currency),
          );
          expect(previewPrice({ currency, price, quantities: steps })).toEqual({
            deltas: booked.map((minor, index) => (minor - (booked[index - 1] ?? 0n)).toString()),
          });
        },
      ),
      { numRuns: 100 },
    );
  });
});
