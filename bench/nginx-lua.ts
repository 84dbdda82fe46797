/**
 * What the Lua plugin costs in nginx, as a ratio of requests per second against the same nginx that serves the same
 * small files without it, and against the `auth_request` way. One worker; nginx and the service share core 0, the load
 * has core 1. Policies and leases are warm. Rounds alternate; medians are reported.
 *
 * Run: npm run build && npx tsx bench/nginx-lua.ts   (needs nginx with its Lua module, wrk and taskset on the PATH)
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { entryOf } from '../scripts/build.mjs';
import { freePort, startPostgres } from '../scripts/embedded-postgres.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import { newSubject } from './subject.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 9);
const SECONDS = Number(process.env['SECONDS'] ?? 2);
const CONNECTIONS = 50;
const KEYS = 100;
const TOKEN = `tgw_${'b'.repeat(40)}`;
const OPERATOR = `tgo_${'b'.repeat(40)}`;
const LIBRARY = fileURLToPath(new URL('../gateways/openresty/lib', import.meta.url));
const MODULES = ['/usr/lib/nginx/modules', '/usr/share/nginx/modules'].find((folder) =>
  existsSync(join(folder, 'ngx_http_lua_module.so')),
);

const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const children: ChildProcess[] = [];

interface Variant {
  readonly name: string;
  readonly url: string;
}

async function main(): Promise<void> {
  const postgres = await startPostgres({ home, isDurable: false });
  try {
    const databaseUrl = postgres.connectionString();
    await applyMigrations({ connectionString: databaseUrl });
    const port = await freePort();
    const api = start(process.execPath, ['--max-semi-space-size=32', entryOf('api')], {
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      TOLLGATE_SECRET: randomBytes(32).toString('base64'),
      TOLLGATE_GATEWAY_TOKEN: TOKEN,
      TOLLGATE_OPERATOR_TOKEN: OPERATOR,
      TOLLGATE_LOG_LEVEL: 'error',
    });
    const service = { url: `http://127.0.0.1:${port}`, operatorToken: OPERATOR };
    await until(async () => (await fetch(`${service.url}/health/ready`)).ok, 'the api');
    const database = new pg.Client({ connectionString: databaseUrl });
    await database.connect();
    await database.query('UPDATE account SET rate_limit = 1e8, burst_limit = 100000000');
    await database.end();
    const subject = await newSubject(service, KEYS);
    const { variants, nginx } = await startNginx(service.url, subject.apiId);
    const pids = [nginx.pid ?? 0, api.pid ?? 0];
    compare(variants, wrkScript(subject.keys), () =>
      pids.reduce((sum, pid) => sum + cpuMs(pid), 0),
    );
  } finally {
    // In this order: nginx gives its units back to the api, which gives its own back to Postgres.
    for (const child of children.reverse()) await ended(child);
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

/** Alternates the variants, and prints each round and the medians of the first against the others. */
function compare(variants: readonly Variant[], script: string, cpu: () => number): void {
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const row = variants.map(({ url }) => wrk(url, script, cpu));
    const shown = row.map(
      (one, at) =>
        `${variants[at]?.name} ${one.perSecond.toFixed(0)}/s at ${one.cpuUs.toFixed(1)} µs`,
    );
    console.log(`round ${round + 1}: ${shown.join(', ')}`);
    return row;
  });
  for (const [at, { name }] of variants.entries()) {
    if (at === 0) continue;
    const ratio = (value: (lua: Measured, other: Measured) => number) =>
      median(rounds.map((row) => value(row[0] ?? NOTHING, row[at] ?? NOTHING))).toFixed(2);
    console.log(
      `nginx with the Lua plugin against ${name}: ratio ${ratio((lua, other) => lua.perSecond / other.perSecond)} in requests/s, ${ratio((lua, other) => other.cpuUs / lua.cpuUs)} in CPU per request (medians of ${ROUNDS} rounds)`,
    );
  }
}

