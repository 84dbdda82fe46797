/**
 * How long a cold api takes from being spawned until it lets the first call pass, with a million keys in the database,
 * as a ratio against the same with one key. Keys are loaded when they are asked for, so it should not matter how many there are.
 *
 * Run: npx tsx bench/cold-start.ts   (ROUNDS=5, KEYS=1000000)
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { build, entryOf } from '../scripts/build.mjs';
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { freePort } from '../scripts/free-port.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';

const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const KEYS = Number(process.env['KEYS'] ?? 1_000_000);
const OPERATOR = `tgo_${'o'.repeat(40)}`;
const GATEWAY = `tgw_${'g'.repeat(40)}`;
const SECRET = randomBytes(32).toString('base64');
const START_MS_MAX = 60_000;

interface Started {
  readonly url: string;
  readonly child: ChildProcess;
  readonly spawnedAtMs: number;
}

interface Question {
  readonly apiKey: string;
  readonly apiId: string;
  readonly stage: string;
}

const children = new Set<ChildProcess>();

async function main(): Promise<void> {
  await build();
  const home = mkdtempSync(join(tmpdir(), 'tollgate-cold-'));
  const postgres = await startPostgres({ home, isDurable: false });
  try {
    const one = await database(postgres, 'one_key', 0);
    const many = await database(postgres, 'many_keys', KEYS);
    const rounds: { one: Measured; many: Measured }[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      rounds.push({ one: await coldStart(one), many: await coldStart(many) });
    }
    const of = (read: (round: (typeof rounds)[number]) => number) => median(rounds.map(read));
    console.log(
      `cold start with ${KEYS} keys: first call let pass after ${of(({ many: { firstMs } }) => firstMs).toFixed(0)} ms, ` +
        `listening after ${of(({ many: { listeningMs } }) => listeningMs).toFixed(0)} ms, ${of(({ many: { cpuMs } }) => cpuMs).toFixed(0)} ms of CPU`,
    );
    console.log(
      `the same with 1 key: ${of((round) => round.one.firstMs).toFixed(0)} ms, ` +
        `listening after ${of((round) => round.one.listeningMs).toFixed(0)} ms, ${of((round) => round.one.cpuMs).toFixed(0)} ms of CPU`,
    );
    console.log(
      `ratio ${of((round) => round.many.firstMs / round.one.firstMs).toFixed(2)} in time, ` +
        `${of((round) => round.many.cpuMs / round.one.cpuMs).toFixed(2)} in CPU (medians of ${ROUNDS} rounds)`,
    );
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

interface Cold {
  readonly databaseUrl: string;
  readonly question: Question;
}

/** A database with one key that may call, made over the api, and `more` others in the same plan. */
async function database(
  postgres: Awaited<ReturnType<typeof startPostgres>>,
  name: string,
  more: number,
): Promise<Cold> {
  const databaseUrl = postgres.connectionString(name);
  const owner = new URL(databaseUrl).username;
  await sql(postgres.adminConnectionString(), `CREATE DATABASE ${name} OWNER ${owner}`);
  await applyMigrations({ connectionString: databaseUrl });
  const api = start(databaseUrl);
  const { apiKey, keyId, customerId, ...place } = await aKeyThatMayCall(await listening(api));
  await stop(api);
  await sql(postgres.adminConnectionString(name), fill(keyId, customerId, more));
  return { databaseUrl, question: { apiKey, ...place } };
}

