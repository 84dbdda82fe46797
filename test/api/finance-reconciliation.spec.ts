import { randomBytes } from 'node:crypto';
import { prefixedId } from '@core/kernel';
import { beforeAll, describe, expect, it } from 'vitest';
import { readCsv } from '../../apps/cli/src/exports/read-csv.js';
import {
  startInvoicing,
  type Drafted,
  type Invoicing,
  type Subscribed,
} from '../support/invoicing.js';

let on: Invoicing;
beforeAll(async () => {
  on = await startInvoicing();
});

type Row = Readonly<Record<string, string>>;

const table = async (name: string, query = ''): Promise<Row[]> => {
  const answer = await on.api.call('GET', `/v1/exports/${name}.csv?${query}`);
  expect(answer.status).toBe(200);
  return readCsv(answer.body as unknown as string);
};
/** The rows of a customer, by item and meter; only what is said. */
const rowsOf = async ({ customerId }: { readonly customerId: string }) =>
  (await table('reconciliation')).filter((row) => row['customerId'] === customerId);
const usageOf = async (of: { readonly customerId: string }) =>
  (await rowsOf(of)).filter((row) => row['item'] === 'usage');
const finalise = async ({ path }: Drafted) =>
  expect(await on.post(`${path}/finalise`)).toMatchObject({ status: 200 });
const NOON = '2026-11-15T12:00:00Z';
/** A card with a price for calls. */
const aCard = async (price: object, ...more: object[]) => {
  const items = [{ meter: 'calls', description: 'Calls', price }, ...more];
  const body = { name: prefixedId('card', randomBytes), currency: 'USD', items };
  const answer = await on.api.call('POST', '/v1/rate-cards', { body });
  expect(answer).toMatchObject({ status: 201 });
  return answer.body['id'] as string;
};
const perCall = (more: object = {}) => ({ model: 'per-unit', unitAmount: '0.01', ...more });

