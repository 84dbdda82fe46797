import { describe, expect, it } from 'vitest';
import { dueSteps, dunningFaults, type DunningStep } from './index.js';

const REMIND: DunningStep = { afterDays: 3, action: 'remind' };
const BLOCK: DunningStep = { afterDays: 14, action: 'block' };
const dueAt = new Date('2026-03-20T12:00:00Z');

describe('dueSteps', () => {
  it.each([
    { at: '2026-03-23T11:59:59Z', done: [], steps: [], why: 'no day before its time' },
    { at: '2026-03-23T12:00:00Z', done: [], steps: [REMIND], why: 'when its time has come' },
    { at: '2026-04-30T12:00:00Z', done: [], steps: [REMIND, BLOCK], why: 'both, when it is late' },
    { at: '2026-04-30T12:00:00Z', done: [REMIND], steps: [BLOCK], why: 'what is not done' },
    { at: '2026-04-30T12:00:00Z', done: [REMIND, BLOCK], steps: [], why: 'each once' },
    { at: '2026-04-03T10:59:59Z', done: [REMIND], steps: [], why: 'days of the calendar' },
    { at: '2026-04-03T11:00:00Z', done: [REMIND], steps: [BLOCK], why: 'across a clock change' },
  ])('are $steps at $at: $why', ({ at, done, steps }) => {
    const invoice = { dueAt, timezone: 'Europe/Paris', at: new Date(at), done };
    expect(dueSteps([REMIND, BLOCK], invoice)).toEqual(steps);
  });
});

it('a schedule has its steps in order', () => {
  expect(dunningFaults([REMIND, BLOCK])).toEqual([]);
  expect(dunningFaults([BLOCK, REMIND])).toMatchObject([{ pointer: '/steps/1/afterDays' }]);
  expect(dunningFaults([REMIND, { ...BLOCK, afterDays: 3 }])).toHaveLength(1);
});
