import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { prefixedId, randomBase62, shortId } from './index.js';

describe('ids', () => {
  it('tells what it names, and fits a path without encoding', () => {
    expect(prefixedId('cus', randomBytes)).toMatch(/^cus_[0-9A-Za-z]{20}$/);
    expect(shortId(10, randomBytes)).toMatch(/^[0-9a-z]{10}$/);
  });

  it('draws again rather than favouring the first letters', () => {
    const bytes = [255, 254, 248, 61, 0, 255, 1, 2, 3, 4, 5, 6];
    expect(randomBase62(2, () => Uint8Array.from(bytes))).toBe('z0');
  });
});
