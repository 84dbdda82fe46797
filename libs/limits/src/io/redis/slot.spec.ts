import { describe, expect, it } from 'vitest';
import { slotOf } from './slot.js';

describe('the slot of a hash tag', () => {
  it.each([
    { tag: '123456789', slot: 0x31c3, why: 'the example of the specification' },
    { tag: 'foo', slot: 12_182, why: 'as CLUSTER KEYSLOT says' },
    { tag: 'é', slot: 10_180, why: 'UTF-8, byte by byte' },
  ])('of $tag is $slot: $why', ({ tag, slot }) => {
    expect(slotOf(tag)).toBe(slot);
  });
});
