import { setTimeout as sleep } from 'node:timers/promises';
import { RATE_LEASE_MS } from '@core/limits';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { createTestDatabase } from '../support/database.js';
import {
  allowedOf,
  aQuestion,
  ask,
  askFor,
  overshoot,
  spend,
  summary,
  type Asked,
  type Question,
} from '../support/decision-clients.js';
import { Wire } from '../support/network.js';
import { AppProcess } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { describeWith } from '../support/services.js';

/** Longer by hand: `FAULT_MS=60000 npx vitest run --project scenario test/scenarios/redis-faults.spec.ts`. */
const FAULT_MS = Number(process.env['FAULT_MS'] ?? 10_000);
const CLIENTS = 8;
const RATE = 50;
const BURST = 100;
const QUOTA = 1_000;
/** Without the deadline a call would wait for as long as the fault takes. */
const SLOW_MS = 2_000;

describeWith('redis-server', 'two apis whose Redis is in trouble', () => {
  let redis: RedisServer;
  let wire: Wire;
  let apis: AppProcess[];

  beforeAll(async () => {
    redis = await RedisServer.start();
    afterFile(() => redis.stop());
    wire = await Wire.to(redis.port);
    afterFile(() => wire.stop());
    apis = await AppProcess.startMany(2, `redis://127.0.0.1:${wire.port}`);
  }, 120_000);

  const aRate = (onFailure: 'deny' | 'allow'): Promise<Question> =>
    aQuestion(apis[0]!, { throttle: { rateLimit: RATE, burstLimit: BURST }, onFailure });

  /** Until both apis let a call of this plan pass again, and its rate counts. */
  const recovered = (question: Question) =>
    expect
      .poll(
        async () => {
          const asked = await Promise.all(apis.map((api) => ask(api, question)));
          return asked.every(({ answer }) => answer?.allowed || answer?.reason === 'throttled');
        },
        { timeout: 15_000, interval: 50 },
      )
      .toBe(true);

  const median = (asked: readonly Asked[]) => {
    const took = asked.map(({ sentAtMs, receivedAtMs }) => receivedAtMs - sentAtMs);
    return took.toSorted((a, b) => a - b)[Math.floor(took.length / 2)];
  };
  const slow = (asked: readonly Asked[]) =>
    asked.filter(({ sentAtMs, receivedAtMs }) => receivedAtMs - sentAtMs > SLOW_MS);

  describe.each([
    {
      fault: `paused for ${FAULT_MS / 1000} s`,
      forMs: FAULT_MS,
      begin: () => redis.pause(),
      end: async () => redis.resume(),
    },
    {
      fault: 'behind a network that is cut',
      forMs: 3_000,
      begin: () => wire.cut(),
      end: async () => wire.mend(),
    },
    {
      fault: 'killed and started again, empty',
      forMs: 3_000,
      begin: () => void redis.kill(),
      end: () => redis.start(),
    },
  ])('$fault', ({ forMs, begin, end }) => {
    it('spend what they have in hand, then deny or allow as the plan says, and go on by themselves', async () => {
      const [deny, allow] = await Promise.all([aRate('deny'), aRate('allow')]);
      await Promise.all(
        [deny, allow].map((question) => askFor(apis, question, { clients: 2, forMs: 500 })),
      );
      begin();
      const [denied, allowed] = await Promise.all([
        askFor(apis, deny, { clients: CLIENTS, forMs }),
        askFor(apis, allow, { clients: CLIENTS, forMs }),
      ]);
      await end();

      // What refills in a lease may be in hand of each.
      const inHand = apis.length * (BURST + (RATE * RATE_LEASE_MS) / 1000);
      expect(allowedOf(denied).length).toBeLessThanOrEqual(inHand);
      expect(summary(denied)).toMatchObject({ unavailable: expect.any(Number) });
      const afterLeases = allowed.filter(
        ({ sentAtMs }) => sentAtMs > (allowed[0]?.sentAtMs ?? 0) + 2 * RATE_LEASE_MS,
      );
      expect(summary(afterLeases)).toEqual({ allowed: afterLeases.length });
      expect(slow([...denied, ...allowed])).toEqual([]);
      expect(median([...denied, ...allowed])).toBeLessThan(SLOW_MS / 4);

      await recovered(deny);
      const after = await askFor(apis, deny, { clients: CLIENTS, forMs: 2_000 });
      const bound = (windowMs: number) => BURST + (RATE * (windowMs + RATE_LEASE_MS)) / 1000;
      expect(overshoot(after, bound)).toBeLessThanOrEqual(0);
      expect(apis.every(({ isAlive }) => isAlive)).toBe(true);
    });
  });

  it('let at most one burst more pass when Redis is flushed, and no call more of a quota', async () => {
    const rate = await aRate('deny');
    const quota = await aQuestion(apis[0]!, {
      quota: { limit: QUOTA, period: 'MONTH' },
      throttle: { rateLimit: 5_000, burstLimit: 5_000 },
      onFailure: 'allow',
    });
    const [paced, spent] = await Promise.all([
      askFor(apis, rate, { clients: CLIENTS, forMs: 3_000 }),
      spend(apis, quota, { clients: CLIENTS }),
      sleep(1_500).then(() => redis.client.flushall()),
    ]);
    const bound = (windowMs: number) => 2 * BURST + (RATE * (windowMs + RATE_LEASE_MS)) / 1000;
    expect(overshoot(paced, bound)).toBeLessThanOrEqual(0);
    // It was flushed in the middle, or nothing was tried here.
    expect(allowedOf(paced).length).toBeGreaterThan(BURST + (RATE * 3_000) / 1000);
    expect(summary(spent)).toMatchObject({ allowed: QUOTA });
  });
});

describeWith('redis-server', 'the start of an api', () => {
  it('is refused by a Redis that throws keys away when it is full', async () => {
    const redis = await RedisServer.start(['--maxmemory-policy', 'allkeys-lru']);
    afterFile(() => redis.stop());
    const databaseUrl = await createTestDatabase();
    await expect(AppProcess.start('api', databaseUrl, { REDIS_URL: redis.url })).rejects.toThrow(
      /maxmemory-policy is allkeys-lru: set it to noeviction/,
    );
  });
});
