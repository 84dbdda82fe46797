/**
 * What a decision costs in a gateway with the plugin, as its package is built: key text in, verdict out, policy and blocks at hand, four levels
 * and a quota, Zipf over the keys; as a ratio against rate-limiter-flexible's union of the same five limits in memory,
 * which is asked for 100,000 keys at most. Then what a request to a node:http server costs with and without the plugin
 * in front, in processor time.
 *
 * Run: npx tsx bench/plugin.ts            ROUNDS=5 KEYS=100000 REQUESTS=4000 (0: no requests)
 */
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, createServer, request as httpRequest, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type * as Plugin from '@core/gateway-plugin';
import type { Call, Tollgate } from '@core/gateway-plugin';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RateLimiterMemory, RateLimiterUnion } from 'rate-limiter-flexible';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const PACKAGE = new URL('../libs/gateway-plugin/', import.meta.url);
const IS_GATEWAY = process.argv[2] === 'serve';
if (!IS_GATEWAY) execFileSync(process.execPath, [fileURLToPath(new URL('build.mjs', PACKAGE))]);
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it was built of these sources just now
const { createTollgate } = (await import(new URL('dist/index.js', PACKAGE).href)) as typeof Plugin;

const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const KEYS = Number(process.env['KEYS'] ?? 100_000);
const REQUESTS = Number(process.env['REQUESTS'] ?? 4_000);
const CALLS = 300_000;
const CLIENTS = 16;
const WIDE = { rateLimit: 1e6, burstLimit: 1e6 };
const DAY_MS = 86_400_000;

/** Answers as the service does, and lends far more than is asked: what is measured is the gateway. */
const service: RequestListener = (request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
  request.on('end', () => {
    if (request.url === '/v1/gateway/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('event: reset\ndata: {}\n\n');
      setInterval(() => response.write(': ping\n\n'), 5_000).unref();
      return;
    }
    response.setHeader('content-type', 'application/json');
    if (request.url === '/v1/leases') response.end(JSON.stringify(lend(JSON.parse(body))));
    else if (request.url === '/v1/decisions') response.end('{"allowed":true,"decisionId":"d"}');
    else response.writeHead(201).end('{"duplicate":false}');
  });
};

interface Question {
  readonly keys?: { readonly apiKey: string }[];
  readonly stages?: unknown[];
  readonly rates?: unknown[];
  readonly quotas?: unknown[];
}

function lend({ keys = [], stages = [], rates = [], quotas = [] }: Question) {
  const from = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  const period = {
    periodFrom: new Date(from).toISOString(),
    periodTo: new Date(from + DAY_MS).toISOString(),
  };
  return {
    leaseMs: 1_000,
    keys: keys.map(({ apiKey }) => ({
      keyId: apiKey.slice(-10),
      customerId: 'cus_bench',
      enabled: true,
      expiresAt: null,
      ipPolicy: null,
      usagePlanId: 'plan01',
      throttle: WIDE,
      quota: { limit: 1e9, ...period },
      accountThrottle: WIDE,
      clockOffsetMs: 0,
    })),
    stages: stages.map(() => ({
      plan: { id: 'plan01', onFailure: 'deny', shadow: false },
      ambiguousPath: 'refuse',
      ipPolicy: null,
      stageThrottle: WIDE,
      methods: ['/pets', '/pets/{petId}', '/orders/{orderId}'].map((resourcePath) => ({
        httpMethod: 'GET',
        resourcePath,
        planThrottle: WIDE,
        stageThrottle: WIDE,
        stageBucket: `GET ${resourcePath}`,
      })),
    })),
    rates: rates.map(() => ({
      granted: 10_000_000,
      remaining: 500_000,
      retryAfterMs: 0,
      resetMs: 0,
    })),
    quotas: quotas.map(() => ({ granted: 10_000_000, remaining: 1e8, limit: 1e9, ...period })),
  };
}

