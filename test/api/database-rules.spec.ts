import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { InvoicingService } from '@io/billing';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { billingRows } from '../support/billing.js';
import { aCatalogue } from '../support/catalogue.js';
import { controlPlane } from '../support/control-plane.js';

let api: TestApi;
let db: pg.Pool;
beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl });
  afterFile(() => db.end());
  await aFinalisedInvoice();
});

/** A catalogue, usage, and an invoice over it that is final: a row in every table of the loop. */
async function aFinalisedInvoice(): Promise<void> {
  const rows = await billingRows(api);
  const catalogue = await aCatalogue(api, { quota: { limit: 10, period: 'DAY' } });
  const { customerId, usagePlanId, keyId, apiId, stage, accountId } = catalogue;
  await api.call('POST', '/v1/decisions', {
    token: api.gatewayToken,
    body: { apiKey: catalogue.apiKey, apiId, stage, method: 'GET', path: '/pets' },
  });
  await rows.db.$executeRaw`INSERT INTO event_identity VALUES (gen_random_uuid(), 1)`;
  await rows.moveClockTo('2026-12-01T00:10:00Z');
  const rateCardId = 'amazon-api-gateway-us-east-1';
  const startsAt = '2026-11-01T00:00:00.000Z';
  await controlPlane(api).subscription({ customerId, usagePlanId, rateCardId, startsAt });
  await rows.db.usageHour.create({
    data: {
      accountId,
      customerId,
      keyId,
      apiId,
      stage,
      usagePlanId,
      meter: 'calls',
      quantity: '1000000',
      method: 'GET',
      resourcePath: '/pets',
      statusClass: '2xx',
      hour: new Date('2026-11-15T10:00:00Z'),
    },
  });
  const day = new Date('2026-11-15T00:00:00Z');
  const ofDay = { accountId, customerId, keyId, usagePlanId, day, meter: 'calls' };
  await rows.db.usageDay.create({ data: { ...ofDay, quantity: '1000000' } });
  await api.app.get(InvoicingService).closeDue();
  const { body } = await api.call('GET', `/v1/invoices?customerId=${customerId}`);
  await api.call('POST', `/v1/invoices/${body['items'][0].id}/finalise`);
}

interface Column {
  readonly table: string;
  readonly column: string;
  readonly type: string;
}

const columnsWhere = async (condition: string): Promise<Column[]> => {
  const { rows } = await db.query<Column>(
    `SELECT c.table_name AS "table", c.column_name AS "column", c.data_type AS "type"
     FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE table_schema = 'public' AND t.table_type = 'BASE TABLE' AND table_name NOT LIKE '\\_prisma%'
       AND table_name NOT IN (SELECT inhrelid::regclass::text FROM pg_inherits) AND (${condition})
     ORDER BY 1, 2`,
  );
  return rows;
};

