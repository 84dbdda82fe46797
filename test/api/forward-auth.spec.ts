import { Agent, request } from 'node:http';
import { Database } from '@io/platform';
import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';
import { callRaw, sendRaw, type RawAnswer } from '../support/raw-http.js';

type Fields = readonly (readonly [name: string, value: string])[];

const CADDY = { path: 'X-Forwarded-Uri', method: 'X-Forwarded-Method', address: 'X-Forwarded-For' };
const GATEWAYS = [
  {
    gateway: 'nginx',
    path: 'X-Original-Uri',
    method: 'X-Original-Method',
    address: 'X-Real-IP',
  },
  { gateway: 'caddy', ...CADDY },
  { gateway: 'traefik', ...CADDY },
  { gateway: 'haproxy', ...CADDY },
  { gateway: 'apisix', ...CADDY },
] as const;

type Source = (typeof GATEWAYS)[number];

/** Envoy and Istio say the path and the verb in the request line. */
const FACES = [...GATEWAYS.map(({ gateway }) => gateway), 'path'] as const;
type Face = (typeof FACES)[number];

interface Asked {
  readonly path?: string;
  readonly method?: string;
  readonly address?: string;
  /** The key's value; null for a client that sends none. */
  readonly apiKey?: string | null;
  /** The gateway's token; null for a stranger. */
  readonly token?: string | null;
  readonly fields?: Fields;
  readonly query?: string;
  readonly body?: string;
  readonly api?: TestApi;
}

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

/** Asks as the gateway of that name would. */
function ask(face: Face, of: Catalogue, asked: Asked = {}): Promise<RawAnswer> {
  const {
    path = '/pets/42',
    method = 'GET',
    address = '203.0.113.7',
    fields = [],
    query = '',
    body = '',
  } = asked;
  const { apiKey = of.apiKey, token = api.gatewayToken } = asked;
  const base = `/v1/forward-auth/${of.apiId}/${of.stage}`;
  const source = GATEWAYS.find(({ gateway }) => gateway === face);
  return callRaw((asked.api ?? api).url, {
    method: source ? 'GET' : method,
    target: (source ? `${base}/${face}` : `${base}/path${path}`) + query,
    fields: [
      ...(token === null ? [] : [['X-Tollgate-Token', token] as const]),
      ...(apiKey === null ? [] : [['X-Api-Key', apiKey] as const]),
      ...(source
        ? said(source, { path, method, address })
        : [['X-Forwarded-For', address] as const]),
      ...fields,
    ],
    body,
  });
}

const said = (source: Source, what: { path: string; method: string; address: string }): Fields => [
  [source.path, what.path],
  [source.method, what.method],
  [source.address, what.address],
];

/** What the client is told, in the end, by a gateway of that name. */
const statusOf = (face: Face, { status, header }: RawAnswer) =>
  face === 'nginx' && status === 403 ? Number(header('x-decision-status')) : status;

const ALWAYS_THERE = [
  'X-Tollgate-Key-Id',
  'X-Tollgate-Customer-Id',
  'X-Tollgate-Decision-Id',
  'X-Tollgate-Resource-Path',
  'X-Tollgate-Time',
];
const namesOf = ({ fields }: RawAnswer) => fields.map(([name]) => name);

const seen = (face: Face, answer: RawAnswer) => ({
  status: answer.status,
  decided: statusOf(face, answer),
  body: answer.body,
  missing: ALWAYS_THERE.filter((name) => !namesOf(answer).includes(name)),
  keyId: answer.header('X-Tollgate-Key-Id'),
  customerId: answer.header('X-Tollgate-Customer-Id'),
});

/** Nothing is known of the caller, and every name is there: a gateway copies what is there over what the client sent. */
const STRANGER = {
  status: 403,
  decided: 403,
  body: '{"message":"Forbidden"}',
  missing: [],
  keyId: '',
  customerId: '',
};

