/**
 * What Tollgate costs behind nginx, as a ratio of requests per second against the same nginx that asks a Node server
 * which always says 200. One worker; nginx and the service that it asks share core 0, the load and the application have
 * core 1. Rounds alternate; medians are reported.
 *
 * Run: npm run build && npx tsx bench/nginx.ts   (needs nginx, wrk and taskset on the PATH)
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { entryOf } from '../scripts/build.mjs';
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { LARGE_PAGES, NODE_FLAGS } from '../scripts/launcher/processes.mjs';
import { freePort } from '../scripts/free-port.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import { newSubject } from './subject.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 7);
const SECONDS = Number(process.env['SECONDS'] ?? 2);
const CONNECTIONS = 50;
const KEYS = 100;
const TOKEN = `tgw_${'b'.repeat(40)}`;
const OPERATOR = `tgo_${'b'.repeat(40)}`;
const TEMPLATE = fileURLToPath(
  new URL('../gateways/nginx/tollgate.conf.template', import.meta.url),
);

const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const children: ChildProcess[] = [];

/** One nginx in front of the application, and the service that it asks. */
interface Variant {
  readonly name: string;
  readonly url: string;
  /** CPU that nginx, and the service that it asks, have used so far. */
  cpuMs(): readonly [nginx: number, service: number];
}

async function main(): Promise<void> {
  const postgres = await startPostgres({ home, isDurable: false });
  try {
    const databaseUrl = postgres.connectionString();
    await applyMigrations({ connectionString: databaseUrl });
    const api = await startNode(entryOf('api'), {
      DATABASE_URL: databaseUrl,
      TOLLGATE_SECRET: randomBytes(32).toString('base64'),
      TOLLGATE_GATEWAY_TOKEN: TOKEN,
      TOLLGATE_OPERATOR_TOKEN: OPERATOR,
      TOLLGATE_LOG_LEVEL: 'error',
    });
    const service = { url: `http://${api.address}`, operatorToken: OPERATOR };
    await untilReady(service.url);
    await liftAccountThrottle(databaseUrl);
    const subject = await newSubject(service, KEYS);
    const bare = await startNode(bareServer(), {});
    const application = await startNginx('application', 1, (port) => applicationConfig(port));
    const shipped = (name: string, { address, pid }: Process) =>
      startNginx(
        name,
        0,
        (port) =>
          shippedConfig({
            port,
            name,
            tollgate: address,
            application: application.address,
            ...subject,
          }),
        pid,
      );
    const tollgate = await shipped('Tollgate, shipped configuration', api);
    const always = await shipped('always 200, shipped configuration', bare);
    const plain = await startNginx(
      'always 200, bare configuration',
      0,
      (port) => plainConfig({ port, tollgate: bare.address, application: application.address }),
      bare.pid,
    );
    compare([tollgate, always, plain], wrkScript(subject.keys));
  } finally {
    for (const child of children) child.kill('SIGTERM');
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

/** The 10,000 calls a second that Amazon gives an account are fewer than nginx asks about. */
async function liftAccountThrottle(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => undefined);
  await client.connect();
  await client.query('UPDATE account SET rate_limit = 1e8, burst_limit = 100000000');
  await client.end();
}

/** Alternates the variants, and prints each round and the medians of the first against the others. */
function compare(variants: readonly Variant[], script: string): void {
  for (const variant of variants) wrk(variant, script);
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const row = variants.map((variant) => wrk(variant, script));
    console.log(`round ${round + 1}: ${row.map(show).join(', ')}`);
    return row;
  });
  for (const [at, { name }] of variants.entries()) {
    if (at === 0) continue;
    const of = (value: (mine: Measured, other: Measured) => number) =>
      median(rounds.map((row) => value(row[0] ?? NOTHING, row[at] ?? NOTHING))).toFixed(2);
    console.log(
      `${variants[0]?.name} against ${name}: ratio ${of((mine, other) => mine.perSecond / other.perSecond)} in requests/s, ${of((mine, other) => other.cpuUs / mine.cpuUs)} in CPU per request (medians of ${ROUNDS} rounds)`,
    );
  }
}

const show = ({ perSecond, cpuUs, nginxUs }: Measured) =>
  `${perSecond.toFixed(0)}/s at ${nginxUs.toFixed(1)} + ${(cpuUs - nginxUs).toFixed(1)} µs`;

interface Process {
  readonly address: string;
  readonly pid: number;
}

async function startNode(entry: string, environment: Record<string, string>): Promise<Process> {
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
  return { address: `127.0.0.1:${port}`, pid: child.pid ?? 0 };
}

