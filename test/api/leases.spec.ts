import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type Answer, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';
import { controlPlane } from '../support/control-plane.js';

const HOLDER = 'holder-0123456789';
const MONTH = { limit: 1_000, period: 'MONTH' } as const;

let api: TestApi;
let db: pg.Pool;
beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 2 });
  afterFile(() => db.end());
});

const ask = (question: Record<string, unknown>, token: string | null = api.gatewayToken) =>
  api.call('POST', '/v1/leases', { token, body: { holder: HOLDER, ...question } });

async function answerTo(question: Record<string, unknown>): Promise<Answer['body']> {
  const answer = await ask(question);
  expect(answer).toMatchObject({ status: 200 });
  return answer.body;
}

const onStage = ({ apiId, stage }: Catalogue) => ({ apiId, stage });
const inPlan = ({ keyId, usagePlanId }: Catalogue) => ({ keyId, usagePlanId });

const keyOf = async (key: Catalogue) =>
  (await answerTo({ keys: [{ apiKey: key.apiKey, ...onStage(key) }] }))['keys'][0];

const quotaOf = async (key: Catalogue, wish: { asked: number; wanted?: number }) =>
  (await answerTo({ quotas: [{ ...inPlan(key), wanted: 0, ...wish }] }))['quotas'][0];

async function rateOf(bucket: unknown, wish: { asked: number; least?: number; wanted?: number }) {
  const { rates } = await answerTo({ rates: [{ bucket, least: 1, wanted: 0, ...wish }] });
  return rates[0];
}

const decide = async (key: Catalogue, overrides: Record<string, unknown> = {}) =>
  (
    await api.call('POST', '/v1/decisions', {
      token: api.gatewayToken,
      body: {
        apiKey: key.apiKey,
        ...onStage(key),
        method: 'GET',
        path: '/pets',
        ...overrides,
      },
    })
  ).body;

const month = () => {
  const now = new Date();
  const first = (month: number) => new Date(Date.UTC(now.getUTCFullYear(), month, 1)).toISOString();
  return { periodFrom: first(now.getUTCMonth()), periodTo: first(now.getUTCMonth() + 1) };
};

