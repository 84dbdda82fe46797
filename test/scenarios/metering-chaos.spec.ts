import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allPages } from '../support/all-pages.js';
import { ChaosCollector } from '../support/chaos-collector.js';
import { collectorProgram } from '../support/collector-process.js';
import { ConnectionSender } from '../support/connection-sender.js';
import { controlPlane } from '../support/control-plane.js';
import { DurablePostgres } from '../support/durable-postgres.js';
import { CHAOS_METERS, countedEvents, EventSender } from '../support/event-sender.js';
import { MeteringGateway } from '../support/metering-gateway.js';
import { goodRecords, NumberedSender, type NumberedBatch } from '../support/numbered-sender.js';
import { PatientClient } from '../support/patient-client.js';
import { AppProcess } from '../support/processes.js';
import { quarantined, settleQuarantine } from '../support/quarantine.js';
import { randomNumbers } from '../support/random.js';
import {
  recordLines,
  RECORDS,
  ROLLED_UP,
  scaled,
  UNTRUE,
  UsageLedger,
} from '../support/usage-ledger.js';
import type { LedgerRecord } from '../support/usage-ledger.js';

/** A full run by hand: `KILLS=50 npm test -- test/scenarios/metering-chaos.spec.ts`. */
const KILLS = Number(process.env['KILLS'] ?? (process.env['CI'] ? 4 : 6));
/** The same seed kills the same victims after the same pauses. */
const SEED = Number(process.env['SEED'] ?? randomInt(2 ** 31));
const PAUSE_MS_MAX = 900;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Clocks may be wrong by less than the service accepts, five minutes. */
const SKEWS_MS = [-4 * MINUTE_MS, 4 * MINUTE_MS, 3 * MINUTE_MS, -150_000];
const TIMEOUT = { timeout: 240_000 + KILLS * 12_000 };

type Owner = Pick<LedgerRecord, 'customerId' | 'keyId' | 'apiId' | 'stage' | 'usagePlanId'>;

const random = randomNumbers(SEED);
const folder = mkdtempSync(join(tmpdir(), 'tollgate-chaos-'));
let postgres: DurablePostgres;
let api: AppProcess;
let worker: AppProcess;
let db: pg.Pool;
let owners: Owner[];
const apiKeys: string[] = [];
let program: string;

beforeAll(async () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  program = await collectorProgram();
  postgres = await DurablePostgres.start();
  afterAll(() => postgres.stop());
  db = new pg.Pool({ connectionString: postgres.url, max: 1 });
  db.on('error', () => undefined);
  afterAll(() => db.end());
  // A zone of a server that no hour or quarter of UTC agrees with must not matter.
  await db.query(`ALTER DATABASE tollgate SET timezone = 'Asia/Kathmandu'`);
  api = await AppProcess.start('api', postgres.url);
  afterAll(() => api.stop());
  worker = await AppProcess.start('worker', postgres.url);
  afterAll(() => worker.stop());
  const apiStage = await controlPlane(api.http).apiStage();
  owners = await Promise.all(Array.from({ length: 4 }, () => anOwner(apiStage)));
  for (const meter of CHAOS_METERS) await controlPlane(api.http).meter(meter);
});

async function anOwner(apiStage: { apiId: string; stage: string }): Promise<Owner> {
  const create = controlPlane(api.http);
  const plan = await create.usagePlan({ apiStages: [apiStage] });
  const { id, value, customerId } = await create.apiKey();
  const path = `/v1/usage-plans/${String(plan['id'])}/keys`;
  const { status } = await api.http.call('POST', path, { body: { keyId: id } });
  expect(status).toBe(201);
  apiKeys.push(String(value));
  return {
    ...apiStage,
    customerId: String(customerId),
    keyId: String(id),
    usagePlanId: String(plan['id']),
  };
}

async function aGateway(
  name: string,
): Promise<{ id: string; token: string; client: PatientClient }> {
  const { id, token } = await controlPlane(api.http).gateway(name);
  return {
    id: String(id),
    token: String(token),
    client: new PatientClient(api.http.call, String(token)),
  };
}

