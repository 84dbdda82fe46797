import { describe, expect, it } from 'vitest';
import { AllowedCount, DecisionTally } from './decision-tally.js';

const NAME = {
  accountId: 'acc_a',
  customerId: 'cus_a',
  keyId: 'key_a',
  apiId: 'api_a',
  stage: 'prod',
  method: 'GET',
  resourcePath: '/pets',
};
const HOUR_MS = 3_600_000;

describe('DecisionTally', () => {
  it('hands each count over once, and goes on from nothing', () => {
    const tally = new DecisionTally();
    const count = new AllowedCount(NAME);
    tally.add(count, 5);
    tally.add(count, HOUR_MS - 1);
    expect(tally.take()).toEqual([{ ...NAME, hourMs: 0, allowed: 2 }]);
    expect(tally.take()).toEqual([]);
    tally.add(count, 6);
    expect(tally.take()).toEqual([{ ...NAME, hourMs: 0, allowed: 1 }]);
  });

  it('tells hours apart, also when the clock goes back', () => {
    const tally = new DecisionTally();
    const count = new AllowedCount(NAME);
    for (const atMs of [HOUR_MS - 1, HOUR_MS, HOUR_MS - 1, 2 * HOUR_MS]) tally.add(count, atMs);
    expect(tally.take()).toEqual([
      { ...NAME, hourMs: 0, allowed: 2 },
      { ...NAME, hourMs: HOUR_MS, allowed: 1 },
      { ...NAME, hourMs: 2 * HOUR_MS, allowed: 1 },
    ]);
  });

  it('adds up what two counts have of one name, as after a change of policy', () => {
    const tally = new DecisionTally();
    tally.add(new AllowedCount(NAME), 0);
    tally.add(new AllowedCount({ ...NAME }), 1);
    tally.add(new AllowedCount({ ...NAME, method: 'POST' }), 1);
    expect(tally.take()).toEqual([
      { ...NAME, hourMs: 0, allowed: 2 },
      { ...NAME, method: 'POST', hourMs: 0, allowed: 1 },
    ]);
  });
});
