import assert from 'node:assert/strict';
import type { Bench, Exchange } from '../bench.js';
import type { ConformanceCase } from '../cases.js';
import { assertKeptOut, assertPassed, picture } from '../expect.js';
import type { UpstreamCall } from '../upstream.js';

/** What proxies say of a call, and clients can say too. */
const FORWARDING = [
  'X-Forwarded-Uri',
  'X-Forwarded-Url',
  'X-Forwarded-Path',
  'X-Forwarded-Prefix',
  'X-Forwarded-Method',
  'X-Forwarded-For',
  'X-Forwarded-Host',
  'X-Forwarded-Port',
  'X-Forwarded-Proto',
  'X-Forwarded-Server',
  'X-Original-Uri',
  'X-Original-Url',
  'X-Original-Method',
  'X-Original-Host',
  'X-Original-Forwarded-For',
  'X-Rewrite-Url',
  'X-Envoy-Original-Path',
  'X-Http-Method-Override',
  'X-Http-Method',
  'X-Method-Override',
  'X-Real-IP',
  'X-Client-IP',
  'X-Cluster-Client-IP',
  'True-Client-IP',
  'CF-Connecting-IP',
  'Forwarded',
] as const;

/** What gateway and service say to each other and to the application. */
const OURS = [
  'X-Tollgate-Token',
  'X-Tollgate-Key-Id',
  'X-Tollgate-Customer-Id',
  'X-Tollgate-Decision-Id',
  'X-Tollgate-Resource-Path',
  'X-Tollgate-Shadowed',
  'X-Tollgate-Time',
  'X-Decision-Status',
] as const;

const SPOOFED = 'spoofed-by-the-client';
const CLAIMS = [SPOOFED, '/cheap', 'DELETE', '10.9.9.9'];

/** Every spelling that some application reads as the name itself. */
const spellings = (name: string) => [
  name,
  name.toLowerCase(),
  name.replaceAll('-', '_'),
  name.replace('-', '_'),
];

/** What the application is told of the decision, without what is new each time. */
const identityOf = (call: UpstreamCall) =>
  call.fields
    .filter(([name]) => /^x[-_]tollgate[-_]/i.test(name))
    .map(([name, value]) =>
      (/decision|time/i.test(name) ? name : `${name}: ${value}`).toLowerCase(),
    )
    .sort((a, b) => a.localeCompare(b));

/** The same as without the claim, or kept out. */
function assertNotBelieved(exchange: Exchange, honest: UpstreamCall, claim: string): void {
  const { reached } = exchange;
  if (reached === null) return assertKeptOut(exchange);
  assertPassed(exchange);
  const { method, target } = reached;
  const seen = { method, target, identity: identityOf(reached) };
  const expected = { method: honest.method, target: honest.target, identity: identityOf(honest) };
  assert.deepEqual(seen, expected, `${claim} was believed: ${picture(exchange)}`);
}

async function assertIgnored({ call, subject }: Bench, names: readonly string[]): Promise<void> {
  const key = subject.good;
  const honest = assertPassed(await call({ key, target: '/expensive' }), key);
  for (const name of names.flatMap(spellings)) {
    for (const value of CLAIMS) {
      const exchange = await call({ key, target: '/expensive', fields: [[name, value]] });
      assertNotBelieved(exchange, honest, `${name}: ${value}`);
    }
    const twice = [
      [name, '/cheap'],
      [name, SPOOFED],
    ] as const;
    const exchange = await call({ key, target: '/expensive', fields: twice });
    assertNotBelieved(exchange, honest, `${name} twice`);
    assertKeptOut(await call({ target: '/expensive', fields: twice }));
  }
}

/** The application gets none of them from the client: not one at a time, not all at once. */
async function assertNoneArrives({ call, subject }: Bench, names: readonly string[]) {
  const fields = names
    .filter((name) => name.startsWith('X-Tollgate'))
    .flatMap(spellings)
    .map((name) => [name, SPOOFED] as const);
  for (const some of [...fields.map((field) => [field]), fields]) {
    const { reached } = await call({ key: subject.good, fields: some });
    const left = reached?.fields.filter(([, value]) => value.includes(SPOOFED)) ?? [];
    assert.deepEqual(left, [], 'the application got the client’s own');
  }
}

/** What clients claim in headers that are not theirs. */
export const SPOOFING_CASES = {
  'spoofed-forwarding': {
    says: 'decides and tells the same whatever forwarding headers a client sends, or keeps it out',
    run: (bench) => assertIgnored(bench, FORWARDING),
  },
  'spoofed-tollgate': {
    says: 'lets no X-Tollgate-* that means something come from a client, in any spelling',
    run: async (bench) => {
      await assertIgnored(bench, OURS);
      await assertNoneArrives(bench, OURS);
    },
  },
  'spoofed-unused-tollgate': {
    says: 'deletes every other X-Tollgate-* of a client too',
    run: (bench) => assertNoneArrives(bench, ['X-Tollgate-Usage-Plan-Id', 'X-Tollgate-Anything']),
  },
  'spoofed-address': {
    says: 'judges the address that called, not one that the client names',
    run: async ({ call, subject }) => {
      const onlyThere = await subject.key({ ipPolicy: { allow: ['10.9.9.0/24'] } });
      const notThere = await subject.key({ ipPolicy: { deny: ['10.9.9.0/24'] } });
      const names = FORWARDING.filter((name) => /-For$|-IP$|^Forwarded$/.test(name));
      for (const name of names.flatMap(spellings)) {
        for (const value of ['10.9.9.9', 'for=10.9.9.9', '10.9.9.9, 10.9.9.9']) {
          const fields = [[name, value]] as const;
          assertKeptOut(await call({ key: onlyThere, fields }));
          const exchange = await call({ key: notThere, fields });
          if (exchange.reached === null && name.includes('_')) assertKeptOut(exchange);
          else assertPassed(exchange, notThere);
        }
      }
    },
  },
  'all-spoofed-at-once': {
    says: 'decides and tells the same with every such header at once, or keeps it out',
    run: async ({ call, subject }) => {
      const key = subject.good;
      const honest = assertPassed(await call({ key, target: '/expensive' }), key);
      for (const value of CLAIMS) {
        const fields = [...FORWARDING, ...OURS].map((name) => [name, value] as const);
        const exchange = await call({ key, target: '/expensive', fields });
        assertNotBelieved(exchange, honest, `everything says ${value}`);
      }
    },
  },
  'hop-by-hop': {
    says: 'tells the application the same when a client names headers in Connection',
    run: async ({ call, subject }) => {
      const key = subject.good;
      const honest = assertPassed(await call({ key, target: '/expensive' }), key);
      const named = [
        'X-Tollgate-Key-Id',
        'X-Tollgate-Token',
        'X-Api-Key',
        'X-Forwarded-Uri',
        'X-Forwarded-Method',
        'X-Original-Uri',
        'X-Original-Method',
        'X-Real-IP',
        'X-Forwarded-For',
      ];
      for (const name of named) {
        const fields = [['Connection', `close, ${name}`]] as const;
        const exchange = await call({ key, target: '/expensive', fields });
        assertNotBelieved(exchange, honest, `Connection: ${name}`);
      }
    },
  },
} as const satisfies Record<string, ConformanceCase>;
