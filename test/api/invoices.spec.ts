import { beforeAll, describe, expect, it } from 'vitest';
import { NOVEMBER, startInvoicing, type Invoicing } from '../support/invoicing.js';

let api: Invoicing['api'];
let rows: Invoicing['rows'];
let invoicing: Invoicing['invoicing'];
let use: Invoicing['use'];
let aSubscriber: Invoicing['aSubscriber'];
let aDraft: Invoicing['aDraft'];
let invoicesOf: Invoicing['invoicesOf'];
let post: Invoicing['post'];
beforeAll(async () => {
  ({ api, rows, invoicing, use, aSubscriber, aDraft, invoicesOf, post } = await startInvoicing());
});

const text = async (path: string) => (await api.call('GET', path)).body as unknown as string;
const bytes = async (path: string) => {
  const headers = { authorization: `Bearer ${api.ownerToken}` };
  const response = await fetch(api.url + path, { headers });
  return Buffer.from(await response.arrayBuffer());
};

describe('closing', () => {
  it('makes one draft for each period that has ended, in order, and only once', async () => {
    const of = await aSubscriber({ startsAt: '2026-09-10T12:00:00Z' });
    await use(of, { hour: '2026-09-10T12:00:00Z', quantity: '333000001' });
    await use(of, { hour: '2026-11-30T23:00:00Z', quantity: '2000000' });
    await use(of, { hour: '2026-12-01T00:00:00Z', quantity: '9000000' });
    await Promise.all([invoicing.closeDue(), invoicing.closeDue()]);
    await invoicing.closeDue();
    const invoices = await invoicesOf(of);
    expect(
      invoices.map(({ status, number, period, total }) => ({ status, number, period, total })),
    ).toEqual([
      {
        status: 'draft',
        number: null,
        period: NOVEMBER,
        total: { minor: '700', currency: 'USD', amount: '7.00' },
      },
      {
        status: 'draft',
        number: null,
        period: { from: '2026-10-01T00:00:00.000Z', to: NOVEMBER.from },
        total: { minor: '0', currency: 'USD', amount: '0.00' },
      },
      {
        status: 'draft',
        number: null,
        period: { from: '2026-09-10T12:00:00.000Z', to: '2026-10-01T00:00:00.000Z' },
        total: { minor: '116550', currency: 'USD', amount: '1165.50' },
      },
    ]);
    const { body } = await api.call('GET', `/v1/subscriptions/${of.subscriptionId}`);
    expect(body.currentPeriod).toEqual({ from: NOVEMBER.to, to: '2027-01-01T00:00:00.000Z' });
  });

  it('cuts the last period at the end of the subscription, and then stops', async () => {
    const of = await aSubscriber();
    await use(of, { hour: '2026-11-19T23:00:00Z', quantity: '1000000' });
    await use(of, { hour: '2026-11-20T00:00:00Z', quantity: '5000000' });
    const body = { at: '2026-11-20T00:00:00Z' };
    await api.call('POST', `/v1/subscriptions/${of.subscriptionId}/end`, { body });
    await invoicing.closeDue();
    expect(await invoicesOf(of)).toMatchObject([
      {
        period: { from: NOVEMBER.from, to: '2026-11-20T00:00:00.000Z' },
        total: { amount: '3.50' },
      },
    ]);
    const { body: ended } = await api.call('GET', `/v1/subscriptions/${of.subscriptionId}`);
    expect(ended.currentPeriod).toBeNull();
  });

  it('keeps closing the others when one cannot be closed', async () => {
    const broken = await aSubscriber();
    const fine = await aSubscriber();
    await rows.db
      .$executeRaw`UPDATE subscription SET currency = 'EUR' WHERE id = ${broken.subscriptionId}`;
    await expect(invoicing.closeDue()).rejects.toThrow('1 subscription(s)');
    expect(await invoicesOf(fine)).toHaveLength(1);
    expect(await invoicesOf(broken)).toEqual([]);
    await rows.db
      .$executeRaw`UPDATE subscription SET currency = 'USD' WHERE id = ${broken.subscriptionId}`;
    await invoicing.closeDue();
    expect(await invoicesOf(broken)).toHaveLength(1);
  });
});