/** As long as a real one; made anew for each call, as a server does, so that nothing is remembered of its hash. */
const keyOf = (number: number) =>
  Buffer.from(`bench_key_${String(number).padStart(33, 'k')}`, 'latin1').toString('latin1');

/** Skewed as calls are: the k-th key is called 1/k as often as the first. */
function zipf(): Uint32Array {
  const sums = new Float64Array(KEYS);
  let sum = 0;
  for (let k = 0; k < KEYS; k += 1) sums[k] = sum += 1 / (k + 1);
  // None lies beside its like.
  return Uint32Array.from({ length: CALLS }, () => {
    const at = Math.random() * sum;
    let low = 0;
    let high = KEYS - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < at) low = middle + 1;
      else high = middle;
    }
    return (low * 7_919) % KEYS;
  });
}

async function listening(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const connect = (url: string): Tollgate =>
  createTollgate({
    url,
    token: 'tgw_bench',
    apiId: 'bench00001',
    stage: 'prod',
    deadlineMs: 20_000,
    onEvent: () => undefined,
  });

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const PATHS = Array.from(
  { length: 90 },
  (_, n) => ['/pets', `/pets/${n}`, `/orders/${n}`][n % 3] ?? '',
);

const used = () => {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** What was made by this, and every timer that it set to come again and again. */
function timersOf<T>(make: () => T): { made: T; timers: readonly NodeJS.Timeout[] } {
  const real = globalThis.setInterval;
  const timers: NodeJS.Timeout[] = [];
  globalThis.setInterval = (...of: Parameters<typeof real>) => {
    const timer = real(...of);
    timers.push(timer);
    return timer;
  };
  try {
    return { made: make(), timers };
  } finally {
    globalThis.setInterval = real;
  }
}

async function inProcess(): Promise<void> {
  const url = await listening(service);
  const { made: tollgate, timers } = timersOf(() => connect(url));
  while (!tollgate.stats().hasNews) await new Promise((resolve) => setTimeout(resolve, 5));
  const sourceIp = '203.0.113.7';
  const callOf = (apiKey: string, number: number): Call => ({
    apiKey,
    method: 'GET',
    path: PATHS[number % PATHS.length],
    sourceIp,
  });
  // A call that has another method to fall back on is decided by the plugin at once, with the policy.
  const firstCallOf = (number: number): Call & { readonly otherwise: string } => ({
    apiKey: keyOf(number),
    method: 'GET',
    path: PATHS[number % PATHS.length],
    sourceIp,
    otherwise: 'GET',
  });
  // The clock is read as ever, but stands still: leases of a second would be over before all keys have one. So does what
  // it drives, which would walk over all that is in hand, ever more as no lease ends.
  for (const timer of timers) clearInterval(timer);
  const real = performance.now.bind(performance);
  const frozenAt = real();
  performance.now = () => (real(), frozenAt);
  const before = used();
  for (let from = 0; from < KEYS; from += 2_000) {
    const some = Array.from({ length: Math.min(2_000, KEYS - from) }, (_, n) => from + n);
    await Promise.all(some.map(async (number) => tollgate.decide(firstCallOf(number))));
  }
  const bytes = Math.round((used() - before) / KEYS);
  const draws = zipf();
  const decideAll = (texts: readonly string[]): number => {
    let waited = 0;
    for (let index = 0; index < CALLS; index += 1) {
      const call = callOf(texts[index] ?? '', draws[index] ?? 0);
      if (tollgate.decide(call) instanceof Promise) waited += 1;
    }
    return waited;
  };

  const limiter = (keyPrefix: string) =>
    new RateLimiterMemory({ keyPrefix, points: 1e9, duration: 1 });
  const union = new RateLimiterUnion(
    ...['method', 'plan', 'stage', 'account', 'quota'].map((name) => limiter(name)),
  );
  const reference = async (): Promise<void> => {
    for (const number of draws.subarray(0, CALLS / 30)) {
      await union.consume(keyOf(number % 100_000));
    }
  };

  const [ours, theirs] = [new Array<number>(), new Array<number>()];
  decideAll(Array.from(draws, keyOf));
  await reference();
  for (let round = 0; round < ROUNDS; round += 1) {
    const texts = Array.from(draws, keyOf);
    let cpu = process.cpuUsage();
    const waited = decideAll(texts);
    ours.push(process.cpuUsage(cpu).user / CALLS);
    if (waited > 0) throw new Error(`${waited} calls had to wait for a block`);
    cpu = process.cpuUsage();
    await reference();
    theirs.push(process.cpuUsage(cpu).user / (CALLS / 30));
  }
  const texts = Array.from(draws, keyOf);
  const latencies = new Float64Array(CALLS);
  for (let index = 0; index < CALLS; index += 1) {
    const call = callOf(texts[index] ?? '', draws[index] ?? 0);
    const from = process.hrtime.bigint();
    void tollgate.decide(call);
    latencies[index] = Number(process.hrtime.bigint() - from) / 1_000;
  }
  latencies.sort();
  performance.now = real;
  const us = median(ours);
  console.log(
    `decide(), ${KEYS} keys: ${us.toFixed(2)} us of CPU, ${(1 / us).toFixed(2)} million/s on one core`,
  );
  console.log(
    `decide(), p99: ${latencies[Math.floor(CALLS * 0.99)]?.toFixed(2)} us, p50: ${latencies[CALLS / 2]?.toFixed(2)} us`,
  );
  console.log(
    `decide(), ${KEYS} keys: ${bytes} bytes a key, policy, bucket, bucket of a method and quota, with blocks in hand`,
  );
  console.log(
    `decide() against rate-limiter-flexible's five limits in memory: ${(median(theirs) / us).toFixed(1)} x`,
  );
}

/** A gateway as a process of its own: tells its port, then for each message how much processor time it used. */
async function serve(serviceUrl: string): Promise<void> {
  const handler: RequestListener = (_request, response) => response.end('pets');
  const url = await listening(serviceUrl === 'none' ? handler : connect(serviceUrl).node(handler));
  process.on('message', () => process.send?.(process.cpuUsage().user + process.cpuUsage().system));
  process.send?.(url);
}

async function perRequest(): Promise<void> {
  const serviceUrl = await listening(service);
  const variants = await Promise.all(
    ['none', serviceUrl].map(async (of) => {
      const child = fork(fileURLToPath(import.meta.url), ['serve', of]);
      const [url] = await once(child, 'message');
      return { child, url: String(url), us: new Array<number>() };
    }),
  );
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const ask = (url: string, number: number) =>
    new Promise<void>((resolve, reject) => {
      const headers = { 'x-api-key': keyOf(number % 100) };
      httpRequest(`${url}/pets/${number}`, { agent, headers }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`HTTP ${response.statusCode}`));
        response.resume().on('end', resolve);
      })
        .on('error', reject)
        .end();
    });
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const { child, url, us } of variants) {
      const usage = async () => {
        child.send('usage');
        const [micros] = await once(child, 'message');
        return Number(micros);
      };
      const before = await usage();
      await Promise.all(
        Array.from({ length: CLIENTS }, async (_, client) => {
          for (let n = client; n < REQUESTS; n += CLIENTS) await ask(url, n);
        }),
      );
      if (round >= 0) us.push((await usage()) / REQUESTS - before / REQUESTS);
    }
  }
  for (const { child } of variants) child.kill();
  agent.destroy();
  const [bare = Number.NaN, guarded = Number.NaN] = variants.map(({ us }) => median(us));
  console.log(
    `a request to node:http: ${bare.toFixed(1)} us of CPU bare, ${guarded.toFixed(1)} us with the plugin (+${(guarded - bare).toFixed(1)}), ${(bare / guarded).toFixed(2)} of it`,
  );
}

if (IS_GATEWAY) {
  await serve(process.argv[3] ?? 'none');
} else {
  if (KEYS > 0) await inProcess();
  if (REQUESTS > 0) await perRequest();
  process.exit(0);
}
