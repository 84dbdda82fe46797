import { NestFactory } from '@nestjs/core';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { WorkerModule } from '../../apps/worker/src/worker.module.js';
import { startApi, type TestApi } from '../support/api.js';
import { aKeyInPlan, defaultAccount } from '../support/factories.js';

let api: TestApi;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;
let db: pg.Pool;

beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 1 });
  afterFile(() => db.end());
  owner = await aKeyInPlan(db, await defaultAccount(db));
});

const at = new Date(Date.now() - 60_000).toISOString();

async function report(sequence: number): Promise<void> {
  const { keyId, apiId, stage } = owner;
  const record = { at, keyId, apiId, stage, method: 'GET', resourcePath: '/', statusClass: '2xx' };
  const { status } = await api.call('POST', '/v1/usage/batches', {
    token: api.gatewayToken,
    body: { epoch: 'e', sequence, records: [{ ...record, quantities: { calls: '5' } }] },
  });
  expect(status).toBe(201);
}

async function calls(): Promise<unknown> {
  const from = new Date(Date.parse(at) - 3_600_000).toISOString();
  const to = new Date(Date.parse(at) + 3_600_000).toISOString();
  const query = new URLSearchParams({ from, to, interval: 'month' }).toString();
  const { body } = await api.call('GET', `/v1/usage?${query}`);
  return body['items'].map(({ quantity }: { quantity: string }) => Number(quantity));
}

describe('a gateway reports, the worker sums', () => {
  it('what came before the worker started, and what comes after, without anybody asking', async () => {
    await report(0);
    const worker = await NestFactory.createApplicationContext(WorkerModule, { logger: false });
    afterFile(() => worker.close());
    const { rows } = await db.query(
      `SELECT count(*)::int AS partitions FROM pg_inherits WHERE inhparent = 'usage_record'::regclass`,
    );
    expect(rows[0].partitions).toBe(9);
    // Today's records came before there was a partition for them; now they are in theirs.
    const strays = await db.query('SELECT FROM usage_record_default');
    expect(strays.rowCount).toBe(0);
    await expect.poll(calls, { timeout: 10_000 }).toEqual([5]);
    await report(1);
    await expect.poll(calls, { timeout: 10_000 }).toEqual([10]);
  });
});
