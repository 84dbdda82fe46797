import { Database } from '@io/platform';
import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';
import { callRaw } from '../support/raw-http.js';

let api: TestApi;
let db: Database;
beforeAll(async () => {
  api = await startApi();
  db = api.app.get(Database);
});

const question = ({ apiKey, apiId, stage }: Catalogue, more: object = {}) => ({
  apiKey,
  apiId,
  stage,
  method: 'GET',
  path: '/pets',
  ...more,
});

const ask = async (body: object) =>
  (await api.call('POST', '/v1/decisions', { token: api.gatewayToken, body })).body;
const decide = (of: Catalogue, more: object = {}) => ask(question(of, more));

/** Ten calls at once, at one level alone. */
const BUCKET = { rateLimit: 0.001, burstLimit: 10 };
const LEVELS = ['method', 'usage-plan', 'stage-method', 'account'] as const;

async function limitedAt(level: (typeof LEVELS)[number]): Promise<Catalogue> {
  const of = await aCatalogue(api, level === 'usage-plan' ? { throttle: BUCKET } : {});
  const { accountId, apiId, usagePlanId } = of;
  const pets = { accountId, apiId, stage: 'prod', httpMethod: 'GET', resourcePath: '/pets' };
  if (level === 'method')
    await db.usagePlanMethodThrottle.create({ data: { ...pets, usagePlanId, ...BUCKET } });
  if (level === 'stage-method')
    await db.stageMethodThrottle.create({ data: { ...pets, ...BUCKET } });
  if (level === 'account') await db.account.update({ where: { id: accountId }, data: BUCKET });
  return of;
}

const unlimited = (of: Catalogue) =>
  db.account.update({
    where: { id: of.accountId },
    data: { rateLimit: 10_000, burstLimit: 5_000 },
  });

describe('cost', () => {
  it.each(LEVELS)('counts at the level %s, all or nothing', async (level) => {
    const of = await limitedAt(level);
    // The limit is new, so wait until it has been heard of; a dry run takes nothing.
    await expect
      .poll(async () => (await decide(of, { cost: 11, dryRun: true }))['level'], { interval: 10 })
      .toBe(level);
    const outcomes = [];
    for (const cost of [7, 4, 0, 3, 1]) {
      const { allowed, level: refusedBy } = await decide(of, { cost });
      outcomes.push(allowed ? cost : refusedBy);
    }
    expect(outcomes).toEqual([7, level, 0, 3, level]);
    await unlimited(of);
  });

  it('above the burst is never let pass, and says that waiting does not help', async () => {
    const of = await aCatalogue(api, { throttle: BUCKET });
    expect(await decide(of, { cost: 11 })).toMatchObject({
      allowed: false,
      reason: 'throttled',
      retryAfterMs: null,
    });
    expect(await decide(of, { cost: 10 })).toMatchObject({ allowed: true });
  });

  it('adds up over a batch with the quota, whatever else is in it', async () => {
    const of = await aCatalogue(api, { quota: { limit: 20, period: 'DAY' } });
    const costs = [8, 8, 8, 4, 1, 0];
    const { decisions } = await ask({ decisions: costs.map((cost) => question(of, { cost })) });
    const allowed = decisions.map((decision: { allowed: boolean }) => decision.allowed);
    expect(allowed).toEqual([true, true, false, true, false, true]);
  });

  it('takes thousands from the quota at once, and not one more than there is', async () => {
    const of = await aCatalogue(api, { quota: { limit: 3_000, period: 'MONTH' } });
    expect(await decide(of, { cost: 2_000 })).toMatchObject({ quota: { remaining: 1_000 } });
    expect(await decide(of, { cost: 1_001 })).toMatchObject({ reason: 'quota-exceeded' });
    expect(await decide(of, { cost: 1_000 })).toMatchObject({ quota: { remaining: 0 } });
  });
});

describe('a plan in shadow', () => {
  const forwardAuth = ({ apiId, stage, apiKey }: Catalogue, gateway: 'caddy' | 'nginx') =>
    callRaw(api.url, {
      target: `/v1/forward-auth/${apiId}/${stage}/${gateway}`,
      fields: [
        ['X-Tollgate-Token', api.gatewayToken],
        ['X-Api-Key', apiKey],
        [gateway === 'nginx' ? 'X-Original-Uri' : 'X-Forwarded-Uri', '/pets'],
        [gateway === 'nginx' ? 'X-Original-Method' : 'X-Forwarded-Method', 'GET'],
      ],
    });

  it.each([
    { limit: { throttle: { rateLimit: 0.001, burstLimit: 1 } }, shadowed: 'throttled' },
    { limit: { quota: { limit: 1, period: 'DAY' } }, shadowed: 'quota-exceeded' },
  ] as const)('never refuses, and says $shadowed wherever it is asked', async (row) => {
    const of = await aCatalogue(api, { ...row.limit, shadow: true });
    expect((await decide(of))['shadowed']).toBeUndefined();
    const { shadowed } = row;
    const expected = { allowed: true, shadowed };
    expect(await decide(of)).toMatchObject(expected);
    const { decisions } = await ask({ decisions: [question(of), question(of)] });
    expect(decisions).toMatchObject([expected, expected]);
    expect((await decide(of))['reason']).toBeUndefined();
    for (const gateway of ['caddy', 'nginx'] as const) {
      const answer = await forwardAuth(of, gateway);
      expect(answer.status).toBe(200);
      expect(answer.header('X-Tollgate-Shadowed')).toBe(shadowed);
      expect(answer.header('Retry-After')).toBeNull();
      expect(answer.header('RateLimit')).toContain(';r=0');
    }
  });

  it('says nothing where nothing would have been refused, with the name in every answer', async () => {
    const of = await aCatalogue(api, { shadow: true });
    expect((await forwardAuth(of, 'caddy')).header('X-Tollgate-Shadowed')).toBe('');
    const stranger = await forwardAuth({ ...of, apiKey: 'nobody' }, 'caddy');
    expect(stranger).toMatchObject({ status: 403 });
    expect(stranger.header('X-Tollgate-Shadowed')).toBe('');
  });

  it('refuses for what is not of the plan: the key, the address, the path', async () => {
    const shadow = true;
    const disabled = await aCatalogue(api, { shadow, enabled: false });
    const elsewhere = await aCatalogue(api, { shadow, apiIpPolicy: { allow: ['10.0.0.0/8'] } });
    const ambiguous = await aCatalogue(api, { shadow });
    expect([
      (await decide(disabled))['reason'],
      (await decide(elsewhere, { sourceIp: '203.0.113.7' }))['reason'],
      (await decide(ambiguous, { path: '/pets/../admin' }))['reason'],
    ]).toEqual(['disabled-key', 'ip-denied', 'ambiguous-path']);
  });

  it('is switched on and off within a second, and has counted meanwhile', async () => {
    const of = await aCatalogue(api, { quota: { limit: 2, period: 'DAY' }, shadow: true });
    const path = `/v1/usage-plans/${of.usagePlanId}`;
    await decide(of, { cost: 2 });
    expect(await decide(of)).toMatchObject({ allowed: true, shadowed: 'quota-exceeded' });
    await api.call('PATCH', path, { body: { shadow: false } });
    await expect
      .poll(async () => (await decide(of))['reason'], { timeout: 1_000, interval: 10 })
      .toBe('quota-exceeded');
    await api.call('PATCH', path, { body: { shadow: true } });
    await expect
      .poll(async () => (await decide(of))['allowed'], { timeout: 1_000, interval: 10 })
      .toBe(true);
  });
});
