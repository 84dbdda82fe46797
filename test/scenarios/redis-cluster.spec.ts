import { beforeAll, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { AppProcess } from '../support/processes.js';
import { RedisCluster } from '../support/redis.js';
import { describeWith } from '../support/services.js';
import {
  APIS,
  CLIENTS,
  killInTheMiddle,
  QUOTA,
  testSharedLimits,
} from '../support/shared-limits.js';

describeWith(
  ['redis-server', 'redis-cli'],
  `${APIS} apis over a Redis Cluster of six, under ${CLIENTS} clients`,
  () => {
    let cluster: RedisCluster;
    let apis: AppProcess[];

    beforeAll(async () => {
      cluster = await RedisCluster.start();
      afterFile(() => cluster.stop());
      apis = await AppProcess.startMany(APIS, cluster.url);
    }, 120_000);

    testSharedLimits(() => apis);

    it('let at most one burst more pass after kill -9 of a primary in the middle, and no call more of a quota', async () => {
      const [victim] = await cluster.primaries();
      const { over, allowed } = await killInTheMiddle(apis, {
        kill: async () => victim?.kill(),
        lostBursts: 1,
      });
      expect(over).toBeLessThanOrEqual(0);
      expect(allowed).toBe(QUOTA);
      // A replica took over.
      await expect.poll(async () => (await cluster.primaries()).length).toBe(3);
    });
  },
);
