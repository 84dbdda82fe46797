import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import {
  createTollgate,
  type Tollgate,
  type TollgateEvent,
  type TollgateOptions,
} from '@core/gateway-plugin';
import express from 'express';
import Fastify from 'fastify';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { StandInService } from '../support/stand-in-service.js';

const BASIC = 'tg_test_basic';
const FREE = 'tg_test_free';
const DISABLED = 'tg_test_disabled';
const OPEN = 'tg_test_open';
const UNLIMITED = { rateLimit: 10_000, burstLimit: 10_000 };

const KEYS = {
  [BASIC]: { keyId: 'keybasic01', customerId: 'cus_a', plan: { rateLimit: 0.001, burstLimit: 3 } },
  [FREE]: { keyId: 'keyfree001', customerId: 'cus_b', plan: { ...UNLIMITED, quotaLimit: 2 } },
  [DISABLED]: { keyId: 'keyoff0001', customerId: 'cus_c', plan: UNLIMITED, isEnabled: false },
  [OPEN]: { keyId: 'keyopen001', customerId: 'cus_d', plan: UNLIMITED },
};

interface Reply {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

interface Gateway {
  readonly tollgate: Tollgate;
  readonly port: number;
  readonly events: TollgateEvent[];
  stop(): Promise<void>;
}

type Serve = (tollgate: Tollgate) => Promise<Server>;

const BIG = 'é'.repeat(300_000);

/** What the small application behind every gateway here answers. */
function appAnswer(path: string, headers: IncomingMessage['headers']): string {
  const identity = Object.entries(headers).filter(([name]) => /^x[-_]tollgate/.test(name));
  return path.startsWith('/big')
    ? BIG
    : JSON.stringify({ path, identity: Object.fromEntries(identity) });
}

const serveNode: Serve = async (tollgate) =>
  createServer(
    tollgate.node((request, response) => {
      const url = request.url ?? '';
      if (url.startsWith('/fail')) response.statusCode = 500;
      if (url.startsWith('/empty')) response.statusCode = 304;
      response.write(appAnswer(url, request.headers));
      response.end();
    }),
  );

const serveExpress: Serve = async (tollgate) => {
  const app = express();
  app.set('env', 'test');
  app.use(tollgate.express());
  app.get('/fail', () => {
    throw new Error('the application broke');
  });
  app.get('/empty', (_request, response) => void response.status(304).end());
  app.use((request, response) => {
    response.send(appAnswer(request.originalUrl, request.headers));
  });
  return createServer(app);
};

const serveFastify: Serve = async (tollgate) => {
  const app = Fastify();
  await app.register(tollgate.fastify);
  app.get('/fail', async () => {
    throw new Error('the application broke');
  });
  app.get('/empty', async (_request, reply) => reply.code(304).send());
  app.all('/*', async (request) => appAnswer(request.originalUrl, request.headers));
  await app.ready();
  return app.server;
};

const running: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop();
});

async function aService(): Promise<StandInService> {
  const service = await StandInService.start({ keys: KEYS });
  running.push(() => service.stop());
  return service;
}

async function aGateway(
  serve: Serve,
  service: StandInService,
  options: Partial<TollgateOptions> = {},
): Promise<Gateway> {
  const events: TollgateEvent[] = [];
  const tollgate = createTollgate({
    url: service.url,
    token: service.token,
    apiId: 'petstore01',
    stage: 'prod',
    deadlineMs: 1_000,
    flushIntervalMs: 50,
    onEvent: (event) => events.push(event),
    ...options,
  });
  const server = await serve(tollgate);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  const { port } = server.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    if (server.listening) {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      await closed;
    }
    await tollgate.close();
  };
  running.push(stop);
  return { tollgate, port, events, stop };
}

function call(
  { port }: Gateway,
  path: string,
  headers: string[] | Record<string, string> = {},
  method = 'GET',
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('end', () => {
        const entries = Object.entries(response.headers).map(([key, value]) => [
          key,
          String(value),
        ]);
        resolve({ status: response.statusCode ?? 0, headers: Object.fromEntries(entries), body });
      });
    });
    request.on('error', reject);
    request.end();
  });
}

async function times<T>(count: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let index = 0; index < count; index += 1) results.push(await work());
  return results;
}

