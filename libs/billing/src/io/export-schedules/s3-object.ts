import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';

/** An object to be put into a bucket, whole. */
export interface S3Object {
  readonly key: string;
  readonly contentType: string;
  readonly bytes: number;
  /** Of all its bytes, in hex: S3 refuses the object when it is of others. */
  readonly sha256: string;
}

/** A bucket and who may write into it. */
export interface S3Bucket {
  /** The service, without the bucket: `https://s3.eu-central-1.amazonaws.com`. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Where an object is or will be: the bucket in the path, which every service takes. */
export function s3ObjectUrl(
  { endpoint, bucket }: Pick<S3Bucket, 'endpoint' | 'bucket'>,
  key: string,
): URL {
  const url = new URL(endpoint);
  url.pathname = `/${[bucket, ...key.split('/')].map(encoded).join('/')}`;
  return url;
}

/** The headers that put an object at a moment, signed by Signature Version 4 over the content, its length and its type. */
export async function signedPut(
  to: S3Bucket,
  object: S3Object,
  at: Date,
): Promise<Record<string, string>> {
  const url = s3ObjectUrl(to, object.key);
  const { region, accessKeyId, secretAccessKey } = to;
  const signer = new SignatureV4({
    service: 's3',
    region,
    credentials: { accessKeyId, secretAccessKey },
    sha256: Sha256,
    // Of S3 alone, the path is signed as it is sent.
    uriEscapePath: false,
  });
  const { headers } = await signer.sign(
    {
      method: 'PUT',
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      query: {},
      headers: {
        host: url.host,
        'content-type': object.contentType,
        'content-length': String(object.bytes),
        'x-amz-content-sha256': object.sha256,
      },
    },
    { signingDate: at },
  );
  return headers;
}

/** The code of an error that S3 answered with; null when it is none. */
export function s3ErrorCode(body: string): string | null {
  return /<Code>([A-Za-z0-9.]{1,64})<\/Code>/.exec(body)?.[1] ?? null;
}

/** As RFC 3986 has a segment of a path, which is how S3 signs it. */
function encoded(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** SHA-256, or HMAC over it, as the signer wants it. */
class Sha256 {
  private state: Hash | Hmac;

  constructor(private readonly secret?: string | ArrayBuffer | ArrayBufferView) {
    this.state = this.begun();
  }

  update(bytes: Uint8Array): void {
    this.state.update(bytes);
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.state.digest());
  }

  reset(): void {
    this.state = this.begun();
  }

  private begun(): Hash | Hmac {
    const { secret } = this;
    if (secret === undefined) return createHash('sha256');
    if (typeof secret === 'string') return createHmac('sha256', secret);
    const bytes = ArrayBuffer.isView(secret)
      ? Buffer.from(secret.buffer, secret.byteOffset, secret.byteLength)
      : Buffer.from(secret);
    return createHmac('sha256', bytes);
  }
}
