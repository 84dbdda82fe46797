import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';
import { anEvent, sendEvents } from '../support/events.js';

let api: TestApi;
let db: pg.Pool;
let customerId: string;

beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 2 });
  afterFile(() => db.end());
  customerId = (await controlPlane(api).customer()).id;
});

let meters = 0;
function aMeter(overrides: Record<string, unknown> = {}) {
  meters += 1;
  return {
    name: `tokens-${meters}`,
    aggregation: 'sum',
    eventType: `chat-${meters}`,
    valuePath: '$.data.tokens',
    ...overrides,
  };
}

const create = (body: unknown) => api.call('POST', '/v1/meters', { body });

async function aUsedMeter() {
  const meter = aMeter();
  await create(meter);
  const event = anEvent({ type: meter.eventType, subject: customerId, data: { tokens: 1 } });
  expect(await sendEvents(api, [event])).toMatchObject({ status: 201 });
  return meter;
}

describe('POST /v1/meters', () => {
  it('answers 201 with the meter, and writes it into the audit log', async () => {
    const meter = aMeter({
      filter: [{ path: `$.data['model']`, anyOf: ['small', 2, true] }],
      groupBy: { region: '$.region' },
    });
    const { status, body } = await create({ ...meter, description: 'Tokens of chats' });
    expect(status).toBe(201);
    expect(body).toMatchObject({ ...meter, isBuiltIn: false, isActive: true, usedAt: null });
    const { body: events } = await api.call('GET', '/v1/audit-events?limit=1');
    expect(events['items'][0]).toMatchObject({ action: 'create-meter', subject: meter.name });
  });

  it('answers the same again under the same Idempotency-Key, and 409 without', async () => {
    const body = aMeter();
    const headers = { 'idempotency-key': 'one' };
    expect((await api.call('POST', '/v1/meters', { body, headers })).status).toBe(201);
    expect((await api.call('POST', '/v1/meters', { body, headers })).status).toBe(201);
    const { status, body: problem } = await create(body);
    expect(status).toBe(409);
    expect(problem['type']).toContain('/meter-name-taken');
  });

  it.each<{ why: string; meter: Record<string, unknown>; pointer: string }>([
    { why: 'a built-in name', meter: { name: 'calls' }, pointer: '/name' },
    { why: 'a name that no price can have', meter: { name: 'Tokens' }, pointer: '/name' },
    { why: 'no such aggregation', meter: { aggregation: 'mean' }, pointer: '/aggregation' },
    {
      why: 'a value that count has none of',
      meter: { aggregation: 'count' },
      pointer: '/valuePath',
    },
    { why: 'no value', meter: { valuePath: null }, pointer: '/valuePath' },
    { why: 'a path to many values', meter: { valuePath: '$.data[*]' }, pointer: '/valuePath' },
    {
      why: 'a path in the filter',
      meter: { filter: [{ path: '$..a', anyOf: [1] }] },
      pointer: '/filter/0/path',
    },
    {
      why: 'a condition that nothing fulfils',
      meter: { filter: [{ path: '$.a', anyOf: [] }] },
      pointer: '/filter/0/anyOf',
    },
    {
      why: 'an object to compare with',
      meter: { filter: [{ path: '$.a', anyOf: [{}] }] },
      pointer: '/filter/0/anyOf/0',
    },
    { why: 'a name of a dimension', meter: { groupBy: { 'a b': '$.a' } }, pointer: '/groupBy/a b' },
    { why: 'a path of a dimension', meter: { groupBy: { a: 5 } }, pointer: '/groupBy/a' },
    {
      why: 'five dimensions',
      meter: { groupBy: { a: '$.a', b: '$.b', c: '$.c', d: '$.d', e: '$.e' } },
      pointer: '/groupBy',
    },
  ])('answers 400 and names the field: $why', async ({ meter, pointer }) => {
    const { status, body } = await create(aMeter(meter));
    expect(status).toBe(400);
    expect(body['errors'].map((error: { pointer: string }) => error.pointer)).toContain(pointer);
  });
});

describe('GET /v1/meters', () => {
  it('lists the built-in meters first, which nobody can change', async () => {
    await create(aMeter());
    const { body } = await api.call('GET', '/v1/meters');
    expect(body['items'][0]).toEqual({ name: 'calls', isBuiltIn: true, isActive: true });
    expect(body['items'].at(-1)).toMatchObject({ isBuiltIn: false });
    expect((await api.call('GET', '/v1/meters/calls')).body).toMatchObject({ isBuiltIn: true });
    const change = { body: { isActive: false } };
    expect((await api.call('PATCH', '/v1/meters/calls', change)).status).toBe(404);
    expect((await api.call('DELETE', '/v1/meters/calls')).status).toBe(404);
  });
});

describe('PATCH and DELETE /v1/meters/{meter}', () => {
  it('change and delete a meter that has counted nothing', async () => {
    const meter = aMeter();
    const { headers } = await create(meter);
    const path = `/v1/meters/${meter.name}`;
    const change = { valuePath: '$.data.total', groupBy: { model: '$.data.model' } };
    const ifMatch = { 'if-match': headers.get('etag')! };
    const { status, body } = await api.call('PATCH', path, { body: change, headers: ifMatch });
    expect(status).toBe(200);
    expect(body).toMatchObject({ ...meter, ...change });
    const late = await api.call('PATCH', path, { body: { isActive: false }, headers: ifMatch });
    expect(late.status).toBe(412);
    const bad = await api.call('PATCH', path, { body: { aggregation: 'count' } });
    expect(bad).toMatchObject({ status: 400, body: { errors: [{ pointer: '/valuePath' }] } });
    expect((await api.call('DELETE', path)).status).toBe(204);
    expect((await api.call('GET', path)).status).toBe(404);
  });

  it('answer 409 once it has counted an event; it can be deactivated', async () => {
    const { name, eventType } = await aUsedMeter();
    const path = `/v1/meters/${name}`;
    for (const [method, call] of [
      ['PATCH', { body: { valuePath: '$.data.total' } }],
      ['DELETE', {}],
    ] as const) {
      const { status, body } = await api.call(method, path, call);
      expect(status).toBe(409);
      expect(body).toMatchObject({ type: expect.stringContaining('/meter-in-use'), meter: name });
    }
    const { body } = await api.call('PATCH', path, { body: { isActive: false } });
    expect(body).toMatchObject({ isActive: false, usedAt: expect.any(String) });
    const event = anEvent({ type: eventType, subject: customerId, data: { tokens: 7 } });
    expect(await sendEvents(api, [event])).toMatchObject({ status: 201 });
    const { rows } = await db.query('SELECT quantity::int FROM meter_reading WHERE meter = $1', [
      name,
    ]);
    expect(rows).toEqual([{ quantity: 1 }]);
  });

  it('are refused by the database itself, too', async () => {
    const { name } = await aUsedMeter();
    for (const sql of [
      `UPDATE meter SET definition = '{}' WHERE name = $1`,
      'UPDATE meter SET used_at = NULL WHERE name = $1',
      'DELETE FROM meter WHERE name = $1',
    ])
      await expect(db.query(sql, [name])).rejects.toMatchObject({ code: '23001' });
  });
});
