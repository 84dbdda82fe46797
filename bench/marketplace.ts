/**
 * Whether an hour's 100,000 metering records reach AWS Marketplace within its ten calls a second: at most 4,000 calls, and the
 * hour is not over. The built worker seals the hours of agreements and sends records over AWS's own SDK to a stand-in that
 * throttles what comes faster, counts, and keeps what it was told. Two figures, each against what AWS allows or an hour needs:
 * records sent a second against the 250 that full calls carry, and agreements sealed a second against the 28 that an hour of
 * 100,000 needs. At the end the quantities are compared.
 *
 * Run: npx tsx bench/marketplace.ts   (RECORDS=20000, AGREEMENTS=1000; the hour itself is RECORDS=100000, seven minutes)
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { build } from '../scripts/build.mjs';
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import { MarketplaceStandIn } from '../test/support/marketplace.js';
import { startWorker, stop } from './support/usage.js';

const RECORDS = Number(process.env['RECORDS'] ?? 20_000);
const AGREEMENTS = Number(process.env['AGREEMENTS'] ?? 1_000);
const CALLS_PER_SECOND = 10;
const RECORDS_PER_CALL = 25;
const HOUR_MS = 3_600_000;
const AN_HOURS_RECORDS = 100_000;
const ACCOUNT = 'acc_bench';
const PRODUCT = 'mpp_bench';

async function main(): Promise<void> {
  await build();
  const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
  const postgres = await startPostgres({ home });
  const aws = await MarketplaceStandIn.start();
  aws.callsPerSecond = CALLS_PER_SECOND;
  const connectionString = postgres.connectionString();
  const db = new pg.Pool({ connectionString, max: 2 });
  db.on('error', () => undefined);
  const settings = {
    AWS_MARKETPLACE_ENDPOINT: aws.url,
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'x'.repeat(40),
  };
  try {
    await applyMigrations({ connectionString });
    await prepare(db, aws);
    const worker = await startWorker(connectionString, settings);
    try {
      await sealed(db, aws);
      await sent(db, aws, worker);
    } finally {
      await stop(worker);
    }
  } finally {
    await db.end();
    await aws.stop();
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

/** The hour that is metered: it ended two hours ago. */
const hour = new Date(Math.floor(Date.now() / HOUR_MS) * HOUR_MS - 2 * HOUR_MS);

/** A product, and agreements of as many customers who made calls in the hour. */
async function prepare(db: pg.Pool, aws: MarketplaceStandIn): Promise<void> {
  await db.query(`INSERT INTO account (id, name, mode) VALUES ($1, 'Bench', 'live')`, [ACCOUNT]);
  await db.query(
    `INSERT INTO customer (id, account_id, name)
     SELECT 'cus_' || n, $1, 'Customer' FROM generate_series(1, $2::int) n`,
    [ACCOUNT, AGREEMENTS],
  );
  await db.query(
    `INSERT INTO marketplace_product (id, account_id, product_code, name, region, dimensions, plan_ids)
     VALUES ($1, $2, 'bench', 'Bench', 'us-east-1', $3, '{plan}')`,
    [PRODUCT, ACCOUNT, JSON.stringify([DIMENSION])],
  );
  await db.query(
    `INSERT INTO marketplace_agreement (id, account_id, customer_id, product_id, customer_identifier, state, active_at, sealed_to)
     SELECT 'mpa_' || n, $1, 'cus_' || n, $2, 'X' || n, 'active', $3, $3 FROM generate_series(1, $4::int) n`,
    [ACCOUNT, PRODUCT, hour, AGREEMENTS],
  );
  await db.query(
    `INSERT INTO usage_hour (customer_id, key_id, hour, meter, api_id, stage, usage_plan_id, method, resource_path, status_class, account_id, quantity)
     SELECT 'cus_' || n, 'key_' || n, $1, 'calls', 'api', 'prod', 'plan', 'GET', '/pets', '2xx', $2, n FROM generate_series(1, $3::int) n`,
    [hour, ACCOUNT, AGREEMENTS],
  );
  for (let n = 1; n <= AGREEMENTS; n += 1) aws.subscribe({ CustomerIdentifier: `X${n}` });
  for (let n = 1; n <= RECORDS; n += 1) aws.subscribe({ CustomerIdentifier: `Y${n}` });
}

