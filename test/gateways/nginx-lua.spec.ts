import { spawnSync } from 'node:child_process';
import { createServer, request as httpRequest, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DecisionCounts } from '@io/limits';
import { UsageService } from '@io/metering';
import { Database } from '@io/platform';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { afterFile } from '../support/after-file.js';
import {
  describeWithNginxLua,
  startNginxLua,
  type NginxLuaOptions,
  type RunningNginxLua,
} from '../support/nginx-lua.js';
import { startApi } from '../support/api.js';
import { aCatalogue } from '../support/catalogue.js';
import { DECISION_ID, StrictLender } from '../support/strict-lender.js';

const HOUR_MS = 3_600_000;
/** How long what a few ticks bring may take on a machine that has other work. */
const SOON = { timeout: 10_000 };

interface Reply {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

describeWithNginxLua('the Lua plugin, in front of a stand-in that holds to the contract', () => {
  let service: StrictLender;
  let application: Server;
  let nginx: RunningNginxLua;
  let seen: { url: string; headers: Record<string, unknown> }[] = [];

  const start = (options: Partial<NginxLuaOptions> = {}) =>
    startNginxLua({
      serviceUrl: service.url,
      gatewayToken: service.token,
      apiId: service.apiId,
      stage: service.stage,
      applicationAddress: `127.0.0.1:${portOf(application)}`,
      deadlineMs: 2_000,
      ...options,
    });

  const restart = async (options: Partial<NginxLuaOptions>): Promise<void> => {
    await nginx.stop();
    service.questions.length = 0;
    nginx = await start(options);
  };

  const call = (
    apiKey: string | undefined,
    path = '/pets/42',
    { method = 'GET' } = {},
  ): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const headers = apiKey === undefined ? {} : { 'X-Api-Key': apiKey };
      const request = httpRequest(
        { host: '127.0.0.1', port: nginx.port, path, method, headers },
        (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
          response.on('end', () => {
            const entries = Object.entries(response.headers);
            resolve({
              status: response.statusCode ?? 0,
              headers: Object.fromEntries(entries.map(([name, value]) => [name, String(value)])),
              body,
            });
          });
        },
      );
      request.on('error', reject);
      request.end();
    });

  /** Calls one after the other, also while workers come and go. */
  const keepCalling = async (apiKey: string, isOver: () => boolean): Promise<void> => {
    while (!isOver()) await call(apiKey).catch(() => undefined);
  };

  /** Asks for the policy of a key, without a call that would be counted against it. */
  const policyOf = async (apiKey: string): Promise<void> => {
    await vi.waitFor(async () => {
      const before = service.decisions.length;
      await call(apiKey, '//');
      expect(service.decisions.length).toBe(before);
      // The first event of a stream makes all be forgotten once more.
      expect(service.questions.some((question) => 'seen' in question)).toBe(true);
    }, SOON);
  };

  /** Calls until the key is decided here: the service was asked for its policy and is not asked for decisions. */
  const warm = async (apiKey: string): Promise<void> => {
    await vi.waitFor(async () => {
      const before = service.decisions.length;
      await call(apiKey, '/warm');
      expect(service.decisions.length).toBe(before);
    }, SOON);
  };

  beforeAll(async () => {
    application = createServer((request, response) => {
      seen.push({ url: request.url ?? '', headers: request.headers });
      response.setHeader('RateLimit', 'of the application');
      response.end('from the application');
    });
    await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
  });
  afterFile(() => application.close());
  beforeEach(async () => {
    seen = [];
    service = await StrictLender.start();
    service.keys.set('open', { keyId: 'keyopen001' });
    nginx = await start();
  });
  afterEach(async () => {
    service.fault = 'none';
    await nginx.stop();
    await service.stop();
    if (service.broken.length > 0) throw new Error(service.broken.join('; '));
  });

