import { UsageService } from '@io/metering';
import pg from 'pg';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { aKeyInPlan, anAccount, defaultAccount } from '../support/factories.js';

const START = Date.now() - 3_600_000;
const after = (seconds: number) => new Date(START + seconds * 1_000).toISOString();

let api: TestApi;
let db: pg.Pool;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;
let epochs = 0;
let epoch: string;

beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 1 });
  afterFile(() => db.end());
});
beforeEach(async () => {
  owner = await aKeyInPlan(db, await defaultAccount(db), 'WEBSOCKET');
  epoch = `epoch-${(epochs += 1)}`;
});

const opened = (id: string, at: string, overrides: Record<string, unknown> = {}) => {
  const { keyId, apiId, stage } = owner;
  return { id, at, keyId, apiId, stage, ...overrides };
};

const send = (sequence: number, connections: unknown, records: unknown[] = []) =>
  api.call('POST', '/v1/usage/batches', {
    token: api.gatewayToken,
    body: { epoch, sequence, records, connections },
  });

/** As `GET /v1/usage` says, after what a job before an invoice does. */
async function minutes(): Promise<number> {
  await api.app.get(UsageService).rollUpNow(owner.accountId);
  const query = new URLSearchParams({
    from: after(-3_600),
    to: after(7_200),
    interval: 'month',
    keyId: owner.keyId,
    meter: 'connection-minutes',
  }).toString();
  const { status, body } = await api.call('GET', `/v1/usage?${query}`);
  expect(status).toBe(200);
  return body['items'].reduce(
    (sum: number, item: { quantity: string }) => sum + Number(item.quantity),
    0,
  );
}

async function keptOf(): Promise<unknown[]> {
  const { rows } = await db.query(
    `SELECT id FROM connection WHERE epoch = $1 UNION ALL SELECT sequence::text FROM usage_batch WHERE epoch = $1`,
    [epoch],
  );
  return rows;
}

