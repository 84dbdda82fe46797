import { Logger } from '@nestjs/common';
import { UnusableConnections, type ConnectionEvents } from '@core/metering';
import { Config, Database } from '@io/platform';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aGateway, aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import { SetClock } from '../../../../test/support/set-clock.js';
import { ConnectionsRepository } from './connections.repository.js';
import { ConnectionsService } from './connections.service.js';
import { RollUpProofRepository } from './roll-up-proof.repository.js';
import { RollUpProofService } from './roll-up-proof.service.js';
import { RollUpRepository } from './roll-up.repository.js';
import { UsageBatchesRepository } from './usage-batches.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY = Date.UTC(2026, 10, 10);
const SILENT_MS = 181 * SECOND_MS;

let db: Database;
let clock: SetClock;
let batches: UsageBatchesRepository;
let connections: ConnectionsService;
let rollUps: RollUpRepository;
let proofs: RollUpProofService;
let source: { accountId: string; gatewayId: string };
let epochs = 0;

beforeAll(async () => {
  Logger.overrideLogger(false);
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  clock = new SetClock(DAY + 36 * HOUR_MS);
  batches = new UsageBatchesRepository(db, clock);
  connections = new ConnectionsService(new ConnectionsRepository(db, clock), clock);
  rollUps = new RollUpRepository(db, clock);
  proofs = new RollUpProofService(new RollUpProofRepository(db, clock));
  const account = await anAccount(db.pool);
  const gateway = await aGateway(db.pool, { account_id: account.id });
  source = { accountId: account.id, gatewayId: gateway.id };
});

type Owner = Awaited<ReturnType<typeof aKeyInPlan>>;

/** A gateway's process with a key of its own, so that each test counts its minutes alone. */
async function aProcess() {
  const owner = await aKeyInPlan(db.pool, source.accountId);
  epochs += 1;
  const epoch = `e${epochs}`;
  let next = 0;
  const send = async (
    { at, opened = [], closed = [] }: Told,
    sequence: number = (next += 1),
  ): Promise<void> => {
    const events: ConnectionEvents = {
      at: DAY + at,
      opened: opened.map(([id, openedAt]) => ({ ...owner, id, at: DAY + openedAt })),
      closed: closed.map(([id, closedAt]) => ({ id, at: DAY + closedAt })),
    };
    const batch = {
      epoch,
      sequence,
      records: [],
      instants: new Float64Array(),
      connections: events,
    };
    await batches.store(
      source,
      batch,
      opened.map(() => owner),
      Buffer.alloc(32),
    );
  };
  return { owner, epoch, send };
}

/** In milliseconds of the day. */
type Event = readonly [id: string, at: number];
interface Told {
  readonly at: number;
  readonly opened?: readonly Event[];
  readonly closed?: readonly Event[];
}

/** Minutes by the minute of the day in which they started, as they are rolled up and as records say. */
async function minutesOf({ keyId }: Owner): Promise<Record<number, number>> {
  const { rows } = await db.pool.query<{ minute: number; quantity: number }>(
    `SELECT (extract(epoch FROM at - $2) / 60)::int AS minute, sum(quantity)::int AS quantity FROM usage_record
     WHERE key_id = $1 AND meter = 'connection-minutes' GROUP BY 1 HAVING sum(quantity) <> 0 ORDER BY 1`,
    [keyId, new Date(DAY)],
  );
  return Object.fromEntries(rows.map(({ minute, quantity }) => [minute, quantity]));
}

async function rolledUpOf({ keyId }: Owner): Promise<number> {
  const { rows } = await db.pool.query<{ sum: string }>(
    `SELECT coalesce(sum(quantity), 0) AS sum FROM usage_hour WHERE key_id = $1 AND meter = 'connection-minutes'`,
    [keyId],
  );
  return Number(rows[0]?.sum);
}

async function rollUp(): Promise<void> {
  while ((await rollUps.rollUp(source.accountId)) > 0);
}

/** Everything that is told, counted and rolled up, as before an invoice. */
async function settle(): Promise<void> {
  await rollUp();
  await connections.count(source.accountId);
  await rollUp();
}

const sum = (minutes: Record<number, number>) =>
  Object.values(minutes).reduce((total, n) => total + n, 0);