describe('POST /v1/leases', () => {
  it('answers an empty question with the time and nothing else', async () => {
    const answer = await ask({});
    expect(answer).toMatchObject({
      status: 200,
      body: { leaseMs: 1_000, keys: [], stages: [], rates: [], quotas: [] },
    });
    expect(
      Math.abs(Date.parse(answer.headers.get('x-tollgate-time') ?? '') - Date.now()),
    ).toBeLessThan(5_000);
  });

  it('tells what a key may do, by its value', async () => {
    const key = await aCatalogue(api, {
      throttle: { rateLimit: 5, burstLimit: 10 },
      quota: MONTH,
      ipPolicy: { allow: ['203.0.113.0/24'] },
    });
    expect(await keyOf(key)).toEqual({
      keyId: key.keyId,
      customerId: key.customerId,
      enabled: true,
      expiresAt: null,
      ipPolicy: { allow: ['203.0.113.0/24'] },
      usagePlanId: key.usagePlanId,
      throttle: { rateLimit: 5, burstLimit: 10 },
      quota: { limit: 1_000, ...month() },
      accountThrottle: { rateLimit: 10_000, burstLimit: 5_000 },
      clockOffsetMs: 0,
    });
  });

  it("tells a key's own limits in place of the plan's", async () => {
    const key = await aCatalogue(api, { throttle: { rateLimit: 5, burstLimit: 10 }, quota: MONTH });
    await db.query(
      `UPDATE usage_plan_key SET rate_limit = 50, burst_limit = 60, quota_limit = 7 WHERE key_id = $1`,
      [key.keyId],
    );
    await expect
      .poll(() => keyOf(key))
      .toMatchObject({ throttle: { rateLimit: 50, burstLimit: 60 }, quota: { limit: 7 } });
    expect(await quotaOf(key, { asked: 10 })).toMatchObject({ granted: 7, limit: 7 });
    const bucket = { level: 'usage-plan', ...inPlan(key) };
    expect(await rateOf(bucket, { asked: 55 })).toMatchObject({ granted: 55 });
  });

  it('tells what limits a stage under a plan', async () => {
    const key = await aCatalogue(api, {
      methods: [['GET', '/pets']],
      onFailure: 'allow',
      shadow: true,
    });
    await db.query(`UPDATE stage SET rate_limit = 100, burst_limit = 200 WHERE api_id = $1`, [
      key.apiId,
    ]);
    await db.query(`UPDATE api SET ip_policy = '{"deny":["198.51.100.7"]}' WHERE id = $1`, [
      key.apiId,
    ]);
    await db.query(
      `INSERT INTO usage_plan_method_throttle (account_id, usage_plan_id, api_id, stage, http_method, resource_path,
         rate_limit, burst_limit) VALUES ($1, $2, $3, 'prod', 'GET', '/pets', 1, 2)`,
      [key.accountId, key.usagePlanId, key.apiId],
    );
    const wanted = { usagePlanId: key.usagePlanId, ...onStage(key) };
    await expect
      .poll(async () => (await answerTo({ stages: [wanted] }))['stages'][0])
      .toEqual({
        plan: { id: key.usagePlanId, onFailure: 'allow', shadow: true },
        ambiguousPath: 'refuse',
        ipPolicy: { deny: ['198.51.100.7'] },
        stageThrottle: { rateLimit: 100, burstLimit: 200 },
        methods: [
          {
            httpMethod: 'GET',
            resourcePath: '/pets',
            planThrottle: { rateLimit: 1, burstLimit: 2 },
            stageThrottle: { rateLimit: 100, burstLimit: 200 },
            stageBucket: '*',
          },
        ],
      });
  });

  it('lends from the buckets that decisions are made on', async () => {
    const key = await aCatalogue(api, { throttle: { rateLimit: 0.01, burstLimit: 10 } });
    const bucket = { level: 'usage-plan', ...inPlan(key) };
    expect(await rateOf(bucket, { asked: 8 })).toMatchObject({
      granted: 8,
      remaining: 2,
      retryAfterMs: 0,
    });
    expect(await decide(key)).toMatchObject({ allowed: true, rate: { remaining: 1 } });
    expect(await decide(key)).toMatchObject({ allowed: true });
    expect(await decide(key)).toMatchObject({ allowed: false, reason: 'throttled' });
    expect(await rateOf(bucket, { asked: 1 })).toMatchObject({ granted: 0 });
    await answerTo({ returns: { rates: [{ bucket, units: 3, heldMs: 5 }] } });
    // A void unit cannot come back.
    await answerTo({ returns: { rates: [{ bucket, units: 5, heldMs: 1_000 }] } });
    expect(await rateOf(bucket, { asked: 9 })).toMatchObject({ granted: 3 });
  });

  it('knows the buckets of all levels, and says null where there is no limit or no such thing', async () => {
    const key = await aCatalogue(api, {
      methods: [
        ['GET', '/pets'],
        ['POST', '/pets'],
      ],
    });
    await db.query(`UPDATE stage SET rate_limit = 0.01, burst_limit = 4 WHERE api_id = $1`, [
      key.apiId,
    ]);
    await db.query(
      `INSERT INTO stage_method_throttle (account_id, api_id, stage, http_method, resource_path, rate_limit, burst_limit)
       VALUES ($1, $2, 'prod', 'POST', '/pets', 0, 3)`,
      [key.accountId, key.apiId],
    );
    await db.query(
      `INSERT INTO usage_plan_method_throttle (account_id, usage_plan_id, api_id, stage, http_method, resource_path,
         rate_limit, burst_limit) VALUES ($1, $2, $3, 'prod', 'GET', '/pets', 0.01, 2)`,
      [key.accountId, key.usagePlanId, key.apiId],
    );
    const stage = onStage(key);
    const wish = (bucket: object) => ({ bucket, asked: 100, least: 1, wanted: 0 });
    const wishes = [
      { level: 'method', ...inPlan(key), ...stage, method: 'GET /pets' },
      { level: 'method', ...inPlan(key), ...stage, method: 'POST /pets' },
      { level: 'stage-method', ...stage, method: '*' },
      { level: 'stage-method', ...stage, method: 'POST /pets' },
      { level: 'stage-method', ...stage, method: 'GET /pets' },
      { level: 'usage-plan', ...inPlan(key) },
      { level: 'usage-plan', keyId: 'nobody', usagePlanId: key.usagePlanId },
      { level: 'stage-method', apiId: key.apiId, stage: 'gone', method: '*' },
      { level: 'account' },
    ];
    await expect.poll(async () => (await rateOf(wishes[0], { asked: 0 }))?.remaining).toBe(2);
    const { rates } = await answerTo({ rates: wishes.map(wish) });
    expect(rates).toMatchObject([
      { granted: 2 },
      null,
      { granted: 4 },
      { granted: 0, retryAfterMs: null },
      null,
      null,
      null,
      null,
      { granted: 100 },
    ]);
    expect(await decide(key)).toMatchObject({
      allowed: false,
      reason: 'throttled',
      level: 'method',
    });
    expect(await decide(key, { path: '/other' })).toMatchObject({
      allowed: false,
      level: 'stage-method',
    });
  });

  it('lends a quota no further than its limit, and takes back what was not spent', async () => {
    const key = await aCatalogue(api, { quota: MONTH });
    expect(await quotaOf(key, { asked: 1, wanted: 100 })).toEqual({
      granted: 15,
      remaining: 985,
      limit: 1_000,
      ...month(),
    });
    expect(await quotaOf(key, { asked: 990 })).toMatchObject({ granted: 985, remaining: 0 });
    expect(await decide(key)).toMatchObject({ allowed: false, reason: 'quota-exceeded' });
    const { periodFrom } = month();
    await answerTo({ returns: { quotas: [{ ...inPlan(key), periodFrom, units: 4 }] } });
    expect(await quotaOf(key, { asked: 10 })).toMatchObject({ granted: 4, remaining: 0 });
  });

  it('takes back before it lends, in one question', async () => {
    const key = await aCatalogue(api, { quota: { limit: 10, period: 'DAY' } });
    const { periodFrom } = await quotaOf(key, { asked: 10 });
    const { quotas } = await answerTo({
      quotas: [{ ...inPlan(key), asked: 10, wanted: 0 }],
      returns: { quotas: [{ ...inPlan(key), periodFrom, units: 6, spent: 4 }] },
    });
    expect(quotas).toMatchObject([{ granted: 6 }]);
  });

  it('takes back no more than the holder has, and writes down that it lives', async () => {
    const key = await aCatalogue(api, { quota: { limit: 10, period: 'DAY' } });
    const { periodFrom } = await quotaOf(key, { asked: 8 });
    const back = (units: number, holder = HOLDER) =>
      ask({ holder, returns: { quotas: [{ ...inPlan(key), periodFrom, units, spent: 0 }] } });
    await back(8, 'another-holder-0123');
    expect(await quotaOf(key, { asked: 10 })).toMatchObject({ granted: 2 });
    await back(1_000);
    expect(await quotaOf(key, { asked: 20 })).toMatchObject({ granted: 10 });
    const { rows } = await db.query(`SELECT id FROM quota_holder WHERE id LIKE '%/${HOLDER}'`);
    expect(rows).toHaveLength(1);
  });

  it.each([
    { name: 'disabled', options: { enabled: false } },
    { name: 'expired', options: { expiresAt: new Date('2026-01-01') } },
  ])('tells that a key is $name, and lends nothing of its quota', async ({ options }) => {
    const key = await aCatalogue(api, { quota: MONTH, ...options });
    expect(await keyOf(key)).toMatchObject({
      enabled: options.enabled ?? true,
      expiresAt: options.expiresAt?.toISOString() ?? null,
    });
    expect(await quotaOf(key, { asked: 1 })).toBeNull();
  });

  it('says null for what is not there, at its place in the list', async () => {
    const key = await aCatalogue(api, { quota: MONTH });
    const unlimited = await aCatalogue(api);
    const stage = onStage(key);
    const answer = await answerTo({
      keys: [
        { apiKey: 'tg_nobody', ...stage },
        { apiKey: key.apiKey, ...stage, stage: 'gone' },
      ],
      stages: [
        { usagePlanId: 'gone', ...stage },
        { usagePlanId: key.usagePlanId, ...stage },
      ],
      quotas: [
        { keyId: key.keyId, usagePlanId: 'gone', asked: 1, wanted: 0 },
        { ...inPlan(key), asked: 1, wanted: 0 },
        { ...inPlan(unlimited), asked: 1, wanted: 0 },
      ],
    });
    expect(answer).toMatchObject({
      keys: [null, { keyId: key.keyId, usagePlanId: null, throttle: null, quota: null }],
      stages: [null, { plan: { id: key.usagePlanId } }],
      quotas: [null, { granted: 1 }, null],
    });
  });

  it("knows nothing of another account's keys, plans and stages, and takes nothing back there", async () => {
    const key = await aCatalogue(api, {
      quota: MONTH,
      throttle: { rateLimit: 1, burstLimit: 5 },
    });
    await quotaOf(key, { asked: 500 });
    const account = await controlPlane(api).account();
    const stranger = await controlPlane(api, account['token']).gateway('stranger');
    const { periodFrom } = month();
    const answer = await ask(
      {
        keys: [{ apiKey: key.apiKey, ...onStage(key) }],
        stages: [{ usagePlanId: key.usagePlanId, ...onStage(key) }],
        rates: [
          { bucket: { level: 'usage-plan', ...inPlan(key) }, asked: 1, least: 1, wanted: 0 },
          {
            bucket: { level: 'stage-method', ...onStage(key), method: '*' },
            asked: 1,
            least: 1,
            wanted: 0,
          },
        ],
        quotas: [{ ...inPlan(key), asked: 1, wanted: 0 }],
        returns: {
          rates: [{ bucket: { level: 'usage-plan', ...inPlan(key) }, units: 5, heldMs: 1 }],
          quotas: [{ ...inPlan(key), periodFrom, units: 500 }],
        },
      },
      stranger['token'],
    );
    expect(answer).toMatchObject({
      status: 200,
      body: { keys: [null], stages: [null], rates: [null, null], quotas: [null] },
    });
    expect(await quotaOf(key, { asked: 1_000 })).toMatchObject({ granted: 500 });
  });

  it('waits until it has heard of the event that the gateway has seen', async () => {
    const key = await aCatalogue(api);
    expect(await keyOf(key)).toMatchObject({ enabled: true });
    for (const seen of ['nonsense', '900000000000-900000000000', '3-2']) {
      expect(await ask({ seen })).toMatchObject({ status: 200 });
    }
    let stale = 0;
    for (let round = 0; round < 50; round += 1) {
      const enabled = round % 2 === 1;
      const { rows } = await db.query(
        `WITH changed AS (UPDATE api_key SET enabled = $2 WHERE id = $1 RETURNING 1)
         SELECT pg_current_xact_id()::text AS id, count(*) FROM changed`,
        [key.keyId, enabled],
      );
      const wanted = { keys: [{ apiKey: key.apiKey, ...onStage(key) }] };
      const { keys } = await answerTo({ seen: `3-${rows[0].id}`, ...wanted });
      if (keys[0].enabled !== enabled) stale += 1;
    }
    expect(stale).toBe(0);
  });

  it.each([
    { body: { holder: 'short' }, pointer: '/holder' },
    { body: { more: 1 }, pointer: '/more' },
    { body: { keys: [{ apiKey: 'x', apiId: 'a', stage: 's', x: 1 }] }, pointer: '/keys/0/x' },
    {
      body: {
        keys: Array.from({ length: 1_001 }, () => ({ apiKey: 'x', apiId: 'a', stage: 's' })),
      },
      pointer: '/keys',
    },
    {
      body: {
        stages: Array.from({ length: 101 }, () => ({ usagePlanId: 'x', apiId: 'a', stage: 's' })),
      },
      pointer: '/stages',
    },
    {
      body: { rates: [{ bucket: { level: 'planet' }, asked: 1, least: 1, wanted: 1 }] },
      pointer: '/rates/0/bucket',
    },
    {
      body: {
        rates: [{ bucket: { level: 'account', keyId: 'x' }, asked: 1, least: 1, wanted: 1 }],
      },
      pointer: '/rates/0/bucket/keyId',
    },
    {
      body: { rates: [{ bucket: { level: 'account' }, asked: -1, least: 1, wanted: 1 }] },
      pointer: '/rates/0/asked',
    },
    {
      body: { rates: [{ bucket: { level: 'account' }, asked: 1, least: 1 }] },
      pointer: '/rates/0/wanted',
    },
    {
      body: { quotas: [{ keyId: 'k', usagePlanId: 'p', asked: 0.5, wanted: 1 }] },
      pointer: '/quotas/0/asked',
    },
    {
      body: {
        quotas: Array.from({ length: 2 }, () => ({
          keyId: 'k',
          usagePlanId: 'p',
          asked: 1,
          wanted: 1,
        })),
      },
      pointer: '/quotas/1',
    },
    {
      body: {
        returns: { quotas: [{ keyId: 'k', usagePlanId: 'p', periodFrom: 'soon', units: 1 }] },
      },
      pointer: '/returns/quotas/0/periodFrom',
    },
    { body: { returns: { all: true } }, pointer: '/returns/all' },
  ])('refuses $pointer', async ({ body, pointer }) => {
    expect(await ask(body)).toMatchObject({
      status: 400,
      body: { errors: [{ pointer }] },
    });
  });

  it('is for gateways only, and for JSON', async () => {
    expect(await ask({}, null)).toMatchObject({ status: 401 });
    expect(await ask({}, api.ownerToken)).toMatchObject({ status: 403 });
    const headers = { 'content-type': 'text/plain' };
    const token = api.gatewayToken;
    expect(await api.call('POST', '/v1/leases', { token, headers, body: '{}' })).toMatchObject({
      status: 415,
    });
  });
});
