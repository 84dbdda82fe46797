import { CloudEvent, HTTP } from 'cloudevents';
import pg from 'pg';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';
import { anEvent, sendBinary, sendEvent, sendEvents } from '../support/events.js';
import { aKeyInPlan, defaultAccount } from '../support/factories.js';

let api: TestApi;
let db: pg.Pool;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;

beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 3 });
  afterFile(() => db.end());
  owner = await aKeyInPlan(db, await defaultAccount(db));
  for (const [name, aggregation] of [
    ['tokens', 'sum'],
    ['chats', 'count'],
  ]) {
    const valuePath = aggregation === 'count' ? {} : { valuePath: '$.data.tokens' };
    const body = { name, aggregation, eventType: 'chat', ...valuePath };
    await controlPlane(api).meter(body);
  }
});

interface StoredReading {
  readonly event: string;
  readonly meter: string;
  readonly quantity: string;
}

let before: string;
beforeEach(async () => {
  const { rows } = await db.query('SELECT coalesce(max(id), 0)::text AS id FROM event_batch');
  before = rows[0].id;
});

/** What was read from events since the test began. */
async function readings(): Promise<StoredReading[]> {
  const { rows } = await db.query<StoredReading>(
    `SELECT event_id AS event, meter, trim_scale(quantity)::text AS quantity FROM meter_reading
     WHERE batch_id > $1 ORDER BY event_id, meter`,
    [before],
  );
  return rows;
}

/** How many requests wait for a lock. */
async function waiting(): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `SELECT count(*)::int FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO event_identity%'`,
  );
  return rows[0]?.count ?? 0;
}

const aChat = (overrides: Record<string, unknown> = {}) =>
  anEvent({ subject: owner.keyId, data: { tokens: 12 }, ...overrides });

const pointers = (body: Record<string, unknown>) =>
  (body['errors'] as { pointer: string }[]).map(({ pointer }) => pointer);

/** The incidents of an event, newest first. */
async function incidentsOf(event: Record<string, unknown>, query = '') {
  const { body } = await api.call('GET', `/v1/usage/incidents?limit=500${query}`);
  const items = body['items'] as Record<string, unknown>[];
  return items.filter(({ eventId }) => eventId === event['id']);
}

