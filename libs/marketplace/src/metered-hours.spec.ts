import { decimal } from '@core/kernel';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { meteredHours } from './metered-hours.js';

const hour = (n: number) => new Date(Date.UTC(2026, 10, 10, n));

it('puts what came late, and what was taken back, into the first hour', () => {
  const hours = [
    { hour: hour(3), used: decimal(5) },
    { hour: hour(4), used: decimal(7) },
  ];
  const counted = [{ bucket: hour(0), quantity: decimal(10) }];
  const seen = (all: number) =>
    meteredHours(hours, [{ bucket: hour(0), quantity: decimal(all) }], counted).hours.map(
      ({ metered }) => metered.toNumber(),
    );
  expect(seen(22)).toEqual([5, 7]);
  expect(seen(25)).toEqual([8, 7]);
  expect(seen(12)).toEqual([-5, 7]);
});

it('meters all that was used, whenever one looks', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(9), { maxLength: 5 }), { maxLength: 8 }), (looks) => {
      // Each look sees more usage, of any hour so far; what it meters adds up.
      const used = new Map<number, number>();
      let counted = 0;
      let metered = 0;
      looks.forEach((events, now) => {
        for (const at of events) used.set(at % (now + 1), (used.get(at % (now + 1)) ?? 0) + 1);
        const all = [...used.values()].reduce((sum, one) => sum + one, 0);
        const { hours } = meteredHours(
          [{ hour: hour(now), used: decimal(used.get(now) ?? 0) }],
          [{ bucket: hour(0), quantity: decimal(all) }],
          [{ bucket: hour(0), quantity: decimal(counted) }],
        );
        metered += hours.reduce((sum, one) => sum + one.metered.toNumber(), 0);
        counted = all;
        expect(metered).toBe(all);
      });
    }),
  );
});
