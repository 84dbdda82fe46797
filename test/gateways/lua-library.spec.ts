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
].map((name) => {
  const [httpMethod = '', resourcePath = ''] = name.split(' ');
  return { httpMethod, resourcePath };
});
const ROUTER = new MethodRouter(
  METHODS.map(({ httpMethod, resourcePath }) => ({
    method: httpMethod,
    resourcePath,
    id: `${httpMethod} ${resourcePath}`,
  })),
  { trailingSlash: 'ignore' },
);
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
lua_shared_dict units 8m;
client_max_body_size 64m;
client_body_buffer_size 64m;
init_by_lua_block {
  cjson = require "cjson"
  canonical_path = require "tollgate.canonical_path"
  Router = require "tollgate.router"
  ip_policy = require "tollgate.ip_policy"
  Policies = require "tollgate.policies"
  Units = require "tollgate.units"
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
  location = /methods {
    content_by_lua_block {
      ngx.req.read_body()
      local asked, answers = cjson.decode(ngx.req.get_body_data()), {}
      local other = { httpMethod = "*", resourcePath = "*" }
      local stage = { ambiguous_path = asked.policy, router = Router.new(asked.methods), other = other,
        strictest = { httpMethod = "!", resourcePath = "!" }, found = {}, found_size = 0 }
      for index, case in ipairs(asked.cases) do
        local found = Policies.match(stage, case.verb, case.target)
        answers[index] = found and found.httpMethod .. " " .. found.resourcePath or cjson.null
      end
      ngx.print(cjson.encode({ answers = answers, kept = stage.found_size }))
    }
  }
  location = /units {
    content_by_lua_block {
      ngx.req.read_body()
      local steps, answers = cjson.decode(ngx.req.get_body_data()), {}
      local dict = ngx.shared.units
      dict:flush_all()
      local workers, held = {}, {}
      for name = 1, 3 do
        local units = Units.new(dict)
        -- A lease longer than the test, so that only a step begins another slot.
        units:set_lease_ms(1e9)
        units.answered_at = ngx.now()
        workers[name] = units
        held[name] = {
          rate = units:rate("bucket", {}, "usage-plan", { rateLimit = 0 }), quota = units:quota("key", "plan"),
        }
        units:set_period(held[name].quota, "2026-01-01T00:00:00.000Z", 0, 4e12, 1e9)
      end
      local slot = workers[1]:slot_of(ngx.now())
      local acts = {
        put = function(units, own, step)
          local grant = { granted = step.units, remaining = 1e6 }
          if step.kind == "rate" then units:put_rate(own.rate, grant, ngx.now(), 1)
          else units:put_quota(own.quota, grant, 0, 1) end
          return step.units
        end,
        take = function(units, own, step)
          if step.kind == "rate" then return units:take_rate(own.rate, step.units, slot + (step.later or 0)) or -1 end
          return units:take_quota(own.quota, step.units, ngx.now()) or -1
        end,
        put_back = function(units, own, step)
          if not units:take_quota(own.quota, step.units, ngx.now()) then return -1 end
          units:put_back(own.quota, step.units)
          return step.units
        end,
        has = function(units, own, step) return units:has(own[step.kind], step.units, slot) and 1 or 0 end,
        idle = function(units, own)
          own.rate.spent, own.quota.spent = 0, 0
          units:empty_pockets(false)
          return 0
        end,
        close = function(units) units:empty_pockets(true) return 0 end,
        void = function(units, own, step)
          if step.kind == "rate" then units:void(own.rate) return 0 end
          units:void_quota(own.quota)
          return units.returns.quotas[#units.returns.quotas].units
        end,
        left = function(_, own, step)
          if step.kind == "quota" then return dict:get(own.quota.key) or 0 end
          return (dict:get(own.rate.keys[slot % 4]) or 0) + (dict:get(own.rate.keys[(slot - 1) % 4]) or 0)
        end,
        pocket = function(_, own, step) return own[step.kind].pocket end,
      }
      for index, step in ipairs(steps) do
        answers[index] = acts[step.act](workers[step.worker], held[step.worker], step)
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

/** Runs the oracle for the tests of a `describe`. Returns how it is asked. */
function oracle() {
  let nginx: RunningNginxLua;

  beforeAll(async () => {
    const port = await freePort();
    nginx = await runNginxLua(ORACLE.replace('PORT', String(port)), port);
  });
  afterFile(() => nginx.stop());

  return async <T = unknown[]>(path: string, body: unknown): Promise<T> => {
    const response = await fetch(nginx.url + path, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${response.status}: ${await nginx.errors()}`);
    return JSON.parse(await response.text());
  };
}

describeWithNginxLua('the Lua library answers as the TypeScript one', () => {
  const ask = oracle();

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
    const expected = cases.map(({ verb, path }) => ROUTER.match(verb, path)?.id ?? null);
    const answers = await ask('/routes', { methods: METHODS, cases });
    const wrong = cases.filter((_, index) => answers[index] !== expected[index]);
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(answers).toHaveLength(expected.length);
    expect(new Set(expected).size).toBeGreaterThan(METHODS.length - 3);
  });

  it.each(POLICIES)(
    'of which method a target is, also when it has been asked for before: %s',
    async (policy) => {
      const part = fc.constantFrom(...SEGMENTS, ...SEGMENTS, '..', '%2e', '%41', '%2f', 'x?y', '#');
      const parts = fc.sample(fc.array(part, { maxLength: 4 }), { numRuns: 1_500, seed: 19 });
      const once = parts.flatMap((segments) =>
        ['GET', 'POST'].map((verb) => ({ verb, target: `/${segments.join('/')}` })),
      );
      const cases = [...once.slice(0, 500), ...once.slice(0, 500), ...once, ...once.toReversed()];
      const expected = cases.map(({ verb, target }) => {
        const found = canonicalPath(target, { ambiguousPath: policy });
        if (found.kind === 'refused') return null;
        if (found.isAmbiguous && policy === 'strictest') return '! !';
        return ROUTER.match(verb, found.path)?.id ?? '* *';
      });
      const { answers, kept } = await ask<{ answers: unknown[]; kept: number }>('/methods', {
        methods: METHODS,
        cases,
        policy,
      });
      const wrong = cases.filter((_, index) => answers[index] !== expected[index]);
      expect(wrong.slice(0, 5)).toEqual([]);
      expect(answers).toHaveLength(expected.length);
      expect(kept).toBeLessThanOrEqual(1_000);
      expect(new Set(expected).size).toBeGreaterThan(10);
    },
  );

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

type Kind = 'rate' | 'quota';
interface Step {
  readonly act: 'void' | 'put' | 'take' | 'put_back' | 'has' | 'idle' | 'close' | 'left' | 'pocket';
  readonly worker: number;
  readonly kind: Kind;
  readonly units: number;
  /** Slots later, of a take. */
  readonly later?: number;
}
const POCKET_MAX = 16;
const HOLDS = {
  takesWhatIsThere: true,
  seesWhatIsThere: true,
  pocketsFew: true,
  leavesMost: true,
};

describeWithNginxLua('what workers hold of one bucket and one quota', () => {
  const ask = oracle();
  const run = (steps: readonly Step[]) => ask<number[]>('/units', steps);

  it.each<Kind>(['rate', 'quota'])(
    'is spent once, whoever takes and puts back, and is refused only when it is not there: %s',
    async (kind) => {
      const step = fc.record({
        act: fc.constantFrom<Step['act']>(
          ...(['put', 'has', 'idle', 'close'] as const),
          ...Array<'take'>(12).fill('take'),
          ...(kind === 'quota' ? (['put_back'] as const) : []),
        ),
        worker: fc.integer({ min: 1, max: 3 }),
        kind: fc.constant(kind),
        units: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 40 })),
      });
      const schedule = fc.array(step, { minLength: 30, maxLength: 120 });
      let pocketed = 0;
      const holds = fc.asyncProperty(
        fc.integer({ min: 0, max: 900 }),
        schedule,
        async (first, made) => {
          const put: Step = { act: 'put', worker: 1, kind, units: first + 1 };
          // Before and after each step: what is in shared memory, and what is in the worker's own pocket.
          const look = (each: Step): Step[] => [
            { ...each, act: 'left' },
            { ...each, act: 'pocket' },
          ];
          const steps = [put, ...made].flatMap((each) => [...look(each), each, ...look(each)]);
          const end = [1, 2, 3].map((worker) => ({ ...put, act: 'close' as const, worker }));
          const answers = await run([...steps, ...end, { ...put, act: 'left' }]);
          let there = 0;
          const closed = new Set<number>();
          for (const [index, { act, units, worker }] of [put, ...made].entries()) {
            const [left = 0, pocket = 0, answer = 0, leftAfter = 0, after = 0] = answers.slice(
              index * 5,
            );
            const isThere = left + pocket >= units;
            if (act === 'put') there += units;
            if (act === 'take' && answer >= 0) there -= units;
            if (act === 'close') closed.add(worker);
            const isTake = act === 'take' || act === 'put_back';
            const isHolding = {
              takesWhatIsThere: !isTake || answer >= 0 === isThere,
              seesWhatIsThere: act !== 'has' || (answer === 1) === isThere,
              pocketsFew: after <= (closed.has(worker) ? 0 : POCKET_MAX),
              leavesMost: after <= pocket || leftAfter >= after * 8,
            };
            expect({ index, act, ...isHolding }).toMatchObject(HOLDS);
            pocketed += Number(after > pocket);
          }
          expect(answers.at(-1)).toBe(there);
        },
      );
      await fc.assert(holds, { numRuns: 150, seed: 23 });
      expect(pocketed).toBeGreaterThan(500);
    },
  );

  it('is there for a call that wants more than the pocket or shared memory has alone', async () => {
    const step: Step = { act: 'take', worker: 1, kind: 'quota', units: 1 };
    const answers = await run([
      { ...step, act: 'put', units: 300 },
      step,
      step,
      { ...step, act: 'pocket' },
      { ...step, worker: 2, units: 270 },
      { ...step, act: 'has', units: 29 },
      { ...step, act: 'has', units: 28 },
      { ...step, units: 28 },
    ]);
    expect(answers).toEqual([300, 299, 298, POCKET_MAX, 12, 0, 1, 0]);
  });

  it('is void with its policy, and goes back where it is a quota', async () => {
    const step: Step = { act: 'take', worker: 1, kind: 'quota', units: 1 };
    const each = (kind: Kind): Step[] => [
      { ...step, kind, act: 'put', units: 500 },
      { ...step, kind },
      { ...step, kind },
      { ...step, kind, act: 'pocket' },
      { ...step, kind, act: 'void' },
      { ...step, kind, act: 'pocket' },
      { ...step, kind, act: 'left' },
    ];
    expect(await run(each('quota'))).toEqual([500, 499, 498, POCKET_MAX, 498, 0, 0]);
    expect(await run(each('rate'))).toEqual([500, 499, 498, POCKET_MAX, 0, 0, 0]);
  });

  it('is void two slots later, also in a pocket', async () => {
    const step: Step = { act: 'take', worker: 1, kind: 'rate', units: 1 };
    const answers = await run([
      { ...step, act: 'put', units: 500 },
      step,
      step,
      { ...step, act: 'pocket' },
      { ...step, later: 1 },
      { ...step, later: 2 },
      { ...step, act: 'pocket' },
    ]);
    expect(answers).toEqual([500, 499, 498, POCKET_MAX, 497, -1, 0]);
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