/** A life, and when its gateway told what: a heartbeat each half minute until it was killed. */
const life = fc.record({
  openedAt: fc.integer({ min: 0, max: 10 * MINUTE_MS }),
  livesMs: fc.oneof(
    fc.integer({ min: 0, max: 20 * MINUTE_MS }),
    fc.integer({ min: 0, max: 20 }).map((minutes) => minutes * MINUTE_MS),
    fc.integer({ min: 0, max: 30 * HOUR_MS }),
  ),
});

describe('minutes of connections', () => {
  it('are ⌈life⌉ and at least one, in the minutes they started in, in whatever order batches come, however often, and whoever counts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(life, { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 0, max: 31 * HOUR_MS }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(), { minLength: 40, maxLength: 40 }),
        fc.nat(2),
        async (lives, cuts, order, lost) => {
          const { owner, send } = await aProcess();
          const edges = cuts.toSorted((a, b) => a - b);
          const inCut = (at: number, index: number) =>
            at <= (edges[index] ?? 0) && at > (edges[index - 1] ?? -1);
          const told = edges.map((at, index): Told => ({
            at,
            opened: lives.flatMap(({ openedAt }, n) =>
              inCut(openedAt, index) ? [[`c${n}`, openedAt] as const] : [],
            ),
            closed: lives.flatMap(({ openedAt, livesMs }, n) =>
              inCut(openedAt + livesMs, index) ? [[`c${n}`, openedAt + livesMs] as const] : [],
            ),
          }));
          const numbered = told.map((batch, sequence) => ({ batch, sequence }));
          const kept = numbered.slice(0, Math.max(1, numbered.length - lost));
          const deliveries = [...kept, ...kept].toSorted(
            (a, b) =>
              (order[a.sequence] ?? 0) - (order[b.sequence] ?? 0) || a.sequence - b.sequence,
          );
          // Batches come while several workers count, sweep and roll up.
          const works = async () => {
            for (const each of deliveries) {
              await send(each.batch, each.sequence);
              clock.at += (each.sequence % 2) * SILENT_MS;
              await connections.run();
              await rollUps.rollUp(source.accountId);
            }
          };
          await Promise.all([works(), works()]);
          clock.at += SILENT_MS;
          await Promise.all([connections.run(), connections.run(), connections.run()]);
          await settle();

          const heartbeat = Math.max(...kept.map(({ batch }) => batch.at));
          const expected: Record<number, number> = {};
          for (const { openedAt, livesMs } of lives) {
            if (openedAt > heartbeat) continue;
            const until = Math.min(openedAt + livesMs, heartbeat);
            const minutes = Math.max(1, Math.ceil((until - openedAt) / MINUTE_MS));
            for (let n = 0; n < minutes; n += 1) {
              const minute = Math.floor(openedAt / MINUTE_MS) + n;
              expected[minute] = (expected[minute] ?? 0) + 1;
            }
          }
          expect(await minutesOf(owner)).toEqual(expected);
          expect(await rolledUpOf(owner)).toBe(sum(expected));
        },
      ),
      { numRuns: 25 },
    );
    const days = { from: new Date(DAY), to: new Date(DAY + 48 * HOUR_MS) };
    for await (const day of proofs.rebuild({
      accountId: source.accountId,
      period: days,
      isDryRun: true,
    }))
      expect(day.outcome).toBe('equal');
  });

  it('count once when many workers count and sweep at once', async () => {
    const { owner, send } = await aProcess();
    const opened = Array.from({ length: 500 }, (_, n) => [`c${n}`, n] as const);
    await send({ at: 10 * MINUTE_MS, opened });
    clock.at += SILENT_MS;
    await Promise.all(Array.from({ length: 6 }, () => connections.run()));
    await settle();
    expect(sum(await minutesOf(owner))).toBe(500 * 10);
    expect(await rolledUpOf(owner)).toBe(500 * 10);
  });

  it('end with the last heartbeat of a gateway that died, and not while it is heard of', async () => {
    const { owner, epoch, send } = await aProcess();
    const swept = async () => {
      const { rows } = await db.pool.query(
        'SELECT swept_at IS NOT NULL AS swept FROM connection_epoch WHERE epoch = $1',
        [epoch],
      );
      return rows[0].swept;
    };
    await send({ at: 0, opened: [['c', 0]] });
    await send({ at: 90 * SECOND_MS });
    await connections.run();
    clock.at += SILENT_MS - 2 * SECOND_MS;
    await send({ at: 200 * SECOND_MS });
    clock.at += 3 * SECOND_MS;
    await connections.run();
    expect(await swept()).toBe(false);
    clock.at += SILENT_MS;
    await connections.run();
    expect(await swept()).toBe(true);
    expect(await minutesOf(owner)).toEqual({ 0: 1, 1: 1, 2: 1, 3: 1 });
  });

  it.each([
    { closedAt: 250, minutes: 5, why: 'extends what was counted' },
    { closedAt: 180, minutes: 3, why: 'changes nothing' },
    { closedAt: 170, minutes: 3, why: 'changes nothing within the minute' },
    { closedAt: 61, minutes: 2, why: 'takes back what was too much' },
    { closedAt: 0, minutes: 1, why: 'leaves one minute' },
  ])('of a swept connection: a late close at $closedAt s $why', async ({ closedAt, minutes }) => {
    const { owner, send } = await aProcess();
    await send({ at: 180 * SECOND_MS, opened: [['c', 0]] });
    clock.at += SILENT_MS;
    await connections.run();
    await settle();
    expect(await rolledUpOf(owner)).toBe(3);
    await send({ at: closedAt * SECOND_MS, closed: [['c', closedAt * SECOND_MS]] });
    for (let run = 0; run < 2; run += 1) {
      await connections.run();
      await settle();
      expect(await rolledUpOf(owner)).toBe(minutes);
    }
    // Nor does the gateway that is silent again.
    clock.at += SILENT_MS;
    await connections.run();
    await settle();
    expect(sum(await minutesOf(owner))).toBe(minutes);
  });

  it('go on when a gateway that was given up on is heard of again', async () => {
    const { owner, send } = await aProcess();
    await send({ at: 60 * SECOND_MS, opened: [['c', 0]] });
    clock.at += SILENT_MS;
    await connections.run();
    await send({ at: 600 * SECOND_MS });
    await settle();
    expect(await rolledUpOf(owner)).toBe(10);
  });

  it('fall into the hours of a connection that lives for days while it is open', async () => {
    const { owner, send } = await aProcess();
    await send({ at: 0, opened: [['c', 30 * SECOND_MS]] });
    await send({ at: 72 * HOUR_MS });
    await settle();
    const { rows } = await db.pool.query<{ hour: Date; quantity: string }>(
      `SELECT hour, quantity FROM usage_hour WHERE key_id = $1 ORDER BY hour`,
      [owner.keyId],
    );
    expect(rows).toHaveLength(72);
    expect(new Set(rows.map(({ quantity }) => Number(quantity)))).toEqual(new Set([60]));
    await send({ at: 72 * HOUR_MS + 1, closed: [['c', 72 * HOUR_MS + 30 * SECOND_MS + 1]] });
    await settle();
    expect(await rolledUpOf(owner)).toBe(72 * 60 + 1);
  });

  it('are of one connection however often a gateway says that it was opened', async () => {
    const { owner, send } = await aProcess();
    await send({ at: 90 * SECOND_MS, opened: [['c', 0]] });
    await settle();
    await send({ at: 120 * SECOND_MS, opened: [['c', 0]], closed: [['c', 119 * SECOND_MS]] });
    await settle();
    await send({ at: 180 * SECOND_MS, closed: [['c', 119 * SECOND_MS]] });
    await settle();
    expect(await rolledUpOf(owner)).toBe(2);
    await expect(send({ at: 0, opened: [['c', 1]] })).rejects.toThrow(UnusableConnections);
    await expect(send({ at: 0, opened: [['d', 1]], closed: [['c', 5]] })).rejects.toMatchObject({
      facts: { errors: [{ pointer: '/connections/closed/0' }] },
    });
    await settle();
    expect(await rolledUpOf(owner)).toBe(2);
  });

  it('of connections that are forgotten stay counted', async () => {
    const { owner, epoch, send } = await aProcess();
    await send({
      at: 60 * SECOND_MS,
      opened: [
        ['c', 0],
        ['d', 0],
      ],
      closed: [['c', 60_000]],
    });
    await settle();
    const left = async () => {
      const { rows } = await db.pool.query('SELECT id FROM connection WHERE epoch = $1', [epoch]);
      return rows.map(({ id }) => id);
    };
    clock.at += 8 * 24 * HOUR_MS;
    await connections.run();
    expect(await left()).toEqual(['d']);
    clock.at += 500 * 24 * HOUR_MS;
    await connections.run();
    expect(await left()).toEqual([]);
    await settle();
    expect(await rolledUpOf(owner)).toBe(2);
  });
});
