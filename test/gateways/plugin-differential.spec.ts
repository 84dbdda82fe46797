import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createTollgate, type Call, type Tollgate } from '@core/gateway-plugin';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue, type CatalogueOptions } from '../support/catalogue.js';
import { callRaw } from '../support/raw-http.js';
import { HONEST_PATHS, TRICKY_PATHS } from './conformance/paths.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function aPlugin({ apiId, stage }: Catalogue): Tollgate {
  const tollgate = createTollgate({
    url: api.url,
    token: api.gatewayToken,
    apiId,
    stage,
    deadlineMs: 5_000,
    closeTimeoutMs: 2_000,
    trustProxy: { header: 'x-forwarded-for', from: ['127.0.0.1'] },
    onEvent: () => undefined,
  });
  stops.push(() => tollgate.close());
  return tollgate;
}

/** What both have to say alike of a call. */
const essence = (decision: object) => {
  const { allowed, reason, level, status, message, errorType, keyId, usagePlanId, resourcePath } =
    decision as Record<string, unknown>;
  const isAllowed = allowed === true;
  return {
    allowed,
    reason: reason ?? null,
    level: level ?? null,
    ...(isAllowed ? {} : { status, message, errorType }),
    keyId: keyId ?? null,
    usagePlanId: usagePlanId ?? null,
    // A refusal before the method is known names none.
    resourcePath: isAllowed ? resourcePath : null,
  };
};

async function byService({ apiId, stage }: Catalogue, calls: readonly Call[]) {
  const answer = await api.call('POST', '/v1/decisions', {
    token: api.gatewayToken,
    body: { decisions: calls.map((call) => ({ ...call, apiId, stage })) },
  });
  expect(answer.status).toBe(200);
  return (answer.body['decisions'] as object[]).map(essence);
}

async function byPlugin(catalogue: Catalogue, calls: readonly Call[]) {
  const tollgate = aPlugin(catalogue);
  // The first call of a key is the service's; from then on the plugin decides.
  const { apiKey } = catalogue;
  await tollgate.decide({
    apiKey,
    method: 'GET',
    path: '/pets',
    sourceIp: '127.0.0.1',
    dryRun: true,
  });
  const decisions = [];
  for (const call of calls) decisions.push(essence(await tollgate.decide(call)));
  return { decisions, stats: tollgate.stats() };
}

