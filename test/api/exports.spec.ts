import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Decimal } from '@core/kernel';
import { parquetMetadata } from 'hyparquet';
import { beforeAll, describe, expect, it } from 'vitest';
import { readCsv } from '../../apps/cli/src/exports/read-csv.js';
import { readParquet } from '../support/read-parquet.js';
import { collectorProgram } from '../support/collector-process.js';
import { startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';

let on: Invoicing;
beforeAll(async () => {
  on = await startInvoicing();
});

type Row = Readonly<Record<string, string>>;

const DECEMBER = 'from=2026-12-01T00:00:00Z&to=2027-01-01T00:00:00Z';
const text = async (path: string) => (await on.api.call('GET', path)).body as unknown as string;
const table = async (name: string, query = DECEMBER): Promise<Row[]> =>
  readCsv(await text(`/v1/exports/${name}.csv?${query}`));
const of = <T extends Readonly<Record<string, unknown>>>(
  rows: readonly T[],
  { customerId }: { readonly customerId: string },
) => rows.filter((row) => row['customerId'] === customerId);
/** Hundredths, of dollars. */
const cents = (amount: string | undefined) => {
  expect(amount).toMatch(/^-?\d+\.\d\d$/);
  return BigInt((amount ?? '').replace('.', ''));
};
const sum = (rows: readonly Row[], column: string) =>
  rows.reduce((total, row) => total + cents(row[column]), 0n);
const pay = ({ path }: Drafted, amount: string, reference: string) =>
  on.api.call('POST', `${path}/payments`, {
    body: { amount, reference, method: 'bank-transfer', paidAt: '2026-12-01T00:05:00Z' },
  });

describe('GET /v1/exports', () => {
  it('lists every table with its columns, which its head has too', async () => {
    const { body } = await on.api.call<{ items: { name: string; columns: { name: string }[] }[] }>(
      'GET',
      '/v1/exports',
    );
    expect(body.items.length).toBeGreaterThan(5);
    for (const { name, columns } of body.items) {
      const [head] = (await text(`/v1/exports/${name}.csv?${DECEMBER}`)).split('\r\n');
      expect(head?.split(',')).toEqual(columns.map((column) => column.name));
    }
  });
});

/** What Arrow has each kind as. */
const ARROW: Readonly<Record<string, string>> = {
  text: 'Utf8',
  code: 'Utf8',
  integer: 'Int64',
  instant: 'timestamp(UTC)',
  money: 'decimal(38, 4)',
  quantity: 'decimal(38, 12)',
};

describe('GET /v1/exports/:name.parquet', () => {
  const fetchParquet = async (path: string) => {
    const headers = { authorization: `Bearer ${on.api.ownerToken}` };
    const answer = await fetch(`${on.api.url}/v1/exports/${path}`, { headers });
    expect(answer.headers.get('content-type')).toBe('application/vnd.apache.parquet');
    return new Uint8Array(await answer.arrayBuffer());
  };
  const parquet = async (path: string) => readParquet(await fetchParquet(path));

  it('answers the rows of the CSV for every export: decimals exact, instants, text as it is', async () => {
    const draft = await on.aDraft();
    const grant = { kind: 'paid', name: 'x', amount: '5.00', reference: 'x' };
    await on.api.call('POST', `/v1/customers/${draft.customerId}/credit-grants`, { body: grant });
    await on.post(`${draft.path}/finalise`);
    const customer = await on.aFinalised();
    await pay(customer, '1.00', '=1+2');
    const { body: invoice } = await on.api.call('GET', customer.path);
    const lines = [{ lineId: invoice.lines[0].id, amount: '1.00' }];
    await on.api.call('POST', `${customer.path}/credit-notes`, { body: { reason: 'x', lines } });
    const quantity = '12345678901234.000000000001';
    await on.use(customer, { hour: '2026-12-01T00:00:00Z', quantity });
    const { body } = await on.api.call<{ items: Definition[] }>('GET', '/v1/exports');
    let compared = 0;
    for (const { name, columns } of body.items) {
      const kinds = new Map(columns.map((column) => [column.name, column.kind]));
      const { rows, types } = await parquet(`${name}.parquet?${DECEMBER}`);
      const csv = await table(name);
      expect(Object.entries(types)).toEqual([...kinds].map(([of, kind]) => [of, ARROW[kind]]));
      const filled = rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([column, cell]) => [column, cell ?? ''])),
      );
      expect(filled).toEqual(csv.map((row) => asParquet(row, kinds)));
      compared += rows.length;
    }
    expect(compared).toBeGreaterThan(10);
    const usage = await parquet(`usage-detail.parquet?${DECEMBER}`);
    expect(of(usage.rows, customer)).toMatchObject([
      { hour: '2026-12-01T00:00:00.000Z', quantity },
    ]);
    const payments = await parquet('payments.parquet');
    expect(of(payments.rows, customer)).toMatchObject([{ reference: '=1+2', amount: '1' }]);
  });

  it('has all columns of every export without rows, for the same reader', async () => {
    const none = 'from=2001-01-01T00:00:00Z&to=2001-02-01T00:00:00Z';
    const { body } = await on.api.call<{ items: Definition[] }>('GET', '/v1/exports');
    for (const { name, columns } of body.items) {
      const types = Object.fromEntries(columns.map((column) => [column.name, ARROW[column.kind]]));
      expect(await parquet(`${name}.parquet?${none}`)).toEqual({ rows: [], types });
    }
  });

  it('is written in row groups of 10,000, and with the same bytes again', async () => {
    const { accountId, customerId, keyId, apiId, stage, usagePlanId } = await on.aSubscriber();
    await on.rows.db.$executeRaw`
      INSERT INTO usage_hour (customer_id, key_id, hour, meter, api_id, stage, usage_plan_id, method, resource_path, status_class, account_id, quantity)
      SELECT ${customerId}, ${keyId}, timestamptz '2019-01-01' + hour * interval '1 minute', 'calls', ${apiId}, ${stage},
        ${usagePlanId}, 'GET', '/pets', '2xx', ${accountId}, hour FROM generate_series(1, 20001) hour`;
    const span = 'from=2019-01-01T00:00:00Z&to=2020-01-01T00:00:00Z';
    const bytes = await fetchParquet(`usage-detail.parquet?${span}`);
    expect(rowGroups(bytes)).toEqual([10_000, 10_000, 1]);
    const { rows } = await readParquet(bytes);
    expect(rows.map(({ quantity }) => Number(quantity))).toEqual(
      Array.from({ length: 20_001 }, (_, n) => n + 1),
    );
    expect(await fetchParquet(`usage-detail?format=parquet&${span}`)).toEqual(bytes);
  });

  it('answers 404 to what is no export, 403 to a customer, 400 to two formats', async () => {
    const token = await on.rows.customerToken(await on.rows.customer());
    const status = async (file: string, options = {}) =>
      (await on.api.call('GET', `/v1/exports/${file}`, options)).status;
    expect(await status('nothing.parquet')).toBe(404);
    expect(await status('journal.parquet', { token })).toBe(403);
    expect(await status('journal.csv?format=parquet')).toBe(400);
    expect(await status('journal?format=xlsx')).toBe(400);
  });
});

