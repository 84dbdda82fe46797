/**
 * What `ShouldRateLimit` and `Check` cost, as ratios against the same server answering a constant: the whole api, whose
 * two services give the bytes of one such answer without reading the question. Beside it a process that has nothing but
 * the gRPC server and the constant. 2 connections with 25 streams each, as Envoy would have them; server and load each
 * have a core; rounds alternate; medians are reported.
 *
 * Run: npm run build && npx tsx bench/grpc.ts   (needs h2load and taskset on the PATH; ROUNDS=9, SECONDS=2)
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { newApiKeyValue } from '@core/kernel';
import { Config, Keyring } from '@io/platform';
import { entryOf } from '../scripts/build.mjs';
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { LARGE_PAGES, NODE_FLAGS } from '../scripts/launcher/processes.mjs';
import { freePort } from '../scripts/free-port.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import { checkRequest, encoded, EnvoyClient } from '../test/support/envoy.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 9);
const SECONDS = Number(process.env['SECONDS'] ?? 2);
/** Two processes of one program differ by a tenth and more, in how their memory lies; so there are several of each. */
const PAIRS = 3;
const CONNECTIONS = 2;
const STREAMS = 25;
const TOKEN = `tgw_${'b'.repeat(40)}`;
const SECRET = randomBytes(32).toString('base64');
const API_KEY = newApiKeyValue('live', randomBytes);
const API_ID = 'a1b2c3d4e5';

const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const children: ChildProcess[] = [];

/** What Envoy's rate limit filter sends with the actions of `gateways/envoy/rate-limit.yaml`. */
const LIMIT = encoded('envoy.service.ratelimit.v3.RateLimitService', 'ShouldRateLimit', {
  domain: 'tollgate',
  descriptors: [
    {
      entries: Object.entries({
        api: API_ID,
        stage: 'prod',
        api_key: API_KEY,
        method: 'GET',
        path: '/pets/42?fields=name',
        remote_address: '203.0.113.7',
      }).map(([key, value]) => ({ key, value })),
    },
  ],
});

/** What its ext_authz filter sends of a browser's call, all headers included. */
const CHECK = encoded(
  'envoy.service.auth.v3.Authorization',
  'Check',
  checkRequest({
    path: '/pets/42?fields=name',
    headers: {
      ':authority': 'api.example.com',
      ':scheme': 'https',
      accept: 'application/json',
      'accept-encoding': 'gzip, deflate, br',
      'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
      'x-api-key': API_KEY,
      'x-forwarded-for': '203.0.113.7',
      'x-forwarded-proto': 'https',
      'x-request-id': '4a0ac5c8-6d0c-4e5b-8f9b-0f6b0b0d8f51',
      cookie: 'session=6d0c4e5b8f9b0f6b0b0d8f51',
    },
    context: { api: API_ID, stage: 'prod' },
  }),
);