describe('GET /v1/exports/reconciliation.csv', () => {
  it('follows usage to its payment, without a difference', async () => {
    const of = await on.aFinalised();
    const pay = {
      amount: '1.50',
      reference: 'SEPA',
      method: 'bank-transfer',
      paidAt: '2026-12-01T00:05:00Z',
    };
    expect((await on.api.call('POST', `${of.path}/payments`, { body: pay })).status).toBe(201);
    const { body: invoice } = await on.api.call('GET', of.path);
    expect(await rowsOf(of)).toEqual([
      {
        customerId: of.customerId,
        customerName: expect.any(String),
        subscriptionId: of.subscriptionId,
        item: 'usage',
        meter: 'calls',
        periodFrom: '2026-11-01T00:00:00.000Z',
        periodTo: '2026-12-01T00:00:00.000Z',
        invoiceNumbers: invoice['number'],
        currency: 'USD',
        metered: '1000000',
        uncharged: '0',
        rated: '1000000',
        invoiced: '1000000',
        quantityDifference: '0',
        ratedAmount: '3.50',
        invoicedAmount: '3.50',
        amountDifference: '0.00',
        credited: '0.00',
        paid: '1.50',
        open: '2.00',
        settledOtherwise: '0.00',
        reasons: 'not-due',
      },
    ]);
  });

  it('has usage that is in no invoice yet, in a draft, held for a gap, or waiting for a person', async () => {
    const open = await on.aSubscriber({ startsAt: '2026-12-01T00:00:00Z' });
    await on.use(open, { hour: '2026-12-01T00:00:00Z', quantity: '7' });
    expect(await usageOf(open)).toMatchObject([
      {
        metered: '7',
        rated: '0',
        quantityDifference: '7',
        periodTo: '2027-01-01T00:00:00.000Z',
        reasons: 'not-yet-billed',
      },
    ]);
    const draft = await on.aDraft();
    expect(await usageOf(draft)).toMatchObject([
      {
        metered: '1000000',
        rated: '1000000',
        invoiced: '0',
        ratedAmount: '3.50',
        invoicedAmount: '0.00',
        reasons: 'draft',
      },
    ]);
    const standing = async (data: object, reasons: string) => {
      await on.rows.db.invoice.update({
        where: { id: draft.id, accountId: on.rows.accountId },
        data,
      });
      expect(await usageOf(draft)).toMatchObject([{ reasons }]);
    };
    await standing({ finaliseAt: null }, 'awaits-approval');
    await standing({ heldFor: 'usage-gap' }, 'withheld-for-usage-gap');
  });

  it('has late usage until an invoice charges it, then in the row of its period', async () => {
    const of = await on.aFinalised();
    await on.use(of, { hour: '2026-11-16T10:00:00Z', quantity: '1000000' });
    const [late] = await usageOf(of);
    expect(late).toMatchObject({
      metered: '2000000',
      invoiced: '1000000',
      quantityDifference: '1000000',
    });
    expect(late?.['reasons']).toBe('late-usage-pending not-due');
  });

  it('has what no price names, what was used in a trial, and usage of who never subscribed', async () => {
    const of = await on.aDraft();
    await on.use(of, { hour: NOON, quantity: '5', meter: 'cache-gb-hours' });
    await finalise(of);
    expect(await usageOf(of)).toMatchObject([
      {
        meter: 'cache-gb-hours',
        metered: '5',
        uncharged: '5',
        quantityDifference: '5',
        reasons: 'no-price',
      },
      { meter: 'calls', quantityDifference: '0', reasons: 'not-due' },
    ]);
    const nobody: Subscribed = { ...of, customerId: await on.rows.customer() };
    await on.use(nobody, { hour: NOON, quantity: '3' });
    expect(await usageOf(nobody)).toMatchObject([
      {
        subscriptionId: '',
        metered: '3',
        periodFrom: '2026-11-01T00:00:00.000Z',
        reasons: 'no-subscription',
      },
    ]);
    const trial = { trialEndsAt: '2026-11-10T00:00:00Z' };
    const tried = await on.aSubscriber(trial);
    await on.use(tried, { hour: '2026-11-05T10:00:00Z', quantity: '11' });
    await on.use(tried, { hour: NOON, quantity: '1000000' });
    await on.invoicing.closeDue();
    const [invoice] = await on.invoicesOf(tried);
    expect((await on.post(`/v1/invoices/${String(invoice?.['id'])}/finalise`)).status).toBe(200);
    expect(await usageOf(tried)).toMatchObject([
      {
        metered: '1000011',
        uncharged: '11',
        invoiced: '1000000',
        quantityDifference: '11',
        reasons: 'trial-or-pause not-due',
      },
    ]);
  });

  it.each([
    [perCall({ minimumAmount: '5' }), '100', '1.00', '5.00', 'below-minimum not-due'],
    [perCall({ maximumAmount: '5' }), '1000', '10.00', '5.00', 'above-maximum not-due'],
    [perCall({ discountPercent: '25' }), '1000', '10.00', '7.50', 'discount not-due'],
    [perCall(), '1000', '10.00', '10.00', 'not-due'],
  ])('says what a price does: %j', async (price, quantity, rated, invoiced, reasons) => {
    const of = await on.aSubscriber({ rateCardId: await aCard(price) });
    await on.use(of, { hour: NOON, quantity });
    await on.invoicing.closeDue();
    const [invoice] = await on.invoicesOf(of);
    expect((await on.post(`/v1/invoices/${String(invoice?.['id'])}/finalise`)).status).toBe(200);
    expect(await usageOf(of)).toMatchObject([
      { quantityDifference: '0', ratedAmount: rated, invoicedAmount: invoiced, reasons },
    ]);
  });

  it('has coupons and a minimum over all prices as the reason of what they change', async () => {
    const commitment = {
      meter: null,
      description: 'Minimum',
      price: { model: 'flat', amount: '50' },
      isCommitment: true,
    };
    const rateCardId = await aCard(perCall(), commitment);
    const of = await on.aSubscriber({ rateCardId });
    await on.rows.moveClockTo('2026-11-20T00:00:00Z');
    const coupon = {
      code: 'TENTH',
      name: 'A tenth off',
      percent: '10',
      duration: 'forever',
      meters: ['calls'],
    };
    expect((await on.api.call('POST', '/v1/coupons', { body: coupon })).status).toBe(201);
    const body = { code: 'TENTH', customerId: of.customerId };
    expect((await on.api.call('POST', '/v1/coupon-redemptions', { body })).status).toBe(201);
    await on.rows.moveClockTo('2026-12-01T00:10:00Z');
    await on.use(of, { hour: NOON, quantity: '1000' });
    await on.invoicing.closeDue();
    const [invoice] = await on.invoicesOf(of);
    expect((await on.post(`/v1/invoices/${String(invoice?.['id'])}/finalise`)).status).toBe(200);
    expect(await rowsOf(of)).toMatchObject([
      {
        item: 'fee',
        ratedAmount: '0.00',
        invoicedAmount: '40.00',
        reasons: 'below-minimum not-due',
      },
      { item: 'usage', ratedAmount: '10.00', invoicedAmount: '9.00', reasons: 'coupon not-due' },
    ]);
  });

  it('has lines by hand, credit, tax and credit notes, and splits what was paid so that it adds up', async () => {
    const of = await on.aDraft();
    const { customerId } = of;
    const tax = { name: 'VAT', category: 'standard', ratePercent: '19', customerId };
    expect((await on.api.call('POST', '/v1/tax-rules', { body: tax })).status).toBe(201);
    const manual = { description: 'Help', amount: '10.01', reason: 'agreed' };
    expect((await on.api.call('POST', `${of.path}/lines`, { body: manual })).status).toBe(201);
    const grant = { kind: 'promotional', name: 'Gift', amount: '1.37', reference: 'gift' };
    await on.api.call('POST', `/v1/customers/${customerId}/credit-grants`, { body: grant });
    await finalise(of);
    const { body: invoice } = await on.api.call('GET', of.path);
    const lines = [{ lineId: invoice['lines'][0].id, amount: '1.00' }];
    const note = await on.api.call('POST', `${of.path}/credit-notes`, {
      body: { reason: 'Outage', lines },
    });
    expect(note.status).toBe(201);
    const body = {
      amount: '0.10',
      reference: 'part',
      method: 'cash',
      paidAt: '2026-12-01T00:05:00Z',
    };
    expect((await on.api.call('POST', `${of.path}/payments`, { body })).status).toBe(201);
    const rows = await rowsOf(of);
    expect(rows.map((row) => `${row['item']} ${row['invoicedAmount']} ${row['reasons']}`)).toEqual([
      'by-hand 10.01 by-hand not-due',
      'credit -1.37 credit-applied not-due',
      expect.stringMatching(/^tax \d.* tax credited not-due$/),
      'usage 3.50 credited not-due',
    ]);
    const [register] = (await table('invoice-register')).filter(
      (row) => row['customerId'] === customerId,
    );
    const sum = (column: string) =>
      rows.reduce((all, row) => all + Number(row[column]), 0).toFixed(2);
    expect(sum('invoicedAmount')).toBe(register?.['total']);
    expect(sum('credited')).toBe(register?.['credited']);
    expect(sum('paid')).toBe('0.10');
    expect(sum('open')).toBe(register?.['due']);
  });

  it('has what was made void, given up on, or is overdue, as the reason', async () => {
    const [voided, given] = [await on.aFinalised(), await on.aFinalised()];
    expect((await on.post(`${voided.path}/void`)).status).toBe(200);
    expect(await usageOf(voided)).toMatchObject([
      { metered: '1000000', invoiced: '0', invoicedAmount: '0.00', open: '0.00', reasons: 'void' },
    ]);
    expect((await on.post(`${given.path}/mark-uncollectible`)).status).toBe(200);
    expect(await usageOf(given)).toMatchObject([
      { open: '0.00', settledOtherwise: '3.50', reasons: 'uncollectible' },
    ]);
  });

  it('has late usage in the row of its period when the next invoice charges it, and says what is overdue', async () => {
    const of = await on.aFinalised();
    await on.use(of, { hour: '2026-11-16T10:00:00Z', quantity: '1000000' });
    await on.rows.moveClockTo('2027-01-02T00:10:00Z');
    await on.invoicing.closeDue();
    const [december] = await on.invoicesOf(of);
    const [waiting] = await usageOf(of);
    expect(waiting).toMatchObject({ rated: '2000000', invoiced: '1000000', ratedAmount: '7.00' });
    expect(waiting?.['reasons']).toBe('late-usage-pending overdue');
    const path = `/v1/invoices/${String(december?.['id'])}`;
    expect((await on.post(`${path}/finalise`)).status).toBe(200);
    const { body } = await on.api.call('GET', path);
    const [november] = await usageOf(of);
    expect(november).toMatchObject({
      periodFrom: '2026-11-01T00:00:00.000Z',
      quantityDifference: '0',
      invoicedAmount: '7.00',
      amountDifference: '0.00',
      reasons: 'not-due overdue',
    });
    expect(november?.['invoiceNumbers']).toContain(body['number']);
  });

  it('adds up to all usage, all invoices and all that is receivable, and leaves nothing unexplained', async () => {
    const rows = await table('reconciliation');
    const hundredths = (all: readonly Row[], column: string) =>
      all.reduce((total, row) => total + BigInt((row[column] ?? '').replace('.', '')), 0n);
    const register = (await table('invoice-register')).filter((row) => row['status'] !== 'void');
    expect(hundredths(rows, 'invoicedAmount')).toBe(hundredths(register, 'total'));
    expect(hundredths(rows, 'open')).toBe(hundredths(register, 'due'));
    const { _sum } = await on.rows.db.usageHour.aggregate({
      where: { accountId: on.rows.accountId },
      _sum: { quantity: true },
    });
    const metered = rows
      .filter((row) => row['metered'] !== '')
      .reduce((all, row) => all + Number(row['metered']), 0);
    expect(metered).toBe(Number(_sum.quantity));
    for (const row of rows) {
      const isEven = [
        'quantityDifference',
        'amountDifference',
        'open',
        'settledOtherwise',
        'credited',
      ].every((column) => Number(row[column]) === 0);
      expect({ row, isExplained: isEven || row['reasons'] !== '' }).toMatchObject({
        isExplained: true,
      });
      expect(row['reasons']).not.toContain('unexplained');
    }
  });
});
