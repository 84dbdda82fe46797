import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { HEAD_MAX, HeadPattern, readPlainHead } from './plain-request.js';

const HOST = 'Host: a\r\n';
const head = (fields: string, line = 'POST /v1/decisions HTTP/1.1') =>
  `${line}\r\n${HOST}${fields}\r\n`;

describe('readPlainHead', () => {
  it('reads line, fields without the blanks around them, and where the body is', () => {
    const text = `${head('X-Api-Key: \t k:1 \r\nempty:\r\ncontent-LENGTH:5\r\nConnection: Keep-Alive\r\n')}12345`;
    expect(readPlainHead(text)).toEqual({
      method: 'POST',
      url: '/v1/decisions',
      rawHeaders: [
        'Host',
        'a',
        'X-Api-Key',
        'k:1',
        'empty',
        '',
        'content-LENGTH',
        '5',
        'Connection',
        'Keep-Alive',
      ],
      bodyAt: text.length - 5,
      bodyLength: 5,
      digitsAt: text.indexOf('5\r\nConnection'),
    });
  });

  it.each([
    ['', 'nothing'],
    ['GET / HT', 'no whole line'],
    [head('X-A: b\r\n').slice(0, -1), 'no whole end'],
    [head('X-A: b\r\n').slice(0, -10), 'no whole field'],
  ])('waits for more of %j: %s', (text) => {
    expect(readPlainHead(text)).toBe('partial');
  });

  it.each([
    [head('', 'GET / HTTP/1.0'), 'another version'],
    [head('', 'get / HTTP/1.1'), 'a method in lower case'],
    [head('', 'BREW / HTTP/1.1'), 'a method that Node may not know'],
    [head('', 'GET http://a/ HTTP/1.1'), 'an absolute URL'],
    [head('', 'GET /a b HTTP/1.1'), 'a blank in the URL'],
    [head('', 'GET /é HTTP/1.1'), 'a URL that is no ASCII'],
    [head('', 'GET /#a HTTP/1.1'), 'a fragment'],
    [`\r\n${head('')}`, 'a line before it'],
    [head('').replace('\r\n', '\n'), 'a line that ends without CR'],
    [head('X-A: b\n'), 'a field that ends without CR'],
    [head('X-A: b\rX-B: c\r\n'), 'a CR in a field'],
    [head('X-A: b\r\n c\r\n'), 'a field in two lines'],
    [head('X-A : b\r\n'), 'a blank after the name'],
    [head('X-A: \u0000\r\n'), 'NUL in a value'],
    [head(': b\r\n'), 'no name'],
    [head('X-A\r\n'), 'no colon'],
    ['GET / HTTP/1.1\r\nX-A: b\r\n\r\n', 'no host'],
    [head('Content-Length: 5, 5\r\n'), 'a length that is a list'],
    [head('Content-Length: +5\r\n'), 'a length with a sign'],
    [head('Content-Length:\r\n'), 'an empty length'],
    [head('Content-Length: 5\r\nContent-Length: 5\r\n'), 'two lengths'],
    [head('Transfer-Encoding: chunked\r\n'), 'chunks'],
    [head('Content-Length: 5\r\nTransfer-Encoding: identity\r\n'), 'both'],
    [head('Expect: 100-continue\r\n'), 'a question before the body'],
    [head('Connection: close\r\n'), 'a connection that ends'],
    [head('Connection: upgrade\r\nUpgrade: websocket\r\n'), 'another protocol'],
    [head('Proxy-Connection: close\r\n'), 'the same in a word of its own'],
    [head(`X-A: ${'b'.repeat(HEAD_MAX)}\r\n`), 'more than 16 KiB'],
    [`GET /${'a'.repeat(HEAD_MAX)}`, 'a line that is as long'],
    ['\u0016\u0003\u0001\u0002', 'TLS'],
  ])('leaves %j to Node: %s', (text) => {
    // What is no request yet and never will be one is Node's when its line is over.
    const read = readPlainHead(text);
    expect(read === 'partial' ? readPlainHead(`${text}\r\n\r\n`) : read).toBeNull();
  });
});