/** Runs a statement and takes it back; answers the code it failed with, null when it did not. */
async function codeOf(sql: string, values: unknown[] = []): Promise<string | null> {
  const client = await db.connect();
  try {
    await client.query('BEGIN');
    await client.query(sql, values);
    await client.query('SET CONSTRAINTS ALL IMMEDIATE');
    return null;
  } catch (error) {
    return error instanceof pg.DatabaseError ? (error.code ?? '') : String(error);
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

const CHECK_VIOLATION = '23514';
const FOREIGN_KEY_VIOLATION = '23503';
const RESTRICT_VIOLATION = '23001';

interface ForeignKey {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly columns: readonly string[];
  readonly targets: readonly string[];
}

const foreignKeys = async (): Promise<ForeignKey[]> => {
  const { rows } = await db.query<ForeignKey>(
    `SELECT k.conname AS name, k.conrelid::regclass::text AS "from", k.confrelid::regclass::text AS "to",
       (SELECT array_agg(a.attname::text ORDER BY n) FROM unnest(k.conkey) WITH ORDINALITY u (num, n)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = num) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY n) FROM unnest(k.confkey) WITH ORDINALITY u (num, n)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = num) AS targets
     FROM pg_constraint k WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace
     ORDER BY 2, 1`,
  );
  return rows;
};

describe('tables of accounts', () => {
  it('are all but those of the migrator', async () => {
    const owned = new Set((await columnsWhere(`column_name = 'account_id'`)).map((c) => c.table));
    const tables = new Set((await columnsWhere('true')).map((c) => c.table));
    // An event's identity is a hash that the account is in; holders and counters are processes; a Region has one pace;
    // the keys of statements are the installation's.
    expect([...tables].filter((table) => !owned.has(table))).toEqual([
      'account',
      'decision_counter',
      'event_identity',
      'marketplace_pace',
      'quota_holder',
      'statement_key',
    ]);
  });

  it('refer to each other with the account in the key', async () => {
    const keys = await foreignKeys();
    expect(keys.length).toBeGreaterThan(25);
    const loose = keys.filter(({ columns, targets, to }) =>
      to === 'account'
        ? // The account that pays for its traffic is another one, on purpose.
          !['account_id', 'billed_account_id'].includes(columns.join()) || targets.join() !== 'id'
        : columns[0] !== 'account_id' || targets[0] !== 'account_id',
    );
    expect(loose).toEqual([]);
  });

  it('are each tied to an account, but for usage, whose ids are checked when it comes in, and news', async () => {
    const tied = new Set((await foreignKeys()).map(({ from }) => from));
    const owned = (await columnsWhere(`column_name = 'account_id'`)).map((c) => c.table);
    expect(owned.filter((table) => !tied.has(table))).toEqual([
      'alert_due',
      'connection',
      'decision_hour',
      'meter_quarter',
      'meter_reading',
      'policy_change',
      'usage_day',
      'usage_decision',
      'usage_hour',
      'usage_record',
    ]);
  });

  it('have a foreign key behind every column that names a row of another table', async () => {
    const covered = new Set(
      (await foreignKeys()).flatMap(({ from, columns }) =>
        columns.map((column) => `${from}.${column}`),
      ),
    );
    const named = await columnsWhere(
      `column_name ~ '^(customer|gateway|api|usage_plan|key|rate_card|subscription|invoice)_id$'
       AND table_name NOT IN ('usage_record', 'usage_hour', 'usage_day', 'meter_reading', 'meter_quarter', 'alert_due',
         'connection', 'decision_hour', 'usage_correction')`,
    );
    const loose = named.map(({ table, column }) => `${table}.${column}`);
    // What was spent and which plans covered a key stay known, also when the plan or the api is deleted; that a key was
    // deleted is news of it.
    expect(loose.filter((column) => !covered.has(column))).toEqual([
      'policy_change.key_id',
      'quota_lost.usage_plan_id',
      'quota_spend.usage_plan_id',
      'usage_plan_key_stage_past.api_id',
      'usage_plan_key_stage_past.usage_plan_id',
    ]);
  });

  it('refuse a row that moves to another account and leaves what it refers to behind', async () => {
    const { body: other } = await api.call('POST', '/v1/accounts', {
      body: { name: 'Other', mode: 'test' },
    });
    const wrong: string[] = [];
    const tried = new Set<string>();
    for (const { from, to } of await foreignKeys()) {
      if (to === 'account' || tried.has(from)) continue;
      const { rows } = await db.query(`SELECT 1 FROM ${from} LIMIT 1`);
      if (rows.length === 0) continue;
      tried.add(from);
      const code = await codeOf(`UPDATE ${from} SET account_id = $1`, [other['id']]);
      if (code !== FOREIGN_KEY_VIOLATION && code !== RESTRICT_VIOLATION)
        wrong.push(`${from} → ${to}: ${code}`);
    }
    expect(wrong).toEqual([]);
    expect([...tried].sort()).toEqual([
      'api_key',
      'invoice',
      'invoice_line',
      'ledger_transaction',
      'method',
      'posting',
      'quota_spend',
      'rate_card_version',
      'stage',
      'subscription',
      'token',
      'usage_plan_key',
      'usage_plan_key_stage',
      'usage_plan_stage',
    ]);
  });
});

describe('numbers', () => {
  it('are never NaN or Infinity, in any column that could hold them', async () => {
    const columns = await columnsWhere(`data_type IN ('numeric', 'double precision', 'real')`);
    expect(columns.map(({ table, column }) => `${table}.${column}`)).toEqual(
      expect.arrayContaining([
        'invoice_line.amount',
        'usage_hour.quantity',
        'usage_record.quantity',
      ]),
    );
    const wrong: string[] = [];
    for (const { table, column } of columns) {
      const { rows } = await db.query<{ checks: string[] }>(
        `SELECT array_agg(pg_get_expr(conbin, conrelid)) AS checks FROM pg_constraint
         WHERE contype = 'c' AND conrelid = $1::regclass AND pg_get_expr(conbin, conrelid) ~ $2`,
        [table, `\\m${column}\\M`],
      );
      const checks = rows[0]?.checks ?? [];
      for (const value of ['NaN', 'Infinity', '-Infinity']) {
        // The checks of the column by themselves, over a row of nothing but that value.
        const holds = checks.map((check) => `coalesce(${check}, true)`).join(' AND ') || 'true';
        const outcome = db.query<{ ok: boolean }>(
          `SELECT ${holds} AS ok FROM jsonb_populate_record(null::${table}, jsonb_build_object($1::text, $2::text))`,
          [column, value],
        );
        const isTaken = await outcome.then(
          ({ rows: [row] }) => row?.ok !== false,
          // A numeric of bounded digits holds no infinity.
          () => false,
        );
        if (isTaken) wrong.push(`${table}.${column} takes ${value}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it.each([
    {
      why: 'a quota without a period',
      set: 'quota_limit = 5, quota_period = NULL, quota_offset = 0',
    },
    {
      why: 'a quota without a limit',
      set: `quota_limit = NULL, quota_period = 'DAY', quota_offset = 0`,
    },
    { why: 'a negative limit', set: 'quota_limit = -1' },
    { why: 'a period of another length', set: `quota_period = 'YEAR'` },
    { why: 'a day that starts later', set: `quota_period = 'DAY', quota_offset = 1` },
    { why: 'an eighth day of the week', set: `quota_period = 'WEEK', quota_offset = 7` },
    { why: 'a month from its 29th', set: `quota_period = 'MONTH', quota_offset = 28` },
    { why: 'an offset before the start', set: `quota_period = 'WEEK', quota_offset = -1` },
    { why: 'a rate without a burst', set: 'rate_limit = 5, burst_limit = NULL' },
    { why: 'a burst without a rate', set: 'rate_limit = NULL, burst_limit = 5' },
  ])('of a usage plan are refused: $why', async ({ set }) => {
    expect(await codeOf(`UPDATE usage_plan SET ${set}`)).toBe(CHECK_VIOLATION);
  });

  it.each([
    { why: 'calls given back that were never taken', set: 'debited = -1' },
    { why: 'a period without length', set: 'period_to = period_from' },
  ])('of a spent quota are refused: $why', async ({ set }) => {
    expect(await codeOf(`UPDATE quota_spend SET ${set}`)).toBe(CHECK_VIOLATION);
  });
});

describe('rows that never change', () => {
  it.each([
    'UPDATE audit_event SET action = action',
    `UPDATE audit_event SET "after" = '{}'`,
    'DELETE FROM audit_event',
    'TRUNCATE audit_event',
    'TRUNCATE account CASCADE',
    'UPDATE rate_card_version SET items = items',
    'DELETE FROM rate_card_version',
    'TRUNCATE rate_card_version CASCADE',
    `UPDATE invoice SET total_minor = total_minor + 1, subtotal_minor = subtotal_minor + 1`,
    `UPDATE invoice SET recipient = '{}'`,
    `UPDATE invoice SET status = 'draft', number = NULL, issued_at = NULL`,
    `UPDATE invoice SET number = '1'`,
    'UPDATE invoice SET due_at = NULL',
    'DELETE FROM invoice',
    'TRUNCATE invoice CASCADE',
    'UPDATE invoice_line SET amount_minor = 0',
    'UPDATE invoice_line SET snapshot = snapshot',
    'DELETE FROM invoice_line',
    'TRUNCATE invoice_line',
    'UPDATE posting SET amount_minor = 1',
    'DELETE FROM posting',
    'TRUNCATE posting',
    `UPDATE ledger_transaction SET act = 'x'`,
    'DELETE FROM ledger_transaction',
    'TRUNCATE ledger_transaction CASCADE',
    'TRUNCATE payment',
    'UPDATE event_identity SET content = 0',
    'DELETE FROM event_identity',
    'TRUNCATE event_identity',
    `INSERT INTO invoice_line SELECT 'line_new', account_id, customer_id, invoice_id, 99, description, meter,
       quantity, amount, amount_minor, snapshot FROM invoice_line LIMIT 1`,
  ])('refuse: %s', async (sql) => {
    expect(await codeOf(sql)).toBe(RESTRICT_VIOLATION);
  });

  it('take no line from a draft either, nor give one to it', async () => {
    const draft = `INSERT INTO invoice SELECT 'inv_draft', account_id, customer_id, subscription_id,
      period_to, period_to + interval '1 month', 'draft', NULL, currency, timezone, subtotal_minor, tax_minor,
      total_minor, issuer, recipient, created_at, NULL, NULL FROM invoice LIMIT 1;
      INSERT INTO invoice_line SELECT 'line_draft', account_id, customer_id, 'inv_draft', 98, description, meter,
      quantity, amount, amount_minor, snapshot FROM invoice_line LIMIT 1;`;
    expect(await codeOf(draft)).toBeNull();
    const final = `(SELECT id FROM invoice WHERE status = 'finalised' LIMIT 1)`;
    expect(
      await codeOf(
        `${draft} UPDATE invoice_line SET invoice_id = ${final} WHERE id = 'line_draft'`,
      ),
    ).toBe(RESTRICT_VIOLATION);
    expect(
      await codeOf(
        `${draft} UPDATE invoice_line SET invoice_id = 'inv_draft' WHERE invoice_id = ${final}`,
      ),
    ).toBe(RESTRICT_VIOLATION);
  });

  it('let a finalised invoice be paid, and nothing else', async () => {
    expect(await codeOf(`UPDATE invoice SET status = 'paid'`)).toBeNull();
  });
});
