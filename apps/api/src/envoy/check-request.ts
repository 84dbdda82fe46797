import type { IpRange } from '@core/kernel';
import { clientAddress } from '../decisions/forward-auth-request.js';
import { Fields, readWhole, toByteString } from './wire.js';

/** What a `CheckRequest` asks: one call at Envoy, and where it was routed to. */
export interface CheckedCall {
  readonly apiKey: string | null;
  readonly method: string;
  /** As it goes to the upstream, with its query. */
  readonly path: string;
  /** The peer of Envoy's connection, or who stands behind the trusted proxies; null when there is no address. */
  readonly sourceIp: string | null;
  /** The route's own words, `context_extensions`. */
  readonly route: RouteContext;
  /** Names of the client's headers that only the gateway may send to the upstream. */
  readonly forged: readonly string[];
}

/** What the configuration of a route says; a client cannot. */
export interface RouteContext {
  readonly apiId: string;
  readonly stage: string;
  /** The template, where the route knows it; the path is then not looked at. */
  readonly resourcePath: string | undefined;
  readonly cost: number;
  /** Whether the upstream gets the key. */
  readonly stripsApiKey: boolean;
}

/** Which fields of `envoy.service.auth.v3` are read, by their numbers in external_auth.proto and attribute_context.proto. */
const CHECK_REQUEST = { attributes: 1 };
const ATTRIBUTES = { source: 1, request: 4, contextExtensions: 10 };
const PEER = { address: 1 };
const ADDRESS = { socketAddress: 1 };
const SOCKET_ADDRESS = { address: 2 };
const REQUEST = { http: 2 };
const HTTP = { method: 2, headers: 3, path: 4, headerMap: 13 };
const HEADER_MAP = { headers: 1 };
const ENTRY = { key: 1, value: 2, rawValue: 3 };

/**
 * Reads a `CheckRequest`; null when it cannot be believed: bytes that are no message, no route context, no method or
 * path, two keys. (Two that Envoy joined with a comma are a key that nobody was given.)
 */
export function readCheckRequest(
  bytes: Buffer,
  trustedProxies: readonly IpRange[],
): CheckedCall | null {
  const call = new CallReader();
  const isMessage = readWhole(() =>
    eachField(new Fields(toByteString(bytes)), CHECK_REQUEST.attributes, (attributes) =>
      call.readAttributes(attributes),
    ),
  );
  return isMessage ? call.whole(trustedProxies) : null;
}

class CallReader {
  private method = '';
  private path = '';
  private sourceIp = '';
  private readonly keys: string[] = [];
  private readonly chain: string[] = [];
  private readonly forged: string[] = [];
  private readonly extensions = new Map<string, string>();

  readAttributes(attributes: Fields): void {
    while (attributes.next()) {
      if (attributes.number === ATTRIBUTES.request) this.readRequest(attributes.message());
      else if (attributes.number === ATTRIBUTES.source) this.readSource(attributes.message());
      else if (attributes.number === ATTRIBUTES.contextExtensions)
        this.readExtension(attributes.message());
    }
  }

  private readRequest(request: Fields): void {
    eachField(request, REQUEST.http, (http) => {
      while (http.next()) {
        switch (http.number) {
          case HTTP.method:
            this.method = http.text();
            break;
          case HTTP.path:
            this.path = http.text();
            break;
          case HTTP.headers:
            this.readHeader(http.message());
            break;
          case HTTP.headerMap:
            eachField(http.message(), HEADER_MAP.headers, (header) => this.readHeader(header));
            break;
        }
      }
    });
  }

  private readSource(source: Fields): void {
    eachField(source, PEER.address, (address) =>
      eachField(address, ADDRESS.socketAddress, (socket) => {
        while (socket.next()) {
          if (socket.number === SOCKET_ADDRESS.address) this.sourceIp = socket.text();
        }
      }),
    );
  }

  private readExtension(entry: Fields): void {
    let key = '';
    let value = '';
    while (entry.next()) {
      if (entry.number === ENTRY.key) key = entry.text();
      else if (entry.number === ENTRY.value) value = entry.text();
    }
    this.extensions.set(key, value);
  }

  /** Names come in lower case. Most end here: a header of another's costs one comparison. */
  private readHeader(entry: Fields): void {
    let values: string[] | null = null;
    let value = '';
    while (entry.next()) {
      if (entry.number === ENTRY.key) {
        if (!entry.startsWith('x')) continue;
        if (entry.is('x-api-key')) values = this.keys;
        else if (entry.is('x-forwarded-for')) values = this.chain;
        else if (TOLLGATE.test(entry.text())) this.forged.push(entry.text());
      } else if (values && (entry.number === ENTRY.value || entry.number === ENTRY.rawValue)) {
        value = entry.text();
      }
    }
    values?.push(value);
  }

  whole(trustedProxies: readonly IpRange[]): CheckedCall | null {
    const { method, path, keys, forged } = this;
    const route = this.route();
    if (!route || !METHOD.test(method) || path === '') return null;
    const apiKey = keys[0] ?? null;
    if (keys.length > 1) return null;
    const sourceIp = this.client(trustedProxies);
    return { apiKey, method, path, sourceIp, route, forged };
  }

  /** Envoy appends the peer to the chain only where it is told to (`use_remote_address`). */
  private client(trustedProxies: readonly IpRange[]): string | null {
    const { chain, sourceIp } = this;
    if (trustedProxies.length === 0 || chain.length === 0) return sourceIp || null;
    return clientAddress([...chain, sourceIp].join(','), trustedProxies);
  }

  private route(): RouteContext | null {
    const { extensions } = this;
    const apiId = extensions.get('api');
    const stage = extensions.get('stage');
    const cost = costOf(extensions.get('cost'));
    if (!apiId || !stage || cost === null) return null;
    const resourcePath = extensions.get('resource_path');
    return {
      apiId,
      stage,
      cost,
      resourcePath,
      stripsApiKey: extensions.get('strip_api_key') === 'true',
    };
  }
}

const METHOD = /^[A-Z]{1,32}$/;

/** Every spelling under which an upstream may read one of the gateway's own headers. */
const TOLLGATE = /^x[-_]tollgate[-_]/;

/** The most calls that one may count as. */
export const COST_MAX = 1_000_000;

/** What `cost` says; 1 when it says nothing, null when it is no whole number up to `COST_MAX`. */
function costOf(text: string | undefined): number | null {
  if (text === undefined) return 1;
  const cost = /^\d{1,7}$/.test(text) ? Number(text) : Infinity;
  return cost <= COST_MAX ? cost : null;
}

/** Reads each message that a message has in its field `number`. */
function eachField(fields: Fields, number: number, read: (message: Fields) => void): void {
  while (fields.next()) {
    if (fields.number === number) read(fields.message());
  }
}