async function main(): Promise<void> {
  const postgres = await startPostgres({ home, isDurable: false });
  try {
    const databaseUrl = postgres.connectionString();
    await applyMigrations({ connectionString: databaseUrl });
    const environment = {
      DATABASE_URL: databaseUrl,
      TOLLGATE_SECRET: SECRET,
      TOLLGATE_GATEWAY_TOKEN: TOKEN,
      TOLLGATE_LOG_LEVEL: 'error',
    };
    const apis = [await startServer(entryOf('api'), environment)];
    await seed(databaseUrl);
    while (apis.length < PAIRS) apis.push(await startServer(entryOf('api'), environment));
    for (const question of [LIMIT, CHECK]) {
      const [answer = Buffer.alloc(0)] = await Promise.all(apis.map((api) => api.ask(question)));
      if (!answer.includes('ratelimit-policy')) throw new Error(answer.toString('latin1'));
      const constants: Server[] = [];
      while (constants.length < PAIRS)
        constants.push(await startServer(constantApi(answer), environment));
      const bare = await startServer(constantServer(question.path, answer), {});
      compare({ ...question, answerBytes: answer.length }, { apis, constants, bare });
      for (const server of [...constants, bare]) server.stop();
    }
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

interface Question {
  readonly path: string;
  readonly bytes: Buffer;
}

interface AnsweredQuestion extends Question {
  readonly answerBytes: number;
}

interface Server {
  readonly address: string;
  /** What the process has used of its core so far. */
  cpuMs(): number;
  ask(question: Question): Promise<Buffer>;
  stop(): void;
}

/** Alternates the servers, and prints each round and the medians. */
function compare(
  question: AnsweredQuestion,
  {
    apis,
    constants,
    bare,
  }: { apis: readonly Server[]; constants: readonly Server[]; bare: Server },
): void {
  const name = question.path.split('/').at(-1);
  for (const server of [bare, ...constants, ...apis]) h2load(server, question, 2);
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const inTurn = (of: readonly Server[]) => of[round % PAIRS] ?? bare;
    const row = {
      bare: h2load(bare, question, SECONDS),
      constant: h2load(inTurn(constants), question, SECONDS),
      api: h2load(inTurn(apis), question, SECONDS),
    };
    console.log(
      `round ${round + 1}: bare ${show(row.bare)}, constant ${show(row.constant)}, ${name} ${show(row.api)}`,
    );
    return row;
  });
  for (const [reference, words] of [
    ['constant', 'the same server answering a constant'],
    ['bare', 'a process that only answers a constant'],
  ] as const) {
    const ratio = median(rounds.map((row) => row.api.perSecond / row[reference].perSecond));
    const byCpu = median(rounds.map((row) => row[reference].cpuUs / row.api.cpuUs));
    console.log(
      `gRPC ${name} against ${words}: ratio ${ratio.toFixed(2)} in requests/s, ${byCpu.toFixed(2)} in CPU per request (medians of ${ROUNDS} rounds)`,
    );
  }
}

