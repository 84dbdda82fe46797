import { IngestionBusy } from '@core/metering';
import { Config } from '@io/platform';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UsageIntake, type IntakeShare } from './usage-intake.js';

const MIB = 1024 * 1024;
const SETTINGS = {
  DATABASE_URL: 'postgresql://127.0.0.1/none',
  TOLLGATE_SECRET: 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=',
  TOLLGATE_USAGE_INTAKE_MIB: '32',
};
const NOTHING = { bytes: 0, storing: 0, waiting: 0 };

let intake: UsageIntake;
beforeEach(() => {
  vi.useFakeTimers();
  intake = new UsageIntake(new Config(SETTINGS));
});
afterEach(() => {
  vi.useRealTimers();
});

function aShare(bytes: number): IntakeShare {
  const share = intake.open();
  expect(share.grow(bytes)).toBe(true);
  return share;
}

/** Work that goes on until it is let go. */
function held() {
  let letGo = (): void => undefined;
  const promise = new Promise<void>((resolve) => (letGo = resolve));
  return { work: () => promise, letGo };
}

describe('UsageIntake', () => {
  it('holds bytes up to its bound and refuses the next one', () => {
    const shares = Array.from({ length: 4 }, () => aShare(8 * MIB));
    expect(intake.open().grow(1)).toBe(false);
    shares[0]?.close();
    shares[0]?.close();
    expect(intake.stats().bytes).toBe(24 * MIB);
    expect(shares[0]?.grow(1)).toBe(false);
    aShare(8 * MIB);
  });

  it('works on a quarter of them at a time, in the order in which they came', async () => {
    const order: number[] = [];
    const works = Array.from({ length: 4 }, held);
    const all = works.map(({ work }, n) =>
      intake.whenItsTurn(aShare(4 * MIB), () => {
        order.push(n);
        return work();
      }),
    );
    expect(intake.stats()).toEqual({ bytes: 16 * MIB, storing: 2, waiting: 2 });
    works[1]?.letGo();
    await all[1];
    await Promise.resolve();
    expect(order).toEqual([0, 1, 2]);
    for (const { letGo } of works) letGo();
    await Promise.all(all);
    expect(order).toEqual([0, 1, 2, 3]);
  });

  it('lets at most five small ones work, and one large one by itself', async () => {
    const hold = held();
    const small = Array.from({ length: 7 }, () => intake.whenItsTurn(aShare(10), hold.work));
    expect(intake.stats()).toMatchObject({ storing: 5, waiting: 2 });
    hold.letGo();
    await Promise.all(small);
    await expect(intake.whenItsTurn(aShare(20 * MIB), async () => 'done')).resolves.toBe('done');
  });

  it('refuses what has no turn within five seconds, also when nothing moves at all', async () => {
    const stuck = held();
    const first = intake.whenItsTurn(aShare(8 * MIB), stuck.work);
    const second = intake.whenItsTurn(aShare(8 * MIB), stuck.work);
    const refusal = second.catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(4_999);
    expect(intake.stats().waiting).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await refusal).toBeInstanceOf(IngestionBusy);
    expect(intake.stats()).toMatchObject({ storing: 1, waiting: 0 });
    stuck.letGo();
    await first;
  });

  it('ends with nothing held, whatever came, failed, waited or gave up', async () => {
    const aBody = fc.record({
      bytes: fc.integer({ min: 1, max: 12 * MIB }),
      takesMs: fc.integer({ min: 0, max: 4_000 }),
      fails: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(aBody, { maxLength: 30 }), async (bodies) => {
        const all = bodies.map(async ({ bytes, takesMs, fails }) => {
          const share = intake.open();
          try {
            if (!share.grow(bytes)) return;
            await intake.whenItsTurn(share, async () => {
              expect(intake.stats().bytes).toBeLessThanOrEqual(32 * MIB);
              await new Promise((resolve) => setTimeout(resolve, takesMs));
              if (fails) throw new IngestionBusy();
            });
          } catch (error) {
            if (!(error instanceof IngestionBusy)) throw error;
          } finally {
            share.close();
          }
        });
        await vi.runAllTimersAsync();
        await Promise.all(all);
        expect(intake.stats()).toEqual(NOTHING);
      }),
    );
  });
});