interface Definition {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly kind: string }[];
}

/** A row of CSV as the reader of Parquet gives it. */
function asParquet(row: Row, kinds: ReadonlyMap<string, string>) {
  return Object.fromEntries(
    Object.entries(row).map(([name, cell]) => {
      const kind = kinds.get(name);
      if (cell === '') return [name, cell];
      if (kind === 'money' || kind === 'quantity') return [name, new Decimal(cell).toFixed()];
      return [name, kind === 'text' ? cell.replace(/^'(?=[=+\-@])/, '') : cell];
    }),
  );
}

/** How many rows each row group has. */
function rowGroups(bytes: Uint8Array): number[] {
  const { row_groups } = parquetMetadata(bytes.slice().buffer);
  return row_groups.map(({ num_rows }) => Number(num_rows));
}

describe('GET /v1/exports/:file', () => {
  it('answers a register and lines that both add up to the invoices', async () => {
    await on.aDraft();
    await on.aFinalised();
    const issued = await on.rows.db.invoice.findMany({ where: { issuedAt: { not: null } } });
    const total = issued.reduce((all, { totalMinor }) => all + totalMinor, 0n);
    const register = await table('invoice-register');
    const lines = await table('invoice-lines');
    expect(register).toHaveLength(issued.length);
    expect(total).toBeGreaterThan(0n);
    expect(sum(register, 'total')).toBe(total);
    expect(sum(lines, 'amount')).toBe(sum(register, 'subtotal'));
    expect(new Set(register.map((row) => row['number'])).size).toBe(issued.length);
  });

  it('answers the lines of an invoice as the CSV of that invoice does', async () => {
    const finalised = await on.aFinalised();
    const [head, ...records] = (await text(`${finalised.path}/csv`)).split('\r\n');
    const all = (await text(`/v1/exports/invoice-lines.csv?${DECEMBER}`)).split('\r\n');
    expect(all[0]).toBe(head);
    expect(all).toEqual(expect.arrayContaining(records));
  });

  it('answers what was paid ahead, and what became of it', async () => {
    const [used, back] = [await on.aDraft(), await on.aDraft()];
    for (const [{ customerId }, kind, amount] of [
      [used, 'paid', '2.00'],
      [used, 'promotional', '0.50'],
      [back, 'paid', '5.00'],
    ] as const) {
      const body = { kind, name: kind, amount, reference: kind };
      await on.api.call('POST', `/v1/customers/${customerId}/credit-grants`, { body });
    }
    for (const { path } of [used, back]) await on.post(`${path}/finalise`);
    const { body: invoice } = await on.api.call('GET', back.path);
    const lines = [{ lineId: invoice.lines[0].id, amount: '1.00' }];
    await on.api.call('POST', `${back.path}/credit-notes`, { body: { reason: 'x', lines } });
    const liability = await table('credits-liability');
    expect(of(liability, used)).toMatchObject([
      { opening: '0.00', paidAhead: '2.00', earned: '2.00', returned: '0.00', closing: '0.00' },
    ]);
    expect(of(liability, back)).toMatchObject([
      { paidAhead: '5.00', earned: '3.50', returned: '1.00', expired: '0.00', closing: '2.50' },
    ]);
    const journal = await table('journal');
    const owed = journal.filter((row) => row['ledgerAccount'] === 'prepaid-credit');
    expect(sum(liability, 'closing')).toBe(sum(owed, 'credit') - sum(owed, 'debit'));
  });

  it('answers what is paid, credited and due, and the revenue that the journal has', async () => {
    const [paid, credited, voided, open] = [
      await on.aFinalised(),
      await on.aFinalised(),
      await on.aFinalised(),
      await on.aFinalised(),
    ];
    expect((await pay(paid, '1.50', '=HYPERLINK("x")')).status).toBe(201);
    const { body: invoice } = await on.api.call('GET', credited.path);
    const creditNote = {
      reason: 'too\nmuch',
      lines: [{ lineId: invoice.lines[0].id, amount: '1.00' }],
    };
    const { status } = await on.api.call('POST', `${credited.path}/credit-notes`, {
      body: creditNote,
    });
    expect(status).toBe(201);
    expect((await on.post(`${voided.path}/void`)).status).toBe(200);

    const register = await table('invoice-register');
    const standing = (drafted: Drafted) => {
      const [row] = of(register, drafted);
      return [row?.['status'], row?.['total'], row?.['paid'], row?.['credited'], row?.['due']];
    };
    expect(standing(paid)).toEqual(['finalised', '3.50', '1.50', '0.00', '2.00']);
    expect(standing(credited)).toEqual(['finalised', '3.50', '0.00', '1.00', '2.50']);
    expect(standing(voided)).toEqual(['void', '3.50', '0.00', '0.00', '0.00']);
    expect(standing(open)).toEqual(['finalised', '3.50', '0.00', '0.00', '3.50']);

    const ageing = await table('receivables-ageing', '');
    expect(sum(ageing, 'total')).toBe(sum(register, 'due'));
    expect(of(ageing, open)).toMatchObject([{ total: '3.50', notDue: '3.50', days1To30: '0.00' }]);
    const [later] = of(await table('receivables-ageing', 'to=2027-02-10T00:00:00Z'), open);
    expect(later).toMatchObject({ notDue: '0.00', days1To30: '0.00', days31To60: '3.50' });

    const journal = await table('journal');
    expect(sum(journal, 'debit')).toBe(sum(journal, 'credit'));
    const ofRevenue = journal.filter((row) => row['ledgerAccount'] === 'revenue');
    const earned = sum(ofRevenue, 'credit') - sum(ofRevenue, 'debit');
    expect(sum(await table('revenue'), 'billed')).toBe(earned);
    const november = await table('revenue', 'from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z');
    expect(sum(november, 'recognised')).toBe(earned);
    expect(of(await table('payments'), paid)).toMatchObject([
      { amount: '1.50', reference: `'=HYPERLINK("x")` },
    ]);
    expect(of(await table('credit-notes'), credited)).toMatchObject([
      { amount: '1.00', reason: 'too\nmuch' },
    ]);
  });

  it('answers months that add up to what was billed, of a period that lies in two', async () => {
    const periodRule = {
      kind: 'anniversary',
      interval: 'month',
      anchor: '2026-10-20',
      timezone: 'Asia/Kathmandu',
    };
    const subscriber = await on.aSubscriber({ startsAt: '2026-10-20T00:00:00Z', periodRule });
    await on.use(subscriber, { hour: '2026-11-15T10:00:00Z', quantity: '1000003' });
    await on.invoicing.closeDue();
    const [invoice] = await on.invoicesOf(subscriber);
    expect((await on.post(`/v1/invoices/${String(invoice?.['id'])}/finalise`)).status).toBe(200);
    const plan = (row: Row) => row['usagePlanId'] === subscriber.usagePlanId;
    const months = (await table('revenue', '')).filter(plan);
    expect(months.map((row) => row['month'])).toEqual(['2026-10', '2026-11', '2026-12']);
    expect(sum(months, 'recognised')).toBe(sum(months, 'billed'));
    expect(months.filter((row) => cents(row['recognised']) > 0n)).toHaveLength(2);
  });

  it('answers usage hour by hour, and money with the decimals of its currency', async () => {
    const subscriber = await on.aSubscriber();
    await on.use(subscriber, { hour: '2026-11-03T04:00:00Z', quantity: '0.125' });
    const usage = of(await table('usage-detail', 'from=2026-11-03T00:00:00Z'), subscriber);
    expect(usage).toMatchObject([
      { hour: '2026-11-03T04:00:00.000Z', quantity: '0.125', resourcePath: '/pets' },
    ]);
    const { rows } = on;
    const { accountId } = subscriber;
    const customerId = await rows.customer();
    const legs = [
      { currency: 'JPY', amountMinor: -7n },
      { currency: 'KWD', amountMinor: -1_234n },
    ];
    for (const { currency, amountMinor } of legs) {
      const transaction = await rows.db.ledgerTransaction.create({
        data: {
          id: `ltx_${currency}`,
          accountId,
          customerId,
          act: 'record-payment',
          subjectId: currency,
          occurredAt: new Date('2026-12-01T00:00:00Z'),
        },
      });
      const leg = { transactionId: transaction.id, accountId, customerId, currency };
      await rows.db.posting.createMany({
        data: [
          { ...leg, ordinal: 0, ledgerAccount: 'customer-credit', amountMinor },
          { ...leg, ordinal: 1, ledgerAccount: 'cash', amountMinor: -amountMinor },
        ],
      });
    }
    expect(of(await table('customer-credit'), { customerId })).toMatchObject([
      { currency: 'JPY', opening: '0', added: '7', used: '0', closing: '7' },
      { currency: 'KWD', opening: '0.000', added: '1.234', used: '0.000', closing: '1.234' },
    ]);
  });

  it('answers only the heads for a span without rows, 400 to a bad one, 404 to no export', async () => {
    const from = 'from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z';
    expect(await table('invoice-register', from)).toEqual([]);
    const status = async (file: string) => (await on.api.call('GET', `/v1/exports/${file}`)).status;
    expect(await status('invoice-register.csv?from=x')).toBe(400);
    expect(await status('invoice-lines.csv?till=x')).toBe(400);
    expect(await status('invoice-lines')).toBe(200);
    expect(await status('invoice-lines.xlsx')).toBe(404);
    expect(await status('nothing.csv')).toBe(404);
  });

  it('answers 403 to a customer and nothing of ours to another account', async () => {
    await on.aFinalised();
    const customer = await on.rows.customerToken(await on.rows.customer());
    const stranger = await on.rows.operatorToken(await on.rows.otherAccount());
    const { body } = await on.api.call<{ items: { name: string }[] }>('GET', '/v1/exports');
    for (const { name } of body.items) {
      const path = `/v1/exports/${name}.csv`;
      expect((await on.api.call('GET', path, { token: customer })).status).toBe(403);
      const answer = await on.api.call('GET', path, { token: stranger });
      expect((answer.body as unknown as string).trimEnd().split('\r\n')).toHaveLength(1);
    }
  });

  it('is listed, and reported on, by the command line', async () => {
    const drafted = await on.aFinalised();
    const program = await collectorProgram();
    const env = { TOLLGATE_URL: on.api.url, TOLLGATE_TOKEN: on.api.ownerToken };
    const tollgate = async (...args: string[]) =>
      (await promisify(execFile)(process.execPath, [program, ...args], { env })).stdout;
    expect(await tollgate('exports')).toMatch(/^journal {2}/m);
    expect(await tollgate('report', 'revenue')).toMatch(/^Revenue in USD\nmonth .*\n2026-1/);
    expect(await tollgate('report', 'deferred')).toMatch(
      /^Deferred revenue in USD\n.* closing +unbilled\n2026-/,
    );
    const ageing = await tollgate('report', 'ageing');
    expect(ageing).toMatch(/^Receivables in USD\ncustomer +total +notDue.*\n/);
    expect(ageing).toMatch(/^notDue +\d+\.\d\d {2}#+$/m);
    const csv = readCsv(await tollgate('report', 'ageing', '--csv'));
    expect(of(csv, drafted)).toMatchObject([{ total: '3.50', currency: 'USD' }]);
  });

  it('answers 503 while three others are read, and serves again when they are left', async () => {
    const { ExportsService } = await import('@io/billing');
    const exports = on.api.app.get(ExportsService);
    const subscriber = await on.aSubscriber();
    const { accountId } = subscriber;
    // More than what stands in buffers on the way.
    await on.rows.db.$executeRaw`
      INSERT INTO usage_hour (customer_id, key_id, hour, meter, api_id, stage, usage_plan_id, method, resource_path, status_class, account_id, quantity)
      SELECT ${subscriber.customerId}, ${subscriber.keyId}, timestamptz '2020-01-01' + hour * interval '1 hour', 'calls', ${subscriber.apiId},
        ${subscriber.stage}, ${subscriber.usagePlanId}, 'GET', '/pets', '2xx', ${accountId}, 1
      FROM generate_series(1, 50000) hour`;
    const scope = { accountId } as never;
    const formats = ['csv', 'parquet', 'csv'] as const;
    const open = await Promise.all(
      formats.map((format) => exports.read(scope, { name: 'usage-detail', format })),
    );
    const busy = await on.api.call('GET', '/v1/exports/journal.csv');
    expect(busy).toMatchObject({
      status: 503,
      body: { type: expect.stringMatching(/exports-busy$/) },
    });
    for (const { bytes } of open) bytes.destroy();
    await expect
      .poll(async () => (await on.api.call('GET', '/v1/exports/journal.csv')).status)
      .toBe(200);
  });
});
