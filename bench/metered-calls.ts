/**
 * How many calls a second the whole path meters: two processes with the plugin's reporter, which sums calls of 50 keys, three
 * paths and two classes into records and sends them in numbered batches each second; the built api, which stores them; and the
 * built worker, which rolls them up, all on the same cores at the same time. It ends when the last call is rolled up, and
 * the roll-up must be the calls that were made.
 *
 * Run: npx tsx bench/metered-calls.ts [seconds, 10]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ServiceClient } from '@core/gateway-plugin';
import { UsageReporter } from '../libs/gateway-plugin/src/usage/usage-reporter.js';
import { startWorker, stop, TOKEN, withUsageBench, type UsageBench } from './support/usage.js';

const SECONDS = Number(process.argv[2] ?? 10);
const GATEWAYS = 2;
/** Between looks at the clock, so that batches are cut and sent. */
const CALLS_A_TURN = 20_000;
const PATHS = ['/pets', '/pets/{petId}', '/orders/{orderId}'];

interface Place {
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
}

interface Made {
  readonly calls: number;
  readonly bytesOut: number;
}

/** A gateway: meters calls for that long, then tells how many, once all of them are acknowledged. */
async function meter(url: string, places: readonly Place[]): Promise<void> {
  const reporter = new UsageReporter({
    client: new ServiceClient({ url, token: TOKEN }),
    onEvent: (event) => {
      throw new Error(JSON.stringify(event));
    },
    place: { apiId: 'petstore01', stage: 'prod' },
    intervalMs: 1_000,
  });
  const endMs = performance.now() + SECONDS * 1_000;
  let calls = 0;
  let bytesOut = 0;
  while (performance.now() < endMs) {
    const at = Date.now();
    for (let n = 0; n < CALLS_A_TURN; n += 1) {
      const bytes = 1_000 + (n % 64);
      const { keyId, apiId, stage } = placeOf(places, n);
      reporter.record({
        at,
        keyId,
        apiId,
        stage,
        method: 'GET',
        resourcePath: PATHS[n % PATHS.length] ?? '',
        status: n % 50 === 0 ? 404 : 200,
        bytesOut: bytes,
        protocol: 'REST',
      });
      calls += 1;
      bytesOut += bytes;
    }
    await setImmediate();
  }
  await reporter.close(30_000);
  process.send?.({ calls, bytesOut } satisfies Made);
  process.disconnect();
}

function placeOf(places: readonly Place[], n: number): Place {
  const place = places[n % places.length];
  if (!place) throw new Error('there are places');
  return place;
}

async function measure({ db, databaseUrl, url, owners }: UsageBench): Promise<void> {
  const worker = await startWorker(databaseUrl);
  try {
    const places = owners.map(({ keyId, apiId, stage }) => ({ keyId, apiId, stage }));
    const start = performance.now();
    const gateways = await Promise.all(
      Array.from({ length: GATEWAYS }, async () => {
        const child = fork(fileURLToPath(import.meta.url), [String(SECONDS), url], {
          env: { ...process.env, PLACES: JSON.stringify(places) },
        });
        const [made] = (await Promise.race([
          once(child, 'message'),
          once(child, 'exit').then(() => Promise.reject(new Error('a gateway ended early'))),
        ])) as [Made];
        return made;
      }),
    );
    const acknowledged = performance.now();
    const calls = gateways.reduce((sum, made) => sum + made.calls, 0);
    const bytesOut = gateways.reduce((sum, made) => sum + made.bytesOut, 0);
    for (;;) {
      const { rows } = await db.query<{ calls: string; bytes: string; waits: boolean }>(
        `SELECT coalesce(sum(quantity) FILTER (WHERE meter = 'calls'), 0)::bigint AS calls,
           coalesce(sum(quantity) FILTER (WHERE meter = 'bytes-out'), 0)::bigint AS bytes,
           EXISTS (SELECT FROM usage_batch WHERE rolled_up_at IS NULL) AS waits
         FROM usage_hour`,
      );
      const [seen] = rows;
      if (seen?.waits === false) {
        if (Number(seen.calls) !== calls || Number(seen.bytes) !== bytesOut)
          throw new Error(
            `made ${calls} calls of ${bytesOut} bytes, rolled up ${seen.calls} of ${seen.bytes}`,
          );
        break;
      }
      await sleep(10);
    }
    const seconds = (performance.now() - start) / 1_000;
    const { rows } = await db.query<{ batches: number; records: number }>(
      'SELECT count(*)::int AS batches, sum(record_count)::int AS records FROM usage_batch',
    );
    const { batches = 0, records = 0 } = rows[0] ?? {};
    console.log(
      `${calls.toLocaleString('en')} calls metered, acknowledged and rolled up in ${seconds.toFixed(1)} s, start of the gateways included: ${(calls / seconds / 1e6).toFixed(2)} million/s (aim 5), in ${batches} batches of ${records.toLocaleString('en')} records; the roll-up is the calls made`,
    );
    console.log(
      `of it ${(((performance.now() - acknowledged) / 1_000) % 1e6).toFixed(2)} s after the last acknowledgement`,
    );
  } finally {
    await stop(worker);
  }
}

const [, , , serviceUrl] = process.argv;
if (serviceUrl === undefined) await withUsageBench(measure);
else await meter(serviceUrl, JSON.parse(process.env['PLACES'] ?? '[]') as Place[]);
