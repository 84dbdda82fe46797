import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { ChaosClient, type SentBatch } from '../support/chaos-client.js';
import { controlPlane } from '../support/control-plane.js';
import { DurablePostgres } from '../support/durable-postgres.js';
import { AppProcess, GATEWAY_TOKEN } from '../support/processes.js';
import { randomNumbers } from '../support/random.js';

/** More of them by hand: `CHAOS_ROUNDS=500 npx vitest run test/scenarios/kill-nine.spec.ts`. */
const ROUNDS = Number(process.env['CHAOS_ROUNDS'] ?? (process.env['CI'] ? 5 : 20));
/** The same seed kills the same victims after the same pauses. */
const SEED = Number(process.env['CHAOS_SEED'] ?? randomInt(2 ** 31));
/** A quota that is used up within a few rounds, so that crashes meet it fresh, half spent and empty. */
const QUOTA = 1_280;
const ROUNDS_OF_A_KEY = 4;
const SENDERS = 4;
const CALLERS = 6;
const PAUSE_MS_MAX = 400;

let postgres: DurablePostgres;
let api: AppProcess;
let worker: AppProcess;
let keys: { apiKey: string; keyId: string; apiId: string; stage: string }[];

beforeAll(async () => {
  postgres = await DurablePostgres.start();
  afterFile(() => postgres.stop());
  api = await AppProcess.start('api', postgres.url);
  afterFile(() => api.stop());
  worker = await AppProcess.start('worker', postgres.url);
  afterFile(() => worker.stop());
  const create = controlPlane(api.http);
  const apiStage = await create.apiStage();
  const plan = await create.usagePlan({
    apiStages: [apiStage],
    quota: { limit: QUOTA, period: 'MONTH' },
  });
  keys = await Promise.all(
    Array.from({ length: Math.ceil(ROUNDS / ROUNDS_OF_A_KEY) }, async () => {
      const { id, value } = await create.apiKey();
      const answer = await api.http.call('POST', `/v1/usage-plans/${plan['id']}/keys`, {
        body: { keyId: id },
      });
      if (answer.status !== 201) throw new Error(JSON.stringify(answer));
      return { apiKey: String(value), keyId: String(id), ...apiStage };
    }),
  );
});

/** Sums by batch and key as `<path> <key> <meter>`, of what was sent. */
function sums(batches: readonly SentBatch[]): Map<string, number> {
  const of = new Map<string, number>();
  for (const { keyId, resourcePath, quantities } of batches.flatMap(({ body }) => body.records)) {
    for (const [meter, quantity] of Object.entries(quantities)) {
      const id = `${resourcePath} ${keyId} ${meter}`;
      of.set(id, (of.get(id) ?? 0) + Number(quantity));
    }
  }
  return of;
}

/** The same sums, of what the roll-up counted. */
async function countedSums(db: pg.Pool): Promise<Map<string, number>> {
  const { rows } = await db.query<{ id: string; quantity: number }>(
    `SELECT concat_ws(' ', resource_path, key_id, meter) AS id, sum(quantity)::int AS quantity
     FROM usage_hour GROUP BY 1`,
  );
  return new Map(rows.map(({ id, quantity }) => [id, quantity]));
}