describe('GET /v1/subscriptions/:id/preview', () => {
  it('answers 200 with what the open period would be charged so far', async () => {
    const of = await aSubscriber({ startsAt: NOVEMBER.to });
    await use(of, { hour: '2026-12-01T00:00:00Z', quantity: '2000000' });
    const customer = await rows.customerToken(of.customerId);
    const path = `/v1/subscriptions/${of.subscriptionId}/preview`;
    const { status, body } = await api.call('GET', path, { token: customer });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      subscriptionId: of.subscriptionId,
      period: { from: NOVEMBER.to, to: '2027-01-01T00:00:00.000Z' },
      lines: [{ meter: 'calls', quantity: '2000000', amount: { amount: '7.00' } }],
      total: { minor: '700', currency: 'USD' },
    });
    expect(await invoicesOf(of)).toEqual([]);
  });
});

describe('POST /v1/invoices/:id/refresh', () => {
  it('answers 200 with what came in since', async () => {
    const of = await aDraft();
    await use(of, { hour: '2026-11-16T10:00:00Z', quantity: '1000000' });
    const { status, body } = await post(`${of.path}/refresh`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'draft', number: null, total: { amount: '7.00' } });
  });

  it('answers 409 once it is final', async () => {
    const { path } = await aDraft();
    await post(`${path}/finalise`);
    expect(await post(`${path}/refresh`)).toMatchObject({
      status: 409,
      body: { title: 'Wrong invoice status' },
    });
  });
});

describe('POST /v1/invoices/:id/finalise', () => {
  it('answers 200 with a number, dates and both parties, rated a last time', async () => {
    const of = await aDraft({ netTermsDays: 14 });
    await use(of, { hour: '2026-11-16T10:00:00Z', quantity: '1000000' });
    await rows.db.customer.update({
      where: { id: of.customerId },
      data: { legalName: 'Acme GmbH', taxId: 'DE123' },
    });
    const { status, body } = await post(`${of.path}/finalise`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: 'finalised',
      number: expect.stringMatching(/^TG-\d{6}$/),
      recipient: { name: 'Acme', legalName: 'Acme GmbH', taxId: 'DE123' },
      issuer: { name: 'Demo' },
      total: { minor: '700', currency: 'USD', amount: '7.00' },
      lines: [
        {
          description: 'REST API calls',
          quantity: '2000000',
          exactAmount: '7',
          rating: { rateCardVersion: 1, priceId: 'calls/REST', tiers: [{ quantity: '2000000' }] },
        },
      ],
    });
    expect(body.issuedAt).toMatch(/^2026-12-01T00:1/);
    expect(Date.parse(body.dueAt) - Date.parse(body.issuedAt)).toBe(14 * 86_400_000);
  });

  it('answers the same invoice again, whatever happened since', async () => {
    const of = await aDraft();
    const { body } = await post(`${of.path}/finalise`);
    await use(of, { hour: '2026-11-16T10:00:00Z', quantity: '1000000' });
    await rows.db.customer.update({ where: { id: of.customerId }, data: { name: 'Renamed' } });
    const again = await Promise.all([post(`${of.path}/finalise`), post(`${of.path}/finalise`)]);
    for (const answer of again) expect(answer).toMatchObject({ status: 200, body });
    expect((await api.call('GET', of.path)).body).toEqual(body);
  });

  it('gives numbers without a gap or a double to twenty at once, half of them rolled back', async () => {
    const drafts = [];
    for (let n = 0; n < 20; n += 1) drafts.push(await aDraft());
    // Half of the transactions fail at their last step before the commit, after the number was taken.
    await rows.db
      .$executeRawUnsafe(`CREATE FUNCTION fail_half() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF random() < 0.5 THEN RAISE EXCEPTION 'injected'; END IF; RETURN NULL; END $$`);
    await rows.db.$executeRawUnsafe(`CREATE CONSTRAINT TRIGGER fail_half AFTER UPDATE ON invoice
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.number IS NOT NULL) EXECUTE FUNCTION fail_half()`);
    const statuses = new Set<number>();
    const finalised = async (path: string) => {
      for (;;) {
        const { status } = await post(`${path}/finalise`);
        statuses.add(status);
        if (status === 200) return;
      }
    };
    await Promise.all(drafts.map(({ path }) => finalised(path)));
    await rows.db.$executeRawUnsafe('DROP TRIGGER fail_half ON invoice');
    expect(statuses).toEqual(new Set([200, 500]));

    const issued = await rows.db.invoice.findMany({ where: { number: { not: null } } });
    const numbers = issued.map(({ number }) => Number(number?.slice(3))).toSorted((a, b) => a - b);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    expect(numbers.length).toBeGreaterThanOrEqual(20);
  }, 120_000);

  it('answers 403 to a customer, a gateway and a reader, and 404 to another account', async () => {
    const { path, customerId } = await aDraft();
    const reader = await rows.operatorToken(rows.accountId, 'read-only');
    const customer = await rows.customerToken(customerId);
    for (const token of [customer, reader, api.gatewayToken]) {
      expect((await post(`${path}/finalise`, token)).status).toBe(403);
    }
    const stranger = await rows.operatorToken(await rows.otherAccount());
    for (const step of ['finalise', 'refresh', 'pay', 'void', 'mark-uncollectible']) {
      expect((await post(`${path}/${step}`, stranger)).status).toBe(404);
    }
  });
});

