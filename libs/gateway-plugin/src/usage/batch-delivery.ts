import type { ServiceClient } from '../service/service-client.js';

/** Records of a batch that the service keeps and does not count until somebody corrects or drops them. */
export interface QuarantinedRecords {
  readonly records: number;
  /** Why, as `/records/3/keyId is not …`; not of all when they are many. */
  readonly reasons: readonly string[];
}

/** How the delivery of a batch ended. */
export type Delivery =
  | {
      readonly outcome: 'accepted' | 'duplicate';
      readonly quarantined: QuarantinedRecords | null;
    }
  | { readonly outcome: 'conflict' | 'refused'; readonly status: number; readonly answer: string }
  | { readonly outcome: 'stopped' };

/** Told before each new try: how many there were and why the last one failed. */
export type OnDelay = (tries: number, cause: string) => void;

const ATTEMPT_MS = 10_000;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 10_000;
/** A longer `Retry-After` is a mistake: usage would be late for no reason. */
const RETRY_AFTER_MS_MAX = 10 * 60_000;

/** Statuses that speak about the content, so that the same bytes cannot succeed later. */
const REFUSED_STATUSES = new Set([400, 413, 415, 422]);

/** A try that said nothing about the content. */
interface Delay {
  readonly cause: string;
  /** What the service asked to wait, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/**
 * Sends the same bytes until the service has committed or refused them, with growing pauses, and never before the
 * instant that a `Retry-After` named. Everything that says
 * nothing about the content is tried again: no answer, 5xx, 429, a wrong token (an operator can mend it), a wrong URL,
 * and a 2xx that is not Tollgate's (a proxy's page is no acknowledgement).
 */
export async function deliverBatch(
  client: ServiceClient,
  body: string,
  { signal, onDelay }: { signal: AbortSignal; onDelay: OnDelay },
): Promise<Delivery> {
  for (let tries = 1; ; tries += 1) {
    if (signal.aborted) return { outcome: 'stopped' };
    const attempt = await attemptOnce(client, body, signal);
    if (!('cause' in attempt)) return attempt;
    if (signal.aborted) return { outcome: 'stopped' };
    onDelay(tries, attempt.cause);
    await pause(pauseMs(tries, attempt.retryAfterMs), signal);
  }
}

async function attemptOnce(
  client: ServiceClient,
  body: string,
  signal: AbortSignal,
): Promise<Delivery | Delay> {
  try {
    const { status, text, retryAfterMs } = await client.post('/v1/usage/batches', body, {
      deadlineMs: ATTEMPT_MS,
      signal,
    });
    if (status === 409) return { outcome: 'conflict', status, answer: text };
    if (REFUSED_STATUSES.has(status)) return { outcome: 'refused', status, answer: text };
    return acknowledgement(status, text) ?? { cause: `HTTP ${status}`, retryAfterMs };
  } catch (error) {
    return { cause: error instanceof Error ? error.message : String(error) };
  }
}

function acknowledgement(status: number, text: string): Delivery | undefined {
  if (status !== 200 && status !== 201) return undefined;
  const answer: Record<string, unknown> | null = JSON.parse(text);
  const duplicate = answer?.['duplicate'];
  if (typeof duplicate !== 'boolean') return undefined;
  return { outcome: duplicate ? 'duplicate' : 'accepted', quarantined: quarantinedIn(answer) };
}

function quarantinedIn(answer: Record<string, unknown> | null): QuarantinedRecords | null {
  const records = answer?.['quarantined'];
  if (typeof records !== 'number') return null;
  const errors: unknown = answer?.['errors'];
  const reasons = (Array.isArray(errors) ? errors : []).map(
    (fault: { pointer?: unknown; detail?: unknown }) =>
      `${String(fault.pointer)} ${String(fault.detail)}`,
  );
  return { records, reasons };
}

/**
 * Doubles from 100 ms to 10 s; the last half is random, so that many gateways do not come back at once. With a
 * `Retry-After` it is what was asked for, at most 10 minutes, and the random half on top.
 */
export function pauseMs(
  tries: number,
  retryAfterMs: number | undefined,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(tries - 1, 10));
  const spread = (random() * ceiling) / 2;
  if (retryAfterMs === undefined) return ceiling / 2 + spread;
  return Math.max(Math.min(retryAfterMs, RETRY_AFTER_MS_MAX), ceiling / 2) + spread;
}

/** Waits, or less when the signal comes. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal.addEventListener('abort', wake, { once: true });
  });
}
