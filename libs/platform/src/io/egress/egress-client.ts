import { lookup } from 'node:dns/promises';
import http from 'node:http';
import https from 'node:https';
import { isIP, type Socket } from 'node:net';
import { pipeline, type Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { Config } from '../config/config.js';
import { addressVerdict, type AddressVerdict } from './egress-address.js';
import { EgressFailure } from './errors.js';

/** What came back. */
export interface EgressAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** At most 64 KiB of it. */
  readonly body: string;
  /** The same as it came. */
  readonly bytes: Buffer;
  /** Whether it came from a public address: what a private one says is not for tenants to read. */
  readonly isPublic: boolean;
}

/** A body that is read as it is sent, anew for each address that is tried. */
export interface EgressBody {
  readonly bytes: number;
  open(): Readable;
}

/** What is sent. */
export interface EgressRequest {
  /** POST when left out. */
  readonly method?: 'GET' | 'POST' | 'PUT';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | EgressBody;
  /** How long all of it may take; ten seconds when left out. */
  readonly totalMs?: number;
  /** Plain HTTP is enough, also where tenants may not name such a URL: the answer is signed, and is checked. */
  readonly mayBePlain?: boolean;
}

const URL_MAX = 2_048;
const DNS_MS = 2_000;
const CONNECT_MS = 3_000;
const TOTAL_MS = 10_000;
/** How long a body that is read as it is sent is kept back for a word of the other side: connecting, and a second. */
const CONTINUE_MS = 4_000;
const BODY_MAX = 65_536;
const ADDRESSES_MAX = 3;
const HTTP_PORT = 80;

/**
 * The only way out for URLs that tenants name. A host is resolved once, every address must be public (or allowed by
 * EGRESS_ALLOW_CIDRS), and the connection goes to the address that was checked, so that a second answer of the DNS
 * changes nothing. No redirect is followed, no proxy is read from the environment, no connection is kept.
 */
@Injectable()
export class EgressClient {
  constructor(private readonly config: Config) {}

  /** What keeps the URL from being asked, read after its name; null when nothing can be seen without resolving it. */
  urlFault(text: string, mayBePlain = false): string | null {
    if (text.length > URL_MAX) return `must have at most ${URL_MAX} characters`;
    const url = URL.canParse(text) ? new URL(text) : null;
    const allowsHttp = mayBePlain || this.config.egress.allowsHttp;
    const schemes = allowsHttp ? ['https:', 'http:'] : ['https:'];
    if (!url || !schemes.includes(url.protocol))
      return `must be a URL that starts with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}`;
    if (url.username !== '' || url.password !== '') return 'must not hold a user or a password';
    if (url.hash !== '' || text.includes('#')) return 'must not have a fragment';
    const { ports } = this.config.egress;
    const isPlainPort = mayBePlain && portOf(url) === HTTP_PORT;
    if (ports !== 'any' && !isPlainPort && !ports.includes(portOf(url)))
      return `must name one of the ports ${ports.join(', ')}`;
    const host = hostOf(url);
    if (isIP(host) !== 0 && this.verdict(host, portOf(url)) === 'refused')
      return 'must not name a private address';
    return null;
  }

  /** Posts to a URL and answers what came back, whatever its status. Throws `EgressFailure` when nothing did. */
  async post(text: string, request: EgressRequest): Promise<EgressAnswer> {
    if (this.urlFault(text, request.mayBePlain) !== null) throw new EgressFailure('url-refused');
    const url = new URL(text);
    const endsAtMs = performance.now() + (request.totalMs ?? TOTAL_MS);
    const addresses = await this.addresses(url);
    let failure = new EgressFailure('connect');
    for (const address of addresses.slice(0, ADDRESSES_MAX)) {
      try {
        return await this.exchange(url, address, request, endsAtMs - performance.now());
      } catch (error) {
        failure = asFailure(error);
        if (failure.fault !== 'connect') break;
      }
    }
    throw failure;
  }

  /** Reads a URL, by the same rules. */
  get(url: string, { mayBePlain = false } = {}): Promise<EgressAnswer> {
    return this.post(url, { method: 'GET', headers: {}, body: '', mayBePlain });
  }

  /** The addresses of a name. Apart, so that a test can be the DNS. */
  protected async resolve(host: string): Promise<readonly string[]> {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  }

  /** Certificates to trust beside the system's. Apart, so that a test can have a name. */
  protected trusted(): string | undefined {
    return undefined;
  }

  private verdict(address: string, port: number): AddressVerdict {
    const { allowed, ownPorts } = this.config.egress;
    const verdict = addressVerdict(address, allowed);
    return verdict === 'allowed' && ownPorts.includes(port) ? 'refused' : verdict;
  }