describe('POST /v1/invoices/:id/pay, /void and /mark-uncollectible', () => {
  it.each([
    { step: 'pay', status: 'paid', paid: '350', due: '0', others: ['void', 'mark-uncollectible'] },
    { step: 'void', status: 'void', paid: '0', due: '0', others: ['pay', 'mark-uncollectible'] },
    { step: 'mark-uncollectible', status: 'uncollectible', paid: '0', due: '350', others: [] },
  ])(
    'answers 200 to $step, twice, and 409 to going elsewhere from there',
    async ({ step, status, paid, due, others }) => {
      const { path } = await aDraft();
      expect((await post(`${path}/${step}`)).status).toBe(409);
      const { body: finalised } = await post(`${path}/finalise`);
      const marked = await post(`${path}/${step}`);
      const sums = { paid: { minor: paid }, due: { minor: due } };
      expect(marked).toMatchObject({ status: 200, body: { status, ...sums } });
      expect({ ...marked.body, status: 'finalised', paid: 0, due: 0 }).toEqual({
        ...finalised,
        paid: 0,
        due: 0,
      });
      expect((await post(`${path}/${step}`)).body).toEqual(marked.body);
      for (const other of others) expect((await post(`${path}/${other}`)).status).toBe(409);
      expect((await post(`${path}/finalise`)).body).toEqual(marked.body);
    },
  );

  it.each(['pay', 'void'])('answers 200 to %s of what was given up on', async (step) => {
    const { path } = await aDraft();
    await post(`${path}/finalise`);
    await post(`${path}/mark-uncollectible`);
    expect(await post(`${path}/${step}`)).toMatchObject({
      status: 200,
      body: { due: { minor: '0' } },
    });
  });
});

describe('a finalised invoice', () => {
  it.each([
    { statement: 'UPDATE invoice SET total_minor = 1, subtotal_minor = 1', why: 'an amount' },
    { statement: `UPDATE invoice SET recipient = '{}'`, why: 'the recipient' },
    {
      statement: `UPDATE invoice SET status = 'draft', number = NULL, issued_at = NULL`,
      why: 'a way back',
    },
    { statement: 'DELETE FROM invoice', why: 'its removal' },
    { statement: 'UPDATE invoice_line SET amount_minor = 1', why: 'an amount of a line' },
    { statement: 'DELETE FROM invoice_line', why: 'the removal of a line' },
    { statement: 'TRUNCATE invoice CASCADE', why: 'emptying the table' },
    { statement: 'TRUNCATE invoice_line', why: 'emptying the lines' },
  ])('refuses in SQL: $why', async ({ statement }) => {
    const { path, id } = await aDraft();
    const { body } = await post(`${path}/finalise`);
    const column = statement.includes('invoice_line') ? 'invoice_id' : 'id';
    const where = statement.startsWith('TRUNCATE') ? '' : ` WHERE ${column} = '${id}'`;
    await expect(rows.db.$executeRawUnsafe(statement + where)).rejects.toThrow(/never change/);
    expect((await api.call('GET', path)).body).toEqual(body);
  });
});

