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
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    if (request.rawHeaders[index]?.toLowerCase() === name) {
      values.push(request.rawHeaders[index + 1] ?? '');
    }
  }
  return values;
}

/** The path without query and fragment: a query may hold secrets and decides nothing. */
export function pathOf(target: string): string {
  const end = target.search(/[?#]/);
  return end === -1 ? target : target.slice(0, end);
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

/**
 * Replaces every `X-Tollgate-*` header, also in its `_` spelling, which CGI-like applications cannot tell from ours.
 * The application behind can trust what it finds under these names.
 */
export function replaceIdentity(
  request: IncomingMessage,
  identity: Readonly<Record<string, string>>,
): void {
  // Node derives these two from rawHeaders when they are first read: read them before that changes.
  const { headers, headersDistinct, rawHeaders: raw } = request;
  for (let index = raw.length - 2; index >= 0; index -= 2) {
    if (OURS.test(raw[index] ?? '')) raw.splice(index, 2);
  }
  for (const view of [headers, headersDistinct]) {
    for (const name of Object.keys(view)) if (OURS.test(name)) delete view[name];
  }
  for (const [name, value] of Object.entries(identity)) {
    raw.push(name, value);
    headers[name.toLowerCase()] = value;
    headersDistinct[name.toLowerCase()] = [value];
  }
}
