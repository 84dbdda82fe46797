import { status } from '@grpc/grpc-js';
import { Authenticator } from '@io/identity';
import { DecisionService, QuotaAuthority } from '@io/limits';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { CheckResponses } from '../../apps/api/src/envoy/check-response.js';
import { RateLimitResponses } from '../../apps/api/src/envoy/rate-limit-response.js';
import { afterFile } from '../support/after-file.js';
import { EnvoyPort } from '../../apps/api/src/envoy/envoy-port.js';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue, type CatalogueOptions } from '../support/catalogue.js';
import {
  checkRequest,
  EnvoyClient,
  type CheckResponse,
  type EnvoyCall,
  type HeaderValue,
  type HeaderValueOption,
  type TextStruct,
} from '../support/envoy.js';

let api: TestApi;
let envoy: EnvoyClient;
const clients: EnvoyClient[] = [];

const client = (token: string | null, { app } = api) => {
  const made = new EnvoyClient(`127.0.0.1:${app.get(EnvoyPort).port}`, token);
  clients.push(made);
  return made;
};

beforeAll(async () => {
  api = await startApi({ GRPC_PORT: '0' });
  envoy = client(api.gatewayToken);
});
afterFile(() => clients.forEach((each) => each.close()));
afterEach(() => vi.restoreAllMocks());

const plain = (headers: readonly HeaderValue[] = []) =>
  Object.fromEntries(headers.map(({ key, value }) => [key, value]));
const options = (headers: readonly HeaderValueOption[] = []) =>
  plain(headers.map(({ header }) => header));
const texts = (struct: TextStruct | null) =>
  Object.fromEntries(
    Object.entries(struct?.fields ?? {}).map(([name, { stringValue }]) => [name, stringValue]),
  );

const denial = (code: number, status: string, message: string, type: string) => ({
  code,
  status,
  body: `{"message":"${message}"}`,
  type,
  contentType: 'application/json; charset=utf-8',
  saysWhenToRetry: status === 'TooManyRequests',
});
const FORBIDDEN = denial(7, 'Forbidden', 'Forbidden', 'ForbiddenException');
const THROTTLED = denial(8, 'TooManyRequests', 'Too Many Requests', 'TooManyRequestsException');
const EXCEEDED = denial(8, 'TooManyRequests', 'Limit Exceeded', 'LimitExceededException');

/** What Envoy sends the client of a call that was not let pass; null of one that was. */
function denialOf({ status, denied_response }: CheckResponse) {
  if (!denied_response) return null;
  const headers = options(denied_response.headers);
  return {
    code: status?.code,
    status: denied_response.status.code,
    body: denied_response.body,
    type: headers['x-amzn-errortype'],
    contentType: headers['content-type'],
    saysWhenToRetry: /^[1-9]\d*$/.test(headers['retry-after'] ?? ''),
  };
}

const contextOf = ({ apiId, stage }: Catalogue) => ({ api: apiId, stage });

