import pg from 'pg';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { Config, PolicyHistory } from '@io/platform';
import { afterFile } from '../support/after-file.js';
import { createApi } from '../../apps/api/src/api.js';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';
import { controlPlane } from '../support/control-plane.js';
import { EventReader } from '../support/event-reader.js';
import { aKeyInPlan, anAccount } from '../support/factories.js';

let api: TestApi;
let db: pg.Pool;
let key: Catalogue;
beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 3 });
  afterFile(() => db.end());
  key = await aCatalogue(api);
});
// What was changed before a test is told before it begins, also on a machine that is late.
beforeEach(async () => {
  const reader = await open();
  const { rows } = await db.query<{ id: string }>(
    'UPDATE api_key SET enabled = enabled WHERE id = $1 RETURNING pg_current_xact_id()::text AS id',
    [key.keyId],
  );
  await reader.until(() =>
    reader.events.some(({ id }) => id.split('-').includes(rows[0]?.id ?? '')),
  );
  reader.close();
});

const open = (lastEventId?: string, url = api.url) =>
  EventReader.open(url, api.gatewayToken, lastEventId);

const enable = (enabled: boolean, client: Pick<pg.Client, 'query'> = db) =>
  client.query('UPDATE api_key SET enabled = $2 WHERE id = $1', [key.keyId, enabled]);

const changeOfKey = () => ({ event: 'change', data: { keyId: key.keyId } });
const CHANGE_OF_ACCOUNT = { event: 'change', data: {} };

/** A connection of its own, for a transaction that stays open. */
async function aTransaction(): Promise<pg.PoolClient> {
  const client = await db.connect();
  onTestFinished(() => client.release(true));
  await client.query('BEGIN');
  return client;
}