const DIMENSION = {
  dimension: 'calls',
  meter: 'calls',
  rateCardId: null,
  rateCardVersion: null,
  unitSize: '1',
  usdPerUnit: null,
};

/** How fast the worker seals the hour of every agreement, and sends it meanwhile. */
async function sealed(db: pg.Pool, aws: MarketplaceStandIn): Promise<void> {
  await until(db, `state = 'accepted'`, AGREEMENTS);
  const { rows } = await db.query<{ seconds: number }>(
    `SELECT extract(epoch FROM max(created_at) - min(created_at))::float8 AS seconds FROM marketplace_record`,
  );
  const pace = AGREEMENTS / (rows[0]?.seconds ?? Infinity);
  const needed = AN_HOURS_RECORDS / 3_600;
  check(aws, (AGREEMENTS * (AGREEMENTS + 1)) / 2);
  print(
    `${AGREEMENTS} agreements sealed: ${pace.toFixed(0)} a second, ${(pace / needed).toFixed(1)} times what an hour of 100,000 needs`,
  );
}

/** How fast records go out that are all due at once, as after an outage. */
async function sent(
  db: pg.Pool,
  aws: MarketplaceStandIn,
  worker: { kill(signal: NodeJS.Signals): boolean },
): Promise<void> {
  worker.kill('SIGSTOP');
  await db.query(
    `INSERT INTO marketplace_agreement (id, account_id, customer_id, product_id, customer_identifier)
     SELECT 'mpb_' || n, $1, 'cus_1', $2, 'Y' || n FROM generate_series(1, $3::int) n`,
    [ACCOUNT, PRODUCT, RECORDS],
  );
  await db.query(
    `INSERT INTO marketplace_record (id, account_id, customer_id, agreement_id, product_id, dimension, hour, region, quantity, payload,
       batch_key, deadline_at, next_attempt_at, created_at)
     SELECT 'mrec_b' || n, $1, 'cus_1', 'mpb_' || n, $2, 'calls', $3::timestamptz, 'us-east-1', 1,
       json_build_object('Timestamp', extract(epoch FROM $3::timestamptz)::int, 'CustomerIdentifier', 'Y' || n, 'Dimension', 'calls', 'Quantity', 1)::text,
       'us-east-1/bench', $3::timestamptz + interval '24 hours', now(), now() FROM generate_series(1, $4::int) n`,
    [ACCOUNT, PRODUCT, hour, RECORDS],
  );
  await db.query('ANALYZE marketplace_record');
  aws.calls.length = 0;
  const [throttledBefore, before] = [aws.throttled, aws.billed('calls')];
  const cpuBefore = process.cpuUsage();
  worker.kill('SIGCONT');
  const start = performance.now();
  await until(db, `state = 'accepted'`, AGREEMENTS + RECORDS);
  const seconds = (performance.now() - start) / 1_000;
  check(aws, before + RECORDS);
  const calls = aws.calls.length;
  const throttled = aws.throttled - throttledBefore;
  const pace = RECORDS / seconds;
  const hourly = (AN_HOURS_RECORDS / pace / 60).toFixed(1);
  const { user, system } = process.cpuUsage(cpuBefore);
  print(
    `${RECORDS} records sent: ${calls} calls of ${RECORDS / RECORDS_PER_CALL} at least, ${throttled} throttled, ${pace.toFixed(0)} records a second, ` +
      `${(pace / (CALLS_PER_SECOND * RECORDS_PER_CALL)).toFixed(2)} of what AWS allows; 100,000 take ${hourly} minutes and ${Math.ceil((calls / RECORDS) * AN_HOURS_RECORDS)} calls ` +
      `(${((user + system) / 1e6 / seconds).toFixed(2)} of a core for the stand-in)`,
  );
}

/** What AWS would bill is what was used: nothing lost, nothing twice. */
function check(aws: MarketplaceStandIn, quantity: number): void {
  const billed = aws.billed('calls');
  if (billed !== quantity) throw new Error(`AWS bills ${billed} of ${quantity}`);
}

async function until(db: pg.Pool, condition: string, count: number): Promise<void> {
  for (;;) {
    const { rows } = await db.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM marketplace_record WHERE ${condition}`,
    );
    if ((rows[0]?.count ?? 0) >= count) return;
    await sleep(200);
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

await main();
