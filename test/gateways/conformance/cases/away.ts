import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, Exchange, Front } from '../bench.js';
import type { ConformanceCase } from '../cases.js';
import { assertPassed, assertRefused, picture, UNAVAILABLE } from '../expect.js';

/** What a client may wait beyond the deadline: the way through a loaded machine, and a second try of the gateway. */
const SLACK_MS = 2_000;
const RECOVERY_MS = 15_000;

const STATES = [
  { state: 'gone', why: 'nobody listens' },
  { state: 'silent', why: 'it never answers' },
  { state: 'broken', why: 'it answers 500' },
] as const;

function assertInTime({ ms }: Exchange, { deadlineMs }: Front): void {
  const most = 2 * deadlineMs + SLACK_MS;
  assert.ok(
    ms < most,
    `the client waited ${ms.toFixed(0)} ms, with a deadline of ${deadlineMs} ms`,
  );
}

/** Without a restart, calls are decided again. */
async function assertRecovers(
  { call, subject }: Pick<Bench, 'call' | 'subject'>,
  front: Front,
): Promise<void> {
  const since = performance.now();
  for (;;) {
    const exchange = await call({ key: subject.good, front });
    const isDecided = exchange.reached?.header('X-Tollgate-Key-Id') === subject.good.id;
    if (exchange.status === 200 && isDecided) return;
    assert.ok(performance.now() - since < RECOVERY_MS, `does not recover: ${picture(exchange)}`);
    await sleep(50);
  }
}

/** A gateway that lends out blocks of allowance may pass keys it knows; nobody can pass one that nobody has seen. */
async function assertClosed(bench: Bench, state: 'gone' | 'silent' | 'broken'): Promise<void> {
  const front = bench.need('closed');
  const key = await bench.subject.key();
  await bench.whileAway(state, async () => {
    for (let calls = 0; calls < 3; calls += 1) {
      const exchange = await bench.call({ key, front });
      assertRefused(exchange, UNAVAILABLE);
      assertInTime(exchange, front);
    }
  });
  await assertRecovers(bench, front);
  assertPassed(await bench.call({ key, front }), key);
}

async function assertOpen(bench: Bench, state: 'gone' | 'silent' | 'broken'): Promise<void> {
  const front = bench.need('open');
  const key = await bench.subject.key();
  await bench.whileAway(state, async () => {
    const claims = ['X-Tollgate-Key-Id', 'X-Tollgate-Customer-Id', 'X-Tollgate-Decision-Id'];
    const fields = claims.map((name) => [name, 'spoofed'] as const);
    for (let calls = 0; calls < 3; calls += 1) {
      const exchange = await bench.call({ key, front, fields });
      const reached = assertPassed(exchange);
      assertInTime(exchange, front);
      const told = claims.flatMap((name) => reached.all(name)).join('');
      assert.equal(told, '', `the application was told of a decision: ${told}`);
    }
  });
  await assertRecovers(bench, front);
}

const away = (
  way: 'closed' | 'open',
  { state, why }: (typeof STATES)[number],
): ConformanceCase => ({
  says:
    way === 'closed'
      ? `503 within the deadline, when it is to fail closed and the service is away: ${why}`
      : `passes within the deadline without an identity, when it is to fail open: ${why}`,
  run: (bench) => (way === 'closed' ? assertClosed(bench, state) : assertOpen(bench, state)),
});

/** What the gateway does when it gets no decision, or no answer of the application. */
export const AWAY_CASES = {
  'away-closed-gone': away('closed', STATES[0]),
  'away-closed-silent': away('closed', STATES[1]),
  'away-closed-broken': away('closed', STATES[2]),
  'away-open-gone': away('open', STATES[0]),
  'away-open-silent': away('open', STATES[1]),
  'away-open-broken': away('open', STATES[2]),
  'application-gone': {
    says: '502, 503 or 504 of its own when the application is away, and passes again after',
    run: async ({ call, subject, upstream, fronts }) => {
      for (const front of [fronts.main, fronts.open].filter((each) => each !== null)) {
        await upstream.whileGone(async () => {
          const exchange = await call({ key: subject.good, front });
          assert.match(String(exchange.status), /^50[234]$/, picture(exchange));
          assert.notEqual(exchange.header('x-amzn-ErrorType'), UNAVAILABLE.errorType);
        });
        await assertRecovers({ call, subject }, front);
      }
    },
  },
  'wrong-token': {
    says: 'never lets a call pass because the service does not know the gateway',
    run: async ({ call, subject, need }) => {
      const { status, reached } = await call({ key: subject.good, front: need('stranger') });
      assert.ok(reached === null && status >= 400, `a stranger passed with ${status}`);
    },
  },
} as const satisfies Record<string, ConformanceCase>;