function start(program: string, args: string[], environment: Record<string, string>): ChildProcess {
  const child = spawn('taskset', ['-c', '0', program, ...args], {
    env: { PATH: `${process.env['PATH']}:/usr/sbin`, ...environment },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  children.push(child);
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

/** One nginx process with a server for each variant, over the same files. */
async function startNginx(
  serviceUrl: string,
  apiId: string,
): Promise<{ variants: Variant[]; nginx: ChildProcess }> {
  const names = ['the Lua plugin', 'static files', 'auth_request'];
  const ports = await Promise.all(names.map(() => freePort()));
  const [lua = 0, plain = 0, auth = 0] = ports;
  chmodSync(home, 0o755);
  mkdirSync(join(home, 'files/pets'), { recursive: true });
  for (let file = 1; file <= KEYS; file += 1) {
    writeFileSync(join(home, `files/pets/${file}`), 'from the backend\n\n');
  }
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const temporary = paths.map((kind) => `${kind}_temp_path ${home}/${kind};`).join(' ');
  const set = [
    'X_Decision_Status',
    'X_Amzn_ErrorType',
    'Retry_After',
    'RateLimit',
    'RateLimit_Policy',
  ]
    .map((name) => name.toLowerCase())
    .map((name) => `auth_request_set $t_${name} $upstream_http_${name};`)
    .join(' ');
  writeFileSync(
    join(home, 'nginx.conf'),
    `daemon off; master_process off; pid ${home}/nginx.pid; error_log ${home}/error.log warn;
load_module ${MODULES}/ndk_http_module.so; load_module ${MODULES}/ngx_http_lua_module.so;
events { worker_connections 2048; }
http { ${temporary} keepalive_requests 1000000; access_log off; root ${home}/files;
  lua_package_path "${LIBRARY}/?.lua;;"; lua_shared_dict tollgate 16m; lua_shared_dict tollgate_units 64m;
  init_by_lua_block {
    tollgate = require "tollgate.nginx"
    tollgate.connect { url = "${serviceUrl}", token = "${TOKEN}", deadline_ms = 2000 }
    prod = tollgate.stage("${apiId}", "prod")
  }
  init_worker_by_lua_block { tollgate.start() }
  upstream service { server ${new URL(serviceUrl).host}; keepalive 64; }
  server { listen 127.0.0.1:${plain}; location / { } }
  server { listen 127.0.0.1:${lua};
    location / { access_by_lua_block { prod.access() } log_by_lua_block { prod.log() } } }
  server { listen 127.0.0.1:${auth};
    location / { auth_request /_tollgate; ${set}
      add_header RateLimit $t_ratelimit always; add_header RateLimit-Policy $t_ratelimit_policy always; }
    location = /_tollgate { internal; proxy_pass http://service/v1/forward-auth/${apiId}/prod/nginx;
      proxy_http_version 1.1; proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_set_header Connection ""; proxy_set_header X-Tollgate-Token ${TOKEN};
      proxy_set_header X-Original-Uri $request_uri; proxy_set_header X-Original-Method $request_method;
      proxy_set_header X-Real-IP $remote_addr; } } }`,
  );
  const nginx = start(
    'nginx',
    ['-p', home, '-c', join(home, 'nginx.conf'), '-e', join(home, 'error.log')],
    {},
  );
  const url = (port: number) => `http://127.0.0.1:${port}`;
  await until(async () => (await fetch(url(plain))).status > 0, 'nginx');
  const variants = names.map((name, at) => ({ name, url: url(ports[at] ?? 0) }));
  return { variants, nginx };
}

/** Each key calls its own pet, in turn. */
function wrkScript(keys: readonly string[]): string {
  const path = join(home, 'get.lua');
  writeFileSync(
    path,
    `local keys, requests, at = { ${keys.map((key) => `'${key}'`).join(', ')} }, {}, 0
function init(args)
  for i, key in ipairs(keys) do requests[i] = wrk.format('GET', '/pets/' .. i, { ['X-Api-Key'] = key, ['Host'] = 'api.example.com', ['User-Agent'] = 'bench' }) end
end
request = function() at = at % #requests + 1; return requests[at] end
`,
  );
  return path;
}

interface Measured {
  readonly perSecond: number;
  /** CPU of nginx and service per request: what is left of the figure when other work shares the machine. */
  readonly cpuUs: number;
}
const NOTHING: Measured = { perSecond: NaN, cpuUs: NaN };

/** One measured run, after a second in which policies and leases become warm. */
function wrk(url: string, script: string, cpu: () => number): Measured {
  const load = (seconds: number) =>
    execFileSync(
      'taskset',
      ['-c', '1', 'wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script, url],
      { encoding: 'utf8' },
    );
  load(1);
  const before = cpu();
  const output = load(SECONDS);
  if (/Non-2xx/.test(output)) {
    throw new Error(`${output}${readFileSync(join(home, 'error.log'), 'utf8')}`);
  }
  const requests = Number(/(\d+) requests in/.exec(output)?.[1]);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
  return { perSecond, cpuUs: ((cpu() - before) * 1000) / requests };
}

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await isSo().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} did not start.`);
}

/** User and system time of a process, in steps of 10 ms (proc(5)). */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

await main();
