/**
 * What taking usage over HTTP costs: batches of 5,000 records with two meters each (10,000 rows) through the built api
 * process, as a ratio against a raw COPY of the same rows into a table with the same columns and no index. Both commit
 * each batch; rounds are interleaved, figures are medians.
 *
 * Run: npx tsx bench/ingest.ts [rounds]
 */
import { postmasterOf } from '../test/support/launcher.js';
import { cpuMilliseconds, databaseCpuMs } from './support/load.js';
import {
  batchJson,
  copyText,
  median,
  recordsJson,
  ROWS,
  withUsageBench,
  type UsageBench,
} from './support/usage.js';

const ROUNDS = Number(process.argv[2] ?? 7);
const BATCHES_PER_ROUND = 6;

/** Rows a second of `BATCHES_PER_ROUND` batches, `inFlight` at a time. */
async function pace(inFlight: number, send: () => Promise<void>): Promise<number> {
  const start = performance.now();
  const lanes = Array.from({ length: inFlight }, async (_, lane) => {
    for (let n = lane; n < BATCHES_PER_ROUND; n += inFlight) await send();
  });
  await Promise.all(lanes);
  return (BATCHES_PER_ROUND * ROWS) / ((performance.now() - start) / 1_000);
}

async function compare({ owners, post, copy, home, api }: UsageBench): Promise<void> {
  const records = recordsJson(owners);
  const postmaster = postmasterOf(home);
  const cpuMs = () => [cpuMilliseconds(api.pid ?? 0), databaseCpuMs(postmaster)] as const;
  let sequence = 0;
  const send = async (body: string) => {
    const { status, text } = await post(body);
    if (status !== 201) throw new Error(`${status} ${text}`);
  };
  for (const inFlight of [1, 2]) {
    const ours: number[] = [];
    const raw: number[] = [];
    const cpu = { api: 0, ours: 0, raw: 0 };
    for (let round = -1; round < ROUNDS; round += 1) {
      const numbers = Array.from({ length: BATCHES_PER_ROUND }, () => (sequence += 1));
      const bodies = numbers.map((number) => batchJson(number, records));
      const texts = numbers.map((number) => copyText(owners, number));
      const before = cpuMs();
      const oursPace = await pace(inFlight, () => send(bodies.pop() ?? ''));
      const between = cpuMs();
      const rawPace = await pace(inFlight, () => copy(texts.pop() ?? Buffer.alloc(0)));
      if (round < 0) continue; // warms both up
      const after = cpuMs();
      cpu.api += between[0] - before[0];
      cpu.ours += between[1] - before[1];
      cpu.raw += after[1] - between[1];
      ours.push(oursPace);
      raw.push(rawPace);
    }
    const ratio = median(ours.map((pace, n) => pace / (raw[n] ?? Number.NaN)));
    console.log(
      `${inFlight} in flight: batches over HTTP ${Math.round(median(ours)).toLocaleString('en')} rows/s (${Math.round(median(ours) / 2).toLocaleString('en')} records/s), raw COPY without an index ${Math.round(median(raw)).toLocaleString('en')} rows/s, ratio ${ratio.toFixed(2)} (aim 0.6)`,
    );
    const each = (ms: number) => `${(ms / ROUNDS / BATCHES_PER_ROUND).toFixed(1)} ms`;
    console.log(
      `  CPU of a batch: api ${each(cpu.api)}, database ${each(cpu.ours)}; database of the raw COPY ${each(cpu.raw)}`,
    );
  }
}

await withUsageBench(compare);
