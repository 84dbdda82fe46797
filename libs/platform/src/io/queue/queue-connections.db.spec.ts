import { BullModule, getQueueToken, Processor, WorkerHost } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Queue } from 'bullmq';
import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { createTestDatabase } from '../../../../../test/support/database.js';
import { Config } from '../config/config.js';
import { RedisConnections } from '../redis/redis-connections.js';
import { queueOptions } from './queues.js';

const JOBS = 50;

/** A client of that database, closed with the test. */
async function connected(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

it('take three connections of a queue and its worker, however much there is to do', async () => {
  const databaseUrl = await createTestDatabase();
  const config = new Config({
    DATABASE_URL: databaseUrl,
    TOLLGATE_SECRET: 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=',
  });
  let done = 0;

  @Processor('busy', { concurrency: 10 })
  class Work extends WorkerHost {
    process = () => Promise.resolve((done += 1));
  }

  @Module({
    imports: [
      BullModule.forRoot(queueOptions(config, new RedisConnections(config))),
      BullModule.registerQueue({ name: 'busy' }),
    ],
    providers: [Work],
  })
  class App {}

  const app = await NestFactory.createApplicationContext(App, { logger: false });
  onTestFinished(() => app.close());
  const queue = app.get<Queue>(getQueueToken('busy'), { strict: false });
  await Promise.all(Array.from({ length: JOBS }, () => queue.add('busy', {})));
  await expect.poll(() => done).toBe(JOBS);

  const client = await connected(databaseUrl);
  const { rows } = await client.query<{ open: number }>(
    `SELECT count(*)::int AS open FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`,
  );
  expect(rows[0]?.open).toBeLessThanOrEqual(3);
});

it('wait for no disk, since a job is only a wake-up', async () => {
  const databaseUrl = await createTestDatabase();
  const client = await connected(databaseUrl);
  await client.query(
    `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = on', current_database()); END $$`,
  );
  const config = new Config({
    DATABASE_URL: databaseUrl,
    TOLLGATE_SECRET: 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=',
  });
  const queue = new Queue('quick', queueOptions(config, new RedisConnections(config)));
  onTestFinished(() => queue.close());
  await queue.waitUntilReady();
  await client.query(`
    CREATE TABLE public.seen (setting text);
    CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
    CREATE TRIGGER see AFTER INSERT ON bullmq.job FOR EACH ROW EXECUTE FUNCTION public.see();
  `);
  await queue.add('quick', {});
  expect((await client.query('SELECT setting FROM public.seen')).rows).toEqual([
    { setting: 'off' },
  ]);
});
