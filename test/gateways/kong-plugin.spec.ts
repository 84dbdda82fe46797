import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { freePort } from '../../scripts/free-port.mjs';
import {
  describeWithNginxLua,
  LUA_LIBRARY,
  runNginxLua,
  type RunningNginxLua,
} from '../support/nginx-lua.js';
import { DECISION_ID, StrictLender } from '../support/strict-lender.js';

const PLUGIN = fileURLToPath(new URL('../../gateways/kong', import.meta.url));
const FAKE = fileURLToPath(new URL('kong', import.meta.url));

interface Reply {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

// Kong itself is not on this machine: what it does with the plugin is done by fake_kong.lua.
describeWithNginxLua('the Kong plugin, under a stand-in for Kong', () => {
  let service: StrictLender;
  let application: Server;
  let nginx: RunningNginxLua;
  let seen: Record<string, unknown>[];

  const call = (headers: string[], path = '/pets/42'): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const request = httpRequest(
        { host: '127.0.0.1', port: nginx.port, path, headers: ['Host', 'a', ...headers] },
        (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
          response.on('end', () => {
            const fields = Object.entries(response.headers);
            resolve({
              status: response.statusCode ?? 0,
              headers: Object.fromEntries(fields.map(([name, value]) => [name, String(value)])),
              body,
            });
          });
        },
      );
      request.on('error', reject).end();
    });

  const config = (port: number, backend: number) => `
lua_package_path "${LUA_LIBRARY}/?.lua;${PLUGIN}/?.lua;${FAKE}/?.lua;;";
lua_shared_dict tollgate 16m;
lua_shared_dict tollgate_units 16m;
lua_socket_log_errors off;
init_by_lua_block {
  fake = require "fake_kong"
  handler = require "kong.plugins.tollgate.handler"
  conf = fake.config { url = "${service.url}", token = "${service.token}", api_id = "${service.apiId}", stage = "prod", deadline_ms = 2000 }
  other = fake.config { url = "${service.url}", token = "another", api_id = "${service.apiId}", stage = "prod" }
}
init_worker_by_lua_block { handler:configure({ conf }) }
server {
  listen 127.0.0.1:${port};
  header_filter_by_lua_block { handler:header_filter(conf) }
  log_by_lua_block { handler:log(conf) }
  location / { access_by_lua_block { handler:access(conf) } proxy_pass http://127.0.0.1:${backend}; }
  location /other { access_by_lua_block { handler:access(other) } proxy_pass http://127.0.0.1:${backend}; }
  location /schema { content_by_lua_block {
    local ok, fault = pcall(fake.config, require("cjson").decode(ngx.req.get_uri_args().of))
    ngx.print(ok and "accepted" or fault)
  } }
}`;

  beforeEach(async () => {
    seen = [];
    application = createServer((request, response) => {
      seen.push(request.headers);
      response.setHeader('RateLimit', 'of the application');
      response.end('from the application');
    });
    await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
    service = await StrictLender.start();
    service.keys.set('open', {
      keyId: 'keyopen001',
      throttle: { rateLimit: 1_000, burstLimit: 1_000 },
    });
    const port = await freePort();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
    const { port: backend } = application.address() as AddressInfo;
    nginx = await runNginxLua(config(port, backend), port);
  });
  afterEach(async () => {
    service.fault = 'none';
    await nginx.stop();
    await service.stop();
    application.close();
    if (service.broken.length > 0) throw new Error(service.broken.join('; '));
  });

  /** Calls until the key is decided here. */
  const warm = (apiKey: string) =>
    vi.waitFor(async () => {
      const before = service.decisions.length;
      await call(['X-Api-Key', apiKey], '//');
      expect(service.decisions.length).toBe(before);
      expect(service.questions.some((question) => 'seen' in question)).toBe(true);
    });

