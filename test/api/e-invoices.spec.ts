import { beforeAll, describe, expect, it } from 'vitest';
import { brokenRules, readCii, readUbl } from '../support/en16931.js';
import { startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';
import { readXml } from '../support/xml.js';

let api: Invoicing['api'];
let aDraft: Invoicing['aDraft'];
let post: Invoicing['post'];
beforeAll(async () => {
  ({ api, aDraft, post } = await startInvoicing());
  const body = { name: 'VAT', category: 'standard', ratePercent: '10' };
  await api.call('POST', '/v1/tax-rules', { body });
  const seller = { address: 'Hauptstr. 1\nGermany', taxId: 'DE123456789' };
  await api.call('PATCH', '/v1/account', { body: seller });
});

const READERS = { ubl: readUbl, cii: readCii } as const;
const SYNTAXES = ['ubl', 'cii'] as const;

/** Final, over 3.50 and 10 % tax, to a customer at the address. */
async function aFinalised(address = '1 rue de la Paix\n75002 Paris\nFR'): Promise<Drafted> {
  const draft = await aDraft();
  await api.call('PATCH', `/v1/customers/${draft.customerId}`, { body: { address } });
  await post(`${draft.path}/finalise`);
  return draft;
}

async function download(path: string) {
  const headers = { authorization: `Bearer ${api.ownerToken}` };
  const answer = await fetch(api.url + path, { headers });
  return { answer, text: await answer.text() };
}

describe.each(SYNTAXES)('GET /v1/invoices/:id/%s', (syntax) => {
  it('answers 200 with an e-invoice of what the invoice says, the same when it is paid', async () => {
    const { path, id } = await aFinalised();
    const { answer, text } = await download(`${path}/${syntax}`);
    const { number } = (await api.call('GET', path)).body;
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/xml; charset=utf-8');
    expect(answer.headers.get('content-disposition')).toBe(
      `attachment; filename="invoice-${number}.${syntax}.xml"`,
    );
    const told = READERS[syntax](readXml(text));
    expect(brokenRules(told)).toEqual([]);
    expect(told).toMatchObject({
      number,
      typeCode: '380',
      issuedOn: '2026-12-01',
      days: ['2026-11-01', '2026-11-30'],
      seller: { country: 'DE', vatId: 'DE123456789' },
      buyer: { country: 'FR' },
      lines: [{ quantity: '1000000', price: '3.5', base: '1000000', net: '3.50' }],
      vats: [{ category: 'S', rate: '10', net: '3.50', tax: '0.35' }],
      due: '3.85',
    });
    await post(`/v1/invoices/${id}/pay`);
    expect((await download(`${path}/${syntax}`)).text).toBe(text);
  });

  it('answers 409 for a draft and a void one', async () => {
    const { path } = await aDraft();
    const refusal = { status: 409, body: { type: expect.stringMatching(/wrong-invoice-status$/) } };
    expect(await api.call('GET', `${path}/${syntax}`)).toMatchObject(refusal);
    const final = await aFinalised();
    await post(`${final.path}/void`);
    expect(await api.call('GET', `${final.path}/${syntax}`)).toMatchObject(refusal);
  });

  it('answers 422 with the fields that are missing', async () => {
    const { path } = await aFinalised('somewhere');
    expect(await api.call('GET', `${path}/${syntax}`)).toMatchObject({
      status: 422,
      body: {
        type: expect.stringMatching(/not-an-e-invoice$/),
        errors: [{ pointer: '/recipient/address', detail: expect.stringContaining('BR-11') }],
      },
    });
  });

  it('answers 404 for an unknown one', async () => {
    expect(await api.call('GET', `/v1/invoices/inv_none/${syntax}`)).toMatchObject({ status: 404 });
  });
});

describe.each(SYNTAXES)('GET /v1/credit-notes/:id/%s', (syntax) => {
  const credit = async ({ path }: Drafted) => {
    const body = { reason: 'The gateway was down <again>' };
    return (await api.call('POST', `${path}/credit-notes`, { body })).body;
  };

  it('answers 200 with what it takes back of which invoice, and why', async () => {
    const of = await aFinalised();
    const { id, number, invoiceNumber } = await credit(of);
    const { answer, text } = await download(`/v1/credit-notes/${id}/${syntax}`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/xml; charset=utf-8');
    expect(answer.headers.get('content-disposition')).toBe(
      `attachment; filename="credit-note-${number}.${syntax}.xml"`,
    );
    const told = READERS[syntax](readXml(text));
    expect(brokenRules(told)).toEqual([]);
    expect(told).toMatchObject({
      number,
      typeCode: '381',
      precedings: [invoiceNumber],
      note: 'The gateway was down <again>',
      due: '3.85',
    });
  });

  it('answers 422 with the fields that are missing', async () => {
    const { id } = await credit(await aFinalised('somewhere'));
    expect(await api.call('GET', `/v1/credit-notes/${id}/${syntax}`)).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '/recipient/address' }] },
    });
  });

  it('answers 404 for an unknown one', async () => {
    expect(await api.call('GET', `/v1/credit-notes/cn_none/${syntax}`)).toMatchObject({
      status: 404,
    });
  });
});