describe('POST /v1/events', () => {
  it('takes a batch, tells of each event what became of it, and keeps whose it is', async () => {
    const [one, two] = [aChat(), aChat({ data: { tokens: '0.5' } })];
    const first = await sendEvents(api, [one]);
    expect(first).toMatchObject({ status: 201, body: { accepted: 1, duplicates: 0 } });
    const { status, body, headers } = await sendEvents(api, [one, two, two]);
    expect(status).toBe(201);
    expect(body).toEqual({
      accepted: 1,
      duplicates: 2,
      results: ['duplicate', 'accepted', 'duplicate'],
    });
    expect(Math.abs(Date.parse(headers.get('x-tollgate-time')!) - Date.now())).toBeLessThan(60_000);
    expect(await readings()).toEqual([
      { event: one['id'], meter: 'chats', quantity: '1' },
      { event: one['id'], meter: 'tokens', quantity: '12' },
      { event: two['id'], meter: 'chats', quantity: '1' },
      { event: two['id'], meter: 'tokens', quantity: '0.5' },
    ]);
    const { rows } = await db.query(
      `SELECT DISTINCT customer_id, key_id, usage_plan_id, api_id FROM meter_reading WHERE batch_id > $1`,
      [before],
    );
    expect(rows).toEqual([
      {
        customer_id: owner.customerId,
        key_id: owner.keyId,
        usage_plan_id: owner.usagePlanId,
        api_id: '',
      },
    ]);
  });

  it('takes an empty batch, and nothing of it', async () => {
    const { status, body } = await sendEvents(api, []);
    expect({ status, body }).toEqual({
      status: 200,
      body: { accepted: 0, duplicates: 0, results: [] },
    });
  });

  it('takes what the official SDK sends, in every mode, as the same event', async () => {
    const event = new CloudEvent({
      id: 'sdk-1',
      source: 'https://example.com/chats',
      type: 'chat',
      subject: owner.keyId,
      time: new Date(Date.now() - 60_000).toISOString(),
      region: 'eu',
      data: { tokens: 3, model: 'größer' },
    });
    const statuses: unknown[] = [];
    for (const { headers, body } of [HTTP.binary(event), HTTP.structured(event)]) {
      const { status } = await sendBinary(api, headers as Record<string, string>, body);
      statuses.push(status);
    }
    statuses.push((await sendEvents(api, [event])).status);
    expect(statuses).toEqual([201, 200, 200]);
    expect(await readings()).toHaveLength(2);
  });

  it('takes base64 of JSON as JSON, and attributes that are null as not set', async () => {
    const { data, ...event } = aChat({ datacontenttype: 'application/json', dataschema: null });
    const data_base64 = Buffer.from(JSON.stringify(data)).toString('base64');
    expect((await sendEvent(api, { ...event, data_base64 })).status).toBe(201);
    expect((await sendEvent(api, { ...event, data })).status).toBe(200);
  });

  it('answers 200 for the same event again, however it is spelled', async () => {
    const { traceparent, ...event } = aChat({
      time: '2026-10-01T10:00:00.5Z',
      region: 5,
      traceparent: '00-a-b-01',
    });
    expect((await sendEvent(api, { ...event, traceparent })).status).toBe(201);
    const respelled = { time: '2026-10-01T12:00:00.500+02:00', region: '5', data: { tokens: 12 } };
    const again = Object.fromEntries(Object.entries({ ...event, ...respelled }).toReversed());
    expect(await sendEvent(api, again)).toMatchObject({ status: 200, body: { duplicates: 1 } });
    expect(await readings()).toHaveLength(2);
  });

  it.each([
    { what: 'data', change: { data: { tokens: 13 } } },
    { what: 'subject', change: { subject: 'other' } },
    { what: 'time', change: { time: new Date(Date.now() - 61_000).toISOString() } },
    { what: 'an extension', change: { region: 'eu' } },
  ])('answers 409 for an event that came with other $what, and keeps nothing', async (row) => {
    const [first, fresh] = [aChat(), aChat()];
    await sendEvents(api, [first]);
    const count = (await readings()).length;
    const { status, body } = await sendEvents(api, [fresh, { ...first, ...row.change }]);
    expect(status).toBe(409);
    expect(body).toMatchObject({
      type: expect.stringContaining('/event-conflict'),
      errors: [{ pointer: '/1/id' }],
    });
    expect(await readings()).toHaveLength(count);
    expect((await sendEvents(api, [fresh])).status).toBe(201);
  });

  it('keeps one incident for each other content of an event, which a person settles', async () => {
    const [first, fresh] = [aChat({ id: 'Straße 7', source: '/streets' }), aChat()];
    const other = { ...first, data: { tokens: 13 } };
    const uncounted = { ...first, data: {} };
    expect((await sendEvents(api, [first])).status).toBe(201);
    expect((await sendEvents(api, [fresh, other, other])).status).toBe(409);
    // Faults of the others, and contradictions within the request, do not hide it.
    expect((await sendEvents(api, [aChat({ type: 'caht' }), uncounted])).status).toBe(409);
    expect((await sendEvents(api, [first, other])).status).toBe(409);
    expect(await incidentsOf(first)).toMatchObject([
      { occurrences: 1 },
      {
        kind: 'event-conflict',
        source: '/streets',
        eventId: first['id'],
        epoch: null,
        sequence: null,
        occurrences: 3,
        acknowledgedAt: null,
      },
    ]);
    const [newest, oldest] = await incidentsOf(first);
    expect(oldest?.['firstHash']).toBe(newest?.['firstHash']);
    const { firstHash, otherHash } = oldest ?? {};
    expect(new Set([firstHash, otherHash, newest?.['otherHash']]).size).toBe(3);
    expect(firstHash).toMatch(/^[0-9a-f]{16}$/);
    expect(await incidentsOf(fresh), 'it was never taken').toEqual([]);

    // Of its kind it has these columns, and no others.
    for (const change of [
      "epoch = 'e'",
      'sequence = 1',
      'source = NULL',
      "kind = 'batch-conflict'",
    ])
      await expect(
        db.query(`UPDATE incident SET ${change} WHERE id = $1`, [oldest?.['id']]),
      ).rejects.toThrow('incident_kind_check');

    const path = `/v1/usage/incidents/${String(oldest?.['id'])}/acknowledge`;
    const settled = await api.call('POST', path, { body: { reason: 'a bug of the sender' } });
    expect(settled).toMatchObject({ status: 200, body: { reason: 'a bug of the sender' } });
    expect(await incidentsOf(first, '&acknowledged=true')).toEqual([settled.body]);
    const { body: audit } = await api.call('GET', '/v1/audit-events?limit=1');
    expect(audit['items']).toMatchObject([
      { action: 'acknowledge-incident', after: { source: '/streets', eventId: first['id'] } },
    ]);
  });

  it('keeps one incident of 20 requests with the same other content at the same moment', async () => {
    const [one, two] = [aChat(), aChat()];
    await sendEvents(api, [one, two]);
    const others = [one, two].map((event) => ({ ...event, data: { tokens: 99 } }));
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        sendEvents(api, n % 2 === 0 ? others : others.toReversed()),
      ),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([409]));
    for (const event of [one, two])
      expect(await incidentsOf(event)).toMatchObject([{ occurrences: 20 }]);
  });

  it('answers 409 when two of a batch contradict each other', async () => {
    const event = aChat();
    const { status, body } = await sendEvents(api, [event, { ...event, data: { tokens: 1 } }]);
    expect(status).toBe(409);
    expect(pointers(body)).toEqual(['/1/id']);
    expect(await readings()).toEqual([]);
    expect(await incidentsOf(event), 'nothing stands yet').toEqual([]);
  });

  it('counts each event once that comes in 40 overlapping batches at the same moment', async () => {
    const events = Array.from({ length: 60 }, () => aChat({ data: { tokens: 1 } }));
    const barrier = await db.connect();
    await barrier.query('BEGIN; LOCK TABLE event_identity IN SHARE MODE');
    const sent = Promise.all(
      Array.from({ length: 40 }, (_, n) => {
        const turned = [...events.slice(n), ...events.slice(0, n)].slice(0, 40);
        return sendEvents(api, n % 2 === 0 ? turned : turned.toReversed());
      }),
    );
    await expect.poll(waiting, { timeout: 10_000 }).toBeGreaterThan(4);
    await barrier.query('COMMIT');
    barrier.release();
    const answers = await sent;
    expect(answers.filter(({ status }) => status > 201)).toEqual([]);
    expect(answers.reduce((sum, { body }) => sum + body['accepted'], 0)).toBe(60);
    expect((await readings()).filter(({ meter }) => meter === 'tokens')).toHaveLength(60);
  });

  it.each<{ why: string; event: Record<string, unknown>; pointer: string }>([
    { why: 'no id', event: { id: undefined }, pointer: '/1/id' },
    { why: 'an id that is null', event: { id: null }, pointer: '/1/id' },
    { why: 'an empty id', event: { id: '' }, pointer: '/1/id' },
    { why: 'an id that is a number', event: { id: 5 }, pointer: '/1/id' },
    { why: 'no source', event: { source: undefined }, pointer: '/1/source' },
    { why: 'a source that is no URI', event: { source: 'a b' }, pointer: '/1/source' },
    { why: 'no version', event: { specversion: undefined }, pointer: '/1/specversion' },
    { why: 'version 0.3', event: { specversion: '0.3' }, pointer: '/1/specversion' },
    { why: 'version 1.0.2', event: { specversion: '1.0.2' }, pointer: '/1/specversion' },
    { why: 'a time without a zone', event: { time: '2026-11-22T07:31:00' }, pointer: '/1/time' },
    { why: 'a day that is none', event: { time: '2026-02-30T00:00:00Z' }, pointer: '/1/time' },
    { why: 'a capital', event: { myExt: 'x' }, pointer: '/1/myExt' },
    { why: 'an object as extension', event: { region: {} }, pointer: '/1/region' },
    { why: 'a fraction as extension', event: { region: 1.5 }, pointer: '/1/region' },
    { why: 'more than 32 bits', event: { region: 2 ** 31 }, pointer: '/1/region' },
    { why: 'a control character', event: { subject: 'a\u0000' }, pointer: '/1/subject' },
    { why: 'half a character', event: { subject: '\ud800' }, pointer: '/1/subject' },
    { why: 'data twice', event: { data_base64: 'AQ==' }, pointer: '/1/data_base64' },
    {
      why: 'no base64',
      event: { data: undefined, data_base64: '*' },
      pointer: '/1/data_base64',
    },
    { why: 'a schema without a scheme', event: { dataschema: '/x' }, pointer: '/1/dataschema' },
    { why: 'no media type', event: { datacontenttype: 'json' }, pointer: '/1/datacontenttype' },
  ])('answers 400 for what the specification refuses: $why', async ({ event, pointer }) => {
    const fresh = aChat();
    const { status, body } = await sendEvents(api, [fresh, aChat(event)]);
    expect(status).toBe(400);
    expect(pointers(body)).toEqual([pointer]);
    expect(await readings()).toEqual([]);
  });

  it.each<{ why: string; event: Record<string, unknown>; pointer: string }>([
    { why: 'nobody', event: { subject: undefined }, pointer: '/1/subject' },
    { why: 'somebody unknown', event: { subject: 'nobody' }, pointer: '/1/subject' },
    { why: 'an unknown key', event: { tollgatekeyid: 'nobody' }, pointer: '/1/tollgatekeyid' },
    { why: 'an api without a stage', event: { tollgateapiid: 'x' }, pointer: '/1/tollgatestage' },
    {
      why: 'an unknown api',
      event: { tollgateapiid: 'x', tollgatestage: 'prod' },
      pointer: '/1/tollgateapiid',
    },
    { why: 'an unknown plan', event: { tollgateplanid: 'x' }, pointer: '/1/tollgateplanid' },
    { why: 'a type of no meter', event: { type: 'caht' }, pointer: '/1/type' },
    { why: 'no value', event: { data: {} }, pointer: '/1/data/tokens' },
    { why: 'a value below zero', event: { data: { tokens: -1 } }, pointer: '/1/data/tokens' },
    {
      why: 'a number that was rounded',
      event: { data: { tokens: 0.1234567890123456 } },
      pointer: '/1/data/tokens',
    },
    { why: 'the future', event: { time: '2199-01-01T00:00:00Z' }, pointer: '/1/time' },
    { why: 'the far past', event: { time: '2020-01-01T00:00:00Z' }, pointer: '/1/time' },
  ])('answers 422 for what cannot be counted: $why', async ({ event, pointer }) => {
    const { status, body } = await sendEvents(api, [aChat(), aChat(event)]);
    expect(status).toBe(422);
    expect(body['type']).toContain('/unusable-events');
    expect(pointers(body)).toEqual([pointer]);
    expect(await readings()).toEqual([]);
  });

  it('charges the customer, the key or the place that an event names', async () => {
    const { keyId, apiId, stage, customerId, usagePlanId } = owner;
    const place = { tollgateapiid: apiId, tollgatestage: stage };
    const { status } = await sendEvents(api, [
      aChat({ id: 'p1', subject: customerId }),
      aChat({ id: 'p2', subject: 'document-7', tollgatekeyid: keyId }),
      aChat({ id: 'p3', ...place }),
      aChat({ id: 'p4', subject: customerId, tollgateplanid: usagePlanId }),
    ]);
    expect(status).toBe(201);
    const { rows } = await db.query(
      `SELECT customer_id AS c, key_id AS k, api_id AS a, usage_plan_id AS p FROM meter_reading
       WHERE batch_id > $1 AND meter = 'chats' ORDER BY event_id`,
      [before],
    );
    expect(rows).toEqual([
      { c: customerId, k: '', a: '', p: '' },
      { c: customerId, k: keyId, a: '', p: usagePlanId },
      { c: customerId, k: keyId, a: apiId, p: usagePlanId },
      { c: customerId, k: '', a: '', p: usagePlanId },
    ]);
  });

  it('answers 422 while a key has two plans, until the event names one', async () => {
    const make = controlPlane(api);
    const key = await make.apiKey();
    const plans = [];
    for (let n = 0; n < 2; n += 1) {
      const plan = await make.usagePlan({ apiStages: [await make.apiStage()] });
      await api.call('POST', `/v1/usage-plans/${plan.id}/keys`, { body: { keyId: key.id } });
      plans.push(plan.id);
    }
    const event = aChat({ subject: key.id });
    const { status, body } = await sendEvents(api, [event]);
    expect(status).toBe(422);
    expect(pointers(body)).toEqual(['/0/subject']);
    expect((await sendEvents(api, [{ ...event, tollgateplanid: plans[1] }])).status).toBe(201);
  });

  it('counts by the meters of this moment, whatever it knew before', async () => {
    const type = 'late';
    const event = () => aChat({ type });
    const meter = (name: string) =>
      api.call('POST', '/v1/meters', { body: { name, aggregation: 'count', eventType: type } });
    expect((await sendEvents(api, [event()])).status).toBe(422);
    await meter('late-a');
    expect((await sendEvents(api, [event()])).status).toBe(201);
    // Another process would not have told this one.
    await db.query(
      `INSERT INTO meter (account_id, name, definition)
       SELECT account_id, 'late-b', definition FROM meter WHERE name = 'late-a'`,
    );
    expect((await sendEvents(api, [event()])).status).toBe(201);
    expect((await readings()).map(({ meter: name }) => name).toSorted()).toEqual([
      'late-a',
      'late-a',
      'late-b',
    ]);
  });

  it('counts a first event by what its meter says, when that changes at the same moment', async () => {
    const meter = { name: 'fresh', aggregation: 'sum', eventType: 'fresh' };
    await controlPlane(api).meter({ ...meter, valuePath: '$.data.tokens' });
    const changer = await db.connect();
    await changer.query(
      `BEGIN; UPDATE meter SET definition = jsonb_set(definition, '{valuePath}', '"$.data.total"') WHERE name = 'fresh'`,
    );
    const sent = sendEvents(api, [aChat({ type: 'fresh', data: { tokens: 1, total: 2 } })]);
    await expect.poll(waiting, { timeout: 10_000 }).toBe(1);
    await changer.query('COMMIT');
    changer.release();
    expect((await sent).status).toBe(201);
    expect(await readings()).toMatchObject([{ meter: 'fresh', quantity: '2' }]);
  });

  it('keeps apart what two accounts call the same', async () => {
    const { token } = await controlPlane(api).account();
    const { body: gateway } = await api.call('POST', '/v1/gateways', {
      token,
      body: { name: 'edge' },
    });
    const { body: issued } = await api.call('POST', `/v1/gateways/${gateway['id']}/tokens`, {
      token,
      body: { name: 'edge' },
    });
    const customer = await controlPlane(api, token).customer();
    const body = { name: 'tokens', aggregation: 'count', eventType: 'chat' };
    await api.call('POST', '/v1/meters', { token, body });
    const event = aChat();
    expect((await sendEvents(api, [event])).status).toBe(201);
    const foreign = await sendEvents(api, [event], issued['value']);
    expect(foreign).toMatchObject({ status: 422, body: { errors: [{ pointer: '/0/subject' }] } });
    const theirs = { ...event, subject: customer.id };
    expect((await sendEvents(api, [theirs], issued['value'])).status).toBe(201);
  });

  it('answers 401 without a token and 403 with one that is not of a gateway', async () => {
    expect((await sendEvents(api, [aChat()], null)).status).toBe(401);
    expect((await sendEvents(api, [aChat()], api.ownerToken)).status).toBe(403);
    expect(await readings()).toEqual([]);
  });

  it('answers 415 for what is no event, and 400 for what is no JSON', async () => {
    for (const type of [
      'application/json',
      'text/plain',
      'application/cloudevents+xml',
      'application/cloudevents',
      'application/cloudevents+json; charset=utf-16',
    ])
      expect({ type, ...(await sendEvent(api, aChat(), type)) }).toMatchObject({ status: 415 });
    for (const body of ['', '{', '[]', 'null', '"x"', '\ufeff{}'])
      expect({ sent: body, ...(await sendEvent(api, body)) }).toMatchObject({ status: 400 });
    for (const batch of [[null], [[]], ['x'], Array.from({ length: 1_001 }, () => ({}))])
      expect((await sendEvents(api, batch)).status).toBe(400);
  });
});