  it('passes a key with its identity, and answers for the limits itself', async () => {
    await warm('open');
    const asked = service.decisions.length;
    const spoofed = ['X-Tollgate-Key-Id', 'spoofed', 'X-Tollgate-Other', 'spoofed'];
    const reply = await call(['X-Api-Key', 'open', ...spoofed]);
    expect(reply).toMatchObject({ status: 200, body: 'from the application' });
    expect(reply.headers['ratelimit-policy']).toBe('"key";q=1000;w=1');
    expect(reply.headers['ratelimit']).toMatch(/^"key";r=9\d\d;t=0$/);
    expect(seen.at(-1)).toMatchObject({
      'x-tollgate-key-id': 'keyopen001',
      'x-tollgate-customer-id': 'cus_keyopen001',
      'x-tollgate-resource-path': '/{proxy+}',
    });
    expect(seen.at(-1)?.['x-tollgate-other']).toBeUndefined();
    expect(seen.at(-1)?.['x-api-key']).toBeUndefined();
    expect(service.decisions.length).toBe(asked);
  });

  it('refuses as Amazon does', async () => {
    service.keys.set('one', { keyId: 'keyone0001', quota: 1 });
    await warm('one');
    const replies = [];
    for (let calls = 0; calls < 2; calls += 1) replies.push(await call(['X-Api-Key', 'one']));
    expect(replies.map(({ status }) => status)).toEqual([200, 429]);
    expect(replies[1]?.body).toBe('{"message":"Limit Exceeded"}');
    expect(replies[1]?.headers).toMatchObject({
      'x-amzn-errortype': 'LimitExceededException',
      'content-type': 'application/json',
    });
    for (const headers of [
      [],
      ['X-Api-Key', 'nobody'],
      ['X-Api-Key', 'open', 'x-api-key', 'one'],
    ]) {
      expect(await call(headers)).toMatchObject({ status: 403, body: '{"message":"Forbidden"}' });
    }
    expect(seen).toHaveLength(1);
  });

  it('keeps calls out that are configured for another token in the same memory', async () => {
    expect((await call(['X-Api-Key', 'open'], '/other')).status).toBe(503);
    expect(seen).toEqual([]);
  });

  it('meters each call once through the queue, and sends the same bytes until they are taken', async () => {
    service.options = { onFailure: 'allow' };
    await warm('open');
    service.fault = 'drop-answer';
    await Promise.all(Array.from({ length: 30 }, () => call(['X-Api-Key', 'open'])));
    await vi.waitFor(() => expect(service.batches.size).toBeGreaterThan(0), { timeout: 5_000 });
    await Promise.all(Array.from({ length: 20 }, () => call(['X-Api-Key', 'open'])));
    service.fault = 'none';
    await Promise.all(Array.from({ length: 10 }, () => call(['X-Api-Key', 'open'])));
    await vi.waitFor(() => expect(service.calls()).toBe(seen.length), { timeout: 5_000 });
    expect(seen).toHaveLength(60);
    const decidedHere = seen.filter((headers) => headers['x-tollgate-decision-id'] !== DECISION_ID);
    expect(decidedHere.length).toBeGreaterThan(0);
    expect(service.allowed()).toBe(decidedHere.length);
  });

  it.each([
    { of: { url: 'http://a', token: 't', api_id: 'a', stage: 'b' }, says: 'accepted' },
    { of: { url: 'http://a', token: 't', api_id: 'a' }, says: 'stage is required' },
    {
      of: { url: 'http://a', token: 't', api_id: 'a', stage: 'b', on_failure: 'open' },
      says: 'on_failure is not one of its choices',
    },
    { of: { url: 'http://a', token: 't', api_id: 'a', stage: 'b', x: 1 }, says: 'x is no field' },
  ])('takes a configuration, or says what is wrong: $says', async ({ of, says }) => {
    const query = new URLSearchParams({ of: JSON.stringify(of) }).toString();
    expect((await call([], `/schema?${query}`)).body).toContain(says);
  });
});
