import { describe, expect, it } from 'vitest';
import { JsonFields, atPointer, type FieldFault } from './index.js';

function faultsOf(json: unknown, read: (fields: JsonFields) => void): FieldFault[] {
  const faults: FieldFault[] = [];
  const fields = new JsonFields(json, '', faults);
  read(fields);
  fields.refuseUnknown();
  return faults;
}

describe('JsonFields', () => {
  it('reads what is good and notes nothing', () => {
    const json = { name: 'basic', rate: '-0.5', isOn: false, n: 3, at: '2026-01-31T14:05:00.123Z' };
    const faults = faultsOf(json, (fields) => {
      expect(fields.text('name', 5)).toBe('basic');
      expect(fields.decimal('rate', { sign: 'any', scale: 18 })).toBe('-0.5');
      expect(fields.boolean('isOn', true)).toBe(false);
      expect(fields.boolean('isOld', true)).toBe(true);
      expect(fields.integer('n', { min: 0, max: 3 })).toBe(3);
      expect(fields.instant('at')).toEqual(new Date(json.at));
    });
    expect(faults).toEqual([]);
  });

  it.each<{ why: string; json: unknown; read: (fields: JsonFields) => void; pointers: string[] }>([
    {
      why: 'text that is too long',
      json: { a: 'abc' },
      read: (f) => f.text('a', 2),
      pointers: ['/a'],
    },
    { why: 'a NUL', json: { a: '\u0000' }, read: (f) => f.text('a', 2), pointers: ['/a'] },
    {
      why: 'an integer out of bounds',
      json: { a: 4 },
      read: (f) => f.integer('a', { min: 0, max: 3 }),
      pointers: ['/a'],
    },
    {
      why: 'unknown fields, escaped',
      json: { 'a/b': 1, '~': 1 },
      read: () => {},
      pointers: ['/a~1b', '/~0'],
    },
    {
      why: 'each faulty item',
      json: { a: ['x', 1, 'y', null] },
      read: (f) =>
        f.list('a', { min: 0, max: 4 }, (item, pointer, faults) => {
          if (typeof item !== 'string') faults.push({ pointer, detail: 'must be text' });
        }),
      pointers: ['/a/1', '/a/3'],
    },
  ])('points at $why', ({ json, read, pointers }) => {
    expect(faultsOf(json, read).map(({ pointer }) => pointer)).toEqual(pointers);
  });

  it('answers megabytes of rubbish with a hundred short faults', () => {
    const rubbish = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, n) => [`${n}${'x'.repeat(1_000)}`, n]),
    );
    const faults = faultsOf(rubbish, () => {});
    expect(faults).toHaveLength(100);
    expect(Math.max(...faults.map(({ pointer }) => pointer.length))).toBeLessThan(110);
  });

  it('does not take what every object inherits for a field', () => {
    const faults = faultsOf({}, (fields) => {
      expect(fields.has('toString')).toBe(false);
      expect(fields.raw('constructor')).toBeUndefined();
    });
    expect(faults).toEqual([]);
  });

  it('nests pointers', () => {
    expect(atPointer(atPointer('', 'tiers'), 1)).toBe('/tiers/1');
  });
});
