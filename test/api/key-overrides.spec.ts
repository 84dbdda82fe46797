import { Database } from '@io/platform';
import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';

const SLOW = { rateLimit: 0.01, burstLimit: 2 };
const DAY = 86_400_000;

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

const pathOf = ({ usagePlanId, keyId }: Catalogue) =>
  `/v1/usage-plans/${usagePlanId}/keys/${keyId}`;

const change = (of: Catalogue, body: object, headers = {}) =>
  api.call('PATCH', pathOf(of), { body, headers });

const extend = (of: Catalogue, units: number, headers = {}) =>
  api.call('POST', `${pathOf(of)}/quota-extensions`, {
    body: { units, reason: 'ticket 4711' },
    headers,
  });

async function decide({ apiKey, apiId, stage }: Catalogue, more: object = {}) {
  const question = { apiKey, apiId, stage, method: 'GET', path: '/pets', ...more };
  return (await api.call('POST', '/v1/decisions', { token: api.gatewayToken, body: question }))
    .body;
}

/** Waits, for a second at most, until what decisions say of the key is this. */
const told = (of: Catalogue) =>
  expect.poll(
    async () => {
      const { rate, quota } = await decide(of, { dryRun: true });
      return [
        rate?.limit ?? null,
        rate?.remaining ?? null,
        quota?.limit ?? null,
        quota?.remaining ?? null,
      ];
    },
    { timeout: 1_000, interval: 10 },
  );

/** A second key of the same plan. */
async function sibling(of: Catalogue): Promise<Catalogue> {
  const key = await api.call('POST', '/v1/api-keys', { body: { customerId: of.customerId } });
  const { id, value } = key.body;
  await api.call('POST', `/v1/usage-plans/${of.usagePlanId}/keys`, { body: { keyId: id } });
  return { ...of, keyId: id, apiKey: value };
}

const lastEvent = async () => (await api.call('GET', '/v1/audit-events?limit=1')).body['items'][0];

describe('PATCH /v1/usage-plans/{usagePlanId}/keys/{keyId}', () => {
  it('gives one key another throttle within a second, keeps what was spent, and takes it away again', async () => {
    const key = await aCatalogue(api, { throttle: SLOW });
    const other = await sibling(key);
    await decide(key);
    await told(key).toEqual([2, 1, null, null]);

    const throttle = { rateLimit: 0.01, burstLimit: 10 };
    expect(await change(key, { throttle })).toMatchObject({
      status: 200,
      body: { keyId: key.keyId, usagePlanId: key.usagePlanId, throttle, quota: null, boost: null },
    });
    await told(key).toEqual([10, 9, null, null]);
    await told(other).toEqual([2, 2, null, null]);
    expect(await lastEvent()).toMatchObject({
      action: 'update-usage-plan-key',
      subject: `${key.usagePlanId}:${key.keyId}`,
      before: { throttle: null },
      after: { throttle },
    });

    expect((await change(key, { throttle: null })).body).toMatchObject({ throttle: null });
    await told(key).toEqual([2, 1, null, null]);
  });

  it('gives a throttle to a key whose plan has none, and none to a throttled one only by the plan', async () => {
    const key = await aCatalogue(api);
    await told(key).toEqual([null, null, null, null]);
    await change(key, { throttle: SLOW });
    await told(key).toEqual([2, 2, null, null]);
    for (const reason of [undefined, undefined, 'throttled']) {
      expect((await decide(key))['reason']).toBe(reason);
    }
  });

  it('gives one key another quota: what was spent stays spent, up and down', async () => {
    const key = await aCatalogue(api, { quota: { limit: 10, period: 'MONTH' } });
    const other = await sibling(key);
    await decide(key, { cost: 8 });
    await change(key, { quota: { limit: 20 } });
    await told(key).toEqual([null, null, 20, 12]);
    await told(other).toEqual([null, null, 10, 10]);
    expect(await decide(key, { cost: 12 })).toMatchObject({ allowed: true });
    await change(key, { quota: { limit: 5 } });
    await told(key).toEqual([null, null, 5, 0]);
    expect(await decide(key)).toMatchObject({ reason: 'quota-exceeded' });
    await change(key, { quota: null });
    await told(key).toEqual([null, null, 10, 0]);
  });

  it('holds for the key wherever the plan does, and goes when the key leaves the plan', async () => {
    const key = await aCatalogue(api, { throttle: SLOW });
    await change(key, { throttle: { rateLimit: 1, burstLimit: 7 } });
    await told(key).toEqual([7, 7, null, null]);
    expect((await api.call('DELETE', pathOf(key))).status).toBe(204);
    await api.call('POST', `/v1/usage-plans/${key.usagePlanId}/keys`, {
      body: { keyId: key.keyId },
    });
    await told(key).toEqual([2, 2, null, null]);
  });

  it('boosts until an instant, then goes back by itself', async () => {
    const key = await aCatalogue(api, { throttle: SLOW });
    await decide(key);
    const until = new Date(Date.now() + 2_500).toISOString();
    const boost = { rateLimit: 0.01, burstLimit: 50, until };
    expect(await change(key, { boost })).toMatchObject({ status: 200, body: { boost } });
    await told(key).toEqual([50, 49, null, null]);
    await expect
      .poll(async () => (await decide(key, { dryRun: true }))['rate'], {
        timeout: 5_000,
        interval: 10,
      })
      .toMatchObject({ limit: 2, remaining: 1 });
    const late = Date.now() - Date.parse(until);
    expect(late).toBeGreaterThanOrEqual(0);
    expect(late).toBeLessThan(1_000);
  });

  it('412 for another version, 404 for a key that is not in the plan, 409 without a quota', async () => {
    const key = await aCatalogue(api);
    const read = await api.call('GET', pathOf(key));
    const etag = read.headers.get('etag') ?? '';
    expect((await change(key, { throttle: SLOW }, { 'if-match': etag })).status).toBe(200);
    expect((await change(key, { throttle: null }, { 'if-match': etag })).status).toBe(412);
    const nobody = { ...key, keyId: 'nobody0000' };
    expect((await change(nobody, { throttle: SLOW })).status).toBe(404);
    expect(await change(key, { quota: { limit: 5 } })).toMatchObject({
      status: 409,
      body: { type: expect.stringMatching(/usage-plan-has-no-quota$/) },
    });
    expect((await extend(key, 5)).status).toBe(409);
    expect((await extend(nobody, 5)).status).toBe(404);
  });

  it.each([
    { body: { throttle: { rateLimit: 1 } }, pointer: '/throttle/burstLimit' },
    { body: { throttle: { rateLimit: -1, burstLimit: 1 } }, pointer: '/throttle/rateLimit' },
    { body: { quota: { limit: 0 } }, pointer: '/quota/limit' },
    { body: { quota: { limit: 5, period: 'DAY' } }, pointer: '/quota/period' },
    {
      body: { boost: { rateLimit: 1, burstLimit: 1, until: '2020-01-01T00:00:00Z' } },
      pointer: '/boost/until',
    },
    { body: { boost: { rateLimit: 1, burstLimit: 1 } }, pointer: '/boost/until' },
  ])('400: $body, at $pointer', async ({ body, pointer }) => {
    const answer = await change(await aCatalogue(api), body);
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ pointer }] } });
  });
});

