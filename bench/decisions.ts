/**
 * What `POST /v1/decisions` costs, as a ratio against a bare node:http server that parses the same body and answers
 * the same bytes. Server and load each have a core; rounds alternate; medians are reported.
 *
 * Run: npm run build && npx tsx bench/decisions.ts   (needs wrk and taskset on the PATH)
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { entryOf } from '../scripts/build.mjs';
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import {
  cleanUp,
  home,
  median,
  post,
  question,
  questionOf,
  SECRET,
  seed,
  show,
  startServer,
  TOKEN,
  wrk,
  wrkScript,
  type Server,
} from './support/load.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 9);
const SECONDS = 3;
/** A few busy keys, whose state stays in the processor's caches, and many, whose state does not. */
const KEYS_IN_USE = [10, 1_000];
const BATCH = 100;

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
    const keys = await seed(databaseUrl, Math.max(...KEYS_IN_USE));
    const answer = await post(api.url, keys[0] ?? '');
    const bare = await startServer(bareServer(answer), {});
    for (const inUse of KEYS_IN_USE) compare(bare, api, keys.slice(0, inUse));
    batches(api, keys);
  } finally {
    await cleanUp(postgres);
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

await main();