describe.each(FACES)('/v1/forward-auth/{apiId}/{stage}/%s', (face) => {
  it('200: tells who called and what is left, in the case that proxies look for', async () => {
    const catalogue = await aCatalogue(api, {
      throttle: { rateLimit: 5, burstLimit: 10 },
      quota: { limit: 100, period: 'DAY' },
    });
    const answer = await ask(face, catalogue);
    // nginx and Caddy read no body of a call that passes, and close a connection on which one is left.
    expect(answer).toMatchObject({ status: 200, body: '' });
    expect(namesOf(answer)).toEqual(
      expect.arrayContaining([...ALWAYS_THERE, 'RateLimit', 'RateLimit-Policy']),
    );
    expect(answer.header('X-Tollgate-Key-Id')).toBe(catalogue.keyId);
    expect(answer.header('X-Tollgate-Customer-Id')).toBe(catalogue.customerId);
    expect(answer.header('X-Tollgate-Decision-Id')).toMatch(/^dec_/);
    expect(answer.header('X-Tollgate-Resource-Path')).toBe('/pets/{petId}');
    expect(answer.header('RateLimit-Policy')).toBe('"key";q=10;w=2, "quota";q=100;w=86400');
    expect(answer.header('RateLimit')).toMatch(/^"key";r=9;t=0, "quota";r=99;t=\d+$/);
  });

  it('403: answers an unknown key, and names everything with nothing in it', async () => {
    const catalogue = await aCatalogue(api);
    const answer = await ask(face, catalogue, { apiKey: 'imported from somewhere else' });
    expect(seen(face, answer)).toEqual(STRANGER);
    expect(namesOf(answer)).toContain('x-amzn-ErrorType');
    expect(answer.header('x-amzn-ErrorType')).toBe('ForbiddenException');
    expect(seen(face, await ask(face, catalogue, { apiKey: null }))).toEqual(STRANGER);
  });

  it('429: answers throttled and over quota with their own bodies', async () => {
    const throttled = await aCatalogue(api, { throttle: { rateLimit: 0.01, burstLimit: 1 } });
    const overQuota = await aCatalogue(api, { quota: { limit: 1, period: 'MONTH' } });
    for (const { catalogue, message, errorType } of [
      { catalogue: throttled, message: 'Too Many Requests', errorType: 'TooManyRequestsException' },
      { catalogue: overQuota, message: 'Limit Exceeded', errorType: 'LimitExceededException' },
    ]) {
      expect((await ask(face, catalogue)).status).toBe(200);
      const answer = await ask(face, catalogue);
      expect(answer.status).toBe(face === 'nginx' ? 403 : 429);
      expect(statusOf(face, answer)).toBe(429);
      expect(answer.body).toBe(JSON.stringify({ message }));
      expect(answer.header('x-amzn-ErrorType')).toBe(errorType);
      expect(namesOf(answer)).toEqual(
        expect.arrayContaining([...ALWAYS_THERE, 'Retry-After', 'RateLimit', 'RateLimit-Policy']),
      );
      expect(Number(answer.header('Retry-After'))).toBeGreaterThanOrEqual(1);
      expect(answer.header('X-Tollgate-Key-Id')).toBe(catalogue.keyId);
    }
  });

  it('403: a missing or wrong gateway token, whatever the plan says of failures', async () => {
    const catalogue = await aCatalogue(api, { onFailure: 'allow', shadow: true });
    for (const token of [null, '', 'x', `tgw_${'x'.repeat(40)}`, api.ownerToken]) {
      expect(seen(face, await ask(face, catalogue, { token }))).toEqual(STRANGER);
    }
  });

  it('403: more than 200 headers, since those past a limit would be gone in silence', async () => {
    const catalogue = await aCatalogue(api);
    const many = (n: number): Fields => Array.from({ length: n }, (_, i) => [`X-${i}`, '1']);
    expect((await ask(face, catalogue, { fields: many(190) })).status).toBe(200);
    expect(seen(face, await ask(face, catalogue, { fields: many(200) }))).toEqual(STRANGER);
  });

  it('403: any header that must be single comes twice', async () => {
    const catalogue = await aCatalogue(api);
    const source = GATEWAYS.find(({ gateway }) => gateway === face);
    const single: Fields = [
      ['X-Api-Key', catalogue.apiKey],
      ['X-Tollgate-Token', api.gatewayToken],
      ['Host', 'tollgate.test'],
      ...(source
        ? said(source, { path: '/pets/42', method: 'GET', address: '203.0.113.7' })
        : ([['X-Forwarded-For', '203.0.113.7']] as const)),
    ];
    for (const [name, value] of single) {
      const spellings = [name, name.toLowerCase(), name.toUpperCase()];
      for (const spelling of spellings) {
        expect(seen(face, await ask(face, catalogue, { fields: [[spelling, value]] }))).toEqual(
          STRANGER,
        );
      }
    }
    const twice: Fields = [
      ['Authorization', 'Basic a'],
      ['Authorization', 'Basic b'],
    ];
    expect(seen(face, await ask(face, catalogue, { fields: twice }))).toEqual(STRANGER);
  });

  it('403: an alias with underscores, which proxies read as the real one', async () => {
    const catalogue = await aCatalogue(api);
    for (const alias of [
      'X_Forwarded_Uri',
      'X_Original_Uri',
      'x_api_key',
      'X-Forwarded_Uri',
      'X_Real-IP',
      'X_Tollgate_Token',
      'X-Api_Key',
    ]) {
      expect(seen(face, await ask(face, catalogue, { fields: [[alias, '/cheap']] }))).toEqual(
        STRANGER,
      );
    }
  });

  it('answers as if every other source were not there', async () => {
    const catalogue = await aCatalogue(api, { ipPolicy: { allow: ['203.0.113.0/24'] } });
    const own = GATEWAYS.find(({ gateway }) => gateway === face);
    const others = [
      ['X-Original-Uri', '/cheap'],
      ['X-Original-Url', '/cheap'],
      ['X-Original-Method', 'DELETE'],
      ['X-Real-IP', '10.9.9.9'],
      ['X-Forwarded-Uri', '/cheap'],
      ['X-Forwarded-Method', 'DELETE'],
      ['X-Forwarded-For', '10.9.9.9'],
      ['Forwarded', 'for=10.9.9.9;host=cheap'],
      ['X-Rewrite-Url', '/cheap'],
      ['X-Http-Method-Override', 'DELETE'],
      ['X-Envoy-Original-Path', '/cheap'],
    ].filter(([name]) => {
      const ownNames: string[] = own ? [own.path, own.method, own.address] : ['X-Forwarded-For'];
      return !ownNames.includes(name ?? '');
    }) as [string, string][];
    const unspoofed = await ask(face, catalogue);
    expect(unspoofed.status).toBe(200);
    // Every subset of the first seven, and each of the others beside all of them.
    const subsets = Array.from({ length: 2 ** Math.min(others.length, 7) }, (_, bits) =>
      others.filter((_field, i) => i >= 7 || bits & (1 << i)),
    );
    for (const fields of subsets) {
      const answer = await ask(face, catalogue, { fields });
      expect({
        fields,
        status: answer.status,
        path: answer.header('X-Tollgate-Resource-Path'),
      }).toEqual({ fields, status: 200, path: '/pets/{petId}' });
    }
  });

  it('reads nothing from the query of its own address: Caddy appends the client’s', async () => {
    const catalogue = await aCatalogue(api);
    const query = `?path=/pets&X-Original-Uri=/pets&apiKey=nobody&method=DELETE&stage=beta&x-api-key=a`;
    const answer = await ask(face, catalogue, { query });
    expect(answer.status).toBe(200);
    expect(answer.header('X-Tollgate-Resource-Path')).toBe('/pets/{petId}');
  });

  it('trusts the last address of the list only, and refuses one that is none', async () => {
    const catalogue = await aCatalogue(api, { ipPolicy: { allow: ['203.0.113.0/24'] } });
    expect((await ask(face, catalogue, { address: '10.0.0.1' })).status).toBe(403);
    for (const address of [
      '203.0.113.7, 10.0.0.1',
      '203.0.113.7x',
      '',
      'unknown',
      '203.0.113.7:80',
    ]) {
      expect({ address, status: (await ask(face, catalogue, { address })).status }).toEqual({
        address,
        status: 403,
      });
    }
    if (face === 'nginx') return;
    expect((await ask(face, catalogue, { address: '10.0.0.1, 203.0.113.7' })).status).toBe(200);
  });

  it('carries the security headers of every answer', async () => {
    const catalogue = await aCatalogue(api);
    const allowed = await ask(face, catalogue);
    const refused = await ask(face, catalogue, { token: null });
    for (const answer of [allowed, refused]) {
      expect(answer.header('x-content-type-options')).toBe('nosniff');
      expect(answer.header('cache-control')).toBe('no-store');
      expect(answer.header('server')).toBeNull();
    }
    // An answer without a body has no type.
    expect(allowed.header('content-type')).toBeNull();
    expect(refused.header('content-type')).toBe('application/json; charset=utf-8');
    // What has no decision is found again by the id of its request.
    expect(allowed.header('x-tollgate-decision-id')).toMatch(/^dec_/);
    expect(refused.header('x-request-id')).toMatch(/^[0-9a-f]{16}-/);
  });
});

