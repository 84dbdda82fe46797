import { BullModule, getQueueToken, Processor, WorkerHost } from '@nestjs/bullmq';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { DiscoveryModule, NestFactory } from '@nestjs/core';
import type { Queue } from 'bullmq';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createTestDatabase } from '../../../../../test/support/database.js';
import { freePort } from '../../../../../scripts/free-port.mjs';
import { Config } from '../config/config.js';
import { RedisConnections } from '../redis/redis-connections.js';
import { queueOptions } from './queues.js';
import { QueuesReady } from './queues-ready.js';

const work = vi.fn<() => Promise<void>>(() => Promise.resolve());

/** An app with one queue and its worker, on this database. */
async function begin(databaseUrl: string): Promise<INestApplicationContext> {
  const config = new Config({
    DATABASE_URL: databaseUrl,
    TOLLGATE_SECRET: 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=',
  });

  @Processor('work')
  class Work extends WorkerHost {
    process = work;
  }

  @Module({
    imports: [
      DiscoveryModule,
      BullModule.forRoot(queueOptions(config, new RedisConnections(config))),
      BullModule.registerQueue({ name: 'work' }),
    ],
    providers: [QueuesReady, { provide: Config, useValue: config }, Work],
  })
  class App {}

  const app = await NestFactory.createApplicationContext(App, {
    logger: false,
    abortOnError: false,
  });
  onTestFinished(() => app.close());
  return app;
}

it('does not begin while Postgres is away, since its queues would stay dead when it is back', async () => {
  const nobody = `postgres://nobody@127.0.0.1:${await freePort()}/none`;
  await expect(begin(nobody)).rejects.toThrow('ECONNREFUSED');
});

it('begins with queues that work', async () => {
  const app = await begin(await createTestDatabase());
  await app.get<Queue>(getQueueToken('work'), { strict: false }).add('work', {});
  await expect.poll(() => work.mock.calls.length).toBe(1);
});