/** Starts a program on core 0, with its gRPC port, and resolves once it answers there. */
async function startServer(entry: string, environment: Record<string, string>): Promise<Server> {
  const port = await freePort();
  const child = spawn('taskset', ['-c', '0', process.execPath, ...NODE_FLAGS, entry], {
    env: {
      PATH: process.env['PATH'] ?? '',
      ...LARGE_PAGES,
      PORT: String(await freePort()),
      GRPC_PORT: String(port),
      ...environment,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  children.push(child);
  const address = `127.0.0.1:${port}`;
  const client = new EnvoyClient(address, TOKEN);
  const server: Server = {
    address,
    cpuMs: () => cpuMilliseconds(child.pid ?? 0),
    ask: ({ path, bytes }) => client.raw(path, bytes, 20_000),
    stop: () => void child.kill('SIGKILL'),
  };
  await client.ready(20_000);
  return server;
}

/** The reference: the api with all that runs in it, whose answer is there already. */
function constantApi(answer: Buffer): string {
  const part = (path: string) => JSON.stringify(join(dirname(entryOf('api')), path));
  return script(
    answer,
    `import { createApi } from ${part('api.js')};
import { AuthorizationService } from ${part('envoy/authorization.service.js')};
import { RateLimitService } from ${part('envoy/rate-limit.service.js')};
import { Config } from ${part('../../../libs/platform/src/io/index.js')};
`,
    `const config = Config.fromEnvironment();
const app = await createApi(config);
app.get(AuthorizationService).check = () => answer;
app.get(RateLimitService).shouldRateLimit = () => answer;
await app.listen({ port: config.port, host: config.host });
`,
  );
}

/** The same gRPC server in a process that does nothing else. */
function constantServer(path: string, answer: Buffer): string {
  const server = join(dirname(entryOf('api')), 'envoy', 'grpc-server.js');
  return script(
    answer,
    `import { addUnary, grpcServer, listen } from ${JSON.stringify(server)};
`,
    `const server = grpcServer();
addUnary(server, ${JSON.stringify(path)}, { answer: () => answer, bytesOf: (bytes) => bytes });
await listen(server, '127.0.0.1:' + process.env.GRPC_PORT);
`,
  );
}

let scripts = 0;

function script(answer: Buffer, imports: string, run: string): string {
  const entry = join(home, `reference-${(scripts += 1)}.mjs`);
  const bytes = `const answer = Buffer.from('${answer.toString('base64')}', 'base64');`;
  writeFileSync(entry, `${imports}${bytes}\n${run}`);
  return entry;
}

/** A plan with throttle at two levels and a monthly quota, and a key that is never refused. */
async function seed(databaseUrl: string): Promise<void> {
  const keyring = new Keyring(new Config({ DATABASE_URL: databaseUrl, TOLLGATE_SECRET: SECRET }));
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query<{ id: string }>('SELECT id FROM account WHERE is_default');
  const account = rows[0]?.id;
  const run = (sql: string, ...values: unknown[]) => client.query(sql, [account, ...values]);
  await run('UPDATE account SET rate_limit = 1e8, burst_limit = 100000000 WHERE id = $1');
  await run("INSERT INTO customer (id, account_id, name) VALUES ('cus_bench', $1, 'Bench')");
  await run('INSERT INTO api (id, account_id, name) VALUES ($2, $1, $2)', API_ID);
  await run(
    `INSERT INTO method (account_id, api_id, http_method, resource_path)
     SELECT $1, $2, verb, path FROM unnest('{GET,POST,DELETE}'::text[]) verb, unnest(ARRAY['/pets', '/pets/{petId}', '/orders/{id}']) path`,
    API_ID,
  );
  await run(
    "INSERT INTO stage (account_id, api_id, name, rate_limit, burst_limit) VALUES ($1, $2, 'prod', 1e8, 100000000)",
    API_ID,
  );
  await run(
    `INSERT INTO usage_plan (id, account_id, name, rate_limit, burst_limit, quota_limit, quota_offset, quota_period)
     VALUES ('bench1', $1, 'bench', 1e6, 1000000, 1000000000000, 0, 'MONTH')`,
  );
  await run(
    "INSERT INTO usage_plan_stage (account_id, usage_plan_id, api_id, stage) VALUES ($1, 'bench1', $2, 'prod')",
    API_ID,
  );
  await run(
    `INSERT INTO api_key (id, account_id, customer_id, hash, pepper_id, last_four)
     VALUES ('keybench01', $1, 'cus_bench', $2, $3, 'xxxx')`,
    keyring.hash('key-pepper', API_KEY),
    keyring.currentId,
  );
  await run(
    "INSERT INTO usage_plan_key (account_id, usage_plan_id, key_id) VALUES ($1, 'bench1', 'keybench01')",
  );
  await client.end();
}

interface Measured {
  readonly perSecond: number;
  /** Server CPU per request: what is left of the figure when other work shares the machine. */
  readonly cpuUs: number;
}

/** Requests per second, with the load on core 1, and what each cost the server. */
function h2load(
  { address, cpuMs }: Server,
  { path, bytes, answerBytes }: AnsweredQuestion,
  seconds: number,
): Measured {
  const body = join(home, 'body');
  // gRPC's own frame: not compressed, and the length of the message.
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  writeFileSync(body, Buffer.concat([head, bytes]));
  const headers = [
    'content-type: application/grpc',
    'te: trailers',
    `authorization: Bearer ${TOKEN}`,
  ];
  const before = cpuMs();
  const output = execFileSync(
    'taskset',
    [
      '-c',
      '1',
      'h2load',
      '-t1',
      `-c${CONNECTIONS}`,
      `-m${STREAMS}`,
      `-D${seconds}`,
      '-d',
      body,
      ...headers.flatMap((header) => ['-H', header]),
      `http://${address}${path}`,
    ],
    { encoding: 'utf8' },
  );
  const perSecond = Number(/([\d.]+) req\/s/.exec(output)?.[1]);
  const succeeded = Number(/(\d+) succeeded, 0 failed, 0 errored/.exec(output)?.[1]);
  // A refusal or an error is shorter than what the constant says.
  const data = Number(/\((\d+)\) data/.exec(output)?.[1]) / succeeded;
  const isAnswered = Math.abs(data / (answerBytes + head.length) - 1) < 0.05;
  if (!(perSecond > 0 && isAnswered)) throw new Error(`${data} bytes an answer\n${output}`);
  return { perSecond, cpuUs: ((cpuMs() - before) * 1000) / succeeded };
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
