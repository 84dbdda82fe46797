/**
 * What rates in Redis cost `POST /v1/decisions`: against the same api that keeps them itself, and against a bare node:http
 * server that asks the same Redis once per request, one EVALSHA over the same five limits. Keys are drawn by Zipf's law.
 *
 * Servers are on core 0, the load and Redis on core 1; rounds alternate; medians are reported. A round begins with load that
 * is not counted: a holder measures the pace of its keys, and what was idle for a while begins anew.
 *
 * What 1, 2 and 4 processes carry cannot be seen on two cores. It is worked out from the CPU that a decision costs in a process
 * and in Redis, each with a core of its own: `min(processes / process CPU, 1 / Redis CPU)`, since there is one Redis, which has
 * one thread. Both are measured in two ways. *In turn*: each process gets the traffic of a whole core, as it would have with one; the figure
 * above is worked out from these. *Together*: all processes share one core, so that each gets a part of its traffic, and asks
 * as often for each key as with all of it. That is the worst case, of processes that are mostly idle.
 *
 * Run: npm run build && npx tsx bench/redis-decisions.ts   (needs redis-server, wrk and taskset on the PATH)
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { entryOf } from '../scripts/build.mjs';
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import { FIVE_LIMITS } from './support/five-limits.lua.js';
import {
  cleanUp,
  home,
  median,
  post,
  question,
  SECRET,
  seed,
  startRedis,
  startServer,
  TOKEN,
  wrkAll,
  wrkScript,
  type Server,
} from './support/load.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
/** Two processes of one program differ by a tenth and more, in how their memory lies; so there are several of each. */
const PAIRS = 3;
const WARM_SECONDS = 2;
const SECONDS = Number(process.env['SECONDS'] ?? 4);
const KEYS = Number(process.env['KEYS'] ?? 1_000);
const QUESTIONS = 20_000;
const PROCESSES = (process.env['PROCESSES'] ?? '1,2,4').split(',').map(Number);

interface Round {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly redisUs: number;
  readonly commands: number;
}

async function main(): Promise<void> {
  const postgres = await startPostgres({ home, isDurable: false });
  try {
    const redis = await startRedis();
    const client = new Redis(redis.port);
    client.on('error', () => undefined);
    const databaseUrl = postgres.connectionString();
    await applyMigrations({ connectionString: databaseUrl });
    const settings = {
      DATABASE_URL: databaseUrl,
      TOLLGATE_SECRET: SECRET,
      TOLLGATE_GATEWAY_TOKEN: TOKEN,
      TOLLGATE_LOG_LEVEL: 'error',
    };
    const embedded = [await startServer(entryOf('api'), settings)];
    const keys = await seed(databaseUrl, KEYS);
    while (embedded.length < PAIRS) embedded.push(await startServer(entryOf('api'), settings));
    const apis: Server[] = [];
    for (let n = 0; n < Math.max(PAIRS, ...PROCESSES); n += 1) {
      apis.push(await startServer(entryOf('api'), { ...settings, REDIS_URL: redis.url }));
    }
    const answer = await firstAnswer(apis[0]?.url ?? '', keys[0] ?? '');
    const references: Server[] = [];
    for (let n = 0; n < Math.max(...PROCESSES); n += 1) {
      references.push(await startServer(referenceServer(answer), { REDIS_URL: redis.url }));
    }
    const script = wrkScript(zipf(keys).map(question));

    const measure = async (servers: readonly Server[]): Promise<Round> => {
      await wrkAll(servers, script, WARM_SECONDS);
      const [cpu, calls] = [redis.cpuMs(), await commands(client)];
      const { perSecond, cpuUs, requests } = await wrkAll(servers, script, SECONDS);
      return {
        perSecond,
        cpuUs,
        redisUs: ((redis.cpuMs() - cpu) * 1000) / requests,
        commands: ((await commands(client)) - calls) / requests,
      };
    };
    // Each process compiles what is hot in it, and reads the policies of all keys.
    for (const server of [...embedded, ...apis, ...references]) await measure([server]);

    const alone: Round[] = [];
    for (const count of PROCESSES) {
      const ours: Round[] = [];
      const theirs: Round[] = [];
      const oursTogether: Round[] = [];
      const theirsTogether: Round[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const turn = round % count;
        const pair = count === 1 ? round % PAIRS : turn;
        if (count === 1) alone.push(await measure(embedded.slice(pair, pair + 1)));
        ours.push(await measure(apis.slice(pair, pair + 1)));
        theirs.push(await measure(references.slice(turn, turn + 1)));
        if (count === 1) continue;
        oursTogether.push(await measure(apis.slice(0, count)));
        theirsTogether.push(await measure(references.slice(0, count)));
      }
      if (count === 1) {
        console.log(
          `POST /v1/decisions with Redis against itself embedded, ${KEYS} keys by Zipf (medians of ${ROUNDS} rounds): ${ratio(ours, alone, (one, other) => one.perSecond / other.perSecond)} in requests/s, ${ratio(ours, alone, (one, other) => other.cpuUs / one.cpuUs)} in CPU; ${of(ours, 'commands').toFixed(4)} Redis commands per decision`,
        );
      }
      const what = `${count} api${count > 1 ? 's' : ''} against ${count} with one EVALSHA per request`;
      console.log(`${what}, each in turn: ${compare(ours, theirs, count)}`);
      if (count > 1) {
        console.log(
          `${what}, together on one core: ${compare(oursTogether, theirsTogether, count)}; ${ratio(oursTogether, theirsTogether, (one, other) => one.perSecond / other.perSecond)} in requests/s there, ${of(oursTogether, 'commands').toFixed(4)} Redis commands per decision`,
        );
      }
    }
    client.disconnect();
  } finally {
    await cleanUp(postgres);
  }
}

