/**
 * What taking events over HTTP costs: batches of 500 CloudEvents, each counted by one meter with a dimension, through the
 * built api process, as a ratio against a raw COPY of the same rows into a table with the same columns and no index. Both
 * commit each batch; rounds are interleaved, figures are medians. Also how many bytes the identity of an event takes.
 *
 * Run: npx tsx bench/events.ts
 */
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { Agent } from 'undici';
import { build } from '../scripts/build.mjs';
import { startPostgres } from '../scripts/embedded-postgres.mjs';
import { freePort } from '../scripts/free-port.mjs';
import { applyMigrations } from '../scripts/migrate.mjs';
import { aKeyInPlan, defaultAccount } from '../test/support/factories.js';
import { median, OPERATOR, startApi, stop, TOKEN } from './support/usage.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 7);
const BATCHES_PER_ROUND = 40;
const EVENTS = 500;
const KEYS = 50;
const SOURCE = 'https://chat.example.com/instances/7';
const NO_MEMBER = '00000000-0000-0000-0000-000000000000';

type Owner = Awaited<ReturnType<typeof aKeyInPlan>>;

interface Call {
  readonly id: string;
  readonly at: string;
  readonly owner: Owner;
  readonly tokens: number;
}

function calls(owners: readonly Owner[]): Call[] {
  return Array.from({ length: EVENTS }, (_, n) => {
    const owner = owners[n % owners.length];
    if (!owner) throw new Error('there are owners');
    const at = new Date(Date.now() - 60_000 + n).toISOString();
    return { id: randomUUID(), at, owner, tokens: 1_000 + n };
  });
}

const eventsBody = (batch: readonly Call[]) =>
  JSON.stringify(
    batch.map(({ id, at, owner, tokens }) => ({
      specversion: '1.0',
      id,
      source: SOURCE,
      type: 'com.example.chat',
      subject: owner.keyId,
      time: at,
      datacontenttype: 'application/json',
      data: { tokens, model: 'large' },
    })),
  );

/** The same rows as the api writes, ready to be sent. */
function copyText(batch: readonly Call[], batchId: number): Buffer {
  const receivedAt = new Date().toISOString();
  let text = '';
  for (const { id, at, owner, tokens } of batch)
    text += `${owner.customerId}\t${batchId}\tchat-tokens\t${receivedAt}\t${owner.accountId}\t${at}\t${SOURCE}\t${id}\t${owner.keyId}\t\t\t${owner.usagePlanId}\tsum\t{"model":"large"}\t${NO_MEMBER}\t${tokens}\n`;
  return Buffer.from(text);
}

/** Events a second of `BATCHES_PER_ROUND` batches, `inFlight` at a time. */
async function pace(inFlight: number, send: () => Promise<void>): Promise<number> {
  const start = performance.now();
  const lanes = Array.from({ length: inFlight }, async (_, lane) => {
    for (let n = lane; n < BATCHES_PER_ROUND; n += inFlight) await send();
  });
  await Promise.all(lanes);
  return (BATCHES_PER_ROUND * EVENTS) / ((performance.now() - start) / 1_000);
}

async function compare(databaseUrl: string, url: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
  const account = await defaultAccount(pool);
  const owners: Owner[] = [];
  for (let n = 0; n < KEYS; n += 1) owners.push(await aKeyInPlan(pool, account));
  await pool.query('SELECT ensure_reading_partitions(current_date, 2)');
  await pool.query('CREATE TABLE raw_reading (LIKE meter_reading)');
  const dispatcher = new Agent({ connections: 4 });

  const post = async (path: string, token: string, contentType: string, body: string) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': contentType };
    const answer = await dispatcher.request({ origin: url, path, method: 'POST', headers, body });
    const text = await answer.body.text();
    if (answer.statusCode !== 201) throw new Error(`${answer.statusCode} ${text}`);
  };
  const meter = {
    name: 'chat-tokens',
    aggregation: 'sum',
    eventType: 'com.example.chat',
    valuePath: '$.data.tokens',
    groupBy: { model: '$.data.model' },
  };
  await post('/v1/meters', OPERATOR, 'application/json', JSON.stringify(meter));
  const copy = async (text: Buffer) => {
    const client = await pool.connect();
    await client.query('BEGIN');
    await pipeline(Readable.from([text]), client.query(copyFrom('COPY raw_reading FROM STDIN')));
    await client.query('COMMIT');
    client.release();
  };

  let batchId = 0;
  for (const inFlight of [1, 2]) {
    const ours: number[] = [];
    const raw: number[] = [];
    for (let round = -1; round < ROUNDS; round += 1) {
      const batches = Array.from({ length: BATCHES_PER_ROUND }, () => calls(owners));
      const bodies = batches.map(eventsBody);
      const texts = batches.map((batch) => copyText(batch, (batchId += 1)));
      const oursPace = await pace(inFlight, () =>
        post('/v1/events', TOKEN, 'application/cloudevents-batch+json', bodies.pop() ?? ''),
      );
      const rawPace = await pace(inFlight, () => copy(texts.pop() ?? Buffer.alloc(0)));
      if (round < 0) continue; // warms both up
      ours.push(oursPace);
      raw.push(rawPace);
    }
    const ratio = median(ours.map((pace, n) => pace / (raw[n] ?? Number.NaN)));
    console.log(
      `${inFlight} in flight: events over HTTP ${Math.round(median(ours)).toLocaleString('en')} a second, raw COPY ${Math.round(median(raw)).toLocaleString('en')} rows a second, ratio ${ratio.toFixed(2)} (aim 0.3)`,
    );
  }
  const { rows } = await pool.query<{ events: number; bytes: number }>(
    `SELECT count(*)::int AS events, pg_total_relation_size('event_identity')::float8 / count(*) AS bytes FROM event_identity`,
  );
  for (const { events, bytes } of rows)
    console.log(
      `${events.toLocaleString('en')} identities of events: ${bytes.toFixed(0)} bytes each, with their index`,
    );
  await dispatcher.close();
  await pool.end();
}

const home = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const postgres = await startPostgres({ home });
let api: ChildProcess | undefined;
try {
  await build();
  const databaseUrl = postgres.connectionString();
  await applyMigrations({ connectionString: databaseUrl });
  const port = await freePort();
  api = await startApi(databaseUrl, port);
  await compare(databaseUrl, `http://127.0.0.1:${port}`);
} finally {
  await stop(api);
  await postgres.stop();
  rmSync(home, { recursive: true, force: true });
}