describe('Authorization/Check', () => {
  const check = (catalogue: Catalogue, { headers, context, ...call }: EnvoyCall = {}) =>
    envoy.check(
      checkRequest({
        headers: { 'x-api-key': catalogue.apiKey, 'user-agent': 'curl/8', ...headers },
        context: { ...contextOf(catalogue), ...context },
        ...call,
      }),
    );

  it('lets a call pass with its identity, its limits and what the access log needs', async () => {
    const known = await aCatalogue(api, {
      throttle: { rateLimit: 5, burstLimit: 10 },
      quota: { limit: 100, period: 'DAY' },
    });
    const answer = await check(known, { path: '/pets/42?q=1' });
    expect(answer.status).toEqual({ code: 0, message: '' });
    expect(answer.http_response).toBe('ok_response');
    const { headers, headers_to_remove, response_headers_to_add } = answer.ok_response!;
    const told = options(headers);
    expect(told).toEqual({
      'x-tollgate-key-id': known.keyId,
      'x-tollgate-customer-id': known.customerId,
      'x-tollgate-decision-id': expect.stringMatching(/^dec_\w+$/),
      'x-tollgate-resource-path': '/pets/{petId}',
      'x-tollgate-time': expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    expect(headers_to_remove).toEqual(['x-tollgate-shadowed', 'x-tollgate-token']);
    expect(options(response_headers_to_add)).toEqual({
      'ratelimit-policy': '"key";q=10;w=2, "quota";q=100;w=86400',
      ratelimit: expect.stringMatching(/^"key";r=9;t=0, "quota";r=99;t=\d+$/),
    });
    expect(texts(answer.dynamic_metadata)).toEqual({
      decision: 'allowed',
      decisionId: told['x-tollgate-decision-id'],
      keyId: known.keyId,
      customerId: known.customerId,
      apiId: known.apiId,
      stage: 'prod',
      resourcePath: '/pets/{petId}',
      tollgateTime: told['x-tollgate-time'],
    });
  });

  it('replaces what a client or a backend says, in the old words and the new', async () => {
    const { ok_response } = await check(await aCatalogue(api));
    const { headers, response_headers_to_add } = ok_response!;
    for (const { append, append_action } of [...headers, ...response_headers_to_add]) {
      expect({ append, append_action }).toEqual({
        append: { value: false },
        append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
      });
    }
  });

  it('takes every spelling of the gateway’s own headers from a client, and never its own', async () => {
    const forged = {
      'x-tollgate-key-id': 'spoof',
      'x-tollgate-token': 'spoof',
      'x-tollgate-usage-plan-id': 'spoof',
      x_tollgate_key_id: 'spoof',
      'x-tollgate_customer_id': 'spoof',
    };
    const { ok_response } = await check(await aCatalogue(api), { headers: forged });
    const { headers, headers_to_remove } = ok_response!;
    const set = Object.keys(options(headers));
    // Envoy sets first and removes after: a name on both lists would reach the upstream empty.
    expect(headers_to_remove.filter((name) => set.includes(name))).toEqual([]);
    for (const name of Object.keys(forged)) expect([...set, ...headers_to_remove]).toContain(name);
  });

  it.each<{ why: string; options?: CatalogueOptions; call: (known: Catalogue) => EnvoyCall }>([
    { why: 'no key', call: () => ({ headers: { 'x-api-key': '' } }) },
    { why: 'an unknown key', call: () => ({ headers: { 'x-api-key': 'tg_test_x' } }) },
    {
      why: 'two keys, joined',
      call: ({ apiKey }) => ({ headers: { 'x-api-key': `${apiKey},${apiKey}` } }),
    },
    {
      why: 'two keys, raw',
      call: ({ apiKey }) => ({ rawHeaders: [0, 1].map(() => ['x-api-key', apiKey] as const) }),
    },
    { why: 'a disabled key', options: { enabled: false }, call: () => ({}) },
    { why: 'a key that is over', options: { expiresAt: new Date(1) }, call: () => ({}) },
    { why: 'another stage', call: () => ({ context: { stage: 'test' } }) },
    { why: 'a route without an api', call: () => ({ context: { api: '' } }) },
    { why: 'a cost that is none', call: () => ({ context: { cost: '-1' } }) },
    { why: 'a cost above a million', call: () => ({ context: { cost: '1000001' } }) },
    {
      why: 'an address that is not let in',
      options: { ipPolicy: { allow: ['10.0.0.0/8'] } },
      call: () => ({ headers: { 'x-forwarded-for': '10.0.0.1', 'x-real-ip': '10.0.0.1' } }),
    },
    { why: 'a path above the root', call: () => ({ path: '/../etc' }) },
    { why: 'a path that servers read differently', call: () => ({ path: '/pets/..%2fadmin' }) },
    { why: 'a method that is none', call: () => ({ method: 'GET /' }) },
    { why: 'no path', call: () => ({ path: '' }) },
  ])('refuses $why with 403 Forbidden', async ({ options: made = {}, call }) => {
    const known = await aCatalogue(api, made);
    expect(denialOf(await check(known, call(known)))).toEqual(FORBIDDEN);
  });

  it('believes the address of the connection alone', async () => {
    const known = await aCatalogue(api, { ipPolicy: { allow: ['10.0.0.0/8'] } });
    const answer = await check(known, {
      address: '10.1.2.3',
      headers: { 'x-forwarded-for': '203.0.113.9' },
    });
    expect(answer.http_response).toBe('ok_response');
    expect(denialOf(await check(known, { address: null }))).toEqual(FORBIDDEN);
  });

  it('counts the address from the right over trusted proxies', async () => {
    const behind = await startApi({ GRPC_PORT: '0', TRUSTED_PROXIES: '192.0.2.0/24' });
    const asking = client(behind.gatewayToken, behind);
    const known = await aCatalogue(behind, { ipPolicy: { allow: ['10.0.0.0/8'] } });
    const from = (address: string, chain: string) =>
      asking.check(
        checkRequest({
          address,
          headers: { 'x-api-key': known.apiKey, 'x-forwarded-for': chain },
          context: contextOf(known),
        }),
      );
    const passes = async (address: string, chain: string) =>
      (await from(address, chain)).http_response === 'ok_response';
    expect(await passes('192.0.2.1', '203.0.113.9, 10.1.2.3')).toBe(true);
    expect(await passes('192.0.2.1', '203.0.113.9, 10.1.2.3, 192.0.2.1')).toBe(true);
    expect(await passes('192.0.2.1', '10.1.2.3, 203.0.113.9')).toBe(false);
    expect(await passes('203.0.113.9', '10.1.2.3')).toBe(false);
    expect(await passes('10.1.2.3', '203.0.113.9')).toBe(true);
  });

  it('reads the headers as they came, too', async () => {
    const known = await aCatalogue(api);
    const rawHeaders = [
      ['accept', '*/*'],
      ['x-api-key', known.apiKey],
      ['x-tollgate-anything', 'spoof'],
    ] as const;
    const { ok_response } = await check(known, { rawHeaders });
    expect(ok_response?.headers_to_remove).toEqual([
      'x-tollgate-shadowed',
      'x-tollgate-token',
      'x-tollgate-anything',
    ]);
  });

  it('refuses past the pace and past the quota as Amazon does, and consumes nothing then', async () => {
    const slow = await aCatalogue(api, { throttle: { rateLimit: 0.001, burstLimit: 1 } });
    expect((await check(slow)).http_response).toBe('ok_response');
    expect(denialOf(await check(slow))).toEqual(THROTTLED);
    const few = await aCatalogue(api, { quota: { limit: 5, period: 'DAY' } });
    expect((await check(few, { context: { cost: '4' } })).http_response).toBe('ok_response');
    const over = await check(few, { context: { cost: '2' } });
    expect(denialOf(over)).toEqual(EXCEEDED);
    expect(texts(over.dynamic_metadata)).toMatchObject({ decision: 'refused', keyId: few.keyId });
    expect((await check(few)).http_response).toBe('ok_response');
    expect(denialOf(await check(few))).toEqual(EXCEEDED);
  });

  it('takes the template from a route that knows it, and the key from the upstream if told to', async () => {
    const known = await aCatalogue(api);
    const context = { resource_path: '/pets', strip_api_key: 'true' };
    const { ok_response } = await check(known, { path: '/v2/animals', context });
    expect(options(ok_response?.headers)).toMatchObject({ 'x-tollgate-resource-path': '/pets' });
    expect(ok_response?.headers_to_remove).toEqual([
      'x-tollgate-shadowed',
      'x-tollgate-token',
      'x-api-key',
    ]);
  });

  it('lets a plan in shadow pass, and says what it would have refused', async () => {
    const throttle = { rateLimit: 0.001, burstLimit: 1 };
    const known = await aCatalogue(api, { throttle, shadow: true });
    const first = await check(known);
    expect(options(first.ok_response?.headers)).not.toHaveProperty('x-tollgate-shadowed');
    const second = await check(known);
    expect(options(second.ok_response?.headers)).toMatchObject({
      'x-tollgate-shadowed': 'throttled',
    });
    expect(second.ok_response?.headers_to_remove).toEqual(['x-tollgate-token']);
    expect(texts(second.dynamic_metadata)).toMatchObject({ shadowed: 'throttled' });
  });

  it('refuses a revoked key within a second', async () => {
    const known = await aCatalogue(api);
    expect((await check(known)).http_response).toBe('ok_response');
    await api.call('PATCH', `/v1/api-keys/${known.keyId}`, { body: { enabled: false } });
    await vi.waitFor(async () => expect(denialOf(await check(known))).toEqual(FORBIDDEN), 1_000);
  });

  it.each([
    { who: 'nobody', token: () => null },
    { who: 'a token that was never given', token: () => `tgw_${'x'.repeat(40)}` },
    { who: 'an operator', token: () => api.ownerToken },
  ])('answers $who with 403 and not with an error, which could let the call pass', async (row) => {
    const known = await aCatalogue(api);
    const request = checkRequest({
      headers: { 'x-api-key': known.apiKey },
      context: contextOf(known),
    });
    expect(denialOf(await client(row.token()).check(request))).toEqual(FORBIDDEN);
  });

  it('answers by the plan while quotas cannot be asked, never with an error', async () => {
    const quota = { limit: 100, period: 'DAY' } as const;
    const deny = await aCatalogue(api, { quota });
    const allow = await aCatalogue(api, { quota, onFailure: 'allow' });
    vi.spyOn(api.app.get(QuotaAuthority), 'debit').mockRejectedValue(new Error('away'));
    expect(denialOf(await check(deny))).toEqual(THROTTLED);
    expect((await check(allow)).http_response).toBe('ok_response');
  });

  it('answers faults of its own with 429, and never with an error', async () => {
    const known = await aCatalogue(api);
    const decide = vi.spyOn(api.app.get(DecisionService), 'decide');
    decide.mockImplementationOnce(() => {
      throw new Error('a bug');
    });
    expect(denialOf(await check(known))).toEqual(THROTTLED);
    decide.mockRejectedValueOnce(new Error('a bug'));
    expect(denialOf(await check(known))).toEqual(THROTTLED);
    vi.spyOn(CheckResponses.prototype, 'bytesOf').mockImplementationOnce(() => {
      throw new Error('a bug');
    });
    expect(denialOf(await check(known))).toEqual(THROTTLED);
    vi.spyOn(api.app.get(Authenticator), 'known').mockReturnValue(undefined);
    vi.spyOn(api.app.get(Authenticator), 'principal').mockRejectedValue(new Error('away'));
    expect(denialOf(await check(known))).toEqual(FORBIDDEN);
  });

  it('answers bytes that are no message with a refusal', async () => {
    const path = '/envoy.service.auth.v3.Authorization/Check';
    const honest = [0x0a, 0x02, 0x22, 0x00];
    const broken = [
      [0xff],
      [0x0a, 0x05, 0x00],
      [0x0b],
      [0x00, 0x01],
      [0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
      [...honest, 0x0a],
      [],
    ];
    for (const bytes of broken) {
      const answer = await envoy.raw(path, Buffer.from(bytes));
      // The answer holds a `denied_response`, field 2 of the response.
      expect(answer.includes(Buffer.from('{"message":"'))).toBe(true);
    }
  });
});

describe('RateLimitService/ShouldRateLimit', () => {
  type Entries = Readonly<Record<string, string>>;
  const entriesOf = (entries: Entries) =>
    Object.entries(entries).map(([key, value]) => ({ key, value }));
  const descriptorOf = (known: Catalogue, entries: Entries = {}) => ({
    entries: entriesOf({
      api: known.apiId,
      stage: known.stage,
      api_key: known.apiKey,
      method: 'GET',
      path: '/pets/42?q=1',
      remote_address: '203.0.113.7',
      ...entries,
    }),
  });
  const ask = (descriptors: object[], hits_addend = 0) =>
    envoy.shouldRateLimit({ domain: 'tollgate', descriptors, hits_addend });

  it('says what is left of the nearest limit, one status for the descriptor', async () => {
    const known = await aCatalogue(api, {
      throttle: { rateLimit: 5, burstLimit: 10 },
      quota: { limit: 100, period: 'WEEK' },
    });
    const answer = await ask([descriptorOf(known)]);
    expect(answer).toMatchObject({
      overall_code: 'OK',
      statuses: [
        {
          code: 'OK',
          current_limit: { requests_per_unit: 5, unit: 'SECOND', name: 'key' },
          limit_remaining: 9,
          duration_until_reset: { seconds: 1 },
        },
      ],
      request_headers_to_add: [],
    });
    expect(answer.raw_body).toHaveLength(0);
    expect(plain(answer.response_headers_to_add)).toEqual({
      'ratelimit-policy': '"key";q=10;w=2, "quota";q=100;w=604800',
      ratelimit: expect.stringMatching(/^"key";r=9;t=0, "quota";r=99;t=\d+$/),
    });
    expect(texts(answer.dynamic_metadata)).toMatchObject({
      decision: 'allowed',
      keyId: known.keyId,
    });
    const costly = await ask([descriptorOf(known)], 95);
    expect(costly.statuses[0]).toMatchObject({ code: 'OVER_LIMIT' });
  });

  it.each([
    { period: 'DAY', unit: 'DAY' },
    { period: 'WEEK', unit: 'WEEK' },
    { period: 'MONTH', unit: 'MONTH' },
  ] as const)('counts down a quota per $period', async ({ period, unit }) => {
    const known = await aCatalogue(api, { quota: { limit: 3, period } });
    const { statuses } = await ask([descriptorOf(known)], 2);
    expect(statuses).toMatchObject([
      { limit_remaining: 1, current_limit: { requests_per_unit: 3, unit, name: 'quota' } },
    ]);
    expect(statuses[0]?.duration_until_reset?.seconds).toBeGreaterThan(0);
  });

  it.each([
    { rateLimit: 0.5, requests_per_unit: 30, unit: 'MINUTE' },
    { rateLimit: 0.001, requests_per_unit: 4, unit: 'HOUR' },
  ])(
    'says $rateLimit per second as $requests_per_unit per $unit',
    async ({ rateLimit, ...limit }) => {
      const known = await aCatalogue(api, { throttle: { rateLimit, burstLimit: 1 } });
      const { statuses } = await ask([descriptorOf(known)]);
      expect(statuses[0]).toMatchObject({ current_limit: limit });
    },
  );

  it('is over the limit past the pace and the quota, in Amazon’s words', async () => {
    const slow = await aCatalogue(api, { throttle: { rateLimit: 0.01, burstLimit: 1 } });
    expect((await ask([descriptorOf(slow)])).overall_code).toBe('OK');
    const over = await ask([descriptorOf(slow)]);
    expect(over).toMatchObject({ overall_code: 'OVER_LIMIT', statuses: [{ limit_remaining: 0 }] });
    expect(over.raw_body.toString()).toBe(THROTTLED.body);
    expect(plain(over.response_headers_to_add)).toMatchObject({
      'retry-after': expect.stringMatching(/^(99|100)$/),
      'x-amzn-errortype': THROTTLED.type,
      'content-type': 'application/json; charset=utf-8',
    });
    const few = await aCatalogue(api, { quota: { limit: 1, period: 'DAY' } });
    expect((await ask([descriptorOf(few)])).overall_code).toBe('OK');
    const spent = await ask([descriptorOf(few)]);
    expect(spent).toMatchObject({
      overall_code: 'OVER_LIMIT',
      statuses: [{ limit_remaining: 0, current_limit: { name: 'quota' } }],
    });
    expect(spent.raw_body.toString()).toBe(EXCEEDED.body);
  });

  it.each<{ why: string; entries?: Entries; options?: CatalogueOptions; extra?: Entries }>([
    { why: 'no key', entries: { api_key: '' } },
    { why: 'an unknown key', entries: { api_key: 'tg_test_x' } },
    { why: 'a disabled key', options: { enabled: false } },
    { why: 'another stage', entries: { stage: 'test' } },
    { why: 'an address that is not let in', options: { ipPolicy: { allow: ['10.0.0.0/8'] } } },
    { why: 'a path that servers read differently', entries: { path: '/pets//42' } },
    { why: 'no method', entries: { method: '' } },
    { why: 'no path', entries: { path: '' } },
    { why: 'an entry twice', extra: { api_key: 'tg_test_x' } },
    { why: 'two addresses', extra: { source_ip: '10.0.0.1' } },
  ])('is over the limit for $why, and says Forbidden', async ({ entries, options, extra }) => {
    const known = await aCatalogue(api, options);
    const descriptor = descriptorOf(known, entries);
    descriptor.entries.push(...entriesOf(extra ?? {}));
    const answer = await ask([descriptor]);
    expect(answer).toMatchObject({
      overall_code: 'OVER_LIMIT',
      statuses: [{ code: 'OVER_LIMIT' }],
    });
    expect(answer.raw_body.toString()).toBe(FORBIDDEN.body);
    const types = answer.response_headers_to_add.filter(({ key }) => key === 'x-amzn-errortype');
    expect(types.map(({ value }) => value)).toEqual([FORBIDDEN.type]);
  });

  it('answers several descriptors in their order, and consumes for all or for none', async () => {
    const quota = { limit: 2, period: 'DAY' } as const;
    const [a, b] = [await aCatalogue(api, { quota }), await aCatalogue(api, { quota })];
    const spent = await ask([descriptorOf(b)], 2);
    expect(spent.overall_code).toBe('OK');
    for (let calls = 0; calls < 3; calls += 1) {
      const { overall_code, statuses } = await ask([descriptorOf(a), descriptorOf(b)]);
      expect(overall_code).toBe('OVER_LIMIT');
      expect(statuses.map(({ code }) => code)).toEqual(['OK', 'OVER_LIMIT']);
    }
    const { statuses } = await ask([descriptorOf(a), descriptorOf(a, { method: 'POST' })]);
    expect(statuses.map(({ code }) => code)).toEqual(['OK', 'OK']);
    expect((await ask([descriptorOf(a)])).overall_code).toBe('OVER_LIMIT');
  });

  it('gives each of calls that are decided in one moment an answer of its own', async () => {
    const known = await aCatalogue(api, {
      quota: { limit: 1_000, period: 'DAY' },
      throttle: { rateLimit: 100, burstLimit: 100 },
    });
    await ask([descriptorOf(known)]);
    const service = api.app.get(DecisionService);
    const decide = service.decide.bind(service);
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const spy = vi.spyOn(service, 'decide');
    spy.mockImplementation(async (...of) => {
      if (spy.mock.calls.length === 30) open();
      await opened;
      return decide(...of);
    });
    const answers = await Promise.all(Array.from({ length: 30 }, () => ask([descriptorOf(known)])));
    spy.mockRestore();
    const ids = answers.map((answer) => answer.dynamic_metadata?.fields['decisionId']?.stringValue);
    expect(new Set(ids).size).toBe(30);
    expect(ids).not.toContain(undefined);
  });

  it('counts the hits of a descriptor before those of the request', async () => {
    const known = await aCatalogue(api, { quota: { limit: 10, period: 'DAY' } });
    const { statuses } = await ask([{ ...descriptorOf(known), hits_addend: { value: 7 } }], 2);
    expect(statuses[0]).toMatchObject({ limit_remaining: 3 });
    const far = await ask([{ ...descriptorOf(known), hits_addend: { value: 4e9 } }]);
    expect(far.overall_code).toBe('OVER_LIMIT');
  });

  it('tells whoever is no gateway so, as an error', async () => {
    const known = await aCatalogue(api);
    const asked = client(null).shouldRateLimit({ descriptors: [descriptorOf(known)] });
    await expect(asked).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
  });

  it('is over the limit at a fault of its own, at no message and at no descriptor', async () => {
    const known = await aCatalogue(api);
    vi.spyOn(api.app.get(DecisionService), 'decide').mockRejectedValueOnce(new Error('a bug'));
    const broken = await ask([descriptorOf(known)]);
    expect(broken.overall_code).toBe('OVER_LIMIT');
    expect(plain(broken.response_headers_to_add)).toMatchObject({ 'retry-after': '1' });
    vi.spyOn(RateLimitResponses.prototype, 'bytesOf').mockImplementationOnce(() => {
      throw new Error('a bug');
    });
    expect((await ask([descriptorOf(known)])).overall_code).toBe('OVER_LIMIT');
    expect((await ask([])).overall_code).toBe('OVER_LIMIT');
    const many = Array.from({ length: 65 }, () => descriptorOf(known));
    expect((await ask(many)).overall_code).toBe('OVER_LIMIT');
    const path = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
    const answer = await envoy.raw(path, Buffer.from([0x12, 0x7f]));
    expect([...answer.subarray(0, 2)]).toEqual([0x08, 2]);
  });
});

describe('the port', () => {
  const big = (bytes: number) =>
    checkRequest({ headers: { 'x-big': 'x'.repeat(bytes) }, context: { api: 'a', stage: 'b' } });

  it('takes messages of up to 256 KiB', async () => {
    expect(denialOf(await envoy.check(big(250 * 1024)))).toEqual(FORBIDDEN);
    await expect(envoy.check(big(257 * 1024))).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
  });

  it('knows no other method', async () => {
    const asked = envoy.raw('/envoy.service.auth.v3.Authorization/Uncheck', Buffer.alloc(0));
    await expect(asked).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
  });

  it('is part of being ready, and finishes what is under way when it closes', async () => {
    const other = await startApi({ GRPC_PORT: '0' });
    const port = other.app.get(EnvoyPort);
    const asking = new EnvoyClient(`127.0.0.1:${port.port}`, other.gatewayToken);
    clients.push(asking);
    const known = await aCatalogue(other, { quota: { limit: 10, period: 'DAY' } });
    const request = checkRequest({
      headers: { 'x-api-key': known.apiKey },
      context: contextOf(known),
    });
    expect((await other.call('GET', '/health/ready')).status).toBe(200);
    expect((await asking.check(request)).http_response).toBe('ok_response');

    const decisions = other.app.get(DecisionService);
    const decide = decisions.decide.bind(decisions);
    let decideNow = () => undefined as void;
    const isAsked = new Promise<void>((resolve) => {
      vi.spyOn(decisions, 'decide').mockImplementationOnce(async (asked) => {
        resolve();
        await new Promise<void>((go) => (decideNow = go));
        return decide(asked);
      });
    });
    const slow = asking.check(request);
    await isAsked;
    const closed = port.beforeApplicationShutdown();
    expect((await other.call('GET', '/health/ready')).status).toBe(503);
    decideNow();
    expect((await slow).http_response).toBe('ok_response');
    await closed;
    await expect(asking.check(request, 500)).rejects.toMatchObject({
      code: expect.toBeOneOf([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]),
    });
  });

  it('is closed where nobody asked for it', async () => {
    const other = await startApi({ GRPC_PORT: '', TRUSTED_PROXIES: '' });
    expect(other.app.get(EnvoyPort).port).toBeNull();
    expect((await other.call('GET', '/health/ready')).status).toBe(200);
  });
});
