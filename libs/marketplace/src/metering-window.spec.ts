import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  deadlineOf,
  finalFlushAt,
  hourOf,
  hoursAfter,
  hoursToSeal,
  urgencyOf,
} from './metering-window.js';

const at = (text: string) => new Date(text);
const DAY = { windowHours: 24, sealLagMinutes: 60 };

describe('deadlineOf', () => {
  it.each([
    { hour: '2026-11-10T09:00:00Z', deadline: '2026-11-11T09:00:00.000Z', why: 'a day later' },
    {
      hour: '2026-10-31T23:00:00Z',
      deadline: '2026-11-01T06:00:00.000Z',
      why: 'the wall, for the last hour of a month',
    },
    {
      hour: '2026-10-31T07:00:00Z',
      deadline: '2026-11-01T06:00:00.000Z',
      why: 'the wall, for an hour that would have until 07:00',
    },
    {
      hour: '2026-10-31T05:00:00Z',
      deadline: '2026-11-01T05:00:00.000Z',
      why: 'the window, where it ends before the wall',
    },
    { hour: '2026-12-31T23:00:00Z', deadline: '2027-01-01T06:00:00.000Z', why: 'a new year' },
  ])('of $hour is $why', ({ hour, deadline }) => {
    expect(deadlineOf(at(hour), DAY).toISOString()).toBe(deadline);
  });

  it('is the old window of six hours where a product has it', () => {
    const deadline = deadlineOf(at('2026-11-10T09:00:00Z'), { windowHours: 6 });
    expect(deadline.toISOString()).toBe('2026-11-10T15:00:00.000Z');
  });
});

describe('urgencyOf', () => {
  it.each([
    { now: '2026-11-10T15:59:59Z', urgency: 'none' },
    { now: '2026-11-10T16:00:00Z', urgency: 'six-hours' },
    { now: '2026-11-11T06:00:00Z', urgency: 'twenty-hours' },
    { now: '2026-11-11T09:00:00Z', urgency: 'expired' },
  ])('of the hour from 09:00 at $now is $urgency', ({ now, urgency }) => {
    expect(urgencyOf(at('2026-11-10T09:00:00Z'), at(now), DAY)).toBe(urgency);
  });

  it('is the month’s end from three hours before the wall on', () => {
    const last = at('2026-10-31T23:00:00Z');
    expect(urgencyOf(last, at('2026-11-01T02:59:59Z'), DAY)).toBe('none');
    expect(urgencyOf(last, at('2026-11-01T03:00:00Z'), DAY)).toBe('month-end');
    expect(urgencyOf(last, at('2026-11-01T06:00:00Z'), DAY)).toBe('expired');
  });
});

describe('hoursToSeal', () => {
  const from = at('2026-11-10T09:00:00Z');
  const sealed = (now: string, isSettling = false) =>
    hoursToSeal(from, { ...DAY, now: at(now), isSettling }).map((hour) => hour.getUTCHours());

  it('are those that ended an hour ago', () => {
    expect(sealed('2026-11-10T10:59:59Z')).toEqual([]);
    expect(sealed('2026-11-10T11:00:00Z')).toEqual([9]);
    expect(sealed('2026-11-10T13:30:00Z')).toEqual([9, 10, 11]);
  });

  it('wait while gateways tell what they kept, until half an hour before the deadline', () => {
    expect(sealed('2026-11-10T13:30:00Z', true)).toEqual([]);
    expect(sealed('2026-11-11T08:30:00Z', true)).toEqual([9]);
    const last = at('2026-10-31T22:00:00Z');
    const atWall = { ...DAY, isSettling: true };
    expect(hoursToSeal(last, { ...atWall, now: at('2026-11-01T05:29:59Z') })).toEqual([]);
    expect(hoursToSeal(last, { ...atWall, now: at('2026-11-01T05:30:00Z') })).toHaveLength(2);
  });

  it('follow each other, each once, however often one looks', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200), { maxLength: 20 }), fc.boolean(), (minutes, isSettling) => {
        let next = from;
        let now = from;
        for (const pause of minutes) {
          now = new Date(now.getTime() + pause * 60_000);
          for (const hour of hoursToSeal(next, { ...DAY, now, isSettling })) {
            expect(hour).toEqual(next);
            expect(now.getTime()).toBeGreaterThanOrEqual(hoursAfter(hour, 2).getTime());
            next = hoursAfter(hour, 1);
          }
        }
      }),
    );
  });
});

it('flushes for the last time within the hour that AWS leaves', () => {
  const ending = at('2026-11-10T09:50:00Z');
  const flush = finalFlushAt(ending);
  expect(flush.getTime()).toBeLessThan(hoursAfter(ending, 1).getTime());
  expect(hourOf(flush).toISOString()).toBe('2026-11-10T10:00:00.000Z');
});
