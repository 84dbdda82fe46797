import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Decimal,
  addMoney,
  contains,
  currencyExponent,
  decimal,
  formatMoney,
  isCurrency,
  toMoney,
  zeroMoney,
  type Money,
  type Period,
} from '@core/kernel';
import { previewPrice, priceAmount, type Price, type Protocol } from '@core/pricing';
import {
  billingPeriod,
  burnCredits,
  commitmentTrueUp,
  creditNoteLegs,
  draftInvoice,
  invoiceLegs,
  paymentLegs,
  periodAfterChange,
  prorate,
  prorateAt,
  proratedPrice,
  prorationShare,
  stripeAmount,
  taxedDraft,
  type BillingInterval,
  type CreditGrant,
  type Leg,
  type MeteredUsage,
  type PeriodRule,
  type PriceItem,
  type ProrationBasis,
  type TaxedDraft,
  type TaxTerms,
} from './index.js';

/**
 * What must hold of money whatever the prices, the usage and the calendar: thirteen invariants, by their numbers. Here is
 * what is arithmetic. What is storage is held by tests against a real database, and is named in the README of this lib.
 */
const usd = (minor: bigint): Money => ({ minor, currency: 'USD' });
const sumOf = (amounts: readonly Money[]) => amounts.reduce(addMoney, zeroMoney('USD')).minor;

// Prices, quantities and usage.

const units = fc
  .tuple(fc.nat(3_000), fc.nat(999_999))
  .map(([whole, part]) => decimal(`${whole}.${String(part).padStart(6, '0')}`));
const amountText = fc.nat(10_000).map((n) => decimal(n).div(1_000).toFixed());
const tiers = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 1, max: 2_000 }), { maxLength: 6 }),
    fc.array(fc.tuple(amountText, amountText), { minLength: 7, maxLength: 7 }),
  )
  .map(([bounds, costs]) => {
    const ends: (number | null)[] = [...bounds.toSorted((a, b) => a - b), null];
    return ends.map((bound, index) => {
      const [unitAmount = '0', flatAmount = '0'] = costs[index] ?? [];
      return { upTo: bound === null ? null : String(bound), unitAmount, flatAmount };
    });
  });
const risingPrices: fc.Arbitrary<Price> = fc.oneof(
  tiers.map((t): Price => ({ model: 'graduated', tiers: t })),
  tiers.map((t): Price => ({
    model: 'graduated-percentage',
    tiers: t.map(({ unitAmount, ...tier }) => ({ ...tier, ratePercent: unitAmount })),
  })),
  amountText.map((unitAmount): Price => ({ model: 'per-unit', unitAmount })),
  amountText.map((multiplier): Price => ({ model: 'multiplier', multiplier })),
  fc
    .tuple(fc.integer({ min: 1, max: 500 }), amountText, fc.nat(200))
    .map(([size, packageAmount, free]): Price => ({
      model: 'package',
      packageSize: String(size),
      packageAmount,
      freeUnits: String(free),
    })),
);
const volumePrices = tiers.map((t): Price => ({ model: 'volume', tiers: t }));
const anyPrice = fc.oneof(risingPrices, volumePrices);

const priced = (price: Price, quantity: Decimal, isFinal = true) =>
  priceAmount(price, { quantity }, { isFinal });
const exact = (price: Price, quantity: Decimal) => priced(price, quantity).amount.toFixed();

