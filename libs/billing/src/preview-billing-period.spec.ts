import { describe, expect, it } from 'vitest';
import { InvalidPeriodPreview, previewBillingPeriod } from './index.js';

const RULE = { kind: 'anniversary', interval: 'month', anchor: '2026-01-31', timezone: 'UTC' };
const AT = '2026-03-01T00:00:00Z';

function faultsOf(request: unknown): string[] {
  try {
    previewBillingPeriod(request);
  } catch (error) {
    if (error instanceof InvalidPeriodPreview) return error.facts.errors.map((e) => e.pointer);
    throw error;
  }
  return [];
}

describe('previewBillingPeriod', () => {
  it('answers with two instants in UTC', () => {
    expect(previewBillingPeriod({ rule: RULE, at: AT, which: 'containing' })).toEqual({
      from: '2026-02-28T00:00:00.000Z',
      to: '2026-03-31T00:00:00.000Z',
    });
  });

  it.each<{ request: unknown; pointer: string; why: string }>([
    { request: null, pointer: '', why: 'no object' },
    { request: { rule: RULE }, pointer: '/at', why: 'no instant' },
    ...[
      '2026-02-30T00:00:00Z',
      '2026-03-01',
      '2026-03-01T00:00:00',
      '2026-03-01T24:00:00Z',
      '2026-03-01T00:00:60Z',
      '1969-12-31T23:59:59Z',
      '+010000-01-01T00:00:00Z',
      '99999-01-01T00:00:00Z',
      'yesterday',
      1_772_000_000,
      null,
    ].map((at) => ({ request: { rule: RULE, at }, pointer: '/at', why: `the instant ${at}` })),
    { request: { rule: RULE, at: AT, which: 'last' }, pointer: '/which', why: 'an unknown which' },
    { request: { rule: RULE, at: AT, zone: 'UTC' }, pointer: '/zone', why: 'an unknown field' },
    { request: { at: AT }, pointer: '/rule', why: 'no rule' },
    {
      request: { rule: { ...RULE, kind: 'lunar' }, at: AT },
      pointer: '/rule/kind',
      why: 'an unknown kind',
    },
    {
      request: { rule: { ...RULE, interval: 'hour' }, at: AT },
      pointer: '/rule/interval',
      why: 'an unknown interval',
    },
    {
      request: { rule: { ...RULE, anchor: '2026-02-30' }, at: AT },
      pointer: '/rule/anchor',
      why: 'a day that is none',
    },
    {
      request: { rule: { ...RULE, anchor: '1969-12-31' }, at: AT },
      pointer: '/rule/anchor',
      why: 'a day before 1970',
    },
    {
      request: { rule: { ...RULE, anchor: '20260131' }, at: AT },
      pointer: '/rule/anchor',
      why: 'another way to write dates',
    },
    {
      request: { rule: { ...RULE, timezone: 'Europe/Atlantis' }, at: AT },
      pointer: '/rule/timezone',
      why: 'an unknown zone',
    },
    {
      request: { rule: { ...RULE, timezone: '+05:45' }, at: AT },
      pointer: '/rule/timezone',
      why: 'an offset',
    },
    {
      request: { rule: { ...RULE, timezone: '' }, at: AT },
      pointer: '/rule/timezone',
      why: 'an empty zone',
    },
    {
      request: { rule: { ...RULE, offset: 1 }, at: AT },
      pointer: '/rule/offset',
      why: 'a field of another kind',
    },
    {
      request: {
        rule: { kind: 'anchored-instant', interval: 'day', anchor: '2026-01-31' },
        at: AT,
      },
      pointer: '/rule/anchor',
      why: 'a date for an instant',
    },
    {
      request: { rule: { kind: 'quota', period: 'YEAR' }, at: AT },
      pointer: '/rule/period',
      why: 'an unknown quota period',
    },
    {
      request: { rule: { kind: 'quota', period: 'DAY', offset: 1 }, at: AT },
      pointer: '/rule/offset',
      why: 'a day with offset',
    },
    {
      request: { rule: { kind: 'quota', period: 'WEEK', offset: 7 }, at: AT },
      pointer: '/rule/offset',
      why: 'an eighth day of the week',
    },
    {
      request: { rule: { kind: 'quota', period: 'MONTH', offset: 28 }, at: AT },
      pointer: '/rule/offset',
      why: 'a day not every month has',
    },
    {
      request: { rule: { kind: 'quota', period: 'MONTH', offset: '1' }, at: AT },
      pointer: '/rule/offset',
      why: 'an offset as text',
    },
    {
      request: { rule: { kind: 'quota', period: 'MONTH', offset: 1.5 }, at: AT },
      pointer: '/rule/offset',
      why: 'half a day',
    },
  ])('refuses $why and points at it', ({ request, pointer }) => {
    expect(faultsOf(request)).toContain(pointer);
  });
});