/** A record that the service accepts from a gateway whose clock is wrong: mostly of now, some of hours ago. */
function aRecord(skewMs: number): LedgerRecord {
  const owner = owners[random(owners.length)]!;
  const at = Date.now() + skewMs - random(random(3) === 0 ? 30 * HOUR_MS : 20 * MINUTE_MS);
  return {
    ...owner,
    at: random(4) === 0 ? Math.floor(at / (15 * MINUTE_MS)) * 15 * MINUTE_MS : at,
    method: ['GET', 'POST'][random(2)]!,
    resourcePath: ['/pets', '/pets/{petId}', '/größe'][random(3)]!,
    statusClass: ['2xx', '4xx', '5xx'][random(3)]!,
    quantities: {
      calls: String(1 + random(9)),
      ...(random(2) === 0 ? { 'bytes-out': String(random(2 ** 30)) } : {}),
      ...(random(4) === 0 ? { 'cache-gb-hours': `${random(9)}.${random(999_999)}1` } : {}),
    },
  };
}

/** Takes today's partition away and its records into the default one, as if no worker had run for a week. */
async function forgetPartitions(): Promise<void> {
  await db.query(`
    DO $$
    DECLARE
      partition text := 'usage_record_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD');
    BEGIN
      IF to_regclass(partition) IS NULL THEN RETURN; END IF;
      LOCK TABLE ONLY usage_record IN ACCESS EXCLUSIVE MODE;
      EXECUTE format('ALTER TABLE usage_record DETACH PARTITION %I', partition);
      EXECUTE format('INSERT INTO usage_record_default SELECT * FROM %I', partition);
      EXECUTE format('DROP TABLE %I', partition);
    END $$`);
}

/** Both hold the same lines, each as often; a difference is shown without all that is equal. */
function expectSame(found: readonly string[], counted: readonly string[]): void {
  const [inFound, inCounted] = [new Set(found), new Set(counted)];
  expect({
    missing: counted.filter((line) => !inFound.has(line)),
    tooMuch: found.filter((line) => !inCounted.has(line)),
    lines: found.length,
  }).toEqual({ missing: [], tooMuch: [], lines: counted.length });
}

/** Lines of a query that reads one column `line`, in order. */
async function lines(sql: string, values: unknown[] = []): Promise<string[]> {
  const { rows } = await db.query<{ line: string }>(sql, values);
  return rows.map(({ line }) => line).toSorted();
}

/** The command that proves roll-ups by their records finds no difference. */
async function expectProven(): Promise<void> {
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const days = ['--from', day(Date.now() - 72 * HOUR_MS), '--to', day(Date.now() + 48 * HOUR_MS)];
  const { code, output } = await worker.run('rebuild-usage.js', [...days, '--dry-run']);
  expect({ code, output }).toEqual({
    code: 0,
    output: expect.stringMatching(/^(\S+ \S+ equal\n)+$/),
  });
}

async function allRolledUp(): Promise<void> {
  const waiting = async () => {
    const { rows } = await db.query(
      `SELECT (SELECT count(*) FROM usage_batch WHERE rolled_up_at IS NULL)::int
         + (SELECT count(*) FROM event_batch WHERE rolled_up_at IS NULL)::int
         + (SELECT count(*) FROM connection WHERE NOT is_counted)::int AS n`,
    );
    return rows[0].n;
  };
  await expect.poll(waiting, { timeout: 60_000, interval: 100 }).toBe(0);
}

/** Runs of numbers, by gateway and epoch. */
function runs(withheld: readonly NumberedBatch[], gatewayId: string): string[] {
  const found: { epoch: string; first: number; last: number }[] = [];
  for (const { epoch, sequence } of withheld) {
    const before = found.at(-1);
    if (before?.epoch === epoch && before.last === sequence - 1) before.last = sequence;
    else found.push({ epoch, first: sequence, last: sequence });
  }
  return found.map(({ epoch, first, last }) => `${gatewayId} ${epoch} ${first}-${last}`);
}