  /** All of them must be good: a name that also leads inside is no honest name. */
  private async addresses(url: URL): Promise<readonly string[]> {
    const host = hostOf(url);
    const found = isIP(host) === 0 ? await this.resolveInTime(host) : [host];
    if (found.length === 0) throw new EgressFailure('dns');
    if (found.some((address) => this.verdict(address, portOf(url)) === 'refused'))
      throw new EgressFailure('address-refused');
    return found;
  }

  private async resolveInTime(host: string): Promise<readonly string[]> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await Promise.race([
        this.resolve(host),
        new Promise<never>((_, reject) => {
          timer = setTimeout(() => reject(new EgressFailure('dns')), DNS_MS);
        }),
      ]);
    } catch (error) {
      throw new EgressFailure('dns', { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  private exchange(
    url: URL,
    address: string,
    { method = 'POST', headers, body }: EgressRequest,
    timeLeftMs: number,
  ): Promise<EgressAnswer> {
    const port = portOf(url);
    const isSecure = url.protocol === 'https:';
    const host = hostOf(url);
    return new Promise((resolve, reject) => {
      const fail = (failure: EgressFailure) => {
        reject(failure);
        request.destroy();
      };
      const request = (isSecure ? https : http).request({
        host: address,
        port,
        path: `${url.pathname}${url.search}`,
        method,
        agent: false,
        headers: {
          ...headers,
          host: url.host,
          'accept-encoding': 'identity',
          'content-length': typeof body === 'string' ? Buffer.byteLength(body) : body.bytes,
          ...(typeof body === 'string' ? {} : { expect: '100-continue' }),
        },
        ...(isSecure && isIP(host) === 0 ? { servername: host } : {}),
        ...(isSecure && this.trusted() !== undefined ? { ca: this.trusted() } : {}),
      });
      const total = setTimeout(() => fail(new EgressFailure('timeout')), Math.max(timeLeftMs, 1));
      const connecting = setTimeout(() => fail(new EgressFailure('connect')), CONNECT_MS);
      let isConnected = false;
      let isAnswered = false;
      request.once('close', () => {
        clearTimeout(total);
        clearTimeout(connecting);
        reject(new EgressFailure('no-answer'));
      });
      request.once('socket', (socket: Socket) => {
        socket.once('connect', () => {
          isConnected = true;
          clearTimeout(connecting);
          if (this.verdict(socket.remoteAddress ?? '', port) === 'refused')
            fail(new EgressFailure('address-refused'));
        });
        socket.once('secureConnect', () => clearTimeout(connecting));
      });
      request.on('error', (cause: NodeJS.ErrnoException) => {
        // Who refuses a body need not read it.
        if (isAnswered) return;
        const isTls = isConnected && isSecure && request.socket?.writable !== true;
        const fault = !isConnected
          ? 'connect'
          : isTls || isCertificate(cause)
            ? 'tls'
            : 'no-answer';
        fail(new EgressFailure(fault, { cause }));
      });
      request.once('response', (response) => {
        isAnswered = true;
        const isPublic = this.verdict(response.socket.remoteAddress ?? '', port) === 'public';
        readBytes(response).then(
          (bytes) => {
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: bytes.toString('utf8'),
              bytes,
              isPublic,
            });
            request.destroy();
          },
          (cause: unknown) => fail(new EgressFailure('no-answer', { cause })),
        );
      });
      if (typeof body === 'string') return void request.end(body);
      // What is refused by its head is not sent, and the refusal is heard rather than a broken connection.
      const send = () => {
        clearTimeout(waiting);
        if (!isAnswered) pipeline(body.open(), request, (error) => error && fail(asFailure(error)));
      };
      const waiting = setTimeout(send, CONTINUE_MS);
      request.once('continue', send);
      request.once('close', () => clearTimeout(waiting));
      request.flushHeaders();
    });
  }
}

function portOf(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : HTTP_PORT) : Number(url.port);
}

/** Without the brackets of an IPv6 address. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

/** At most the first 64 KiB. */
async function readBytes(response: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    const bytes = chunk as Buffer;
    chunks.push(bytes.subarray(0, BODY_MAX - size));
    size += bytes.length;
    if (size >= BODY_MAX) break;
  }
  return Buffer.concat(chunks);
}

function isCertificate({ code = '' }: NodeJS.ErrnoException): boolean {
  return code.startsWith('ERR_TLS') || code.includes('CERT') || code.includes('SIGNATURE');
}

function asFailure(error: unknown): EgressFailure {
  return error instanceof EgressFailure ? error : new EgressFailure('no-answer', { cause: error });
}
