import pg from 'pg';
import { expect, it } from 'vitest';
import { afterFile } from '../../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../../test/support/database.js';
import { Config } from '../config/config.js';
import { Database } from './database.js';

it('means the same instants whatever the time zone of the server', async () => {
  const url = await createTestDatabase();
  const owner = new pg.Client(url);
  await owner.connect();
  await owner.query(
    `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET timezone = 'Asia/Kathmandu'`,
  );
  await owner.end();
  const db = new Database(
    new Config({
      DATABASE_URL: url,
      TOLLGATE_SECRET: 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=',
    }),
  );
  afterFile(() => db.onApplicationShutdown());
  const at = new Date('2026-11-22T10:00:00.005Z');
  const [row] = await db.$queryRaw<{ ms: number; at: Date; isSame: boolean }[]>`
    SELECT (1000 * extract(epoch FROM ${at}::timestamptz))::float AS ms, ${at}::timestamptz AS at,
      ${at} = timestamptz '2026-11-22 10:00:00.005Z' AS "isSame"`;
  expect(row).toEqual({ ms: at.getTime(), at, isSame: true });
});
