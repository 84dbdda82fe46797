import { FinalisingService } from '@io/billing';
import { beforeAll, describe, expect, it } from 'vitest';
import { startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';

let on: Invoicing;
let finalising: FinalisingService;
beforeAll(async () => {
  on = await startInvoicing();
  finalising = on.api.app.get(FinalisingService);
});

const ENDED = '2026-12-02T00:20:00Z';
const LATE = { hour: '2026-11-16T10:00:00Z', quantity: '1000000' };
const invoice = async ({ path }: Drafted) => (await on.api.call('GET', path)).body;
const approve = ({ path }: Drafted) => on.post(`${path}/approve`);
const settings = (body: object) => on.api.call('PATCH', '/v1/invoice-settings', { body });
/** The first batch of an epoch is missing since November; answers how that is over. */
const aGap = async (epoch: string) => {
  const { accountId, db } = on.rows;
  const { id: gatewayId } = await db.gateway.findFirstOrThrow({ where: { accountId } });
  const seen = new Date('2026-11-20T00:00:00Z');
  const times = { firstSeenAt: seen, lastSeenAt: seen, latestAt: seen };
  const numbers = { accountId, gatewayId, epoch, highest: 1n, batches: 1n };
  await db.usageEpoch.create({ data: { ...numbers, ...times } });
  const now = new Date();
  const content = { contentHash: new Uint8Array(32), recordCount: 0 };
  const batch = { accountId, gatewayId, epoch, sequence: 1n, receivedAt: now, rolledUpAt: now };
  await db.usageBatch.create({ data: { ...batch, ...content } });
  return () => db.usageEpoch.delete({ where: { gatewayId_epoch: { gatewayId, epoch } } });
};
/** Runs it at a time after the drafts' collection, and goes back. */
const finaliseAt = async (at: string) => {
  await on.rows.moveClockTo(at);
  try {
    return await finalising.finaliseDue();
  } finally {
    await on.rows.moveClockTo('2026-12-01T00:10:00Z');
  }
};

describe('a draft', () => {
  it('gathers late usage for a day, and then becomes final by itself', async () => {
    const draft = await on.aDraft();
    expect((await invoice(draft)).collectsUntil).toMatch(/^2026-12-02T00:1/);
    await on.use(draft, LATE);
    await finalising.finaliseDue();
    expect(await invoice(draft)).toMatchObject({ status: 'draft', total: { amount: '3.50' } });
    expect(await finaliseAt(ENDED)).toBeGreaterThan(0);
    const final = await invoice(draft);
    expect(final).toMatchObject({ status: 'finalised', total: { amount: '7.00' } });
    expect(final.issuedAt).toMatch(/^2026-12-02T00:2/);
    const [posted] = await on.rows.db.$queryRaw<{ minor: number }[]>`
      SELECT sum(amount_minor)::int AS minor FROM posting p JOIN ledger_transaction t ON t.id = p.transaction_id
      WHERE t.invoice_id = ${draft.id} AND p.ledger_account = 'receivable'`;
    expect(posted).toEqual({ minor: 700 });
    await finaliseAt('2026-12-09T00:00:00Z');
    expect(await invoice(draft)).toEqual(final);
  });

  it('keeps the very lines that it had where nothing came', async () => {
    const draft = await on.aDraft();
    const { lines } = await invoice(draft);
    await on.rows.db.customer.update({ where: { id: draft.customerId }, data: { name: 'Later' } });
    await finaliseAt(ENDED);
    const final = await invoice(draft);
    expect(final).toMatchObject({ status: 'finalised', recipient: { name: 'Later' } });
    expect(final.lines).toEqual(lines);
  });

  it('is held while usage may be missing, says why in the list, and becomes final afterwards', async () => {
    const draft = await on.aDraft();
    const fill = await aGap('held');
    await finaliseAt(ENDED);
    const [listed] = await on.invoicesOf(draft);
    expect(listed).toMatchObject({ status: 'draft', heldFor: 'usage-gap' });
    await fill();
    await finaliseAt('2026-12-02T00:21:00Z');
    expect((await invoice(draft)).status).toBe('draft');
    await finaliseAt('2026-12-02T00:30:00Z');
    expect(await invoice(draft)).toMatchObject({ status: 'finalised', heldFor: null });
  });

  it('becomes final also when another one cannot', async () => {
    const broken = await on.aDraft();
    const fine = await on.aDraft();
    const currency = (of: string) =>
      on.rows.db
        .$executeRaw`UPDATE subscription SET currency = ${of} WHERE id = ${broken.subscriptionId}`;
    await currency('EUR');
    await expect(finaliseAt(ENDED)).rejects.toThrow('1 subscription(s) could not be finalised');
    expect((await invoice(fine)).status).toBe('finalised');
    expect((await invoice(broken)).status).toBe('draft');
    await currency('USD');
    await finaliseAt(ENDED);
    expect((await invoice(broken)).status).toBe('finalised');
  });

  it('becomes final once among many, whoever finalises at the same time', async () => {
    const drafts = [];
    for (let n = 0; n < 12; n += 1) drafts.push(await on.aDraft());
    await on.rows.moveClockTo(ENDED);
    const done = await Promise.all([
      finalising.finaliseDue(),
      finalising.finaliseDue(),
      ...drafts.slice(0, 4).map(async ({ path }) => (await on.post(`${path}/finalise`)).status),
    ]);
    await on.rows.moveClockTo('2026-12-01T00:10:00Z');
    expect(done.slice(2)).toEqual([200, 200, 200, 200]);
    const rows = await on.rows.db.invoice.findMany({ where: { number: { not: null } } });
    const numbers = rows.map(({ number }) => Number(number?.slice(3))).toSorted((a, b) => a - b);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    const acts = await on.rows.db.ledgerTransaction.count({ where: { act: 'finalise-invoice' } });
    const audited = await on.rows.db.auditEvent.count({ where: { action: 'finalise-invoice' } });
    expect([acts, audited]).toEqual([numbers.length, numbers.length]);
  });
});

describe('POST /v1/invoices/:id/approve', () => {
  it('answers 200, and lets the draft become final where that is wanted first', async () => {
    const draft = await on.aDraft();
    await settings({ requiresApproval: true });
    const another = await on.aDraft();
    expect(await on.post(`${draft.path}/finalise`)).toMatchObject({
      status: 409,
      body: { invoiceId: draft.id, title: 'Invoice not approved' },
    });
    await finaliseAt(ENDED);
    expect((await invoice(draft)).status).toBe('draft');
    const approved = await approve(draft);
    expect(approved).toMatchObject({ status: 200, body: { status: 'draft' } });
    expect(approved.body.approvedAt).toMatch(/^2026-12-01T00:1/);
    expect((await approve(draft)).body).toEqual(approved.body);
    await finaliseAt(ENDED);
    const final = { status: 'finalised', approvedBy: approved.body.approvedBy };
    expect(await invoice(draft)).toMatchObject(final);
    expect((await invoice(another)).status).toBe('draft');
    expect((await approve(draft)).status).toBe(409);
    await settings({ requiresApproval: false });
    await finaliseAt(ENDED);
    expect((await invoice(another)).status).toBe('finalised');
  });

  it('holds for what was approved: other lines are to be approved again', async () => {
    await settings({ requiresApproval: true });
    const draft = await on.aDraft();
    await approve(draft);
    await on.use(draft, LATE);
    await finaliseAt(ENDED);
    const changed = { status: 'draft', total: { amount: '7.00' }, approvedAt: null };
    expect(await invoice(draft)).toMatchObject(changed);
    await approve(draft);
    const body = { description: 'Help', amount: '10', reason: 'asked for' };
    const { body: more } = await on.api.call('POST', `${draft.path}/lines`, { body });
    expect(more).toMatchObject({ total: { amount: '17.00' }, approvedAt: null });
    await approve(draft);
    await finaliseAt(ENDED);
    expect((await invoice(draft)).status).toBe('finalised');
    await settings({ requiresApproval: false });
  });

  it('answers 403 to who may not write, and 404 to another account', async () => {
    const { path } = await on.aDraft();
    const reader = await on.rows.operatorToken(on.rows.accountId, 'read-only');
    expect((await on.post(`${path}/approve`, reader)).status).toBe(403);
    const stranger = await on.rows.operatorToken(await on.rows.otherAccount());
    expect((await on.post(`${path}/approve`, stranger)).status).toBe(404);
  });
});

describe('days to pay', () => {
  const DAY_MS = 86_400_000;
  const patch = async (path: string, body: object) => {
    const answer = await on.api.call('PATCH', path, { body });
    expect(answer).toMatchObject({ status: 200, body });
  };
  /** Of an invoice that becomes final now; each is of an issuer of its own where one is named. */
  const daysOf = async (change: object, customer: object = {}) => {
    const draft = await on.aDraft(change);
    await patch(`/v1/customers/${draft.customerId}`, customer);
    await on.post(`${draft.path}/finalise`);
    const { issuedAt, dueAt } = await invoice(draft);
    return (Date.parse(String(dueAt)) - Date.parse(String(issuedAt))) / DAY_MS;
  };

  it('are those of the subscription, else the customer, the issuer, the account, and else 30', async () => {
    const own = { series: 'FR', name: 'Petstore SA', netTermsDays: 10 };
    const { body: issuer } = await on.api.call('POST', '/v1/issuers', { body: own });
    const { body: plain } = await on.api.call('POST', '/v1/issuers', {
      body: { series: 'IT', name: 'Petstore SpA' },
    });
    expect([issuer['netTermsDays'], plain['netTermsDays']]).toEqual([10, null]);
    expect(await daysOf({})).toBe(30);
    await patch('/v1/invoice-settings', { netTermsDays: 20 });
    const ofIssuer = { issuerId: issuer['id'] };
    expect(await daysOf({})).toBe(20);
    expect(await daysOf({ issuerId: plain['id'] })).toBe(20);
    expect(await daysOf(ofIssuer)).toBe(10);
    expect(await daysOf(ofIssuer, { netTermsDays: 5 })).toBe(5);
    expect(await daysOf({}, { netTermsDays: 0 })).toBe(0);
    expect(await daysOf({ ...ofIssuer, netTermsDays: 3 }, { netTermsDays: 5 })).toBe(3);
    await patch('/v1/invoice-settings', { netTermsDays: 30 });
  });

  it('of a customer are a whole number up to a year, and null again', async () => {
    const body = { name: 'Acme', netTermsDays: 45 };
    const { body: customer } = await on.api.call('POST', '/v1/customers', { body });
    const path = `/v1/customers/${customer['id']}`;
    expect(customer).toMatchObject(body);
    await patch(path, { netTermsDays: null });
    for (const netTermsDays of [-1, 366, 1.5, '45'])
      expect(await on.api.call('PATCH', path, { body: { netTermsDays } })).toMatchObject({
        status: 400,
        body: { errors: [{ pointer: '/netTermsDays' }] },
      });
  });
});

describe('/v1/invoice-settings', () => {
  it('answers 200 with what drafts to come are made by, and an audit event for a change', async () => {
    const { body: before } = await on.api.call('GET', '/v1/invoice-settings');
    expect(before).toMatchObject({ collectionHours: 24, requiresApproval: false });
    const { status, body } = await settings({ collectionHours: 2 });
    expect({ status, body }).toMatchObject({ status: 200, body: { collectionHours: 2 } });
    const draft = await on.aDraft();
    expect((await invoice(draft)).collectsUntil).toMatch(/^2026-12-01T02:1/);
    const where = { action: 'update-invoice-settings' };
    const event = await on.rows.db.auditEvent.findFirstOrThrow({
      where,
      orderBy: { sequence: 'desc' },
    });
    expect(event).toMatchObject({ before: { collectionHours: 24 }, after: { collectionHours: 2 } });
    await settings({ collectionHours: 24 });
  });

  it('let closing make invoices final at once where there is no window, unless usage may be missing', async () => {
    await settings({ collectionHours: 0 });
    expect(await invoice(await on.aDraft())).toMatchObject({
      status: 'finalised',
      total: { amount: '3.50' },
      issuedAt: expect.stringMatching(/^2026-12-01T00:1/),
    });
    const fill = await aGap('missing');
    const waiting = await on.aDraft();
    expect((await invoice(waiting)).status).toBe('draft');
    await finalising.finaliseDue();
    const [listed] = await on.invoicesOf(waiting);
    expect(listed).toMatchObject({ status: 'draft', heldFor: 'usage-gap' });
    await fill();
    await settings({ requiresApproval: true });
    expect((await invoice(await on.aDraft())).status).toBe('draft');
    await settings({ collectionHours: 24, requiresApproval: false });
  });

  it('are an issuer’s own where it has some', async () => {
    const own = { series: 'DE', name: 'Petstore', collectionHours: 0, requiresApproval: false };
    const { body: issuer } = await on.api.call('POST', '/v1/issuers', { body: own });
    await settings({ requiresApproval: true });
    const draft = await on.aDraft({ issuerId: issuer.id });
    const other = await on.aDraft();
    await finalising.finaliseDue();
    expect(await invoice(draft)).toMatchObject({ status: 'finalised', number: 'DE-000001' });
    expect((await invoice(other)).status).toBe('draft');
    await settings({ requiresApproval: false });
  });

  it.each([
    [{ collectionHours: -1 }, '/collectionHours'],
    [{ collectionHours: 721 }, '/collectionHours'],
    [{ requiresApproval: 'yes' }, '/requiresApproval'],
    [{ netTermsDays: 366 }, '/netTermsDays'],
    [{ netTermsDays: '30' }, '/netTermsDays'],
    [{ approval: true }, '/approval'],
  ])('answers 400 to %j', async (body, pointer) => {
    const answer = await settings(body);
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ pointer }] } });
  });

  it('answers 412 to a change of what has changed since, and 403 to who may not write', async () => {
    const body = { collectionHours: 3 };
    const headers = { 'if-match': '"0"' };
    const change = (more: object) =>
      on.api.call('PATCH', '/v1/invoice-settings', { body, ...more });
    expect((await change({ headers })).status).toBe(412);
    const token = await on.rows.operatorToken(on.rows.accountId, 'support');
    expect((await change({ token })).status).toBe(403);
  });
});
