import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  crc32,
  hasValidChecksum,
  lastFour,
  looksLikeTollgateKey,
  newApiKeyValue,
} from './api-key.js';

describe('an API key value', () => {
  it('has the public form and a checksum that fits', () => {
    for (const mode of ['live', 'test'] as const) {
      const key = newApiKeyValue(mode, randomBytes);
      expect(key).toMatch(new RegExp(`^tg_${mode}_[0-9A-Za-z]{28}_[0-9A-Za-z]{6}$`));
      expect(looksLikeTollgateKey(key)).toBe(true);
      expect(hasValidChecksum(key)).toBe(true);
      expect(key.endsWith(lastFour(key))).toBe(true);
    }
  });

  it('is fixed for all time: the checksum is CRC-32 of all before it, in base62 of six digits', () => {
    // The check value of CRC-32 (zip, PNG), and two checksums made with another implementation (Python's zlib).
    expect(crc32('123456789')).toBe(0xcbf43926);
    expect(hasValidChecksum('tg_live_0000000000000000000000000000_4NsrI9')).toBe(true);
    expect(hasValidChecksum('tg_test_ABCDEFGHIJKLMNOPQRSTUVWXYZab_46hc2r')).toBe(true);
  });

  it('notices any one wrong character', () => {
    const key = newApiKeyValue('live', randomBytes);
    fc.assert(
      fc.property(
        fc.nat(key.length - 1),
        fc.constantFrom('0', 'a', 'Z', '_', '-'),
        (at, character) => {
          fc.pre(key[at] !== character);
          const wrong = key.slice(0, at) + character + key.slice(at + 1);
          expect(hasValidChecksum(wrong)).toBe(false);
        },
      ),
    );
  });

  it.each(['', 'tg_live_', 'a'.repeat(40), 'tgo_live_x', 'tg_prod_0'])('is not %j', (value) => {
    expect(looksLikeTollgateKey(value)).toBe(false);
    expect(hasValidChecksum(value)).toBe(false);
  });
});