  it('asks once for a key, and decides alone from then on', async () => {
    service.keys.set('limited', {
      keyId: 'keylimit01',
      throttle: { rateLimit: 10, burstLimit: 1_000 },
      quota: 1_000,
    });
    await policyOf('limited');
    await warm('limited');
    const asked = service.decisions.length;
    const first = await call('limited', '/pets/7?x=1');
    expect(first.status).toBe(200);
    expect(first.headers).toMatchObject({
      'ratelimit-policy': '"key";q=1000;w=100, "quota";q=1000;w=86400',
    });
    expect(first.headers['ratelimit']).toMatch(/^"key";r=99\d;t=0, "quota";r=9\d\d;t=\d+$/);
    for (let calls = 0; calls < 20; calls += 1) await call('limited');
    expect(service.decisions.length).toBe(asked);
    expect(seen.at(-1)?.headers).toMatchObject({
      'x-tollgate-key-id': 'keylimit01',
      'x-tollgate-customer-id': 'cus_keylimit01',
      'x-tollgate-resource-path': '/{proxy+}',
    });
    expect(await nginx.errors()).toBe('');
  });

  it.each([
    {
      why: 'the plan',
      key: { throttle: { rateLimit: 0.01, burstLimit: 3 } },
      message: 'Too Many Requests',
    },
    {
      why: 'the method in the plan',
      methods: [{ planThrottle: { rateLimit: 0.01, burstLimit: 3 } }],
      message: 'Too Many Requests',
    },
    {
      why: 'the method of the stage',
      methods: [{ stageThrottle: { rateLimit: 0.01, burstLimit: 3 } }],
      message: 'Too Many Requests',
    },
    {
      why: 'the stage',
      stageThrottle: { rateLimit: 0.01, burstLimit: 3 },
      message: 'Too Many Requests',
    },
    { why: 'the quota', key: { quota: 3 }, message: 'Limit Exceeded' },
  ])('passes three calls and no more under a limit of three of $why', async (row) => {
    const { key, methods = [{}], stageThrottle, message } = row;
    service.keys.set('three', { keyId: 'keythree01', ...key });
    service.options = {
      ...(stageThrottle && { stageThrottle }),
      methods: methods.map((each) => ({
        httpMethod: 'GET',
        resourcePath: '/three/{name}',
        ...each,
      })),
    };
    await policyOf('three');
    const replies = [];
    for (let calls = 0; calls < 6; calls += 1) replies.push(await call('three', '/three/a'));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429, 429]);
    const refused = replies.at(-1)!;
    expect(refused.body).toBe(JSON.stringify({ message }));
    expect(refused.headers['x-amzn-errortype']).toBe(`${message.replaceAll(' ', '')}Exception`);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50);
    // A refusal is believed: the service is not asked again for each call.
    const questions = service.questions.length;
    for (let calls = 0; calls < 20; calls += 1) await call('three', '/three/a');
    expect(service.questions.length - questions).toBeLessThan(10);
  });

  it('consumes nothing at any level for a call that one level refuses', async () => {
    const stageThrottle = { rateLimit: 0.01, burstLimit: 2 };
    service.options = {
      methods: [{ httpMethod: 'GET', resourcePath: '/two', stageThrottle }],
    };
    service.keys.set('both', { keyId: 'keyboth001', throttle: { rateLimit: 0.01, burstLimit: 6 } });
    await policyOf('both');
    const statuses = async (times: number, path: string): Promise<number[]> =>
      repeat(times, async () => (await call('both', path)).status);
    expect(await statuses(10, '/two')).toEqual([200, 200, ...Array<number>(8).fill(429)]);
    expect(await statuses(5, '/other')).toEqual([200, 200, 200, 200, 429]);
  });

  it.each([
    { why: 'it is disabled', key: { enabled: false } },
    { why: 'it has expired', key: { expiresAt: '2020-01-01T00:00:00.000Z' } },
    { why: 'no plan of it covers the stage', key: { usagePlanId: null } },
    { why: 'it is for other addresses', key: { ipPolicy: { allow: ['192.0.2.0/24'] } } },
    { why: 'this address is denied', key: { ipPolicy: { deny: ['127.0.0.0/8'] } } },
    { why: 'the path may mean two things', key: {}, path: '/pets/../admin' },
  ])('refuses a key without asking: $why', async ({ key, path }) => {
    service.keys.set('refused', { keyId: 'keyrefus01', ...key });
    await policyOf('refused');
    const asked = service.decisions.length;
    const before = seen.length;
    const reply = await call('refused', path ?? '/pets');
    expect(reply).toMatchObject({ status: 403, body: '{"message":"Forbidden"}' });
    expect(reply.headers['x-amzn-errortype']).toBe('ForbiddenException');
    expect(service.decisions.length).toBe(asked);
    expect(seen.length).toBe(before);
  });

  it('asks once for a key that nobody has', async () => {
    for (let calls = 0; calls < 20; calls += 1) {
      expect((await call('nobody')).status).toBe(403);
    }
    // The stream's first event may come in between and forget it once.
    expect(service.decisions.length).toBeLessThanOrEqual(2);
  });

  it('decides and meters in shadow, and refuses nothing', async () => {
    service.options = { shadow: true };
    service.keys.set('shadow', {
      keyId: 'keyshadow1',
      throttle: { rateLimit: 0.01, burstLimit: 1 },
    });
    await policyOf('shadow');
    const replies = await Promise.all(Array.from({ length: 5 }, () => call('shadow')));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  });

  it('forgets a key in every worker within a second of the event', async () => {
    await restart({ workers: 2 });
    for (let rounds = 0; rounds < 8; rounds += 1) {
      service.keys.set('open', { keyId: 'keyopen001' });
      service.announce('keyopen001');
      await Promise.all(Array.from({ length: 16 }, () => warm('open')));
      service.keys.set('open', { keyId: 'keyopen001', enabled: false });
      const told = performance.now();
      service.announce('keyopen001');
      await vi.waitFor(
        async () => {
          const all = Array.from({ length: 16 }, () => call('open', '/pets'));
          const statuses = (await Promise.all(all)).map(({ status }) => status);
          expect(new Set(statuses)).toEqual(new Set([403]));
        },
        { timeout: 1_000, interval: 5 },
      );
      expect(performance.now() - told).toBeLessThan(1_000);
    }
  });

  it('gives the quota units of a forgotten key back, and counts them once', async () => {
    service.keys.set('metered', { keyId: 'keymeter01', quota: 100_000 });
    await warm('metered');
    const before = seen.length;
    await Promise.all(Array.from({ length: 8 }, () => repeat(100, () => call('metered'))));
    service.announce('keymeter01');
    const passed = seen.length - before;
    const held = () => service.held.get('keymeter01');
    await expect.poll(held, SOON).toBeLessThan(passed + 30);
    expect((await call('metered')).status).toBe(200);
    await Promise.all(Array.from({ length: 8 }, () => repeat(100, () => call('metered'))));
    const isAhead = (service.held.get('keymeter01') ?? 0) > seen.length;
    expect(isAhead).toBe(true);
    await nginx.stop();
    expect(service.held.get('keymeter01')).toBe(service.calls());
    nginx = await start();
  });

  it.each([
    {
      plan: 'deny' as const,
      status: 503,
      answer: {
        body: '{"message":"Service Unavailable"}',
        errorType: 'ServiceUnavailableException',
      },
    },
    {
      plan: 'allow' as const,
      status: 200,
      answer: { body: 'from the application', errorType: undefined },
    },
  ])(
    'spends what is in hand while the service is away, then does as the plan says: $plan',
    async (row) => {
      service.options = { onFailure: row.plan };
      service.keys.set('held', { keyId: 'keyheld001', quota: 100_000 });
      await restart({ deadlineMs: 150 });
      await policyOf('held');
      await repeat(60, () => call('held', '/pets'));
      service.fault = 'silent';
      // Rates are leased for a second, so by then nothing is in hand.
      await vi.waitFor(async () => expect((await call('held', '/pets')).status).toBe(row.status), {
        timeout: 5_000,
        interval: 20,
      });
      const before = seen.length;
      const { status } = row;
      const since = performance.now();
      let passed = 0;
      for (; performance.now() - since < 2_500; passed += 1) {
        expect((await call('held', '/pets')).status).toBe(status);
      }
      const reply = await call('held', '/pets');
      expect({ body: reply.body, errorType: reply.headers['x-amzn-errortype'] }).toEqual(
        row.answer,
      );
      expect(seen.length - before).toBe(status === 200 ? passed + 1 : 0);
      expect((await call('stranger', '/pets')).status).toBe(503);
      service.fault = 'none';
      await vi.waitFor(async () => expect((await call('held', '/pets')).status).toBe(200), {
        timeout: 5_000,
      });
    },
  );

  it('meters each call that passed once, however often an answer is lost', async () => {
    service.keys.set('slow', { keyId: 'keyslow001', throttle: { rateLimit: 0.01, burstLimit: 2 } });
    await policyOf('slow');
    await call('open', '/pets', { method: 'POST' });
    const before = seen.length;
    service.fault = 'drop-answer';
    await vi.waitFor(() => expect(service.batches.size).toBeGreaterThan(0), { timeout: 5_000 });
    service.fault = 'none';
    await repeat(50, () => call('open', '/pets/1'));
    await repeat(5, () => call('slow', '/pets/1'));
    await nginx.stop();
    expect(seen.length - before).toBe(52);
    expect(service.calls()).toBe(seen.length);
    // What the service decided it has counted itself.
    const decidedHere = seen.filter(
      ({ headers }) => headers['x-tollgate-decision-id'] !== DECISION_ID,
    );
    expect(decidedHere.length).toBeGreaterThan(50);
    expect(service.allowed()).toBe(decidedHere.length);
    const epochs = new Set([...service.batches.keys()].map((name) => name.split('/')[0]));
    expect(epochs).toEqual(new Set([String(service.questions[0]?.['holder'])]));
    const sequences = [...service.batches.keys()].map((name) => Number(name.split('/')[1]));
    expect(sequences.toSorted((a, b) => a - b)).toEqual(sequences.map((_, index) => index));
    const [record] = service.records();
    expect(record).toMatchObject({
      apiId: 'petstore01',
      stage: 'prod',
      resourcePath: '/{proxy+}',
      statusClass: '2xx',
    });
    expect(record?.['at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$/);
    expect(Number(record?.quantities['bytes-out'])).toBeGreaterThan(0);
    nginx = await start();
  });

  it('sends one batch a second, however fast the service takes them', async () => {
    await warm('open');
    const before = service.batches.size;
    const since = performance.now();
    const callOn = async (): Promise<void> => {
      while (performance.now() - since < 2_500) await call('open');
    };
    await Promise.all(Array.from({ length: 16 }, callOn));
    const seconds = (performance.now() - since) / 1_000;
    const sent = service.batches.size - before;
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThanOrEqual(Math.floor(seconds) + 2);
    // Batches that tell what was allowed are read slower.
    const telling = [...service.batches.values()].filter((body) => body.includes('"decisions"'));
    expect(telling.length).toBeLessThan(service.batches.size);
  });

  it('loses nothing on a reload, and at most a second when a worker is killed', async () => {
    service.options = { onFailure: 'allow' };
    service.keys.set('metered', { keyId: 'keymeter01', quota: 100_000 });
    await warm('metered');
    let isOver = false;
    const clients = Array.from({ length: 4 }, () => keepCalling('metered', () => isOver));
    const [first] = workersOf(nginx);
    nginx.reload();
    await vi.waitFor(() => expect(workersOf(nginx)).not.toContain(first), { timeout: 15_000 });
    isOver = true;
    await Promise.all(clients);
    await vi.waitFor(() => expect(service.calls()).toBe(seen.length), { timeout: 10_000 });

    service.fault = 'error';
    await call('metered');
    const numbered = service.batches.size;
    // A numbered batch waits in shared memory for the service, and for a worker.
    await vi.waitFor(() => expect(service.failed).toContain('/v1/usage/batches'), {
      timeout: 10_000,
    });
    const [doomed] = workersOf(nginx);
    process.kill(doomed!, 'SIGKILL');
    await vi.waitFor(() => expect(workersOf(nginx)).not.toContain(doomed), SOON);
    service.fault = 'none';
    await vi.waitFor(() => expect(service.batches.size).toBeGreaterThan(numbered), {
      timeout: 10_000,
    });
    await vi.waitFor(() => expect(service.calls()).toBe(seen.length), { timeout: 10_000 });
    await nginx.stop();
    // What the dead worker held was in shared memory by then, and went back.
    expect(service.held.get('keymeter01')).toBeLessThanOrEqual(service.calls());
    nginx = await start();
  });

  describe.each([
    { how: 'reloaded', end: () => nginx.reload(), mayLose: false },
    // What is in its pockets, and what a question in flight is granted.
    { how: 'killed', end: (worker: number) => process.kill(worker, 'SIGKILL'), mayLose: true },
  ])('two workers that are $how under load', ({ end, mayLose }) => {
    it(`spend no unit of a quota twice and ${mayLose ? 'may lose some' : 'lose none'}`, async () => {
      service.keys.set('busy', { keyId: 'keybusy001', quota: 100_000 });
      await restart({ workers: 2 });
      await warm('busy');
      let isOver = false;
      const clients = Array.from({ length: 8 }, () => keepCalling('busy', () => isOver));
      for (let ends = 1; ends <= 2; ends += 1) {
        await expect.poll(() => seen.length, SOON).toBeGreaterThan(ends * 1_000);
        const [worker] = workersOf(nginx);
        end(worker!);
        await vi.waitFor(() => expect(workersOf(nginx)).not.toContain(worker), { timeout: 15_000 });
      }
      isOver = true;
      await Promise.all(clients);
      await nginx.stop();
      const unspent = (service.held.get('keybusy001') ?? 0) - seen.length;
      expect(unspent).toBeGreaterThanOrEqual(0);
      expect(mayLose || unspent === 0).toBe(true);
      nginx = await start();
    });
  });

  it('passes exactly a quota of 1,000 from two workers under 24 clients', async () => {
    service.keys.set('race', { keyId: 'keyrace001', quota: 1_000 });
    await restart({ workers: 2, deadlineMs: 20_000 });
    await policyOf('race');
    const before = service.held.get('keyrace001') ?? 0;
    const statuses = await Promise.all(
      Array.from({ length: 24 }, () =>
        repeat(75, async () => (await call('race', '/pets')).status),
      ),
    );
    const passed = statuses.flat().filter((status) => status === 200).length;
    expect(passed).toBe(1_000 - before);
    expect(new Set(statuses.flat())).toEqual(new Set([200, 429]));
    const ids = seen.map(({ headers }) => headers['x-tollgate-decision-id']);
    const own = ids.filter((id) => id !== 'dec_standin');
    expect(new Set(own).size).toBe(own.length);
  });

  it('keeps a rate from two workers within its bound in every window', async () => {
    const throttle = { rateLimit: 50, burstLimit: 100 };
    service.keys.set('paced', { keyId: 'keypaced01', throttle });
    await restart({ workers: 2, deadlineMs: 20_000 });
    await policyOf('paced');
    const passedAt: number[] = [];
    const until = performance.now() + 3_000;
    const client = async (): Promise<void> => {
      while (performance.now() < until) {
        const { status } = await call('paced', '/pets');
        if (status === 200) passedAt.push(performance.now());
      }
    };
    await Promise.all(Array.from({ length: 12 }, client));
    passedAt.sort((a, b) => a - b);
    expect(passedAt.length).toBeGreaterThan(100 + 50 * 2);
    // What is held may be spent a lease later than it was debited (docs/limits.md).
    const lease = 1;
    const worst = passedAt.map((from, index) =>
      Math.max(
        ...passedAt.slice(index).map((to, more) => {
          const seconds = (to - from) / 1_000 + lease;
          return more + 1 - (throttle.burstLimit + throttle.rateLimit * seconds);
        }),
      ),
    );
    expect(Math.max(...worst)).toBeLessThanOrEqual(0);
  });
});

