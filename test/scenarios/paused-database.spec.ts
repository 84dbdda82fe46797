import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { beforeAll, expect, it, vi } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { DurablePostgres } from '../support/durable-postgres.js';
import { aKeyInPlan, defaultAccount } from '../support/factories.js';
import { AppProcess, GATEWAY_TOKEN } from '../support/processes.js';

const MIB = 1024 * 1024;
const SENDERS = 240;
const WARM_UPS = 12;
const RECORDS = 800;
/** The intake of 16 MiB, what a quarter of it takes when it is parsed, and what is read and not kept until it is collected. */
const GROWTH_MAX = 180 * MIB;
/** As many as may be on their way into the database: these stand still with it. */
const STORING_MAX = 5;

let postgres: DurablePostgres;
let api: AppProcess;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;

beforeAll(async () => {
  postgres = await DurablePostgres.start();
  api = await AppProcess.start('api', postgres.url, { TOLLGATE_USAGE_INTAKE_MIB: '16' });
  await withDatabase(async (db) => {
    owner = await aKeyInPlan(db, await defaultAccount(db));
  });
});
afterFile(async () => {
  postgres.resume();
  await api?.stop();
  await postgres?.stop();
});

async function withDatabase<T>(work: (db: pg.Pool) => Promise<T>): Promise<T> {
  const db = new pg.Pool({ connectionString: postgres.url, max: 1 });
  try {
    return await work(db);
  } finally {
    await db.end();
  }
}

interface Sender {
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly encoding: string;
  /** How often it was told to come again later. */
  refusals: number;
}

/** A sender of about a MiB of records. Every second one packs it: what is held of it counts unpacked. */
function aSender(sequence: number): Sender {
  const { keyId, apiId, stage } = owner;
  const at = new Date(Date.now() - 60_000).toISOString();
  const records = Array.from({ length: RECORDS }, () => ({
    at,
    keyId,
    apiId,
    stage,
    method: 'GET',
    resourcePath: `/pets/${randomBytes(600).toString('hex')}`,
    statusClass: '2xx',
    quantities: { calls: '1' },
  }));
  const json = JSON.stringify({ epoch: 'e', sequence, records });
  return sequence % 2 === 0
    ? { body: json, encoding: 'identity', refusals: 0 }
    : { body: new Uint8Array(gzipSync(json, { level: 1 })), encoding: 'gzip', refusals: 0 };
}

/** Sends a batch until it is acknowledged, as late as it is told. */
async function sendUntilTaken(sender: Sender): Promise<void> {
  for (;;) {
    const answer = await fetch(`${api.url}/v1/usage/batches`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${GATEWAY_TOKEN}`,
        'content-type': 'application/json',
        'content-encoding': sender.encoding,
      },
      body: sender.body,
    });
    const retryAfter = answer.headers.get('retry-after');
    await answer.arrayBuffer();
    if (answer.status === 200 || answer.status === 201) return;
    expect({ status: answer.status, retryAfter }).toEqual({
      status: 503,
      retryAfter: expect.stringMatching(/^[1-9]\d*$/),
    });
    sender.refusals += 1;
    await sleep(Number(retryAfter) * 1_000);
  }
}

it('a database that stands still: usage is told to come later, memory stays bounded, and all of it counts once', async () => {
  // What the process keeps after its first batches is no growth.
  for (let sequence = 0; sequence < WARM_UPS; sequence += 1)
    await sendUntilTaken(aSender(sequence));
  const senders = Array.from({ length: SENDERS }, (_, n) => aSender(WARM_UPS + n));
  const before = api.memory();
  let highest = before;
  const watch = setInterval(() => (highest = Math.max(highest, api.memory())), 100);

  postgres.pause();
  const sent = Promise.all(senders.map(sendUntilTaken));
  // Also what had found room is told so once it has waited; only what was on its way into the database stands still.
  await vi.waitFor(
    () =>
      expect(senders.filter(({ refusals }) => refusals === 0).length).toBeLessThanOrEqual(
        STORING_MAX,
      ),
    { timeout: 60_000, interval: 100 },
  );
  postgres.resume();
  await sent;
  clearInterval(watch);

  expect(highest - before).toBeLessThan(GROWTH_MAX);
  const counted = await withDatabase(async (db) => {
    const { rows } = await db.query(
      `SELECT (SELECT count(*)::int FROM usage_batch) AS batches, sum(quantity)::int AS calls FROM usage_record`,
    );
    return rows[0];
  });
  const batches = WARM_UPS + SENDERS;
  expect(counted).toEqual({ batches, calls: batches * RECORDS });
});
