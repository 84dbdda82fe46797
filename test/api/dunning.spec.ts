import { DunningService } from '@io/billing';
import { beforeAll, describe, expect, it } from 'vitest';
import { startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';

let api: Invoicing['api'];
let rows: Invoicing['rows'];
let aFinalised: Invoicing['aFinalised'];
let post: Invoicing['post'];
let dunning: DunningService;
beforeAll(async () => {
  ({ api, rows, aFinalised, post } = await startInvoicing());
  dunning = api.app.get(DunningService);
});

const get = async (path: string, token?: string) =>
  (await api.call('GET', path, token === undefined ? {} : { token })).body;
const setSchedule = (steps: readonly object[]) =>
  api.call('PUT', '/v1/dunning-schedule', { body: { steps } });
const block = (customerId: string, note = 'Abuse') =>
  api.call('POST', `/v1/customers/${customerId}/blocks`, { body: { note } });
const blocks = async ({ customerId }: Pick<Drafted, 'customerId'>, token?: string) =>
  (await get(`/v1/customer-blocks?customerId=${customerId}`, token))['items'] as {
    id: string;
    reason: string;
    subjectId: string;
  }[];
const lift = (id: string) => api.call('DELETE', `/v1/customer-blocks/${id}`);
/** What a call with the customer's key is told. */
const decision = async ({ apiKey, apiId, stage }: Drafted) => {
  const body = { apiKey, apiId, stage, method: 'GET', path: '/pets' };
  const answer = await api.call('POST', '/v1/decisions', { token: api.gatewayToken, body });
  return String(answer.body['reason'] ?? 'allowed');
};
const soon = (of: Drafted) => expect.poll(() => decision(of), { timeout: 1_000, interval: 20 });
const events = async (type: string, customerId: string) => {
  const told = await rows.db.webhookEvent.findMany({ where: { type }, orderBy: { id: 'asc' } });
  return told
    .map(({ body }) => JSON.parse(body).data as Record<string, unknown>)
    .filter((data) => data['customerId'] === customerId);
};

describe('POST /v1/customers/:customerId/blocks', () => {
  it('answers 201 and refuses the calls of the customer within a second, until it is lifted', async () => {
    const of = await aFinalised({ netTermsDays: 365 });
    expect(await decision(of)).toBe('allowed');
    const first = await block(of.customerId);
    expect(first).toMatchObject({
      status: 201,
      body: { id: expect.stringMatching(/^blk_/), reason: 'by-hand', note: 'Abuse' },
    });
    await soon(of).toBe('blocked-customer');
    expect((await block(of.customerId)).body['id'], 'once').toBe(first.body['id']);
    const refused = await api.call('GET', `/v1/forward-auth/${of.apiId}/prod/nginx`, {
      token: null,
      headers: {
        'x-tollgate-token': api.gatewayToken,
        'x-api-key': of.apiKey,
        'x-original-uri': '/pets',
        'x-original-method': 'GET',
      },
    });
    expect(refused).toMatchObject({ status: 403, body: { message: 'Forbidden' } });
    expect(refused.headers.get('x-amzn-errortype')).toBe('ForbiddenException');

    expect((await lift(String(first.body['id']))).status).toBe(204);
    await soon(of).toBe('allowed');
    expect(await events('customer.blocked', of.customerId)).toMatchObject([{ isBlocked: true }]);
    expect(await events('customer.unblocked', of.customerId)).toMatchObject([{ isBlocked: false }]);
  });

  it('answers 404 for who is not there, 400 without a note, and 404 to a lift of nothing', async () => {
    expect((await block('cus_nobody')).status).toBe(404);
    const customerId = await rows.customer();
    const nothing = await api.call('POST', `/v1/customers/${customerId}/blocks`, { body: {} });
    expect(nothing).toMatchObject({ status: 400, body: { errors: [{ pointer: '/note' }] } });
    expect((await lift('blk_none')).status).toBe(404);
  });
});

describe('PUT /v1/dunning-schedule', () => {
  it('answers 200 with the steps, which are the account’s from then on', async () => {
    expect(await get('/v1/dunning-schedule')).toEqual({ steps: [] });
    const steps = [
      { afterDays: 3, action: 'remind' },
      { afterDays: 14, action: 'block' },
    ];
    expect(await setSchedule(steps)).toMatchObject({ status: 200, body: { steps } });
    expect(await get('/v1/dunning-schedule')).toEqual({ steps });
  });

  it.each([
    { steps: [{ afterDays: -1, action: 'remind' }], pointer: '/steps/0/afterDays' },
    { steps: [{ afterDays: 1, action: 'sue' }], pointer: '/steps/0/action' },
    {
      steps: [
        { afterDays: 2, action: 'remind' },
        { afterDays: 2, action: 'block' },
      ],
      pointer: '/steps/1/afterDays',
    },
  ])('answers 400 to $steps', async ({ steps, pointer }) => {
    expect(await setSchedule(steps)).toMatchObject({
      status: 400,
      body: { errors: [{ pointer }] },
    });
  });
});

describe('an invoice that is not paid', () => {
  /** All of November; each is due later than the tests before it have moved the clock to. */
  const invoices: Drafted[] = [];
  const next = (many: number) => invoices.splice(0, many);
  let clock = 0;
  beforeAll(async () => {
    for (const netTermsDays of [10, 40, 70, 70, 100, 100, 100, 100, 100, 100])
      invoices.push(await aFinalised({ netTermsDays }));
    await setSchedule([
      { afterDays: 3, action: 'remind' },
      { afterDays: 14, action: 'block' },
    ]);
  });
  const DAY_MS = 86_400_000;
  /** Days after the invoice was due; the clock only moves forward. */
  const daysAfterDue = async ({ path }: Drafted, days: number) => {
    clock = Math.max(clock, Date.parse((await get(path))['dueAt']) + days * DAY_MS);
    await rows.moveClockTo(new Date(clock + 60_000).toISOString());
  };
  const steps = (of: Drafted) =>
    rows.db.dunningStep.findMany({ where: { invoiceId: of.id }, orderBy: { afterDays: 'asc' } });

  it('is reminded of, then blocks the customer, and unblocks them when it is paid', async () => {
    const [of] = next(1) as [Drafted];
    await rows.db.customer.update({
      where: { id: of.customerId },
      data: { email: 'ada@acme.example' },
    });
    await daysAfterDue(of, 0);
    await dunning.runDue();
    expect(await steps(of)).toEqual([]);
    expect(await get('/v1/overdue-invoices')).toMatchObject({
      items: [{ invoiceId: of.id, due: { amount: '3.50' }, daysOverdue: 0, done: [] }],
    });

    await daysAfterDue(of, 3);
    await Promise.all([dunning.runDue(), dunning.runDue(), dunning.runDue()]);
    expect(await steps(of)).toMatchObject([{ afterDays: 3, action: 'remind' }]);
    expect(await get('/v1/overdue-invoices')).toMatchObject({
      items: [{ daysOverdue: 3, done: [{ afterDays: 3 }], next: { afterDays: 14 } }],
    });
    expect(await decision(of)).toBe('allowed');

    await daysAfterDue(of, 14);
    await Promise.all([dunning.runDue(), dunning.runDue()]);
    await soon(of).toBe('blocked-customer');
    expect(await blocks(of, await rows.customerToken(of.customerId))).toMatchObject([
      { reason: 'overdue-invoice', subjectId: of.id, createdBy: 'worker' },
    ]);
    const mails = await rows.db.emailMessage.findMany({ orderBy: { subject: 'asc' } });
    expect(mails.map(({ recipient, subject }) => `${recipient} ${subject}`)).toEqual([
      expect.stringMatching(/^ada@acme.example Access is suspended: invoice TG-/),
      expect.stringMatching(/^ada@acme.example Invoice TG-\d+ is overdue$/),
    ]);
    expect(await events('invoice.overdue', of.customerId)).toHaveLength(2);

    await post(`${of.path}/pay`);
    await soon(of).toBe('allowed');
    expect(await get('/v1/overdue-invoices')).toMatchObject({ items: [] });
    expect(await dunning.runDue()).toBe(0);
  });

  it('keeps who is blocked for something else as well', async () => {
    const [of] = next(1) as [Drafted];
    await block(of.customerId);
    await daysAfterDue(of, 14);
    expect(await dunning.runDue()).toBe(2);
    expect(await blocks(of)).toHaveLength(2);
    await post(`${of.path}/void`);
    const [left] = await blocks(of);
    expect(left).toMatchObject({ reason: 'by-hand' });
    expect(await decision(of)).toBe('blocked-customer');
    await lift(left?.id ?? '');
    await soon(of).toBe('allowed');
  });

  it('is not dunned when a credit note settles it, nor one of which a part is paid the less', async () => {
    const [credited, part] = next(2) as [Drafted, Drafted];
    await api.call('POST', `${part.path}/payments`, { body: { amount: '1', reference: 'x' } });
    await daysAfterDue(credited, 14);
    await daysAfterDue(part, 14);
    await dunning.runDue();
    expect([await blocks(credited), await blocks(part)]).toMatchObject([[{}], [{}]]);
    const reason = { reason: 'Outage' };
    await api.call('POST', `${credited.path}/credit-notes`, { body: reason });
    expect(await blocks(credited)).toEqual([]);
    await api.call('POST', `${part.path}/payments`, { body: { amount: '1', reference: 'y' } });
    expect(await blocks(part)).toMatchObject([{ subjectId: part.id }]);
  });

  it('blocks nobody when it is paid at the same moment', async () => {
    const all = next(6);
    for (const of of all) await daysAfterDue(of, 14);
    await Promise.all([dunning.runDue(), ...all.map(({ path }) => post(`${path}/pay`))]);
    for (const of of all) expect(await blocks(of)).toEqual([]);
  });
});
