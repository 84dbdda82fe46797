/**
 * What the Lua plugin costs in nginx, as a ratio of requests per second against the same nginx that serves the same
 * small files without it; and the shipped configuration with Lua against the shipped one with `auth_request`, both in
 * front of the same application. One worker; nginx and the service share core 0, the load and the application have
 * core 1. Policies and leases are warm. Rounds alternate; medians are reported.
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
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { NODE_FLAGS } from '../scripts/launcher/processes.mjs';
import { freePort } from '../scripts/free-port.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import { newSubject } from './subject.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 9);
const SECONDS = Number(process.env['SECONDS'] ?? 2);
const CONNECTIONS = 50;
const KEYS = 100;
const TOKEN = `tgw_${'b'.repeat(40)}`;
const OPERATOR = `tgo_${'b'.repeat(40)}`;
const GATEWAYS = fileURLToPath(new URL('../gateways/', import.meta.url));
const MODULES = ['/usr/lib/nginx/modules', '/usr/share/nginx/modules'].find((folder) =>
  existsSync(join(folder, 'ngx_http_lua_module.so')),
);

const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const children: ChildProcess[] = [];

/** Servers of the one nginx, by what they are called in the report. */
const SERVERS = [
  'the Lua plugin',
  'static files',
  'the shipped Lua configuration',
  'the shipped auth_request configuration',
] as const;
type ServerName = (typeof SERVERS)[number];
const COMPARED: readonly (readonly [ServerName, ServerName])[] = [
  ['the Lua plugin', 'static files'],
  ['the shipped Lua configuration', 'the shipped auth_request configuration'],
];
type Urls = Readonly<Record<ServerName, string>>;

async function main(): Promise<void> {
  const postgres = await startPostgres({ home, isDurable: false });
  try {
    const databaseUrl = postgres.connectionString();
    await applyMigrations({ connectionString: databaseUrl });
    const port = await freePort();
    const api = start(process.execPath, [...NODE_FLAGS, entryOf('api')], {
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
    const { urls, nginx } = await startNginx(service.url, subject.apiId);
    const pids = [nginx.pid ?? 0, api.pid ?? 0];
    compare(urls, wrkScript(subject.keys), () => pids.reduce((sum, pid) => sum + cpuMs(pid), 0));
  } finally {
    // In this order: nginx gives its units back to the api, which gives its own back to Postgres.
    for (const child of children.reverse()) await ended(child);
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

/** Alternates the servers, and prints each round and the medians of what is compared. */
function compare(urls: Urls, script: string, cpu: () => number): void {
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const row = new Map(SERVERS.map((name) => [name, wrk(urls[name], script, cpu)]));
    const shown = [...row].map(
      ([name, { perSecond, cpuUs }]) =>
        `${name} ${perSecond.toFixed(0)}/s at ${cpuUs.toFixed(1)} µs`,
    );
    console.log(`round ${round + 1}: ${shown.join(', ')}`);
    return row;
  });
  for (const [mine, other] of COMPARED) {
    const ratio = (value: (mine: Measured, other: Measured) => number) =>
      median(
        rounds.map((row) => value(row.get(mine) ?? NOTHING, row.get(other) ?? NOTHING)),
      ).toFixed(2);
    console.log(
      `${mine} against ${other}: ratio ${ratio((a, b) => a.perSecond / b.perSecond)} in requests/s, ${ratio((a, b) => b.cpuUs / a.cpuUs)} in CPU per request (medians of ${ROUNDS} rounds)`,
    );
  }
}

function start(
  program: string,
  args: string[],
  environment: Record<string, string>,
  core = 0,
): ChildProcess {
  const child = spawn('taskset', ['-c', String(core), program, ...args], {
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

/** One nginx process with all servers, and another one as the application behind the shipped ones. */
async function startNginx(
  serviceUrl: string,
  apiId: string,
): Promise<{ urls: Urls; nginx: ChildProcess }> {
  const [lua = 0, plain = 0, shippedLua = 0, shippedAuth = 0, application = 0] = await Promise.all(
    Array.from({ length: SERVERS.length + 1 }, () => freePort()),
  );
  chmodSync(home, 0o755);
  mkdirSync(join(home, 'files/pets'), { recursive: true });
  for (let file = 1; file <= KEYS; file += 1) {
    writeFileSync(join(home, `files/pets/${file}`), 'from the backend\n\n');
  }
  const common = {
    TOLLGATE_API_ID: apiId,
    TOLLGATE_STAGE: 'prod',
    TOLLGATE_PROTOCOL: 'REST',
    TOLLGATE_GATEWAY_TOKEN: TOKEN,
    APPLICATION_ADDRESS: `127.0.0.1:${application}`,
  };
  const luaConfig = filled('openresty/tollgate.conf.template', {
    ...common,
    LISTEN: `127.0.0.1:${shippedLua}`,
    TOLLGATE_LUA: join(GATEWAYS, 'openresty/lib'),
    TOLLGATE_CA: '/etc/ssl/certs/ca-certificates.crt',
    TOLLGATE_URL: serviceUrl,
    TOLLGATE_DEADLINE_MS: '2000',
    TOLLGATE_ON_FAILURE: 'deny',
  });
  const authConfig = filled('nginx/tollgate.conf.template', {
    ...common,
    LISTEN: `127.0.0.1:${shippedAuth}`,
    TOLLGATE_ADDRESS: new URL(serviceUrl).host,
    TOLLGATE_DEADLINE: '10s',
    TOLLGATE_UNAVAILABLE: '403',
    ACCESS_LOG: join(home, 'access.log'),
  });
  const nginx = startOneNginx(
    'gateway',
    0,
    `root ${home}/files;
${luaConfig}
${authConfig.replaceAll('tollgate_application', 'application_of_auth_request')}
server { listen 127.0.0.1:${plain}; location / { } }
server { listen 127.0.0.1:${lua};
  location / { access_by_lua_block { tollgate_stage.access() } log_by_lua_block { tollgate_stage.log() } } }`,
  );
  startOneNginx(
    'application',
    1,
    `server { listen 127.0.0.1:${application}; location / { return 200 'from the backend\n\n'; } }`,
  );
  const url = (port: number) => `http://127.0.0.1:${port}`;
  for (const port of [plain, application]) {
    await until(async () => (await fetch(url(port))).status > 0, 'nginx');
  }
  const urls = {
    'the Lua plugin': url(lua),
    'static files': url(plain),
    'the shipped Lua configuration': url(shippedLua),
    'the shipped auth_request configuration': url(shippedAuth),
  };
  return { urls, nginx };
}

/** Starts nginx in the foreground as one process, which is what one worker costs. */
function startOneNginx(name: string, core: number, http: string): ChildProcess {
  const folder = join(home, name);
  mkdirSync(folder);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const temporary = paths.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(' ');
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${home}/error.log warn;
load_module ${MODULES}/ndk_http_module.so; load_module ${MODULES}/ngx_http_lua_module.so;
events { worker_connections 2048; }
http { ${temporary} keepalive_requests 1000000; access_log off;
${http} }`,
  );
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(home, 'error.log')];
  return start('nginx', args, {}, core);
}

/** A shipped configuration with its variables. */
function filled(template: string, variables: Readonly<Record<string, string>>): string {
  const text = readFileSync(join(GATEWAYS, template), 'utf8');
  return text.replaceAll(/\$\{([A-Z_]+)\}/g, (placeholder, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`no value for ${placeholder}`);
    return value;
  });
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
