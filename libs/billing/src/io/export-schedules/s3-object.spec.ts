import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { S3Server, s3Signature } from '../../../../../test/support/s3-server.js';
import { s3ErrorCode, s3ObjectUrl, signedPut, type S3Bucket } from './s3-object.js';

const AT = new Date('2026-12-01T00:10:00Z');
const BUCKET: S3Bucket = {
  endpoint: 'https://s3.eu-central-1.amazonaws.com',
  region: 'eu-central-1',
  bucket: 'finance',
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const sha256 = (bytes: string) => createHash('sha256').update(bytes).digest('hex');
const objectOf = (key: string, content: string) => ({
  key,
  contentType: 'text/csv',
  bytes: Buffer.byteLength(content),
  sha256: sha256(content),
});

describe('the stand-in of S3', () => {
  // Amazon Simple Storage Service, "Authenticating Requests: Using the Authorization Header", its examples.
  it.each([
    {
      why: 'GET Object',
      request: {
        method: 'GET',
        target: '/test.txt',
        headers: {
          host: 'examplebucket.s3.amazonaws.com',
          range: 'bytes=0-9',
          'x-amz-content-sha256': sha256(''),
          'x-amz-date': '20130524T000000Z',
        },
      },
      signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    },
    {
      why: 'PUT Object',
      request: {
        method: 'PUT',
        target: '/test%24file.text',
        headers: {
          date: 'Fri, 24 May 2013 00:00:00 GMT',
          host: 'examplebucket.s3.amazonaws.com',
          'x-amz-content-sha256': sha256('Welcome to Amazon S3.'),
          'x-amz-date': '20130524T000000Z',
          'x-amz-storage-class': 'REDUCED_REDUNDANCY',
        },
      },
      signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    },
  ])('signs as AWS documents it: $why', ({ request, signature }) => {
    const signedHeaders = Object.keys(request.headers).sort().join(';');
    const scope = '20130524/us-east-1/s3/aws4_request';
    const secret = BUCKET.secretAccessKey;
    expect(s3Signature(request, { secret, scope, signedHeaders })).toBe(signature);
  });
});

describe('signedPut', () => {
  it('has the signature that S3 expects, whatever the key', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.stringMatching(/^[A-Za-z0-9!_.*'()=+-]{1,20}$/),
        fc.string(),
        async (name, content) => {
          const object = objectOf(`a/${name}`, content);
          const url = s3ObjectUrl(BUCKET, object.key);
          const { authorization = '', ...headers } = await signedPut(BUCKET, object, AT);
          const [, scope = '', signedHeaders = '', signature] =
            /Credential=[^/]+\/([^,]+), SignedHeaders=([^,]+), Signature=(\w+)$/.exec(
              authorization,
            ) ?? [];
          expect(signedHeaders.split(';')).toEqual(
            expect.arrayContaining([
              'content-length',
              'host',
              'x-amz-content-sha256',
              'x-amz-date',
            ]),
          );
          const request = { method: 'PUT', target: url.pathname, headers };
          const secret = BUCKET.secretAccessKey;
          expect(signature).toBe(s3Signature(request, { secret, scope, signedHeaders }));
        },
      ),
    );
  });

  it('is refused by S3 for other content, another key, and after a quarter of an hour', async () => {
    const server = new S3Server();
    onTestFinished(() => server.close());
    const { region, bucket, accessKeyId, secretAccessKey } = server;
    const to = { endpoint: await server.listen(), region, bucket, accessKeyId, secretAccessKey };
    const put = async (
      signed: { key: string; content: string; at?: Date },
      key = 'a',
      body = 'x',
    ) => {
      const object = objectOf(signed.key, signed.content);
      const headers = await signedPut(to, object, signed.at ?? new Date());
      const answer = await fetch(s3ObjectUrl(to, key), { method: 'PUT', headers, body });
      return [answer.status, s3ErrorCode(await answer.text())];
    };
    expect(await put({ key: 'a', content: 'x' })).toEqual([200, null]);
    expect(await put({ key: 'a', content: 'y' })).toEqual([400, 'XAmzContentSHA256Mismatch']);
    expect(await put({ key: 'b', content: 'x' })).toEqual([403, 'SignatureDoesNotMatch']);
    const at = new Date(Date.now() - 16 * 60_000);
    expect(await put({ key: 'a', content: 'x', at })).toEqual([403, 'RequestTimeTooSkewed']);
    expect([...server.objects.keys()]).toEqual(['a']);
  });
});
