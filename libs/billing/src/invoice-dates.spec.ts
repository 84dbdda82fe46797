import { describe, expect, it } from 'vitest';
import { dueAt, localDate, timezoneOf } from './index.js';

describe('dueAt', () => {
  it.each([
    {
      at: '2026-12-01T00:00:05Z',
      days: 30,
      zone: 'UTC',
      due: '2026-12-31T00:00:05.000Z',
      why: 'a month',
    },
    {
      at: '2026-12-01T00:00:05Z',
      days: 0,
      zone: 'UTC',
      due: '2026-12-01T00:00:05.000Z',
      why: 'at once',
    },
    {
      at: '2026-03-20T10:00:00Z',
      days: 14,
      zone: 'Europe/Paris',
      due: '2026-04-03T09:00:00.000Z',
      why: 'the same time of day across a change of clocks',
    },
  ])('is $due, $days days after $at in $zone: $why', ({ at, days, zone, due }) => {
    const terms = { netTermsDays: days, timezone: zone };
    expect(dueAt(new Date(at), terms).toISOString()).toBe(due);
  });
});

describe('localDate', () => {
  it('is the day where the customer is', () => {
    const instant = new Date('2026-12-01T02:00:00Z');
    expect(localDate(instant, 'America/New_York')).toBe('2026-11-30');
    expect(localDate(instant, 'UTC')).toBe('2026-12-01');
  });
});

describe('timezoneOf', () => {
  it("is the rule's, or UTC", () => {
    const rule = { kind: 'calendar', interval: 'month', timezone: 'Europe/Paris' } as const;
    expect(timezoneOf(rule)).toBe('Europe/Paris');
    expect(timezoneOf({ kind: 'quota', period: 'DAY', offset: 0 })).toBe('UTC');
  });
});
