import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AGGREGATIONS } from './custom-meter.js';
import {
  compareEventPlaces,
  mergeRollUps,
  quantityOf,
  rollUpOf,
  type EventPlace,
  type MeterRollUp,
} from './meter-roll-up.js';

interface Value {
  readonly quantity: string;
  readonly member: string;
  readonly place: EventPlace;
}

const value: fc.Arbitrary<Value> = fc.record({
  quantity: fc.constantFrom('0', '0.1', '0.2', '3', '12345678901234567890.000000000001'),
  member: fc.constantFrom('"a"', '"b"', '1'),
  place: fc.record({
    atMicros: fc.constantFrom(0, 1, 1_000),
    source: fc.string({ unit: 'binary', minLength: 1, maxLength: 2 }),
    id: fc.string({ unit: 'binary', minLength: 1, maxLength: 2 }),
  }),
});

const placeText = ({ atMicros, source, id }: EventPlace) => JSON.stringify([atMicros, source, id]);
/** An event is one; two of one place would be the same event. */
const values = fc.uniqueArray(value, {
  minLength: 1,
  maxLength: 20,
  selector: ({ place }) => placeText(place),
});

const shown = (rollUp: MeterRollUp) => ({
  quantity: quantityOf(rollUp).toFixed(),
  members: 'members' in rollUp ? [...rollUp.members].toSorted() : null,
  place: 'place' in rollUp ? placeText(rollUp.place) : null,
});

describe('mergeRollUps', () => {
  it.each(AGGREGATIONS)('makes the same %s of events in any order and any parts', (aggregation) => {
    fc.assert(
      fc.property(values, fc.infiniteStream(fc.nat(1_000)), (events, random) => {
        const next = () => random.next().value;
        const rollUps = events.map((event) => rollUpOf(aggregation, event, event.place));
        const inOrder = rollUps.reduce(mergeRollUps);
        let parts = rollUps
          .map((rollUp) => ({ rollUp, rank: next() }))
          .toSorted((a, b) => a.rank - b.rank)
          .map(({ rollUp }) => rollUp);
        // Any tree of merges: neighbours, until one is left.
        while (parts.length > 1) {
          const n = next() % (parts.length - 1);
          const [a, b] = [parts[n], parts[n + 1]];
          if (!a || !b) throw new Error('both are there');
          parts = [...parts.slice(0, n), mergeRollUps(a, b), ...parts.slice(n + 2)];
        }
        expect(shown(parts[0]!)).toEqual(shown(inOrder));
      }),
    );
  });

  it('makes no max, unique-count or latest of a part of a part: the day is not the sum of its hours', () => {
    const hours = [
      ['"a"', '1'],
      ['"a"', '5'],
      ['"b"', '2'],
    ].map(([member = '', quantity = ''], n) => ({
      member,
      quantity,
      place: { atMicros: n, source: '/s', id: String(n) },
    }));
    const day = (aggregation: (typeof AGGREGATIONS)[number]) =>
      quantityOf(
        hours.map((event) => rollUpOf(aggregation, event, event.place)).reduce(mergeRollUps),
      ).toFixed();
    expect(AGGREGATIONS.map(day)).toEqual(['8', '3', '5', '2', '2']);
  });

  it('throws for roll-ups of two aggregations', () => {
    const place = { atMicros: 0, source: '/s', id: '1' };
    const one = { quantity: '1', member: '1' };
    for (const [a, b] of [
      ['sum', 'max'],
      ['sum', 'unique-count'],
      ['latest', 'count'],
    ] as const)
      expect(() => mergeRollUps(rollUpOf(a, one, place), rollUpOf(b, one, place))).toThrow();
  });
});

describe('compareEventPlaces', () => {
  it('orders as the bytes of UTF-8 do, and totally', () => {
    fc.assert(
      fc.property(value, value, ({ place: a }, { place: b }) => {
        const bytes = ({ source, id }: EventPlace) =>
          [Buffer.from(source), Buffer.from(id)] as const;
        const [as, ai] = bytes(a);
        const [bs, bi] = bytes(b);
        const expected =
          a.atMicros - b.atMicros || Buffer.compare(as, bs) || Buffer.compare(ai, bi);
        expect(Math.sign(compareEventPlaces(a, b))).toBe(Math.sign(expected));
        expect(compareEventPlaces(a, b) === 0).toBe(placeText(a) === placeText(b));
      }),
    );
  });
});
