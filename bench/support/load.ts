import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { newApiKeyValue } from '@core/kernel';
import { Config, Keyring } from '@io/platform';
import { LARGE_PAGES, NODE_FLAGS } from '../../scripts/launcher/processes.mjs';
import { freePort } from '../../scripts/free-port.mjs';

/** What every api of a bench starts with, beside its database. */
export const TOKEN = `tgw_${'b'.repeat(40)}`;
export const SECRET = randomBytes(32).toString('base64');
const CONNECTIONS = 50;

/** A folder for whatever a bench writes. */
export const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const children: ChildProcess[] = [];

/** Kills what was started, then stops the database, and removes what was written. */
export async function cleanUp(postgres: { stop(): Promise<void> }): Promise<void> {
  for (const child of children) child.kill('SIGKILL');
  await postgres.stop();
  rmSync(home, { recursive: true, force: true });
}

/** A process under load. */
export interface Server {
  readonly url: string;
  /** What the process has used of its core so far. */
  cpuMs(): number;
}

/** Starts a `redis-server` on core 1, in memory only. */
export async function startRedis(): Promise<Server & { readonly port: number }> {
  const port = await freePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', home];
  const child = spawn('taskset', ['-c', '1', 'redis-server', ...options], { stdio: 'ignore' });
  children.push(child);
  await once(child, 'spawn');
  return { url: `redis://127.0.0.1:${port}`, port, cpuMs: () => cpuMilliseconds(child.pid ?? 0) };
}

