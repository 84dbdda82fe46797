/**
 * What `POST /v1/decisions` costs, as a ratio against a bare node:http server that parses the same body and answers
 * the same bytes. Server and load each have a core; rounds alternate; medians are reported.
 *
 * Run: npm run build && npx tsx bench/decisions.ts   (needs wrk and taskset on the PATH)
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { newApiKeyValue } from '@core/kernel';
import { Config, Keyring } from '@io/platform';
import { entryOf } from '../scripts/build.mjs';
import { freePort, startPostgres } from '../scripts/embedded-postgres.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import { randomBytes } from 'node:crypto';

const ROUNDS = Number(process.env['ROUNDS'] ?? 9);
const SECONDS = 3;
const CONNECTIONS = 50;
/** A few busy keys, whose state stays in the processor's caches, and many, whose state does not. */
const KEYS_IN_USE = [10, 1_000];
const BATCH = 100;
const TOKEN = `tgw_${'b'.repeat(40)}`;
const SECRET = randomBytes(32).toString('base64');

const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const children: ChildProcess[] = [];

async function main(): Promise<void> {
  const postgres = await startPostgres({ home, isDurable: false });
  try {
    const databaseUrl = postgres.connectionString();
    await applyMigrations({ connectionString: databaseUrl });
    const api = await startServer(entryOf('api'), {
      DATABASE_URL: databaseUrl,
      TOLLGATE_SECRET: SECRET,
      TOLLGATE_GATEWAY_TOKEN: TOKEN,
      TOLLGATE_LOG_LEVEL: 'error',
    });
    const keys = await seed(databaseUrl);
    const answer = await post(api.url, keys[0] ?? '');
    const bare = await startServer(bareServer(answer), {});
    for (const inUse of KEYS_IN_USE) compare(bare, api, keys.slice(0, inUse));
    batches(api, keys);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

/** Alternates the two servers, and prints each round and the medians. */
function compare(bare: Server, api: Server, keys: readonly string[]): void {
  const script = wrkScript(keys.map(question));
  for (const server of [bare, api]) wrk(server, script, 3);
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const row = { bare: wrk(bare, script, SECONDS), api: wrk(api, script, SECONDS) };
    console.log(`round ${round + 1}: bare ${show(row.bare)}, decisions ${show(row.api)}`);
    return row;
  });
  const ratio = median(rounds.map(({ api, bare }) => api.perSecond / bare.perSecond));
  const byCpu = median(rounds.map(({ api, bare }) => bare.cpuUs / api.cpuUs));
  console.log(
    `POST /v1/decisions against bare node:http, ${keys.length} keys in use: ratio ${ratio.toFixed(2)} in requests/s, ${byCpu.toFixed(2)} in CPU per request (medians of ${ROUNDS} rounds)`,
  );
}

/** Decisions per second when each request asks for 100 of them. */
function batches(api: Server, keys: readonly string[]): void {
  const bodies = Array.from({ length: 50 }, (_, i) =>
    JSON.stringify({
      decisions: Array.from({ length: BATCH }, (_unused, j) =>
        questionOf(keys[(i * BATCH + j) % keys.length] ?? ''),
      ),
    }),
  );
  const script = wrkScript(bodies);
  wrk(api, script, 3);
  const perSecond = Array.from(
    { length: ROUNDS },
    () => wrk(api, script, SECONDS).perSecond * BATCH,
  );
  console.log(
    `batches of ${BATCH}, ${keys.length} keys in use: ${median(perSecond).toFixed(0)} decisions/s (median of ${ROUNDS} rounds)`,
  );
}

interface Server {
  readonly url: string;
  /** What the process has used of its core so far. */
  cpuMs(): number;
}

/** Starts a program on core 0 and answers its URL once it accepts connections. */
async function startServer(entry: string, environment: Record<string, string>): Promise<Server> {
  const port = await freePort();
  const child = spawn('taskset', ['-c', '0', process.execPath, '--max-semi-space-size=32', entry], {
    env: { PATH: process.env['PATH'] ?? '', PORT: String(port), ...environment },
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

/** The reference: reads and parses the body, answers the same status, headers and bytes. */
function bareServer({ headers, body }: { headers: string[]; body: string }): string {
  const path = join(home, 'bare.mjs');
  writeFileSync(
    path,
    `import { createServer } from 'node:http';
const headers = ${JSON.stringify(headers)};
const body = ${JSON.stringify(body)};
createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    if (chunks.length > 0) JSON.parse(Buffer.concat(chunks).toString('utf8'));
    response.writeHead(200, headers);
    response.end(body);
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
`,
  );
  return path;
}

const questionOf = (apiKey: string) => ({
  apiKey,
  apiId: 'a1b2c3d4e5',
  stage: 'prod',
  method: 'GET',
  path: '/pets/42',
  sourceIp: '203.0.113.7',
});

const question = (apiKey: string) => JSON.stringify(questionOf(apiKey));

function post(url: string, apiKey: string): Promise<{ headers: string[]; body: string }> {
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

/** A plan with throttle at two levels and a monthly quota, and keys that are never refused. */
async function seed(databaseUrl: string): Promise<string[]> {
  const keyring = new Keyring(new Config({ DATABASE_URL: databaseUrl, TOLLGATE_SECRET: SECRET }));
  const keys = Array.from({ length: Math.max(...KEYS_IN_USE) }, () =>
    newApiKeyValue('live', randomBytes),
  );
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
function wrkScript(bodies: readonly string[]): string {
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

interface Measured {
  readonly perSecond: number;
  /** Server CPU per request: what is left of the figure when other work shares the machine. */
  readonly cpuUs: number;
}

/** Requests per second, with the load on core 1, and what each cost the server. */
function wrk({ url, cpuMs }: Server, script: string, seconds: number): Measured {
  const before = cpuMs();
  const output = execFileSync(
    'taskset',
    ['-c', '1', 'wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script, url],
    { encoding: 'utf8' },
  );
  if (/Non-2xx/.test(output)) throw new Error(output);
  const requests = Number(/(\d+) requests in/.exec(output)?.[1]);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
  return { perSecond, cpuUs: ((cpuMs() - before) * 1000) / requests };
}

const show = ({ perSecond, cpuUs }: Measured) =>
  `${perSecond.toFixed(0)}/s at ${cpuUs.toFixed(1)} µs`;

/** User and system time of a process, in steps of 10 ms (proc(5)). */
function cpuMilliseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

await main();
