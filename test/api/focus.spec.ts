import { Decimal, formatMoney } from '@core/kernel';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { readCsv } from '../../apps/cli/src/exports/read-csv.js';
import { startInvoicing, type Invoicing, type Subscribed } from '../support/invoicing.js';
import { readParquet } from '../support/read-parquet.js';

/** Run by hand with more: `RUNS=300 npm test -- test/api/focus.spec.ts`. */
const RUNS = Number(process.env['RUNS'] ?? 12);

let on: Invoicing;
beforeAll(async () => {
  on = await startInvoicing();
});

type Row = Readonly<Record<string, string>>;

const text = async (path: string, token?: string) =>
  (await on.api.call('GET', path, token === undefined ? {} : { token })).body as unknown as string;
const focus = async (query = '', token?: string): Promise<Row[]> =>
  readCsv(await text(`/v1/focus?${query}`, token));
const total = (rows: readonly Row[], column: string) =>
  rows.reduce((sum, row) => sum.add(row[column] ?? ''), new Decimal(0));

/** The smallest unit of a currency. */
const unitOf = (currency: string) => ({ JPY: '1', KWD: '0.001' })[currency] ?? '0.01';

/** Prices of any kind, by meter; null is a fee. */
const amount = fc.integer({ min: 0, max: 999_999 }).map((n) => new Decimal(n).div(1e6).toFixed());
const terms = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  fc.record({ includedUnits: fc.nat(100).map(String) }),
  fc.constant({ discountPercent: '12.5' }),
  fc.constant({ minimumAmount: '3.33' }),
  fc.constant({ convert: { divideBy: '3', round: 'none' } }),
  fc.constant({ convert: { divideBy: '1000', round: 'up' } }),
);
const tiers = fc
  .tuple(amount, amount, amount, fc.constantFrom('0', '0', '0.505'))
  .map(([first, second, third, flatAmount]) => [
    { upTo: '100', unitAmount: first },
    { upTo: '1000', unitAmount: second, flatAmount },
    { upTo: null, unitAmount: third },
  ]);
const price = fc
  .tuple(
    fc.oneof(
      amount.map((unitAmount) => ({ model: 'per-unit', unitAmount })),
      tiers.map((of) => ({ model: 'graduated', tiers: of })),
      tiers.map((of) => ({ model: 'volume', tiers: of })),
      fc.constant({ model: 'package', packageSize: '7', packageAmount: '0.15' }),
    ),
    terms,
  )
  .map(([model, of]) => ({ ...model, ...of }));
const aCase = fc.record({
  currency: fc.constantFrom('USD', 'JPY', 'KWD'),
  prices: fc.record({ calls: price, messages: price, 'bytes-out': price }),
  used: fc.record({ calls: fc.nat(5_000), messages: fc.nat(5_000), 'bytes-out': fc.nat(5_000) }),
  tax: fc.constantFrom(
    null,
    { ratePercent: '19', isInclusive: false },
    { ratePercent: '7.7', isInclusive: true },
  ),
  couponPercent: fc.constantFrom(null, null, '30'),
  creditsBack: fc.boolean(),
});
type Case = typeof aCase extends fc.Arbitrary<infer T> ? T : never;

/** Makes something, and answers it. */
async function make(path: string, body: object) {
  const answer = await on.api.call('POST', path, { body });
  expect(answer.status).toBe(201);
  return answer.body;
}

/** A month of a new customer, billed, and in part credited back. */
async function billed({
  currency,
  prices,
  used,
  tax,
  couponPercent,
  creditsBack,
}: Case): Promise<Subscribed> {
  const items = [
    ...Object.entries(prices).map(([meter, of]) => ({ meter, description: meter, price: of })),
    { meter: null, description: 'Fee', price: { model: 'flat', amount: '19.99' } },
  ];
  const card = await make('/v1/rate-cards', { name: `card ${Math.random()}`, currency, items });
  const subscriber = await on.aSubscriber({ rateCardId: card['id'] });
  const { customerId } = subscriber;
  if (tax) {
    const body = { name: 'VAT', category: 'standard', customerId, ...tax };
    await make('/v1/tax-rules', body);
  }
  if (couponPercent !== null) {
    await on.rows.moveClockTo('2026-11-20T00:00:00Z');
    const terms = { name: 'Spring', percent: couponPercent, duration: 'forever' };
    const { code } = await make('/v1/coupons', {
      code: `C-${customerId.replace(/\W|_/g, '').toUpperCase().slice(0, 20)}`,
      ...terms,
    });
    await make('/v1/coupon-redemptions', { code, customerId });
    await on.rows.moveClockTo('2026-12-01T00:10:00Z');
  }
  for (const [meter, quantity] of Object.entries(used))
    await on.use(subscriber, { meter, hour: '2026-11-15T10:00:00Z', quantity: String(quantity) });
  await on.invoicing.closeDue();
  const [draft] = await on.invoicesOf(subscriber);
  const path = `/v1/invoices/${String(draft?.['id'])}`;
  const { status, body: invoice } = await on.post(`${path}/finalise`);
  expect(status).toBe(200);
  const fee = invoice['lines'].find(({ meter }: { meter: string | null }) => meter === null);
  if (creditsBack) {
    const lines = [{ lineId: fee.id, amount: currency === 'JPY' ? '3' : '3.33' }];
    await make(`${path}/credit-notes`, { reason: 'x', lines });
  }
  return subscriber;
}

