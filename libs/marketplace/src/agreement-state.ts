import type { Notice } from './notice.js';

/** How far an agreement is. */
export type AgreementState = 'pending' | 'active' | 'ending' | 'ended' | 'failed';

/** What notifications change about an agreement. */
export interface AgreementProgress {
  readonly state: AgreementState;
  /** When it was first active: usage counts from there. */
  readonly activeAt: Date | null;
  readonly endingAt: Date | null;
  readonly endedAt: Date | null;
  /** Of the latest notification that was followed. */
  readonly noticeAt: Date | null;
}

/**
 * What an agreement is after a notification that came at `now`, or null when a newer one was followed before: they come
 * twice and in any order.
 *
 *     pending ──started──▶ active ──ending──▶ ending ──ended──▶ ended
 *        │                   ▲ ▲                │                 │
 *        └──failed──▶ failed─┘ └────started─────┴─────started─────┘
 *
 * A buyer who subscribes again while the agreement ends goes on as if nothing had been: no `ended` follows.
 */
export function afterNotice(
  before: AgreementProgress,
  { kind, at }: Pick<Notice, 'kind' | 'at'>,
  now: Date,
): AgreementProgress | null {
  if (before.noticeAt !== null && at < before.noticeAt) return null;
  const next = { ...before, noticeAt: at };
  switch (kind) {
    case 'started': {
      const activeAt = before.activeAt ?? now;
      return { ...next, state: 'active', activeAt, endingAt: null, endedAt: null };
    }
    case 'failed':
      return before.state === 'pending' ? { ...next, state: 'failed' } : next;
    case 'ending':
      if (before.state === 'active') return { ...next, state: 'ending', endingAt: now };
      return before.state === 'pending' ? { ...next, state: 'ended', endedAt: now } : next;
    case 'ended':
      if (before.state === 'ended' || before.state === 'failed') return next;
      return { ...next, state: 'ended', endingAt: before.endingAt ?? now, endedAt: now };
    case 'entitlements-changed':
      return next;
  }
}

/** Whether a customer may use what they agreed about: from the start to the end of the last hour. */
export const hasAccess = (state: AgreementState): boolean =>
  state === 'active' || state === 'ending';