/** Starts nginx in the foreground as one process, which is what one worker costs. */
async function startNginx(
  name: string,
  core: number,
  config: (port: number) => string,
  servicePid?: number,
): Promise<Variant & { address: string }> {
  const port = await freePort();
  const folder = join(home, name.replaceAll(/\W+/g, '-'));
  mkdirSync(folder);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join(' ');
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log crit;
events { worker_connections 2048; }
http { ${temporary} keepalive_requests 1000000; ${config(port)} }`,
  );
  const child = spawn(
    'taskset',
    [
      '-c',
      String(core),
      'nginx',
      '-p',
      folder,
      '-c',
      join(folder, 'nginx.conf'),
      '-e',
      `${folder}/error.log`,
    ],
    { env: { PATH: `${process.env['PATH']}:/usr/sbin` }, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  children.push(child);
  const url = `http://127.0.0.1:${port}`;
  await untilAnswered(url);
  return {
    name,
    url,
    address: `127.0.0.1:${port}`,
    cpuMs: () => [
      cpuMilliseconds(child.pid ?? 0),
      servicePid === undefined ? 0 : cpuMilliseconds(servicePid),
    ],
  };
}

const applicationConfig = (port: number) =>
  `server { listen 127.0.0.1:${port}; access_log off; location / { return 200 'from the backend\\n'; } }`;

function shippedConfig(of: {
  port: number;
  name: string;
  tollgate: string;
  application: string;
  apiId: string;
}): string {
  const variables: Record<string, string> = {
    TOLLGATE_ADDRESS: of.tollgate,
    TOLLGATE_GATEWAY_TOKEN: TOKEN,
    TOLLGATE_API_ID: of.apiId,
    TOLLGATE_STAGE: 'prod',
    TOLLGATE_PROTOCOL: 'REST',
    TOLLGATE_DEADLINE: '10s',
    TOLLGATE_UNAVAILABLE: '403',
    APPLICATION_ADDRESS: of.application,
    LISTEN: `127.0.0.1:${of.port}`,
    ACCESS_LOG: join(home, `${of.port}.log`),
  };
  return readFileSync(TEMPLATE, 'utf8').replaceAll(
    /\$\{([A-Z_]+)\}/g,
    (placeholder, name: string) => {
      const value = variables[name];
      if (value === undefined) throw new Error(`no value for ${placeholder}`);
      return value;
    },
  );
}

/** auth_request with nothing that Tollgate adds: no headers set, no log. */
const plainConfig = (of: { port: number; tollgate: string; application: string }) => `
upstream tollgate { server ${of.tollgate}; keepalive 64; }
upstream application { server ${of.application}; keepalive 64; }
server { listen 127.0.0.1:${of.port}; access_log off;
  location / { auth_request /_check; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://application; }
  location = /_check { internal; proxy_pass http://tollgate/; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_pass_request_body off; proxy_set_header Content-Length ""; } }`;

function bareServer(): string {
  const path = join(home, 'bare.mjs');
  writeFileSync(
    path,
    `import { createServer } from 'node:http';
createServer((request, response) => {
  response.writeHead(200, ['Content-Length', '0']);
  response.end();
}).listen(Number(process.env.PORT), '127.0.0.1');
`,
  );
  return path;
}

function wrkScript(keys: readonly string[]): string {
  const path = join(home, 'get.lua');
  writeFileSync(
    path,
    `local keys = { ${keys.map((key) => `'${key}'`).join(', ')} }
local requests = {}
function init(args)
  for i, key in ipairs(keys) do
    requests[i] = wrk.format('GET', '/pets/' .. i, { ['X-Api-Key'] = key, ['Host'] = 'api.example.com', ['User-Agent'] = 'bench' })
  end
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
  /** CPU of nginx and service per request: what is left of the figure when other work shares the machine. */
  readonly cpuUs: number;
  readonly nginxUs: number;
}
const NOTHING: Measured = { perSecond: NaN, cpuUs: NaN, nginxUs: NaN };

function wrk({ url, cpuMs }: Variant, script: string): Measured {
  const [nginxBefore, serviceBefore] = cpuMs();
  const output = execFileSync(
    'taskset',
    ['-c', '1', 'wrk', '-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, '-s', script, url],
    { encoding: 'utf8' },
  );
  if (/Non-2xx/.test(output)) throw new Error(output);
  const requests = Number(/(\d+) requests in/.exec(output)?.[1]);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
  const [nginx, service] = cpuMs();
  const nginxUs = ((nginx - nginxBefore) * 1000) / requests;
  return { perSecond, nginxUs, cpuUs: nginxUs + ((service - serviceBefore) * 1000) / requests };
}

async function untilReady(url: string): Promise<void> {
  await until(async () => (await fetch(`${url}/health/ready`)).ok, url);
}

/** Any answer, a refusal too. */
async function untilAnswered(url: string): Promise<void> {
  await until(async () => (await fetch(url)).status > 0, url);
}

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await isSo().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} did not start.`);
}

/** User and system time of a process, in steps of 10 ms (proc(5)). */
function cpuMilliseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

await main();
