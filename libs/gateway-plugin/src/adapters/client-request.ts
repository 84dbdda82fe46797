import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, isIPv6 } from 'node:net';

/** A proxy in front of this process that names the client in a header. */
export interface TrustedProxy {
  /** The one header that is read, such as `x-forwarded-for` or `x-real-ip`. */
  readonly header: string;
  /** Addresses and CIDR blocks of the proxies. From anyone else the header is ignored. */
  readonly from: readonly string[];
}

/** The values of a header as they were sent; node joins repeated ones in `headers`, which hides the repetition. */
export function headerValues(request: IncomingMessage, name: string): string[] {
  const values: string[] = [];
  const { rawHeaders: raw } = request;
  for (let index = 0; index < raw.length; index += 2) {
    const sent = raw[index] ?? '';
    if (sent.length === name.length && sent.toLowerCase() === name) {
      values.push(raw[index + 1] ?? '');
    }
  }
  return values;
}

/** The path without query and fragment: a query may hold secrets and decides nothing. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  const fragment = path.indexOf('#');
  return fragment === -1 ? path : path.slice(0, fragment);
}

/** Reads the client's address. Throws a `TypeError` at once when a trusted address is none. */
export function clientAddressReader(
  proxy: TrustedProxy | undefined,
): (request: IncomingMessage) => string {
  if (proxy === undefined) return socketAddress;
  const trusted = blockList(proxy.from);
  const header = proxy.header.toLowerCase();
  return (request) => {
    const hops = headerValues(request, header)
      .join(',')
      .split(',')
      .map((hop) => unmapped(hop.trim()));
    let address = socketAddress(request);
    while (isTrusted(trusted, address)) {
      const hop = hops.pop();
      if (hop === undefined || isIP(hop) === 0) break;
      address = hop;
    }
    return address;
  };
}

function socketAddress(request: IncomingMessage): string {
  return unmapped(request.socket.remoteAddress ?? '');
}

/** An IPv4 address that came over an IPv6 socket in its own form, and no zone, which means nothing elsewhere. */
function unmapped(address: string): string {
  if (!address.includes(':')) return address;
  return address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
}

function isTrusted(trusted: BlockList, address: string): boolean {
  return isIP(address) !== 0 && trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

function blockList(blocks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(block) ?? [];
    if (isIP(address) === 0) throw new TypeError(`trustProxy.from: "${block}" is no CIDR block`);
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

const OURS = /^x[-_]tollgate[-_]/i;
const X = 0x78;

/** Whether a header is named as ours are; nearly all are not by their first letter. */
const isOurs = (name: string): boolean => (name.charCodeAt(0) | 0x20) === X && OURS.test(name);

/**
 * Replaces every `X-Tollgate-*` header, also in its `_` spelling, which CGI-like applications cannot tell from ours.
 * The application behind can trust what it finds under these names.
 */
export function replaceIdentity(
  request: IncomingMessage,
  identity: Readonly<Record<string, string>>,
): void {
  // Node derives its views from rawHeaders when they are first read: this one before that changes, the other anew.
  const { headers, rawHeaders: raw } = request;
  for (let index = raw.length - 2; index >= 0; index -= 2) {
    if (isOurs(raw[index] ?? '')) raw.splice(index, 2);
  }
  for (const name in headers) if (isOurs(name)) delete headers[name];
  for (const name in identity) {
    const value = identity[name] ?? '';
    raw.push(name, value);
    headers[name.toLowerCase()] = value;
  }
  Object.defineProperty(request, 'headersDistinct', DISTINCT);
}

/** `headersDistinct` of what is in rawHeaders when it is first read: few applications do. */
const DISTINCT: PropertyDescriptor & ThisType<IncomingMessage> = {
  configurable: true,
  enumerable: false,
  get() {
    const view: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
    for (let index = 0; index < this.rawHeaders.length; index += 2) {
      const name = (this.rawHeaders[index] ?? '').toLowerCase();
      (view[name] ??= []).push(this.rawHeaders[index + 1] ?? '');
    }
    Object.defineProperty(this, 'headersDistinct', { ...OWN, value: view });
    return view;
  },
  set(value: unknown) {
    Object.defineProperty(this, 'headersDistinct', { ...OWN, value });
  },
};
const OWN = { configurable: true, enumerable: false, writable: true };
