import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { createTestDatabase } from '../support/database.js';
import {
  aRacersKey,
  excessOver,
  startRacers,
  type PluginRacer,
  type RacerOptions,
} from '../support/plugin-racers.js';
import { AppProcess } from '../support/processes.js';

const QUOTA = 10_000;
const PROCESSES = 4;
const CLIENTS = 64;

let api: AppProcess;
const racers: PluginRacer[] = [];

beforeAll(async () => {
  api = await AppProcess.start('api', await createTestDatabase());
  afterFile(() => api.stop());
});
afterEach(async () => {
  for (const racer of racers.splice(0)) if (racer.isAlive) await racer.kill();
});

const aKey = (plan: Record<string, unknown>) => aRacersKey(api, plan);

async function start(
  key: Awaited<ReturnType<typeof aKey>>,
  settings: Partial<RacerOptions> = {},
): Promise<PluginRacer[]> {
  const clients = CLIENTS / PROCESSES;
  const started = await startRacers(api, key, { processes: PROCESSES, clients, ...settings });
  racers.push(...started);
  return started;
}

const passed = (all: readonly PluginRacer[]) => all.flatMap((racer) => racer.passedAt());

describe('four plugin processes before one api', () => {
  it('admit exactly a quota of 10,000 under 64 clients', async () => {
    const all = await start(await aKey({ quota: { limit: QUOTA, period: 'MONTH' } }));
    await expect.poll(() => passed(all).length, { timeout: 30_000 }).toBe(QUOTA);
    const refusedEverywhere = all.map((racer) => racer.first('quota-exceeded'));
    for (const racer of all) racer.forget();
    await Promise.all(refusedEverywhere);
    const reports = await Promise.all(all.map((racer) => racer.stop()));
    expect(passed(all)).toHaveLength(QUOTA);
    // They decided by themselves: few questions for many calls, and every one of them took part.
    const questions = reports.reduce((sum, { stats }) => sum + stats.leaseQuestions, 0);
    expect(questions).toBeLessThan(QUOTA / 4);
    for (const racer of all) expect(racer.passedAt().length).toBeGreaterThan(QUOTA / 40);
  });

  it('never admit more than a quota when one of them is killed in the middle', async () => {
    const all = await start(await aKey({ quota: { limit: QUOTA, period: 'MONTH' } }));
    await expect.poll(() => passed(all).length, { timeout: 30_000 }).toBeGreaterThan(QUOTA / 3);
    const [victim, ...others] = all;
    await victim?.kill();
    const refusedEverywhere = others.map((racer) => racer.first('quota-exceeded'));
    await Promise.all(refusedEverywhere);
    await Promise.all(others.map((racer) => racer.stop()));
    const total = passed(all).length;
    expect(total).toBeLessThanOrEqual(QUOTA);
    // What the victim held is spent for the service; it held a small share.
    expect(total).toBeGreaterThan(QUOTA * 0.9);
  });

  it('keep a rate within its published bound in every window', async () => {
    const [rate, burst] = [200, 100];
    const all = await start(await aKey({ throttle: { rateLimit: rate, burstLimit: burst } }));
    const seconds = 5;
    await expect
      .poll(() => passed(all).length, { timeout: 30_000 })
      .toBeGreaterThan(burst + rate * (seconds - 1));
    await Promise.all(all.map((racer) => racer.stop()));
    expect(excessOver(passed(all), { rate, burst, leaseMs: 1_000 })).toBeLessThanOrEqual(0);
  });

  it('spend what is in hand while the api is away, then do as the plan says, and come back by themselves', async () => {
    const all = await start(
      await aKey({ quota: { limit: 1_000_000, period: 'MONTH' }, onFailure: 'deny' }),
      {
        deadlineMs: 200,
      },
    );
    await expect.poll(() => passed(all).length, { timeout: 30_000 }).toBeGreaterThan(1_000);
    const unavailable = all.map((racer) => racer.first('unavailable'));
    await api.kill();
    await Promise.all(unavailable);
    const before = passed(all).length;
    await api.start();
    await expect
      .poll(() => passed(all).length, { timeout: 30_000 })
      .toBeGreaterThan(before + 1_000);
    const away = async () =>
      (await Promise.all(all.map((racer) => racer.report()))).filter(
        ({ stats }) => stats.isServiceAway,
      );
    await expect.poll(away, { timeout: 30_000 }).toEqual([]);
    const reports = await Promise.all(all.map((racer) => racer.stop()));
    for (const { events } of reports) {
      const changes = events.filter((type) => type === 'service-away' || type === 'service-back');
      const lost = changes.filter((type) => type === 'service-away');
      // Once for each change, and not for each call; an api that has just begun is late at times, also at the very end.
      expect(changes).toEqual(
        changes.map((_, n) => (n % 2 === 0 ? 'service-away' : 'service-back')),
      );
      expect(lost.length).toBeGreaterThan(0);
      expect(lost.length).toBeLessThan(50);
    }
  });
});
