import { readFileSync } from 'node:fs';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aGateway, aKeyInPlan, anAccount } from '../../../../test/support/factories.js';

const MIGRATION = 'prisma/migrations/20261122072000_usage_quarters/migration.sql';

let db: pg.Pool;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;

beforeAll(async () => {
  db = new pg.Pool({ connectionString: await createTestDatabase(), max: 1 });
  afterFile(() => db.end());
  const account = await anAccount(db);
  const gateway = await aGateway(db, { account_id: account.id });
  owner = await aKeyInPlan(db, account.id);
  await db.query(
    `ALTER TABLE usage_hour DROP COLUMN quantity_15, DROP COLUMN quantity_30, DROP COLUMN quantity_45`,
  );
  await db.query(
    `INSERT INTO usage_batch (id, account_id, gateway_id, epoch, sequence, content_hash, record_count, received_at, rolled_up_at)
     VALUES (1, $1, $2, 'e', 0, sha256('0'), 1, '2026-11-02', '2026-11-02'), (2, $1, $2, 'e', 1, sha256('1'), 1, '2026-11-02', NULL)`,
    [owner.accountId, gateway.id],
  );
});

const KEY =
  'customer_id, key_id, api_id, stage, usage_plan_id, account_id, method, resource_path, status_class, meter';
const keyValues = () => [
  owner.customerId,
  owner.keyId,
  owner.apiId,
  owner.stage,
  owner.usagePlanId,
  owner.accountId,
];

describe('the migration that gives hours their quarters', () => {
  it('fills them from the records that were rolled up, and keeps sums whose records are gone', async () => {
    const insert = (rows: string, table: string, columns: string) =>
      db.query(
        `INSERT INTO ${table} (${KEY}, ${columns})
         SELECT $1, $2, $3, $4, $5, $6, 'GET', '/', '2xx', 'calls', v.* FROM (VALUES ${rows}) v`,
        keyValues(),
      );
    await insert(
      `(timestamptz '2026-11-01 10:00Z', 15), ('2026-11-01 11:00Z', 7), ('2025-01-01 00:00Z', 100)`,
      'usage_hour',
      'hour, quantity',
    );
    await insert(
      `(1, 0, timestamptz '2026-11-01 10:14:59.999Z', timestamptz '2026-11-02', 1), (1, 1, '2026-11-01 10:15Z', '2026-11-02', 2),
       (1, 2, '2026-11-01 10:44Z', '2026-11-02', 4), (1, 3, '2026-11-01 10:45Z', '2026-11-02', 8),
       (1, 4, '2026-11-01 11:00Z', '2026-11-02', 7), (2, 0, '2026-11-01 10:20Z', '2026-11-02', 1000)`,
      'usage_record',
      'batch_id, ordinal, at, received_at, quantity',
    );
    await db.query(`SET TIME ZONE 'Asia/Kolkata'`);
    await db.query(readFileSync(MIGRATION, 'utf8'));
    const { rows } = await db.query(
      `SELECT array_agg(trim_scale(v)::text ORDER BY hour, n) AS found FROM usage_hour,
         LATERAL (VALUES (0, quantity), (1, quantity_15), (2, quantity_30), (3, quantity_45)) q(n, v)`,
    );
    expect(rows[0].found).toEqual(['100', '0', '0', '0', '15', '2', '4', '8', '7', '0', '0', '0']);
  });
});
