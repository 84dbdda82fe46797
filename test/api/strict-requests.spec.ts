import { createServer, type Server } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { documentedRoutes, pathOf, type Route } from '../support/openapi-routes.js';
import { callRaw, readAnswer, sendRaw, type RawAnswer } from '../support/raw-http.js';

let api: TestApi;
let routes: readonly Route[];
let authorization: readonly [string, string];
beforeAll(async () => {
  api = await startApi();
  routes = await documentedRoutes(api);
  authorization = ['Authorization', `Bearer ${api.ownerToken}`];
});

const JSON_TYPE = ['Content-Type', 'application/json'] as const;

/** A request as it is written; `\n` stands for itself. */
const raw = async (...lines: string[]): Promise<RawAnswer> =>
  readAnswer(await sendRaw(api.url, lines.join('\r\n')));

const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};

const securityHeadersOf = ({ header }: RawAnswer) => ({
  ...Object.fromEntries(Object.keys(SECURITY_HEADERS).map((name) => [name, header(name)])),
  server: header('server'),
  'x-powered-by': header('x-powered-by'),
});
const ALL_HEADERS = { ...SECURITY_HEADERS, server: null, 'x-powered-by': null };

/** An answer as far as every problem is alike. */
const seen = (answer: RawAnswer) => ({
  status: answer.status,
  type: answer.header('content-type'),
  headers: securityHeadersOf(answer),
  problem: parsed(answer.body),
});

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

/** What every refusal looks like, whoever made it. */
const problem = (status: number) => ({
  status,
  type: 'application/problem+json; charset=utf-8',
  headers: ALL_HEADERS,
  problem: expect.objectContaining({
    type: expect.stringContaining('https://'),
    title: expect.any(String),
    status,
    detail: expect.any(String),
    instance: expect.stringMatching(/^urn:request:/),
  }),
});

