import { QuotaReclaimRepository, QuotaReclaimService } from '@io/limits';
import { UsageService } from '@io/metering';
import { Database } from '@io/platform';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';
import { AppProcess, GATEWAY_TOKEN } from '../support/processes.js';

const LIMIT = 1_280;

let api: TestApi;
let db: Database;
let reclaim: QuotaReclaimService;
beforeAll(async () => {
  api = await startApi();
  db = api.app.get(Database);
  reclaim = new QuotaReclaimService(new QuotaReclaimRepository(db));
});

/** How many of so many calls, asked for at once, may pass. */
async function allowed(
  http: Pick<TestApi, 'call'>,
  key: Catalogue,
  calls: number,
): Promise<number> {
  const call = {
    apiKey: key.apiKey,
    apiId: key.apiId,
    stage: key.stage,
    method: 'GET',
    path: '/pets',
  };
  const { status, body } = await http.call<{ decisions: { allowed: boolean }[] }>(
    'POST',
    '/v1/decisions',
    { token: GATEWAY_TOKEN, body: { decisions: Array.from({ length: calls }, () => call) } },
  );
  expect(status).toBe(200);
  return body.decisions.filter((decision) => decision.allowed).length;
}

/** What a key's quota says in the database. */
async function row(
  key: Catalogue,
): Promise<{ debited: number; holds: Readonly<Record<string, number>> }> {
  const { rows } = await db.pool.query(
    'SELECT debited::int, holds FROM quota_spend WHERE key_id = $1',
    [key.keyId],
  );
  return rows[0];
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);

/** Everything that is left, asked of this api until it refuses. */
async function allThatIsLeft(key: Catalogue): Promise<number> {
  const passed = [];
  for (let refused = false; !refused;) {
    const some = await allowed(api, key, 50);
    passed.push(some);
    refused = some === 0;
  }
  return sum(passed);
}

/** As if so much time had passed since holders were heard of and counters counted. */
async function pass(interval: string, holders: readonly string[] = []): Promise<void> {
  await db.pool.query(
    `UPDATE quota_holder SET last_seen_at = last_seen_at - $1::interval WHERE id = ANY ($2)`,
    [interval, holders],
  );
  await db.pool.query(`UPDATE quota_lost SET counted_at = counted_at - $1::interval`, [interval]);
}

let sequences = 0;
async function report(
  key: Catalogue,
  { calls, agoMs, sequence }: { calls: number; agoMs: number; sequence?: number },
): Promise<void> {
  const record = {
    at: new Date(Date.now() - agoMs).toISOString(),
    keyId: key.keyId,
    apiId: key.apiId,
    stage: key.stage,
    method: 'GET',
    resourcePath: '/pets',
    statusClass: '2xx',
    quantities: { calls: String(calls) },
  };
  const { status } = await api.call('POST', '/v1/usage/batches', {
    token: GATEWAY_TOKEN,
    body: { epoch: 'gateway-of-the-test', sequence: sequence ?? sequences++, records: [record] },
  });
  expect(status).toBe(201);
  await api.app.get(UsageService, { strict: false }).rollUpWaiting();
}

describe('an api process that is killed with a block of quota in hand', () => {
  let doomed: AppProcess;
  let key: Catalogue;
  let other: Catalogue;
  let holder = '';
  let passed = 0;

  beforeAll(async () => {
    key = await aCatalogue(api, { quota: { limit: LIMIT, period: 'DAY' } });
    other = await aCatalogue(api, { quota: { limit: LIMIT, period: 'DAY' } });
    doomed = await AppProcess.start('api', api.databaseUrl);
    afterFile(() => doomed.stop());
    // Several blocks, so that its pace is known, and then on until a good part of one is in hand.
    while (passed < 200 || (await row(key)).debited < passed + 4)
      passed += await allowed(doomed.http, key, 1);
    [holder = ''] = Object.keys((await row(key)).holds);
    await doomed.kill();
  });

  it('keeps what it held from others, until usage proves that it was not spent', async () => {
    passed += await allThatIsLeft(key);
    const unspent = LIMIT - passed;
    expect(unspent).toBeGreaterThanOrEqual(4);
    // The living tell what they have spent when they have been idle for a while.
    await expect
      .poll(async () => Object.keys((await row(key)).holds), { timeout: 10_000 })
      .toEqual([holder]);

    // A holder that was heard of lately is no dead one.
    expect(await reclaim.reclaim()).toEqual({ lost: 0, units: 0 });
    await pass('61 seconds', [holder]);
    expect(await reclaim.reclaim()).toEqual({ lost: 1, units: 0 });
    const { rows } = await db.pool.query('SELECT units::int FROM quota_lost');
    expect(rows[0].units).toBeGreaterThanOrEqual(unspent);

    // No usage at all proves nothing, however long it does not come.
    await pass('2 hours');
    expect(await reclaim.reclaim()).toEqual({ lost: 0, units: 0 });
    // A batch is missing.
    sequences = 1;
    await report(key, { calls: passed - 20, agoMs: 180_000 });
    await pass('2 hours');
    expect(await reclaim.reclaim()).toEqual({ lost: 0, units: 0 });
    // Nothing is missing, but what is there may not reach up to the count.
    await report(key, { calls: 20, agoMs: 180_000, sequence: 0 });
    await pass('61 seconds');
    await db.pool.query(`UPDATE quota_lost SET counted_at = now() - interval '61 seconds'`);
    expect(await reclaim.reclaim()).toEqual({ lost: 0, units: 0 });
    expect(await allThatIsLeft(key)).toBe(0);

    await report(other, { calls: 1, agoMs: -62_000 });
    await db.pool.query(`UPDATE usage_epoch SET last_seen_at = last_seen_at + interval '1 minute'`);
    expect(await reclaim.reclaim()).toEqual({ lost: 0, units: unspent });
    await expect
      .poll(async () => (passed += await allThatIsLeft(key)), { timeout: 10_000 })
      .toBe(LIMIT);
    expect(await allThatIsLeft(key)).toBe(0);
  });

  it('has nothing given back twice, whoever asks and how often', async () => {
    for (let round = 0; round < 3; round += 1) {
      await db.pool.query(
        `UPDATE quota_lost SET count_after = now() - interval '1 hour', counted_at = now() - interval '1 hour'`,
      );
      const all = await Promise.all(Array.from({ length: 4 }, () => reclaim.reclaim()));
      expect(sum(all.map(({ units }) => units))).toBe(0);
    }
  });
});
