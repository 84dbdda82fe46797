import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startInvoicing, type Invoicing } from '../support/invoicing.js';

let api: Invoicing['api'];
let rows: Invoicing['rows'];
let aDraft: Invoicing['aDraft'];
let post: Invoicing['post'];
beforeAll(async () => {
  ({ api, rows, aDraft, post } = await startInvoicing());
});
beforeEach(async () => {
  await rows.db.taxRule.deleteMany();
});

const VAT = { name: 'VAT', category: 'standard', ratePercent: '19' };
const REVERSE_CHARGE = {
  name: 'VAT',
  category: 'reverse-charge',
  ratePercent: '0',
  reason: 'Reverse charge: article 196 of directive 2006/112/EC',
};
const create = (body: object) => api.call('POST', '/v1/tax-rules', { body });
const refreshed = async ({ path }: { path: string }) => (await post(`${path}/refresh`)).body;

describe('POST /v1/tax-rules', () => {
  it('answers 201, and drafts are taxed from then on', async () => {
    const of = await aDraft();
    expect(await create(VAT)).toMatchObject({
      status: 201,
      body: {
        id: expect.stringMatching(/^tax_/),
        ...VAT,
        isInclusive: false,
        reason: null,
        customerId: null,
        usagePlanId: null,
        meter: null,
      },
    });
    expect(await refreshed(of)).toMatchObject({
      subtotal: { amount: '3.50' },
      tax: { amount: '0.67' },
      total: { amount: '4.17' },
      taxes: [{ ...VAT, reason: null, net: { amount: '3.50' }, tax: { amount: '0.67' } }],
      lines: [{ amount: { amount: '3.50' }, tax: { ...VAT, isInclusive: false, gross: null } }],
    });
  });

  it('takes the tax out of prices that contain it', async () => {
    const of = await aDraft();
    await create({ ...VAT, isInclusive: true });
    expect(await refreshed(of)).toMatchObject({
      subtotal: { amount: '2.94' },
      tax: { amount: '0.56' },
      total: { amount: '3.50' },
      lines: [
        {
          exactAmount: '3.5',
          amount: { amount: '2.94' },
          tax: { isInclusive: true, gross: { amount: '3.50' } },
        },
      ],
    });
  });

  it('taxes by the rule that says most: the customer, the meter, the plan', async () => {
    const of = await aDraft();
    const taxOf = async () => (await refreshed(of)).taxes[0];
    await create(VAT);
    await create({ ...VAT, ratePercent: '18', usagePlanId: of.usagePlanId });
    expect(await taxOf()).toMatchObject({ ratePercent: '18' });
    await create({ ...VAT, ratePercent: '7', meter: 'calls' });
    expect(await taxOf()).toMatchObject({ ratePercent: '7' });
    await create({ ...REVERSE_CHARGE, customerId: of.customerId });
    expect(await taxOf()).toMatchObject({ ...REVERSE_CHARGE, tax: { minor: '0' } });
  });

  it('answers 409 to a second rule for the same', async () => {
    await create({ ...VAT, meter: 'calls' });
    expect(await create({ ...VAT, name: 'GST', meter: 'calls' })).toMatchObject({
      status: 409,
      body: { meter: 'calls', customerId: null },
    });
  });

  it.each([
    { change: { ratePercent: '101' }, pointer: '/ratePercent' },
    { change: { ratePercent: '1.1234567' }, pointer: '/ratePercent' },
    { change: { category: 'exempt', ratePercent: '0' }, pointer: '/reason' },
    { change: { category: 'zero-rated' }, pointer: '/ratePercent' },
    { change: { customerId: 'cus_none' }, pointer: '/customerId' },
    { change: { usagePlanId: 'none' }, pointer: '/usagePlanId' },
  ])('answers 400 to $change', async ({ change, pointer }) => {
    const { status, body } = await create({ ...VAT, ...change });
    expect({ status, errors: body['errors'] }).toMatchObject({
      status: 400,
      errors: [{ pointer }],
    });
    expect(await rows.db.taxRule.count()).toBe(0);
  });
});

describe('PATCH and DELETE /v1/tax-rules/:taxRuleId', () => {
  it('change what comes and no invoice that is final', async () => {
    const { body: rule } = await create(VAT);
    const path = `/v1/tax-rules/${rule.id}`;
    const final = await aDraft();
    const { body: finalised } = await post(`${final.path}/finalise`);
    expect(finalised['tax']).toMatchObject({ amount: '0.67' });

    const changed = await api.call('PATCH', path, { body: { ratePercent: '20' } });
    expect(changed).toMatchObject({ status: 200, body: { ...VAT, ratePercent: '20' } });
    const draft = await aDraft();
    expect((await refreshed(draft)).tax).toMatchObject({ amount: '0.70' });
    expect((await api.call('DELETE', path)).status).toBe(204);
    expect((await refreshed(draft)).tax).toMatchObject({ amount: '0.00' });
    expect((await api.call('GET', path)).status).toBe(404);
    expect((await api.call('GET', final.path)).body).toEqual(finalised);
  });

  it('answer 400 to terms that do not go together, 412 to who has not seen the last', async () => {
    const { body: rule } = await create(VAT);
    const path = `/v1/tax-rules/${rule.id}`;
    const bad = await api.call('PATCH', path, { body: { category: 'exempt' } });
    expect(bad.status).toBe(400);
    const headers = { 'if-match': '"2020-01-01T00:00:00.000Z"' };
    const late = await api.call('PATCH', path, { body: { ratePercent: '7' }, headers });
    expect(late.status).toBe(412);
    expect((await api.call('GET', path)).body).toEqual(rule);
  });
});

describe('a taxed invoice', () => {
  it('posts its tax, and shows it in its lines as CSV', async () => {
    await create({ ...VAT, name: '=VAT' });
    const of = await aDraft();
    await post(`${of.path}/finalise`);
    const { body } = await api.call('GET', `/v1/ledger-transactions?invoiceId=${of.id}`);
    expect(body.items[0].postings).toMatchObject([
      { ledgerAccount: 'receivable', amount: { minor: '417' } },
      { ledgerAccount: 'revenue', amount: { minor: '-350' } },
      { ledgerAccount: 'tax-payable', amount: { minor: '-67' } },
    ]);
    const csv = (await api.call('GET', `${of.path}/csv`)).body as unknown as string;
    expect(csv).toContain(",calls/REST,'=VAT,standard,19\r\n");
  });
});
