import { Decimal } from '@core/kernel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { taxLines, type TaxTerms } from './invoice-tax.js';

const usd = (minor: bigint) => ({ minor, currency: 'USD' });
const vat = (ratePercent: string, isInclusive = false): TaxTerms => ({
  name: 'VAT',
  category: 'standard',
  ratePercent,
  isInclusive,
  reason: null,
});
const REVERSE: TaxTerms = {
  name: 'VAT',
  category: 'reverse-charge',
  ratePercent: '0',
  isInclusive: false,
  reason: 'Reverse charge',
};
const sum = (all: readonly bigint[]) => all.reduce((total, one) => total + one, 0n);
const taxOf = (amounts: readonly number[], terms: TaxTerms | null) => {
  const lines = amounts.map((amount) => ({ amount: usd(BigInt(amount)), terms }));
  const { nets, groups } = taxLines(lines, 'USD');
  return {
    nets: nets.map(({ minor }) => Number(minor)),
    tax: Number(sum(groups.map(({ tax }) => tax.minor))),
  };
};

describe('taxLines', () => {
  it.each([
    { lines: [1_000], terms: vat('19'), nets: [1_000], tax: 190, why: 'a percentage of the line' },
    {
      lines: [3, 3, 3, 3, 3],
      terms: vat('10'),
      nets: [3, 3, 3, 3, 3],
      tax: 2,
      why: 'of the sum, 1.5: each line by itself would have none',
    },
    {
      lines: [-3, -3, -3, -3, -3],
      terms: vat('10'),
      nets: [-3, -3, -3, -3, -3],
      tax: -2,
      why: 'half away from zero, also below it',
    },
    {
      lines: [1_190],
      terms: vat('19', true),
      nets: [1_000],
      tax: 190,
      why: 'the tax is within the price',
    },
    {
      lines: [100, 100, 100],
      terms: vat('20', true),
      nets: [84, 83, 83],
      tax: 50,
      why: '3.00 stays 3.00; the odd cent goes to the first of equal remainders',
    },
    {
      lines: [100, -100],
      terms: vat('20', true),
      nets: [83, -83],
      tax: 0,
      why: 'what is taken back takes its tax along',
    },
    { lines: [1_000], terms: REVERSE, nets: [1_000], tax: 0, why: 'the customer accounts for it' },
    { lines: [1_000], terms: null, nets: [1_000], tax: 0, why: 'no rule, no tax' },
    { lines: [999], terms: vat('8.875'), nets: [999], tax: 89, why: 'rates have decimals' },
    { lines: [], terms: null, nets: [], tax: 0, why: 'nothing to tax' },
  ])('of $lines is $tax: $why', ({ lines, terms, nets, tax }) => {
    expect(taxOf(lines, terms)).toEqual({ nets, tax });
  });

  it('makes one group of each name, category and rate, and none of untaxed lines', () => {
    const lines = [
      { amount: usd(1_000n), terms: vat('19') },
      { amount: usd(500n), terms: REVERSE },
      { amount: usd(1_190n), terms: vat('19', true) },
      { amount: usd(300n), terms: null },
      { amount: usd(100n), terms: vat('7') },
    ];
    expect(taxLines(lines, 'USD')).toEqual({
      nets: [usd(1_000n), usd(500n), usd(1_000n), usd(300n), usd(100n)],
      groups: [
        {
          name: 'VAT',
          category: 'standard',
          ratePercent: '19',
          reason: null,
          net: usd(2_000n),
          tax: usd(380n),
        },
        {
          name: 'VAT',
          category: 'reverse-charge',
          ratePercent: '0',
          reason: 'Reverse charge',
          net: usd(500n),
          tax: usd(0n),
        },
        {
          name: 'VAT',
          category: 'standard',
          ratePercent: '7',
          reason: null,
          net: usd(100n),
          tax: usd(7n),
        },
      ],
    });
  });

  it('keeps to the decimals of the currency', () => {
    const ofCurrency = (currency: string) =>
      taxLines([{ amount: { minor: 1_005n, currency }, terms: vat('10') }], currency).groups[0]
        ?.tax;
    expect(ofCurrency('JPY')).toEqual({ minor: 101n, currency: 'JPY' });
    expect(ofCurrency('KWD')).toEqual({ minor: 101n, currency: 'KWD' });
  });

  const rate = fc.integer({ min: 0, max: 50_000 }).map((n) => new Decimal(n).div(1_000).toFixed());
  const amounts = fc.array(fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }), {
    minLength: 1,
    maxLength: 12,
  });

  it('leaves lines and sums that add up: nets to the group, inclusive lines to what they were', () => {
    fc.assert(
      fc.property(
        amounts,
        rate,
        fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
        (minors, percent, forms) => {
          const lines = minors.map((minor, index) => ({
            amount: usd(minor),
            terms: vat(percent, forms[index] ?? false),
          }));
          const { nets, groups } = taxLines(lines, 'USD');
          expect(sum(nets.map(({ minor }) => minor))).toBe(sum(groups.map(({ net }) => net.minor)));
          lines.forEach(({ amount, terms }, index) => {
            const isOnTop = !terms.isInclusive;
            expect(isOnTop && nets[index]?.minor !== amount.minor).toBe(false);
          });
          const exclusive = lines
            .filter(({ terms }) => !terms.isInclusive)
            .map(({ amount }) => amount);
          const onTop = sum(
            taxLines(
              exclusive.map((amount) => ({ amount, terms: vat(percent) })),
              'USD',
            ).groups.map(({ tax }) => tax.minor),
          );
          const total = sum(groups.flatMap(({ net, tax }) => [net.minor, tax.minor]));
          expect(total).toBe(sum(minors) + onTop);
        },
      ),
    );
  });

  it('is within the tolerance that EN 16931 allows: less than a minor unit from the rate of the net', () => {
    fc.assert(
      fc.property(amounts, rate, fc.boolean(), (minors, percent, isInclusive) => {
        const lines = minors.map((minor) => ({
          amount: usd(minor),
          terms: vat(percent, isInclusive),
        }));
        for (const { net, tax } of taxLines(lines, 'USD').groups) {
          const exact = new Decimal(net.minor.toString()).mul(percent).div(100);
          expect(exact.sub(tax.minor.toString()).abs().lt(1)).toBe(true);
        }
      }),
    );
  });

  it('finds the net again that a price with its tax was made of', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }), rate, (minor, percent) => {
        const [group] = taxLines([{ amount: usd(minor), terms: vat(percent) }], 'USD').groups;
        const gross = usd(minor + (group?.tax.minor ?? 0n));
        const back = taxLines([{ amount: gross, terms: vat(percent, true) }], 'USD');
        expect(back.nets).toEqual([usd(minor)]);
        expect(back.groups[0]?.tax).toEqual(group?.tax);
      }),
    );
  });
});
