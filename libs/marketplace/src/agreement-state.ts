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

/** How far an agreement about a contract product is. */
export interface ContractProgress extends AgreementProgress {
  /** When everything that was bought had ended; null while something is left, and of one that a notification ended. */
  readonly lapsedAt: Date | null;
}

/** For so long AWS takes records after the end. */
const FINAL_MS = 3_600_000;

/**
 * What entitlements make of an agreement about a contract product: AWS sends no subscribe-success about it, so it runs from when
 * something is bought. When all of it has ended the agreement is ending, for the last records, and an hour later ended; what is
 * bought meanwhile or later starts it again. `had`: something was bought before. An end that a notification told of stays.
 */
export function afterEntitlements(
  before: ContractProgress,
  { had, hasLive }: { readonly had: boolean; readonly hasLive: boolean },
  now: Date,
): ContractProgress {
  const { state, lapsedAt } = before;
  if (hasLive) {
    const starts = state === 'pending' || state === 'ended' || lapsedAt !== null;
    if (!starts) return before;
    const activeAt = before.activeAt ?? now;
    return { ...before, state: 'active', activeAt, endingAt: null, endedAt: null, lapsedAt: null };
  }
  if (state === 'active' && had)
    return { ...before, state: 'ending', endingAt: now, lapsedAt: now };
  const isOver = lapsedAt !== null && now.getTime() >= lapsedAt.getTime() + FINAL_MS;
  return state === 'ending' && isOver ? { ...before, state: 'ended', endedAt: now } : before;
}
