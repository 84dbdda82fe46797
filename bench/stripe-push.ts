/**
 * A month's end at Stripe: so many final invoices, each of another customer, are pushed and collected by one worker at the live
 * limit, against a server that keeps Stripe's own limits: 100 calls a second, 25 of each endpoint, a bucket of a second for each.
 * One line: calls, how many were answered 429, the time, and the time that the limit alone would take against it.
 *
 * Run: npx tsx bench/stripe-push.ts [invoices, 1000]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { STRIPE_KEY, StripeStandIn, type Call } from '../test/support/stripe/stripe-stand-in.js';
import { startBilling } from './support/billing.js';

const COUNT = Number(process.argv[2] ?? 1_000);
const LIMIT = { account: 100, endpoint: 25 };
const ACCOUNT = 'acc_bench';
const LOOKS_MAX = 100;

/** Final invoices, each of its own customer. */
async function seed(db: pg.Client, stripe: StripeStandIn): Promise<void> {
  await db.query(`INSERT INTO account (id, name, mode) VALUES ($1, 'Bench', 'test')`, [ACCOUNT]);
  await db.query(`INSERT INTO usage_plan (id, account_id, name) VALUES ('plan', $1, 'Bench')`, [
    ACCOUNT,
  ]);
  await db.query(`INSERT INTO rate_card (id, account_id, name) VALUES ('card', $1, 'Bench')`, [
    ACCOUNT,
  ]);
  const price = { model: 'flat', amount: '3.5' };
  const items = [{ id: 'fee', meter: null, description: 'Fee', price }];
  await db.query(
    `INSERT INTO rate_card_version (rate_card_id, version, account_id, currency, items) VALUES ('card', 1, $1, 'USD', $2)`,
    [ACCOUNT, JSON.stringify(items)],
  );
  const each = `generate_series(1, ${COUNT}) n`;
  await db.query(
    `INSERT INTO customer (id, account_id, name) SELECT 'cus_' || n, $1, 'Customer ' || n FROM ${each}`,
    [ACCOUNT],
  );
  const rule = { kind: 'calendar', interval: 'month', timezone: 'UTC' };
  const [from, to] = ['2026-09-01T00:00:00Z', '2026-10-01T00:00:00Z'];
  await db.query(
    `INSERT INTO subscription (id, account_id, customer_id, usage_plan_id, rate_card_id, rate_card_version, currency, period_rule,
       starts_at, billed_to, closes_at, ends_at)
     SELECT 'sub_' || n, $1, 'cus_' || n, 'plan', 'card', 1, 'USD', $2, $3, $3, $4, $4 FROM ${each}`,
    [ACCOUNT, JSON.stringify(rule), from, to],
  );
  const ids = Array.from({ length: COUNT }, (_, n) => {
    const { id } = stripe.books.customer({ name: `Customer ${n + 1}` });
    stripe.books.cards.set(id, 'good');
    return id;
  });
  await db.query(
    `INSERT INTO stripe_customer (account_id, customer_id, stripe_customer_id, collection)
     SELECT $1, 'cus_' || n, id, 'charge-automatically' FROM unnest($2::text[]) WITH ORDINALITY AS of (id, n)`,
    [ACCOUNT, ids],
  );
}

/** What the calls alone would take at the limit: all of them, or those of the endpoint that is called most. */
function idealSeconds(calls: readonly Call[]): number {
  const byEndpoint = new Map<string, number>();
  for (const { method, path } of calls) {
    const endpoint = `${method} ${path.replaceAll(/\/[a-z]+_\w+/g, '/:id')}`;
    byEndpoint.set(endpoint, (byEndpoint.get(endpoint) ?? 0) + 1);
  }
  return Math.max(calls.length / LIMIT.account, Math.max(...byEndpoint.values()) / LIMIT.endpoint);
}

const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const postgres = await startPostgres({ home });
const stripe = await StripeStandIn.start();
try {
  const connectionString = postgres.connectionString();
  const { app, services } = await startBilling(connectionString, { STRIPE_API_BASE: stripe.url });
  const db = new pg.Client(connectionString);
  db.on('error', () => undefined);
  await db.connect();
  await seed(db, stripe);
  await db.query('UPDATE account SET collection_hours = 0');
  await app
    .get(services.StripeConnectionsService)
    .connect(
      { accountId: ACCOUNT, principalId: 'bench' },
      { secretKey: STRIPE_KEY, autoPush: true, callsPerSecond: LIMIT.account },
    );
  await db.query(`UPDATE stripe_connection SET pushes_from = '2026-09-01'`);
  await app.get(services.InvoicingService).closeDue();
  await app.get(services.FinalisingService).finaliseDue();
  await db.query('ANALYZE');

  stripe.calls.length = 0;
  stripe.limit = LIMIT;
  const exchanging = app.get(services.StripeExchangeService);
  const cpu = process.cpuUsage();
  const begun = performance.now();
  let paid = 0;
  for (let look = 0; look < LOOKS_MAX && paid < COUNT; look += 1) {
    await exchanging.tellDue();
    const { rows } = await db.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM invoice WHERE status = 'paid'`,
    );
    paid = rows[0]?.n ?? 0;
  }
  const seconds = (performance.now() - begun) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const there = stripe.books.all('invoice', ({ status }) => status === 'paid').length;
  if (paid !== COUNT || there !== COUNT) throw new Error(`${paid} and ${there} of ${COUNT}`);
  const ideal = idealSeconds(stripe.calls);
  const calls = stripe.calls.length;
  console.log(
    `${COUNT} invoices: ${calls} calls (${(calls / COUNT).toFixed(2)} each), ${stripe.tooManyCalls} answered 429, ` +
      `${seconds.toFixed(1)} s; the limit alone takes ${ideal.toFixed(1)} s: ${(ideal / seconds).toFixed(2)} of it; ` +
      `${((user + system) / 1_000 / COUNT).toFixed(1)} ms of CPU each, the server included`,
  );
  await db.end();
  await app.close();
} finally {
  stripe.stop();
  await postgres.stop();
  rmSync(home, { recursive: true, force: true });
}