describe('GET /v1/focus', () => {
  it('adds up to each document, and price × quantity is the cost, whatever is charged', async () => {
    let priced = 0;
    await fc.assert(
      fc.asyncProperty(aCase, async (of) => {
        const { customerId } = await billed(of);
        const rows = await focus(`customerId=${customerId}`);
        const invoices = await on.rows.db.invoice.findMany({ where: { customerId } });
        const notes = await on.rows.db.creditNote.findMany({ where: { customerId } });
        const { currency } = of;
        const payable = new Map([
          ...invoices.map(
            (i) => [i.number, formatMoney({ minor: i.totalMinor, currency })] as const,
          ),
          ...notes.map((n) => [n.number, formatMoney({ minor: -n.totalMinor, currency })] as const),
        ]);
        expect(new Set(rows.map((row) => row['InvoiceId']))).toEqual(new Set(payable.keys()));
        for (const [number, sum] of payable) {
          const lines = rows.filter((row) => row['InvoiceId'] === number);
          expect(total(lines, 'BilledCost').toFixed()).toBe(new Decimal(sum).toFixed());
          expect(total(lines, 'EffectiveCost').toFixed()).toBe(new Decimal(sum).toFixed());
        }
        for (const [meter, quantity] of Object.entries(of.used)) {
          const lines = rows.filter((row) => row['ConsumedUnit'] === meter);
          const consumed = lines.length === 0 ? '0' : total(lines, 'ConsumedQuantity').toFixed();
          expect(consumed).toBe(String(lines.length === 0 ? 0 : quantity));
        }
        for (const row of rows) {
          expect(row['ContractedCost']).toBe(row['ListCost']);
          expect(row['ContractedUnitPrice']).toBe(row['ListUnitPrice']);
          if (row['ListUnitPrice'] === '') continue;
          priced += 1;
          const cost = new Decimal(row['ListUnitPrice'] ?? '').mul(row['PricingQuantity'] ?? '');
          expect(row['ListCost']).toBe(cost.toDecimalPlaces(12).toFixed());
          // A row is rounded by itself or as the rows of its line add up: by less than one unit of the currency. A coupon is
          // rounded once more, as it is spread.
          const share = of.couponPercent === null ? 1 : '0.7';
          const units = cost
            .mul(share)
            .sub(row['BilledCost'] ?? '')
            .abs()
            .div(unitOf(currency));
          expect(units.lt(of.couponPercent === null ? 1 : 3)).toBe(true);
        }
      }),
      { numRuns: RUNS, examples: [[EXAMPLE]] },
    );
    expect(priced).toBeGreaterThan(RUNS);
  });

  it('agrees with the register, the invoices and the receivable of the journal', async () => {
    const rows = readCsv(await text('/v1/exports/focus.csv'));
    const register = readCsv(await text('/v1/exports/invoice-register.csv'));
    const journal = readCsv(await text('/v1/exports/journal.csv'));
    const issued = await on.rows.db.invoice.findMany({ where: { issuedAt: { not: null } } });
    expect(register).toHaveLength(issued.length);
    for (const { number, totalMinor, currency } of issued) {
      const money = formatMoney({ minor: totalMinor, currency });
      expect(register.find((row) => row['number'] === number)?.['total']).toBe(money);
    }
    for (const currency of new Set(register.map((row) => row['currency']))) {
      const ours = <T extends Row>(all: readonly T[], column: string) =>
        all.filter((row) => row[column] === currency);
      const receivable = ours(journal, 'currency').filter(
        (row) => row['ledgerAccount'] === 'receivable',
      );
      const asked = total(receivable, 'debit').sub(total(receivable, 'credit')).toFixed();
      expect(total(ours(register, 'currency'), 'due').toFixed()).toBe(asked);
      expect(total(ours(rows, 'BillingCurrency'), 'BilledCost').toFixed()).toBe(asked);
    }
  });

  it('has a row for each tier, with the price of the tier, and words of FOCUS only', async () => {
    const { customerId } = await billed(EXAMPLE);
    const rows = await focus(`customerId=${customerId}`);
    const calls = rows.filter((row) => row['SkuMeter'] === 'calls');
    expect(calls).toMatchObject([
      {
        PricingQuantity: '100',
        ListUnitPrice: '0.0035',
        ListCost: '0.35',
        BilledCost: '0.35',
        SkuPriceId: expect.stringMatching(/\/1$/),
      },
      {
        PricingQuantity: '900',
        ListUnitPrice: '0.0015',
        ListCost: '1.35',
        BilledCost: '1.35',
        ConsumedQuantity: '900',
      },
      {
        PricingQuantity: '234',
        ListUnitPrice: '0.0001',
        ListCost: '0.0234',
        BilledCost: '0.02',
        PricingUnit: 'calls',
      },
    ]);
    expect(rows.map((row) => [row['ChargeCategory'], row['ChargeClass']])).toEqual([
      ...Array.from({ length: 5 }, () => ['Usage', '']),
      ['Purchase', ''],
      ['Tax', ''],
      ['Purchase', 'Correction'],
      ['Tax', 'Correction'],
    ]);
    for (const row of rows) {
      expect(row).toMatchObject({ BillingAccountId: customerId, ServiceCategory: 'Integration' });
      expect(row['BillingPeriodStart']).toBe('2026-11-01T00:00:00.000Z');
    }
  });

  it('leaves out what 1.4 has taken away, is empty without rows, and is Parquet too', async () => {
    const [head = ''] = (await text('/v1/focus')).split('\r\n');
    const [later = ''] = (await text('/v1/focus?version=1.4')).split('\r\n');
    const gone = ['ProviderName', 'PublisherName'];
    expect(later.split(',')).toEqual(head.split(',').filter((name) => !gone.includes(name)));
    expect(head.split(',')).toEqual(expect.arrayContaining(MANDATORY));
    expect(await focus('from=2019-01-01T00:00:00Z&to=2020-01-01T00:00:00Z')).toEqual([]);
    const headers = { authorization: `Bearer ${on.api.ownerToken}` };
    const answer = await fetch(`${on.api.url}/v1/focus?format=parquet`, { headers });
    const { rows, types } = await readParquet(new Uint8Array(await answer.arrayBuffer()));
    expect(rows).toHaveLength((await focus()).length);
    expect(types['BilledCost']).toBe('decimal(38, 12)');
  });

  it('shows a customer their own rows only, whomever they ask for', async () => {
    const { customerId } = await billed(EXAMPLE);
    const other = await billed(EXAMPLE);
    const token = await on.rows.customerToken(customerId);
    for (const query of ['', `customerId=${other.customerId}`]) {
      const rows = await focus(query, token);
      expect(new Set(rows.map((row) => row['BillingAccountId']))).toEqual(new Set([customerId]));
    }
    const stranger = await on.rows.operatorToken(await on.rows.otherAccount());
    expect(await focus(`customerId=${customerId}`, stranger)).toEqual([]);
    const status = async (path: string, of: string) =>
      (await on.api.call('GET', path, { token: of })).status;
    expect(await status('/v1/exports/focus.csv', token)).toBe(403);
    expect(await status('/v1/focus?version=0.5', token)).toBe(400);
    expect(await status('/v1/focus', on.api.gatewayToken)).toBe(403);
  });
});

