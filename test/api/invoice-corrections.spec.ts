import { beforeAll, describe, expect, it } from 'vitest';
import { NOVEMBER, startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';

let api: Invoicing['api'];
let rows: Invoicing['rows'];
let invoicing: Invoicing['invoicing'];
let use: Invoicing['use'];
let aDraft: Invoicing['aDraft'];
let aFinalised: Invoicing['aFinalised'];
let invoicesOf: Invoicing['invoicesOf'];
let post: Invoicing['post'];
beforeAll(async () => {
  ({ api, rows, invoicing, use, aDraft, aFinalised, invoicesOf, post } = await startInvoicing());
});

const LATE = '2026-11-20T10:00:00Z';
const invoice = async (id: string) => (await api.call('GET', `/v1/invoices/${id}`)).body;
/** Amounts of an invoice's lines in cents, by what they are for. */
const lines = (body: Record<string, unknown>) =>
  (body['lines'] as Line[]).map(({ source, amount }) => [
    source?.kind ?? 'price',
    Number(amount.minor),
  ]);
interface Line {
  readonly source: { readonly kind: string; readonly id?: string } | null;
  readonly amount: { readonly minor: string };
}

/** Ends the subscription on 2 December, so that its last period closes; answers that period's draft. */
const lastDraft = async (of: Drafted): Promise<{ id: string }> => {
  const body = { at: '2026-12-02T00:00:00Z' };
  await api.call('POST', `/v1/subscriptions/${of.subscriptionId}/end`, { body });
  await rows.moveClockTo('2026-12-02T00:10:00Z');
  await invoicing.closeDue();
  const [last] = await invoicesOf(of);
  await rows.moveClockTo('2026-12-01T00:10:00Z');
  return { id: String(last?.['id']) };
};

/** A rate card of volume prices: a million calls cost 4.00, two million 3.00. */
const VOLUME = {
  currency: 'USD',
  items: [
    {
      meter: 'calls',
      description: 'Calls',
      price: {
        model: 'volume',
        tiers: [
          { upTo: '1000000', unitAmount: '0.000004', flatAmount: '0' },
          { upTo: null, unitAmount: '0.0000015', flatAmount: '0' },
        ],
      },
    },
  ],
};

describe('usage that comes after its invoice was final', () => {
  it('is charged with the next invoice, once, and the final one stays as it is', async () => {
    const of = await aFinalised();
    const before = await invoice(of.id);
    await use(of, { hour: LATE, quantity: '500000' });
    const { body: preview } = await api.call(
      'GET',
      `/v1/subscriptions/${of.subscriptionId}/preview`,
    );
    expect(lines(preview)).toEqual([['late-usage', 175]]);
    const { id } = await lastDraft(of);
    const draft = await invoice(id);
    expect(draft.lines).toMatchObject([
      {
        description: 'REST API calls: adjustment for 2026-11-01 to 2026-11-30',
        meter: null,
        rating: null,
        amount: { amount: '1.75' },
        source: {
          kind: 'late-usage',
          invoiceId: of.id,
          invoiceNumber: before.number,
          periodFrom: NOVEMBER.from,
          periodTo: NOVEMBER.to,
          billedMinor: '350',
          roundedMinor: '175',
          rating: { quantity: '1500000', roundedMinor: '525' },
        },
      },
    ]);
    await post(`/v1/invoices/${id}/finalise`);
    await use(of, { hour: LATE.replace('10:', '11:'), quantity: '500000' });
    expect(lines(await invoice(id))).toEqual([['late-usage', 175]]);
    expect(await invoice(of.id)).toEqual(before);
  });

  it('gives money back where more usage costs less', async () => {
    const name = `volume ${Date.now()}`;
    await api.call('POST', '/v1/rate-cards', { body: { name, ...VOLUME } });
    const of = await aFinalised({ rateCardId: name });
    expect((await invoice(of.id)).total).toMatchObject({ amount: '4.00' });
    await use(of, { hour: LATE, quantity: '1000000' });
    const { id } = await lastDraft(of);
    const { body } = await post(`/v1/invoices/${id}/finalise`);
    expect(body).toMatchObject({ total: { amount: '-1.00' }, due: { amount: '0.00' } });
    const { body: balance } = await api.call('GET', `/v1/customers/${of.customerId}/balance`);
    expect(balance.balances).toMatchObject([
      { receivable: { amount: '4.00' }, credit: { amount: '1.00' }, balance: { amount: '3.00' } },
    ]);
  });

  it('is charged once by two drafts that are rated at once', async () => {
    const of = await aDraft({ startsAt: '2026-10-01T00:00:00Z' });
    const [, october] = await invoicesOf(of);
    await post(`/v1/invoices/${String(october?.['id'])}/finalise`);
    const { id } = await lastDraft(of);
    await use(of, { hour: '2026-10-20T10:00:00Z', quantity: '1000000' });
    await Promise.all([of.id, id, of.id, id].map((one) => post(`/v1/invoices/${one}/refresh`)));
    const both = [...lines(await invoice(of.id)), ...lines(await invoice(id))];
    expect(both.filter(([kind]) => kind === 'late-usage')).toEqual([['late-usage', 350]]);
  });

  it('is charged anew when the invoice that charged it is made void', async () => {
    const of = await aFinalised();
    await use(of, { hour: LATE, quantity: '1000000' });
    const { id } = await lastDraft(of);
    await post(`/v1/invoices/${id}/finalise`);
    await post(`/v1/invoices/${id}/void`);
    const { body } = await post(`/v1/invoices/${id}/reissue`);
    expect(lines(body)).toEqual([['late-usage', 350]]);
  });
});

describe('POST /v1/invoices/:id/reissue', () => {
  it('answers 201 with a new draft for the period, the same again, rated anew', async () => {
    const of = await aFinalised();
    expect((await post(`${of.path}/reissue`)).status).toBe(409);
    await post(`${of.path}/void`);
    await use(of, { hour: LATE, quantity: '1000000' });
    const answers = await Promise.all([post(`${of.path}/reissue`), post(`${of.path}/reissue`)]);
    const [first] = answers;
    expect(first).toMatchObject({
      status: 201,
      body: {
        status: 'draft',
        number: null,
        revision: 2,
        period: NOVEMBER,
        total: { amount: '7.00' },
      },
    });
    for (const answer of answers) expect(answer.body).toEqual(first?.body);
    const again = await post(`/v1/invoices/${first?.body['id']}/finalise`);
    expect(again.body).toMatchObject({ status: 'finalised', total: { amount: '7.00' } });
    await invoicing.closeDue();
    expect(await invoicesOf(of)).toHaveLength(2);
  });

  it('takes off what was charged for the period as late usage before', async () => {
    const of = await aFinalised();
    await use(of, { hour: LATE, quantity: '1000000' });
    const { id } = await lastDraft(of);
    await post(`/v1/invoices/${id}/finalise`);
    await post(`${of.path}/void`);
    const { body } = await post(`${of.path}/reissue`);
    expect(lines(body)).toEqual([
      ['price', 700],
      ['late-usage', -350],
    ]);
    await post(`/v1/invoices/${body['id']}/finalise`);
    expect((await post(`/v1/invoices/${id}/void`)).status).toBe(200);
    // What the void one charged is open again: with the next draft, for November as it is final now.
    const { body: last } = await post(`/v1/invoices/${id}/reissue`);
    expect(lines(last)).toEqual([['late-usage', 350]]);
  });

  it('leaves a period with one invoice that counts, also in SQL', async () => {
    const of = await aFinalised();
    const second = `INSERT INTO invoice SELECT (i2).* FROM (
      SELECT jsonb_populate_record(i, '{"id":"inv_second","number":"X-000009","revision":2}') AS i2
      FROM invoice i WHERE id = '${of.id}') x`;
    await expect(rows.db.$executeRawUnsafe(second)).rejects.toThrow(/invoice_one_of_period|23505/);
  });
});

describe('POST and DELETE /v1/invoices/:id/lines', () => {
  const add = ({ path }: Drafted, body: object) => api.call('POST', `${path}/lines`, { body });
  const REBATE = { description: 'Goodwill', amount: '-0.5', reason: 'Ticket 17' };

  it('answer 201 and 200 with the draft; the line stays when it is rated again', async () => {
    const of = await aDraft();
    const { status, body } = await add(of, REBATE);
    expect(status).toBe(201);
    expect(body).toMatchObject({
      total: { amount: '3.00' },
      lines: [
        { source: null },
        {
          description: 'Goodwill',
          amount: { amount: '-0.50' },
          source: { kind: 'manual', reason: 'Ticket 17' },
        },
      ],
    });
    await use(of, { hour: LATE, quantity: '1000000' });
    expect((await post(`${of.path}/refresh`)).body).toMatchObject({ total: { amount: '6.50' } });
    const lineId = body.lines[1].source.id;
    const gone = await api.call('DELETE', `${of.path}/lines/${lineId}`);
    expect(gone).toMatchObject({ status: 200, body: { total: { amount: '7.00' } } });
    expect((await api.call('DELETE', `${of.path}/lines/${lineId}`)).status).toBe(404);
  });

  it('answer 409 once the invoice is final, and the reason stays with it', async () => {
    const of = await aDraft();
    const { body } = await add(of, REBATE);
    await post(`${of.path}/finalise`);
    expect((await add(of, REBATE)).status).toBe(409);
    const lineId = body.lines[1].source.id;
    expect((await api.call('DELETE', `${of.path}/lines/${lineId}`)).status).toBe(409);
    await expect(rows.db.$executeRaw`DELETE FROM manual_line`).rejects.toThrow(/never change/);
    expect(await invoice(of.id)).toMatchObject({
      total: { amount: '3.00' },
      lines: [
        {},
        { source: { kind: 'manual', reason: 'Ticket 17', createdBy: expect.any(String) } },
      ],
    });
  });

  it.each([
    { change: { amount: '0' }, pointer: '/amount' },
    { change: { amount: '0.001' }, pointer: '/amount' },
    { change: { reason: undefined }, pointer: '/reason' },
  ])('answer 400 to $change', async ({ change, pointer }) => {
    const of = await aDraft();
    const { status, body } = await add(of, { ...REBATE, ...change });
    expect({ status, errors: body['errors'] }).toMatchObject({
      status: 400,
      errors: [{ pointer }],
    });
  });
});