describe('GET /v1/gateway/events', () => {
  it('begins with a reset, then tells of keys and of the account', async () => {
    const reader = await open();
    await enable(false);
    await db.query('UPDATE usage_plan SET rate_limit = 7, burst_limit = 7 WHERE id = $1', [
      key.usagePlanId,
    ]);
    await reader.until(() => reader.events.length === 3);
    expect(reader.events).toMatchObject([
      { event: 'reset', data: {} },
      changeOfKey(),
      CHANGE_OF_ACCOUNT,
    ]);
    const ids = reader.events.map(({ id }) => id);
    expect(new Set(ids).size).toBe(3);
  });

  it('tells a change of many rows once', async () => {
    const reader = await open();
    await db.query('UPDATE method SET http_method = http_method WHERE api_id = $1', [key.apiId]);
    await enable(true);
    await reader.until(() => reader.events.length >= 3);
    expect(reader.events).toMatchObject([{ event: 'reset' }, CHANGE_OF_ACCOUNT, changeOfKey()]);
  });

  it('tells nothing of other accounts, and nothing that was rolled back', async () => {
    const reader = await open();
    const other = await anAccount(db);
    await aKeyInPlan(db, other.id);
    const client = await aTransaction();
    await enable(false, client);
    await client.query('ROLLBACK');
    await enable(true);
    await reader.until(() => reader.events.length >= 2);
    expect(reader.events).toMatchObject([{ event: 'reset' }, changeOfKey()]);
  });

  it('goes on after the last event: what was missed comes first, also from another process', async () => {
    const first = await open();
    await enable(false);
    await first.until(() => first.events.length === 2);
    first.close();
    await enable(true);
    const second = await createApi(new Config({ ...process.env }));
    onTestFinished(() => second.close());
    await second.listen({ port: 0, host: '127.0.0.1' });
    const reader = await open(first.events.at(-1)?.id, await second.getUrl());
    await reader.until(() => reader.events.length >= 2);
    // The last one that was heard may come again: to forget twice does no harm.
    expect(reader.events.every(({ event }) => event === 'change')).toBe(true);
    expect(reader.events.at(-1)).toMatchObject(changeOfKey());
    expect(reader.events.at(-1)?.id).not.toBe(first.events.at(-1)?.id);
  });

  it('tells of a change that was made before the last event and committed after it', async () => {
    const late = await aTransaction();
    await late.query('UPDATE stage SET rate_limit = 1, burst_limit = 1 WHERE api_id = $1', [
      key.apiId,
    ]);
    const first = await open();
    await enable(false);
    await first.until(() => first.events.length === 2);
    first.close();
    await late.query('COMMIT');
    const reader = await open(first.events.at(-1)?.id);
    await reader.until(() => reader.events.length >= 2);
    expect(reader.events).toContainEqual(expect.objectContaining(CHANGE_OF_ACCOUNT));
  });

  it.each([
    { id: 'nonsense', why: 'it is no id' },
    { id: '900000000000-900000000000', why: 'it is of another database' },
    { id: '1-1', why: 'what followed it is forgotten' },
  ])('begins anew after $id: $why', async ({ id }) => {
    const history = api.app.get(PolicyHistory, { strict: false });
    await enable(true);
    await db.query("UPDATE policy_change SET at = now() - interval '2 hours'");
    await enable(false);
    await history.trim();
    const reader = await open(id);
    await reader.until(() => reader.events.length > 0);
    expect(reader.events[0]).toMatchObject({ event: 'reset', data: {} });
  });

  it('forgets nothing that a stream may still ask for while a transaction is open', async () => {
    const history = api.app.get(PolicyHistory, { strict: false });
    const late = await aTransaction();
    await late.query('UPDATE stage SET rate_limit = 2, burst_limit = 2 WHERE api_id = $1', [
      key.apiId,
    ]);
    const first = await open();
    await enable(true);
    await first.until(() => first.events.length === 2);
    first.close();
    await enable(false);
    await db.query("UPDATE policy_change SET at = now() - interval '2 hours'");
    await history.trim();
    await late.query('COMMIT');
    const reader = await open(first.events.at(-1)?.id);
    await reader.until(() => reader.events.length >= 3);
    expect(reader.events.map(({ event }) => event)).not.toContain('reset');
    expect(reader.events).toContainEqual(expect.objectContaining(CHANGE_OF_ACCOUNT));
  });

  it('cuts a reader that does not read, and goes on for the others', async () => {
    const reader = await open();
    const slow = await open();
    slow.pause();
    // More than the system keeps of a connection that nobody reads.
    for (let round = 1; round <= 60; round += 1) {
      await db.query(
        `SELECT pg_notify('tollgate_policy', json_build_object('accountId', $1::text, 'keyId', repeat('k', 7000),
           'transaction', n, 'horizon', 1)::text) FROM generate_series(1, 80) n`,
        [key.accountId],
      );
      await reader.until(() => reader.events.length >= round * 80);
    }
    slow.resume();
    await slow.until(() => slow.hasEnded);
    expect(slow.events.length).toBeLessThan(4_800);
    expect(reader.hasEnded).toBe(false);
  });

  it('ends within a second when its token is revoked, and when its gateway is disabled', async () => {
    const make = controlPlane(api);
    const ends = [
      (_gateway: string, token: string) => api.call('DELETE', `/v1/tokens/${token}`),
      (gateway: string) =>
        api.call('PATCH', `/v1/gateways/${gateway}`, { body: { disabled: true } }),
    ];
    for (const end of ends) {
      const { id } = await make.gateway(`gateway ${ends.indexOf(end)}`);
      const { body: token } = await api.call('POST', `/v1/gateways/${id}/tokens`, {
        body: { name: 'second' },
      });
      const reader = await EventReader.open(api.url, token['value']);
      await reader.until(() => reader.events.length === 1);
      const { status } = await end(id, token['id']);
      expect(status).toBeLessThan(300);
      await reader.until(() => reader.hasEnded, 1_000);
    }
  });

  it('ends when this process no longer hears of changes, and is open to all again when it does', async () => {
    const reader = await open();
    await reader.until(() => reader.events.length === 1);
    await db.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'tollgate policy events'`,
    );
    await reader.until(() => reader.hasEnded);
    await expect
      .poll(() =>
        open(reader.events[0]?.id).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
  });

  it('ends when the process stops, which does not wait for it', async () => {
    const app = await createApi(new Config({ ...process.env }));
    await app.listen({ port: 0, host: '127.0.0.1' });
    const reader = await open(undefined, await app.getUrl());
    await app.close();
    await reader.until(() => reader.hasEnded, 1_000);
    expect(reader.events).toMatchObject([{ event: 'reset' }]);
  });

  it('is for gateways only', async () => {
    for (const [token, status] of [
      [null, 401],
      [api.ownerToken, 403],
    ] as const) {
      expect((await api.call('GET', '/v1/gateway/events', { token })).status).toBe(status);
    }
  });
});
