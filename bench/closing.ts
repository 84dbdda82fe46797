/**
 * A month's end: every subscription has five meters and thirty days of roll-ups, all periods have ended, and one process makes
 * their invoices final, beside the embedded PostgreSQL on the same cores. A line for each number of subscriptions: invoices a
 * second from roll-ups to final, the time of one against that of the first line, what both use of the processor for each, and
 * how the process' memory grew. With a collection window they are drafts first, and rated again when it has ended.
 *
 * The roll-ups are those by day, 150 a subscription, which is what a whole month of UTC is rated by; hours that no
 * period parts are not read, so there are none. Nothing is late: finalising rates again and finds the draft as it was. The first
 * line is preceded by a run that is not counted, so that all are of a warm process.
 *
 * Run, with the worker's own flag: node --max-semi-space-size=32 --import tsx bench/closing.ts [subscriptions, 1000 10000]
 * COLLECTION_HOURS=24 makes them drafts first.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { postmasterOf } from '../test/support/launcher.js';
import { startBilling } from './support/billing.js';
import { databaseCpuMs } from './support/load.js';

const WARM_UP = 3_000;
const COLLECTION_HOURS = Number(process.env['COLLECTION_HOURS'] ?? 0);
const ASKED = process.argv.slice(2).map(Number);
const COUNTS = ASKED.length > 0 ? ASKED : [1_000, 10_000];
const MONTH = { from: '2026-09-01T00:00:00Z', to: '2026-10-01T00:00:00Z' };
const METERS = ['calls', 'bytes-out', 'http-units', 'messages', 'connection-minutes'];
const MIB = 1_048_576;
const AT_ONCE = 5_000;

const tiers = [
  { upTo: '1000', unitAmount: '0.005', flatAmount: '0' },
  { upTo: '10000', unitAmount: '0.004', flatAmount: '0' },
  { upTo: null, unitAmount: '0.003', flatAmount: '0' },
];
const items = METERS.map((meter, n) => ({
  id: meter,
  meter,
  description: `Use of ${meter}`,
  price: n === 0 ? { model: 'graduated', tiers } : { model: 'per-unit', unitAmount: '0.0000035' },
}));

/** An account whose customers had a subscription each, of the thirty days of a month, and their usage. */
async function seed(db: pg.Client, account: string, count: number): Promise<void> {
  await db.query(
    `INSERT INTO account (id, name, mode, collection_hours) VALUES ($1, 'Bench', 'live', $2)`,
    [account, COLLECTION_HOURS],
  );
  await db.query(`INSERT INTO usage_plan (id, account_id, name) VALUES ('p' || $1, $1, 'Bench')`, [
    account,
  ]);
  await db.query(
    `INSERT INTO rate_card (id, account_id, name) VALUES ('card' || $1, $1, 'Bench')`,
    [account],
  );
  await db.query(
    `INSERT INTO rate_card_version (rate_card_id, version, account_id, currency, items) VALUES ('card' || $1, 1, $1, 'USD', $2)`,
    [account, JSON.stringify(items)],
  );
  const each = `generate_series(1, ${count}) n`;
  const id = (prefix: string) => `'${prefix}_' || md5($1 || n)`;
  await db.query(
    `INSERT INTO customer (id, account_id, name) SELECT ${id('cus')}, $1, 'Customer ' || n FROM ${each}`,
    [account],
  );
  const rule = { kind: 'calendar', interval: 'month', timezone: 'UTC' };
  // Each takes a lock until its transaction ends, and a server has room for so many.
  for (let done = 0; done < count; done += AT_ONCE)
    await db.query(
      `INSERT INTO subscription (id, account_id, customer_id, usage_plan_id, rate_card_id, rate_card_version, currency, period_rule,
         starts_at, billed_to, closes_at, ends_at)
       SELECT ${id('sub')}, $1, ${id('cus')}, 'p' || $1, 'card' || $1, 1, 'USD', $2, $3, $3, $4, $4
       FROM generate_series($5::int, $6::int) n`,
      [
        account,
        JSON.stringify(rule),
        MONTH.from,
        MONTH.to,
        done + 1,
        Math.min(done + AT_ONCE, count),
      ],
    );
  await db.query(
    `INSERT INTO usage_day (customer_id, key_id, day, meter, usage_plan_id, account_id, quantity)
     SELECT ${id('cus')}, 'key' || n, $2::timestamptz + d * interval '1 day', meter, 'p' || $1, $1, 100 + (n + d) % 977
     FROM ${each}, generate_series(0, 29) d, unnest($3::text[]) meter`,
    [account, MONTH.from, METERS],
  );
  await db.query('VACUUM ANALYZE customer, subscription, usage_day');
}

const perSecond = (count: number, ms: number) => Math.round((count * 1_000) / ms);

const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const postgres = await startPostgres({ home });
const postmaster = postmasterOf(home);
try {
  const connectionString = postgres.connectionString();
  const { app, services } = await startBilling(connectionString);
  const closing = app.get(services.InvoicingService);
  const finalising = app.get(services.FinalisingService);
  const db = new pg.Client(connectionString);
  db.on('error', () => undefined);
  await db.connect();
  let first: number | undefined;
  for (const [index, count] of [WARM_UP, ...COUNTS].entries()) {
    const account = `acc${index}`;
    await seed(db, account, count);
    const before = process.memoryUsage().rss;
    let peak = before;
    const sampler = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 50);
    const cpu = process.cpuUsage();
    const begun = performance.now();
    const databaseBefore = databaseCpuMs(postmaster);
    const closed = await closing.closeDue();
    const closedAt = performance.now();
    if (COLLECTION_HOURS > 0)
      await db.query('UPDATE account SET clock_offset_ms = $2 WHERE id = $1', [
        account,
        COLLECTION_HOURS * 3_600_000,
      ]);
    const final = await finalising.finaliseDue();
    const ended = performance.now();
    const databaseMs = databaseCpuMs(postmaster) - databaseBefore;
    clearInterval(sampler);
    const { user, system } = process.cpuUsage(cpu);
    const { rows } = await db.query<{ n: number; last: number; posted: number }>(
      `SELECT count(*)::int AS n, max(substr(number, 4)::int) AS last,
         (SELECT count(*)::int FROM ledger_transaction WHERE account_id = $1) AS posted
       FROM invoice WHERE account_id = $1 AND status = 'finalised'`,
      [account],
    );
    const found = [closed, rows[0]?.n, rows[0]?.last, rows[0]?.posted];
    if (found.some((n) => n !== count)) throw new Error(`${found.join(', ')} of ${count}`);
    if (index === 0) continue;
    const ms = (ended - begun) / count;
    first ??= ms;
    const halves =
      final > 0
        ? ` (drafts ${perSecond(count, closedAt - begun)}, finalised ${perSecond(count, ended - closedAt)})`
        : '';
    console.log(
      `${count} subscriptions: ${Math.round(1_000 / ms)} invoices/s from roll-ups to final${halves}, ` +
        `${(ms / first).toFixed(2)} of the first line's time each; ` +
        `processor ${((user + system) / 1_000 / count).toFixed(2)} ms each, PostgreSQL's ${(databaseMs / count).toFixed(2)}; ` +
        `memory ${Math.round(before / MIB)} MiB before, ${Math.round(peak / MIB)} at most`,
    );
  }
  await db.end();
  await app.close();
} finally {
  await postgres.stop();
  rmSync(home, { recursive: true, force: true });
}
