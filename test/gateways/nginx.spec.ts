import { readFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { collectOnce } from '../support/collecting.js';
import { startNginx, type RunningNginx } from '../support/nginx.js';
import { describeWith } from '../support/services.js';
import { StandInService } from '../support/stand-in-service.js';

const BASIC_PLAN = { rateLimit: 5, burstLimit: 10 };
const UNLIMITED = { rateLimit: 100_000, burstLimit: 100_000 };
const KEYS = {
  tg_test_basic: { keyId: 'keybasic01', customerId: 'cus_a', plan: BASIC_PLAN },
  tg_test_slow: {
    keyId: 'keyslow001',
    customerId: 'cus_a',
    plan: { rateLimit: 0.001, burstLimit: 1 },
  },
  tg_test_quota: {
    keyId: 'keyquota01',
    customerId: 'cus_b',
    plan: { ...UNLIMITED, quotaLimit: 1 },
  },
  tg_test_off: { keyId: 'keyoff0001', customerId: 'cus_c', plan: UNLIMITED, isEnabled: false },
  tg_test_open: { keyId: 'keyopen001', customerId: 'cus_d', plan: UNLIMITED },
};
const OPEN = { 'X-Api-Key': 'tg_test_open' };

interface SeenCall {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
}

interface Reply {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

interface LogLine {
  readonly decision: string;
  readonly keyId: string;
  readonly status: string;
  readonly bytesOut: string;
  readonly decisionId: string;
}

describeWith('nginx', 'nginx with the shipped configuration', () => {
  let service: StandInService;
  let application: Server;
  let nginx: RunningNginx;
  const seen: SeenCall[] = [];

  const start = (options: { onFailure?: 'allow' | 'deny'; deadline?: string } = {}) =>
    startNginx({
      tollgateAddress: `127.0.0.1:${service.port}`,
      gatewayToken: service.token,
      apiId: 'petstore01',
      stage: 'prod',
      applicationAddress: `127.0.0.1:${portOf(application)}`,
      deadline: '2s',
      ...options,
    });

  const call = (
    path: string,
    headers: string[] | Record<string, string> = {},
    { method = 'GET', port = nginx.port } = {},
  ): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const request = httpRequest(
        { host: '127.0.0.1', port, path, method, headers },
        (response) => {
          let body = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => (body += chunk));
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

  /** The log once it has a line per call; nginx writes it after the answer. */
  const logOf = async (running: RunningNginx, lines: number): Promise<LogLine[]> => {
    const read = async (): Promise<LogLine[]> => {
      const text = await readFile(running.accessLog, 'utf8');
      return text
        .split('\n')
        .filter(Boolean)
        .map((line): LogLine => JSON.parse(line));
    };
    await vi.waitFor(async () => expect((await read()).length).toBeGreaterThanOrEqual(lines));
    return read();
  };

  beforeAll(async () => {
    application = createServer((request, response) => {
      const { method = '', url = '' } = request;
      const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
      seen.push({ method, url, headers: Object.fromEntries(headers) });
      response.statusCode = url.startsWith('/forbidden') ? 403 : 200;
      response.setHeader('RateLimit', 'of the application');
      response.end('from the application');
    });
    await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
  });

  afterFile(() => application.close());

  beforeEach(async () => {
    seen.length = 0;
    service = await StandInService.start({ keys: KEYS });
    nginx = await start();
  });

  afterEach(async () => {
    await nginx.stop();
    await service.stop();
  });

  it('passes an allowed call on with its identity, limits and path', async () => {
    const reply = await call('/pets/42?q=1', {
      ...OPEN,
      Cookie: 'session=1',
      Authorization: 'Basic x',
    });
    expect(reply).toMatchObject({ status: 200, body: 'from the application' });
    expect(reply.headers).toMatchObject({
      ratelimit: expect.stringMatching(/^"rate";r=\d+;t=1$/),
      'ratelimit-policy': '"rate";q=100000;w=1',
    });
    expect(seen).toEqual([
      {
        method: 'GET',
        url: '/pets/42?q=1',
        headers: expect.objectContaining({
          'x-tollgate-key-id': 'keyopen001',
          'x-tollgate-customer-id': 'cus_d',
          'x-tollgate-decision-id': 'dec_00000000000000000001',
          'x-tollgate-resource-path': '/pets/{petId}',
          'x-real-ip': '127.0.0.1',
          cookie: 'session=1',
          authorization: 'Basic x',
        }),
      },
    ]);
    const asked = service.forwarded[0]!.join(' ');
    expect(asked).not.toMatch(/session=1|Basic x/);
    expect(await logOf(nginx, 1)).toEqual([
      expect.objectContaining({
        decision: 'allowed',
        keyId: 'keyopen001',
        status: '200',
        bytesOut: '20',
      }),
    ]);
  });

  it.each([
    {
      key: undefined,
      status: 403,
      message: 'Forbidden',
      type: 'ForbiddenException',
      retryAfter: undefined,
    },
    {
      key: 'tg_test_unknown',
      status: 403,
      message: 'Forbidden',
      type: 'ForbiddenException',
      retryAfter: undefined,
    },
    {
      key: 'tg_test_off',
      status: 403,
      message: 'Forbidden',
      type: 'ForbiddenException',
      retryAfter: undefined,
    },
    {
      key: 'tg_test_slow',
      status: 429,
      message: 'Too Many Requests',
      type: 'TooManyRequestsException',
      retryAfter: '1000',
    },
    {
      key: 'tg_test_quota',
      status: 429,
      message: 'Limit Exceeded',
      type: 'LimitExceededException',
      retryAfter: '3600',
    },
  ])('answers $status $message for $key as Amazon does', async (row) => {
    const headers: Record<string, string> = row.key === undefined ? {} : { 'X-Api-Key': row.key };
    const passed = row.status === 429 ? 1 : 0;
    for (let first = 0; first < passed; first += 1) await call('/pets', headers);
    const reply = await call('/pets', headers, { method: 'POST' });
    expect(reply).toMatchObject({ status: row.status, body: `{"message":"${row.message}"}` });
    expect(reply.headers['x-amzn-errortype']).toBe(row.type);
    expect(reply.headers['retry-after']).toBe(row.retryAfter);
    expect(reply.headers['content-type']).toBe('application/json');
    expect(reply.headers['ratelimit'] === undefined).toBe(
      row.status === 403 && row.key !== 'tg_test_off',
    );
    expect(seen).toHaveLength(passed);
    const lines = await logOf(nginx, passed + 1);
    expect(lines.at(-1)).toMatchObject({ decision: 'refused', status: String(row.status) });
  });

  it('leaves the application’s own 403 alone', async () => {
    const reply = await call('/forbidden', OPEN);
    expect(reply).toMatchObject({ status: 403, body: 'from the application' });
    expect(await logOf(nginx, 1)).toEqual([expect.objectContaining({ decision: 'allowed' })]);
  });

  it('decides and identifies the same whatever a client claims', async () => {
    await call('/pets/42', OPEN);
    const claims = ['/cheap', '6.6.6.6', 'DELETE', 'spoof', '429'];
    const names = [
      'X-Forwarded-Uri',
      'X-Forwarded-Method',
      'X-Forwarded-For',
      'X-Forwarded-Host',
      'X-Forwarded-Proto',
      'X-Original-Uri',
      'X-Original-URL',
      'X-Original-Method',
      'X-Real-IP',
      'X-Tollgate-Token',
      'X-Tollgate-Key-Id',
      'X-Tollgate-Customer-Id',
      'X-Tollgate-Decision-Id',
      'X-Tollgate-Resource-Path',
      'X-Tollgate-Time',
      'X-Decision-Status',
      'Forwarded',
    ];
    const aliases = names.map((name) => name.replaceAll('-', '_'));
    for (const name of [...names, ...aliases]) {
      for (const value of claims) {
        const twice = ['Host', 'a', name, value, name.toLowerCase(), value];
        await call('/pets/42', [...twice, 'X-Api-Key', 'tg_test_open']);
      }
    }
    const [honest, ...spoofed] = service.asked;
    expect(spoofed).toHaveLength(names.length * 2 * claims.length);
    expect(spoofed.every((asked) => JSON.stringify(asked) === JSON.stringify(honest))).toBe(true);
    const ours = ({ headers }: SeenCall): string =>
      JSON.stringify(
        Object.entries(headers)
          .filter(([name]) => /^x.tollgate|^x.real|^x.forwarded.(for|uri|method|proto)/.test(name))
          .filter(([name]) => name !== 'x-tollgate-decision-id'),
      );
    expect(new Set(seen.map(ours)).size).toBe(1);
    expect(seen.every(({ headers }) => headers['x-tollgate-decision-id']?.startsWith('dec_'))).toBe(
      true,
    );
  });

  it('shows the service the path that the application gets, or neither', async () => {
    const tricks = [
      '/pets/../admin',
      '/pets/%2e%2e/admin',
      '/pets/%2E./admin',
      '/pets/..%2fadmin',
      '/pets/..%2Fadmin',
      '/pets/..;/admin',
      '/pets/.;/x',
      '//pets',
      '/pets//42',
      '/pets/./42',
      '/%70ets/42',
      '/pets/%34%32',
      '/pets/%2534',
      '/pets/%00',
      '/pets/%0a',
      '/pets\\..\\admin',
      '/pets/%5c..%5cadmin',
      '/pets/%',
      '/pets/%zz',
      '/pets/%c0%af',
      '/pets/42%3Fq',
      '/pets/42%23',
      '/PETS/42',
      '/pets/42/',
      '/pets/42;v=1',
      '/..',
      '/../..',
      '/%2e%2e/%2e%2e/etc',
      '/pets/42?x=/../y',
      '/pets?..',
      '/pets/42/..',
      '/./pets',
      '/.',
      '/pets/%20',
      '/pets/+',
      '/pets/~me',
      '/pets/%7Eme',
      '/a'.repeat(2_000),
      '/_tollgate',
      '/%5ftollgate',
    ];
    for (const path of tricks) {
      const before = { asked: service.asked.length, seen: seen.length };
      const { status } = await call(path, OPEN);
      const asked = service.asked.slice(before.asked);
      const passed = seen.slice(before.seen).map(({ url }) => url);
      const agreed = asked.filter(({ isAllowed }) => isAllowed).map((each) => each.path);
      const expected = status === 200 ? [path] : [];
      expect({ path, agreed, passed }).toEqual({ path, agreed: expected, passed: expected });
      expect([200, 400, 403, 404]).toContain(status);
    }
    expect(seen.map(({ url }) => url)).toContain('/pets/42?x=/../y');
    expect(seen.map(({ url }) => url)).not.toContain('/pets/../admin');
  });

  it('refuses a second key, in whatever spelling', async () => {
    for (const [first, second] of [
      ['tg_test_open', 'tg_test_basic'],
      ['tg_test_unknown', 'tg_test_open'],
      ['tg_test_open', ''],
    ]) {
      const headers = ['Host', 'a', 'X-Api-Key', first!, 'x-api-key', second!];
      expect(await call('/pets', headers)).toMatchObject({
        status: 403,
        body: '{"message":"Forbidden"}',
      });
    }
    expect(seen).toEqual([]);
  });

  it('refuses more than 200 headers', async () => {
    const many = Array.from({ length: 300 }, (_, index) => [`X-H${index}`, '1']).flat();
    const reply = await call('/pets', ['Host', 'a', 'X-Api-Key', 'tg_test_open', ...many]);
    expect(reply).toMatchObject({ status: 403, body: '{"message":"Forbidden"}' });
    expect(seen).toEqual([]);
  });

  describe('while the service is away', () => {
    it.each([
      { fault: 'error' as const, why: 'it is broken' },
      { fault: 'hang' as const, why: 'it is slow' },
      { fault: 'stop' as const, why: 'it is gone' },
    ])('keeps calls out by default: $why', async ({ fault }) => {
      const closed = await start({ deadline: '150ms' });
      try {
        if (fault === 'stop') await service.stop();
        else service.fault = fault;
        const reply = await call('/pets', OPEN, closed);
        expect(reply).toMatchObject({ status: 503, body: '{"message":"Service Unavailable"}' });
        expect(reply.headers).toMatchObject({
          'x-amzn-errortype': 'ServiceUnavailableException',
          'retry-after': '1',
        });
        expect(seen).toEqual([]);
        expect(await logOf(closed, 1)).toEqual([
          expect.objectContaining({ decision: 'unavailable' }),
        ]);
      } finally {
        await closed.stop();
      }
    });

    it('lets calls pass unmetered when it was told to', async () => {
      const open = await start({ deadline: '150ms', onFailure: 'allow' });
      try {
        service.fault = 'hang';
        expect((await call('/pets', OPEN, open)).status).toBe(200);
        expect(await logOf(open, 1)).toEqual([
          expect.objectContaining({ decision: 'unavailable', keyId: '', status: '200' }),
        ]);
      } finally {
        await open.stop();
      }
    });

    it('never opens for a wrong token', async () => {
      const open = await startNginx({
        tollgateAddress: `127.0.0.1:${service.port}`,
        gatewayToken: 'wrong',
        apiId: 'petstore01',
        stage: 'prod',
        applicationAddress: `127.0.0.1:${portOf(application)}`,
        onFailure: 'allow',
      });
      try {
        expect((await call('/pets', OPEN, open)).status).toBe(403);
        expect(seen).toEqual([]);
      } finally {
        await open.stop();
      }
    });
  });

  it('passes at most burst + rate × seconds of 1,000 calls, and meters exactly those', async () => {
    const startedAt = Date.now();
    const statuses: number[] = [];
    const client = async (calls: number): Promise<void> => {
      for (let index = 0; index < calls; index += 1) {
        statuses.push((await call(`/pets/${index}`, { 'X-Api-Key': 'tg_test_basic' })).status);
      }
    };
    await Promise.all(Array.from({ length: 20 }, () => client(50)));
    const seconds = (Date.now() - startedAt) / 1_000;
    const passed = statuses.filter((status) => status === 200).length;
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    expect(passed).toBeGreaterThanOrEqual(BASIC_PLAN.burstLimit);
    expect(passed).toBeLessThanOrEqual(BASIC_PLAN.burstLimit + BASIC_PLAN.rateLimit * seconds);
    expect(seen).toHaveLength(passed);
    const lines = await logOf(nginx, 1_000);
    expect(lines.filter(({ decision }) => decision === 'allowed')).toHaveLength(passed);
    await collectOnce({ log: nginx.accessLog, service });
    expect(service.committed('calls', ({ keyId }) => keyId!)).toEqual({ keybasic01: passed });
    expect(service.committed('bytes-out')).toEqual({ all: passed * 20 });
    expect(await nginx.errors()).not.toMatch(/\[(error|crit|alert|emerg)\]/);
  });
});

function portOf(server: Server): number {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  return (server.address() as AddressInfo).port;
}
