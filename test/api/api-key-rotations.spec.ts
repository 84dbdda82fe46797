import { hasValidChecksum } from '@core/kernel';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';

const MINUTE = 60_000;

let api: TestApi;
let make: ReturnType<typeof controlPlane>;
let db: pg.Pool;
beforeAll(async () => {
  api = await startApi();
  make = controlPlane(api);
  db = new pg.Pool({ connectionString: api.databaseUrl });
  afterFile(() => db.end());
});

const rotate = (keyId: string, body: Record<string, unknown>) =>
  api.call('POST', `/v1/api-keys/${keyId}/rotations`, { body });

/** A key in a plan with ten calls a month, and what a gateway is answered for one of its values. */
async function keyInPlan() {
  const apiStage = await make.apiStage();
  const quota = { limit: 10, offset: 0, period: 'MONTH' };
  const plan = await make.usagePlan({ apiStages: [apiStage], quota });
  const key = await make.apiKey();
  await api.call('POST', `/v1/usage-plans/${plan.id}/keys`, { body: { keyId: key.id } });
  const gateway = await make.gateway(`of ${key.id}`);
  const decide = async (apiKey: string) => {
    const asked = { apiKey, ...apiStage, method: 'GET', path: '/pets', sourceIp: '192.0.2.1' };
    const { body } = await api.call('POST', '/v1/decisions', { token: gateway.token, body: asked });
    return body;
  };
  return { key, plan, decide };
}

describe('POST /v1/api-keys/{keyId}/rotations', () => {
  it('201: another value of the same key, with the quota that it has spent', async () => {
    const { key, decide } = await keyInPlan();
    for (let calls = 0; calls < 4; calls += 1) await decide(key.value);
    const { status, body } = await rotate(key.id, { overlapSeconds: 3_600 });
    expect(status).toBe(201);
    expect(body).toMatchObject({ id: key.id, customerId: key.customerId, enabled: true });
    expect(body.value).not.toBe(key.value);
    expect(hasValidChecksum(body.value)).toBe(true);
    expect(body.lastFour).toBe(body.value.slice(-4));
    const [byOld, byNew] = [await decide(key.value), await decide(body.value)];
    expect(byOld).toMatchObject({ allowed: true, keyId: key.id, quota: { remaining: 5 } });
    expect(byNew).toMatchObject({ allowed: true, keyId: key.id, quota: { remaining: 4 } });
    const shown = await api.call('GET', `/v1/api-keys/${key.id}?includeValue=true`);
    expect(shown.body.value).toBe(body.value);
    const { rows } = await db.query(`SELECT v::text AS row FROM api_key_past_value v`);
    expect(JSON.stringify(rows)).not.toContain(key.value);
  });

  it('201: the old value ends with the overlap, to the moment, and is told from an unknown one', async () => {
    const { key, decide } = await keyInPlan();
    const before = Date.now();
    const { body } = await rotate(key.id, { overlapSeconds: 600 });
    expect(Date.parse(body.previousExpiresAt)).toBeGreaterThanOrEqual(before + 10 * MINUTE);
    const move = (ms: number) => {
      const now = new Date(Date.parse(body.previousExpiresAt) + ms).toISOString();
      return api.call('POST', '/v1/test-clock', { body: { now } });
    };
    await move(-MINUTE);
    await expect.poll(async () => (await decide(key.value)).allowed).toBe(true);
    await move(0);
    await expect.poll(async () => (await decide(key.value)).reason).toBe('expired-key');
    expect(await decide(body.value)).toMatchObject({ allowed: true });
  });

  it('201: a second rotation shortens the overlap of all before it, and never lengthens one', async () => {
    const { key, decide } = await keyInPlan();
    const second = (await rotate(key.id, { overlapSeconds: 600 })).body.value;
    const third = (await rotate(key.id, { overlapSeconds: 86_400 })).body.value;
    const ends = async () => {
      const { rows } = await db.query<{ expires_at: Date }>(
        'SELECT expires_at FROM api_key_past_value WHERE key_id = $1 ORDER BY replaced_at',
        [key.id],
      );
      return rows.map((row) => row.expires_at.getTime());
    };
    const [ofFirst = 0, ofSecond = 0] = await ends();
    expect(ofSecond - ofFirst).toBeGreaterThan(12 * 3_600_000);
    const fourth = (await rotate(key.id, { overlapSeconds: 0 })).body.value;
    for (const value of [key.value, second, third]) {
      await expect.poll(async () => (await decide(value)).reason).toBe('expired-key');
    }
    expect(await decide(fourth)).toMatchObject({ allowed: true });
  });

  it('201: takes a value from elsewhere; 409: not one that any key has or had', async () => {
    const { key } = await keyInPlan();
    const value = 'a-key-from-elsewhere-0001';
    expect((await rotate(key.id, { overlapSeconds: 0, value })).body.value).toBe(value);
    for (const known of [value, key.value]) {
      const again = await rotate(key.id, { overlapSeconds: 0, value: known });
      expect(again).toMatchObject({ status: 409, body: { title: 'Api key exists' } });
      const { customerId } = key;
      const created = await api.call('POST', '/v1/api-keys', {
        body: { customerId, value: known },
      });
      expect(created.status).toBe(409);
    }
  });

  it('201: the same request sent twice rotates once', async () => {
    const { key } = await keyInPlan();
    const headers = { 'idempotency-key': `rotate-${key.id}` };
    const send = () =>
      api.call('POST', `/v1/api-keys/${key.id}/rotations`, {
        headers,
        body: { overlapSeconds: 60 },
      });
    const [first, second] = [await send(), await send()];
    expect(second.body.value).toBe(first.body.value);
    const { rows } = await db.query('SELECT 1 FROM api_key_past_value WHERE key_id = $1', [key.id]);
    expect(rows).toHaveLength(1);
  });

  it.each([
    { body: {}, pointer: '/overlapSeconds' },
    { body: { overlapSeconds: -1 }, pointer: '/overlapSeconds' },
    { body: { overlapSeconds: 90 * 86_400 + 1 }, pointer: '/overlapSeconds' },
    { body: { overlapSeconds: 0, value: 'short' }, pointer: '/value' },
    {
      body: { overlapSeconds: 0, value: `tg_live_${'a'.repeat(28)}_${'a'.repeat(6)}` },
      pointer: '/value',
    },
    { body: { overlapSeconds: 0, name: 'x' }, pointer: '/name' },
  ])('400: names $pointer of $body', async ({ body, pointer }) => {
    const { key } = await keyInPlan();
    const answer = await rotate(key.id, body);
    expect(answer.status).toBe(400);
    expect(answer.body.errors[0].pointer).toBe(pointer);
  });

  it('404: of a key that is deleted', async () => {
    const { key } = await keyInPlan();
    await api.call('DELETE', `/v1/api-keys/${key.id}`);
    expect((await rotate(key.id, { overlapSeconds: 0 })).status).toBe(404);
  });
});