describe('requests that servers read in two ways', () => {
  const POST = 'POST /v1/apis HTTP/1.1';
  const HOST = 'Host: tollgate.test';
  const TYPE = 'Content-Type: application/json';
  it.each([
    {
      why: 'both a length and chunks',
      lines: [POST, HOST, TYPE, 'Content-Length: 5', 'Transfer-Encoding: chunked', '', '0', '', ''],
    },
    {
      why: 'two lengths',
      lines: [POST, HOST, TYPE, 'Content-Length: 2', 'Content-Length: 3', '', '{}x'],
    },
    { why: 'a list of lengths', lines: [POST, HOST, TYPE, 'Content-Length: 2, 2', '', '{}'] },
    { why: 'a signed length', lines: [POST, HOST, TYPE, 'Content-Length: +2', '', '{}'] },
    {
      why: 'a space before the colon',
      lines: [POST, HOST, TYPE, 'Transfer-Encoding : chunked', '', '0', '', ''],
    },
    {
      why: 'chunks within an unknown coding',
      lines: [POST, HOST, TYPE, 'Transfer-Encoding: chunked, x', '', '0', '', ''],
    },
    { why: 'bare line feeds', lines: [`GET /health/live HTTP/1.1\nHost: a\n\n`] },
    { why: 'a folded header', lines: [`GET /health/live HTTP/1.1`, HOST, 'X-A: b', ' c', '', ''] },
    { why: 'NUL in a header', lines: [`GET /health/live HTTP/1.1`, HOST, 'X-A: b\0c', '', ''] },
    { why: 'a space in the target', lines: ['GET /health /live HTTP/1.1', HOST, '', ''] },
    { why: 'another protocol', lines: ['GET /health/live FTP/1.1', HOST, '', ''] },
    {
      why: 'two Hosts',
      lines: ['GET /health/live HTTP/1.1', HOST, 'Host: evil', 'Connection: close', '', ''],
    },
  ])('are refused with 400: $why', async ({ lines }) => {
    expect(seen(await raw(...lines))).toEqual(problem(400));
  });

  it('are refused with 400: a header twice that says who asks', async () => {
    for (const name of ['Authorization', 'authorization', 'X-Tollgate-Token', 'X-Api-Key']) {
      const fields = [authorization, [name, 'Bearer x'], [name, 'Bearer y']] as const;
      expect(seen(await callRaw(api.url, { target: '/v1/apis', fields }))).toEqual(problem(400));
    }
    const fields = [authorization, JSON_TYPE, ['Content-Type', 'text/plain']] as const;
    expect(
      seen(await callRaw(api.url, { method: 'POST', target: '/v1/apis', fields, body: '{}' })),
    ).toEqual(problem(400));
  });

  it('never smuggle a second one: the connection is closed behind the first', async () => {
    const received = await sendRaw(
      api.url,
      [
        'POST /v1/apis HTTP/1.1',
        'Host: a',
        'Content-Length: 6',
        'Transfer-Encoding: chunked',
        '',
        '0',
        '',
        'GET /health/live HTTP/1.1',
        'Host: a',
        '',
        '',
      ].join('\r\n'),
    );
    expect(received.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 400']);
  });
});

describe('targets', () => {
  it('in absolute form are read by their path alone, and pass the same guard', async () => {
    const ask = (target: string, fields: readonly (readonly [string, string])[] = []) =>
      callRaw(api.url, { target, fields });
    expect((await ask('http://evil.test/health/live')).status).toBe(200);
    expect((await ask('http://evil.test/v1/apis')).status).toBe(401);
    expect((await ask('http://evil.test/v1/apis', [authorization])).status).toBe(200);
    expect((await ask('http://evil.test/v1/forward-auth/path/a/b')).status).toBe(404);
  });

  it('of every route, written in another way, are the same route or none', async () => {
    const wrong: string[] = [];
    for (const route of routes.filter(({ path }) => !path.includes('forward-auth'))) {
      const path = pathOf(route, {});
      // Public keys are anybody's; all else asks for a token.
      const plain = (await callRaw(api.url, { method: route.method, target: path })).status;
      const encoded = path.replace(
        /^\/v1\/(.)/,
        (_, letter: string) => `/v1/%${letter.charCodeAt(0).toString(16)}`,
      );
      for (const target of [
        encoded,
        `/${path}`,
        path.replace('/v1', '/v1/'),
        path.replace('/v1', '/V1'),
        `${path}/`,
        `${path};x`,
        `${path}%20`,
        `${path}%2f`,
        `/x/..${path}`,
        `/v1/./${path.slice(4)}`,
        `${path}.json`,
        `${path}#`,
        `${path}%3f`,
      ]) {
        const { status } = await callRaw(api.url, { method: route.method, target });
        // Nobody is let in: an id of one more character is an id, and asks for a token like all.
        if ([401, 404, 400, plain].includes(status)) continue;
        wrong.push(`${route.method} ${target} → ${status}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('are refused with 414 above 8 KiB, 400 with NUL, 404 where no route is', async () => {
    const get = (target: string) => callRaw(api.url, { target, fields: [authorization] });
    expect(seen(await get(`/v1/apis?cursor=${'x'.repeat(8 * 1024)}`))).toEqual(problem(414));
    expect(seen(await get('/v1/apis/%00'))).toEqual(problem(400));
    expect(seen(await get('/v1/apis/%zz'))).toEqual(problem(400));
    expect(seen(await get('/nothing'))).toEqual(problem(404));
    expect(seen(await get('/v1/nothing'))).toEqual(problem(404));
    expect(seen(await get(`/v1/apis/${'x'.repeat(300)}`))).toEqual(problem(414));
  });
});

describe('verbs', () => {
  it.each(['TRACE', 'PROPFIND', 'QUERY', 'LINK', 'PURGE', 'SEARCH', 'UNLOCK'])(
    'refuses %s everywhere',
    async (method) => {
      for (const target of [
        '/v1/apis',
        '/v1/decisions',
        '/health/live',
        '/nothing',
        '/openapi.json',
      ]) {
        const answer = await callRaw(api.url, { method, target, fields: [authorization] });
        expect(seen(answer)).toEqual(problem(answer.status === 400 ? 400 : 404));
        expect(answer.body).not.toContain(api.ownerToken);
      }
    },
  );

  it.each(['BREW', 'get', 'GETT'])('refuses %s, which is none', async (method) => {
    expect(seen(await callRaw(api.url, { method, target: '/v1/apis' }))).toEqual(problem(400));
  });

  it('opens no tunnel', async () => {
    expect(await sendRaw(api.url, 'CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n')).toBe('');
  });
});

describe('headers', () => {
  it('are refused with 431 above 16 KiB, and above 200 of them', async () => {
    const fields = [['X-Large', 'x'.repeat(16 * 1024)]] as const;
    expect(seen(await callRaw(api.url, { target: '/health/live', fields }))).toEqual(problem(431));
    const many = Array.from({ length: 201 }, (_, i) => [`X-${i}`, '1'] as const);
    expect(seen(await callRaw(api.url, { target: '/v1/apis', fields: many }))).toEqual(
      problem(431),
    );
    expect(
      seen(await callRaw(api.url, { method: 'POST', target: '/v1/decisions', fields: many })),
    ).toEqual(problem(431));
  });

  it('of security are on every answer, good or bad', async () => {
    for (const target of ['/health/live', '/health/ready', '/openapi.json', '/v1/apis', '/x']) {
      expect(
        securityHeadersOf(await callRaw(api.url, { target, fields: [authorization] })),
      ).toEqual(ALL_HEADERS);
      expect(securityHeadersOf(await callRaw(api.url, { target }))).toEqual(ALL_HEADERS);
    }
    const docs = await callRaw(api.url, { target: '/docs' });
    expect(docs.header('x-content-type-options')).toBe('nosniff');
    expect(docs.header('referrer-policy')).toBe('no-referrer');
  });
});

describe('bodies', () => {
  /** Every route that takes a body, with the token it takes it from. */
  const takers = () =>
    routes
      .filter(
        ({ method, path }) =>
          method !== 'GET' && method !== 'DELETE' && !path.includes('forward-auth'),
      )
      .map((route) => {
        const isHot = /^\/v1\/(decisions|events|usage\/batches)$/.test(route.path);
        const token = isHot ? api.gatewayToken : api.ownerToken;
        return {
          route,
          target: pathOf(route, {}),
          bearer: ['Authorization', `Bearer ${token}`] as const,
        };
      });

  it('of another type or coding are refused with 415', async () => {
    const wrong: string[] = [];
    for (const { route, target, bearer } of takers()) {
      for (const fields of [
        [['Content-Type', 'text/plain']],
        [['Content-Type', 'multipart/form-data; boundary=a']],
        [['Content-Type', 'application/jsonx']],
        [['Content-Type', 'x']],
        [],
        [JSON_TYPE, ['Content-Encoding', 'gzip']],
        [JSON_TYPE, ['Content-Encoding', 'br, gzip']],
        [JSON_TYPE, ['Content-Encoding', 'nobody-knows']],
      ] as (readonly [string, string])[][]) {
        const answer = await callRaw(api.url, {
          method: route.method,
          target,
          fields: [bearer, ...fields],
          body: '{}',
        });
        // Usage may be packed, and this body is not what it says.
        const isUsage = ['/v1/usage/batches', '/v1/events'].includes(route.path);
        const isPacked = isUsage && fields.at(-1)?.[1] === 'gzip';
        if (answer.status === (isPacked ? 400 : 415)) continue;
        wrong.push(`${route.name} ${fields.join('; ')} → ${answer.status}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('of 10 MB are refused with 413, whether their length is told or not, and are not kept', async () => {
    const wrong: string[] = [];
    const body = `{"name":"${'x'.repeat(10 * 1024 * 1024)}"}`;
    const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    const before = process.memoryUsage().arrayBuffers;
    for (const { route, target, bearer } of takers()) {
      const told = await callRaw(api.url, {
        method: route.method,
        target,
        fields: [bearer, JSON_TYPE],
        body,
      });
      const head = `${route.method} ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${bearer.join(': ')}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
      const untold = readAnswer(await sendRaw(api.url, head + chunked));
      for (const { status } of [told, untold]) {
        if (status !== 413) wrong.push(`${route.name} → ${status}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
  });

  it('that are broken or deep are refused with 400', async () => {
    for (const body of [
      '{',
      '{"a":1,}',
      "{'a':1}",
      '\xff',
      '['.repeat(100_000),
      '{"a":'.repeat(40),
    ]) {
      const call = { method: 'POST', target: '/v1/apis', fields: [authorization, JSON_TYPE], body };
      expect(seen(await callRaw(api.url, call))).toEqual(problem(400));
    }
  });
});

describe('slow requests', () => {
  it('are cut off: the server bounds the time of headers, of a whole request and of silence', () => {
    const server: Server = api.app.getHttpServer();
    const { headersTimeout, requestTimeout, keepAliveTimeout } = server;
    expect({ headersTimeout, requestTimeout, keepAliveTimeout }).toEqual({
      headersTimeout: 10_000,
      requestTimeout: 60_000,
      keepAliveTimeout: 72_000,
    });
    // Zero is Node's "no limit", which a server can fall back to by passing it on.
    expect(createServer().requestTimeout).toBeGreaterThan(0);
    expect(server.maxHeadersCount).toBe(0);
  });
});
