import fc from 'fast-check';
import { ipAllowed, parseIpPolicy } from '@core/limits';
import { canonicalPath, MethodRouter, type AmbiguousPathPolicy } from '@core/limits';
import { beforeAll, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { freePort } from '../../scripts/free-port.mjs';
import { LUA_LIBRARY, runNginxLua, type RunningNginxLua } from '../support/nginx-lua.js';
import { describeWithNginxLua } from '../support/nginx-lua.js';
import { HONEST_PATHS, TRICKY_PATHS } from './conformance/paths.js';

const POLICIES: readonly AmbiguousPathPolicy[] = ['refuse', 'strictest', 'normalise'];
const METHODS = [
  'GET /',
  'GET /pets',
  'POST /pets',
  'GET /pets/{petId}',
  'DELETE /pets/{id}',
  'GET /pets/mine',
  'ANY /pets/mine',
  'GET /pets/{petId}/toys',
  'GET /pets/mine/food',
  'ANY /files/{proxy+}',
  'GET /files/readme',
  'GET /files/{name}/meta',
  'ANY /admin',
  'GET /cheap',
  'GET /cheap',
  'POST /{any}/{rest+}',
  'GET /trailing/',
];
/** What is special in paths, and a little of what is not. */
const SPECIAL = [
  '/',
  '/',
  '.',
  '..',
  '%2e',
  '%2E',
  '%41',
  '%c3',
  '%25',
  '%2',
  '%',
  '%00',
  '%2f',
  '%5C',
  ';',
  ';x',
  'a',
  'B',
  '4',
  '1',
  '~',
  '?',
  '#',
  '\\',
  ' ',
  '\u0001',
  '\u007f',
  '\u00e9',
];
const SEGMENTS = [
  'pets',
  'mine',
  '42',
  'toys',
  'food',
  'files',
  'readme',
  'meta',
  'admin',
  'cheap',
  'trailing',
  'Pets',
  '{petId}',
  '',
  'constructor',
];
/** Addresses in odd spellings, and what is none. */
const ADDRESSES = [
  '',
  'unknown',
  '10.0.0',
  '010.0.0.1',
  '::1',
  '::ffff:10.1.2.3',
  'fe80::1%eth0',
  '::1::',
  '1:2:3:4:5:6:7::',
  '::1.2.3.4',
  '1.2.3.4::',
  '256.1.1.1',
  '2001:DB8::1',
  '0x0a.0.0.1',
];
const VERBS = ['GET', 'POST', 'DELETE', 'PUT', 'ANY', 'get', '__proto__'];

/** Answers what the library makes of paths, verbs and addresses, in the Lua that it runs in. */
const ORACLE = `
lua_package_path "${LUA_LIBRARY}/?.lua;;";
client_max_body_size 64m;
client_body_buffer_size 64m;
init_by_lua_block {
  cjson = require "cjson"
  canonical_path = require "tollgate.canonical_path"
  Router = require "tollgate.router"
  ip_policy = require "tollgate.ip_policy"
}
server {
  listen 127.0.0.1:PORT;
  location / { return 200 ''; }
  location = /paths {
    content_by_lua_block {
      ngx.req.read_body()
      local answers = {}
      for index, case in ipairs(cjson.decode(ngx.req.get_body_data())) do
        local path, other = canonical_path(case.path, case.policy, case.keeps)
        answers[index] = path and (other and "ambiguous: " or "clean: ") .. path or "refused: " .. other
      end
      ngx.print(cjson.encode(answers))
    }
  }
  location = /routes {
    content_by_lua_block {
      ngx.req.read_body()
      local asked, answers = cjson.decode(ngx.req.get_body_data()), {}
      local router = Router.new(asked.methods)
      for index, case in ipairs(asked.cases) do
        local found = router:match(case.verb, case.path)
        answers[index] = found and found.httpMethod .. " " .. found.resourcePath or cjson.null
      end
      ngx.print(cjson.encode(answers))
    }
  }
  location = /addresses {
    content_by_lua_block {
      ngx.req.read_body()
      local answers = {}
      for index, case in ipairs(cjson.decode(ngx.req.get_body_data())) do
        local admits = ip_policy.compile(case.policy)
        answers[index] = admits == nil or admits(case.address)
      end
      ngx.print(cjson.encode(answers))
    }
  }
}`;

describeWithNginxLua('the Lua library answers as the TypeScript one', () => {
  let nginx: RunningNginxLua;

  beforeAll(async () => {
    const port = await freePort();
    nginx = await runNginxLua(ORACLE.replace('PORT', String(port)), port);
  });
  afterFile(() => nginx.stop());

  const ask = async (path: string, body: unknown): Promise<unknown[]> => {
    const response = await fetch(nginx.url + path, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${response.status}: ${await nginx.errors()}`);
    return JSON.parse(await response.text());
  };

  it('of the corpus of paths, and of 20,000 made of what is special in paths', async () => {
    const part = fc.constantFrom(...SPECIAL, 'a'.repeat(4_090));
    const made = fc.sample(fc.array(part, { maxLength: 14 }), { numRuns: 20_000, seed: 7 });
    const paths = [
      ...HONEST_PATHS,
      ...TRICKY_PATHS,
      '',
      '*',
      '/\0',
      `/${'a'.repeat(4_095)}`,
      `/${'a'.repeat(4_096)}`,
      ...made.flatMap((parts) => [`/${parts.join('')}`]),
    ];
    const cases = paths.flatMap((path) =>
      POLICIES.map((policy, index) => ({ path, policy, keeps: index === 1 })),
    );
    const answers = await ask('/paths', cases);
    const expected = cases.map(({ path, policy, keeps }) => {
      const result = canonicalPath(path, { ambiguousPath: policy, allowsEncodedSeparators: keeps });
      if (result.kind === 'refused') return `refused: ${result.why}`;
      return `${result.isAmbiguous ? 'ambiguous' : 'clean'}: ${result.path}`;
    });
    const wrong = cases.filter((_, index) => answers[index] !== expected[index]);
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(answers).toHaveLength(expected.length);
    expect(new Set(expected.map((each) => each.split('/', 1)[0])).size).toBeGreaterThan(10);
  });

  it('of which method a path is', async () => {
    const segment = fc.constantFrom(...SEGMENTS);
    const paths = fc
      .sample(fc.array(segment, { maxLength: 5 }), { numRuns: 3_000, seed: 11 })
      .map((segments) => `/${segments.join('/')}`);
    const cases = [...paths, '/', '/a'.repeat(500)].flatMap((path) =>
      VERBS.map((verb) => ({ verb, path })),
    );
    const methods = METHODS.map((name) => {
      const [httpMethod = '', resourcePath = ''] = name.split(' ');
      return { httpMethod, resourcePath };
    });
    const router = new MethodRouter(
      methods.map(({ httpMethod, resourcePath }) => ({
        method: httpMethod,
        resourcePath,
        id: `${httpMethod} ${resourcePath}`,
      })),
      { trailingSlash: 'ignore' },
    );
    const expected = cases.map(({ verb, path }) => router.match(verb, path)?.id ?? null);
    const answers = await ask('/routes', { methods, cases });
    const wrong = cases.filter((_, index) => answers[index] !== expected[index]);
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(answers).toHaveLength(expected.length);
    expect(new Set(expected).size).toBeGreaterThan(METHODS.length - 3);
  });

  it('of which addresses may call', async () => {
    const blocks = fc.sample(
      fc.oneof(
        fc.tuple(fc.ipV4(), fc.nat(32)).map(([address, bits]) => masked(address, bits)),
        fc.tuple(fc.ipV6(), fc.nat(128)).map(([address, bits]) => masked(address, bits)),
      ),
      { numRuns: 400, seed: 13 },
    );
    const addresses = [
      ...fc.sample(fc.oneof(fc.ipV4(), fc.ipV6()), { numRuns: 60, seed: 17 }),
      ...ADDRESSES,
    ];
    const lists = [
      {},
      { allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] },
      { deny: ['192.0.2.1'] },
      { allow: ['::/0'] },
      { allow: ['0.0.0.0/0'] },
      { allow: ['::ffff:10.0.0.0/104', '2001:db8::/32'] },
      ...blocks.map((block, index) => (index % 2 ? { allow: [block] } : { deny: [block] })),
    ];
    const cases = lists.flatMap((policy) => addresses.map((address) => ({ policy, address })));
    const expected = cases.map(({ policy, address }) => ipAllowed(parseIpPolicy(policy), address));
    const answers = await ask('/addresses', cases);
    const wrong = cases.filter((_, index) => answers[index] !== expected[index]);
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(new Set(expected)).toEqual(new Set([true, false]));
  });
});

/** The block of that length around the address: bits behind a prefix are refused. */
function masked(address: string, bits: number): string {
  const exact = parseIpPolicy({ allow: [address] }).allow[0]!;
  const width = exact.family === 4 ? 32 : 128;
  const length = Math.min(bits, width);
  const size = 1n << BigInt(width - length);
  const first = exact.first - (exact.first % size);
  if (exact.family === 4) {
    const bytes = [24n, 16n, 8n, 0n].map((shift) => (first >> shift) & 255n);
    return `${bytes.join('.')}/${length}`;
  }
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((first >> BigInt(16 * (7 - at))) & 0xffffn).toString(16),
  );
  return `${groups.join(':')}/${length}`;
}
