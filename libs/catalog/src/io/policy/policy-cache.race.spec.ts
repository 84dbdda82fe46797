import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { PolicySource } from '@io/limits';
import { Database, PolicyEvents } from '@io/platform';
import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../../../../test/support/api.js';
import { aCatalogue, type Catalogue } from '../../../../../test/support/catalogue.js';

let api: TestApi;
let db: Database;
let policies: PolicySource;
let events: PolicyEvents;
let key: Catalogue;

beforeAll(async () => {
  api = await startApi();
  db = api.app.get(Database);
  policies = api.app.get(PolicySource, { strict: false });
  events = api.app.get(PolicyEvents, { strict: false });
  key = await aCatalogue(api);
});

const isEnabled = async () => (await policies.find(key.apiKey))?.enabled;

const enable = (enabled: boolean) =>
  db.apiKey.update({ where: { id: key.keyId }, data: { enabled } });

/** Changes the key and waits until this process has heard of it; the cache heard first. */
async function enableAndHear(enabled: boolean): Promise<void> {
  const heard = new Promise<void>((resolve) =>
    events.subscribe((change) => {
      if (change?.keyId === key.keyId) resolve();
    }),
  );
  await enable(enabled);
  await heard;
}

describe('PolicyCache', () => {
  it('never keeps a key active that was revoked while it was being read, 200 times', async () => {
    let readActive = 0;
    for (let round = 0; round < 200; round += 1) {
      await enableAndHear(true);
      const [during] = await Promise.all([
        // The second time it may be found without asking anyone.
        isEnabled().then(async (first) => [first, await isEnabled()].includes(true)),
        sleep(randomInt(3)).then(() => enableAndHear(false)),
      ]);
      if (during) readActive += 1;
      expect([await isEnabled(), await isEnabled()]).toEqual([false, false]);
    }
    // Or no read was ever on its way when the key was revoked.
    expect(readActive).toBeGreaterThan(0);
  });

  it('forgets all when the connection that brings the news was lost, since news may have been', async () => {
    await enableAndHear(true);
    expect(await isEnabled()).toBe(true);
    const { rows } = await db.pool.query(
      `SELECT pg_terminate_backend(pid, 5000) AS ended FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'tollgate policy events'`,
    );
    expect(rows).toEqual([{ ended: true }]);
    await enable(false);
    await expect.poll(isEnabled, { timeout: 10_000 }).toBe(false);
  });
});
