/**
 * How many blocks of quota one PostgreSQL debits a second, and so how many keys may be active at once: with who holds
 * what written beside each debit, against the same statement without it.
 *
 * Run: npx tsx bench/quota-blocks.ts   (ROUNDS, 5 when left out; DATABASE_URL of an empty database, else embedded)
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import { anAccount, aCustomer, anApiKey } from '../test/support/factories.js';
import { DEBIT } from '../libs/limits/src/io/quota-spend.repository.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const KEYS = 10_000;
/** Keys whose blocks one statement takes: those of a process that wait at the same time. */
const BATCH = 200;
const STATEMENTS = 50;
/** A key that is busy asks for a block every five seconds of its pace. */
const BLOCK_SECONDS = 5;

/** The statement before holders were written down. */
const PLAIN = `
  WITH wish AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[])
      WITH ORDINALITY AS w (customer_id, usage_plan_id, key_id, period_from, quota, asked, wanted, position)
  ), locked AS (
    SELECT w.*, greatest(w.quota - q.debited, 0) AS remaining
    FROM quota_spend q JOIN wish w USING (customer_id, usage_plan_id, key_id, period_from)
    ORDER BY customer_id, usage_plan_id, key_id, period_from
    FOR UPDATE OF q
  ), grants AS (
    SELECT *, least(greatest(asked, least(wanted, remaining / 64)), remaining) AS granted FROM locked
  )
  UPDATE quota_spend q SET debited = q.debited + g.granted
  FROM grants g
  WHERE (q.customer_id, q.usage_plan_id, q.key_id, q.period_from)
      = (g.customer_id, g.usage_plan_id, g.key_id, g.period_from)
  RETURNING (g.position - 1)::int AS position, g.granted, g.remaining - g.granted AS remaining`;

const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const own = process.env['DATABASE_URL'] ? null : await startPostgres({ home });
const connectionString = process.env['DATABASE_URL'] ?? own?.connectionString() ?? '';
await applyMigrations({ connectionString });
const db = new pg.Pool({ connectionString, max: 2 });

const account = await anAccount(db);
const customer = await aCustomer(db, { account_id: account.id });
const key = await anApiKey(db, { account_id: account.id, customer_id: customer.id });
await db.query(
  `INSERT INTO quota_spend (account_id, customer_id, usage_plan_id, key_id, period_from, period_to)
   SELECT $1, $2, 'plan-' || n, $3, '2026-11-01', '2026-12-01' FROM generate_series(1, $4::int) n`,
  [account.id, customer.id, key.id, KEYS],
);

/** Blocks a second by one process that sends one statement after the other. */
async function blocksPerSecond(name: string, text: string, more: (n: number) => unknown[]) {
  const from = performance.now();
  for (let n = 0; n < STATEMENTS; n += 1) {
    const plans = Array.from(
      { length: BATCH },
      () => `plan-${1 + Math.floor(Math.random() * KEYS)}`,
    );
    const unique = [...new Set(plans)];
    const all = <T>(value: T) => unique.map(() => value);
    await db.query({
      name,
      text,
      values: [
        all(customer.id),
        unique,
        all(key.id),
        all(new Date('2026-11-01')),
        all(1e12),
        all(1),
        all(100),
        ...more(unique.length),
      ],
    });
  }
  return (STATEMENTS * BATCH * 1000) / (performance.now() - from);
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
const plain: number[] = [];
const held: number[] = [];
for (let round = -1; round < ROUNDS; round += 1) {
  const before = await blocksPerSecond('plain', PLAIN, () => []);
  const after = await blocksPerSecond('held', DEBIT, (n) => [
    Array.from({ length: n }, () => 99),
    `api/holder-${round % 4}`,
  ]);
  if (round < 0) continue;
  plain.push(before);
  held.push(after);
}
const figure = (value: number) => Math.round(value).toLocaleString('en');
console.log(`blocks a second without holders: ${figure(median(plain))}`);
console.log(
  `blocks a second with holders: ${figure(median(held))} (${(median(held) / median(plain)).toFixed(2)} of it)`,
);
console.log(
  `active keys that one PostgreSQL carries, at a block each ${BLOCK_SECONDS} s: ${figure(median(held) * BLOCK_SECONDS)}`,
);
await db.end();
await own?.stop();
rmSync(home, { recursive: true, force: true });