describe(`${ROUNDS} times kill -9 of api, worker and PostgreSQL in the middle of traffic (CHAOS_SEED=${SEED})`, () => {
  const random = randomNumbers(SEED);

  it(
    'counts each acknowledged batch once, and lets no call pass beyond the quota',
    { timeout: 240_000 + ROUNDS * 6_000 },
    async () => {
      const client = new ChaosClient(api.http.call, GATEWAY_TOKEN);
      let round = 0;
      const isOver = () => round >= ROUNDS;
      const aKey = () => keys[Math.min(Math.floor(round / ROUNDS_OF_A_KEY), keys.length - 1)]!;

      // The path names the batch, so that the roll-up can be compared batch by batch.
      const aBatch = (epoch: string, sequence: number) => ({
        epoch,
        sequence,
        records: Array.from({ length: 1 + random(30) }, () => ({
          at: new Date(Date.now() - random(7_200_000)).toISOString(),
          keyId: keys[random(keys.length)]!.keyId,
          apiId: aKey().apiId,
          stage: aKey().stage,
          method: 'GET',
          resourcePath: `/${epoch}/${sequence}`,
          statusClass: '2xx',
          quantities: { calls: String(1 + random(9)), 'bytes-out': String(random(100_000)) },
        })),
      });
      const sender = async (name: string) => {
        for (let sequence = 0; !isOver(); sequence += 1) {
          const isGivenUp = random(10) === 0;
          const sent = await client.send(aBatch(name, sequence), isGivenUp ? 1 : Infinity);
          if (sent.isAcknowledged && random(5) === 0) await client.sendAgain(sent);
          await sleep(random(10));
        }
      };
      const caller = async () => {
        while (!isOver()) if (await client.decide(aKey())) await sleep(20);
      };
      const traffic = [
        ...Array.from({ length: SENDERS }, (_, n) => sender(`sender-${n}`)),
        ...Array.from({ length: CALLERS }, caller),
      ];

      const victims = ['api', 'worker', 'postgres'] as const;
      let apiCrashes = 0;
      for (; !isOver(); round += 1) {
        const victim = round < 3 ? victims[round] : victims[random(victims.length)];
        await sleep(random(PAUSE_MS_MAX));
        if (victim === 'postgres') {
          await postgres.kill();
          await sleep(random(100));
          await postgres.restart();
        } else {
          const app = victim === 'api' ? api : worker;
          if (app === api) apiCrashes += 1;
          await app.kill();
          await app.start();
        }
        if (!api.isAlive || !worker.isAlive)
          throw new Error(`It died too:\n${api.said}${worker.said}`);
      }
      await Promise.all(traffic);
      for (const key of keys) while (!(await client.decide(key)));

      const db = new pg.Pool({ connectionString: postgres.url, max: 1 });
      onTestFinished(() => db.end());
      const waiting = async () => {
        const { rows } = await db.query(
          'SELECT count(*)::int AS n FROM usage_batch WHERE rolled_up_at IS NULL',
        );
        return rows[0].n;
      };
      await expect.poll(waiting, { timeout: 30_000, interval: 100 }).toBe(0);

      expect(client.wrong).toEqual([]);
      const counted = await countedSums(db);
      const acknowledged = sums(client.batches.filter((batch) => batch.isAcknowledged));
      expect([...acknowledged].filter(([id, sum]) => (counted.get(id) ?? 0) !== sum)).toEqual([]);
      // What was given up may have come, then once; nothing else was ever sent.
      const sent = sums(client.batches);
      expect([...counted].filter(([id, sum]) => sent.get(id) !== sum)).toEqual([]);

      const debited = await db.query<{ key_id: string; debited: number }>(
        'SELECT key_id, debited::int FROM quota_spend',
      );
      for (const { keyId, apiKey } of keys) {
        const allowed = client.spending.get(apiKey)?.allowed ?? 0;
        const row = debited.rows.find(({ key_id }) => key_id === keyId);
        expect(allowed).toBeLessThanOrEqual(row?.debited ?? 0);
        expect(row?.debited).toBeLessThanOrEqual(QUOTA);
      }
      // A crash loses a block, which is a small share of the quota, and the answers that were on their way.
      const lost = [...client.spending.values()].reduce(
        (sum, { allowed }) => sum + QUOTA - allowed,
        0,
      );
      expect(lost).toBeLessThanOrEqual(ROUNDS * (QUOTA / 64 + 2 * CALLERS));
      console.log(
        `seed ${SEED}: ${client.batches.length} batches, ${acknowledged.size} sums, ${apiCrashes} crashes of the api, ${lost} of ${keys.length * QUOTA} calls lost`,
      );
    },
  );
});
