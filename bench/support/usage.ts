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
import { build, entryOf } from '../../scripts/build.mjs';
import { startPostgres } from '../../scripts/embedded-postgres.mjs';
import { freePort } from '../../scripts/free-port.mjs';
import { applyMigrations } from '../../scripts/migrate.mjs';
import { aKeyInPlan, defaultAccount } from '../../test/support/factories.js';

export const RECORDS = 5_000;
export const ROWS = 2 * RECORDS;
const KEYS = 50;
/** Of the gateway that reports, and of an operator. */
export const TOKEN = `tgw_${'g'.repeat(40)}`;
export const OPERATOR = `tgo_${'o'.repeat(40)}`;
const COLUMNS =
  'batch_id, account_id, received_at, customer_id, key_id, api_id, stage, usage_plan_id, ordinal, at, method, resource_path, status_class, meter, quantity';

const at = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 120_000).toISOString();
const pathOf = (n: number) => `/pets/{petId}/visits/${n % 100}`;
const bytesOf = (n: number) => String(50_000 + n);

/** Whose usage it is. */
export type Owner = Awaited<ReturnType<typeof aKeyInPlan>>;

/** An api over a database of its own, the keys that are used, and a table without any index to compare with. */
export interface UsageBench {
  readonly db: pg.Pool;
  readonly databaseUrl: string;
  readonly url: string;
  readonly home: string;
  readonly api: ChildProcess;
  readonly owners: readonly Owner[];
  /** Sends a body; the status and Retry-After of the answer. */
  post(body: string): Promise<{ status: number; retryAfter: number; text: string }>;
  /** A raw COPY of the same rows, committed by itself, into `raw_usage`: the columns of `usage_record` and nothing else. */
  copy(text: Buffer): Promise<void>;
}

function ownerAt(owners: readonly Owner[], n: number): Owner {
  const owner = owners[n % owners.length];
  if (!owner) throw new Error('there are owners');
  return owner;
}

/** Everything of a batch but its number, as JSON. */
export function recordsJson(owners: readonly Owner[]): string {
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
  return JSON.stringify(records);
}

export const batchJson = (sequence: number, records: string) =>
  `{"epoch":"bench","sequence":${sequence},"records":${records}}`;

/** The same rows as the api writes, ready to be sent. */
export function copyText(owners: readonly Owner[], batchId: number): Buffer {
  const receivedAt = new Date().toISOString();
  let text = '';
  for (let n = 0; n < RECORDS; n += 1) {
    const owner = ownerAt(owners, n);
    const start = `${batchId}\t${owner.accountId}\t${receivedAt}\t${owner.customerId}\t${owner.keyId}\t${owner.apiId}\t${owner.stage}\t${owner.usagePlanId}\t${n}\t${at}\tGET\t${pathOf(n)}\t2xx\t`;
    text += `${start}calls\t12\n${start}bytes-out\t${bytesOf(n)}\n`;
  }
  return Buffer.from(text);
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** What api and worker start with alike. */
export const environment = (databaseUrl: string) => ({
  ...process.env,
  NODE_ENV: 'production',
  DATABASE_URL: databaseUrl,
  TOLLGATE_SECRET: SECRET,
  TOLLGATE_LOG_LEVEL: 'error',
});
const SECRET = `k1:${randomBytes(32).toString('base64')}`;

/** The built api, listening. */
export function startApi(databaseUrl: string, port: number): Promise<ChildProcess> {
  return started('api', {
    ...environment(databaseUrl),
    PORT: String(port),
    TOLLGATE_OPERATOR_TOKEN: OPERATOR,
    TOLLGATE_GATEWAY_TOKEN: TOKEN,
  });
}

/** The built worker, at work. */
export const startWorker = (
  databaseUrl: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<ChildProcess> => started('worker', { ...environment(databaseUrl), ...settings });

async function started(app: string, env: NodeJS.ProcessEnv): Promise<ChildProcess> {
  const child = fork(entryOf(app), { env });
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error(`the ${app} did not start`))),
  ]);
  return child;
}

/** Stops a process and waits for its end. */
export async function stop(child: ChildProcess | undefined): Promise<void> {
  if (child?.exitCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** Starts what a bench of usage needs, runs it, and leaves nothing behind. */
export async function withUsageBench(run: (bench: UsageBench) => Promise<void>): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
  const postgres = await startPostgres({ home });
  const dispatcher = new Agent({ connections: 64 });
  let api: ChildProcess | undefined;
  let db: pg.Pool | undefined;
  try {
    await build();
    const connectionString = postgres.connectionString();
    await applyMigrations({ connectionString });
    const port = await freePort();
    api = await startApi(connectionString, port);
    const pool = new pg.Pool({ connectionString, max: 4 });
    db = pool;
    pool.on('error', () => undefined);
    const account = await defaultAccount(pool);
    const owners: Owner[] = [];
    for (let n = 0; n < KEYS; n += 1) owners.push(await aKeyInPlan(pool, account));
    await pool.query('SELECT ensure_usage_partitions(current_date, 2)');
    await pool.query('CREATE TABLE raw_usage (LIKE usage_record)');
    const url = `http://127.0.0.1:${port}`;
    const post = async (body: string) => {
      const answer = await dispatcher.request({
        origin: url,
        path: '/v1/usage/batches',
        method: 'POST',
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
        body,
      });
      const retryAfter = Number(answer.headers['retry-after'] ?? 0);
      return { status: answer.statusCode, retryAfter, text: await answer.body.text() };
    };
    const copy = async (text: Buffer) => {
      const client = await pool.connect();
      await client.query('BEGIN');
      await pipeline(
        Readable.from([text]),
        client.query(copyFrom(`COPY raw_usage (${COLUMNS}) FROM STDIN`)),
      );
      await client.query('COMMIT');
      client.release();
    };
    await run({ db: pool, databaseUrl: connectionString, url, home, api, owners, post, copy });
  } finally {
    await dispatcher.destroy();
    await db?.end();
    await stop(api);
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  }
}
