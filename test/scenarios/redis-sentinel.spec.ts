import { setTimeout as sleep } from 'node:timers/promises';
import { RATE_LEASE_MS } from '@core/limits';
import { beforeAll, expect, it, vi } from 'vitest';
import { afterFile } from '../support/after-file.js';
import {
  allowedOf,
  aQuestion,
  askFor,
  overshoot,
  spend,
  summary,
} from '../support/decision-clients.js';
import { AppProcess } from '../support/processes.js';
import { RedisWithSentinels } from '../support/redis.js';
import { describeWith } from '../support/services.js';

const CLIENTS = 8;
const RUN_MS = 8_000;
const RATE = 50;
const BURST = 100;
const QUOTA = 2_000;

describeWith('redis-server', 'two apis over a primary with a replica and three Sentinels', () => {
  let redis: RedisWithSentinels;
  let apis: AppProcess[];

  beforeAll(async () => {
    redis = await RedisWithSentinels.start();
    afterFile(() => redis.stop());
    apis = await AppProcess.startMany(2, redis.url);
  }, 120_000);

  it('follow a failover in the middle of traffic: at most one burst more, and no call more of a quota', async () => {
    const rate = await aQuestion(apis[0]!, { throttle: { rateLimit: RATE, burstLimit: BURST } });
    const quota = await aQuestion(apis[0]!, {
      quota: { limit: QUOTA, period: 'MONTH' },
      onFailure: 'allow',
    });
    const [paced, spent] = await Promise.all([
      askFor(apis, rate, { clients: CLIENTS, forMs: RUN_MS }),
      spend(apis, quota, { clients: CLIENTS }),
      sleep(1_500).then(() => redis.primary.kill()),
    ]);
    const bound = (windowMs: number) => 2 * BURST + (RATE * (windowMs + RATE_LEASE_MS)) / 1000;
    expect(overshoot(paced, bound)).toBeLessThanOrEqual(0);
    expect(summary(paced)).toMatchObject({ unavailable: expect.any(Number) });
    expect(summary(spent)).toMatchObject({ allowed: QUOTA });
    // The replica lends, and both apis ask it.
    await vi.waitFor(
      async () => {
        const second = await askFor(apis, rate, { clients: CLIENTS, forMs: 1_000 });
        expect(allowedOf(second).length).toBeGreaterThan(RATE / 2);
        expect(summary(second)).not.toHaveProperty('unavailable');
      },
      { timeout: 30_000 },
    );
    expect(await redis.replica.calls('evalsha')).toBeGreaterThan(0);
  });
});
