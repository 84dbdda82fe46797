import { readCloudEvent, UnusableEvents } from '@core/metering';
import { Config, Database, PolicyEvents, SystemClock } from '@io/platform';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { anEvent } from '../../../../test/support/events.js';
import { aGateway, aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import { CustomMetersRepository } from './custom-meters.repository.js';
import { EventIngestionService } from './event-ingestion.service.js';
import { EventPayersRepository } from './event-payers.repository.js';
import { EventsRepository } from './events.repository.js';
import { IncidentsRepository } from './incidents.repository.js';
import { PlainEventsService } from './plain-events.service.js';
import { RollUpWakeUp } from './roll-up-wake-up.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';

let db: Database;
let plain: PlainEventsService;
let ingestion: EventIngestionService;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;
let source: { accountId: string; gatewayId: string };

beforeAll(async () => {
  const config = new Config({ DATABASE_URL: await createTestDatabase(), TOLLGATE_SECRET: SECRET });
  db = new Database(config);
  afterFile(() => db.onApplicationShutdown());
  const account = await anAccount(db.pool);
  const gateway = await aGateway(db.pool, { account_id: account.id });
  source = { accountId: account.id, gatewayId: gateway.id };
  owner = await aKeyInPlan(db.pool, account.id);
});

/** Services that know nothing yet, as those of a process that has just started. */
beforeEach(() => {
  const clock = new SystemClock();
  const meters = new CustomMetersRepository(db);
  const config = new Config({ DATABASE_URL: 'postgres://localhost/none', TOLLGATE_SECRET: SECRET });
  const payers = new EventPayersRepository(db, clock, new PolicyEvents(config, clock));
  const events = new EventsRepository(db, clock);
  plain = new PlainEventsService(meters, payers, events);
  ingestion = new EventIngestionService(
    plain,
    meters,
    payers,
    events,
    new IncidentsRepository(db),
    clock,
    { wake: () => undefined } as RollUpWakeUp,
  );
});

let types = 0;
/** Meters of a new event type, which have counted when `isUsed`. */
async function someMeters({ isUsed = true } = {}): Promise<string> {
  const eventType = `type-${(types += 1)}`;
  const define = (name: string, rest: Record<string, unknown>) =>
    db.pool.query(
      'INSERT INTO meter (account_id, name, definition, used_at) VALUES ($1, $2, $3, $4)',
      [
        source.accountId,
        `${name}-${types}`,
        JSON.stringify({ eventType, filter: [], groupBy: {}, ...rest }),
        isUsed ? new Date() : null,
      ],
    );
  await define('tokens', { aggregation: 'sum', valuePath: '$.data.tokens' });
  await define('chats', { aggregation: 'count', groupBy: { model: '$.data.model' } });
  await define('users', { aggregation: 'unique-count', valuePath: '$.data.user' });
  await define('large', {
    aggregation: 'max',
    valuePath: '$.data.tokens',
    filter: [{ path: '$.data.model', anyOf: ['large'] }],
  });
  return eventType;
}

const aChat = (type: string, overrides: Record<string, unknown> = {}) => {
  const data = { tokens: 12, model: 'large', user: 'u1' };
  return anEvent({ type, subject: owner.keyId, data, ...overrides });
};

const bytesOf = (events: readonly unknown[]) => new TextEncoder().encode(JSON.stringify(events));
const receivePlain = (events: readonly unknown[], now = new Date()) =>
  plain.receive(source, bytesOf(events), now);

/** Takes events as any others. */
const receiveAny = (sent: readonly unknown[]) => {
  const events = sent.map((json) => readCloudEvent(json, '', [])).filter((event) => event !== null);
  const read = () => ({
    events,
    pointerOf: (index: number, pointer: string) => `/${index}${pointer}`,
  });
  return ingestion.receive(source, { batch: null, read }, new Date());
};

/** All that readings of a type's events say, but when they came and in which batch. */
async function readingsOf(type: string) {
  const { rows } = await db.pool.query<Record<string, unknown>>(
    `SELECT to_jsonb(r) - 'batch_id' - 'received_at' - 'event_id' AS reading, r.event_id FROM meter_reading r
     WHERE meter IN (SELECT name FROM meter WHERE definition->>'eventType' = $1)
     ORDER BY event_id, meter`,
    [type],
  );
  return rows;
}

const stored = async () => {
  const { rows } = await db.pool.query<Record<string, number>>(`
    SELECT (SELECT count(*)::int FROM event_identity) AS identities, (SELECT count(*)::int FROM event_batch) AS batches,
      (SELECT count(*)::int FROM meter_reading) AS readings`);
  return rows[0];
};

describe('PlainEventsService', () => {
  it('keeps of new events what is kept of any others', async () => {
    const type = await someMeters();
    const at = '2026-11-22T07:31:00.123456Z';
    const now = new Date('2026-11-22T08:00:00Z');
    const sent = [
      aChat(type, { time: at }),
      aChat(type, { time: at, data: { user: 7, tokens: 0.25, model: 'größe' } }),
      aChat(type, { time: at, data: { user: true, tokens: '12345678901234567890.5' } }),
      aChat(type, {
        time: at,
        subject: owner.customerId,
        tollgatekeyid: owner.keyId,
        tollgateapiid: owner.apiId,
        tollgatestage: owner.stage,
      }),
    ];
    expect(await receivePlain(sent, now)).toEqual({ events: 4, readings: 14 });
    const plainRows = await readingsOf(type);
    expect(plainRows).toHaveLength(14);
    // Those that are read apart are known by the same identity and content,
    expect(await receiveAny(sent)).toMatchObject({ accepted: 0, duplicates: 4 });
    // and others with the same content leave the same rows.
    const others = sent.map((event, n) => ({ ...event, id: `${String(event['id'])}-other-${n}` }));
    expect(await receiveAny(others)).toMatchObject({ accepted: 4 });
    const rows = (await readingsOf(type)).filter(({ event_id: id }) => /other/.test(String(id)));
    expect(rows.map(({ reading }) => reading)).toEqual(plainRows.map(({ reading }) => reading));
    const { rows: batches } = await db.pool.query(
      `SELECT event_count, account_id, gateway_id, received_at = r.at AS same FROM event_batch b
       JOIN (SELECT batch_id, max(received_at) AS at FROM meter_reading GROUP BY 1) r ON r.batch_id = b.id
       ORDER BY id`,
    );
    const { accountId: account_id, gatewayId: gateway_id } = source;
    const batch = { event_count: 4, account_id, gateway_id, same: true };
    expect(batches).toEqual([batch, batch]);
  });

  it('says that an event without a time happened now', async () => {
    const type = await someMeters();
    const now = new Date('2026-11-22T08:00:00.250Z');
    expect(await receivePlain([aChat(type, { time: undefined })], now)).toMatchObject({
      events: 1,
    });
    expect((await readingsOf(type))[0]).toMatchObject({
      reading: { at: '2026-11-22T08:00:00.25+00:00' },
    });
  });

  it('leaves what it does not take untouched', async () => {
    const type = await someMeters();
    const unused = await someMeters({ isUsed: false });
    const known = aChat(type);
    await receivePlain([known]);
    const before = await stored();
    for (const [why, sent] of Object.entries({
      'has an impossible time': [aChat(type), aChat(type, { time: '2020-01-01T00:00:00Z' })],
      'is of the future': [aChat(type, { time: '2199-01-01T00:00:00Z' })],
      'has no payer': [aChat(type), aChat(type, { subject: 'nobody' })],
      'is of a type that nothing counts': [aChat(type), aChat('nothing')],
      'cannot be counted': [aChat(type), aChat(type, { data: { tokens: -1 } })],
      'is the first that a meter counts': [aChat(unused)],
    }))
      expect({ why, taken: await receivePlain(sent) }).toEqual({ why, taken: null });
    expect(await receivePlain([aChat(type), known])).toBeNull();
    // A gateway that repeats itself is left to the other from then on.
    expect(await receivePlain([aChat(type)])).toBeNull();
    expect(await stored()).toEqual(before);
  });

  it('leaves an event that came twice', async () => {
    const type = await someMeters();
    const before = await stored();
    const twice = aChat(type);
    expect(await receivePlain([twice, twice])).toBeNull();
    expect(await stored()).toEqual(before);
  });

  it('takes nothing by meters that are others by now', async () => {
    const type = await someMeters();
    await receivePlain([aChat(type)]);
    const before = await stored();
    await db.pool.query(
      `UPDATE meter SET is_active = false WHERE definition->>'eventType' = $1 AND name LIKE 'users%'`,
      [type],
    );
    expect(await receivePlain([aChat(type)])).toBeNull();
    expect(await stored()).toEqual(before);
    // Whoever takes it then reads them anew.
    expect(await receiveAny([aChat(type)])).toMatchObject({ accepted: 1 });
    expect(await receivePlain([aChat(type)])).toEqual({ events: 1, readings: 3 });
  });

  it('takes each event once that comes in many requests at the same moment', async () => {
    const type = await someMeters();
    const sent = Array.from({ length: 50 }, () => aChat(type));
    const before = await stored();
    const requests = Array.from({ length: 8 }, async (_, n) => {
      const events = n % 2 === 0 ? sent : sent.toReversed();
      return (await receivePlain(events)) === null ? receiveAny(events) : null;
    });
    const answers = await Promise.all(requests);
    expect(answers.filter((answer) => answer === null).length).toBeLessThanOrEqual(1);
    const after = await stored();
    expect(after?.['identities']).toBe((before?.['identities'] ?? 0) + 50);
    expect(after?.['readings']).toBe((before?.['readings'] ?? 0) + 200);
  });

  it('goes on after a request that the database refused', async () => {
    const type = await someMeters();
    const gone = { ...source, gatewayId: 'gw_gone' };
    await expect(plain.receive(gone, bytesOf([aChat(type)]), new Date())).rejects.toThrow(
      /foreign key/,
    );
    for (let n = 0; n < 12; n += 1)
      expect(await receivePlain([aChat(type)])).toEqual({ events: 1, readings: 4 });
  });

  it('lets a meter be claimed by the first event, and by no later one', async () => {
    const type = await someMeters({ isUsed: false });
    const send = (event: unknown) =>
      ingestion.receive(source, { batch: bytesOf([event]), read: () => read(event) }, new Date());
    const read = (event: unknown) => {
      const one = readCloudEvent(event, '', []);
      if (!one) throw new UnusableEvents([]);
      return { events: [one], pointerOf: (_: number, pointer: string) => pointer };
    };
    expect(await send(aChat(type))).toMatchObject({ accepted: 1 });
    const versions = async () => {
      const { rows } = await db.pool.query(
        `SELECT xmin::text FROM meter WHERE definition->>'eventType' = $1 ORDER BY name`,
        [type],
      );
      return rows;
    };
    const claimed = await versions();
    expect(await send(aChat(type))).toMatchObject({ accepted: 1 });
    expect(await receiveAny([aChat(type)])).toMatchObject({ accepted: 1 });
    expect(await versions()).toEqual(claimed);
    expect(await receivePlain([aChat(type)])).toEqual({ events: 1, readings: 4 });
  });
});