async function openGaps(): Promise<string[]> {
  const { body } = await api.http.call<{
    items: { gatewayId: string; epoch: string; ranges: { first: number; last: number }[] }[];
  }>('GET', '/v1/usage/gaps');
  return body.items
    .flatMap(({ gatewayId, epoch, ranges }) =>
      ranges.map(({ first, last }) => `${gatewayId} ${epoch} ${first}-${last}`),
    )
    .toSorted();
}

/** Numbers that came again with other content. */
async function incidents(): Promise<string[]> {
  const all = await allPages<{ gatewayId: string; epoch: string; sequence: number }>(
    api.http,
    '/v1/usage/incidents',
  );
  return all.map(({ gatewayId, epoch, sequence }) => `${gatewayId} ${epoch} ${sequence}`);
}

describe(`${KILLS} times kill -9 of api, worker and PostgreSQL amid metering (SEED=${SEED})`, () => {
  it(
    'counts what was acknowledged, record by record, and says what is missing',
    TIMEOUT,
    async () => {
      const { apiId, stage } = owners[0]!;
      const numbered = await Promise.all(
        ['first', 'second'].map(async (name, index) => {
          const { id, client } = await aGateway(name);
          const record = () => aRecord(SKEWS_MS[index]!);
          return {
            id,
            client,
            sender: new NumberedSender({ client, gatewayId: id, random, record }),
          };
        }),
      );
      const plugins = await Promise.all(
        ['with a spool', 'in memory'].map(async (name, index) => {
          const { token } = await aGateway(name);
          const isSpooled = index === 0;
          const plugin = new MeteringGateway(join(folder, `passed-${index}`), {
            url: api.url,
            token,
            apiId,
            stage,
            clients: 3,
            flushIntervalMs: 100,
            apiKeys,
            skewMs: SKEWS_MS[index + 2]!,
            // With a spool it may end while the service is away.
            closeTimeoutMs: isSpooled ? 500 : 120_000,
            ...(isSpooled ? { spoolDir: join(folder, 'spool') } : {}),
          });
          return { plugin, isSpooled };
        }),
      );
      afterAll(() => plugins.forEach(({ plugin }) => plugin.kill()));
      const passedLog: LedgerRecord[] = [];
      const collectors = await Promise.all(
        ['a.log', 'b.log'].map(async (name) => {
          const { token } = await aGateway(name);
          return new ChaosCollector({
            program,
            random,
            path: join(folder, name),
            apiId,
            stage,
            service: { url: api.url, token },
            keyIds: owners.map(({ keyId }) => keyId),
            onPassed: (call) => passedLog.push(loggedRecord(call)),
          });
        }),
      );
      const events = await Promise.all(
        ['east', 'west'].map(async (name, index) => {
          const { client } = await aGateway(name);
          const customerIds = owners.map(({ customerId }) => customerId);
          const skewMs = SKEWS_MS[index]!;
          return { client, sender: new EventSender({ client, name, random, customerIds, skewMs }) };
        }),
      );
      const { id: gatewayId, client: socketClient } = await aGateway('sockets');
      const sockets = new ConnectionSender({ client: socketClient, gatewayId, random, owners });

      let kills = 0;
      const isOver = () => kills >= KILLS;
      for (const { plugin } of plugins) await plugin.start();
      const traffic = Promise.all([
        ...[...numbered, ...events].map(({ sender }) => sender.run(isOver)),
        sockets.run(isOver),
        ...collectors.map((collector) => collector.run(isOver)),
        ...plugins
          .filter(({ isSpooled }) => isSpooled)
          .map(({ plugin }) => restarts(plugin, isOver)),
      ]);
      await killAtRandom(() => (kills += 1), isOver);
      await traffic;
      for (const { plugin } of plugins) await plugin.stop();
      // What the last life of the plugin left in its spool is the next one's.
      await plugins[0]!.plugin.start({ clients: 0, closeTimeoutMs: 120_000 });
      await plugins[0]!.plugin.stop();
      for (const collector of collectors) await collector.finish();
      await allRolledUp();

      const clients = [...numbered, ...events].map(({ client }) => client);
      expect([...clients, socketClient].flatMap(({ wrong }) => wrong)).toEqual([]);
      const told = plugins.flatMap(({ plugin }) => plugin.events);
      const lost = told.filter(
        (event) => LOSSES.has(event.type) && !('isSpooled' in event && event.isSpooled),
      );
      expect(lost).toEqual([]);
      const passedPlugins = plugins.flatMap(({ plugin }) => plugin.passed().map(pluginRecord));

      const expectEqual = async (corrected: readonly LedgerRecord[]) => {
        const ledger = new UsageLedger();
        const acknowledged = numbered.flatMap(({ sender }) => sender.acknowledged);
        for (const [, record] of acknowledged.flatMap(goodRecords)) ledger.add(record);
        for (const record of [...passedLog, ...passedPlugins, ...corrected]) ledger.add(record);
        for (const record of sockets.minutes()) ledger.add(record);
        expectSame(await lines(ROLLED_UP), ledger.lines());
        const rows = numbered.flatMap(({ id, sender }) =>
          sender.acknowledged.flatMap((batch) =>
            goodRecords(batch).flatMap(([n, record]) =>
              recordLines(`${id} ${batch.epoch} ${batch.sequence} ${n}`, record),
            ),
          ),
        );
        expectSame(await lines(RECORDS, [numbered.map(({ id }) => id)]), rows);
        expect(await lines(UNTRUE)).toEqual([]);
        await expectProven();
      };
      const bad = () =>
        numbered.flatMap(({ id, sender }) =>
          sender.acknowledged.flatMap(({ epoch, sequence, ...batch }) =>
            [...batch.bad].map((index) => ({
              place: `${id} ${epoch} ${sequence} ${index}`,
              record: batch.records[index]!,
            })),
          ),
        );
      await expectEqual([]);
      expectSame(
        (await quarantined(api.http)).map(({ place }) => place),
        bad().map(({ place }) => place),
      );
      expectSame(await eventUsage(), countedEvents(events.flatMap(({ sender }) => sender.sent)));

      const withheld = numbered.flatMap(({ id, sender }) => runs(sender.withheld, id));
      expect(await openGaps()).toEqual(withheld.toSorted());
      const tried = numbered.flatMap(({ sender }) => [...sender.conflicts]);
      expectSame(await incidents(), tried.toSorted());

      const finalise = await aDraft(owners[0]!);
      const { status, body: refusal } = await finalise();
      expect(status).toBe(409);
      expect(refusal['type']).toMatch(/usage-gap-open$/);
      for (const { sender } of numbered) await sender.deliverWithheld();
      expect(await openGaps()).toEqual([]);
      const held = await finalise();
      expect(held.status).toBe(409);
      expect(held.body['type']).toMatch(/usage-quarantined$/);
      const corrected = await settleQuarantine(
        api.http,
        new Map(bad().map((one) => [one.place, one.record])),
      );
      expect((await finalise()).status).toBe(200);
      await allRolledUp();
      await expectEqual(corrected);
      console.log(
        `SEED=${SEED}: ${kills} kills, ${numbered.flatMap(({ sender }) => sender.acknowledged).length} batches, ` +
          `${passedLog.length} lines, ${passedPlugins.length} calls, ${events.flatMap(({ sender }) => sender.sent).length} events, ` +
          `${withheld.length} gaps, ${bad().length} quarantined, ${[...sockets.minutes()].length} minutes of connections, ${tried.length} conflicts, ${collectors.reduce((sum, collector) => sum + collector.kills, 0)} kills of collectors`,
      );
    },
  );
});

