import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';

const URL = 'https://hooks.example/tollgate?from=us';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

const post = (path: string, body?: unknown, headers = {}) =>
  api.call('POST', `/v1/webhook-endpoints${path}`, { body, headers });

async function anEndpoint(body: object = {}) {
  const answer = await post('', { url: URL, ...body });
  expect(answer.status).toBe(201);
  return answer.body;
}

describe('POST /v1/webhook-endpoints', () => {
  it('answers 201 with the secret, which no other answer shows', async () => {
    const { secret, ...endpoint } = await anEndpoint({ eventTypes: ['usage.alert.crossed'] });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(endpoint).toMatchObject({ url: URL, disabledAt: null, disabledReason: null });
    const { body } = await api.call('GET', `/v1/webhook-endpoints/${endpoint['id']}`);
    expect(body).toEqual(endpoint);
  });

  it('answers the same secret to the same Idempotency-Key', async () => {
    const key = { 'idempotency-key': 'hook-once' };
    const first = await post('', { url: URL }, key);
    const again = await post('', { url: URL }, key);
    expect(again.body).toEqual(first.body);
  });

  it.each([
    { url: 'http://hooks.example/', says: 'https' },
    { url: 'https://user:password@hooks.example/', says: 'password' },
    { url: 'https://hooks.example:5432/', says: 'port' },
    { url: 'https://127.0.0.1/', says: 'private' },
    { url: 'https://[::ffff:10.0.0.1]/', says: 'private' },
    { url: 'https://169.254.169.254/latest/meta-data', says: 'private' },
  ])('answers 400 to $url', async ({ url, says }) => {
    const { status, body } = await post('', { url });
    expect(status).toBe(400);
    expect(body['errors']).toEqual([{ pointer: '/url', detail: expect.stringContaining(says) }]);
    expect(JSON.stringify(body)).not.toContain('user:');
  });

  it('answers 400 to a type that nobody tells', async () => {
    const { body } = await post('', {
      url: URL,
      eventTypes: ['usage.alert.crossed', 'invoice.sent'],
    });
    expect(body['errors']).toMatchObject([{ pointer: '/eventTypes/1' }]);
  });

  it('answers 409 to the 51st of an account', async () => {
    const { token } = (
      await api.call('POST', '/v1/accounts', { body: { name: 'Many', mode: 'test' } })
    ).body;
    const create = () =>
      api.call('POST', '/v1/webhook-endpoints', { token: token as string, body: { url: URL } });
    const answers = await Promise.all(Array.from({ length: 52 }, create));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(50);
    expect((await create()).body).toMatchObject({ status: 409, endpointsMax: 50 });
  });
});

describe('PATCH /v1/webhook-endpoints/{endpointId}', () => {
  it('changes what is given, and disables and enables', async () => {
    const { id } = await anEndpoint();
    const path = `/v1/webhook-endpoints/${id}`;
    const off = await api.call('PATCH', path, { body: { disabled: true, description: 'x' } });
    expect(off.body).toMatchObject({ url: URL, description: 'x', disabledReason: 'by-hand' });
    expect((await post(`/${id}/test-events`)).body).toMatchObject({ status: 409, endpointId: id });
    const on = await api.call('PATCH', path, { body: { disabled: false } });
    expect(on.body).toMatchObject({ disabledAt: null, disabledReason: null });
  });

  it('answers 412 to an old version, and 400 to a private address', async () => {
    const { id } = await anEndpoint();
    const path = `/v1/webhook-endpoints/${id}`;
    const headers = { 'if-match': '"old"' };
    expect((await api.call('PATCH', path, { body: { description: 'x' }, headers })).status).toBe(
      412,
    );
    expect((await api.call('PATCH', path, { body: { url: 'https://10.0.0.1/' } })).status).toBe(
      400,
    );
  });
});

describe('POST /v1/webhook-endpoints/{endpointId}/secret-rotations', () => {
  it('answers 201 with another secret, and when the old one ends', async () => {
    const { id, secret } = await anEndpoint();
    const { status, body } = await post(`/${id}/secret-rotations`, { overlapHours: 1 });
    expect(status).toBe(201);
    expect(body['secret']).not.toBe(secret);
    const inMs = Date.parse(body['oldSecretsExpireAt'] as string) - Date.now();
    expect(inMs).toBeLessThanOrEqual(3_600_000);
    expect(inMs).toBeGreaterThan(3_000_000);
  });
});

describe('deliveries', () => {
  it('of a test are listed by status and have a log of attempts', async () => {
    const { id } = await anEndpoint({ eventTypes: ['usage.alert.crossed'] });
    const { status, body } = await post(`/${id}/test-events`);
    expect(status).toBe(201);
    const path = `/v1/webhook-endpoints/${id}/deliveries`;
    const delivery = {
      eventId: body['eventId'],
      type: 'webhook-endpoint.test',
      status: 'pending',
      attempts: 0,
    };
    expect((await api.call('GET', `${path}?status=pending`)).body['items']).toMatchObject([
      delivery,
    ]);
    expect((await api.call('GET', `${path}?status=dead`)).body['items']).toEqual([]);
    expect((await api.call('GET', `${path}/${body['eventId']}/attempts`)).body).toEqual({
      items: [],
    });
    expect((await api.call('GET', `${path}/evt_none/attempts`)).status).toBe(404);
  });

  it('come in pages', async () => {
    const { id } = await anEndpoint();
    for (let n = 0; n < 3; n += 1) await post(`/${id}/test-events`);
    const path = `/v1/webhook-endpoints/${id}/deliveries?limit=2`;
    const { body: first } = await api.call('GET', path);
    const { body: second } = await api.call('GET', `${path}&cursor=${first['next']}`);
    const ids = [...first['items'], ...second['items']].map(
      (item: { eventId: string }) => item.eventId,
    );
    expect(new Set(ids).size).toBe(3);
    expect(second['next']).toBeUndefined();
  });
});

describe('POST /v1/webhook-endpoints/{endpointId}/replays', () => {
  it('answers 202 with how many will be sent', async () => {
    const { id } = await anEndpoint();
    const { eventId } = (await post(`/${id}/test-events`)).body;
    expect(await post(`/${id}/replays`, { eventId })).toMatchObject({
      status: 202,
      body: { deliveries: 0 },
    });
    expect((await post(`/${id}/replays`, { since: '2026-01-01T00:00:00Z' })).status).toBe(202);
    expect((await post(`/${id}/replays`, { eventId: 'evt_none' })).status).toBe(404);
  });

  it.each([{}, { eventId: 'evt_1', since: '2026-01-01T00:00:00Z' }])(
    'answers 400 to %j',
    async (body) => {
      const { id } = await anEndpoint();
      expect((await post(`/${id}/replays`, body)).body).toMatchObject({
        status: 400,
        errors: [{ pointer: '/since' }],
      });
    },
  );
});