describe('the plugin decides as the service does', () => {
  it.each(['refuse', 'strictest', 'normalise'] as const)(
    'on every path of the corpus, where ambiguous ones are to %s',
    async (ambiguousPath) => {
      const catalogue = await aCatalogue(api, {
        ambiguousPath,
        methods: [
          ['GET', '/pets/{petId}'],
          ['ANY', '/admin/{proxy+}'],
          ['GET', '/cheap'],
          ['GET', '/expensive'],
        ],
      });
      const calls = [...HONEST_PATHS, ...TRICKY_PATHS].map((path) => ({
        apiKey: catalogue.apiKey,
        method: 'GET',
        path,
        sourceIp: '127.0.0.1',
        dryRun: true,
      }));
      const { decisions, stats } = await byPlugin(catalogue, calls);
      expect(decisions).toEqual(await byService(catalogue, calls));
      expect(stats.knownKeys).toBe(1);
    },
  );

  const hour = 3_600_000;
  const everyone: (string | undefined)[] = [
    '127.0.0.1',
    '203.0.113.7',
    '::ffff:203.0.113.7',
    '2001:db8::7',
    '2001:DB8:0:0::7',
    'fe80::1%eth0',
    '010.0.0.1',
    'nobody',
    undefined,
  ];
  it.each<{ why: string; options: CatalogueOptions; keys?: (string | undefined)[] }>([
    { why: 'a good key', options: {} },
    { why: 'a disabled key', options: { enabled: false } },
    { why: 'a key that has expired', options: { expiresAt: new Date(Date.now() - hour) } },
    { why: 'a key that will expire', options: { expiresAt: new Date(Date.now() + hour) } },
    {
      why: 'no key, an empty one, a typing error, a stranger and a very long one',
      options: {},
      keys: [undefined, '', `tg_test_${'0'.repeat(28)}_000000`, 'stranger', 'x'.repeat(1_000)],
    },
    {
      why: 'addresses that are allowed',
      options: { ipPolicy: { allow: ['203.0.113.0/24', '2001:db8::/32'] } },
    },
    { why: 'addresses that are denied', options: { ipPolicy: { deny: ['203.0.113.7', '::/0'] } } },
    {
      why: 'a plan in shadow',
      options: { shadow: true, throttle: { rateLimit: 0, burstLimit: 0 } },
    },
    {
      why: 'a throttle that lets nothing pass',
      options: { throttle: { rateLimit: 0, burstLimit: 0 } },
    },
    { why: 'a quota of none', options: { quota: { limit: 0, period: 'DAY' } } },
  ])('for $why, from every address', async ({ options, keys }) => {
    const catalogue = await aCatalogue(api, options);
    const calls = (keys ?? [catalogue.apiKey]).flatMap((apiKey) =>
      everyone.map((sourceIp) => ({
        apiKey,
        method: 'GET',
        path: '/pets/42',
        sourceIp,
        dryRun: true,
      })),
    );
    const { decisions } = await byPlugin(catalogue, calls);
    expect(decisions).toEqual(await byService(catalogue, calls));
  });

  it.each<{ why: string; options: CatalogueOptions; fields?: [string, string][] }>([
    { why: 'a throttle', options: { throttle: { rateLimit: 0.01, burstLimit: 3 } } },
    { why: 'a quota', options: { quota: { limit: 3, period: 'MONTH' } } },
    {
      why: 'both',
      options: { throttle: { rateLimit: 0.01, burstLimit: 4 }, quota: { limit: 2, period: 'DAY' } },
    },
    { why: 'neither', options: {} },
    { why: 'a disabled key', options: { enabled: false } },
    { why: 'no key', options: {}, fields: [] },
    {
      why: 'two keys',
      options: {},
      fields: [
        ['X-Api-Key', 'a'],
        ['x-api-key', 'b'],
      ],
    },
  ])(
    'with the status, words and header fields of forward-auth, call by call: $why',
    async ({ options, fields }) => {
      const NAMES = ['x-amzn-ErrorType', 'Retry-After', 'RateLimit-Policy', 'RateLimit'];
      const sequence = async (
        ask: (key: [string, string][]) => ReturnType<typeof callRaw>,
        { apiKey }: Catalogue,
      ) => {
        const said = [];
        for (let call = 0; call < 5; call += 1) {
          const { status, body, header } = await ask(fields ?? [['X-Api-Key', apiKey]]);
          const told = NAMES.map((name) => `${name}: ${untimed(header(name))}`);
          said.push({ status, body: status === 200 ? '' : body, told });
        }
        return said;
      };
      // Two of the same, since both count.
      const [asked, decided] = [await aCatalogue(api, options), await aCatalogue(api, options)];
      const tollgate = aPlugin(decided);
      const server = createServer(tollgate.node((_request, response) => response.end('passed')));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      stops.push(() => server.close());
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const service = await sequence(
        (key) =>
          callRaw(api.url, {
            target: `/v1/forward-auth/${asked.apiId}/prod/caddy`,
            fields: [
              ['X-Tollgate-Token', api.gatewayToken],
              ['X-Forwarded-Uri', '/pets/42'],
              ['X-Forwarded-Method', 'GET'],
              ['X-Forwarded-For', '127.0.0.1'],
              ...key,
            ],
          }),
        asked,
      );
      const plugin = await sequence(
        (key) => callRaw(url, { target: '/pets/42', fields: key }),
        decided,
      );
      expect(plugin).toEqual(service);
    },
  );
});

/** Seconds that pass between one and the other are told in whole ones: two apart is the same. */
const untimed = (value: string | null): string | null =>
  value?.replace(
    /(;t=|^)(\d{2,})$/,
    (_, name: string, seconds: string) => `${name}~${Math.round(Number(seconds) / 100)}00`,
  ) ?? null;