const LOSSES = new Set([
  'usage-unsent',
  'usage-dropped',
  'batch-refused',
  'batch-conflict',
  'call-unmetered',
]);

/** Kills one of the three after the other: each once, then whichever. */
async function killAtRandom(count: () => void, isOver: () => boolean): Promise<void> {
  const victims = ['worker', 'api', 'postgres'] as const;
  for (let n = 0; !isOver(); n += 1) {
    const victim = n < 3 ? victims[n] : victims[random(victims.length)];
    await sleep(200 + random(PAUSE_MS_MAX));
    if (victim === 'worker' && random(2) === 0) await forgetPartitions();
    if (victim === 'postgres') {
      await postgres.kill();
      await sleep(random(100));
      await postgres.restart();
    } else {
      const app = victim === 'api' ? api : worker;
      await app.kill();
      await app.start();
    }
    count();
    if (!api.isAlive || !worker.isAlive) throw new Error(`It died too:\n${api.said}${worker.said}`);
  }
}

/** Ends the gateway in order and starts it again, over the same spool. */
async function restarts(plugin: MeteringGateway, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await sleep(1_000 + random(4_000));
    await plugin.stop();
    await plugin.start();
  }
}

const ownerOf = (keyId: string): Owner => owners.find((owner) => owner.keyId === keyId)!;