describe('POST /v1/usage-plans/{usagePlanId}/keys/{keyId}/quota-extensions', () => {
  it('lets a key that has nothing left call on within a second, and no more than was given', async () => {
    const key = await aCatalogue(api, { quota: { limit: 3, period: 'DAY' } });
    const other = await sibling(key);
    await decide(key, { cost: 3 });
    expect(await decide(key)).toMatchObject({ reason: 'quota-exceeded' });

    const { status, body } = await extend(key, 2);
    const midnight = Math.floor(Date.now() / DAY) * DAY;
    expect({ status, body }).toMatchObject({
      status: 201,
      body: {
        id: expect.stringMatching(/^qex_/),
        usagePlanId: key.usagePlanId,
        keyId: key.keyId,
        units: 2,
        reason: 'ticket 4711',
        grantedBy: expect.stringMatching(/^tok_/),
        periodFrom: new Date(midnight).toISOString(),
        periodTo: new Date(midnight + DAY).toISOString(),
      },
    });
    await told(key).toEqual([null, null, 5, 2]);
    await told(other).toEqual([null, null, 3, 3]);
    const reasons = [];
    for (let i = 0; i < 3; i += 1) reasons.push((await decide(key))['reason']);
    expect(reasons).toEqual([undefined, undefined, 'quota-exceeded']);
    expect(await lastEvent()).toMatchObject({
      action: 'extend-quota',
      subject: `${key.usagePlanId}:${key.keyId}`,
      principalId: body['grantedBy'],
      after: { units: 2, reason: 'ticket 4711' },
    });
  });

  it('adds up, on top of an override too, and is listed newest first', async () => {
    const key = await aCatalogue(api, { quota: { limit: 3, period: 'WEEK', offset: 1 } });
    await change(key, { quota: { limit: 10 } });
    await extend(key, 5);
    await extend(key, 7);
    await told(key).toEqual([null, null, 22, 22]);
    const { body } = await api.call('GET', `${pathOf(key)}/quota-extensions`);
    expect(body['items'].map(({ units }: { units: number }) => units)).toEqual([7, 5]);
  });

  it('happens once however often it is sent with one Idempotency-Key', async () => {
    const key = await aCatalogue(api, { quota: { limit: 3, period: 'DAY' } });
    const headers = { 'idempotency-key': `extend ${key.keyId}`.replace(' ', '-') };
    const first = await extend(key, 5, headers);
    const again = await extend(key, 5, headers);
    expect(again).toMatchObject({ status: 201, body: first.body });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect((await extend(key, 6, headers)).status).toBe(422);
    await told(key).toEqual([null, null, 8, 8]);
  });

  it.each([
    { body: { units: 0, reason: 'x' }, pointer: '/units' },
    { body: { units: 1.5, reason: 'x' }, pointer: '/units' },
    { body: { units: 1 }, pointer: '/reason' },
    { body: { units: 1, reason: '' }, pointer: '/reason' },
  ])('400: $body, at $pointer', async ({ body, pointer }) => {
    const path = `${pathOf(await aCatalogue(api))}/quota-extensions`;
    const answer = await api.call('POST', path, { body });
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ pointer }] } });
  });

  it('is over when the period is: the next one starts with the limit', async () => {
    const key = await aCatalogue(api, { quota: { limit: 3, period: 'DAY' } });
    await extend(key, 4);
    await told(key).toEqual([null, null, 7, 7]);
    await decide(key, { cost: 7 });
    const db = api.app.get(Database);
    const account = await db.account.findUniqueOrThrow({ where: { id: key.accountId } });
    const tomorrow = new Date(Date.now() + Number(account.clockOffsetMs) + DAY).toISOString();
    const moved = await api.call('POST', '/v1/test-clock', { body: { now: tomorrow } });
    expect(moved.status).toBeLessThan(300);
    await told(key).toEqual([null, null, 3, 3]);
    // Given tomorrow, by the account's own clock: it counts in tomorrow's period.
    await extend(key, 1);
    await told(key).toEqual([null, null, 4, 4]);
  });
});