const item = (id: string, meter: string | null, price: Price, protocol?: Protocol): PriceItem => ({
  id,
  meter,
  description: id,
  price,
  ...(protocol && { protocol }),
});
const PRICES = [
  item('fee', null, { model: 'flat', amount: '20' }),
  item('rest', 'calls', { model: 'per-unit', unitAmount: '0.0035' }, 'REST'),
  item('calls', 'calls', {
    model: 'volume',
    tiers: [
      { upTo: '1000', unitAmount: '0.01', flatAmount: '1' },
      { upTo: null, unitAmount: '0.001' },
    ],
  }),
  item('bytes', 'bytes-out', {
    model: 'per-unit',
    unitAmount: '0.09',
    convert: { divideBy: '1000', round: 'up' },
  }),
];
const usages: fc.Arbitrary<MeteredUsage[]> = fc.array(
  fc.record({
    meter: fc.constantFrom('calls', 'bytes-out', 'messages'),
    protocol: fc.constantFrom<Protocol | null>('REST', 'HTTP', null),
    quantity: fc.nat(10_000_000).map((n) => decimal(n).div(1_000)),
  }),
  { maxLength: 20 },
);
const taxes: fc.Arbitrary<TaxTerms> = fc
  .record({ rate: fc.constantFrom('19', '8.875', '0', '33.3333'), isInclusive: fc.boolean() })
  .map(({ rate, isInclusive }) => ({
    name: 'VAT',
    category: 'standard',
    ratePercent: rate,
    isInclusive,
    reason: null,
  }));
const NOVEMBER = { from: new Date('2026-11-01T00:00Z'), to: new Date('2026-12-01T00:00Z') };

function invoice(
  usage: readonly MeteredUsage[],
  tax: TaxTerms,
  corrections: readonly bigint[] = [],
): TaxedDraft {
  const draft = draftInvoice({
    subscription: { id: 'sub_1', customerId: 'cus_1', currency: 'USD' },
    period: NOVEMBER,
    usage,
    rateCard: { id: 'rc_1', version: 1, currency: 'USD', prices: PRICES },
    adjustments: corrections.map((minor) => ({ description: 'Correction', amount: usd(minor) })),
  });
  return taxedDraft(draft, (meter) => (meter === 'bytes-out' ? null : tax));
}

// Calendars.

const ZONES = [
  'UTC',
  'America/New_York',
  'Europe/Paris',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'Pacific/Apia',
];
const zones = fc.constantFrom(...ZONES);
const instants = fc.date({
  min: new Date('1990-01-01'),
  max: new Date('2040-01-01'),
  noInvalidDate: true,
});
const intervals = fc.constantFrom<BillingInterval>('day', 'week', 'month', 'quarter', 'year');
const rules: fc.Arbitrary<PeriodRule> = fc.oneof(
  fc.record({ kind: fc.constant('calendar'), interval: intervals, timezone: zones }),
  fc.record({
    kind: fc.constant('anniversary'),
    interval: intervals,
    anchor: instants.map((at) => at.toISOString().slice(0, 10)),
    timezone: zones,
  }),
  fc.record({
    kind: fc.constant('anchored-instant'),
    interval: intervals,
    anchor: instants.map((at) => at.toISOString()),
  }),
);
const bases: fc.Arbitrary<ProrationBasis> = fc.oneof(
  fc.constant({ unit: 'second' }),
  zones.map((timezone): ProrationBasis => ({ unit: 'day', timezone })),
);
const wholes = fc
  .tuple(instants, intervals, zones)
  .map(([at, interval, timezone]) =>
    billingPeriod({ kind: 'calendar', interval, timezone }, at, 'containing'),
  );
const places = fc.array(fc.integer({ min: 0, max: 1_000 }), { maxLength: 6 });
const cutsOf = (whole: Period, at: readonly number[]) =>
  at
    .toSorted((a, b) => a - b)
    .map((place) => {
      const span = whole.to.getTime() - whole.from.getTime();
      return new Date(whole.from.getTime() + Math.floor((span * place) / 1_000));
    });
function partsOf(whole: Period, cuts: readonly Date[]): Period[] {
  const ends = [...cuts, whole.to];
  return ends.map((to, index) => ({ from: ends[index - 1] ?? whole.from, to }));
}

