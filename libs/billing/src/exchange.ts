/** Where an exchange stands. What failed is tried again; what is dead waits for a person. */
export const EXCHANGE_STATUSES = [
  'pending',
  'sending',
  'sent',
  'failed',
  'dead',
  'resolved',
] as const;
export type ExchangeStatus = (typeof EXCHANGE_STATUSES)[number];

/** To be told to a remote service, or heard from it. */
export const EXCHANGE_DIRECTIONS = ['out', 'in'] as const;
export type ExchangeDirection = (typeof EXCHANGE_DIRECTIONS)[number];

/** Those that are not over: the money in them is at stake. */
export const OPEN_EXCHANGES: readonly ExchangeStatus[] = ['pending', 'sending', 'failed', 'dead'];

/** How an attempt ended. */
export type ExchangeOutcome =
  | { readonly kind: 'sent'; readonly remoteId?: string; readonly note?: string }
  /** Nothing was to be done any more; nobody has to look at it. */
  | { readonly kind: 'needless'; readonly reason: string }
  /** It may come through another time; the remote may ask for a pause. */
  | { readonly kind: 'failed'; readonly fault: string; readonly afterMs?: number }
  /** It comes through at no time unless somebody does something. */
  | { readonly kind: 'refused'; readonly fault: string };

const FIRST_PAUSE_MS = 2_000;
const PAUSE_MAX_MS = 3_600_000;
/** With pauses of an hour at last, three days: as long as Stripe tells its own events again. */
const TRIES_MAX = 84;
/** A pause may be so much longer, so that what failed together does not come back together. */
const JITTER = 0.25;

/**
 * When to try again after the `tries`-th attempt has failed at `now`; null: not any more. `random` is from 0 to below 1.
 */
export function retryExchangeAt(
  {
    tries,
    now,
    afterMs = 0,
  }: { readonly tries: number; readonly now: Date; readonly afterMs?: number },
  random: number,
): Date | null {
  if (tries >= TRIES_MAX) return null;
  const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(tries - 1, 20), PAUSE_MAX_MS);
  const jittered = pauseMs * (1 + JITTER * random);
  return new Date(now.getTime() + Math.round(Math.max(jittered, afterMs)));
}