describe('HeadPattern', () => {
  it('reads every length that the head may have, and no other head', () => {
    fc.assert(
      fc.property(fc.nat(1e6), fc.nat(1e6), fc.nat(), (first, second, at) => {
        const text = (length: number) => head(`Content-Length: ${length}\r\nX-A: b\r\n`);
        const read = readPlainHead(text(first));
        if (read === null || read === 'partial') throw new Error('it is plain');
        const pattern = new HeadPattern(text(first), read);
        const other = `${text(second)}body`;
        expect(pattern.matches(other)).toBe(true);
        expect(readPlainHead(other)).toMatchObject({
          bodyAt: pattern.bodyAt,
          bodyLength: pattern.bodyLength,
        });
        // One byte of it changed, it is another head, or of another length.
        const place = at % (other.length - 4);
        const changed = `${other.slice(0, place)}x${other.slice(place + 1)}`;
        expect(pattern.matches(changed) && changed !== other).toBe(false);
      }),
    );
  });
});

/** Bytes that requests are made of, and such as hide another request in one. */
const piece = fc.constantFrom(
  'GET',
  'POST',
  'HEAD',
  ' ',
  '  ',
  '/',
  '/a?b=c',
  'HTTP/1.1',
  'HTTP/1.0',
  '\r\n',
  '\n',
  '\r',
  'Host: a',
  'Content-Length: 3',
  'Content-Length:3',
  'content-length: 0',
  'X-A: b',
  'X-A:',
  'Transfer-Encoding: chunked',
  'Connection: keep-alive',
  'Connection: close',
  ': ',
  ' b',
  '\t',
  'abc',
  '\u00e9',
  '\u007f',
  '\u0000',
  '"',
  '3\r\nabc\r\n0\r\n\r\n',
);
const fields = fc.array(
  fc.constantFrom('X-A: b', 'X-A:\t b ', 'Content-Length: 3', 'Content-Length: 0', 'é: b', 'X: é'),
  { maxLength: 4 },
);
const request = fc.oneof(
  fc
    .tuple(fc.constantFrom('GET', 'POST', 'PUT'), fields, fc.constantFrom('', 'abc'))
    .map(([method, more, body]) =>
      [`${method} /a?b HTTP/1.1`, 'Host: a', ...more, '', body].join('\r\n'),
    ),
  fc.tuple(fields, fc.array(piece, { maxLength: 6 }), fc.nat(60)).map(([more, pieces, at]) => {
    const text = ['GET /a HTTP/1.1', 'Host: a', ...more, '', ''].join('\r\n');
    return text.slice(0, at) + pieces.join('') + text.slice(at);
  }),
  fc.array(piece, { minLength: 5, maxLength: 20 }).map((pieces) => pieces.join('')),
);

describe("Node's parser", () => {
  interface Seen {
    readonly method: string | undefined;
    readonly url: string | undefined;
    readonly rawHeaders: readonly string[];
    readonly body: string;
  }
  let seen: Seen[] = [];
  const server = createServer((asked: IncomingMessage, response) => {
    const { method, url, rawHeaders } = asked;
    let body = '';
    asked.on('data', (part: Buffer) => (body += part.toString('latin1')));
    asked.on('end', () => {
      seen.push({ method, url, rawHeaders, body });
      response.writeHead(200, { connection: 'close' }).end();
    });
  });
  afterFile(() => server.close());

  /** What Node makes of it, when the client sends nothing more. */
  const byNode = async (text: string): Promise<Seen[]> => {
    if (!server.listening) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    seen = [];
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.resume().end(text, 'latin1');
    await new Promise((resolve) => client.on('close', resolve).on('error', () => undefined));
    return seen;
  };

  it('reads what is plain the same', async () => {
    let plain = 0;
    await fc.assert(
      fc.asyncProperty(request, async (text) => {
        const read = readPlainHead(text);
        if (read === null || read === 'partial') return;
        const { method, url, rawHeaders, bodyAt, bodyLength } = read;
        if (text.length !== bodyAt + bodyLength) return;
        plain += 1;
        expect(await byNode(text)).toEqual([{ method, url, rawHeaders, body: text.slice(bodyAt) }]);
      }),
      { numRuns: 2_000 },
    );
    expect(plain).toBeGreaterThan(150);
  });
});
