/** What decides how much of a quota or a rate one process may hold. */
export interface BlockRequest {
  /** What the waiting calls need now, beyond what is in hand. */
  readonly asked: number;
  /** What the authority has left. */
  readonly remaining: number;
  /** The key's own calls per second in this process, see `measuredPace`; 0 when it was not seen before. */
  readonly pacePerSecond: number;
}

/** A block ahead of need is at most one in so many of what is left … */
export const BLOCK_SHARE = 64;
/** … about this many seconds of the key's own pace … */
const SECONDS = 5;
/** … and at most this many, so that a crash loses little even of a quota without end. */
const CAP = 10_000;
/** What was not spent for so long is given back. */
const IDLE_MS = 2_000;

/**
 * How much to debit at the authority: at least what is asked, and no more than is left.
 *
 * Once the share is smaller than what is asked, just that is handed out, one call at a time, so that
 * several processes share the last calls of a quota without one of them sitting on them.
 */
export function blockSize({ asked, remaining, pacePerSecond }: BlockRequest): number {
  const ahead = Math.min(
    Math.ceil(pacePerSecond * SECONDS),
    CAP,
    Math.floor(remaining / BLOCK_SHARE),
  );
  return Math.max(0, Math.min(Math.max(asked, ahead), remaining));
}

/** What is known when a block is granted. All are whole calls but `available`. */
export interface GrantQuestion {
  /** What the waiting calls need together. */
  readonly asked: number;
  /** What the smallest of them needs. */
  readonly least: number;
  /** What the holder would like to have ahead. */
  readonly wanted: number;
  /** What the authority has left. */
  readonly available: number;
}

/**
 * How many calls an authority hands out, for quotas and rates alike: what is asked as far as it is there,
 * and ahead of need no more than a 64th of what is left. Nothing while not even the smallest waiting call
 * would fit. Written again in SQL (`QuotaSpendRepository`) and Lua, where the counters are.
 */
export function grantSize({ asked, least, wanted, available }: GrantQuestion): number {
  if (available < least) return 0;
  const ahead = Math.min(wanted, Math.floor(available / BLOCK_SHARE));
  return Math.max(0, Math.min(Math.floor(available), Math.max(asked, ahead)));
}

/** Whether the block is to be given back: something is in hand that nobody has wanted for two seconds. */
export function isIdle(block: { inHand: number; spentAtMs: number }, now: number): boolean {
  return block.inHand > 0 && now - block.spentAtMs >= IDLE_MS;
}

/**
 * The pace after `spent` more in `elapsedMs`: an average in which a second ago weighs a third of now.
 * It does not depend on how often it is asked.
 */
export function measuredPace(
  pacePerSecond: number,
  { spent, elapsedMs }: { spent: number; elapsedMs: number },
): number {
  if (elapsedMs <= 0) return pacePerSecond;
  const weight = Math.exp(-elapsedMs / 1000);
  return pacePerSecond * weight + ((spent * 1000) / elapsedMs) * (1 - weight);
}
