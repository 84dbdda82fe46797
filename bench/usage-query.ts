/**
 * How long 90 days of one key's usage take by day among ten million roll-ups, asked over HTTP by `keyId` alone, and how
 * the database reads them. Printed beside it, in turn, what the same api takes for a read of one row by its key
 * (`GET /v1/api-keys/{keyId}`): the ratio says what the reading itself costs.
 *
 * Run: npx tsx bench/usage-query.ts [millions of roll-ups, 10] [rounds, 60]
 */
import { Agent } from 'undici';
import { windowEdges } from '../libs/metering/src/index.js';
import { windowOf } from '../libs/metering/src/io/sum-usage.js';
import { UsageRepository } from '../libs/metering/src/io/usage.repository.js';
import { Prisma, type Database } from '../libs/platform/src/io/index.js';
import { median, OPERATOR, withUsageBench, type UsageBench } from './support/usage.js';

const MILLIONS = Number(process.argv[2] ?? 10);
const ROUNDS = Number(process.argv[3] ?? 60);
const DAYS = 90;
const DAY_MS = 86_400_000;
/** Of each key: hours of 90 days, one row each. */
const ROWS_PER_KEY = DAYS * 24;
const to = new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS);
const from = new Date(to.getTime() - DAYS * DAY_MS);

/** Roll-ups of so many keys, the benched ones among them; the others are of customers of their own. */
async function fill({ db, owners }: UsageBench): Promise<number> {
  const [owner] = owners;
  if (!owner) throw new Error('there are owners');
  const keys = Math.ceil((MILLIONS * 1_000_000) / ROWS_PER_KEY);
  const insert = (customer: string, key: string, of: string) =>
    db.query(
      `INSERT INTO usage_hour (customer_id, key_id, hour, meter, api_id, stage, usage_plan_id, method, resource_path,
         status_class, account_id, quantity)
       SELECT ${customer}, ${key}, $1::timestamptz + make_interval(hours => h), 'calls', $2, $3, $4, 'GET', '/pets', '2xx', $5, 12
       FROM ${of}, generate_series(0, ${ROWS_PER_KEY - 1}) h`,
      [from, owner.apiId, owner.stage, owner.usagePlanId, owner.accountId],
    );
  await db.query('ALTER TABLE usage_hour DISABLE TRIGGER ALL');
  for (const { customerId, keyId } of owners)
    await insert(`'${customerId}'`, `'${keyId}'`, '(SELECT 1) one');
  await insert(
    "'cus_' || md5(k::text)",
    'md5(k::text)',
    `generate_series(1, ${keys - owners.length}) k`,
  );
  await db.query('VACUUM ANALYZE usage_hour');
  return keys * ROWS_PER_KEY;
}

/** How the database reads what the repository asks, taken from the repository itself. */
async function plan({ db, owners: [owner] }: UsageBench): Promise<string> {
  if (!owner) throw new Error('there are owners');
  const { accountId, customerId, keyId } = owner;
  let asked: Prisma.Sql | undefined;
  const recorder = {
    $queryRaw: (texts: TemplateStringsArray, ...values: unknown[]) => {
      asked = Prisma.sql(texts, ...values);
      return Promise.resolve([]);
    },
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- sums() asks by $queryRaw alone
  const usage = new UsageRepository(recorder as unknown as Database);
  const window = windowOf(windowEdges({ from, to }, 'day', 'UTC'), 0);
  await usage.sums({ keyId, accountId, customerId }, window, { groups: [], limit: 10_001 });
  if (!asked) throw new Error('the repository asks by $queryRaw');
  const { rows } = await db.query<{ 'QUERY PLAN': string }>(
    `EXPLAIN (ANALYZE, BUFFERS) ${asked.text}`,
    asked.values,
  );
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

async function compare(bench: UsageBench): Promise<void> {
  const rows = await fill(bench);
  const http = new Agent({ connections: 1 });
  const timed = async (path: string): Promise<{ ms: number; text: string }> => {
    const start = performance.now();
    const answer = await http.request({
      origin: bench.url,
      path,
      method: 'GET',
      headers: { authorization: `Bearer ${OPERATOR}` },
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${text}`);
    return { ms: performance.now() - start, text };
  };
  const usageMs: number[] = [];
  const rowMs: number[] = [];
  for (let round = -5; round < ROUNDS; round += 1) {
    const { keyId } = bench.owners[(round + 5) % bench.owners.length] ?? {};
    const query = new URLSearchParams({
      from: from.toISOString(),
      to: to.toISOString(),
      keyId: keyId ?? '',
      interval: 'day',
    });
    const usage = await timed(`/v1/usage?${query.toString()}`);
    const row = await timed(`/v1/api-keys/${keyId}`);
    const { items } = JSON.parse(usage.text) as { items: { quantity: string }[] };
    if (items.length !== DAYS || items.some(({ quantity }) => quantity !== '288'))
      throw new Error(`not 90 days of 288: ${usage.text.slice(0, 300)}`);
    if (round < 0) continue;
    usageMs.push(usage.ms);
    rowMs.push(row.ms);
  }
  await http.close();
  console.log(await plan(bench));
  const p99 = usageMs.toSorted((a, b) => a - b)[Math.floor(usageMs.length * 0.99)] ?? 0;
  console.log(
    `90 days of one of ${bench.owners.length} keys among ${rows.toLocaleString('en')} roll-ups: median ${median(usageMs).toFixed(1)} ms (aim 20), p99 ${p99.toFixed(1)} ms, ` +
      `${(median(usageMs) / median(rowMs)).toFixed(1)} times a read of one row (${median(rowMs).toFixed(1)} ms)`,
  );
}

await withUsageBench(compare);