describeWithNginxLua('the Lua plugin, in front of the real service', () => {
  it('passes exactly a quota of 1,000 from two machines of two workers, deciding by itself', async () => {
    const api = await startApi();
    const ids: string[] = [];
    const application = createServer((request, response) => {
      ids.push(String(request.headers['x-tollgate-decision-id']));
      response.end();
    });
    await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
    const { apiId, stage, apiKey, keyId } = await aCatalogue(api, {
      quota: { limit: 1_000, period: 'DAY' },
      throttle: { rateLimit: 10_000, burstLimit: 5_000 },
    });
    const machines = await Promise.all(
      [1, 2].map(() =>
        startNginxLua({
          serviceUrl: api.url,
          gatewayToken: api.gatewayToken,
          apiId,
          stage,
          applicationAddress: `127.0.0.1:${portOf(application)}`,
          deadlineMs: 20_000,
          workers: 2,
        }),
      ),
    );
    onTestFinished(async () => {
      await Promise.all(machines.map((machine) => machine.stop()));
      application.close();
    });
    const statuses = await Promise.all(
      Array.from({ length: 24 }, (_, client) =>
        repeat(75, () => statusOf(machines[client % 2]!.port, apiKey)),
      ),
    );
    expect(new Set(statuses.flat())).toEqual(new Set([200, 429]));
    expect(ids.length).toBeGreaterThan(900);
    // What the service took ahead for decisions of its own comes back when it lies idle for two seconds.
    await vi.waitFor(
      async () => {
        await Promise.all(machines.map(({ port }) => statusOf(port, apiKey)));
        expect(ids.length).toBeGreaterThanOrEqual(1_000);
      },
      { timeout: 10_000 },
    );
    await Promise.all(machines.map(({ port }) => repeat(25, () => statusOf(port, apiKey))));
    expect(ids).toHaveLength(1_000);
    // The service's own ids are shorter.
    expect(ids.filter((id) => /^dec_[0-9a-f]{26}$/.test(id)).length).toBeGreaterThan(500);
    await Promise.all(machines.map((machine) => machine.stop()));
    const metered = await api.app.get(Database).$queryRaw<{ calls: number }[]>`
      SELECT sum(quantity)::int AS calls FROM usage_record WHERE key_id = ${keyId} AND meter = 'calls'`;
    expect(metered).toEqual([{ calls: 1_000 }]);
  });
});

