import { setTimeout as sleep } from 'node:timers/promises';
import { BLOCK_SHARE, RATE_LEASE_MS } from '@core/limits';
import { expect, it } from 'vitest';
import { allowedOf, aQuestion, askFor, overshoot, spend, summary } from './decision-clients.js';
import type { AppProcess } from './processes.js';

/**
 * Eight processes where there is time: a process takes over a second of CPU to start, and CI has two cores that
 * other tests use too. `APIS=8 RUN_MS=60000` for longer runs by hand.
 */
export const APIS = Number(process.env['APIS'] ?? (process.env['CI'] === 'true' ? 4 : 8));
const RUN_MS = Number(process.env['RUN_MS'] ?? 3_000);
export const CLIENTS = 64;
export const QUOTA = 10_000;
const RATE = 50;
const BURST = 100;
/** A process that is killed loses at most a 64th of a quota with the block in its hand, and the answers on their way. */
const LOST_MAX = QUOTA / BLOCK_SHARE + CLIENTS;

/** A limit of which processes are lent blocks ahead of need. */
const GENEROUS = { rateLimit: 500, burstLimit: 2_000 };

/** What any window may hold, whatever the number of processes (docs/limits.md), and `bursts` losses of Redis. */
const bound = (bursts: number) => (windowMs: number) =>
  (1 + bursts) * BURST + (RATE * (windowMs + RATE_LEASE_MS)) / 1000;

/** What must hold for limits that several apis share, as tests. The apis are there when the tests run. */
export function testSharedLimits(apis: () => readonly AppProcess[]): void {
  it('let exactly a quota of 10,000 pass, and no call more', async () => {
    const question = await aQuestion(apis()[0]!, { quota: { limit: QUOTA, period: 'MONTH' } });
    const asked = await spend(apis(), question, { clients: CLIENTS });
    expect(summary(asked)).toMatchObject({ allowed: QUOTA });
  });

  it('keep a rate within its bound in every window of the run, and near it in the whole', async () => {
    const question = await aQuestion(apis()[0]!, {
      throttle: { rateLimit: RATE, burstLimit: BURST },
    });
    const asked = await askFor(apis(), question, { clients: CLIENTS, forMs: RUN_MS });
    expect(overshoot(asked, bound(0))).toBeLessThanOrEqual(0);
    expect(allowedOf(asked).length).toBeGreaterThan(0.7 * (BURST + (RATE * RUN_MS) / 1000));
  });

  it('keep a generous rate, lent ahead of need, within its bound', async () => {
    const question = await aQuestion(apis()[0]!, { throttle: GENEROUS });
    const asked = await askFor(apis(), question, { clients: CLIENTS, forMs: RUN_MS });
    const { rateLimit, burstLimit } = GENEROUS;
    const most = (windowMs: number) => burstLimit + (rateLimit * (windowMs + RATE_LEASE_MS)) / 1000;
    expect(overshoot(asked, most)).toBeLessThanOrEqual(0);
    expect(allowedOf(asked).length).toBeGreaterThan(0);
  });

  it('let no call more pass after kill -9 of an api in the middle', async () => {
    const { over, allowed } = await killInTheMiddle(apis(), {
      kill: (api) => api.kill(),
      lostBursts: 0,
    });
    expect(over).toBeLessThanOrEqual(0);
    expect(allowed).toBeLessThanOrEqual(QUOTA);
    expect(allowed).toBeGreaterThanOrEqual(QUOTA - LOST_MAX);
  });
}

/**
 * Kills something in the middle of a run over a rate and a quota. Answers by how much the busiest window of the rate was over
 * its bound, and how much of the quota passed.
 */
export async function killInTheMiddle(
  apis: readonly AppProcess[],
  { kill, lostBursts }: { kill: (last: AppProcess) => Promise<void>; lostBursts: number },
): Promise<{ over: number; allowed: number }> {
  const [first, last] = [apis[0]!, apis.at(-1)!];
  const [rate, quota] = await Promise.all([
    aQuestion(first, { throttle: { rateLimit: RATE, burstLimit: BURST } }),
    aQuestion(first, { quota: { limit: QUOTA, period: 'MONTH' }, onFailure: 'allow' }),
  ]);
  const [paced, spent] = await Promise.all([
    askFor(apis, rate, { clients: 8, forMs: RUN_MS + 3_000 }),
    spend(apis, quota, { clients: CLIENTS }),
    sleep(1_000).then(async () => {
      await kill(last);
      if (!last.isAlive) await last.start();
    }),
  ]);
  return { over: overshoot(paced, bound(lostBursts)), allowed: allowedOf(spent).length };
}