describe('POST /v1/usage/batches with connections', () => {
  it('answers 201 and counts minutes: open ones to the heartbeat, closed ones to their close', async () => {
    const first = await send(0, {
      at: after(0),
      opened: [opened('a', after(0)), opened('b', after(0))],
    });
    expect(first).toMatchObject({ status: 201, body: { records: 0, duplicate: false } });
    expect(await minutes()).toBe(2);
    await send(1, { at: after(150), closed: [{ id: 'b', at: after(60) }] });
    expect(await minutes()).toBe(3 + 1);
    await send(2, { at: after(180), closed: [{ id: 'a', at: after(181) }] });
    expect(await minutes()).toBe(4 + 1);
  });

  it('answers 200 for the same again, which counts nothing, and 409 for other connections', async () => {
    const told = { at: after(61), opened: [opened('a', after(0))] };
    expect((await send(0, told)).status).toBe(201);
    const again = await send(0, { opened: told.opened, at: after(61).replace('Z', '+00:00') });
    expect(again).toMatchObject({ status: 200, body: { duplicate: true } });
    expect((await send(0, { ...told, at: after(62) })).status).toBe(409);
    expect((await send(0, { ...told, closed: [{ id: 'a', at: after(61) }] })).status).toBe(409);
    expect(await minutes()).toBe(2);
  });

  it.each([
    { connections: [], pointer: '/connections', why: 'no object' },
    { connections: {}, pointer: '/connections/at', why: 'no heartbeat' },
    { connections: { at: 'now' }, pointer: '/connections/at', why: 'no instant' },
    {
      connections: { at: after(0), open: [] },
      pointer: '/connections/open',
      why: 'an unknown field',
    },
    { connections: { at: after(0), opened: {} }, pointer: '/connections/opened', why: 'no list' },
    {
      connections: { at: after(0), closed: Array.from({ length: 10_001 }, () => ({})) },
      pointer: '/connections/closed',
      why: 'too many',
    },
    {
      connections: { at: after(0), closed: [null] },
      pointer: '/connections/closed/0',
      why: 'a connection that is none',
    },
    {
      connections: { at: after(0), closed: [{ id: 'a\n', at: after(0) }] },
      pointer: '/connections/closed/0/id',
      why: 'an id with a control character',
    },
    {
      connections: { at: after(0), closed: [{ id: 'a', at: after(0), keyId: 'k' }] },
      pointer: '/connections/closed/0/keyId',
      why: 'a field that a close has not',
    },
    {
      connections: {
        at: after(0),
        closed: [
          { id: 'a', at: after(0) },
          { id: 'a', at: after(0) },
        ],
      },
      pointer: '/connections/closed/1/id',
      why: 'closed twice',
    },
  ])('answers 400 for $why, and keeps nothing', async ({ connections, pointer }) => {
    const { status, body } = await send(0, connections);
    expect(status).toBe(400);
    expect(body['errors']).toMatchObject([{ pointer }]);
    expect(await keptOf()).toEqual([]);
  });

  it('answers 400 for what was opened long before the heartbeat, or twice, and for no record and no connections', async () => {
    const old = await send(0, { at: after(0), opened: [opened('a', after(-8 * 86_400))] });
    expect(old).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '/connections/opened/0/at' }] },
    });
    const twice = await send(0, {
      at: after(0),
      opened: [opened('a', after(0)), opened('a', after(0))],
    });
    expect(twice).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '/connections/opened/1/id' }] },
    });
    const empty = await send(0, undefined);
    expect(empty).toMatchObject({ status: 400, body: { errors: [{ pointer: '/records' }] } });
  });

  it('answers 422 for times that cannot be, unknown keys, and keys of others, and keeps nothing', async () => {
    const stranger = await aKeyInPlan(db, (await anAccount(db)).id);
    const faultsOf = async (connections: unknown) => {
      const { status, body } = await send(0, connections);
      expect(status).toBe(422);
      return body['errors'].map(({ pointer }: { pointer: string }) => pointer);
    };
    const future = new Date(Date.now() + 400_000).toISOString();
    expect(await faultsOf({ at: future })).toEqual(['/connections/at']);
    expect(
      await faultsOf({
        at: after(0),
        opened: [opened('a', future)],
        closed: [{ id: 'a', at: after(-500 * 86_400) }],
      }),
    ).toEqual(['/connections/opened/0/at', '/connections/closed/0/at']);
    expect(
      await faultsOf({
        at: after(0),
        opened: [
          opened('a', after(0)),
          opened('b', after(0), { keyId: stranger.keyId }),
          opened('c', after(0), { stage: 'none' }),
        ],
      }),
    ).toEqual(['/connections/opened/1/keyId', '/connections/opened/2/stage']);
    expect(await keptOf()).toEqual([]);
  });

  it('answers 422 for a connection that contradicts what was told of it, and keeps nothing of that batch', async () => {
    await send(0, { at: after(0), opened: [opened('a', after(0))] });
    await send(1, { at: after(60), closed: [{ id: 'a', at: after(50) }] });
    const kept = await keptOf();
    const wrong = await send(2, {
      at: after(90),
      opened: [opened('b', after(80)), opened('a', after(80))],
      closed: [{ id: 'a', at: after(90) }],
    });
    expect(wrong.status).toBe(422);
    expect(wrong.body['errors']).toMatchObject([
      { pointer: '/connections/opened/1' },
      { pointer: '/connections/closed/0' },
    ]);
    expect(await keptOf()).toEqual(kept);
    expect(await minutes()).toBe(1);
  });

  it('counts a connection whose batches come in the wrong order, when they are all there', async () => {
    await send(1, { at: after(200), closed: [{ id: 'a', at: after(130) }] });
    expect(await minutes()).toBe(0);
    await send(0, { at: after(1), opened: [opened('a', after(0))] });
    expect(await minutes()).toBe(3);
  });
});