/** Starts a program on core 0 and answers its URL once it accepts connections. */
export async function startServer(
  entry: string,
  environment: Record<string, string>,
): Promise<Server> {
  const port = await freePort();
  const child = spawn('taskset', ['-c', '0', process.execPath, ...NODE_FLAGS, entry], {
    env: {
      PATH: process.env['PATH'] ?? '',
      ...LARGE_PAGES,
      PORT: String(port),
      ...environment,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  children.push(child);
  const cpuMs = () => cpuMilliseconds(child.pid ?? 0);
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 200; tries += 1) {
    const isUp = await fetch(`${url}/health/ready`).then(
      (response) => response.ok,
      () => false,
    );
    if (isUp) return { url, cpuMs };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${entry} did not start.`);
}

/** What the load asks, as `POST /v1/decisions` takes it. */
export const questionOf = (apiKey: string) => ({
  apiKey,
  apiId: 'a1b2c3d4e5',
  stage: 'prod',
  method: 'GET',
  path: '/pets/42',
  sourceIp: '203.0.113.7',
});

export const question = (apiKey: string) => JSON.stringify(questionOf(apiKey));

/** The answer to one question, without the headers that Node adds by itself. Rejects when it is a refusal. */
export function post(url: string, apiKey: string): Promise<{ headers: string[]; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request(
      `${url}/v1/decisions`,
      {
        method: 'POST',
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () => {
          if (!body.includes('"allowed":true')) return reject(new Error(body));
          const own = ['date', 'connection', 'keep-alive', 'transfer-encoding'];
          const headers = response.rawHeaders.flatMap((name, i, all) =>
            i % 2 === 0 && !own.includes(name.toLowerCase()) ? [name, all[i + 1] ?? ''] : [],
          );
          resolve({ headers, body });
        });
      },
    );
    call.on('error', reject);
    call.end(question(apiKey));
  });
}

/** A plan with throttle at two levels and a monthly quota, and so many keys that are never refused. */
export async function seed(databaseUrl: string, count: number): Promise<string[]> {
  const keyring = new Keyring(new Config({ DATABASE_URL: databaseUrl, TOLLGATE_SECRET: SECRET }));
  const keys = Array.from({ length: count }, () => newApiKeyValue('live', randomBytes));
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query<{ id: string }>('SELECT id FROM account WHERE is_default');
  const account = rows[0]?.id;
  await client.query(`UPDATE account SET rate_limit = 1e8, burst_limit = 100000000`);
  await client.query(
    `INSERT INTO customer (id, account_id, name) VALUES ('cus_bench', $1, 'Bench')`,
    [account],
  );
  await client.query(
    `INSERT INTO api (id, account_id, name) VALUES ('a1b2c3d4e5', $1, 'Petstore')`,
    [account],
  );
  await client.query(
    `INSERT INTO method (account_id, api_id, http_method, resource_path)
     SELECT $1, 'a1b2c3d4e5', verb, path FROM unnest('{GET,POST,DELETE}'::text[]) verb, unnest(ARRAY['/pets', '/pets/{petId}', '/orders/{id}']) path`,
    [account],
  );
  await client.query(
    `INSERT INTO stage (account_id, api_id, name, rate_limit, burst_limit) VALUES ($1, 'a1b2c3d4e5', 'prod', 1e8, 100000000)`,
    [account],
  );
  await client.query(
    `INSERT INTO usage_plan (id, account_id, name, rate_limit, burst_limit, quota_limit, quota_offset, quota_period)
     VALUES ('bench1', $1, 'bench', 1e6, 1000000, 1000000000000, 0, 'MONTH')`,
    [account],
  );
  await client.query(
    `INSERT INTO usage_plan_stage (account_id, usage_plan_id, api_id, stage) VALUES ($1, 'bench1', 'a1b2c3d4e5', 'prod')`,
    [account],
  );
  await client.query(
    `INSERT INTO api_key (id, account_id, customer_id, hash, pepper_id, last_four)
     SELECT 'key' || n, $1, 'cus_bench', h, $2, 'xxxx' FROM unnest($3::bytea[]) WITH ORDINALITY k (h, n)`,
    [account, keyring.currentId, keys.map((key) => keyring.hash('key-pepper', key))],
  );
  await client.query(
    `INSERT INTO usage_plan_key (account_id, usage_plan_id, key_id) SELECT $1, 'bench1', id FROM api_key`,
    [account],
  );
  await client.end();
  return keys;
}

/** Sends the bodies one after the other, over and over. */
export function wrkScript(bodies: readonly string[]): string {
  const path = join(home, 'post.lua');
  writeFileSync(
    path,
    `local headers = { ['Authorization'] = 'Bearer ${TOKEN}', ['Content-Type'] = 'application/json', ['Host'] = '127.0.0.1' }
local bodies = { ${bodies.map((body) => `[[${body}]]`).join(', ')} }
local requests = {}
function init(args)
  for i, body in ipairs(bodies) do requests[i] = wrk.format('POST', '/v1/decisions', headers, body) end
end
local at = 0
request = function()
  at = at % #requests + 1
  return requests[at]
end
`,
  );
  return path;
}

/** What a load found. */
export interface Measured {
  readonly perSecond: number;
  /** Server CPU per request: what is left of the figure when other work shares the machine. */
  readonly cpuUs: number;
}

/** Requests per second, with the load on core 1, and what each cost the server. */
export function wrk({ url, cpuMs }: Server, script: string, seconds: number): Measured {
  const before = cpuMs();
  const [program, ...args] = wrkCommand(url, script, { seconds, connections: CONNECTIONS });
  const { requests, perSecond } = readWrk(execFileSync(program, args, { encoding: 'utf8' }));
  return { perSecond, cpuUs: ((cpuMs() - before) * 1000) / requests };
}

/** The same over several servers at once, which share the connections. */
export async function wrkAll(
  servers: readonly Server[],
  script: string,
  seconds: number,
): Promise<Measured & { readonly requests: number }> {
  const used = () => servers.reduce((sum, { cpuMs }) => sum + cpuMs(), 0);
  const before = used();
  const connections = Math.ceil(CONNECTIONS / servers.length);
  const all = await Promise.all(
    servers.map(async ({ url }) => {
      const [program, ...args] = wrkCommand(url, script, { seconds, connections });
      return readWrk((await promisify(execFile)(program, args)).stdout);
    }),
  );
  const requests = all.reduce((sum, one) => sum + one.requests, 0);
  const perSecond = all.reduce((sum, one) => sum + one.perSecond, 0);
  return { requests, perSecond, cpuUs: ((used() - before) * 1000) / requests };
}

function wrkCommand(
  url: string,
  script: string,
  { seconds, connections }: { seconds: number; connections: number },
): [string, ...string[]] {
  const load = ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, url];
  return ['taskset', '-c', '1', 'wrk', ...load];
}

function readWrk(output: string): { requests: number; perSecond: number } {
  if (/Non-2xx/.test(output)) throw new Error(output);
  return {
    requests: Number(/(\d+) requests in/.exec(output)?.[1]),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]),
  };
}

export const show = ({ perSecond, cpuUs }: Measured) =>
  `${perSecond.toFixed(0)}/s at ${cpuUs.toFixed(1)} µs`;

/** User and system time of a process, in steps of 10 ms (proc(5)). */
export function cpuMilliseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** What the server and its backends have used of the processors so far. */
export function databaseCpuMs(postmaster: number): number {
  const backends = readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && parentOf(name) === postmaster;
    } catch {
      return false; // It has ended.
    }
  });
  return backends.reduce((sum, pid) => sum + cpuMilliseconds(Number(pid)), 0);
}

/** proc(5) */
const parentOf = (pid: string) =>
  Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]);

/** The middle one, or the upper of the two. */
export function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
