import assert from 'node:assert/strict';
import type { Bench, Exchange } from '../bench.js';
import type { ConformanceCase } from '../cases.js';
import { assertPassed, picture } from '../expect.js';
import { HONEST_PATHS, templatesOf, TRICKY_PATHS } from '../paths.js';

/** What is wrong with what became of a path; null when it was kept out, or served as it was decided. */
function faultOf({ subject }: Bench, exchange: Exchange): string | null {
  const { reached, status } = exchange;
  if (reached === null) {
    return status >= 400 && status < 500 ? null : `answered ${picture(exchange)}`;
  }
  assertPassed(exchange, subject.good);
  const decided = reached.header('X-Tollgate-Resource-Path');
  const other = templatesOf(reached.target, subject.templates).find(
    ({ template }) => template !== decided,
  );
  if (other === undefined) return null;
  return `decided as ${decided}, but the application got ${reached.target.slice(0, 80)}, which is ${other.template} when ${other.reading}`;
}

/** The decision is about what the application serves. */
export const PATH_CASES = {
  'honest-paths': {
    says: `passes ${HONEST_PATHS.length} honest paths, decided as the application serves them`,
    run: async (bench) => {
      for (const target of HONEST_PATHS) {
        const exchange = await bench.call({ key: bench.subject.good, target });
        const reached = assertPassed(exchange, bench.subject.good);
        assert.equal(faultOf(bench, exchange), null, target.slice(0, 80));
        assert.equal(reached.target, target, 'the path is not what the client asked for');
      }
    },
  },
  'tricky-paths': {
    says: `keeps out ${TRICKY_PATHS.length} paths that servers read differently, or decides each as the application serves it`,
    run: async (bench) => {
      const wrong: string[] = [];
      for (const target of TRICKY_PATHS) {
        const exchange = await bench.call({ key: bench.subject.good, target });
        const fault = faultOf(bench, exchange);
        if (fault !== null) wrong.push(`${target.slice(0, 80)}: ${fault}`);
      }
      assert.deepEqual(wrong, []);
    },
  },
  'paths-without-key': {
    says: 'lets no path past the question: each needs a key',
    run: async ({ call }) => {
      for (const target of [...HONEST_PATHS, ...TRICKY_PATHS]) {
        const exchange = await call({ target });
        const { reached, status } = exchange;
        assert.ok(reached === null && status >= 400 && status < 500, picture(exchange));
      }
    },
  },
} as const satisfies Record<string, ConformanceCase>;
