import { InvoicingService } from '@io/billing';
import { beforeAll, describe, expect, it } from 'vitest';
import { startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';

let api: Invoicing['api'];
let rows: Invoicing['rows'];
let aFinalised: Invoicing['aFinalised'];
let aDraft: Invoicing['aDraft'];
let post: Invoicing['post'];
let use: Invoicing['use'];
beforeAll(async () => {
  ({ api, rows, aFinalised, aDraft, post, use } = await startInvoicing());
  const body = { name: 'VAT', category: 'standard', ratePercent: '10' };
  await api.call('POST', '/v1/tax-rules', { body });
});

// An invoice is over 3.50 and 10 % tax, 0.35: 3.85.
const REASON = 'The gateway was down';
const lineOf = async ({ path }: Drafted) =>
  (await api.call('GET', path)).body.lines[0].id as string;
const credit = ({ path }: Drafted, body: object = {}) =>
  api.call('POST', `${path}/credit-notes`, { body: { reason: REASON, ...body } });
const invoice = async ({ path }: Drafted) => (await api.call('GET', path)).body;
const balance = async ({ customerId }: Drafted) => {
  const { body } = await api.call('GET', `/v1/customers/${customerId}/balance`);
  return body.balances[0];
};
const bytes = async (path: string) => {
  const headers = { authorization: `Bearer ${api.ownerToken}` };
  return Buffer.from(await (await fetch(api.url + path, { headers })).arrayBuffer());
};

describe('POST /v1/invoices/:id/credit-notes', () => {
  it('answers 201 with a part of a line and its tax, off what is due', async () => {
    const of = await aFinalised();
    const lineId = await lineOf(of);
    const answer = await credit(of, { lines: [{ lineId, amount: '1.25' }] });
    expect(answer).toMatchObject({
      status: 201,
      body: {
        id: expect.stringMatching(/^cn_/),
        number: expect.stringMatching(/^CN-\d{6}$/),
        invoiceId: of.id,
        invoiceNumber: expect.stringMatching(/^TG-/),
        reason: REASON,
        subtotal: { amount: '1.25' },
        tax: { amount: '0.13' },
        total: { amount: '1.38' },
        taxes: [{ ratePercent: '10', net: { amount: '1.25' }, tax: { amount: '0.13' } }],
        lines: [{ lineId, description: 'REST API calls', amount: { amount: '1.25' } }],
      },
    });
    expect(await invoice(of)).toMatchObject({
      status: 'finalised',
      total: { amount: '3.85' },
      credited: { amount: '1.38' },
      due: { amount: '2.47' },
    });
    expect(await balance(of)).toMatchObject({ receivable: { amount: '2.47' } });
  });

  it('credits all that is left, and what nothing is due of is paid', async () => {
    const of = await aFinalised();
    await credit(of, { lines: [{ lineId: await lineOf(of), amount: '0.05' }] });
    const { body } = await credit(of);
    expect(body).toMatchObject({
      subtotal: { amount: '3.45' },
      tax: { amount: '0.34' },
      total: { amount: '3.79' },
    });
    expect(await invoice(of)).toMatchObject({ status: 'paid', due: { amount: '0.00' } });
    expect(await credit(of)).toMatchObject({
      status: 409,
      body: { title: 'Nothing to credit' },
    });
    const { body: journal } = await api.call('GET', `/v1/ledger-transactions?invoiceId=${of.id}`);
    const sums = new Map<string, bigint>();
    for (const { ledgerAccount, amount } of journal.items.flatMap(
      (one: { postings: never[] }) => one.postings,
    )) {
      sums.set(ledgerAccount, (sums.get(ledgerAccount) ?? 0n) + BigInt(amount.minor));
    }
    expect([...sums.values()]).toEqual([0n, 0n, 0n]);
  });

  it('keeps what was paid to the credit of the customer, who pays another invoice from it', async () => {
    const of = await aFinalised();
    await post(`${of.path}/pay`);
    await credit(of);
    expect(await invoice(of)).toMatchObject({ status: 'paid', credited: { amount: '3.85' } });
    expect(await balance(of)).toMatchObject({
      credit: { amount: '3.85' },
      balance: { amount: '-3.85' },
    });
    await use(of, { hour: '2026-12-02T00:00:00Z', quantity: '1000000' });
    const body = { at: '2026-12-03T00:00:00Z' };
    await api.call('POST', `/v1/subscriptions/${of.subscriptionId}/end`, { body });
    await rows.moveClockTo('2026-12-03T00:10:00Z');
    await api.app.get(InvoicingService).closeDue();
    const { body: list } = await api.call('GET', `/v1/invoices?customerId=${of.customerId}`);
    const next = `/v1/invoices/${list.items[0].id}`;
    await post(`${next}/finalise`);
    const payment = { amount: '3.85', reference: 'credit', method: 'customer-credit' };
    expect((await api.call('POST', `${next}/payments`, { body: payment })).status).toBe(201);
    expect((await api.call('GET', next)).body).toMatchObject({ status: 'paid' });
    expect(await balance(of)).toMatchObject({ credit: { amount: '0.00' } });
  });

  it('pays back what was paid when asked to', async () => {
    const of = await aFinalised();
    await post(`${of.path}/pay`);
    await credit(of, { restTo: 'cash' });
    expect(await balance(of)).toMatchObject({ credit: { amount: '0.00' } });
  });

  it('never credits more of a line than it is, also not by two at once', async () => {
    const of = await aFinalised();
    const lines = [{ lineId: await lineOf(of), amount: '2' }];
    const both = await Promise.all([credit(of, { lines }), credit(of, { lines })]);
    expect(both.map(({ status }) => status)).toEqual(expect.arrayContaining([201, 409]));
    expect(await credit(of, { lines })).toMatchObject({
      status: 409,
      body: { lineId: lines[0]?.lineId, amount: '2.00', left: '1.50', currency: 'USD' },
    });
    const more = `INSERT INTO credit_note_line SELECT 'cnl_x', account_id, customer_id, credit_note_id, invoice_line_id,
      9, description, 151, tax FROM credit_note_line WHERE invoice_line_id = '${lines[0]?.lineId}' LIMIT 1`;
    await expect(rows.db.$executeRawUnsafe(more)).rejects.toThrow(/cannot be credited/);
  });

  it('answers 409 for a draft and a void invoice, and voids none that was credited', async () => {
    const draft = await aDraft();
    expect((await credit(draft)).status).toBe(409);
    const of = await aFinalised();
    await credit(of, { lines: [{ lineId: await lineOf(of), amount: '1' }] });
    expect(await post(`${of.path}/void`)).toMatchObject({
      status: 409,
      body: { paid: '0.00', credited: '1.10' },
    });
    const gone = await aFinalised();
    await post(`${gone.path}/void`);
    expect((await credit(gone)).status).toBe(409);
  });

  it.each([
    { lines: [{ lineId: 'x', amount: '1.001' }], pointer: '/lines/0/amount' },
    {
      lines: [
        { lineId: 'x', amount: '1' },
        { lineId: 'x', amount: '1' },
      ],
      pointer: '/lines/1/lineId',
    },
    { lines: [], pointer: '/lines' },
  ])('answers 400 to $lines', async ({ lines, pointer }) => {
    const of = await aFinalised();
    expect(await credit(of, { lines })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer }] },
    });
    expect(await invoice(of)).toMatchObject({ credited: { amount: '0.00' } });
  });

  it('gives numbers without a gap to many at once', async () => {
    const many = [];
    for (let n = 0; n < 6; n += 1) many.push(await aFinalised());
    await Promise.all(many.map((of) => credit(of)));
    const notes = await rows.db.creditNote.findMany();
    const numbers = notes.map(({ number }) => Number(number.slice(3))).toSorted((a, b) => a - b);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });
});

describe('GET /v1/credit-notes', () => {
  it('answers 200 with those of the filter, each as JSON and PDF, to the customer too', async () => {
    const of = await aFinalised();
    const { body: note } = await credit(of);
    const token = await rows.customerToken(of.customerId);
    const { body } = await api.call('GET', `/v1/credit-notes?invoiceId=${of.id}`, { token });
    expect(body.items).toMatchObject([{ id: note.id, number: note.number }]);
    const path = `/v1/credit-notes/${note.id}`;
    expect((await api.call('GET', path, { token })).body).toEqual(note);
    const pdf = await bytes(`${path}/pdf`);
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    expect((await bytes(`${path}/pdf`)).equals(pdf)).toBe(true);
  });
});

describe('a credit note', () => {
  it.each([
    'UPDATE credit_note SET total_minor = total_minor + 1, subtotal_minor = subtotal_minor + 1',
    'DELETE FROM credit_note',
    'UPDATE credit_note_line SET amount_minor = 1',
    'DELETE FROM credit_note_line',
    'TRUNCATE credit_note CASCADE',
  ])('refuses: %s', async (sql) => {
    await credit(await aFinalised());
    await expect(rows.db.$executeRawUnsafe(sql)).rejects.toThrow(/never change/);
  });
});
