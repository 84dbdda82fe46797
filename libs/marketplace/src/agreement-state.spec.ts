import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { afterNotice, hasAccess, type AgreementProgress } from './agreement-state.js';
import type { NoticeKind } from './notice.js';

const at = (minute: number) => new Date(Date.UTC(2026, 10, 10, 9, minute));
const NEW: AgreementProgress = {
  state: 'pending',
  activeAt: null,
  endingAt: null,
  endedAt: null,
  noticeAt: null,
};
/** What an agreement is after these, one a minute. */
const after = (...kinds: NoticeKind[]) =>
  kinds.reduce((before, kind, n) => afterNotice(before, { kind, at: at(n) }, at(n)) ?? before, NEW);

describe('afterNotice', () => {
  it.each([
    { kinds: ['started'], state: 'active' },
    { kinds: ['failed'], state: 'failed' },
    { kinds: ['failed', 'started'], state: 'active' },
    { kinds: ['started', 'failed'], state: 'active' },
    { kinds: ['started', 'ending'], state: 'ending' },
    { kinds: ['started', 'ending', 'ended'], state: 'ended' },
    { kinds: ['started', 'ended'], state: 'ended' },
    { kinds: ['started', 'ending', 'started'], state: 'active' },
    { kinds: ['started', 'ending', 'ended', 'started'], state: 'active' },
    { kinds: ['ending'], state: 'ended' },
    { kinds: ['started', 'entitlements-changed'], state: 'active' },
  ] as const)('after $kinds is $state', ({ kinds, state }) => {
    expect(after(...kinds).state).toBe(state);
  });

  it('meters on as if nothing had been when a buyer subscribes again before the end', () => {
    expect(after('started', 'ending', 'started')).toMatchObject({
      activeAt: at(0),
      endingAt: null,
      endedAt: null,
    });
  });

  it('gives access from the start to the end, not before', () => {
    expect(hasAccess(after().state)).toBe(false);
    expect(hasAccess(after('started', 'ending').state)).toBe(true);
    expect(hasAccess(after('started', 'ending', 'ended').state)).toBe(false);
  });

  it('ends where the latest says, in whatever order and however often they come', () => {
    const kinds = fc.constantFrom<NoticeKind>('started', 'ending', 'ended');
    fc.assert(
      fc.property(
        fc.array(kinds, { minLength: 1, maxLength: 6 }),
        fc.infiniteStream(fc.nat()),
        (all, order) => {
          const sent = all.map((kind, n) => ({ kind, at: at(n) }));
          const shuffled = [...sent, ...sent]
            .map((notice) => ({ notice, key: order.next().value as number }))
            .toSorted((a, b) => a.key - b.key);
          const final = shuffled.reduce(
            (before, { notice }) => afterNotice(before, notice, notice.at) ?? before,
            NEW,
          );
          const last = all.at(-1);
          const isActive = final.state === 'active';
          expect(isActive).toBe(last === 'started');
          expect(final.noticeAt).toEqual(at(all.length - 1));
        },
      ),
    );
  });
});