describe.each([
  { name: 'node:http', serve: serveNode },
  { name: 'Express 5', serve: serveExpress },
  { name: 'Fastify 5', serve: serveFastify },
])('the plugin on $name', ({ serve }) => {
  it('lets a call pass with its limits, and meters it', async () => {
    const service = await aService();
    const gateway = await aGateway(serve, service);
    const reply = await call(gateway, '/pets/42?secret=1', { 'x-api-key': BASIC });
    expect(reply.status).toBe(200);
    expect(reply.headers).toMatchObject({
      ratelimit: '"key";r=2;t=0',
      'ratelimit-policy': '"key";q=0',
    });
    await gateway.stop();
    expect(service.asked).toEqual([
      { apiKey: BASIC, method: 'GET', path: '/pets/42', sourceIp: '127.0.0.1', isAllowed: true },
    ]);
    expect(service.records()).toEqual([
      expect.objectContaining({
        keyId: 'keybasic01',
        resourcePath: '/pets/{petId}',
        statusClass: '2xx',
        quantities: { calls: '1', 'bytes-out': String(Buffer.byteLength(reply.body)) },
      }),
    ]);
  });

  it('answers refusals in Amazon’s words and meters none of them', async () => {
    const service = await aService();
    const gateway = await aGateway(serve, service);
    for (const key of [undefined, 'tg_test_unknown', DISABLED]) {
      const reply = await call(gateway, '/pets', key === undefined ? {} : { 'x-api-key': key });
      expect(reply).toMatchObject({ status: 403, body: '{"message":"Forbidden"}' });
      expect(reply.headers).toMatchObject({
        'x-amzn-errortype': 'ForbiddenException',
        'content-type': expect.stringContaining('application/json'),
      });
    }
    const twoKeys = await call(gateway, '/pets', [
      'Host',
      'a',
      'X-Api-Key',
      BASIC,
      'X-API-Key',
      FREE,
    ]);
    expect(twoKeys.status).toBe(403);
    const throttled = await times(4, () => call(gateway, '/pets', { 'x-api-key': BASIC }));
    expect(throttled.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(throttled[3]).toMatchObject({
      body: '{"message":"Too Many Requests"}',
      headers: {
        'x-amzn-errortype': 'TooManyRequestsException',
        'retry-after': expect.stringMatching(/^(999|1000)$/),
      },
    });
    const overQuota = await times(3, () => call(gateway, '/pets', { 'x-api-key': FREE }));
    expect(overQuota[2]).toMatchObject({
      status: 429,
      body: '{"message":"Limit Exceeded"}',
      headers: { 'x-amzn-errortype': 'LimitExceededException', 'retry-after': '3600' },
    });
    await gateway.stop();
    // A call without a key needs no answer of the service.
    expect(service.asked).toHaveLength(2 + 4 + 3);
    expect(service.committed('calls', ({ keyId }) => keyId!)).toEqual({
      keybasic01: 3,
      keyfree001: 2,
    });
  });

  it('gives the application the decision’s identity and no other', async () => {
    const service = await aService();
    const gateway = await aGateway(serve, service);
    const reply = await call(gateway, '/who', {
      'x-api-key': OPEN,
      'X-Tollgate-Customer-Id': 'cus_spoof',
      'X-Tollgate-Role': 'owner',
      X_Tollgate_Key_Id: 'spoof',
      'X-Forwarded-For': '6.6.6.6',
      'X-Real-IP': '6.6.6.6',
      'X-Original-Uri': '/cheap',
    });
    expect(JSON.parse(reply.body).identity).toEqual({
      'x-tollgate-key-id': 'keyopen001',
      'x-tollgate-customer-id': 'cus_d',
      'x-tollgate-decision-id': 'dec_00000000000000000001',
      'x-tollgate-resource-path': '/{proxy+}',
    });
    expect(service.asked[0]).toMatchObject({ path: '/who', sourceIp: '127.0.0.1' });
  });

  it('counts the body as sent, none for HEAD and 304, also when the application fails', async () => {
    const service = await aService();
    const gateway = await aGateway(serve, service, { protocol: 'HTTP' });
    const headers = { 'x-api-key': OPEN };
    await call(gateway, '/big', headers);
    await call(gateway, '/big', headers, 'HEAD');
    await call(gateway, '/empty', headers);
    const failed = await call(gateway, '/fail', headers);
    await gateway.stop();
    const sums = (meter: string): Record<string, number> =>
      service.committed(meter, ({ method, statusClass }) => `${method} ${statusClass}`);
    expect(sums('calls')).toEqual({ 'GET 2xx': 1, 'HEAD 2xx': 1, 'GET 3xx': 1, 'GET 5xx': 1 });
    expect(sums('bytes-out')).toEqual({
      'GET 2xx': 600_000,
      'HEAD 2xx': 0,
      'GET 3xx': 0,
      'GET 5xx': Buffer.byteLength(failed.body),
    });
    expect(sums('http-units')).toEqual({
      'GET 2xx': 2,
      'HEAD 2xx': 1,
      'GET 3xx': 1,
      'GET 5xx': 1,
    });
  });

  it('meters as many calls as passed, in numbered batches', async () => {
    const service = await aService();
    const gateway = await aGateway(serve, service);
    const replies = await Promise.all(
      Array.from({ length: 300 }, (_, index) =>
        call(gateway, `/pets/${index}`, { 'x-api-key': index % 3 === 0 ? BASIC : OPEN }),
      ),
    );
    await gateway.stop();
    const passed = replies.filter(({ status }) => status === 200).length;
    expect(passed).toBe(200 + 3);
    expect(service.committed('calls')).toEqual({ all: passed });
    expect(service.gaps()).toEqual([]);
  });

  it.each([
    { onFailure: 'deny' as const, fault: 'hang' as const, status: 503 },
    { onFailure: 'deny' as const, fault: 'error' as const, status: 503 },
    { onFailure: 'allow' as const, fault: 'hang' as const, status: 200 },
  ])('answers $status by $onFailure when the service does $fault', async (row) => {
    const service = await aService();
    const { onFailure, fault, status } = row;
    const gateway = await aGateway(serve, service, { onFailure, deadlineMs: 60 });
    service.fault = fault;
    const replies = await times(8, () => call(gateway, '/pets', { 'x-api-key': OPEN }));
    expect(replies.map((reply) => reply.status)).toEqual(Array(8).fill(status));
    const away = gateway.events.filter(({ type }) => type === 'service-away');
    expect(away).toEqual([{ type: 'service-away', cause: expect.stringMatching(/answer|500/) }]);
    service.fault = 'none';
    await expect
      .poll(async () => {
        const { status: recovered } = await call(gateway, '/pets', { 'x-api-key': OPEN });
        return { recovered, isAway: gateway.tollgate.stats().isServiceAway };
      })
      .toEqual({ recovered: 200, isAway: false });
  });
});

describe('the plugin', () => {
  it('meters calls allowed by onFailure when it has seen the key before', async () => {
    const service = await aService();
    const gateway = await aGateway(serveNode, service, { onFailure: 'allow', deadlineMs: 60 });
    await call(gateway, '/pets', { 'x-api-key': OPEN });
    await gateway.tollgate.flush();
    service.fault = 'hang';
    await call(gateway, '/pets', { 'x-api-key': OPEN });
    service.fault = 'error';
    await call(gateway, '/pets', { 'x-api-key': 'tg_test_never_seen' });
    expect(gateway.tollgate.stats()).toMatchObject({ unavailableAllowed: 2, unmetered: 1 });
    service.fault = 'none';
    await gateway.stop();
    expect(service.committed('calls')).toEqual({ all: 2 });
  });

  it('never opens the gate for a wrong token', async () => {
    const service = await aService();
    const gateway = await aGateway(serveNode, service, { token: 'wrong', onFailure: 'allow' });
    const reply = await call(gateway, '/pets', { 'x-api-key': OPEN });
    expect(reply).toMatchObject({ status: 403, body: '{"message":"Forbidden"}' });
    expect(gateway.events).toContainEqual({ type: 'question-refused', status: 401 });
  });

  it('stamps usage with the account’s clock, or its own when only the network is between', async () => {
    const service = await aService();
    const gateway = await aGateway(serveNode, service);
    const yearMs = 365 * 86_400_000;
    for (const offset of [1_000, yearMs]) {
      service.clockOffsetMs = offset;
      await call(gateway, '/pets', { 'x-api-key': OPEN });
    }
    const now = Date.now();
    await gateway.stop();
    const agesMs = service.records().map(({ at }) => Date.parse(at!) - now);
    expect(agesMs).toHaveLength(2);
    expect(agesMs[0]).toBeLessThanOrEqual(0);
    expect(agesMs[1]).toBeGreaterThan(yearMs - 61_000);
  });

  it('counts bytes after an encoding that was mounted behind it', async () => {
    const service = await aService();
    const gzipped = gzipSync(BIG);
    const serveGzip: Serve = async (tollgate) =>
      createServer(tollgate.node((_request, response) => response.end(gzipped)));
    const gateway = await aGateway(serveGzip, service);
    await call(gateway, '/big', { 'x-api-key': OPEN });
    await gateway.stop();
    expect(service.committed('bytes-out')).toEqual({ all: gzipped.byteLength });
  });

  it('waits for calls that are still open when it closes', async () => {
    const service = await aService();
    let finish = (): void => undefined;
    const serveSlow: Serve = async (tollgate) =>
      createServer(
        tollgate.node((_request, response) => {
          finish = () => response.end('late');
        }),
      );
    const gateway = await aGateway(serveSlow, service);
    const reply = call(gateway, '/pets', { 'x-api-key': OPEN });
    await vi.waitFor(() => expect(gateway.tollgate.stats().allowed).toBe(1));
    const closed = gateway.tollgate.close();
    finish();
    await Promise.all([reply, closed]);
    expect(service.committed('calls')).toEqual({ all: 1 });
  });

  it('names every wrong option at once', () => {
    expect(() =>
      createTollgate({ url: 'ftp://x', token: '', apiId: 'a', stage: 's', deadlineMs: 0 }),
    ).toThrow('url: an http(s) URL; token: a text; deadlineMs: a number above 0');
  });
});
