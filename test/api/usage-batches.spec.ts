import pg from 'pg';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { aKeyInPlan, anAccount, defaultAccount } from '../support/factories.js';

let api: TestApi;
let db: pg.Pool;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;
let epochs = 0;
let epoch: string;

beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 3 });
  afterFile(() => db.end());
  owner = await aKeyInPlan(db, await defaultAccount(db));
});
beforeEach(() => {
  epoch = `epoch-${(epochs += 1)}`;
});

function aRecord(overrides: Record<string, unknown> = {}) {
  return {
    at: new Date(Date.now() - 60_000).toISOString(),
    keyId: owner.keyId,
    apiId: owner.apiId,
    stage: owner.stage,
    method: 'GET',
    resourcePath: '/pets/{petId}',
    statusClass: '2xx',
    quantities: { calls: '12', 'bytes-out': '53211' },
    ...overrides,
  };
}

const send = (body: unknown, token: string | null = api.gatewayToken) =>
  api.call('POST', '/v1/usage/batches', { token, body });

const sendOne = (record: unknown, sequence = 0) => send({ epoch, sequence, records: [record] });

async function stored(): Promise<{ batches: number; rows: number; quantity: string | null }> {
  const { rows } = await db.query(
    `SELECT count(DISTINCT b.id)::int AS batches, count(r.meter)::int AS rows,
       trim_scale(sum(r.quantity) FILTER (WHERE r.meter = 'calls'))::text AS quantity
     FROM usage_batch b LEFT JOIN usage_record r ON r.batch_id = b.id WHERE b.epoch = $1`,
    [epoch],
  );
  return rows[0];
}

interface QuarantinedRow {
  readonly text: string;
  readonly is_cut: boolean;
  readonly reason: string;
}

async function quarantined(): Promise<QuarantinedRow[]> {
  const { rows } = await db.query<QuarantinedRow>(
    'SELECT * FROM usage_quarantine WHERE epoch = $1 ORDER BY number',
    [epoch],
  );
  return rows;
}

async function ordinals(): Promise<number[]> {
  const { rows } = await db.query(
    `SELECT DISTINCT ordinal FROM usage_record r JOIN usage_batch b ON b.id = r.batch_id
     WHERE b.epoch = $1 ORDER BY 1`,
    [epoch],
  );
  return rows.map(({ ordinal }) => ordinal);
}

async function waitingInserts(): Promise<number> {
  const { rows } = await db.query(
    `SELECT count(*)::int AS waiting FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO usage_batch%'`,
  );
  return rows[0].waiting;
}

