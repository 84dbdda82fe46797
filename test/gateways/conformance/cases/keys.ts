import assert from 'node:assert/strict';
import type { ConformanceCase } from '../cases.js';
import { assertLimitsShown, assertPassed, assertRefused, FORBIDDEN } from '../expect.js';

/** Who may pass, and what the application learns of them. */
export const KEY_CASES = {
  'good-key': {
    says: 'passes, with the path and query as they came, and its identity for the application',
    run: async ({ call, subject }) => {
      const reached = assertPassed(
        await call({ key: subject.good, target: '/pets/42?q=1&q=%2e%2e' }),
        subject.good,
      );
      assert.equal(reached.target, '/pets/42?q=1&q=%2e%2e');
      assert.equal(reached.header('X-Tollgate-Resource-Path'), '/pets/{petId}');
    },
  },
  'good-key-limits': {
    says: 'shows RateLimit-Policy and RateLimit of the decision on what passed',
    run: async ({ call, subject }) => {
      const exchange = await call({ key: subject.good });
      assertPassed(exchange);
      assertLimitsShown(exchange, /^"key";q=\d+/);
    },
  },
  'key-stays-here': {
    says: 'gives neither the API key nor the token of the gateway to the application',
    run: async ({ call, subject }) => {
      const { fields } = assertPassed(await call({ key: subject.good }));
      const text = fields.flat().join(' ');
      assert.ok(!text.includes(subject.good.value), 'the application got the API key');
      assert.doesNotMatch(text, /x-tollgate-token/i);
    },
  },
  'missing-key': {
    says: '403 Forbidden without a key',
    run: async ({ call }) => assertRefused(await call(), FORBIDDEN),
  },
  'empty-key': {
    says: '403 Forbidden for an empty key',
    run: async ({ call }) => assertRefused(await call({ key: '' }), FORBIDDEN),
  },
  'junk-key': {
    says: '403 Forbidden for what is no key at all',
    run: async ({ call }) => {
      for (const key of ['nobody', "' OR 1=1 --", 'x'.repeat(3_000)]) {
        assertRefused(await call({ key }), FORBIDDEN);
      }
    },
  },
  'unknown-key': {
    says: '403 Forbidden for a key that was never issued',
    run: async ({ call, subject }) =>
      assertRefused(await call({ key: subject.unknownKey() }), FORBIDDEN),
  },
  'disabled-key': {
    says: '403 Forbidden for a disabled key',
    run: async ({ call, subject }) => {
      const key = await subject.key();
      await subject.setEnabled(key, false);
      assertRefused(await call({ key }), FORBIDDEN);
    },
  },
  'wrong-stage': {
    says: '403 Forbidden for a key of another stage',
    run: async ({ call, subject }) => {
      const key = await subject.key({ isElsewhere: true });
      assertRefused(await call({ key }), FORBIDDEN);
    },
  },
  'address-refused': {
    says: '403 Forbidden for a key that is not for this address',
    run: async ({ call, subject }) => {
      const key = await subject.key({ ipPolicy: { allow: ['198.51.100.0/24'] } });
      assertRefused(await call({ key }), FORBIDDEN);
    },
  },
  'application-answers': {
    says: 'leaves the answers of the application alone: 401, 403, 404, 429, 500, 503',
    run: async ({ call, subject }) => {
      for (const status of [401, 403, 404, 429, 500, 503]) {
        const exchange = await call({ key: subject.good, target: `/status/${status}` });
        const { body } = exchange;
        assert.deepEqual(
          { status: exchange.status, body, header: exchange.header('X-Application') },
          { status, body: 'from the application', header: 'yes' },
        );
      }
    },
  },
  'keeps-connections': {
    says: 'asks over connections that it keeps: a new one for each call costs three times as much',
    run: async (bench) => {
      const { call, subject } = bench;
      const opened = await bench.connectionsDuring(async () => {
        for (let calls = 0; calls < 40; calls += 1) assertPassed(await call({ key: subject.good }));
      });
      assert.ok(opened <= 10, `40 calls opened ${opened} connections to the service`);
    },
  },
  'bodies-pass': {
    says: 'hands the body on whole, and asks the service without it',
    run: async ({ call, subject }) => {
      const body = 'x'.repeat(200_000);
      const fields = [['Content-Type', 'application/octet-stream']] as const;
      const exchange = await call({ key: subject.good, method: 'POST', body, fields });
      assert.equal(assertPassed(exchange, subject.good).bodyBytes, body.length);
    },
  },
} as const satisfies Record<string, ConformanceCase>;
