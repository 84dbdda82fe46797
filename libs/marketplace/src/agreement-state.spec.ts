import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  afterEntitlements,
  afterNotice,
  hasAccess,
  type AgreementProgress,
  type ContractProgress,
} from './agreement-state.js';
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

describe('afterEntitlements', () => {
  const CONTRACT: ContractProgress = { ...NEW, lapsedAt: null };
  const bought = { had: true, hasLive: true };
  const gone = { had: true, hasLive: false };
  /** What a contract is after answers of AWS, an hour apart. */
  const progress = (...answers: (typeof bought)[]) =>
    answers.reduce((before, one, n) => afterEntitlements(before, one, at(60 * n)), CONTRACT);

  it.each([
    { answers: [{ had: false, hasLive: false }], state: 'pending', why: 'nothing was ever bought' },
    { answers: [bought], state: 'active', why: 'something is' },
    { answers: [bought, gone], state: 'ending', why: 'all of it has ended' },
    { answers: [bought, gone, gone], state: 'ended', why: 'an hour later it still has' },
    { answers: [bought, gone, bought], state: 'active', why: 'it was renewed in the hour' },
    { answers: [bought, gone, gone, bought], state: 'active', why: 'it was renewed later' },
  ])('is $state when $why', ({ answers, state }) => {
    expect(progress(...answers).state).toBe(state);
  });

  it('leaves an end that a notification told of, and a subscription that never had a contract', () => {
    const told = { ...CONTRACT, state: 'ending', activeAt: at(0), endingAt: at(1) } as const;
    expect(afterEntitlements(told, bought, at(2))).toBe(told);
    expect(afterEntitlements(told, gone, at(200))).toBe(told);
    const subscribed = { ...CONTRACT, state: 'active', activeAt: at(0) } as const;
    expect(afterEntitlements(subscribed, { had: false, hasLive: false }, at(2))).toBe(subscribed);
  });

  it('keeps from when usage counts over an end and a renewal', () => {
    expect(progress(bought, gone, gone, bought)).toMatchObject({
      activeAt: at(0),
      endingAt: null,
      endedAt: null,
      lapsedAt: null,
    });
  });
});
