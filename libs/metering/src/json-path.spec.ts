import { describe, expect, it } from 'vitest';
import { parseJsonPath, valueAt } from './json-path.js';

const EVENT = {
  source: '/s',
  data: { tokens: 12, 'a b': { "it's": 1, '"': 2 }, list: [1, [2, 3]], '\n': 4, ü: 5, '': 6 },
};

describe('parseJsonPath and valueAt', () => {
  it.each<{ path: string; value: unknown; why: string }>([
    { path: '$', value: EVENT, why: 'the event itself' },
    { path: '$.data.tokens', value: 12, why: 'names' },
    { path: `$["data"]['tokens']`, value: 12, why: 'either quotes' },
    { path: `$.data['a b']['it\\'s']`, value: 1, why: 'an escaped single quote' },
    { path: `$.data['a b']['"']`, value: 2, why: 'a double quote within single ones' },
    { path: `$.data["a b"]["\\""]`, value: 2, why: 'an escaped double quote' },
    { path: `$.data["\\u000a"]`, value: 4, why: 'a code point' },
    { path: `$.data.ü`, value: 5, why: 'letters beyond ASCII' },
    { path: `$.data['']`, value: 6, why: 'an empty name' },
    { path: '$.data.list[1][-1]', value: 3, why: 'items, also from the end' },
    { path: '$ .data\t.tokens', value: 12, why: 'blanks between segments' },
    { path: '$.data.list[9]', value: undefined, why: 'no such item' },
    { path: '$.data.tokens.more', value: undefined, why: 'a number has no members' },
    { path: '$.data.list.length', value: undefined, why: 'a list has no members' },
    { path: '$.source.length', value: undefined, why: 'a text has no members' },
    { path: '$.data.constructor', value: undefined, why: 'only own members' },
    { path: '$.data[0]', value: undefined, why: 'an object has no items' },
  ])('finds at $path: $why', ({ path, value }) => {
    const parsed = parseJsonPath(path);
    expect(parsed).not.toBeNull();
    expect(valueAt(EVENT, parsed!)).toEqual(value);
  });

  it.each([
    '',
    'data.tokens',
    '@.data',
    '$.',
    '$data',
    '$..tokens',
    '$.*',
    '$.data[*]',
    '$.data[0:2]',
    '$.data[?@.a]',
    `$['a','b']`,
    '$[01]',
    '$[-0]',
    '$[1e3]',
    '$.1a',
    '$.a-b',
    '$.data ',
    '$[ 0 ]',
    `$['\\"']`,
    `$["\\'"]`,
    `$["\\x41"]`,
    `$["\ud800"]`,
    `$["\\ud800"]`,
    '$["\n"]',
    `$${'.a'.repeat(17)}`,
    `$.${'a'.repeat(300)}`,
  ])('refuses %j, which is no singular query', (text) => {
    expect(parseJsonPath(text)).toBeNull();
  });
});