describe('POST /v1/events in binary mode', () => {
  const headers = (overrides: Record<string, string> = {}) => ({
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-id': `binary-${Math.random()}`,
    'ce-source': '/tests',
    'ce-type': 'chat',
    'ce-subject': owner.keyId,
    ...overrides,
  });

  it('takes percent-encoded headers and data of any type', async () => {
    const id = `b-${Math.random()}`;
    const sent = headers({ 'ce-id': `${id}%C3%A4%20%25` });
    expect((await sendBinary(api, sent, { tokens: 4 })).status).toBe(201);
    expect(await readings()).toMatchObject([{ event: `${id}ä %` }, { quantity: '4' }]);
    const body = { name: 'bytes', aggregation: 'unique-count', eventType: 'b' };
    await api.call('POST', '/v1/meters', { body: { ...body, valuePath: '$.data_base64' } });
    const bytes = headers({ 'content-type': 'application/octet-stream', 'ce-type': 'b' });
    expect((await sendBinary(api, bytes, 'xyz')).status).toBe(201);
  });

  it.each([
    { why: 'version 0.3', change: { 'ce-specversion': '0.3' }, pointer: '/ce-specversion' },
    { why: 'an empty id', change: { 'ce-id': '' }, pointer: '/ce-id' },
    { why: 'an underscore', change: { 'ce-my_ext': 'x' }, pointer: '/ce-my_ext' },
    { why: 'a raw umlaut', change: { 'ce-subject': 'ä' }, pointer: '/ce-subject' },
    { why: 'broken UTF-8', change: { 'ce-subject': '%ff' }, pointer: '/ce-subject' },
    { why: 'data in a header', change: { 'ce-data': '1' }, pointer: '/ce-data' },
    {
      why: 'a type in a header',
      change: { 'ce-datacontenttype': 'a/b' },
      pointer: '/ce-datacontenttype',
    },
  ])('answers 400 and names the header: $why', async ({ change, pointer }) => {
    const { status, body } = await sendBinary(api, headers(change), { tokens: 1 });
    expect(status).toBe(400);
    expect(pointers(body)).toEqual([pointer]);
  });

  it('answers 422 and names the header, and 400 for data that is not what it says', async () => {
    const unknown = await sendBinary(api, headers({ 'ce-subject': 'nobody' }), { tokens: 1 });
    expect(unknown).toMatchObject({ status: 422, body: { errors: [{ pointer: '/ce-subject' }] } });
    const broken = await sendBinary(api, headers(), '{');
    expect(broken).toMatchObject({ status: 400, body: { errors: [{ pointer: '/data' }] } });
  });
});

describe('an event that was taken', () => {
  it('is a duplicate for ever: when its readings are gone, its meter counts no more, and it is too old', async () => {
    const event = aChat();
    expect((await sendEvent(api, event)).status).toBe(201);
    await db.query('TRUNCATE meter_reading');
    for (const name of ['tokens', 'chats'])
      await api.call('PATCH', `/v1/meters/${name}`, { body: { isActive: false } });
    const now = new Date(Date.now() + 700 * 86_400_000).toISOString();
    expect((await api.call('POST', '/v1/test-clock', { body: { now } })).status).toBe(200);
    expect(await sendEvents(api, [event, aChat()])).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '/1/time' }] },
    });
    expect(await sendEvent(api, event)).toMatchObject({ status: 200, body: { duplicates: 1 } });
    expect(await sendEvent(api, { ...event, data: {} })).toMatchObject({ status: 409 });
    expect(await readings()).toEqual([]);
  });
});
