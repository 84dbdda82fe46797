import { beforeAll, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { createTestDatabase } from '../support/database.js';
import { aRacersKey, startRacers } from '../support/plugin-racers.js';
import { AppProcess } from '../support/processes.js';

const ROUNDS = Number(process.env['REVOCATIONS'] ?? 200);

let api: AppProcess;

beforeAll(async () => {
  api = await AppProcess.start('api', await createTestDatabase());
  afterFile(() => api.stop());
});

it(`reaches four plugin processes in less than a second, ${ROUNDS} times out of ${ROUNDS}`, async () => {
  const key = await aRacersKey(api, {});
  const all = await startRacers(api, key, { processes: 4, pauseMs: 1 });
  const setEnabled = async (enabled: boolean, outcome: string): Promise<number> => {
    const first = all.map((racer) => racer.first(outcome));
    for (const racer of all) racer.forget();
    const { status } = await api.http.call('PATCH', `/v1/api-keys/${key.keyId}`, {
      body: { enabled },
    });
    expect(status).toBe(200);
    const answeredAt = Date.now();
    return Math.max(...(await Promise.all(first))) - answeredAt;
  };
  const tookMs: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    tookMs.push(await setEnabled(false, 'disabled-key'));
    await setEnabled(true, 'allowed');
  }
  expect(tookMs.filter((ms) => ms >= 1_000)).toEqual([]);
  await Promise.all(all.map((racer) => racer.stop()));
});