function loggedRecord({
  at,
  keyId,
  bytesOut,
}: {
  at: number;
  keyId: string;
  bytesOut: number;
}): LedgerRecord {
  const owner = ownerOf(keyId);
  const path = { method: 'GET', resourcePath: '/pets/{petId}', statusClass: '2xx' };
  return { ...owner, ...path, at, quantities: { calls: '1', 'bytes-out': String(bytesOut) } };
}

function pluginRecord(call: ReturnType<MeteringGateway['passed']>[number]): LedgerRecord {
  const { at, keyId, method, resourcePath, status, bytes } = call;
  const owner = ownerOf(keyId);
  const path = { method, resourcePath, statusClass: `${Math.floor(status / 100)}xx` };
  return { ...owner, ...path, at, quantities: { calls: '1', 'bytes-out': String(bytes) } };
}

/** Usage of own meters by hour, customer and model, as the api answers it. */
async function eventUsage(): Promise<string[]> {
  const hour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  const found: string[] = [];
  for (const { name } of CHAOS_METERS) {
    const query = new URLSearchParams({
      meter: name,
      interval: 'hour',
      groupBy: 'customerId,dimensions',
      from: new Date(hour - 24 * HOUR_MS).toISOString(),
      to: new Date(hour + 2 * HOUR_MS).toISOString(),
    });
    const { status, body } = await api.http.call<{
      items: {
        from: string;
        customerId: string;
        dimensions: { model: string };
        quantity: string;
      }[];
    }>('GET', `/v1/usage?${query.toString()}`);
    expect(status).toBe(200);
    for (const { from, customerId, dimensions, quantity } of body.items)
      found.push(
        `${new Date(from).toISOString()} ${customerId} ${dimensions.model} ${name} ${scaled(quantity)}`,
      );
  }
  return found.toSorted();
}

/** Lets the month of a new subscription end; how its draft is finalised. */
async function aDraft({ customerId, usagePlanId }: Owner) {
  const now = new Date();
  const startsAt = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1)).toISOString();
  const rateCardId = 'amazon-api-gateway-us-east-1';
  await controlPlane(api.http).subscription({ customerId, usagePlanId, rateCardId, startsAt });
  const after = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 2)).toISOString();
  expect(
    (await api.http.call('POST', '/v1/test-clock', { body: { now: after } })).status,
  ).toBeLessThan(300);
  const drafts = async () => {
    const { body } = await api.http.call<{ items: { id: string }[] }>(
      'GET',
      `/v1/invoices?customerId=${customerId}`,
    );
    return body.items;
  };
  await expect.poll(drafts, { timeout: 30_000 }).toHaveLength(1);
  const [draft] = await drafts();
  return () => api.http.call<Record<string, unknown>>('POST', `/v1/invoices/${draft!.id}/finalise`);
}