async function aKeyThatMayCall({ url }: Started) {
  const post = async (path: string, body: object): Promise<Record<string, string>> => {
    const response = await fetch(`${url}/v1/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${OPERATOR}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`POST ${path}: ${await response.text()}`);
    return (await response.json()) as Record<string, string>;
  };
  const idOf = async (path: string, body: object) => (await post(path, body))['id'] ?? '';
  const customerId = await idOf('customers', { name: 'Bench' });
  const apiId = await idOf('apis', { name: 'Petstore' });
  await post(`apis/${apiId}/stages`, {
    name: 'prod',
    throttle: { rateLimit: 1e6, burstLimit: 1e6 },
  });
  const planId = await idOf('usage-plans', {
    name: 'Bench',
    throttle: { rateLimit: 100, burstLimit: 100 },
    quota: { limit: 1_000_000, period: 'MONTH' },
    apiStages: [{ apiId, stage: 'prod' }],
  });
  const key = await post('api-keys', { customerId });
  await post(`usage-plans/${planId}/keys`, { keyId: key['id'] });
  return {
    apiId,
    stage: 'prod',
    customerId,
    apiKey: key['value'] ?? '',
    keyId: key['id'] ?? '',
  };
}

/** Keys like the one that is there, in every table that it is in. Their values are nobody's: no call asks for them. */
const fill = (keyId: string, customerId: string, more: number) => `
  SET session_replication_role = replica;
  INSERT INTO api_key (id, account_id, customer_id, hash, pepper_id, last_four)
    SELECT lpad(to_hex(n), 10, '0'), account_id, '${customerId}', sha256(('key ' || n)::bytea), pepper_id, 'xxxx'
    FROM api_key, generate_series(1, ${more}) n WHERE id = '${keyId}';
  INSERT INTO usage_plan_key (account_id, usage_plan_id, key_id)
    SELECT p.account_id, p.usage_plan_id, k.id FROM usage_plan_key p, api_key k WHERE p.key_id = '${keyId}' AND k.id <> p.key_id;
  INSERT INTO usage_plan_key_stage (account_id, key_id, api_id, stage, usage_plan_id)
    SELECT s.account_id, k.id, s.api_id, s.stage, s.usage_plan_id
    FROM usage_plan_key_stage s, api_key k WHERE s.key_id = '${keyId}' AND k.id <> s.key_id;
  ANALYZE`;

interface Measured {
  /** From spawning it. */
  readonly firstMs: number;
  readonly listeningMs: number;
  readonly cpuMs: number;
}

/** Spawns an api, and asks it until it answers. */
async function coldStart({ databaseUrl, question }: Cold): Promise<Measured> {
  const api = start(databaseUrl);
  try {
    let listeningMs = 0;
    void listening(api).then(() => (listeningMs = performance.now() - api.spawnedAtMs));
    for (;;) {
      const answer = await ask(api.url, question);
      const firstMs = performance.now() - api.spawnedAtMs;
      if (answer?.allowed)
        return { firstMs, listeningMs: listeningMs || firstMs, cpuMs: cpuMilliseconds(api) };
      if (answer) throw new Error(`The first call was refused: ${answer.reason}`);
      if (firstMs > START_MS_MAX || api.child.exitCode !== null)
        throw new Error('The api did not start.');
      await sleep(5);
    }
  } finally {
    await stop(api);
  }
}

/** Null while nobody listens. */
async function ask(url: string, question: Question) {
  const response = await fetch(`${url}/v1/decisions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${GATEWAY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...question, method: 'GET', path: '/pets/42' }),
  }).catch(() => null);
  return response && ((await response.json()) as { allowed: boolean; reason?: string });
}

let port = 0;

function start(databaseUrl: string): Started {
  const spawnedAtMs = performance.now();
  const child = spawn(process.execPath, [entryOf('api')], {
    env: {
      PATH: process.env['PATH'] ?? '',
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      TOLLGATE_SECRET: SECRET,
      TOLLGATE_OPERATOR_TOKEN: OPERATOR,
      TOLLGATE_GATEWAY_TOKEN: GATEWAY,
      TOLLGATE_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  children.add(child);
  return { url: `http://127.0.0.1:${port}`, child, spawnedAtMs };
}

/** Resolves when the process says that it listens. */
function listening(api: Started): Promise<Started> {
  return new Promise((resolve, reject) => {
    api.child.once('message', () => resolve(api));
    api.child.once('exit', () => reject(new Error('The api ended before it listened.')));
  });
}

async function stop({ child }: Started): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
  children.delete(child);
}

async function sql(connectionString: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

/** User and system time of a process, in steps of 10 ms (proc(5)). */
function cpuMilliseconds({ child }: Started): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

port = await freePort();
await main();
