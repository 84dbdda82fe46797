import pg from 'pg';
import { expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { createTestDatabase } from '../support/database.js';
import { aKeyInPlan, defaultAccount } from '../support/factories.js';
import { AppProcess, GATEWAY_TOKEN } from '../support/processes.js';
import { RedisCluster, RedisServer, RedisWithSentinels } from '../support/redis.js';
import { describeWith } from '../support/services.js';

describeWith(['redis-server', 'redis-cli'], 'usage is rolled up by jobs', () => {
  it.each([
    { kind: 'one Redis', start: () => RedisServer.start() },
    { kind: 'a primary behind Sentinels', start: () => RedisWithSentinels.start() },
    { kind: 'a Redis Cluster', start: () => RedisCluster.start() },
  ])('that are in $kind, and both processes stop in order', async ({ start }) => {
    const [redis, databaseUrl] = await Promise.all([start(), createTestDatabase()]);
    afterFile(() => redis.stop());
    const settings = { REDIS_URL: redis.url };
    const api = await AppProcess.start('api', databaseUrl, settings);
    const worker = await AppProcess.start('worker', databaseUrl, settings);
    const db = new pg.Pool({ connectionString: databaseUrl, max: 1 });
    afterFile(() => db.end());

    const { keyId, apiId, stage } = await aKeyInPlan(db, await defaultAccount(db));
    const at = new Date(Date.now() - 60_000).toISOString();
    const of = { at, keyId, apiId, stage, method: 'GET', resourcePath: '/', statusClass: '2xx' };
    const { status } = await api.http.call('POST', '/v1/usage/batches', {
      token: GATEWAY_TOKEN,
      body: { epoch: 'e', sequence: 0, records: [{ ...of, quantities: { calls: '5' } }] },
    });
    expect(status).toBe(201);
    const counted = async () => {
      const { rows } = await db.query('SELECT quantity::int FROM usage_hour');
      return rows.map((row: { quantity: number }) => row.quantity);
    };
    await expect.poll(counted, { timeout: 10_000 }).toEqual([5]);
    await Promise.all([api.stop(), worker.stop()]);
    expect(api.isAlive || worker.isAlive).toBe(false);
  });
});
