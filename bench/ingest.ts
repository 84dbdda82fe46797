/**
 * What taking usage over HTTP costs: batches of 5,000 records with two meters each (10,000 rows) through the built api
 * process, as a ratio against a raw COPY of the same rows into the same table. Both commit each batch; rounds are
 * interleaved, figures are medians.
 *
 * Run: npx tsx bench/ingest.ts
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { Agent } from 'undici';
import { build, entryOf } from '../scripts/build.mjs';
import { freePort, startPostgres } from '../scripts/embedded-postgres.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import { aKeyInPlan, defaultAccount } from '../test/support/factories.js';

const ROUNDS = 7;
const BATCHES_PER_ROUND = 6;
const RECORDS = 5_000;
const ROWS = 2 * RECORDS;
const KEYS = 50;
const TOKEN = `tgw_${'g'.repeat(40)}`;
const COLUMNS =
  'batch_id, account_id, received_at, customer_id, key_id, api_id, stage, usage_plan_id, ordinal, at, method, resource_path, status_class, meter, quantity';

type Owner = Awaited<ReturnType<typeof aKeyInPlan>>;

const at = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 120_000).toISOString();
const pathOf = (n: number) => `/pets/{petId}/visits/${n % 100}`;
const bytesOf = (n: number) => String(50_000 + n);

function ownerAt(owners: readonly Owner[], n: number): Owner {
  const owner = owners[n % owners.length];
  if (!owner) throw new Error('there are owners');
  return owner;
}

function batchBody(owners: readonly Owner[], sequence: number): string {
  const records = Array.from({ length: RECORDS }, (_, n) => {
    const { keyId, apiId, stage } = ownerAt(owners, n);
    const quantities = { calls: '12', 'bytes-out': bytesOf(n) };
    return {
      at,
      keyId,
      apiId,
      stage,
      method: 'GET',
      resourcePath: pathOf(n),
      statusClass: '2xx',
      quantities,
    };
  });
  return JSON.stringify({ epoch: 'bench', sequence, records });
}

/** The same rows as the api writes, ready to be sent. */
function copyText(owners: readonly Owner[], batchId: number): Buffer {
  const receivedAt = new Date().toISOString();
  let text = '';
  for (let n = 0; n < RECORDS; n += 1) {
    const owner = ownerAt(owners, n);
    const start = `${batchId}\t${owner.accountId}\t${receivedAt}\t${owner.customerId}\t${owner.keyId}\t${owner.apiId}\t${owner.stage}\t${owner.usagePlanId}\t${n}\t${at}\tGET\t${pathOf(n)}\t2xx\t`;
    text += `${start}calls\t12\n${start}bytes-out\t${bytesOf(n)}\n`;
  }
  return Buffer.from(text);
}

/** Rows a second of `BATCHES_PER_ROUND` batches, `inFlight` at a time. */
async function pace(inFlight: number, send: (lane: number) => Promise<void>): Promise<number> {
  const start = performance.now();
  const lanes = Array.from({ length: inFlight }, async (_, lane) => {
    for (let n = lane; n < BATCHES_PER_ROUND; n += inFlight) await send(lane);
  });
  await Promise.all(lanes);
  return (BATCHES_PER_ROUND * ROWS) / ((performance.now() - start) / 1_000);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

async function startApi(databaseUrl: string, port: number): Promise<ChildProcess> {
  const api = fork(entryOf('api'), {
    env: {
      ...process.env,
      NODE_ENV: 'production',
      DATABASE_URL: databaseUrl,
      PORT: String(port),
      TOLLGATE_SECRET: `k1:${randomBytes(32).toString('base64')}`,
      TOLLGATE_OPERATOR_TOKEN: `tgo_${'o'.repeat(40)}`,
      TOLLGATE_GATEWAY_TOKEN: TOKEN,
      TOLLGATE_LOG_LEVEL: 'error',
    },
  });
  await Promise.race([
    once(api, 'message'),
    once(api, 'exit').then(() => Promise.reject(new Error('the api did not start'))),
  ]);
  return api;
}

async function compare(databaseUrl: string, url: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
  const account = await defaultAccount(pool);
  const owners: Owner[] = [];
  for (let n = 0; n < KEYS; n += 1) owners.push(await aKeyInPlan(pool, account));
  await pool.query('SELECT ensure_usage_partitions(current_date, 2)');
  const dispatcher = new Agent({ connections: 4 });
  let sequence = 0;

  const post = async (body: string) => {
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
    const answer = await dispatcher.request({
      origin: url,
      path: '/v1/usage/batches',
      method: 'POST',
      headers,
      body,
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 201) throw new Error(`${answer.statusCode} ${text}`);
  };
  const copy = async (text: Buffer) => {
    const client = await pool.connect();
    await client.query('BEGIN');
    await pipeline(
      Readable.from([text]),
      client.query(copyFrom(`COPY usage_record (${COLUMNS}) FROM STDIN`)),
    );
    await client.query('COMMIT');
    client.release();
  };

  for (const inFlight of [1, 2]) {
    const ours: number[] = [];
    const raw: number[] = [];
    for (let round = -1; round < ROUNDS; round += 1) {
      const bodies = Array.from({ length: BATCHES_PER_ROUND }, () => batchBody(owners, sequence++));
      const texts = Array.from({ length: BATCHES_PER_ROUND }, () => copyText(owners, -sequence++));
      const oursPace = await pace(inFlight, () => post(bodies.pop() ?? ''));
      const rawPace = await pace(inFlight, () => copy(texts.pop() ?? Buffer.alloc(0)));
      if (round < 0) continue; // warms both up
      ours.push(oursPace);
      raw.push(rawPace);
    }
    const ratio = median(ours.map((pace, n) => pace / (raw[n] ?? Number.NaN)));
    console.log(
      `${inFlight} in flight: batches over HTTP ${Math.round(median(ours)).toLocaleString('en')} rows/s (${Math.round(median(ours) / 2).toLocaleString('en')} records/s), raw COPY ${Math.round(median(raw)).toLocaleString('en')} rows/s, ratio ${ratio.toFixed(2)} (aim 0.5)`,
    );
  }
  await dispatcher.close();
  await pool.end();
}

const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const postgres = await startPostgres({ home });
let api: ChildProcess | undefined;
try {
  await build();
  const databaseUrl = postgres.connectionString();
  await applyMigrations({ connectionString: databaseUrl });
  const port = await freePort();
  api = await startApi(databaseUrl, port);
  await compare(databaseUrl, `http://127.0.0.1:${port}`);
} finally {
  if (api?.exitCode === null) {
    api.kill('SIGTERM');
    await once(api, 'exit');
  }
  await postgres.stop();
  rmSync(home, { recursive: true, force: true });
}
