import { isIP } from 'node:net';
import { isInRanges, parseIpAddress, type IpRange } from '@core/kernel';
import { repeatedHeader } from '../http/strict-requests.js';

/** Where each gateway says what the client asked for: exactly one source, since clients can send all others themselves. */
const SOURCES = {
  nginx: { path: 'x-original-uri', method: 'x-original-method', address: 'x-real-ip' },
  caddy: { path: 'x-forwarded-uri', method: 'x-forwarded-method', address: 'x-forwarded-for' },
  traefik: { path: 'x-forwarded-uri', method: 'x-forwarded-method', address: 'x-forwarded-for' },
  haproxy: { path: 'x-forwarded-uri', method: 'x-forwarded-method', address: 'x-forwarded-for' },
  apisix: { path: 'x-forwarded-uri', method: 'x-forwarded-method', address: 'x-forwarded-for' },
} as const;

type GatewayName = keyof typeof SOURCES;

/** What a gateway asks about. */
export interface ForwardedCall {
  readonly apiKey: string | null;
  readonly method: string;
  readonly path: string;
  readonly sourceIp: string | null;
}

/** The request as it came over the wire. */
export interface RawRequest {
  readonly method: string;
  /** Below `/v1/forward-auth/{apiId}/{stage}/`, without the query. */
  readonly tail: string;
  readonly rawHeaders: readonly string[];
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

const ALWAYS_SINGLE = ['x-api-key', 'x-tollgate-token', 'host', 'authorization'];

/** What each gateway must not say twice. */
const SINGLE_OF: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries(SOURCES).map(([gateway, { path, method, address }]) => [
    gateway,
    new Set([...ALWAYS_SINGLE, path, method, address]),
  ]),
);
const SINGLE_IN_PATH: ReadonlySet<string> = new Set([...ALWAYS_SINGLE, 'x-forwarded-for']);

/**
 * Reads what the gateway says; null when it cannot be believed: no such gateway, a header twice, one missing.
 * `trustedProxies` stand between the clients and the gateway.
 */
export function readForwardedCall(
  request: RawRequest,
  trustedProxies: readonly IpRange[],
): ForwardedCall | null {
  const { tail, headers, rawHeaders } = request;
  if (hasUnderscoreAlias(rawHeaders)) return null;
  if (tail.startsWith('path/')) {
    if (repeatedHeader(rawHeaders, SINGLE_IN_PATH)) return null;
    return {
      apiKey: single(headers['x-api-key']),
      method: request.method,
      path: tail.slice('path'.length),
      sourceIp: clientAddress(single(headers['x-forwarded-for']), trustedProxies),
    };
  }
  const singleNames = SINGLE_OF.get(tail);
  if (!singleNames || !isGateway(tail)) return null;
  if (repeatedHeader(rawHeaders, singleNames)) return null;
  const source = SOURCES[tail];
  const path = single(headers[source.path]);
  const method = single(headers[source.method]);
  if (!path || !method || !/^[A-Z]{1,32}$/.test(method)) return null;
  const address = single(headers[source.address]);
  return {
    apiKey: single(headers['x-api-key']),
    method,
    path: path.split('?', 1)[0] ?? path,
    sourceIp:
      source.address === 'x-forwarded-for' ? clientAddress(address, trustedProxies) : address,
  };
}

const isGateway = (name: string): name is GatewayName => Object.hasOwn(SOURCES, name);

const single = (value: string | string[] | undefined): string | null =>
  typeof value === 'string' ? value : null;

/**
 * The last address of the list that is no trusted proxy's. The gateway appended the last one itself, and a trusted
 * proxy the one before its own; all before that is the client's word.
 */
function clientAddress(list: string | null, trustedProxies: readonly IpRange[]): string | null {
  const addresses = list?.split(',') ?? [];
  let address: string | null = null;
  for (let i = addresses.length - 1; i >= 0; i -= 1) {
    const entry = addresses[i]?.trim() ?? '';
    if (!isIP(entry)) return null;
    address = entry;
    if (trustedProxies.length === 0) break;
    const ip = parseIpAddress(entry);
    if (!ip || !isInRanges(trustedProxies, ip)) break;
  }
  return address;
}

/** `X_Original-Uri` becomes `X-Original-Uri` in many a proxy; no honest gateway sends it. */
function hasUnderscoreAlias(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (name.includes('_') && /^x[-_](original|forwarded|real|tollgate|api)[-_]/i.test(name))
      return true;
  }
  return false;
}
