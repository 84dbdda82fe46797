import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EXPORT_INTERVALS,
  exportDueAt,
  exportFileName,
  exportPeriod,
  folderFault,
  keyPrefixFault,
} from './export-schedule.js';

const ruleOf = (interval: (typeof EXPORT_INTERVALS)[number], timezone: string, delayHours = 0) => ({
  interval,
  timezone,
  delayHours,
});

describe('exportPeriod', () => {
  it.each([
    {
      interval: 'month',
      zone: 'America/New_York',
      at: '2026-11-15T00:00:00Z',
      from: '2026-11-01T04:00:00Z',
      to: '2026-12-01T05:00:00Z',
      why: 'clocks are set back in it',
    },
    {
      interval: 'day',
      zone: 'Europe/Berlin',
      at: '2026-10-25T12:00:00Z',
      from: '2026-10-24T22:00:00Z',
      to: '2026-10-25T23:00:00Z',
      why: 'a day of 25 hours',
    },
    {
      interval: 'quarter',
      zone: 'UTC',
      at: '2026-11-15T00:00:00Z',
      from: '2026-10-01T00:00:00Z',
      to: '2027-01-01T00:00:00Z',
      why: 'quarters of the year',
    },
  ] as const)(
    'of a $interval in $zone is from $from to $to: $why',
    ({ interval, zone, at, from, to }) => {
      const rule = ruleOf(interval, zone, 6);
      const period = exportPeriod(rule, new Date(at), 'containing');
      expect(period).toEqual({ from: new Date(from), to: new Date(to) });
      expect(exportDueAt(rule, period).getTime() - period.to.getTime()).toBe(6 * 3_600_000);
    },
  );

  it('gives every period a name of its own, and one after the other all of time', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...EXPORT_INTERVALS),
        fc.constantFrom('UTC', 'America/New_York', 'Pacific/Apia', 'Asia/Kathmandu'),
        fc.date({ min: new Date('2000-01-01'), max: new Date('2100-01-01'), noInvalidDate: true }),
        (interval, timezone, at) => {
          const rule = ruleOf(interval, timezone);
          const period = exportPeriod(rule, at, 'containing');
          const next = exportPeriod(rule, period.to, 'containing');
          expect(next.from).toEqual(period.to);
          const nameOf = (of: typeof period) =>
            exportFileName({ name: 'journal', format: 'csv', timezone }, of);
          expect(nameOf(next)).not.toBe(nameOf(period));
        },
      ),
    );
  });
});

describe('exportFileName', () => {
  it.each([
    ['2026-11-01T00:00:00Z', '2026-12-01T00:00:00Z', 'UTC', 'journal_2026-11-01_2026-11-30.csv'],
    ['2026-11-01T00:00:00Z', '2026-11-02T00:00:00Z', 'UTC', 'journal_2026-11-01.csv'],
    [
      '2026-11-01T04:00:00Z',
      '2026-12-01T05:00:00Z',
      'America/New_York',
      'journal_2026-11-01_2026-11-30.csv',
    ],
  ])('of %s to %s in %s is by local days: %s', (from, to, timezone, name) => {
    const period = { from: new Date(from), to: new Date(to) };
    expect(exportFileName({ name: 'journal', format: 'csv', timezone }, period)).toBe(name);
  });
});

describe('folderFault', () => {
  it.each(['finance', 'finance/2026', 'a b/c.d_e-f'])('takes %s', (folder) =>
    expect(folderFault(folder)).toBeNull(),
  );
  it.each([
    ['', 'is nothing'],
    ['/etc', 'is absolute'],
    ['..', 'leads out'],
    ['finance/../..', 'leads out'],
    ['finance/..\\..', 'leads out of it on Windows'],
    ['C:\\exports', 'is a drive'],
    ['finance//x', 'has a name that is nothing'],
    ['finance/', 'ends with a slash'],
    ['.ssh', 'is hidden'],
    ['a\0b', 'has a NUL'],
    ['%2e%2e/x', 'is encoded'],
    ['x'.repeat(201), 'is too long'],
  ])('refuses %j, which %s', (folder) => expect(folderFault(folder)).not.toBeNull());
});

describe('keyPrefixFault', () => {
  it.each(['', 'finance/', 'finance/year=2026/tollgate-'])('takes %j', (prefix) =>
    expect(keyPrefixFault(prefix)).toBeNull(),
  );
  it.each([
    '/finance',
    'a//b',
    'a/../b',
    './a',
    'a b',
    'ä',
    'a?b',
    'a#b',
    'a%2fb',
    'x'.repeat(501),
  ])('refuses %j', (prefix) => expect(keyPrefixFault(prefix)).not.toBeNull());
});
