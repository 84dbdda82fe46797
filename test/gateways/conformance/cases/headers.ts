import assert from 'node:assert/strict';
import type { BenchCall, Exchange } from '../bench.js';
import type { ConformanceCase } from '../cases.js';
import { assertKeptOut, assertPassed, assertRefused, FORBIDDEN, picture } from '../expect.js';
import type { SubjectKey } from '../subject.js';

type Fields = readonly (readonly [name: string, value: string])[];

const many = (count: number): Fields =>
  Array.from({ length: count }, (_, index) => [`X-Filler-${index}`, '1'] as const);

/** Passed with the right identity or kept out; never lost on the way to the service, never a 5xx. */
function assertPassedOrKeptOut(exchange: Exchange, key: SubjectKey): void {
  if (exchange.reached === null) assertKeptOut(exchange);
  else assertPassed(exchange, key);
}

/** More and larger headers than usual, and two of what must be one. */
export const HEADER_CASES = {
  'large-headers': {
    says: 'passes a header of 6 KiB and one hundred headers',
    run: async ({ call, subject }) => {
      const { good } = subject;
      const big = [['X-Big', 'x'.repeat(6 * 1024)]] as const;
      const reached = assertPassed(await call({ key: good, fields: big }), good);
      assert.equal(reached.header('X-Big')?.length, 6 * 1024);
      const reachedByMany = assertPassed(await call({ key: good, fields: many(100) }), good);
      assert.equal(reachedByMany.header('X-Filler-99'), '1');
    },
  },
  'larger-headers': {
    says: 'passes headers of up to 16 KiB with the identity, or keeps them out; beyond that too',
    run: async ({ call, subject }) => {
      const { good } = subject;
      for (const kib of [7, 8, 9, 12, 15, 16, 17, 40]) {
        const one = [['X-Big', 'x'.repeat(kib * 1024)]] as const;
        assertPassedOrKeptOut(await call({ key: good, fields: one }), good);
        const some = Array.from(
          { length: kib },
          (_, index) => [`X-Big-${index}`, 'x'.repeat(1_000)] as const,
        );
        assertPassedOrKeptOut(await call({ key: good, fields: some }), good);
        const keyLast = [...some, ['X-Api-Key', good.value]] as const;
        assertPassedOrKeptOut(await call({ fields: keyLast }), good);
      }
    },
  },
  'many-headers': {
    says: 'passes more than 200 headers with the identity, or keeps them out: none is lost in silence',
    run: async ({ call, subject }) => {
      const { good } = subject;
      for (const count of [195, 205, 500, 995, 1_000, 1_005, 2_500]) {
        assertPassedOrKeptOut(await call({ key: good, fields: many(count) }), good);
        const keyLast = [...many(count), ['X-Api-Key', good.value]] as const;
        assertPassedOrKeptOut(await call({ fields: keyLast }), good);
        const keyTwice = [...many(count), ['X-Api-Key', 'nobody']] as const;
        assertKeptOut(await call({ key: good, fields: keyTwice }));
      }
    },
  },
  'two-keys': {
    says: '403 Forbidden for two keys, in whatever spelling and order',
    run: async ({ call, subject }) => {
      const { value } = subject.good;
      const pairs: Fields[] = [
        [
          ['X-Api-Key', value],
          ['X-Api-Key', value],
        ],
        [
          ['X-Api-Key', value],
          ['x-api-key', 'nobody'],
        ],
        [
          ['X-API-KEY', 'nobody'],
          ['X-Api-Key', value],
        ],
        [
          ['X-Api-Key', value],
          ['x-api-key', ''],
        ],
        [
          ['X-Api-Key', ''],
          ['x-api-key', value],
        ],
      ];
      for (const fields of pairs) assertRefused(await call({ fields }), FORBIDDEN);
    },
  },
  'joined-keys': {
    says: '403 Forbidden for two keys in one header',
    run: async ({ call, subject }) => {
      const { value } = subject.good;
      for (const key of [`${value}, ${value}`, `${value},nobody`, `nobody, ${value}`]) {
        assertRefused(await call({ key }), FORBIDDEN);
      }
    },
  },
  'key-alias': {
    says: 'takes no key from a header with underscores',
    run: async ({ call, subject }) => {
      for (const name of ['X_Api_Key', 'x_api_key', 'X-Api_Key', 'X_API-KEY']) {
        assertKeptOut(await call({ fields: [[name, subject.good.value]] }));
      }
    },
  },
  'key-only-in-header': {
    says: 'takes no key from the query, a cookie or Authorization',
    run: async ({ call, subject }) => {
      const { value } = subject.good;
      const calls: BenchCall[] = [
        { target: `/pets?api_key=${value}&x-api-key=${value}&apikey=${value}&X-Api-Key=${value}` },
        { fields: [['Cookie', `x-api-key=${value}`]] },
        { fields: [['Authorization', `Bearer ${value}`]] },
      ];
      for (const each of calls) assertRefused(await call(each), FORBIDDEN);
    },
  },
  'two-hosts': {
    says: 'decides the same, or keeps the call out, with two Host headers',
    run: async ({ call, subject }) => {
      const fields = [['Host', 'elsewhere.test']] as const;
      assertPassedOrKeptOut(await call({ key: subject.good, fields }), subject.good);
      assertKeptOut(await call({ fields }));
    },
  },
  'other-headers-pass': {
    says: 'hands the client’s own headers on, repeated ones too',
    run: async ({ call, subject }) => {
      const fields: Fields = [
        ['Accept', 'text/plain'],
        ['Cookie', 'session=1'],
        ['Authorization', 'Basic eDp5'],
        ['X-Twice', 'one'],
        ['X-Twice', 'two'],
      ];
      const exchange = await call({ key: subject.good, fields });
      const reached = assertPassed(exchange, subject.good);
      for (const [name, value] of fields) {
        assert.ok(
          reached.all(name).join(', ').includes(value),
          `${name}: ${value} is gone: ${picture(exchange)}`,
        );
      }
    },
  },
} as const satisfies Record<string, ConformanceCase>;
