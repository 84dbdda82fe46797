import assert from 'node:assert/strict';
import type { ConformanceCase } from '../cases.js';
import { assertKeptOut, assertPassed, assertRefused, FORBIDDEN, picture } from '../expect.js';

const VERBS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'];
const CUSTOM = ['PROPFIND', 'MKCOL', 'REPORT', 'PURGE', 'QUERY', 'TRACE', 'FROB', 'get', 'GET2'];

/** The verb is the client's own, for the decision and for the application. */
export const VERB_CASES = {
  verbs: {
    says: `decides ${VERBS.join(', ')} each as the method that the application gets`,
    run: async ({ call, subject }) => {
      const { good } = subject;
      for (const method of VERBS) {
        for (const other of VERBS) {
          const target = `/verbs/${other.toLowerCase()}`;
          const exchange = await call({ key: good, method, target });
          const reached = assertPassed(exchange, good);
          assert.equal(reached.method, method, picture(exchange));
          const template = method === other ? target : '/verbs/{name}';
          assert.equal(
            reached.header('X-Tollgate-Resource-Path'),
            template,
            `${method} ${target}: ${picture(exchange)}`,
          );
        }
      }
    },
  },
  'verbs-without-key': {
    says: 'keeps every verb out without a key, OPTIONS and HEAD too',
    run: async ({ call }) => {
      for (const method of VERBS.filter((verb) => verb !== 'HEAD')) {
        assertRefused(await call({ method }), FORBIDDEN);
      }
      for (const method of ['HEAD', ...CUSTOM]) assertKeptOut(await call({ method }));
    },
  },
  'custom-verbs': {
    says: 'passes other verbs as they are, decided as such, or keeps them out',
    run: async ({ call, subject }) => {
      for (const method of CUSTOM) {
        const exchange = await call({ key: subject.good, method, target: '/verbs/get' });
        if (exchange.reached === null) {
          assertKeptOut501(exchange.status, picture(exchange));
          continue;
        }
        const reached = assertPassed(exchange, subject.good);
        const template = reached.header('X-Tollgate-Resource-Path');
        assert.deepEqual(
          { method: reached.method, template },
          { method, template: '/verbs/{name}' },
        );
      }
    },
  },
} as const satisfies Record<string, ConformanceCase>;

/** Servers say 501 to verbs that they do not know (RFC 9110 §9.1). */
function assertKeptOut501(status: number, seen: string): void {
  assert.ok((status >= 400 && status < 500) || status === 501, `not kept out: ${seen}`);
}
