/**
 * Whether a record costs more to take in when many are stored: batches of 5,000 records over HTTP with a million stored
 * records, and again with so many million, spread over the last days with today among them. Each batch is
 * followed by a raw COPY of the same rows into a table of their own, and the figure is the ratio of the ratios, so that a
 * machine that got slower meanwhile does not count.
 *
 * Run: npx tsx bench/ingest-growth.ts [millions, 10] [days, 10]
 */
import {
  batchJson,
  copyText,
  median,
  recordsJson,
  withUsageBench,
  type UsageBench,
} from './support/usage.js';

const MILLIONS = Number(process.argv[2] ?? 10);
const DAYS = Number(process.argv[3] ?? 10);
const MILLION = 1_000_000;
const BATCHES = 40;
const WARM_UPS = 4;
const RECORDS_PER_BATCH = 5_000;

/** Stores records of one row each, in batches that are rolled up, the same number for each of the days. */
async function fill({ db, owners }: UsageBench, records: number, epoch: string): Promise<void> {
  const [owner] = owners;
  if (!owner) throw new Error('there are owners');
  const batches = Math.ceil(records / DAYS / RECORDS_PER_BATCH);
  const fillDay = async (day: number) => {
    await db.query(
      `WITH gateway AS (SELECT id FROM gateway LIMIT 1), day AS (SELECT now() - make_interval(days => $1::int) AS at),
       batch AS (
         INSERT INTO usage_batch (account_id, gateway_id, epoch, sequence, content_hash, record_count, received_at, rolled_up_at)
         SELECT $2, gateway.id, $3, $1 * 1000000 + n, sha256('x'), ${RECORDS_PER_BATCH}, day.at, day.at
         FROM gateway, day, generate_series(1, $4::int) n
         RETURNING id, received_at
       )
       INSERT INTO usage_record (batch_id, account_id, received_at, customer_id, key_id, api_id, stage, usage_plan_id,
         ordinal, at, method, resource_path, status_class, meter, quantity)
       SELECT b.id, $2, b.received_at, $5, $6, $7, $8, $9, n, b.received_at, 'GET',
         '/pets/{petId}/visits/' || n % 100, '2xx', 'calls', 12
       FROM batch b, generate_series(1, ${RECORDS_PER_BATCH}) n`,
      [
        day,
        owner.accountId,
        epoch,
        batches,
        owner.customerId,
        owner.keyId,
        owner.apiId,
        owner.stage,
        owner.usagePlanId,
      ],
    );
  };
  const days = Array.from({ length: DAYS }, (_, day) => day);
  for (const day of days)
    await db.query('SELECT ensure_usage_partition(current_date - $1::int)', [day]);
  const fillers = [0, 1].map(async () => {
    for (let day = days.pop(); day !== undefined; day = days.pop()) await fillDay(day);
  });
  await Promise.all(fillers);
  await db.query('ANALYZE usage_record');
}

async function compare(bench: UsageBench): Promise<void> {
  const records = recordsJson(bench.owners);
  let sequence = 0;
  const timed = async (work: () => Promise<void>) => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };
  const measure = async () => {
    const ours: number[] = [];
    const ratios: number[] = [];
    for (let n = -WARM_UPS; n < BATCHES; n += 1) {
      sequence += 1;
      const body = batchJson(sequence, records);
      const text = copyText(bench.owners, sequence);
      const oursMs = await timed(async () => {
        const { status, text: said } = await bench.post(body);
        if (status !== 201) throw new Error(`${status} ${said}`);
      });
      const rawMs = await timed(() => bench.copy(text));
      if (n < 0) continue;
      ours.push(oursMs);
      ratios.push(oursMs / rawMs);
    }
    return { ms: median(ours), ratio: median(ratios) };
  };
  const stored = async () => {
    const { rows } = await bench.db.query<{ records: string; size: string }>(
      `SELECT sum(record_count)::text AS records,
         (SELECT pg_size_pretty(sum(pg_total_relation_size(relid))) FROM pg_partition_tree('usage_record')) AS size
       FROM usage_batch`,
    );
    return `${Number(rows[0]?.records).toLocaleString('en')} records, ${rows[0]?.size}`;
  };
  await fill(bench, MILLION, 'first');
  const few = await measure();
  console.log(
    `${await stored()}: ${few.ms.toFixed(1)} ms a batch, ${few.ratio.toFixed(2)} of a raw COPY`,
  );
  await fill(bench, (MILLIONS - 1) * MILLION, 'more');
  const many = await measure();
  console.log(
    `${await stored()}: ${many.ms.toFixed(1)} ms a batch, ${many.ratio.toFixed(2)} of a raw COPY`,
  );
  console.log(
    `a record costs ${(many.ratio / few.ratio).toFixed(2)} times as much (aim 1.2); by the clock ${(many.ms / few.ms).toFixed(2)}`,
  );
}

await withUsageBench(compare);