describe('1: documents add up', () => {
  const corrections = fc.array(fc.bigInt({ min: -100_000n, max: 100_000n }), { maxLength: 3 });

  it('lines to the subtotal, with the tax of the groups to the total, each line rounded once', () => {
    fc.assert(
      fc.property(usages, taxes, corrections, (usage, tax, minors) => {
        const { lines, taxes: groups, subtotal, total } = invoice(usage, tax, minors);
        expect(sumOf(lines.map(({ amount }) => amount))).toBe(subtotal.minor);
        expect(subtotal.minor + sumOf(groups.map((group) => group.tax))).toBe(total.minor);
        for (const line of lines) {
          if (line.kind !== 'price') continue;
          expect(line.rating.roundedMinor).toBe(toMoney(line.exactAmount, 'USD').minor.toString());
        }
      }),
    );
  });

  it('what is receivable is what was invoiced, less credit notes, less payments', () => {
    const acts = fc.array(
      fc.tuple(fc.constantFrom('pay', 'credit'), fc.integer({ min: 1, max: 99 })),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(usages, taxes, acts, (usage, tax, all) => {
        const sums = invoice(usage, tax);
        const ledger: Leg[][] = [invoiceLegs(sums)];
        let due = sums.total.minor;
        for (const [act, percent] of all) {
          const amount = usd((due * BigInt(percent)) / 100n);
          const part = { subtotal: amount, tax: usd(0n), total: amount };
          const legs =
            act === 'pay'
              ? paymentLegs({ amount, from: 'cash', isWrittenOff: false })
              : creditNoteLegs({ sums: part, due: usd(due), rest: 'cash', isWrittenOff: false });
          ledger.push(legs);
          due -= amount.minor;
        }
        for (const legs of ledger) expect(sumOf(legs.map(({ amount }) => amount))).toBe(0n);
        const receivable = ledger.flat().filter(({ account }) => account === 'receivable');
        expect(sumOf(receivable.map(({ amount }) => amount))).toBe(due);
      }),
    );
  });
});

describe('2: doing it again changes nothing', () => {
  it('the same usage is rated to the same bytes, whatever was rated before, and is left as it was', () => {
    const text = (value: unknown) =>
      JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? `${one}` : one));
    fc.assert(
      fc.property(usages, usages, taxes, taxes, (usage, other, tax, otherTax) => {
        const before = text(usage);
        const first = text(invoice(usage, tax));
        invoice(other, otherTax);
        const copy = usage.map((part) => ({ ...part, quantity: decimal(part.quantity.toFixed()) }));
        expect(text(invoice(copy, tax))).toBe(first);
        expect(text(usage)).toBe(before);
      }),
    );
  });
});

describe('3: neither order nor batches matter', () => {
  it('any order of the usage and any cut of it into parts gives the same invoice', () => {
    fc.assert(
      fc.property(usages, taxes, fc.infiniteStream(fc.nat(100)), (usage, tax, random) => {
        const parts = usage.flatMap((part) => {
          const first = part.quantity.mul(random.next().value ?? 0).div(100);
          return [
            { ...part, quantity: first },
            { ...part, quantity: part.quantity.sub(first) },
          ];
        });
        const shuffled = parts
          .map((part) => ({ part, at: random.next().value ?? 0 }))
          .toSorted((a, b) => a.at - b.at)
          .map(({ part }) => part);
        expect(invoice(shuffled, tax)).toEqual(invoice(usage, tax));
      }),
    );
  });
});

