/**
 * Lines a second of a CSV export over HTTP, against `COPY … TO STDOUT` of the very same statement on a connection of its
 * own, read to the end and thrown away. Alternating; the median of the rounds.
 *
 * Run: npx tsx bench/export.ts [thousands of lines, 1000] [rounds, 5]
 */
import { finished } from 'node:stream/promises';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { EXPORTS } from '../libs/billing/src/io/exports/definitions.js';
import { csvQuery } from '../libs/billing/src/io/exports/export.js';
import { median, OPERATOR, withUsageBench, type UsageBench } from './support/usage.js';

const LINES = 1_000 * Number(process.argv[2] ?? 1_000);
const ROUNDS = Number(process.argv[3] ?? 5);

async function fill({ db, owners: [owner] }: UsageBench): Promise<void> {
  if (!owner) throw new Error('there are owners');
  const { customerId, keyId, apiId, stage, usagePlanId, accountId } = owner;
  await db.query('ALTER TABLE usage_hour DISABLE TRIGGER ALL');
  await db.query(
    `INSERT INTO usage_hour (customer_id, key_id, hour, meter, api_id, stage, usage_plan_id, method, resource_path,
       status_class, account_id, quantity)
     SELECT $1, $2, timestamptz '2026-01-01' + make_interval(hours => n / 200), 'calls', $3, $4, $5, 'GET', '/pets/' || n % 200, '2xx', $6, n
     FROM generate_series(1, $7::int) n`,
    [customerId, keyId, apiId, stage, usagePlanId, accountId, LINES],
  );
  await db.query('VACUUM ANALYZE usage_hour');
}

/** Seconds that it took, and how many bytes came. */
async function measured(read: () => Promise<number>): Promise<{ seconds: number; bytes: number }> {
  const begun = performance.now();
  const bytes = await read();
  return { seconds: (performance.now() - begun) / 1_000, bytes };
}

await withUsageBench(async (bench) => {
  await fill(bench);
  const [owner] = bench.owners;
  const definition = EXPORTS.find(({ name }) => name === 'usage-detail');
  if (!owner || !definition) throw new Error('there is an export of usage');
  const scope = {
    accountId: owner.accountId,
    customerId: null,
    from: null,
    to: null,
    now: new Date(),
  };
  const copy = `COPY (${csvQuery(definition, scope)}) TO STDOUT (FORMAT csv, HEADER)`;
  const client = new pg.Client(bench.databaseUrl);
  await client.connect();

  const overHttp = async (): Promise<number> => {
    const response = await fetch(`${bench.url}/v1/exports/usage-detail.csv`, {
      headers: { authorization: `Bearer ${OPERATOR}` },
    });
    if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
    let bytes = 0;
    for await (const chunk of response.body) bytes += chunk.length;
    return bytes;
  };
  const byCopy = async (): Promise<number> => {
    const stream = client.query(copyTo(copy));
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
    await finished(stream);
    return bytes;
  };

  await overHttp();
  await byCopy();
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1)
    rounds.push({ copy: await measured(byCopy), http: await measured(overHttp) });
  await client.end();
  const perSecond = (seconds: number) => Math.round(LINES / seconds).toLocaleString('en');
  const http = median(rounds.map((round) => round.http.seconds));
  const reference = median(rounds.map((round) => round.copy.seconds));
  const ratio = median(rounds.map((round) => round.copy.seconds / round.http.seconds));
  console.log(`${LINES} lines, ${rounds[0]?.http.bytes} bytes, ${ROUNDS} rounds`);
  console.log(
    `over HTTP ${perSecond(http)} lines/s, COPY of the same ${perSecond(reference)} lines/s`,
  );
  console.log(`ratio ${ratio.toFixed(2)}`);
});
