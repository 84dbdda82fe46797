const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/** The pause after each failed attempt: three days and a few hours in all. */
export const RETRY_PAUSES_MS: readonly number[] = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
];

/** A pause may be so much shorter or longer, so that what failed together does not come back together. */
const JITTER = 0.2;
const RETRY_AFTER_MAX_MS = 24 * HOUR_MS;

/**
 * When to try again after the `tries`-th attempt has failed at `now`; null: not any more. A receiver may ask for a
 * longer pause (`Retry-After`), of a day at most. `random` is from 0 to below 1.
 */
export function nextAttemptAt(
  { tries, now, retryAfterMs = 0 }: { tries: number; now: Date; retryAfterMs?: number },
  random: number,
): Date | null {
  const pauseMs = RETRY_PAUSES_MS[tries - 1];
  if (pauseMs === undefined) return null;
  const jittered = pauseMs * (1 + JITTER * (2 * random - 1));
  const askedMs = Math.min(retryAfterMs, RETRY_AFTER_MAX_MS);
  return new Date(now.getTime() + Math.round(Math.max(jittered, askedMs)));
}

/** What `Retry-After` asks for, in milliseconds; 0 when it says nothing that can be read (RFC 9110 section 10.2.3). */
export function retryAfterMs(header: string | undefined, now: Date): number {
  if (header === undefined) return 0;
  if (/^\d{1,9}$/.test(header)) return Number(header) * SECOND_MS;
  const at = Date.parse(header);
  return Number.isNaN(at) ? 0 : Math.max(0, at - now.getTime());
}