describe('4: nothing is left out or counted twice', () => {
  it('every unit is charged by one line or shown as unpriced', () => {
    fc.assert(
      fc.property(usages, taxes, (usage, tax) => {
        const draft = invoice(usage, tax);
        const total = (all: readonly { readonly quantity: Decimal }[]) =>
          Decimal.sum(0, ...all.map(({ quantity }) => quantity)).toFixed();
        const charged = draft.lines.filter((line) => line.kind === 'price');
        expect(total([...charged, ...draft.unpriced])).toBe(total(usage));
      }),
    );
  });

  it('every instant lies in exactly one period, across clock changes and a change of the rule', () => {
    fc.assert(
      fc.property(
        rules,
        rules,
        instants,
        fc.array(fc.nat(1_000), { minLength: 1 }),
        (before, after, at, offsets) => {
          const first = billingPeriod(before, at, 'containing');
          const second = billingPeriod(before, at, 'next');
          const changed = periodAfterChange({ before, after, lastEnded: second.to });
          const last = billingPeriod(after, changed.to, 'containing');
          const periods = [first, second, changed, last];
          const span = last.to.getTime() - first.from.getTime();
          for (const offset of offsets) {
            const event = new Date(first.from.getTime() + Math.floor((span * offset) / 1_001));
            expect(periods.filter((period) => contains(period, event))).toHaveLength(1);
          }
          for (const [index, { from }] of periods.entries()) {
            expect(from).toEqual(periods[index - 1]?.to ?? first.from);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('5: what prices do as the quantity rises', () => {
  it('never falls, unless it is a volume price', () => {
    fc.assert(
      fc.property(risingPrices, units, units, (price, a, b) => {
        const [low, high] = [Decimal.min(a, b), Decimal.max(a, b)];
        expect(priced(price, high).amount.gte(priced(price, low).amount)).toBe(true);
      }),
    );
  });

  it('volume prices do fall: one unit more can make all cheaper', () => {
    const [dear, cheap] = [
      { upTo: '15', unitAmount: '10' },
      { upTo: null, unitAmount: '5' },
    ];
    const price: Price = { model: 'volume', tiers: [dear, cheap] };
    expect([15, 16].map((quantity) => exact(price, decimal(quantity)))).toEqual(['150', '80']);
  });

  it('tiers add up to the gross amount and to the units', () => {
    fc.assert(
      fc.property(tiers, fc.constantFrom('graduated', 'volume'), units, (t, model, quantity) => {
        const { tiers: charges, gross, units: charged } = priced({ model, tiers: t }, quantity);
        expect(Decimal.sum(0, ...charges.map(({ amount }) => amount)).toFixed()).toBe(
          gross.toFixed(),
        );
        expect(Decimal.sum(0, ...charges.map((tier) => tier.quantity)).toFixed()).toBe(
          charged.toFixed(),
        );
      }),
    );
  });

  it('a tier without flat amount may be split in two', () => {
    fc.assert(
      fc.property(tiers, units, fc.integer({ min: 2_001, max: 2_500 }), (t, quantity, at) => {
        const last = { upTo: null, unitAmount: t.at(-1)?.unitAmount ?? '0' };
        const whole: Price = { model: 'graduated', tiers: [...t.slice(0, -1), last] };
        const halves = [{ ...last, upTo: String(at) }, last];
        const split: Price = { model: 'graduated', tiers: [...t.slice(0, -1), ...halves] };
        expect(exact(split, quantity)).toBe(exact(whole, quantity));
      }),
    );
  });

  it('graduated and volume are the same within the first tier', () => {
    fc.assert(
      fc.property(tiers, units, (t, quantity) => {
        const within = Decimal.min(quantity, t[0]?.upTo ?? quantity);
        const [volume, graduated] = (['volume', 'graduated'] as const).map((model) =>
          exact({ model, tiers: t }, within),
        );
        expect(volume).toBe(graduated);
      }),
    );
  });
});

describe('6: bounds hold', () => {
  it('between minimum and maximum when usage is final, and discounts take no more than there is', () => {
    const terms = fc.record({ min: fc.nat(50), more: fc.nat(50), off: fc.nat(100) });
    fc.assert(
      fc.property(anyPrice, units, terms, (price, quantity, { min, more, off }) => {
        const discounted = priced({ ...price, discountPercent: String(off) }, quantity);
        expect(discounted.amount.isNegative() || discounted.amount.gt(discounted.gross)).toBe(
          false,
        );
        const bounds = { minimumAmount: String(min), maximumAmount: String(min + more) };
        const { amount } = priced({ ...price, discountPercent: String(off), ...bounds }, quantity);
        expect(amount.gte(min) && amount.lte(min + more)).toBe(true);
      }),
    );
  });

  const AT = new Date('2026-06-01T00:00Z');
  const dates = fc
    .constantFrom('2026-05-01', '2026-06-01', '2026-06-02')
    .map((day) => new Date(day));
  const grantLists: fc.Arbitrary<CreditGrant[]> = fc.uniqueArray(
    fc.record({
      id: fc.stringMatching(/^[a-z]{1,3}$/),
      kind: fc.constant('paid' as const),
      name: fc.constant('Top-up'),
      scope: fc.constant({ meters: [], usagePlanIds: [] }),
      priority: fc.integer({ min: 1, max: 2 }),
      createdAt: dates,
      effectiveAt: dates,
      expiresAt: fc.option(dates),
      left: fc.bigInt({ min: 0n, max: 200n }).map(usd),
    }),
    { selector: ({ id }) => id, maxLength: 10 },
  );
  const dues = fc.bigInt({ min: 0n, max: 1_000n }).map(usd);
  const burn = ({ minor, currency }: Money, grants: readonly CreditGrant[]) =>
    burnCredits(
      { currency, charges: [{ group: '', meter: null, minor }], usagePlanId: 'basic', at: AT },
      grants,
    );

  it('credits pay no more than was granted or is due, and all that they may', () => {
    fc.assert(
      fc.property(grantLists, dues, (grants, due) => {
        const uses = burn(due, grants);
        const used = sumOf(uses.map(({ amount }) => amount));
        const leftOf = new Map(grants.map(({ id, left }) => [id, left.minor]));
        for (const { grant, amount } of uses) {
          expect(amount.minor > 0n && amount.minor <= (leftOf.get(grant.id) ?? 0n)).toBe(true);
        }
        const valid = grants.filter(
          ({ effectiveAt, expiresAt }) =>
            effectiveAt <= AT && (expiresAt === null || AT < expiresAt),
        );
        const granted = sumOf(valid.map(({ left }) => left));
        expect(used).toBe(granted < due.minor ? granted : due.minor);
      }),
    );
  });

  it('credits burn in one order, in whatever order they come', () => {
    const pairs = grantLists.chain((grants) =>
      fc.tuple(
        fc.constant(grants),
        fc.shuffledSubarray(grants, { minLength: grants.length, maxLength: grants.length }),
      ),
    );
    fc.assert(
      fc.property(pairs, dues, ([grants, others], due) => {
        expect(burn(due, others)).toEqual(burn(due, grants));
      }),
    );
  });

  it('a commitment is asked for once: with the true-up charged nothing is missing', () => {
    const charges = fc.array(fc.bigInt({ min: -100n, max: 500_000n }), { maxLength: 5 });
    fc.assert(
      fc.property(
        fc.nat(10_000_000),
        charges,
        fc.integer({ min: 1, max: 30 }),
        (thousandths, minors, used) => {
          const committed = prorate(decimal(thousandths).div(1_000), { used, of: 30 });
          const trueUp = (all: readonly bigint[]) =>
            commitmentTrueUp(committed, usd(all.reduce((sum, minor) => sum + minor, 0n))).minor;
          const missing = trueUp(minors);
          expect(missing >= 0n).toBe(true);
          expect(trueUp([...minors, missing])).toBe(0n);
        },
      ),
    );
  });
});

describe('7: differences add up to the whole', () => {
  const text = fc.nat(10_000_000).map((n) => decimal(n).div(1_000).toFixed());
  const currencies = fc.constantFrom('USD', 'JPY', 'KWD', 'CLF');

  it('what is booked in steps, also backwards, is what the last of them costs, rounded', () => {
    const steps = fc.array(text, { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        anyPrice,
        steps,
        currencies,
        fc.option(text),
        (bare, quantities, currency, billed) => {
          const price = { ...bare, convert: { divideBy: '7' } };
          const terms = { price, currency, ...(billed !== null && { billedQuantity: billed }) };
          const booked = previewPrice({ ...terms, quantities });
          const deltas = 'deltas' in booked ? booked.deltas : [];
          const sum = deltas.reduce((total, delta) => total + BigInt(delta), 0n);
          const whole = previewPrice({ ...terms, quantity: quantities.at(-1) });
          expect(whole).toMatchObject({ rounded: { minor: sum.toString() } });
        },
      ),
    );
  });

  it('exactly, when each line bills the difference to what was billed', () => {
    fc.assert(
      fc.property(
        anyPrice,
        fc.array(text, { minLength: 1, maxLength: 20 }),
        (price, quantities) => {
          let billed = decimal(0);
          for (const quantity of quantities) {
            const line = previewPrice({
              currency: 'USD',
              price,
              quantity,
              billedAmount: billed.toFixed(),
            });
            billed = billed.add('amount' in line ? line.amount : NaN);
          }
          expect(billed.toFixed()).toBe(exact(price, decimal(quantities.at(-1) ?? 0)));
        },
      ),
    );
  });
});

describe('8: the parts of a period', () => {
  it('have shares that add up to one, by days of its zone or another, and by seconds', () => {
    fc.assert(
      fc.property(wholes, bases, places, (whole, basis, at) => {
        const shares = partsOf(whole, cutsOf(whole, at)).map((part) =>
          prorationShare(part, { whole, basis, end: 'hand-over' }),
        );
        const used = shares.reduce((sum, share) => sum + share.used, 0);
        expect(new Set(shares.map(({ of }) => of))).toEqual(new Set([used]));
      }),
      { numRuns: 300 },
    );
  });

  it('cost what the whole costs: exactly by largest remainder, within a minor unit each when rounded alone', () => {
    fc.assert(
      fc.property(
        wholes,
        bases,
        places,
        fc.bigInt({ min: 0n, max: 10n ** 9n }),
        (whole, basis, at, minor) => {
          const cuts = cutsOf(whole, at);
          const parts = prorateAt(usd(minor), cuts, { whole, basis });
          expect(parts).toHaveLength(cuts.length + 1);
          expect(sumOf(parts)).toBe(minor);

          const alone = partsOf(whole, cuts).map((part) => {
            const share = prorationShare(part, { whole, basis, end: 'hand-over' });
            return toMoney(prorate(decimal(minor).div(100), share), 'USD');
          });
          // None is more than its rounding away from its own share.
          for (const [index, { minor: part }] of parts.entries()) {
            const apart = part - (alone[index]?.minor ?? 0n);
            expect(apart <= 1n && apart >= -1n).toBe(true);
          }
          const off = sumOf(alone) - minor;
          expect(off <= BigInt(cuts.length) && -off <= BigInt(cuts.length)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('ask together for the fee and the minimum of the whole, exactly', () => {
    fc.assert(
      fc.property(wholes, bases, places, amountText, (whole, basis, at, amount) => {
        const price: Price = { model: 'flat', amount, minimumAmount: amount };
        const parts = partsOf(whole, cutsOf(whole, at)).map((part) => {
          const share = prorationShare(part, { whole, basis, end: 'hand-over' });
          return priced(proratedPrice(price, share), decimal(0)).amount;
        });
        expect(
          Decimal.sum(0, ...parts)
            .toDecimalPlaces(70)
            .toFixed(),
        ).toBe(decimal(amount).toFixed());
      }),
    );
  });

  it('credit and charge nothing when a plan is changed to one of the same price', () => {
    fc.assert(
      fc.property(wholes, bases, fc.nat(1_000), fc.nat(10_000_000), (whole, basis, at, cents) => {
        const [, rest = whole] = partsOf(whole, cutsOf(whole, [at]));
        const share = prorationShare(rest, { whole, basis, end: 'hand-over' });
        const price = new Decimal(cents).div(100);
        const [credit, charge] = [price.neg(), price].map(
          (one) => toMoney(prorate(one, share), 'USD').minor,
        );
        expect((credit ?? 1n) + (charge ?? 0n)).toBe(0n);
      }),
    );
  });
});

describe('9: a credit note', () => {
  it('for all of an invoice leaves nothing of it, its tax neither, whatever was paid', () => {
    fc.assert(
      fc.property(usages, taxes, fc.integer({ min: 0, max: 100 }), (usage, tax, percent) => {
        const sums = invoice(usage, tax);
        const paid = usd((sums.total.minor * BigInt(percent)) / 100n);
        const due = usd(sums.total.minor - paid.minor);
        const legs = [
          ...invoiceLegs(sums),
          ...paymentLegs({ amount: paid, from: 'cash', isWrittenOff: false }),
          ...creditNoteLegs({ sums, due, rest: 'cash', isWrittenOff: false }),
        ];
        const balances = ['receivable', 'revenue', 'tax-payable', 'cash'].map((account) =>
          sumOf(legs.filter((leg) => leg.account === account).map(({ amount }) => amount)),
        );
        expect(balances).toEqual([0n, 0n, 0n, 0n]);
      }),
    );
  });
});

describe('10: currencies', () => {
  const currencies = fc.constantFrom('USD', 'JPY', 'KWD', 'CLF', 'ISK', 'HUF', 'UYW', 'MRU');

  it('an amount and its opposite are rounded alike, to whole minor units, by half a unit at most', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), currencies, (n, currency) => {
        const amount = decimal(n).div(100_000);
        const { minor } = toMoney(amount, currency);
        expect(toMoney(amount.neg(), currency).minor).toBe(-minor);
        const off = amount
          .mul(10 ** currencyExponent(currency))
          .sub(minor.toString())
          .abs();
        expect(off.lte('0.5')).toBe(true);
      }),
    );
  });

  it('an amount of minor units is written and read without loss', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
        currencies,
        (minor, currency) => {
          const written = formatMoney({ minor, currency });
          expect(toMoney(decimal(written), currency)).toEqual({ minor, currency });
          expect(written.split('.')[1]?.length ?? 0).toBe(currencyExponent(currency));
        },
      ),
    );
  });

  it.each([
    { exponent: 0, codes: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF' },
    { exponent: 2, codes: 'EUR USD GBP CHF HUF TWD MGA MRU COP IDR CRC' },
    { exponent: 3, codes: 'BHD IQD JOD KWD LYD OMR TND' },
    { exponent: 4, codes: 'CLF UYW' },
  ])('ISO 4217 gives $exponent decimals to $codes', ({ exponent, codes }) => {
    expect(codes.split(' ').map((code) => currencyExponent(code))).toEqual(
      codes.split(' ').map(() => exponent),
    );
  });

  it('what Stripe is sent is the same sum by its own units, or is not sent', () => {
    const units: Record<string, bigint> = { USD: 1n, HUF: 1n, JPY: 1n, ISK: 100n, KWD: 1n };
    fc.assert(
      fc.property(
        fc.bigInt(),
        fc.constantFrom(...Object.keys(units), 'CLF', 'UGX'),
        (minor, currency) => {
          const sent = stripeAmount({ minor, currency });
          const isTooFine = currency === 'KWD' && minor % 10n !== 0n;
          const unit = isTooFine ? undefined : units[currency];
          expect('amount' in sent ? sent.amount : null).toBe(
            unit === undefined ? null : minor * unit,
          );
        },
      ),
    );
  });

  it('knows no metal, fund or test code as money', () => {
    expect(['XAU', 'XXX', 'XTS', 'XDR', 'usd', 'EURO'].filter(isCurrency)).toEqual([]);
  });
});
