import { describe, expect, it } from 'vitest';
import type { LoadedKey } from './key-policy.js';
import { KnownKeys } from './known-keys.js';

const TTL_MS = 30_000;

const aKey = (keyId: string, accountId = 'acc_1') =>
  ({ keyId, accountId, loadedAtMs: 0 }) as LoadedKey;

/** What a decision finds at the beginning of the monotonic clock, before anything can be too old by itself. */
const fresh = (keys: KnownKeys, apiKey: string) => {
  const key = keys.recently(apiKey);
  return key && 0 - key.loadedAtMs < TTL_MS ? key : null;
};

function withKey(keyId: string, ...values: string[]) {
  const keys = new KnownKeys();
  const key = aKey(keyId);
  for (const value of values) {
    keys.set(`hash of ${value}`, key, true);
    keys.sawValue(value, key);
  }
  return { keys, key };
}

describe('KnownKeys', () => {
  it('finds the key of a value that it saw, and of no other', () => {
    const { keys, key } = withKey('key_1', 'a value of enough length');
    expect(fresh(keys, 'a value of enough length')).toBe(key);
    // They end alike, so they share a place.
    expect(fresh(keys, 'A value of enough length')).toBeNull();
    expect(fresh(keys, 'ngth')).toBeNull();
  });

  it('gives a place to the value that came last', () => {
    const { keys, key } = withKey('key_1', 'one that ends alike');
    const other = aKey('key_2');
    keys.set('hash of the other', other, true);
    keys.sawValue('two that ends alike', other);
    expect(fresh(keys, 'two that ends alike')).toBe(other);
    expect(fresh(keys, 'one that ends alike')).toBeNull();
    expect(keys.get('hash of one that ends alike')).toBe(key);
  });

  it('finds no value by characters that are cut to a byte', () => {
    const { keys } = withKey('key_1', '\u0141\u0142 value of enough length');
    expect(fresh(keys, 'AB value of enough length')).toBeNull();
    expect(fresh(keys, '\u0141\u0142 value of enough length')).toBeNull();
  });

  const forgets: [string, (keys: KnownKeys) => void][] = [
    ['one value', (keys) => keys.forgetOne('hash of its value')],
    ['the key', (keys) => keys.forgetKey('key_1')],
    ['its account', (keys) => keys.forgetAll('acc_1')],
    ['everything', (keys) => keys.forgetAll(null)],
    ['it for what it is now', (keys) => keys.set('hash of its value', aKey('key_1'), true)],
  ];
  it.each(forgets)('does not find a value any more after forgetting %s', (_what, forget) => {
    const { keys } = withKey('key_1', 'its value');
    expect(fresh(keys, 'its value')).not.toBeNull();
    forget(keys);
    expect(fresh(keys, 'its value')).toBeNull();
  });

  it('keeps the keys of other accounts', () => {
    const { keys, key } = withKey('key_1', 'its value');
    keys.forgetAll('acc_2');
    expect(fresh(keys, 'its value')).toBe(key);
    expect(keys.size).toBe(1);
  });

  it('forgets each value of a key that was rotated', () => {
    const { keys } = withKey('key_1', 'value before', 'value after');
    keys.forgetKey('key_1');
    expect(fresh(keys, 'value before')).toBeNull();
    expect(fresh(keys, 'value after')).toBeNull();
    expect(keys.size).toBe(0);
  });

  it('goes by the value that the key has now', () => {
    const keys = new KnownKeys();
    expect(keys.idFor('key_1')).toBe('id key_1');
    keys.set('hash now', aKey('key_1'), true);
    keys.set('hash before', aKey('key_1'), false);
    expect(keys.idFor('key_1')).toBe('hash now');
    keys.forgetOne('hash now');
    expect(keys.idFor('key_1')).toBe('id key_1');
  });
});
