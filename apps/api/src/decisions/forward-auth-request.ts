import { isIP } from 'node:net';
import { isInRanges, parseIpAddress, type IpRange } from '@core/kernel';
import type { FieldNames } from '../http/field-names.js';
import { NameLengths } from '../http/name-lengths.js';

/** What a gateway asks about. */
export interface ForwardedCall {
  /** Of the gateway; null when it sent none. */
  readonly token: string | null;
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
  readonly names: FieldNames;
}

interface Source {
  readonly path: string | null;
  readonly method: string | null;
  readonly address: string;
}

const FORWARDED: Source = {
  path: 'x-forwarded-uri',
  method: 'x-forwarded-method',
  address: 'x-forwarded-for',
};

/** Where each gateway says what the client asked for: exactly one source, since clients can send all others themselves. */
const SOURCES: Readonly<Record<string, Source>> = {
  nginx: { path: 'x-original-uri', method: 'x-original-method', address: 'x-real-ip' },
  caddy: FORWARDED,
  traefik: FORWARDED,
  haproxy: FORWARDED,
  apisix: FORWARDED,
};

/** The places of what is read; each must come once. */
const API_KEY = 0;
const TOKEN = 1;
const PATH = 2;
const METHOD = 3;
const ADDRESS = 4;
/** Two of these are a trick, and proxies disagree which counts. */
const HOST = 5;
const AUTHORIZATION = 6;
const PLACES = 7;
const NOWHERE = -1;

/** Where each header field is kept that one kind of gateway is read from. */
class Reader {
  private readonly places: ReadonlyMap<string, number>;
  private readonly lengths: NameLengths;
  private readonly readsForwardedFor: boolean;

  constructor({ path, method, address }: Source) {
    this.places = new Map([
      ['x-api-key', API_KEY],
      ['x-tollgate-token', TOKEN],
      ...(path === null ? [] : [[path, PATH] as const]),
      ...(method === null ? [] : [[method, METHOD] as const]),
      [address, ADDRESS],
      ['host', HOST],
      ['authorization', AUTHORIZATION],
    ]);
    this.lengths = new NameLengths(this.places.keys());
    this.readsForwardedFor = address === 'x-forwarded-for';
  }

  /** Where the fields are among those of the request, found once for the same names. */
  placesOf({ rawHeaders, names }: RawRequest): FieldPlaces {
    const known = names.forwarded;
    if (known instanceof FieldPlaces && known.reader === this) return known;
    const places = new FieldPlaces(this, this.find(rawHeaders));
    names.forwarded = places;
    return places;
  }

  /** In one pass; null when a field that must be single comes twice, or one has an alias that proxies read as it. */
  private find(rawHeaders: readonly string[]): number[] | null {
    const found = Array<number>(PLACES).fill(NOWHERE);
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const raw = rawHeaders[i] ?? '';
      if (raw.includes('_') && ALIAS.test(raw)) return null;
      if (!this.lengths.mayBe(raw)) continue;
      const place = this.places.get(raw.toLowerCase());
      if (place === undefined) continue;
      if (found[place] !== NOWHERE) return null;
      found[place] = i + 1;
    }
    return found;
  }

  address(list: string | null, trustedProxies: readonly IpRange[]): string | null {
    return this.readsForwardedFor ? clientAddress(list, trustedProxies) : list;
  }
}

/** Where the values are of what one kind of gateway is read from; null when its names cannot be believed. */
class FieldPlaces {
  constructor(
    readonly reader: Reader,
    readonly at: readonly number[] | null,
  ) {}
}

/** `X_Original-Uri` becomes `X-Original-Uri` in many a proxy; no honest gateway sends it. */
const ALIAS = /^x[-_](original|forwarded|real|tollgate|api)[-_]/i;

const READERS: ReadonlyMap<string, Reader> = new Map(
  Object.entries(SOURCES).map(([gateway, source]) => [gateway, new Reader(source)]),
);
/** Whether the tail names a gateway, and nothing of the call. */
export const isFixedTail = (tail: string): boolean => READERS.has(tail);

/** Envoy and Istio say path and method in the request line. */
const IN_PATH = 'path/';
const PATH_READER = new Reader({ path: null, method: null, address: FORWARDED.address });

/**
 * Reads what the gateway says; null when it cannot be believed: no such gateway, a header twice, one missing.
 * `trustedProxies` stand between the clients and the gateway.
 */
export function readForwardedCall(
  request: RawRequest,
  trustedProxies: readonly IpRange[],
): ForwardedCall | null {
  const { tail, rawHeaders } = request;
  const isInPath = tail.startsWith(IN_PATH);
  const reader = isInPath ? PATH_READER : READERS.get(tail);
  const at = reader?.placesOf(request).at;
  if (!reader || !at) return null;
  const field = (place: number) => rawHeaders[at[place] ?? NOWHERE] ?? null;
  const path = isInPath ? tail.slice(IN_PATH.length - 1) : field(PATH);
  const method = isInPath ? request.method : field(METHOD);
  if (!path || !method || !(isInPath || METHOD_NAME.test(method))) return null;
  const query = path.indexOf('?');
  return {
    token: field(TOKEN),
    apiKey: field(API_KEY),
    method,
    path: query === -1 ? path : path.slice(0, query),
    sourceIp: reader.address(field(ADDRESS), trustedProxies),
  };
}

const METHOD_NAME = /^[A-Z]{1,32}$/;

/**
 * The last address of the list that is no trusted proxy's. The gateway appended the last one itself, and a trusted
 * proxy the one before its own; all before that is the client's word.
 */
export function clientAddress(
  list: string | null,
  trustedProxies: readonly IpRange[],
): string | null {
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