describe('/v1/forward-auth/{apiId}/{stage}/path', () => {
  it.each([
    'GET',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'HEAD',
    'PROPFIND',
    'MKCOL',
    'REPORT',
    'PURGE',
    'QUERY',
    'TRACE',
  ])(
    'takes the client’s own %s, with its body and content type, and reads neither',
    async (method) => {
      const catalogue = await aCatalogue(api, { methods: [['ANY', '/pets/{petId}']] });
      for (const type of [
        'application/json',
        'text/plain',
        'x',
        'multipart/form-data; boundary=a',
      ]) {
        const body = method === 'HEAD' ? '' : '{"not":json';
        const fields: Fields = [
          ['Content-Type', type],
          ['Content-Encoding', 'gzip'],
        ];
        const answer = await ask('path', catalogue, { method, body, fields });
        expect({ type, status: answer.status }).toEqual({ type, status: 200 });
      }
    },
  );
});

describe('many questions on one connection', () => {
  const fieldsOf = ({ apiKey }: Catalogue): [string, string][] => [
    ['Host', 'tollgate.test'],
    ['X-Tollgate-Token', api.gatewayToken],
    ['X-Api-Key', apiKey],
    ['X-Original-Uri', '/pets/42'],
    ['X-Original-Method', 'GET'],
  ];

  it('are answered in turn, with the same fields as on connections of their own', async () => {
    const catalogue = await aCatalogue(api);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    const asked = (method: string, body = '') =>
      new Promise<{ status: number; names: string[]; text: string }>((resolve, reject) => {
        const question = request(
          `${api.url}/v1/forward-auth/${catalogue.apiId}/${catalogue.stage}/nginx`,
          { method, agent, headers: Object.fromEntries(fieldsOf(catalogue)) },
          (answer) => {
            let text = '';
            answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
            const names = answer.rawHeaders.filter((_, i) => i % 2 === 0);
            answer.on('end', () => resolve({ status: answer.statusCode ?? 0, names, text }));
          },
        );
        question.on('socket', (socket) => sockets.add(socket)).on('error', reject);
        question.end(body);
      });
    const alone = namesOf(await ask('nginx', catalogue));
    const own = new Set(['connection', 'keep-alive']);
    const shared = (names: string[]) => names.filter((name) => !own.has(name.toLowerCase())).sort();
    for (const [method, body] of [
      ['GET', ''],
      ['HEAD', ''],
      ['POST', '{"a":1}'],
      ['HEAD', ''],
      ['DELETE', ''],
      ['GET', ''],
    ] as const) {
      const { status, names, text } = await asked(method, body);
      expect({ method, status, text, names: shared(names) }).toEqual({
        method,
        status: 200,
        text: '',
        names: shared(alone),
      });
    }
    agent.destroy();
    expect(sockets.size).toBe(1);
  });

  it('are answered in order when they come all at once', async () => {
    const catalogue = await aCatalogue(api);
    const target = `/v1/forward-auth/${catalogue.apiId}/${catalogue.stage}/nginx`;
    const head = (method: string, more: string[] = []) =>
      [
        `${method} ${target} HTTP/1.1`,
        ...fieldsOf(catalogue).map((field) => field.join(': ')),
        ...more,
      ].join('\r\n') + '\r\n\r\n';
    const received = await sendRaw(
      api.url,
      head('GET') + head('HEAD') + head('GET') + head('GET', ['Connection: close']),
    );
    expect(received.match(/^HTTP\/1\.1 200 OK\r$/gm)).toHaveLength(4);
    const ids = [...received.matchAll(/X-Tollgate-Decision-Id: (\w+)/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(4);
  });
});

describe('/v1/forward-auth', () => {
  it('answers 403 to gateways that it does not know and to addresses that are cut short', async () => {
    const { apiId, stage, apiKey } = await aCatalogue(api);
    for (const tail of [
      'kong',
      'Nginx',
      'nginx/',
      'nginx/x',
      'constructor',
      '__proto__',
      'path',
      '%6eginx',
      '',
      '%zz',
    ]) {
      const answer = await callRaw(api.url, {
        target: `/v1/forward-auth/${apiId}/${stage}/${tail}`,
        fields: [
          ['X-Tollgate-Token', api.gatewayToken],
          ['X-Api-Key', apiKey],
          ['X-Original-Uri', '/pets'],
          ['X-Original-Method', 'GET'],
          ['X-Forwarded-Uri', '/pets'],
          ['X-Forwarded-Method', 'GET'],
        ],
      });
      expect({ tail, status: answer.status }).toEqual({ tail, status: 403 });
    }
  });

  it('403: path or method are missing or no path and no method', async () => {
    const catalogue = await aCatalogue(api);
    for (const { gateway } of GATEWAYS) {
      for (const asked of [
        { path: '' },
        { method: '' },
        { path: 'pets' },
        { path: 'https://x/pets' },
        { path: '*' },
        { method: 'get' },
        { method: 'GET, DELETE' },
        { method: 'G'.repeat(100) },
      ]) {
        const { status } = await ask(gateway, catalogue, asked);
        expect({ gateway, asked, status }).toEqual({ gateway, asked, status: 403 });
      }
    }
  });
});

/** Paths that servers read in different ways, and some that nothing is wrong with. */
const PATHS = (() => {
  const dots = [
    '.',
    '..',
    '%2e',
    '%2E%2e',
    '.%2e',
    '..;x',
    ';x',
    '.;',
    '...',
    '%2e%2e%2f',
    '..%2f',
  ];
  const odd = [
    '%',
    '%2',
    '%zz',
    '%00',
    '%01',
    '%2f',
    '%5c',
    '%25',
    '%252e',
    '%c0%ae',
    '%ff',
    '%41',
  ];
  const more = [
    '',
    '~',
    'a b'.replace(' ', '%20'),
    'a+b',
    'a;b=c',
    'a:b',
    '@',
    '!$&()*,',
    "'",
    '"',
    '|',
  ];
  const names = [...dots, ...odd, ...more, '{petId}', '*', 'x'.repeat(300), 'x'.repeat(5_000), 'é'];
  return names.flatMap((name) => [
    `/${name}`,
    `/pets/${name}`,
    `/pets/${name}/42`,
    `//${name}`,
    `/pets/${name}/`,
    `/pets/42?q=/${name}`,
  ]);
})();

describe('strange paths', () => {
  it(`are decided as by POST /v1/decisions, and never answered 5xx (${PATHS.length} of them)`, async () => {
    const catalogue = await aCatalogue(api, {
      methods: [
        ['ANY', '/{proxy+}'],
        ['GET', '/pets'],
      ],
    });
    const { apiKey, apiId, stage } = catalogue;
    const wrong: string[] = [];
    for (const path of PATHS) {
      const { body } = await api.call('POST', '/v1/decisions', {
        token: api.gatewayToken,
        // The bytes as Node reads them from a header.
        body: { apiKey, apiId, stage, method: 'GET', path: Buffer.from(path).toString('latin1') },
      });
      const expected = body['allowed'] ? 200 : 403;
      // Node itself refuses a request line that is not ASCII.
      const isAscii = /^[ -~]*$/.test(path);
      for (const face of FACES.filter((name) => isAscii || name !== 'path')) {
        const answer = await ask(face, catalogue, { path: Buffer.from(path).toString('latin1') });
        const template = answer.header('X-Tollgate-Resource-Path') || null;
        if (answer.status === expected && template === body['resourcePath']) continue;
        wrong.push(
          `${face} ${path.slice(0, 60)}: ${answer.status} ${template}, not ${expected} ${body['resourcePath']}`,
        );
      }
    }
    expect(wrong).toEqual([]);
  });

  it('say nothing of a call that the request line cannot hold', async () => {
    const catalogue = await aCatalogue(api);
    const answer = await ask('path', catalogue, { path: `/${'x'.repeat(9_000)}` });
    expect(seen('path', answer)).toEqual(STRANGER);
  });
});

describe('behind TRUSTED_PROXIES', () => {
  const BLOCKS = '10.0.0.0/8, 2001:db8:aaaa::/48,::ffff:192.0.2.0/120';
  let proxied: TestApi;
  let of: Catalogue;
  beforeAll(async () => {
    proxied = await startApi({ TRUSTED_PROXIES: BLOCKS });
    of = await aCatalogue(proxied, { ipPolicy: { allow: ['203.0.113.0/24', '2001:db8:1::/48'] } });
  });

  it.each([
    { list: '203.0.113.7', is: 200, why: 'the gateway has seen the client itself' },
    { list: '203.0.113.7, 10.1.2.3', is: 200, why: 'a proxy has seen the client' },
    { list: '203.0.113.7,10.1.2.3 ,10.9.9.9', is: 200, why: 'so have two' },
    { list: '203.0.113.7, 192.0.2.1', is: 200, why: 'a mapped block is one of IPv4' },
    { list: '203.0.113.7, ::ffff:10.1.2.3', is: 200, why: 'a mapped address is in it' },
    { list: '2001:db8:1::7, 2001:db8:aaaa::1', is: 200, why: 'IPv6 is the same' },
    { list: '203.0.113.7, 198.51.100.1', is: 403, why: 'the client has written the first one' },
    { list: '203.0.113.7, 198.51.100.1, 10.1.2.3', is: 403, why: 'and sent it through the proxy' },
    { list: '10.1.2.3, 10.9.9.9', is: 403, why: 'a proxy called by itself' },
    { list: '10.1.2.3, 203.0.113.7', is: 200, why: 'a client says that it came by a proxy' },
    { list: '203.0.113.7, unknown, 10.1.2.3', is: 403, why: 'no proxy writes that' },
    { list: '203.0.113.7, , 10.1.2.3', is: 403, why: 'nor nothing' },
    { list: '203.0.113.7, 10.1.2.3x', is: 403, why: 'nor that' },
  ])('$list is $is: $why', async ({ list, is }) => {
    for (const face of FACES) {
      const { status } = await ask(face, of, { address: list, api: proxied });
      // nginx has resolved the address by itself and sends one.
      expect({ face, status }).toEqual({ face, status: isNginxList(face, list) ? 403 : is });
    }
  });
});

const isNginxList = (face: Face, list: string) => face === 'nginx' && list.includes(',');

describe('what a call costs', () => {
  it('is one, whatever a client says of it', async () => {
    const of = await aCatalogue(api, { quota: { limit: 100, period: 'DAY' } });
    for (const cost of ['0', '-1', '1000', 'x']) {
      for (const face of FACES) {
        const { status } = await ask(face, of, { fields: [['X-Tollgate-Cost', cost]] });
        expect({ face, cost, status }).toEqual({ face, cost, status: 200 });
      }
    }
    const { apiKey, apiId, stage } = of;
    const question = { apiKey, apiId, stage, method: 'GET', path: '/pets', dryRun: true };
    const { body } = await api.call('POST', '/v1/decisions', {
      token: api.gatewayToken,
      body: question,
    });
    expect(body['quota'].remaining).toBe(100 - 4 * FACES.length);
  });
});

describe('without its database', () => {
  it('refuses with 403 or 429, never 5xx, and asks by the plan of whom it knows', async () => {
    const lonely = await startApi();
    const denying = await aCatalogue(lonely, { quota: { limit: 100, period: 'DAY' } });
    const allowing = await aCatalogue(lonely, {
      quota: { limit: 1, period: 'DAY' },
      onFailure: 'allow',
    });
    const unseen = await aCatalogue(lonely);
    const known = await aCatalogue(lonely);
    expect((await ask('caddy', known, { api: lonely })).status).toBe(200);
    expect((await ask('caddy', allowing, { api: lonely })).status).toBe(200);
    await lonely.app.get(Database).pool.end();

    expect((await ask('caddy', known, { api: lonely })).status).toBe(200);
    for (const face of FACES) {
      const answers = [
        await ask(face, unseen, { api: lonely }),
        await ask(face, denying, { api: lonely }),
        await ask(face, known, { api: lonely, token: `tgw_${'n'.repeat(40)}` }),
      ];
      expect(answers.map((answer) => statusOf(face, answer))).toEqual([429, 429, 403]);
      for (const answer of answers) {
        expect([200, 403, 429]).toContain(answer.status);
        expect(namesOf(answer)).toEqual(expect.arrayContaining(ALWAYS_THERE));
      }
    }
  });
});
