import { Injectable } from '@nestjs/common';
import type { ExchangeOutcome } from '@core/billing';
import { StripeRefused, StripeUnavailable } from '@core/billing';
import { Config } from '@io/platform';
import type { Stripe } from 'stripe';

/** Pinned: what is read of an answer is read as this version has it. */
export const STRIPE_API_VERSION = '2026-10-28.endive';
const TIMEOUT_MS = 20_000;
/** How long an account calls nobody after Stripe has said that it calls too often, or that its key is not good. */
const RATE_LIMIT_PAUSE_MS = 1_000;
const BAD_KEY_PAUSE_MS = 60_000;
const CLIENTS_MAX = 100;

/**
 * An answer that is no success, although the SDK says so: it takes any JSON without an `error` for one, such as a proxy's 502.
 */
export class NotAnAnswer extends Error {}

/** What Stripe did with money that no program may settle: the message says what a person has to do. */
export class NeedsPerson extends Error {}

/**
 * Somebody else took the step meanwhile, such as a customer who paid on Stripe's page. That is no refusal: the next attempt looks
 * how things stand, and ends there.
 */
const TAKEN_MEANWHILE = new Set([
  'charge_already_refunded',
  'invoice_already_paid',
  'invoice_not_editable',
  'invoice_status_transition_invalid',
  'payment_record_already_attached',
  'status_transition_invalid',
]);

let sdk: typeof Stripe | undefined;

/** Stripe's SDK. It is read when something is asked or heard of Stripe first: a tenth of a second that no start has to take. */
export async function stripeSdk(): Promise<typeof Stripe> {
  sdk ??= (await import('stripe')).Stripe;
  return sdk;
}

/** Whether it is an error of the SDK. */
export function isStripeError(error: unknown): error is Stripe.errors.StripeError {
  return sdk !== undefined && error instanceof sdk.errors.StripeError;
}

/** Clients of Stripe, one for each key. They retry nothing by themselves: the outbox does. */
@Injectable()
export class StripeClients {
  private readonly clients = new Map<string, Stripe>();

  constructor(private readonly config: Config) {}

  async of(secretKey: string): Promise<Stripe> {
    const known = this.clients.get(secretKey);
    if (known) return known;
    const Sdk = await stripeSdk();
    const { protocol, hostname, port } = this.config.stripeApiBase;
    const isHttp = protocol === 'http:';
    const client = new Sdk(secretKey, {
      apiVersion: STRIPE_API_VERSION,
      protocol: isHttp ? 'http' : 'https',
      host: hostname,
      port: port === '' ? (isHttp ? 80 : 443) : Number(port),
      maxNetworkRetries: 0,
      timeout: TIMEOUT_MS,
      telemetry: false,
      appInfo: { name: 'tollgate' },
    });
    if (this.clients.size >= CLIENTS_MAX) this.clients.clear();
    this.clients.set(secretKey, client);
    return client;
  }
}

/** The answer, when it is one: a status of success, and the object that was asked for. Throws `NotAnAnswer`. */
export function checked<T extends object>(answer: Stripe.Response<T>, object: string): T {
  const { statusCode } = answer.lastResponse;
  const { object: got, id } = answer as { object?: unknown; id?: unknown };
  const isWhole =
    got === 'list' || got === 'search_result' || (typeof id === 'string' && id !== '');
  if (statusCode < 300 && got === object && isWhole) return answer;
  throw new NotAnAnswer(`Stripe answered ${statusCode} without the ${object} that was asked for.`);
}

/** What becomes of an exchange whose call failed so, and how long the account is to call nobody. */
export function failureOf(error: unknown): {
  readonly outcome: ExchangeOutcome;
  readonly pauseMs: number;
  readonly isKeyUsedUp: boolean;
} | null {
  const failed = (fault: string, pauseMs = 0, isKeyUsedUp = false) =>
    ({ outcome: { kind: 'failed', fault, afterMs: pauseMs }, pauseMs, isKeyUsedUp }) as const;
  if (error instanceof NotAnAnswer) return failed(error.message);
  if (!isStripeError(error)) return null;
  const { statusCode = 0, code = '' } = error;
  const fault = `Stripe ${statusCode || 'does not answer'} ${code} ${error.message}`.replaceAll(
    '  ',
    ' ',
  );
  if (statusCode === 429 || code === 'lock_timeout') {
    return failed(fault, code === 'lock_timeout' ? 0 : RATE_LIMIT_PAUSE_MS);
  }
  if (statusCode === 401 || statusCode === 403) return failed(fault, BAD_KEY_PAUSE_MS);
  // Stripe repeats a 5xx under the same key for a day.
  if (statusCode >= 500) return failed(fault, 0, true);
  if (statusCode === 0 || statusCode === 409 || TAKEN_MEANWHILE.has(code)) return failed(fault);
  return { outcome: { kind: 'refused', fault }, pauseMs: 0, isKeyUsedUp: false };
}

/** Asks Stripe while somebody waits for the answer. Throws `StripeRefused` or `StripeUnavailable`. */
export async function asked<T extends object>(
  object: string,
  call: () => Promise<Stripe.Response<T>>,
): Promise<T> {
  try {
    return checked(await call(), object);
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    if (failure.outcome.kind === 'refused' || isBadKey(error)) {
      const { message, code } = error as { message: string; code?: string };
      throw new StripeRefused(message, code ?? null);
    }
    throw new StripeUnavailable();
  }
}

const isBadKey = (error: unknown) =>
  isStripeError(error) && (error.statusCode === 401 || error.statusCode === 403);