/** A process that has just begun, beside others that do, may be too late for its own deadline. */
async function firstAnswer(url: string, key: string) {
  for (let tries = 0; tries < 50; tries += 1) {
    const answer = await post(url, key).catch(() => null);
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('The api allows nothing.');
}

/** What both cost and carry, with a core for each process. */
function compare(ours: readonly Round[], theirs: readonly Round[], processes: number): string {
  const [mine, its] = [capacity(ours, processes), capacity(theirs, processes)];
  return `${(mine / its).toFixed(2)}, worked out from ${costs(ours)}: ${thousands(mine)}/s, against ${costs(theirs)}: ${thousands(its)}/s`;
}

const costs = (rounds: readonly Round[]) =>
  `${of(rounds, 'cpuUs').toFixed(1)} µs of a process and ${of(rounds, 'redisUs').toFixed(1)} µs of Redis`;

/** Decisions per second of so many processes, each on a core, over one Redis on another. */
function capacity(rounds: readonly Round[], processes: number): number {
  return Math.min((processes * 1e6) / of(rounds, 'cpuUs'), 1e6 / of(rounds, 'redisUs'));
}

const of = (rounds: readonly Round[], figure: keyof Round) =>
  median(rounds.map((round) => round[figure]));

const ratio = (
  ours: readonly Round[],
  theirs: readonly Round[],
  between: (one: Round, other: Round) => number,
) => median(ours.map((one, index) => between(one, theirs[index] ?? one))).toFixed(2);

const thousands = (perSecond: number) => `${(perSecond / 1000).toFixed(0)}k`;

/** How many scripts Redis has run. */
async function commands(client: Redis): Promise<number> {
  const info = await client.info('commandstats');
  return [...info.matchAll(/cmdstat_(?:evalsha|eval):calls=(\d+)/g)].reduce(
    (sum, [, calls]) => sum + Number(calls),
    0,
  );
}

/** Keys drawn so that the n-th is asked for 1/n as often as the first; the same each time. */
function zipf(keys: readonly string[]): string[] {
  const weights = keys.map((_, index) => 1 / (index + 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let at = -1;
  const upTo = weights.map((weight) => (at = Math.max(at, 0) + weight / total));
  let state = 1;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  return Array.from({ length: QUESTIONS }, () => {
    const drawn = random();
    let [low, high] = [0, upTo.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((upTo[middle] ?? 1) < drawn) low = middle + 1;
      else high = middle;
    }
    return keys[low] ?? '';
  });
}

/** The reference: parses the body, runs one script over five limits in Redis, answers the same bytes. */
function referenceServer({ headers, body }: { headers: string[]; body: string }): string {
  const path = join(home, 'reference.mjs');
  const ioredis = fileURLToPath(new URL('../node_modules/ioredis/built/index.js', import.meta.url));
  writeFileSync(
    path,
    `import { createServer } from 'node:http';
import ioredis from ${JSON.stringify(ioredis)};
const redis = new ioredis.Redis(process.env.REDIS_URL);
const sha = await redis.script('LOAD', ${JSON.stringify(FIVE_LIMITS)});
const headers = ${JSON.stringify(headers)};
const body = ${JSON.stringify(body)};
createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    if (chunks.length > 0) {
      const { apiKey, apiId, stage } = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      const allowed = await redis.evalsha(sha, 5, 'm:' + apiKey, 'p:' + apiKey, 's:' + apiId + stage, 'a', 'q:' + apiKey, 1e6, 1e6, 1e6, 1e6, 1e8, 1e8, 1e8, 1e8, 1e12);
      if (allowed !== 1) throw new Error('refused');
    }
    response.writeHead(200, headers);
    response.end(body);
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
`,
  );
  return path;
}

await main();
