import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decisionSpans, SPANS_MAX } from './decision-spans.js';
import { UsageAggregator, type MeteredCall } from './usage.js';

const idOf = (n: number, prefix = 'dec_aaaaaaaaaaaa') => prefix + n.toString(36).padStart(8, '0');

/** The ids that texts of a record stand for. */
const spelled = (texts: readonly string[]) =>
  texts.flatMap((text) => {
    const [first = '', last = first] = text.split('..');
    const counter = (id: string) => Number.parseInt(id.slice(-8), 36);
    return Array.from({ length: counter(last) - counter(first) + 1 }, (_, n) =>
      idOf(counter(first) + n, first.slice(0, -8)),
    );
  });

describe('decisionSpans', () => {
  it.each([
    { ids: [idOf(9), idOf(10), idOf(8)], spans: [`${idOf(8)}..${idOf(10)}`] },
    { ids: [idOf(35), idOf(36)], spans: [`${idOf(35)}..${idOf(36)}`] },
    { ids: [idOf(1), idOf(3)], spans: [idOf(1), idOf(3)] },
    { ids: [idOf(1), idOf(2, 'dec_b')], spans: [idOf(1), idOf(2, 'dec_b')] },
    { ids: ['dec_1', 'dec_2'], spans: ['dec_1', 'dec_2'] },
  ])('are $spans of $ids', ({ ids, spans }) => {
    expect(decisionSpans(ids)).toEqual(spans);
  });
});

describe('a record with its decisions', () => {
  it('names each of its calls once, and no more than the service takes', () => {
    const calls = fc.array(fc.record({ key: fc.nat(2), isKept: fc.boolean() }), {
      maxLength: 900,
      size: 'max',
    });
    fc.assert(
      fc.property(calls, fc.array(fc.nat(900)), (made, takes) => {
        const aggregator = new UsageAggregator();
        const taken = [];
        const kept: string[] = [];
        for (const [n, { key, isKept }] of made.entries()) {
          if (isKept) kept.push(idOf(n));
          const call: MeteredCall = {
            at: 0,
            keyId: `key${key}`,
            apiId: 'petstore01',
            stage: 'prod',
            method: 'GET',
            resourcePath: '/pets',
            status: 200,
            bytesOut: 1,
            protocol: 'REST',
            decisionId: isKept ? idOf(n) : undefined,
          };
          expect(aggregator.add(call)).toBe(true);
          if (takes.includes(n)) taken.push(...aggregator.take(2));
        }
        taken.push(...aggregator.take(5_000));
        expect(aggregator.size).toBe(0);
        const named = taken.flatMap(({ decisionIds = [] }) => spelled(decisionIds));
        expect(named.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(kept);
        for (const { decisionIds, quantities } of taken) {
          expect(decisionIds?.length ?? 1).toBeLessThanOrEqual(SPANS_MAX);
          expect(spelled(decisionIds ?? []).length).toBeLessThanOrEqual(
            Number(quantities['calls']),
          );
        }
        const counted = taken.reduce((sum, { quantities }) => sum + Number(quantities['calls']), 0);
        expect(counted).toBe(made.length);
      }),
      { numRuns: 50 },
    );
  });

  it('takes no more decisions into a batch than the service takes', () => {
    const aggregator = new UsageAggregator();
    const call = { at: 0, apiId: 'petstore01', stage: 'prod', method: 'GET', resourcePath: '/' };
    for (let n = 0; n < 60_000; n += 1)
      aggregator.add({
        ...call,
        keyId: `key${n % 3}`,
        status: 200,
        bytesOut: 1,
        protocol: 'REST',
        decisionId: idOf(n),
      });
    const sizes = [aggregator.take(5_000), aggregator.take(5_000)].map((records) =>
      records.reduce((sum, { quantities }) => sum + Number(quantities['calls']), 0),
    );
    expect(sizes).toEqual([50_000, 10_000]);
  });
});