const EXAMPLE: Case = {
  currency: 'USD',
  prices: {
    calls: {
      model: 'graduated',
      tiers: [
        { upTo: '100', unitAmount: '0.0035', flatAmount: '0' },
        { upTo: '1000', unitAmount: '0.0015', flatAmount: '0' },
        { upTo: null, unitAmount: '0.0001', flatAmount: '0' },
      ],
    },
    messages: { model: 'per-unit', unitAmount: '0.01' },
    'bytes-out': { model: 'package', packageSize: '7', packageAmount: '0.15' },
  },
  used: { calls: 1_234, messages: 3, 'bytes-out': 8 },
  tax: { ratePercent: '19', isInclusive: false },
  couponPercent: null,
  creditsBack: true,
} as never;

/** Of FOCUS 1.2 and 1.3, Cost and Usage. */
const MANDATORY = [
  'BilledCost',
  'BillingAccountId',
  'BillingAccountName',
  'BillingCurrency',
  'BillingPeriodEnd',
  'BillingPeriodStart',
  'ChargeCategory',
  'ChargeClass',
  'ChargeDescription',
  'ChargePeriodEnd',
  'ChargePeriodStart',
  'ContractedCost',
  'EffectiveCost',
  'HostProviderName',
  'InvoiceIssuerName',
  'ListCost',
  'PricingQuantity',
  'PricingUnit',
  'ProviderName',
  'PublisherName',
  'ServiceCategory',
  'ServiceName',
  'ServiceProviderName',
];
