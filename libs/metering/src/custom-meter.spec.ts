import { describe, expect, it } from 'vitest';
import { readCloudEvent } from './cloud-event.js';
import { readingOf, readMeterDefinition } from './custom-meter.js';

function readingOfData(meter: Record<string, unknown>, data: unknown, rest = {}) {
  const definition = readMeterDefinition({ eventType: 't', ...meter }, []);
  const event = readCloudEvent(
    { specversion: '1.0', id: '1', source: '/s', type: 't', data, ...rest },
    '',
    [],
  );
  return readingOf(definition, event!);
}

const sum = (value: unknown) =>
  readingOfData({ aggregation: 'sum', valuePath: '$.data.v' }, { v: value });

describe('readingOf', () => {
  it.each([
    { value: 12, quantity: '12' },
    { value: 0, quantity: '0' },
    { value: -0, quantity: '0' },
    { value: 0.1, quantity: '0.1' },
    { value: 1e-7, quantity: '0.0000001' },
    { value: 9_007_199_254_740_991, quantity: '9007199254740991' },
    {
      value: '12345678901234567890123456.123456789012',
      quantity: '12345678901234567890123456.123456789012',
    },
  ])('counts $value as $quantity', ({ value, quantity }) => {
    expect(sum(value)).toMatchObject({ quantity });
  });

  it.each([
    { value: undefined, why: 'missing' },
    { value: null, why: 'null' },
    { value: true, why: 'no number' },
    { value: -1, why: 'below zero' },
    { value: '-1', why: 'below zero' },
    { value: 0.1 + 0.2, why: 'more digits than JSON numbers keep' },
    { value: 2 ** 53, why: 'perhaps another whole number' },
    { value: 1e-13, why: 'more digits than a quantity has' },
    { value: 1.5e-12, why: 'more digits than a quantity has' },
    { value: 1e20, why: 'perhaps another whole number' },
    { value: '1'.repeat(27), why: 'too great' },
    { value: '1e5', why: 'an exponent' },
    { value: '0x10', why: 'hexadecimal' },
    { value: ' 1', why: 'a blank' },
    { value: '1\n', why: 'a line end' },
    { value: [1], why: 'a list' },
  ])('does not count $value: $why', ({ value }) => {
    expect(sum(value)).toMatchObject({ pointer: '/data/v', detail: expect.any(String) });
  });

  it('counts only where every condition holds, by value and type', () => {
    const meter = {
      aggregation: 'count',
      filter: [
        { path: '$.data.a', anyOf: [1, 'x'] },
        { path: '$.region', anyOf: ['eu'] },
      ],
    };
    const counts = (data: unknown, region: string) =>
      readingOfData(meter, data, { region }) !== null;
    expect(counts({ a: 1 }, 'eu')).toBe(true);
    expect(counts({ a: 'x' }, 'eu')).toBe(true);
    expect(counts({ a: '1' }, 'eu')).toBe(false);
    expect(counts({ a: 1 }, 'us')).toBe(false);
    expect(counts({}, 'eu')).toBe(false);
  });

  it('tells values of unique-count apart by type, and not by spelling', () => {
    const member = (v: unknown) =>
      (
        readingOfData({ aggregation: 'unique-count', valuePath: '$.data.v' }, { v }) as {
          member: string;
        }
      ).member;
    expect(member(1)).toBe(member(JSON.parse('1.0')));
    expect(new Set([member(1), member('1'), member(true), member('true')]).size).toBe(4);
    expect(
      readingOfData({ aggregation: 'unique-count', valuePath: '$.data.v' }, { v: { a: 1 } }),
    ).toMatchObject({ pointer: '/data/v' });
  });

  it('keeps dimensions by name, what is missing as empty, and refuses what is none', () => {
    const meter = { aggregation: 'count', groupBy: { b: '$.data.b', a: '$.region' } };
    expect(readingOfData(meter, { b: 5 })).toMatchObject({ dimensions: '{"a":"","b":"5"}' });
    expect(readingOfData(meter, { b: {} })).toMatchObject({ pointer: '/data/b' });
    expect(readingOfData(meter, { b: 'x'.repeat(65) })).toMatchObject({ pointer: '/data/b' });
  });
});
