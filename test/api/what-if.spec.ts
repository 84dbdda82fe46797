import { beforeAll, describe, expect, it } from 'vitest';
import { NOVEMBER, startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';

let api: Invoicing['api'];
let rows: Invoicing['rows'];
let use: Invoicing['use'];
let aFinalised: Invoicing['aFinalised'];
let aDraft: Invoicing['aDraft'];
beforeAll(async () => {
  ({ api, rows, use, aFinalised, aDraft } = await startInvoicing());
});

const ITEM = {
  meter: 'calls',
  description: 'Calls',
  price: { model: 'per-unit', unitAmount: '0.000005' },
};
const question = (change: object = {}) => ({
  currency: 'USD',
  items: [ITEM],
  ...NOVEMBER,
  ...change,
});

async function ask(change: object = {}, token = api.ownerToken) {
  const response = await fetch(`${api.url}/v1/what-if`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(question(change)),
  });
  const text = await response.text();
  const [, ...lines] = text.trimEnd().split('\r\n');
  return { status: response.status, headers: response.headers, text, lines };
}
const askOf = (of: Drafted, change: object = {}) => ask({ customerId: of.customerId, ...change });
const amounts = (line = '') => line.split(',').slice(2).join(',');

/** How many rows there are of what a rating could leave behind. */
const storedRows = () => rows.db.$queryRaw`
  SELECT (SELECT count(*) FROM invoice) AS invoices, (SELECT count(*) FROM invoice_line) AS lines,
    (SELECT count(*) FROM rate_card_version) AS versions, (SELECT count(*) FROM posting) AS entries,
    (SELECT count(*) FROM audit_event) AS events, (SELECT sum(total_minor) FROM invoice) AS total`;

describe('POST /v1/what-if', () => {
  it('answers 200 with what invoices asked and what other prices would have, as CSV', async () => {
    const of = await aFinalised();
    const { status, headers, text } = await askOf(of);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(headers.get('x-total-count')).toBe('1');
    const [names, line] = text.split('\r\n');
    expect(names).toBe(
      'customerId,customerName,invoices,currency,billed,whatIf,difference,unpricedMeters,otherInvoices',
    );
    expect(line?.startsWith(`${of.customerId},`)).toBe(true);
    expect(amounts(line)).toBe('1,USD,3.50,5.00,1.50,,0');
  });

  it('counts drafts, and no void invoices', async () => {
    const draft = await aDraft();
    expect((await askOf(draft)).lines.map(amounts)).toEqual(['1,USD,3.50,5.00,1.50,,0']);
    const gone = await aFinalised();
    await api.call('POST', `${gone.path}/void`, { body: { reason: 'test' } });
    const { body } = await api.call('GET', gone.path);
    expect(body.status).toBe('void');
    const answer = await askOf(gone);
    expect([answer.headers.get('x-total-count'), answer.lines]).toEqual(['0', []]);
  });

  it('rates usage that came late, names meters without a price, and stores nothing', async () => {
    const of = await aFinalised();
    await use(of, { hour: '2026-11-20T10:00:00Z', quantity: '1000000' });
    await use(of, { hour: '2026-11-20T10:00:00Z', quantity: '7', meter: 'messages' });
    const before = await storedRows();
    expect((await askOf(of)).lines.map(amounts)).toEqual(['1,USD,3.50,10.00,6.50,messages,0']);
    expect(await storedRows()).toEqual(before);
  });

  it('takes periods that lie within the span as a whole, and says how many are in other currencies', async () => {
    const of = await aFinalised();
    expect((await askOf(of, { to: '2026-11-30T23:59:59Z' })).lines).toEqual([]);
    expect((await askOf(of, { from: '2026-11-01T00:00:01Z' })).lines).toEqual([]);
    expect((await askOf(of, { currency: 'EUR' })).lines.map(amounts)).toEqual([
      '0,EUR,0.00,0.00,0.00,,1',
    ]);
  });

  it('answers for all customers of the account, each once', async () => {
    const [one, two] = [await aFinalised(), await aFinalised()];
    const { lines, headers } = await ask();
    const ids = lines.map((line) => line.split(',')[0]);
    expect(ids).toEqual(expect.arrayContaining([one.customerId, two.customerId]));
    expect(new Set(ids).size).toBe(ids.length);
    expect(headers.get('x-total-count')).toBe(String(ids.length));
  });

  it('shows an account nothing of another', async () => {
    const of = await aFinalised();
    const other = await rows.operatorToken(await rows.otherAccount());
    const answer = await ask({}, other);
    expect([answer.status, answer.lines]).toEqual([200, []]);
    expect((await ask({ customerId: of.customerId }, other)).status).toBe(400);
  });

  it.each([
    { change: { to: NOVEMBER.from }, pointer: '/to', why: 'an empty span' },
    { change: { from: 'yesterday' }, pointer: '/from', why: 'no instant' },
    { change: { items: [] }, pointer: '/items', why: 'no price' },
    {
      change: { items: [{ ...ITEM, price: { model: 'per-unit' } }] },
      pointer: '/items/0/price/unitAmount',
      why: 'a faulty price',
    },
    { change: { currency: 'XXX' }, pointer: '/currency', why: 'no currency' },
    { change: { customerId: 'nobody' }, pointer: '/customerId', why: 'no customer' },
    { change: { surprise: 1 }, pointer: '/surprise', why: 'an unknown field' },
  ])('answers 400 to $why and points at it', async ({ change, pointer }) => {
    const { status, text } = await ask(change);
    expect(status).toBe(400);
    const { errors } = JSON.parse(text) as { errors: { pointer: string }[] };
    expect(errors.map((fault) => fault.pointer)).toContain(pointer);
  });
});
