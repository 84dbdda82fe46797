import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a request is signed over, by the words of AWS's own description of Signature Version 4. */
export interface SignedRequest {
  readonly method: string;
  /** As it stands on the request line. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

const hex = (algorithm: 'sha256', bytes: string | Buffer) =>
  createHash(algorithm).update(bytes).digest('hex');
const mac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** The signature that S3 expects of a request, for the headers, the scope and the time that the request itself names. Apart from any SDK. */
export function s3Signature(
  { method, target, headers }: SignedRequest,
  { secret, scope, signedHeaders }: { secret: string; scope: string; signedHeaders: string },
): string {
  const [path = '', query = ''] = target.split('?');
  const names = signedHeaders.split(';');
  const canonical = [
    method,
    path,
    query.split('&').sort().join('&'),
    ...names.map((name) => `${name}:${(headers[name] ?? '').trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders,
    headers['x-amz-content-sha256'] ?? '',
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, hex('sha256', canonical)];
  const key = scope
    .split('/')
    .reduce<string | Buffer>((last, part) => mac(last, part), `AWS4${secret}`);
  return mac(key, toSign.join('\n')).toString('hex');
}

/** An object that is there whole. */
export interface StoredObject {
  readonly bytes: Buffer;
  readonly contentType: string;
}

/** What a fault of S3 is answered with. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
  ) {
    super(code);
  }
}

const SKEW_MAX_MS = 15 * 60_000;
const KEY_MAX = 1_024;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8}\/([^/]+)\/([^/]+)\/aws4_request), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

/** One bucket that is spoken to as S3 is, by path, and refuses what S3 refuses. Only PUT of an object is there. */
export class S3Server {
  readonly region = 'eu-test-1';
  readonly bucket = 'finance';
  readonly accessKeyId = 'AKIDEXPORTS';
  readonly secretAccessKey = 'wJalrXUtnFEMI/K7MDENG+exports';
  readonly objects = new Map<string, StoredObject>();
  /** Requests so far, refused ones among them. */
  requests = 0;
  /** What the next requests are answered with instead of being looked at; `drop` cuts the connection amid the body. */
  readonly failures: (number | 'drop')[] = [];
  /** Called once a request is found good, before its body is read: keeps it until then. */
  hold: (() => Promise<void>) | null = null;
  /** How far its clock is ahead. */
  skewMs = 0;
  private readonly server = createServer(
    (request, response) => void this.answer(request, response),
  );

  constructor() {
    // Refused by its head, a request sends no body at all.
    this.server.on(
      'checkContinue',
      (request, response) => void this.answer(request, response, true),
    );
  }

  async listen(host = '127.0.0.2'): Promise<string> {
    await new Promise<void>((resolve) => void this.server.listen(0, host, resolve));
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
    return `http://${host}:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async answer(
    request: IncomingMessage,
    response: ServerResponse,
    isAsked = false,
  ): Promise<void> {
    this.requests += 1;
    try {
      const failure = this.failures.shift();
      if (typeof failure === 'number') throw new Refusal(failure, 'InternalError');
      const key = this.checkHead(request);
      await this.hold?.();
      if (isAsked) response.writeContinue();
      if (failure === 'drop') {
        request.once('data', () => request.socket.destroy());
        return;
      }
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const bytes = Buffer.concat(chunks);
      const { headers } = request;
      if (bytes.length !== Number(headers['content-length']))
        throw new Refusal(400, 'IncompleteBody');
      if (hex('sha256', bytes) !== headers['x-amz-content-sha256'])
        throw new Refusal(400, 'XAmzContentSHA256Mismatch');
      this.objects.set(key, { bytes, contentType: headers['content-type'] ?? '' });
      response.writeHead(200, { etag: `"${createHash('md5').update(bytes).digest('hex')}"` }).end();
    } catch (error) {
      // Who breaks off is told nothing.
      if (!(error instanceof Refusal)) return void request.socket.destroy();
      const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${error.code}</Code><Message>No.</Message></Error>`;
      response
        .writeHead(error.status, { 'content-type': 'application/xml', connection: 'close' })
        .end(body);
    }
  }

  /** All that can be said before the body came, in the order of S3; the key of the object. */
  private checkHead(request: IncomingMessage): string {
    const { method = '', url: target = '' } = request;
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
    );
    const [, id, scope = '', region, service, signedHeaders = '', signature] =
      AUTHORIZATION.exec(headers['authorization'] ?? '') ?? [];
    if (id === undefined) throw new Refusal(403, 'AccessDenied');
    if (region !== this.region || service !== 's3')
      throw new Refusal(400, 'AuthorizationHeaderMalformed');
    if (id !== this.accessKeyId) throw new Refusal(403, 'InvalidAccessKeyId');
    const amzDate = headers['x-amz-date'] ?? '';
    const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(amzDate) ?? [];
    const at = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
    if (!(Math.abs(at - (Date.now() + this.skewMs)) <= SKEW_MAX_MS))
      throw new Refusal(403, 'RequestTimeTooSkewed');
    const mustBeSigned = ['host', 'x-amz-content-sha256', 'x-amz-date'];
    const isWhole =
      scope.startsWith(amzDate.slice(0, 8)) &&
      mustBeSigned.every((name) => signedHeaders.split(';').includes(name));
    const secret = this.secretAccessKey;
    const expected = s3Signature({ method, target, headers }, { secret, scope, signedHeaders });
    if (!isWhole || signature !== expected) throw new Refusal(403, 'SignatureDoesNotMatch');
    if (!/^[0-9a-f]{64}$/.test(headers['x-amz-content-sha256'] ?? ''))
      throw new Refusal(400, 'InvalidRequest');
    const [bucket = '', ...names] = decodeURIComponent(target.split('?')[0] ?? '')
      .slice(1)
      .split('/');
    const key = names.join('/');
    if (bucket !== this.bucket) throw new Refusal(404, 'NoSuchBucket');
    if (method !== 'PUT' || key === '') throw new Refusal(405, 'MethodNotAllowed');
    if (Buffer.byteLength(key) > KEY_MAX) throw new Refusal(400, 'KeyTooLongError');
    if (headers['transfer-encoding'] !== undefined) throw new Refusal(501, 'NotImplemented');
    if (headers['content-length'] === undefined) throw new Refusal(411, 'MissingContentLength');
    return key;
  }
}
