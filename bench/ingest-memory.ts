/**
 * Whether the api's memory stays flat while usage comes as fast as it can, and more than it can take: 32 senders with batches
 * of about a MiB, who come again when they are told to, and a database that stands still for 30 s in the middle (SIGSTOP). Every acknowledged batch
 * is there once at the end.
 *
 * Run: npx tsx bench/ingest-memory.ts [minutes, 10]
 */
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { postmasterOf } from '../test/support/launcher.js';
import {
  batchJson,
  median,
  recordsJson,
  RECORDS,
  ROWS,
  withUsageBench,
  type UsageBench,
} from './support/usage.js';

const MINUTES = Number(process.argv[2] ?? 10);
const PAUSE_MS = 30_000;
const SENDERS = 32;
const MIB = 1024 * 1024;

const ps = (...args: string[]) => execFileSync('ps', args, { encoding: 'utf8' });

/** The server and its backends. */
function processesOf(postmaster: number): number[] {
  const rows = ps('-A', '-o', 'pid=,ppid=')
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  return [
    ...rows.filter(([, parent]) => parent === postmaster).map(([pid = 0]) => pid),
    postmaster,
  ];
}

async function run({ db, home, api, owners, post }: UsageBench): Promise<void> {
  const records = recordsJson(owners);
  const endMs = Date.now() + MINUTES * 60_000;
  const memory: { readonly phase: string; readonly mib: number }[] = [];
  let phase = 'warm-up';
  let sequence = 0;
  let refusals = 0;
  const acknowledged = new Set<number>();
  const watch = setInterval(() => {
    memory.push({ phase, mib: (Number(ps('-o', 'rss=', '-p', String(api.pid))) * 1024) / MIB });
  }, 500);
  const sender = async () => {
    while (Date.now() < endMs) {
      const number = sequence;
      sequence += 1;
      for (;;) {
        const { status, retryAfter, text } = await post(batchJson(number, records));
        if (status === 201 || status === 200) break;
        if (status !== 503) throw new Error(`${status} ${text}`);
        refusals += 1;
        await sleep(retryAfter * 1_000);
      }
      acknowledged.add(number);
    }
  };
  const senders = Promise.all(Array.from({ length: SENDERS }, sender));
  const partMs = Math.max(0, (MINUTES * 60_000 - PAUSE_MS) / 2);
  await sleep(partMs / 2);
  phase = 'before';
  await sleep(partMs / 2);
  phase = 'paused';
  const stopped = processesOf(postmasterOf(home));
  for (const pid of stopped.toReversed()) process.kill(pid, 'SIGSTOP');
  await sleep(PAUSE_MS);
  for (const pid of stopped) process.kill(pid, 'SIGCONT');
  phase = 'after';
  await senders;
  clearInterval(watch);

  const of = (wanted: string) => memory.filter((m) => m.phase === wanted).map(({ mib }) => mib);
  const baseline = median(of('before'));
  for (const name of ['warm-up', 'before', 'paused', 'after']) {
    const seen = of(name);
    console.log(
      `${name}: ${Math.min(...seen).toFixed(0)} to ${Math.max(...seen).toFixed(0)} MiB, median ${median(seen).toFixed(0)}`,
    );
  }
  const { rows } = await db.query<{ batches: number; rows: number; twice: number }>(
    `SELECT (SELECT count(*)::int FROM usage_batch) AS batches, count(*)::int AS rows FROM usage_record`,
  );
  const highest = Math.max(...of('paused'), ...of('after'));
  console.log(
    `highest ${(highest - baseline).toFixed(0)} MiB above the median before (aim 50); ${acknowledged.size} batches acknowledged (${((acknowledged.size * RECORDS) / MINUTES / 60).toFixed(0)} records/s), ${refusals} times told to come later`,
  );
  const { batches, rows: stored } = rows[0] ?? { batches: 0, rows: 0 };
  if (batches !== acknowledged.size || stored !== batches * ROWS)
    throw new Error(
      `${acknowledged.size} acknowledged, ${batches} batches with ${stored} rows stored`,
    );
}

await withUsageBench(run);