describe('POST /v1/usage/batches', () => {
  it('answers 201, tells the business time, and keeps whose usage it is', async () => {
    const { status, body, headers } = await sendOne(aRecord({ resourcePath: String.raw`/a\b\.` }));
    expect(status).toBe(201);
    expect(body).toEqual({ records: 1, duplicate: false });
    expect(Math.abs(Date.parse(headers.get('x-tollgate-time')!) - Date.now())).toBeLessThan(5_000);
    const { rows } = await db.query(
      `SELECT r.* FROM usage_record r JOIN usage_batch b ON b.id = r.batch_id
       WHERE b.epoch = $1 ORDER BY meter`,
      [epoch],
    );
    expect(rows).toMatchObject([
      { meter: 'bytes-out', quantity: '53211.000000000000', ordinal: 0 },
      {
        customer_id: owner.customerId,
        usage_plan_id: owner.usagePlanId,
        resource_path: String.raw`/a\b\.`,
        meter: 'calls',
      },
    ]);
  });

  it('answers 200 for the same content again, however it is spelled', async () => {
    const at = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 60_000);
    const localAt = new Date(at.getTime() + 3_600_000).toISOString().replace('Z', '+01:00');
    const record = aRecord({
      at: at.toISOString().replace('.000', ''),
      quantities: { calls: '1.5', messages: '0' },
    });
    expect((await sendOne(record)).status).toBe(201);
    const reordered = Object.fromEntries(Object.entries(record).toReversed());
    const again = await sendOne({
      ...reordered,
      at: localAt,
      quantities: { messages: '0.0', calls: '1.50' },
    });
    expect(again).toMatchObject({ status: 200, body: { records: 1, duplicate: true } });
    expect(await stored()).toEqual({ batches: 1, rows: 2, quantity: '1.5' });
  });

  it('answers 409 for other content under the same number, and keeps the first', async () => {
    await sendOne(aRecord({ quantities: { calls: '1' } }));
    const { status, body } = await sendOne(aRecord({ quantities: { calls: '2' } }));
    expect(status).toBe(409);
    expect(body).toMatchObject({
      type: expect.stringContaining('/batch-conflict'),
      epoch,
      sequence: 0,
    });
    expect(await stored()).toMatchObject({ batches: 1, quantity: '1' });
  });

  it('keeps an incident for each other content of a number, which a person settles', async () => {
    await sendOne(aRecord({ quantities: { calls: '1' } }));
    const other = aRecord({ quantities: { calls: '2' } });
    for (const record of [other, other, aRecord({ quantities: { calls: '3' } })])
      expect((await sendOne(record)).status).toBe(409);
    expect((await sendOne(aRecord({ keyId: 'aaaaaaaaaa' }))).status).toBe(409);
    const incidents = async (query = '') => {
      const { body } = await api.call('GET', `/v1/usage/incidents?limit=500${query}`);
      return body['items'].filter((incident: { epoch: string }) => incident.epoch === epoch);
    };
    const [newest, , oldest] = await incidents();
    expect(await incidents()).toMatchObject([
      { occurrences: 1 },
      { occurrences: 1 },
      { kind: 'batch-conflict', sequence: 0, occurrences: 2, acknowledgedAt: null },
    ]);
    expect(oldest.firstHash).toBe(newest.firstHash);
    expect(new Set([oldest.firstHash, oldest.otherHash, newest.otherHash]).size).toBe(3);

    const path = `/v1/usage/incidents/${oldest.id}/acknowledge`;
    const settled = await api.call('POST', path, { body: { reason: 'a restored backup' } });
    expect(settled).toMatchObject({ status: 200, body: { reason: 'a restored backup' } });
    const again = await api.call('POST', path, { body: { reason: 'another' } });
    expect(again.body).toEqual(settled.body);
    expect(await incidents('&acknowledged=true')).toEqual([settled.body]);
    expect(await incidents('&acknowledged=false')).toHaveLength(2);
    const { body: audit } = await api.call('GET', '/v1/audit-events?limit=1');
    expect(audit['items']).toMatchObject([
      {
        action: 'acknowledge-incident',
        subject: oldest.id,
        after: { reason: 'a restored backup' },
      },
    ]);
    expect(await api.call('POST', path, { body: { reason: '' } })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '/reason' }] },
    });
  });

  it('counts a batch once that comes 50 times at the same moment', async () => {
    const records = Array.from({ length: 200 }, () => aRecord({ quantities: { calls: '1' } }));
    // Held back until several are at the same statement, so that they do race.
    const barrier = await db.connect();
    await barrier.query('BEGIN; LOCK TABLE usage_batch IN SHARE MODE');
    const sent = Promise.all(
      Array.from({ length: 50 }, () => send({ epoch, sequence: 0, records })),
    );
    await expect.poll(waitingInserts).toBeGreaterThan(4);
    await barrier.query('COMMIT');
    barrier.release();
    const answers = await sent;
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(49);
    expect(await stored()).toEqual({ batches: 1, rows: 200, quantity: '200' });
  });

  it('answers 401 without a token and 403 with one that is not of a gateway', async () => {
    const body = { epoch, sequence: 0, records: [aRecord()] };
    expect((await send(body, null)).status).toBe(401);
    expect((await send(body, `tgw_${'x'.repeat(40)}`)).status).toBe(401);
    const { status, headers } = await send(body, api.ownerToken);
    expect(status).toBe(403);
    expect(headers.get('content-type')).toContain('application/problem+json');
    expect(await stored()).toMatchObject({ batches: 0 });
  });

  it.each<{ field: string; value: unknown; why: string }>([
    { field: 'at', value: '2026-02-30T00:00:00Z', why: 'the day is not in the calendar' },
    { field: 'at', value: '+99999-01-01T00:00:00Z', why: 'the year is out of bounds' },
    { field: 'at', value: 1_795_000_000, why: 'a number is no instant' },
    { field: 'keyId', value: `a\u0000b`, why: 'NUL is in no id' },
    { field: 'stage', value: 'prod\n', why: 'a line end could forge a row' },
    { field: 'method', value: '', why: 'empty' },
    { field: 'resourcePath', value: `/${'ä'.repeat(800)}`, why: 'more bytes than an index takes' },
    { field: 'resourcePath', value: '/\ud800', why: 'half a character' },
    { field: 'statusClass', value: '200', why: 'a status is not a class' },
    { field: 'quantities', value: {}, why: 'nothing is counted' },
    { field: 'quantities/calls', value: { calls: 'NaN' }, why: 'not a number' },
    { field: 'quantities/calls', value: { calls: '1e5' }, why: 'no exponents' },
    { field: 'quantities/calls', value: { calls: '-1' }, why: 'negative' },
    { field: 'quantities/calls', value: { calls: '' }, why: 'empty' },
    { field: 'quantities/calls', value: { calls: 12 }, why: 'a JSON number may have been rounded' },
    { field: 'quantities/calls', value: { calls: '1'.repeat(27) }, why: 'overflow' },
    { field: 'quantities/calls', value: { calls: '0.1234567890123' }, why: 'too many digits' },
    { field: 'quantities/constructor', value: { constructor: '1' }, why: 'no meter' },
  ])(
    'counts no record with a bad $field, points at it, and counts the others: $why',
    async ({ field, value }) => {
      const name = field.split('/')[0]!;
      const bad = aRecord({ [name]: value });
      const records = [aRecord({ quantities: { calls: '1' } }), bad, aRecord()];
      const { status, body } = await send({ epoch, sequence: 0, records });
      expect(status).toBe(201);
      const errors = [{ pointer: `/records/1/${field}`, detail: expect.any(String) }];
      expect(body).toEqual({ records: 3, duplicate: false, quarantined: 1, errors });
      expect(await stored()).toEqual({ batches: 1, rows: 3, quantity: '13' });
      expect(await quarantined()).toMatchObject([
        { ordinal: 1, reason: 'malformed', text: JSON.stringify(bad), state: 'open' },
      ]);
      expect(await ordinals()).toEqual([0, 2]);
      const again = await send({ epoch, sequence: 0, records });
      expect(again).toMatchObject({ status: 200, body: { ...body, duplicate: true } });
      expect(await quarantined()).toHaveLength(1);
    },
  );

  it('takes a batch of which nothing counts, so that its number is no gap', async () => {
    const long = { x: 'y'.repeat(20_000), z: '\u0000' };
    const { status, body } = await send({ epoch, sequence: 0, records: [5, long, null, []] });
    expect(status).toBe(201);
    expect(body).toMatchObject({ records: 4, quarantined: 4 });
    expect(body['errors'][0]).toEqual({ pointer: '/records/0', detail: 'must be a JSON object' });
    expect(await stored()).toEqual({ batches: 1, rows: 0, quantity: null });
    const kept = await quarantined();
    expect(kept.map(({ text, is_cut }) => [text.length, is_cut])).toEqual([
      [1, false],
      [16_384, true],
      [4, false],
      [2, false],
    ]);
  });

  it('answers 409 for another bad record under the same number', async () => {
    await sendOne({ a: 1 });
    expect((await sendOne({ a: 2 })).status).toBe(409);
    expect(await quarantined()).toMatchObject([{ text: '{"a":1}' }]);
  });

  it('keeps bad records with their batch, or neither', async () => {
    await db.query(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF NEW.epoch = '${epoch}' THEN RAISE 'no'; END IF; RETURN NEW; END $$;
      CREATE TRIGGER fail BEFORE INSERT ON usage_epoch FOR EACH ROW EXECUTE FUNCTION fail()`);
    const records = [aRecord(), { bad: true }];
    try {
      expect((await send({ epoch, sequence: 0, records })).status).toBe(500);
    } finally {
      await db.query('DROP FUNCTION fail CASCADE');
    }
    expect(await quarantined()).toEqual([]);
    expect(await stored()).toMatchObject({ batches: 0 });
    expect((await send({ epoch, sequence: 0, records })).body).toMatchObject({ quarantined: 1 });
    expect(await quarantined()).toHaveLength(1);
  });

  it('answers 400 for fields that are unknown, missing or of another type', async () => {
    const { plan, ...rest } = { ...aRecord({ customerId: 'x' }), plan: 1 };
    const { body } = await send({ epoch: '', sequence: -1, records: [rest, 1], extra: plan });
    expect(body['errors'].map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/extra',
      '/epoch',
      '/sequence',
    ]);
    expect((await send({ epoch, sequence: 0, records: [rest, 1] })).body['errors']).toMatchObject([
      { pointer: '/records/0/customerId' },
      { pointer: '/records/1' },
    ]);
    for (const broken of ['{"epoch":', '[]', '"\ufffd"', '{"__proto__":1}'])
      expect((await send(broken)).status).toBe(400);
    const many = { epoch, sequence: 0, records: Array.from({ length: 10_001 }, () => 1) };
    expect((await send(many)).body['errors']).toMatchObject([{ pointer: '/records' }]);
    const { body: most } = await send({ ...many, sequence: 1, records: many.records.slice(1) });
    expect(most).toMatchObject({ records: 10_000, quarantined: 10_000 });
    expect(most['errors']).toHaveLength(20);
  });

  it('answers 413 for a body past 8 MiB and 415 for what is not plain JSON', async () => {
    expect((await send({ epoch: 'x'.repeat(9 * 1024 * 1024) })).status).toBe(413);
    const headersOf = (headers: Record<string, string>) =>
      api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body: {}, headers });
    for (const headers of [{ 'content-type': 'text/yaml' }, { 'content-encoding': 'br' }])
      expect((await headersOf(headers)).status).toBe(415);
    expect((await headersOf({ 'content-encoding': 'gzip, gzip' })).status).toBe(415);
  });

  it('counts no unknown ids, nor those of other accounts, and says so in the same words', async () => {
    const foreign = await aKeyInPlan(db, (await anAccount(db)).id);
    let sequence = 0;
    const faultOf = async (overrides: Record<string, unknown>) => {
      const { status, body } = await sendOne(aRecord(overrides), (sequence += 1));
      expect({ status, quarantined: body['quarantined'] }).toEqual({ status: 201, quarantined: 1 });
      return body['errors'];
    };
    const unknownKey = await faultOf({ keyId: 'aaaaaaaaaa' });
    expect(unknownKey).toMatchObject([{ pointer: '/records/0/keyId' }]);
    expect(await faultOf({ keyId: foreign.keyId })).toEqual(unknownKey);
    const unknownApi = await faultOf({ apiId: 'aaaaaaaaaa' });
    expect(unknownApi).toMatchObject([{ pointer: '/records/0/apiId' }]);
    expect(await faultOf({ apiId: foreign.apiId })).toEqual(unknownApi);
    expect(await faultOf({ stage: 'nowhere' })).toMatchObject([{ pointer: '/records/0/stage' }]);
    expect(await stored()).toMatchObject({ rows: 0 });
    expect((await quarantined()).map(({ reason }) => reason)).toEqual([
      'unknown-key',
      'unknown-key',
      'unknown-api',
      'unknown-api',
      'unknown-stage',
    ]);
  });

  it('counts no record of the future, or older than 13 months', async () => {
    const minutes = (n: number) => aRecord({ at: new Date(Date.now() + n * 60_000).toISOString() });
    expect((await sendOne(minutes(6))).body['errors']).toMatchObject([
      { pointer: '/records/0/at' },
    ]);
    await sendOne(minutes(-400 * 24 * 60), 1);
    const { customerId } = owner;
    expect(await quarantined()).toMatchObject([
      { reason: 'in-future', customer_id: customerId, at: expect.any(Date) },
      { reason: 'too-old', customer_id: customerId },
    ]);
    expect((await sendOne(minutes(4), 2)).body).toEqual({ records: 1, duplicate: false });
  });

  it('counts the last usage of a key for the plan that it has left, and none when it was in no plan', async () => {
    owner = await aKeyInPlan(db, owner.accountId);
    const plans = async () => {
      const { rows } = await db.query<{ usage_plan_id: string }>(
        'SELECT DISTINCT usage_plan_id FROM usage_record WHERE key_id = $1 ORDER BY 1',
        [owner.keyId],
      );
      return rows.map((row) => row.usage_plan_id);
    };
    await db.query('DELETE FROM usage_plan_key WHERE key_id = $1', [owner.keyId]);
    expect((await sendOne(aRecord())).status).toBe(201);
    expect(await plans()).toEqual([owner.usagePlanId]);
    await db.query('DELETE FROM usage_plan_key_stage_past WHERE key_id = $1', [owner.keyId]);
    expect((await sendOne(aRecord(), 1)).status).toBe(201);
    expect(await plans()).toEqual(['', owner.usagePlanId]);
  });

  it('is in the OpenAPI document', async () => {
    const { body } = await api.call('GET', '/openapi.json');
    expect(Object.keys(body['paths'])).toContain('/v1/usage/batches');
  });
});