describe('GET /v1/invoices', () => {
  it('answers 200 with what the filter names, page by page', async () => {
    const of = await aDraft({ startsAt: '2026-10-01T00:00:00Z' });
    const list = (query: string) =>
      api.call('GET', `/v1/invoices?customerId=${of.customerId}${query}`);
    await post(`${of.path}/finalise`);
    expect((await list('')).body.items).toHaveLength(2);
    expect((await list('&status=finalised')).body.items).toMatchObject([{ id: of.id }]);
    expect(
      (await list('&from=2026-12-01T00:00:00Z&to=2026-12-02T00:00:00Z')).body.items,
    ).toHaveLength(2);
    expect((await list('&to=2026-12-01T00:00:00Z')).body.items).toEqual([]);
    const first = await list('&limit=1');
    const second = await list(`&limit=1&cursor=${first.body.next}`);
    expect(second.body.items[0].id).not.toBe(first.body.items[0].id);
    expect(second.body.next).toBeUndefined();
  });

  it.each([
    'status=open',
    'from=99999-01-01T00:00:00Z',
    'from=2026-12-02T00:00:00Z&to=2026-12-01T00:00:00Z',
  ])('answers 400 to %s', async (query) => {
    expect((await api.call('GET', `/v1/invoices?${query}`)).status).toBe(400);
  });

  it('shows a customer only their own', async () => {
    const mine = await aDraft();
    const theirs = await aDraft();
    const token = await rows.customerToken(mine.customerId);
    const { body } = await api.call('GET', '/v1/invoices', { token });
    expect(body.items.map(({ id }: { id: string }) => id)).toEqual([mine.id]);
    for (const form of ['', '/csv', '/pdf']) {
      expect((await api.call('GET', mine.path + form, { token })).status).toBe(200);
      expect((await api.call('GET', theirs.path + form, { token })).status).toBe(404);
    }
  });
});

describe('GET /v1/invoices/:id', () => {
  it('answers 404 in every form to another account, and to none', async () => {
    const { path } = await aDraft();
    const token = await rows.operatorToken(await rows.otherAccount());
    for (const form of ['', '/csv', '/pdf']) {
      expect((await api.call('GET', path + form, { token })).status).toBe(404);
      expect((await api.call('GET', `/v1/invoices/inv_none${form}`)).status).toBe(404);
    }
  });
});

describe('GET /v1/invoices/:id/csv', () => {
  it('answers 200 with a row for each line, disarmed where a spreadsheet would run it', async () => {
    const of = await aDraft();
    const name = '=HYPERLINK("http://evil")';
    await rows.db.customer.update({ where: { id: of.customerId }, data: { name } });
    await post(`${of.path}/finalise`);
    const response = await api.call('GET', `${of.path}/csv`);
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(response.headers.get('content-disposition')).toMatch(
      /^attachment; filename="invoice-TG-\d+\.csv"$/,
    );
    const [head, row, ...rest] = (await text(`${of.path}/csv`)).split('\r\n');
    expect(head).toMatch(/^number,status,issuedAt/);
    expect(row).toContain(`,"'=HYPERLINK(""http://evil"")",`);
    expect(row).toContain(',calls,REST,1000000,1000000,3.5,3.50,USD,');
    expect(rest).toEqual(['']);
  });
});

describe('GET /v1/invoices/:id/pdf', () => {
  it('answers 200 with the same bytes for the same invoice', async () => {
    const { path } = await aDraft();
    const draft = await bytes(`${path}/pdf`);
    expect(draft.subarray(0, 5).toString()).toBe('%PDF-');
    await post(`${path}/finalise`);
    const first = await bytes(`${path}/pdf`);
    expect(first.equals(draft)).toBe(false);
    // Some are made by a thread that has made others, some by a new one, some wait for either.
    const copies = await Promise.all(Array.from({ length: 4 }, () => bytes(`${path}/pdf`)));
    expect(copies.map((copy) => copy.equals(first))).toEqual([true, true, true, true]);
  });

  it('shows lines of many tiers, names of strangers and an empty period', async () => {
    const of = await aDraft({ startsAt: '2026-10-01T00:00:00Z' });
    const name = '\u202Eevil <b>{"text":"x"}</b>\n=1+1 \u{1F600}';
    await rows.db.customer.update({ where: { id: of.customerId }, data: { name } });
    await use(of, { hour: '2026-11-16T10:00:00Z', quantity: '21000000000' });
    await use(of, { hour: '2026-11-16T10:00:00Z', quantity: '15360000000', meter: 'bytes-out' });
    for (const { id } of await invoicesOf(of)) {
      await post(`/v1/invoices/${String(id)}/refresh`);
      const pdf = await bytes(`/v1/invoices/${String(id)}/pdf`);
      expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    }
  });
});
