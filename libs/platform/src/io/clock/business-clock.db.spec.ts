import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../../test/support/database.js';
import { anAccount } from '../../../../../test/support/factories.js';
import { Config } from '../config/config.js';
import { Database } from '../database/database.js';
import { BusinessClock } from './business-clock.js';
import { SystemClock } from './system-clock.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';

let db: Database;
beforeAll(async () => {
  db = new Database(
    new Config({ DATABASE_URL: await createTestDatabase(), TOLLGATE_SECRET: SECRET }),
  );
  afterFile(() => db.onApplicationShutdown());
});

/** Adding 0 makes 0 of -0, which is another value to `toBe`. */
const aheadMs = (now: Date) => Math.round((now.getTime() - Date.now()) / 60_000) * 60_000 + 0;

describe('BusinessClock', () => {
  it('is the system time of a live account, and stays with a test account wherever it is moved', async () => {
    const clock = new BusinessClock(db, new SystemClock());
    const live = await anAccount(db.pool, { mode: 'live' });
    const test = await anAccount(db.pool);
    for (const offsetMs of [0, 3_600_000, 86_400_000]) {
      await db.pool.query('UPDATE account SET clock_offset_ms = $2 WHERE id = $1', [
        test.id,
        offsetMs,
      ]);
      expect(aheadMs(await clock.now(live.id))).toBe(0);
      expect(aheadMs(await clock.now(test.id))).toBe(offsetMs);
    }
  });

  it('knows no account that is not there', async () => {
    await expect(new BusinessClock(db, new SystemClock()).now('acc_gone')).rejects.toThrow();
  });
});
