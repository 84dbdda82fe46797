import { AuditService } from '@io/identity';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';

let api: TestApi;
let db: pg.Pool;
let accountId: string;
beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl });
  afterFile(() => db.end());
  accountId = (await api.call('GET', '/v1/account')).body.id;
  const make = controlPlane(api);
  const plan = await make.usagePlan({ apiStages: [await make.apiStage()] });
  const key = await make.apiKey({ name: 'web' });
  await api.call('POST', `/v1/usage-plans/${plan.id}/keys`, { body: { keyId: key.id } });
  await api.call('PATCH', `/v1/api-keys/${key.id}`, { body: { enabled: false } });
  await make.gateway('edge');
  await make.customerToken(key.customerId);
});

const verify = () => api.app.get(AuditService, { strict: false }).verify(accountId);

describe('GET /v1/audit-events', () => {
  it('200: tells who changed what, before and after', async () => {
    const { body } = await api.call('GET', '/v1/audit-events?limit=500');
    const update = body.items.find(({ action }: { action: string }) => action === 'update-api-key');
    expect(update).toMatchObject({
      principalId: expect.stringMatching(/^tok_/),
      before: { name: 'web', enabled: true },
      after: { name: 'web', enabled: false },
    });
    expect(body.items.map(({ sequence }: { sequence: number }) => sequence)).toEqual(
      body.items.map((_: unknown, i: number) => body.items.length - 1 - i),
    );
  });

  it('200: pages', async () => {
    const first = await api.call('GET', '/v1/audit-events?limit=2');
    const second = await api.call('GET', `/v1/audit-events?limit=2&cursor=${first.body.next}`);
    expect(second.body.items[0].sequence).toBe(first.body.items[1].sequence - 1);
  });

  it('200: holds no secret', async () => {
    const { body } = await api.call('GET', '/v1/audit-events?limit=500');
    expect(JSON.stringify(body)).not.toMatch(/tg_(live|test)_|tg[owc]_[0-9A-Za-z]{40}/);
  });

  it('403: is for owners and admins', async () => {
    const make = controlPlane(api);
    for (const [role, status] of [
      ['admin', 200],
      ['finance', 403],
      ['support', 403],
      ['read-only', 403],
    ] as const) {
      const { value: token } = await make.operatorToken(role);
      expect((await api.call('GET', '/v1/audit-events', { token })).status).toBe(status);
    }
  });
});

describe('the chain of events', () => {
  it('fits from the first event to the last', async () => {
    const { rows } = await db.query(
      'SELECT count(*)::int AS n FROM audit_event WHERE account_id = $1',
      [accountId],
    );
    expect(await verify()).toMatchObject({ events: rows[0].n, brokenAt: null });
  });

  it('is kept by the database: no event is changed, deleted or truncated', async () => {
    await expect(db.query(`UPDATE audit_event SET action = 'x'`)).rejects.toThrow('never change');
    await expect(db.query('DELETE FROM audit_event')).rejects.toThrow('never change');
    await expect(db.query('TRUNCATE audit_event')).rejects.toThrow('never change');
  });

  it.each([
    { column: 'at', sql: `SET at = at + interval '1 ms'` },
    { column: 'principal_id', sql: `SET principal_id = 'tok_other'` },
    { column: 'action', sql: `SET action = 'other'` },
    { column: 'subject', sql: `SET subject = 'other'` },
    { column: 'before', sql: `SET before = '{"name":"other"}'` },
    { column: 'after', sql: `SET after = NULL` },
    { column: 'previous_hash', sql: `SET previous_hash = decode(repeat('00', 32), 'hex')` },
    { column: 'hash', sql: `SET hash = decode(repeat('00', 32), 'hex')` },
    { column: 'sequence', sql: `SET sequence = sequence + 1000000` },
    { column: 'account_id', sql: `SET account_id = 'acc_other'` },
  ])('shows when somebody with all rights changes $column', async ({ sql }) => {
    const client = await db.connect();
    await client.query(`ALTER TABLE audit_event DISABLE TRIGGER USER;
      ALTER TABLE audit_event DROP CONSTRAINT IF EXISTS audit_event_account_id_fkey;
      CREATE TABLE kept AS SELECT * FROM audit_event`);
    try {
      await client.query(`UPDATE audit_event ${sql} WHERE account_id = $1 AND sequence = 3`, [
        accountId,
      ]);
      expect(await verify()).toMatchObject({ events: 3, brokenAt: 3 });
    } finally {
      await client.query(`DELETE FROM audit_event;
        INSERT INTO audit_event SELECT * FROM kept;
        DROP TABLE kept;
        ALTER TABLE audit_event ENABLE TRIGGER USER`);
      client.release();
    }
    expect(await verify()).toMatchObject({ brokenAt: null });
  });
});
