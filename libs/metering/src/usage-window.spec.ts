import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { INTERVALS, splitHours, windowEdges } from './usage-window.js';

const at = (text: string) => new Date(text);
const HOUR_MS = 3_600_000;

describe('windowEdges', () => {
  it.each([
    {
      from: '2026-03-28T23:00:00Z',
      to: '2026-03-30T22:00:00Z',
      interval: 'day',
      timezone: 'Europe/Paris',
      edges: ['2026-03-29T22:00:00Z'],
      why: 'the day the clocks go forward has 23 hours',
    },
    {
      from: '2026-01-10T00:00:00Z',
      to: '2026-03-10T00:00:00Z',
      interval: 'month',
      timezone: 'Asia/Kolkata',
      edges: ['2026-01-31T18:30:00Z', '2026-02-28T18:30:00Z'],
      why: 'months begin at half past the hour there',
    },
    {
      from: '2026-01-10T00:00:00Z',
      to: '2026-01-10T02:00:00Z',
      interval: 'hour',
      timezone: 'Asia/Kathmandu',
      edges: ['2026-01-10T00:15:00Z', '2026-01-10T01:15:00Z'],
      why: 'and hours at a quarter past here',
    },
    {
      from: '2026-04-04T14:00:00Z',
      to: '2026-04-04T17:00:00Z',
      interval: 'hour',
      timezone: 'Australia/Lord_Howe',
      edges: ['2026-04-04T15:30:00Z', '2026-04-04T16:30:00Z'],
      why: 'clocks that go back by half an hour move the hours',
    },
    {
      from: '2011-12-29T10:00:00Z',
      to: '2011-12-31T10:00:00Z',
      interval: 'day',
      timezone: 'Pacific/Apia',
      edges: ['2011-12-30T10:00:00Z'],
      why: 'a day that was skipped has no edge',
    },
  ] as const)('parts $from to $to by $interval of $timezone: $why', (row) => {
    const edges = windowEdges({ from: at(row.from), to: at(row.to) }, row.interval, row.timezone);
    expect(edges).toEqual([row.from, ...row.edges, row.to].map(at));
  });

  it('rises, has the ends of the period, and no part longer than its interval (90 minutes when clocks go back by 30)', () => {
    const longestMs = {
      hour: 1.5 * HOUR_MS,
      day: 25 * HOUR_MS,
      month: 31 * 24 * HOUR_MS + HOUR_MS,
    };
    fc.assert(
      fc.property(
        fc.date({
          min: at('2000-01-01T00:00:00Z'),
          max: at('2035-01-01T00:00:00Z'),
          noInvalidDate: true,
        }),
        fc.integer({ min: 1, max: 90 * 24 * 60 }),
        fc.constantFrom(...INTERVALS),
        fc.constantFrom(
          'UTC',
          'Asia/Kolkata',
          'America/New_York',
          'Australia/Lord_Howe',
          'Asia/Kathmandu',
        ),
        (from, minutes, interval, timezone) => {
          const to = new Date(from.getTime() + minutes * 60_000);
          const edges = windowEdges({ from, to }, interval, timezone);
          expect([edges[0], edges.at(-1)]).toEqual([from, to]);
          for (const [n, edge] of edges.entries()) {
            const next = edges[n + 1];
            if (!next) continue;
            expect(next.getTime()).toBeGreaterThan(edge.getTime());
            expect(next.getTime() - edge.getTime()).toBeLessThanOrEqual(longestMs[interval]);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('splitHours', () => {
  it('names each hour that an edge is inside of, once', () => {
    const edges = [
      '2026-01-01T00:00:00Z',
      '2026-01-01T05:10:00Z',
      '2026-01-01T05:50:00Z',
      '2026-01-02T00:00:00Z',
    ];
    expect(splitHours(edges.map(at))).toEqual([at('2026-01-01T05:00:00Z')]);
  });
});
