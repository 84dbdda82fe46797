import type { MeteredCall } from '@core/gateway-plugin';

/** What one line of an access log means. */
export type LineMeaning =
  | { readonly kind: 'call'; readonly call: MeteredCall }
  /** A call that did not pass, or one that belongs to no key: nothing to meter. */
  | { readonly kind: 'not-metered' }
  | { readonly kind: 'unreadable' };

const NOT_METERED: LineMeaning = { kind: 'not-metered' };
const UNREADABLE: LineMeaning = { kind: 'unreadable' };

/**
 * Reads a line as `gateways/nginx` writes it: a JSON object of texts. `decision` is `allowed` for calls that passed.
 *
 * The instant is `tollgateTime`, the service's own at the decision; a gateway that does not log it has `time`, and
 * `clockOffsetMs` is then added to it.
 */
export function meaningOf(line: string, clockOffsetMs: number): LineMeaning {
  let fields: unknown;
  try {
    fields = JSON.parse(line);
  } catch {
    return UNREADABLE;
  }
  if (typeof fields !== 'object' || fields === null) return UNREADABLE;
  const texts = new Map<string, unknown>(Object.entries(fields));
  const text = (name: string): string => {
    const value = texts.get(name);
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  };
  if (!texts.has('decision')) return UNREADABLE;
  const keyId = text('keyId');
  if (text('decision') !== 'allowed' || keyId === '') return NOT_METERED;
  const call: MeteredCall = {
    at: instantOf(text('tollgateTime')) ?? (instantOf(text('time')) ?? Number.NaN) + clockOffsetMs,
    keyId,
    apiId: text('apiId'),
    stage: text('stage'),
    method: text('method'),
    resourcePath: text('resourcePath'),
    status: wholeNumber(text('status')),
    bytesOut: wholeNumber(text('bytesOut')),
    protocol: text('protocol') === 'HTTP' ? 'HTTP' : 'REST',
  };
  const isWhole = [call.apiId, call.stage, call.method, call.resourcePath].every(
    (value) => value !== '',
  );
  const hasNumbers = [call.at, call.status, call.bytesOut].every(Number.isFinite);
  return isWhole && hasNumbers ? { kind: 'call', call } : UNREADABLE;
}

function instantOf(text: string): number | undefined {
  const instant = Date.parse(text);
  return Number.isNaN(instant) ? undefined : instant;
}

function wholeNumber(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}