describeWithNginxLua('what the Lua plugin allows by itself', () => {
  it('is held against what it meters, apart from each other, from all workers', async () => {
    const api = await startApi();
    const { apiId, stage, apiKey, keyId, accountId } = await aCatalogue(api);
    const open: ServerResponse[] = [];
    const application = createServer(({ url }, response) => {
      if (url === '/pets?wait') open.push(response);
      else response.end('ok');
    });
    await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
    const nginx = await startNginxLua({
      serviceUrl: api.url,
      gatewayToken: api.gatewayToken,
      apiId,
      stage,
      applicationAddress: `127.0.0.1:${portOf(application)}`,
      deadlineMs: 20_000,
      workers: 2,
    });
    onTestFinished(async () => {
      await nginx.stop();
      application.closeAllConnections();
      application.close();
    });
    const hour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
    const reconciled = async () => {
      await api.app.get(DecisionCounts).flush();
      await api.app.get(UsageService).rollUpNow(accountId);
      const search = new URLSearchParams({
        keyId,
        from: new Date(hour).toISOString(),
        to: new Date(hour + 2 * HOUR_MS).toISOString(),
      });
      return (await api.call('GET', `/v1/usage/reconciliation?${search.toString()}`)).body;
    };
    const counted = { timeout: 20_000, interval: 250 };
    const agreed = { mismatches: 0, selfDeciding: [], items: [] };

    await Promise.all(
      Array.from({ length: 8 }, () => repeat(10, () => statusOf(nginx.port, apiKey))),
    );
    expect(await statusOf(nginx.port, apiKey, { method: 'POST' })).toBe(200);
    await expect
      .poll(reconciled, counted)
      .toMatchObject({ ...agreed, allowed: '81', metered: '81' });

    // Allowed, and metered only once it is answered.
    const waiting = statusOf(nginx.port, apiKey, { path: '/pets?wait' });
    await expect
      .poll(reconciled, counted)
      .toMatchObject({ allowed: '82', items: [{ method: 'GET', difference: '1' }] });
    open[0]?.end('ok');
    expect(await waiting).toBe(200);
    await expect
      .poll(reconciled, counted)
      .toMatchObject({ ...agreed, allowed: '82', metered: '82' });

    // A gateway that meters what nobody allowed.
    const record = {
      at: new Date().toISOString(),
      keyId,
      apiId,
      stage,
      method: 'GET',
      resourcePath: '/pets',
      statusClass: '2xx',
      quantities: { calls: '1' },
    };
    const body = { epoch: 'another', sequence: 0, records: [record] };
    await api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
    expect(await reconciled()).toMatchObject({
      items: [{ kind: 'metered-but-never-allowed', difference: '1' }],
    });
  });
});

/** The status of a call without a body worth reading. */
function statusOf(
  port: number,
  apiKey: string,
  { path = '/pets', method = 'GET' } = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'X-Api-Key': apiKey };
    const request = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    request.on('error', reject).end();
  });
}

async function repeat<T>(times: number, act: () => Promise<T>): Promise<T[]> {
  const results = [];
  for (let index = 0; index < times; index += 1) results.push(await act());
  return results;
}

function workersOf({ pid }: RunningNginxLua): number[] {
  const { stdout } = spawnSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' });
  return stdout.split('\n').filter(Boolean).map(Number);
}

function portOf(server: Server): number {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  return (server.address() as AddressInfo).port;
}
