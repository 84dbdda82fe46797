import { Authenticator } from '@io/identity';
import { QuotaAuthority } from '@io/limits';
import { Database, SystemClock } from '@io/platform';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

const question = ({ apiKey, apiId, stage }: Catalogue, more: object = {}) => ({
  apiKey,
  apiId,
  stage,
  method: 'GET',
  path: '/pets/42?q=1',
  sourceIp: '203.0.113.7',
  ...more,
});

const decide = async (body: unknown, token = api.gatewayToken) =>
  api.call('POST', '/v1/decisions', { token, body });

describe('POST /v1/decisions', () => {
  it('allows, and tells key, customer, plan, method and what is left', async () => {
    const catalogue = await aCatalogue(api, {
      throttle: { rateLimit: 5, burstLimit: 5 },
      quota: { limit: 1000, period: 'DAY' },
    });
    const { status, body, headers } = await decide(question(catalogue));
    expect(status).toBe(200);
    expect(body).toMatchObject({
      allowed: true,
      decisionId: expect.stringMatching(/^dec_[0-9A-Za-z]{20}$/),
      keyId: catalogue.keyId,
      customerId: catalogue.customerId,
      usagePlanId: catalogue.usagePlanId,
      resourcePath: '/pets/{petId}',
      rate: { limit: 5, remaining: 4 },
      quota: { limit: 1000, remaining: 999 },
    });
    expect(Date.parse(headers.get('x-tollgate-time') ?? '')).toBeCloseTo(Date.now(), -4);
    expect(body['quota'].resetsAt).toMatch(/T00:00:00\.000Z$/);
  });

  it.each([
    { reason: 'missing-key', change: { apiKey: null } },
    { reason: 'missing-key', change: { apiKey: '' } },
    { reason: 'unknown-key', change: { apiKey: 'tg_test_0123456789012345678901234567_abcdef' } },
    { reason: 'unknown-key', change: { apiKey: 'an imported value of somebody else' } },
    { reason: 'no-plan', change: { stage: 'beta' } },
    { reason: 'no-plan', change: { apiId: 'aaaaaaaaaa' } },
    { reason: 'ambiguous-path', change: { path: '/pets/../admin' } },
    { reason: 'ambiguous-path', change: { path: '/pets/%2e%2e/admin' } },
  ])('refuses for $reason as Amazon does: $change', async ({ reason, change }) => {
    const { status, body } = await decide(question(await aCatalogue(api), change));
    expect(status).toBe(200);
    expect(body).toMatchObject({
      allowed: false,
      reason,
      level: null,
      status: 403,
      message: 'Forbidden',
      errorType: 'ForbiddenException',
    });
  });

  it("tells the time of the key's account, and none where no key is known", async () => {
    const catalogue = await aCatalogue(api);
    const unknown = question(catalogue, { apiKey: 'nobody has it' });
    expect((await decide(unknown)).headers.has('x-tollgate-time')).toBe(false);
    const batch = { decisions: [unknown, question(catalogue)] };
    const ahead = 12 * 86_400_000;
    const setAhead = (ms: number) =>
      api.app.get(Database).account.update({
        where: { id: catalogue.accountId },
        data: { clockOffsetMs: BigInt(ms) },
      });
    onTestFinished(async () => void (await setAhead(0)));
    await setAhead(ahead);
    await expect
      .poll(async () => Date.parse((await decide(batch)).headers.get('x-tollgate-time') ?? ''))
      .toBeGreaterThan(Date.now() + ahead - 60_000);
  });

  it.each([
    { reason: 'disabled-key', options: { enabled: false } },
    { reason: 'expired-key', options: { expiresAt: new Date(Date.now() - 1000) } },
    { reason: 'ip-denied', options: { ipPolicy: { allow: ['10.0.0.0/8'] } } },
  ])('refuses for $reason', async ({ reason, options }) => {
    const catalogue = await aCatalogue(api, options);
    expect((await decide(question(catalogue))).body).toMatchObject({
      allowed: false,
      reason,
      keyId: catalogue.keyId,
      status: 403,
    });
  });

  it('throttles at each of the four levels, in order, and a refused call consumes nothing', async () => {
    const catalogue = await aCatalogue(api, {
      throttle: { rateLimit: 0.01, burstLimit: 4 },
      quota: { limit: 3, period: 'MONTH' },
    });
    const { accountId, apiId, usagePlanId } = catalogue;
    const db = api.app.get(Database);
    const method = {
      accountId,
      apiId,
      stage: 'prod',
      httpMethod: 'GET',
      resourcePath: '/pets/{petId}',
      rateLimit: 0.01,
    };
    await db.usagePlanMethodThrottle.create({ data: { ...method, usagePlanId, burstLimit: 1 } });
    await db.stageMethodThrottle.create({
      data: { ...method, resourcePath: '/pets', burstLimit: 1 },
    });

    const one = (path: string) => decide(question(catalogue, { path }));
    expect((await one('/pets/1')).body).toMatchObject({ allowed: true });
    expect((await one('/pets/1')).body).toMatchObject({
      reason: 'throttled',
      level: 'method',
      status: 429,
      message: 'Too Many Requests',
    });
    expect((await one('/pets')).body).toMatchObject({ allowed: true });
    expect((await one('/pets')).body).toMatchObject({ reason: 'throttled', level: 'stage-method' });
    expect((await one('/other')).body).toMatchObject({
      allowed: true,
      resourcePath: '/{proxy+}',
      rate: { remaining: 1 },
    });
    expect((await one('/other')).body).toMatchObject({
      reason: 'quota-exceeded',
      level: 'usage-plan',
      status: 429,
      message: 'Limit Exceeded',
      errorType: 'LimitExceededException',
      rate: { remaining: 1 },
      quota: { remaining: 0 },
    });
    await db.usagePlan.update({ where: { id: usagePlanId }, data: { quotaLimit: 100n } });
    await expect.poll(async () => (await one('/other')).body['allowed']).toBe(true);
    expect((await one('/other')).body).toMatchObject({ reason: 'throttled', level: 'usage-plan' });
    await db.account.update({ where: { id: accountId }, data: { burstLimit: 0 } });
    await db.usagePlan.update({
      where: { id: usagePlanId },
      data: { burstLimit: 50, rateLimit: 50 },
    });
    await expect.poll(async () => (await one('/other')).body['level']).toBe('account');
    await db.account.update({ where: { id: accountId }, data: { burstLimit: 5000 } });
  });

  it('answers a batch in its order', async () => {
    const catalogue = await aCatalogue(api, { quota: { limit: 2, period: 'DAY' } });
    const { status, body } = await decide({
      decisions: [
        question(catalogue),
        question(catalogue, { apiKey: null }),
        question(catalogue),
        question(catalogue),
      ],
    });
    expect(status).toBe(200);
    expect(body['decisions'].map((d: { allowed: boolean }) => d.allowed)).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  it('consumes nothing in a dry run', async () => {
    const catalogue = await aCatalogue(api, { quota: { limit: 1, period: 'DAY' } });
    for (let i = 0; i < 3; i += 1) {
      expect((await decide(question(catalogue, { dryRun: true }))).body).toMatchObject({
        allowed: true,
        quota: { remaining: 1 },
      });
    }
    expect((await decide(question(catalogue))).body).toMatchObject({
      allowed: true,
      quota: { remaining: 0 },
    });
  });

  it('never refuses in shadow, and says for what it would have', async () => {
    const catalogue = await aCatalogue(api, {
      throttle: { rateLimit: 0.01, burstLimit: 1 },
      shadow: true,
    });
    await decide(question(catalogue));
    expect((await decide(question(catalogue))).body).toMatchObject({
      allowed: true,
      shadowed: 'throttled',
    });
  });

  it('takes costs above one, all or nothing', async () => {
    const catalogue = await aCatalogue(api, { quota: { limit: 10, period: 'DAY' } });
    expect((await decide(question(catalogue, { cost: 8 }))).body).toMatchObject({ allowed: true });
    expect((await decide(question(catalogue, { cost: 3 }))).body).toMatchObject({
      allowed: false,
      quota: { remaining: 2 },
    });
    expect((await decide(question(catalogue, { cost: 2 }))).body).toMatchObject({ allowed: true });
  });

  it('counts anew when the plan gets a quota of another period', async () => {
    const catalogue = await aCatalogue(api, { quota: { limit: 5, period: 'MONTH' } });
    await decide(question(catalogue, { cost: 3 }));
    await api.app.get(Database).usagePlan.update({
      where: { id: catalogue.usagePlanId },
      data: { quotaPeriod: 'DAY' },
    });
    await expect
      .poll(
        async () => (await decide(question(catalogue, { dryRun: true }))).body['quota'].remaining,
      )
      .toBe(5);
  });

  it('lets calls pass without the quota when the plan says so and its authority is gone, but not faster', async () => {
    const plan = {
      throttle: { rateLimit: 0.01, burstLimit: 2 },
      quota: { limit: 5, period: 'DAY' },
    } as const;
    const open = await aCatalogue(api, { ...plan, onFailure: 'allow' });
    const closed = await aCatalogue(api, { ...plan, onFailure: 'deny' });
    const gone = vi
      .spyOn(api.app.get(QuotaAuthority), 'debit')
      .mockRejectedValue(new Error('gone'));
    const answers = [];
    for (const catalogue of [open, open, open, closed]) {
      const { body } = await decide(question(catalogue));
      answers.push(body['reason'] ?? 'allowed');
    }
    gone.mockRestore();
    expect(answers).toEqual(['allowed', 'allowed', 'throttled', 'unavailable']);
  });

  it('learns at once of a key that was disabled, by whatever hand', async () => {
    const catalogue = await aCatalogue(api);
    expect((await decide(question(catalogue))).body).toMatchObject({ allowed: true });
    await api.app.get(Database)
      .$executeRaw`UPDATE api_key SET enabled = false WHERE id = ${catalogue.keyId}`;
    await expect
      .poll(async () => (await decide(question(catalogue))).body['reason'], { timeout: 1_000 })
      .toBe('disabled-key');
  });

  it('does not know keys of another account', async () => {
    const catalogue = await aCatalogue(api);
    const db = api.app.get(Database);
    await db.account.create({ data: { id: 'acc_other', name: 'Other', mode: 'live' } });
    await db.gateway.create({ data: { id: 'gw_other', accountId: 'acc_other', name: 'default' } });
    const { Keyring } = await import('@io/platform');
    const token = `tgw_${'x'.repeat(40)}`;
    await db.token.create({
      data: {
        id: 'tok_other',
        accountId: 'acc_other',
        kind: 'gateway',
        gatewayId: 'gw_other',
        name: 'x',
        hash: Uint8Array.from(api.app.get(Keyring).hash('token-pepper', token)),
        pepperId: 'k1',
        lastFour: 'xxxx',
      },
    });
    expect((await decide(question(catalogue), token)).body).toMatchObject({
      reason: 'unknown-key',
      keyId: null,
    });
  });

  it.each([
    { body: '{"apiKey":', pointer: '/' },
    { body: [], pointer: '/' },
    { body: {}, pointer: '/apiId' },
    { body: { apiId: 'a', stage: 'b', method: 'GET' }, pointer: '/path' },
    {
      body: { apiId: 'a', stage: 'b', method: 'GET', path: '/', resourcePath: '/' },
      pointer: '/path',
    },
    { body: { apiId: 'a', stage: 'b', method: 'GET', path: '/', cost: -1 }, pointer: '/cost' },
    { body: { apiId: 'a', stage: 'b', method: 'GET', path: '/', cost: '1' }, pointer: '/cost' },
    { body: { apiId: 'a', stage: 'b', method: 'GET', path: '/', cost: 1.5 }, pointer: '/cost' },
    { body: { apiId: 'a', stage: 'b', method: 'GET', path: '/', extra: 1 }, pointer: '/extra' },
    { body: { apiId: 'a', stage: 'b', method: 'G\u0000T', path: '/' }, pointer: '/method' },
    { body: { decisions: [] }, pointer: '/decisions' },
    { body: { decisions: [{ apiId: 1 }] }, pointer: '/decisions/0' },
    { body: '{"__proto__":{"a":1}}', pointer: '/__proto__' },
  ])('refuses $body with 400 and names $pointer', async ({ body, pointer }) => {
    const answer = await decide(body);
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.body['errors'][0].pointer).toContain(pointer);
  });

  it('refuses a body of 10 MB with 413', async () => {
    expect(await decide(`{"apiKey":"${'x'.repeat(10_000_000)}"}`)).toMatchObject({ status: 413 });
  });

  it('asks once again for a token that it knew for half a minute', async () => {
    await decide({});
    const authenticator = api.app.get(Authenticator);
    const clock = vi.spyOn(api.app.get(SystemClock), 'nowMs').mockReturnValue(Date.now() + 31_000);
    expect(authenticator.known(api.gatewayToken)).toBeUndefined();
    await decide({});
    expect(authenticator.known(api.gatewayToken)).toMatchObject({ kind: 'gateway' });
    clock.mockRestore();
  });

  it('takes gateway tokens only', async () => {
    expect(await decide({}, 'nobody')).toMatchObject({ status: 401 });
    expect(await decide({}, api.ownerToken)).toMatchObject({ status: 403 });
  });
});
