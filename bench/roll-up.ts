/**
 * Whether one worker rolls usage up faster than it can come: batches of 5,000 records with two meters each go into the
 * built api as fast as it takes them, one and two in flight, while the built worker stands still (SIGSTOP); then it goes on,
 * and the clock runs until the last batch is marked. The figure is records rolled up a second against records taken a
 * second. At the end the roll-up is compared with the records.
 *
 * Run: npx tsx bench/roll-up.ts [rounds, 5]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  batchJson,
  median,
  RECORDS,
  recordsJson,
  startWorker,
  stop,
  withUsageBench,
  type UsageBench,
} from './support/usage.js';

const ROUNDS = Number(process.argv[2] ?? 5);
const BATCHES_PER_ROUND = 60;

async function compare({ db, databaseUrl, owners, post }: UsageBench): Promise<void> {
  const records = recordsJson(owners);
  const worker = await startWorker(databaseUrl);
  let sequence = 0;
  const send = async () => {
    const { status, text } = await post(batchJson(sequence++, records));
    if (status !== 201) throw new Error(`${status} ${text}`);
  };
  const timed = async (work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    return (BATCHES_PER_ROUND * RECORDS) / ((performance.now() - start) / 1_000);
  };
  const rolledUp = async () => {
    for (;;) {
      const { rows } = await db.query<{ waits: boolean }>(
        'SELECT EXISTS (SELECT FROM usage_batch WHERE rolled_up_at IS NULL) AS waits',
      );
      if (rows[0]?.waits === false) return;
      await sleep(5);
    }
  };
  try {
    for (const inFlight of [1, 2]) {
      const [taken, summed] = [new Array<number>(), new Array<number>()];
      for (let round = -1; round < ROUNDS; round += 1) {
        worker.kill('SIGSTOP');
        const takenPace = await timed(() =>
          Promise.all(
            Array.from({ length: inFlight }, async (_, lane) => {
              for (let n = lane; n < BATCHES_PER_ROUND; n += inFlight) await send();
            }),
          ),
        );
        worker.kill('SIGCONT');
        const summedPace = await timed(rolledUp);
        if (round < 0) continue; // warms both up
        taken.push(takenPace);
        summed.push(summedPace);
      }
      const ratio = median(summed.map((pace, n) => pace / (taken[n] ?? Number.NaN)));
      const told = (paces: readonly number[]) => Math.round(median(paces)).toLocaleString('en');
      console.log(
        `${inFlight} in flight: ${told(taken)} records/s taken over HTTP, ${told(summed)} records/s rolled up by one worker, ratio ${ratio.toFixed(2)} (aim 2)`,
      );
    }
    const { rows } = await db.query<{ meter: string; rolled: string; recorded: string }>(
      `SELECT meter, h.sum::text AS rolled, r.sum::text AS recorded
       FROM (SELECT meter, sum(quantity) FROM usage_hour GROUP BY 1) h
       FULL JOIN (SELECT meter, sum(quantity) FROM usage_record GROUP BY 1) r USING (meter)`,
    );
    for (const { meter, rolled, recorded } of rows) {
      if (rolled !== recorded) throw new Error(`${meter}: ${rolled} rolled up of ${recorded}`);
    }
  } finally {
    worker.kill('SIGCONT');
    await stop(worker);
  }
}

await withUsageBench(compare);
