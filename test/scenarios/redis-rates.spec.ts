import { beforeAll } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { AppProcess } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { describeWith } from '../support/services.js';
import { APIS, CLIENTS, testSharedLimits } from '../support/shared-limits.js';

describeWith('redis-server', `${APIS} apis over one Redis, under ${CLIENTS} clients`, () => {
  let apis: AppProcess[];

  beforeAll(async () => {
    const redis = await RedisServer.start();
    afterFile(() => redis.stop());
    apis = await AppProcess.startMany(APIS, redis.url);
  }, 120_000);

  testSharedLimits(() => apis);
});
