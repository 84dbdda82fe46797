import { pipeline } from 'node:stream/promises';
import { METERS, readPlainBatch, readUsageBatch, type UsageBatch } from '@core/metering';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { plainRows } from './plain-rows.js';
import { USAGE_COLUMNS, usageRows } from './usage-rows.js';

const OWNER = {
  keyId: 'key_1',
  apiId: 'api_1',
  stage: 'prod\\é',
  customerId: 'cus_1',
  usagePlanId: '',
};
const ROW = { id: '9007199254740993', accountId: 'acc_1', receivedAt: '2026-11-22T07:31:00.123Z' };

let client: pg.Client;

beforeAll(async () => {
  client = new pg.Client({ connectionString: await createTestDatabase() });
  await client.connect();
  afterFile(() => client.end());
  await client.query('CREATE TEMP TABLE taken (LIKE usage_record)');
});

const jsonOf = (records: readonly object[]) => ({
  epoch: 'e',
  sequence: 0,
  records: records.map((record) => ({
    at: '2026-11-22T07:31:00.999Z',
    keyId: OWNER.keyId,
    apiId: OWNER.apiId,
    stage: OWNER.stage,
    method: 'GET',
    resourcePath: '/pets',
    statusClass: '2xx',
    quantities: { calls: '1' },
    ...record,
  })),
});

function batchOf(records: readonly object[]): UsageBatch {
  const batch = readUsageBatch(jsonOf(records));
  if ('faults' in batch) throw new Error(JSON.stringify(batch.faults));
  return batch;
}

/** The rows as the database has them, all columns as text. */
function stored(records: readonly object[]): Promise<string[][]> {
  const batch = batchOf(records);
  const owners = batch.records.map(() => OWNER);
  return storedBy(usageRows(ROW, batch, owners));
}

async function storedBy(pieces: Iterable<Buffer>): Promise<string[][]> {
  await client.query("TRUNCATE taken; SET timezone = 'UTC'");
  await pipeline(
    pieces,
    client.query(copyFrom(`COPY taken (${USAGE_COLUMNS}) FROM STDIN (FORMAT binary)`)),
  );
  const columns = USAGE_COLUMNS.split(', ').map((column) => `${column}::text`);
  const { rows } = await client.query<string[]>({
    text: `SELECT ${columns.join(', ')} FROM taken t ORDER BY t.ordinal, t.ctid`,
    rowMode: 'array',
  });
  return rows;
}

describe('usageRows', () => {
  it('says every column as the batch does', async () => {
    const record = { method: '$x\\n', resourcePath: '/größe/€/🐈\\', statusClass: '5xx' };
    expect(await stored([record])).toEqual([
      [
        ROW.id,
        ROW.accountId,
        '2026-11-22 07:31:00.123+00',
        OWNER.customerId,
        OWNER.keyId,
        OWNER.apiId,
        OWNER.stage,
        OWNER.usagePlanId,
        '0',
        '2026-11-22 07:31:00.999+00',
        record.method,
        record.resourcePath,
        record.statusClass,
        'calls',
        '1.000000000000',
      ],
    ]);
  });

  it('takes instants from 1970 to 2200', async () => {
    const instants = ['1970-01-01T00:00:00Z', '1999-12-31T23:59:59.999Z', '2199-12-31T23:59:59Z'];
    expect((await stored(instants.map((at) => ({ at })))).map((row) => row[9])).toEqual([
      '1970-01-01 00:00:00+00',
      '1999-12-31 23:59:59.999+00',
      '2199-12-31 23:59:59+00',
    ]);
  });

  it('keeps every digit of a quantity', async () => {
    const whole = [
      '0',
      '7',
      '9999',
      '10000',
      '100000000',
      '53211',
      '9'.repeat(26),
      `1${'0'.repeat(25)}`,
    ];
    const fractions = [
      '',
      '.5',
      '.05',
      '.50',
      '.0001',
      '.00001',
      '.123456789',
      '.000000000001',
      `.${'9'.repeat(12)}`,
    ];
    const quantities = whole.flatMap((start) => fractions.map((end) => start + end));
    const rows = await stored(quantities.map((calls) => ({ quantities: { calls } })));
    const told = quantities.map((quantity) => {
      const [start = '', end = ''] = quantity.split('.');
      return `${start}.${end.padEnd(12, '0')}`;
    });
    expect(rows.map((row) => row[14])).toEqual(told);
  });

  it('has room for the largest records there are', async () => {
    const record = {
      method: 'é'.repeat(64),
      resourcePath: '€'.repeat(512),
      quantities: Object.fromEntries(
        METERS.map((meter) => [meter, `${'9'.repeat(26)}.${'9'.repeat(12)}`]),
      ),
    };
    const rows = await stored(Array.from({ length: 500 }, () => record));
    expect(rows).toHaveLength(500 * METERS.length);
    expect(new Set(rows.map((row) => row.slice(9, 13).join()))).toHaveProperty('size', 1);
    expect(rows.slice(0, METERS.length).map((row) => row[13])).toEqual([...METERS]);
    expect(rows.map((row) => Number(row[8]))).toEqual(
      rows.map((_, n) => Math.floor(n / METERS.length)),
    );
  });
});

describe('plainRows', () => {
  /** As the first of `usageRows`, from the bytes of the same batch. */
  function storedPlain(records: readonly object[]): Promise<string[][]> {
    const bytes = Buffer.from(JSON.stringify(jsonOf(records)));
    const batch = readPlainBatch(bytes, () => undefined);
    if (!batch) throw new Error('it is plain');
    return storedBy(
      plainRows(
        ROW,
        batch,
        batch.places.map((place) => ({ ...OWNER, ...place })),
      ),
    );
  }

  it('makes the rows that usageRows makes', async () => {
    const records = Array.from({ length: 200 }, (_, n) => ({
      stage: `stage ${n % 7}`,
      at: `2026-11-22T07:${String(n % 60).padStart(2, '0')}:00Z`,
      method: 'é'.repeat((n % 64) + 1),
      resourcePath: `/größe/€/🐈/${n}`,
      statusClass: `${(n % 5) + 1}xx`,
      quantities: Object.fromEntries(
        METERS.slice(0, (n % METERS.length) + 1).map((meter) => [
          meter,
          `${'9'.repeat((n % 26) + 1)}${n % 3 ? `.${'1234567890'.repeat(2).slice(0, (n % 12) + 1)}` : ''}`,
        ]),
      ),
    }));
    const plain = records.map((record) => ({ ...record, stage: OWNER.stage.replace('\\', '') }));
    const batch = batchOf(plain);
    const owners = batch.records.map(() => ({ ...OWNER, stage: plain[0]!.stage }));
    expect(await storedPlain(plain)).toEqual(await storedBy(usageRows(ROW, batch, owners)));
    expect((await storedPlain(records)).map((row) => row[6])).toContain('stage 6');
  });

  it('keeps each piece until the database has taken it', async () => {
    const records = Array.from({ length: 4_000 }, (_, n) => ({
      stage: 'prod',
      resourcePath: `/${n}/${'€'.repeat(500)}`,
    }));
    const rows = await storedPlain(records);
    expect(rows.map((row) => row[11])).toEqual(records.map(({ resourcePath }) => resourcePath));
  });
});
