import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import {
  HEAD_MAX,
  HeadShapes,
  PlainHeads,
  readPlainHead,
  type PlainHead,
} from './plain-request.js';

const HOST = 'Host: a\r\n';
const head = (fields: string, line = 'POST /v1/decisions HTTP/1.1') =>
  `${line}\r\n${HOST}${fields}\r\n`;

describe('readPlainHead', () => {
  it('reads line, fields without the blanks around them, and where the body is', () => {
    const text = `${head('X-Api-Key: \t k:1 \r\nempty:\r\ncontent-LENGTH:5\r\nConnection: Keep-Alive\r\n')}12345`;
    expect(asPlain(readPlainHead(text))).toEqual({
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

describe('PlainHeads', () => {
  /** Requests of one connection as gateways send them: names that stay, values of which some differ. */
  const name = fc.constantFrom(
    'Host',
    'X-A',
    'x-a',
    'Content-Length',
    'Connection',
    'Expect',
    'X_A',
  );
  const value = fc.constantFrom(
    'a',
    'keep-alive',
    '3',
    '12',
    '0',
    '',
    'é',
    ' b',
    'b ',
    'long enough to be a part',
  );
  const names = fc.array(name, { maxLength: 4 }).map((more) => ['Host', ...more]);
  const line = fc.constantFrom('GET /a HTTP/1.1', 'POST /b HTTP/1.1', 'GET /a HTTP/1.0');
  const sameNames = fc.tuple(line, names).chain(([first, named]) =>
    fc.array(
      fc
        .tuple(fc.tuple(...named.map(() => value)), fc.constantFrom('', 'abc'))
        .map(([values, body]) =>
          [first, ...named.map((field, i) => `${field}: ${values[i]}`), '', body].join('\r\n'),
        ),
      { maxLength: 5 },
    ),
  );
  const connection = fc.oneof(
    fc.array(request, { maxLength: 4 }),
    fc
      .tuple(sameNames, fc.array(request, { maxLength: 2 }), sameNames)
      .map((parts) => parts.flat()),
  );

  it('reads each head as if it were the first of its connection', () => {
    let again = 0;
    fc.assert(
      fc.property(connection, fc.nat(), (texts, cut) => {
        const heads = new PlainHeads(new HeadShapes());
        let before: unknown = null;
        for (const text of texts.flatMap((whole) => [whole.slice(0, cut % whole.length), whole])) {
          const read = heads.read(text);
          expect(asPlain(read)).toEqual(asPlain(readPlainHead(text)));
          if (read === null || read === 'partial') continue;
          if (read.names === before) again += 1;
          before = read.names;
        }
      }),
      { numRuns: 20_000 },
    );
    expect(again).toBeGreaterThan(250);
  });

  it('finds one byte that differs anywhere', () => {
    const text = (length: number) =>
      head(`X-Api-Key: some value\r\nContent-Length: ${length}\r\nX-B: c\r\n`);
    fc.assert(
      fc.property(fc.nat(1e6), fc.nat(1e6), fc.nat(), fc.nat(255), (first, second, at, byte) => {
        const heads = new PlainHeads(new HeadShapes());
        for (const length of [first, second, second, second]) heads.read(text(length));
        const whole = `${text(second)}body`;
        const place = at % (whole.length - 4);
        const changed = whole.slice(0, place) + String.fromCharCode(byte) + whole.slice(place + 1);
        expect(asPlain(heads.read(changed))).toEqual(asPlain(readPlainHead(changed)));
      }),
      { numRuns: 5_000 },
    );
  });

  it('knows names again that came twice, on any connection, and values as they are now', () => {
    const read = (heads: PlainHeads, key: string) => {
      const found = heads.read(head(`X-Api-Key: ${key}\r\n`));
      if (found === null || found === 'partial') throw new Error('it is plain');
      return found;
    };
    const shapes = new HeadShapes();
    const [one, other] = [new PlainHeads(shapes), new PlainHeads(shapes)];
    for (const heads of [one, one, other, other]) read(heads, 'first');
    const second = read(one, 'second');
    const third = read(other, 'third');
    expect(third.names).toBe(second.names);
    expect(third.rawHeaders).toEqual(['Host', 'a', 'X-Api-Key', 'third']);
    expect(second.rawHeaders).toEqual(['Host', 'a', 'X-Api-Key', 'second']);
    one.read(head('X-Other: fourth\r\n'));
    expect(read(one, 'fifth').names).not.toBe(second.names);
  });

  it('tells names apart that differ in what patterns read as any character', () => {
    const heads = new PlainHeads(new HeadShapes());
    for (const name of [
      'X.A',
      'X.A',
      'X.A',
      'XzA',
      'X|A',
      'X|A',
      'X|A',
      'X',
      'A',
      'X$A',
      'X$A',
      'X$A',
    ]) {
      const text = head(`${name}: b\r\n`);
      expect(asPlain(heads.read(text))).toEqual(asPlain(readPlainHead(text)));
    }
  });

  it('reads on as before when there are more patterns than it keeps', () => {
    const shapes = new HeadShapes();
    for (let i = 0; i < 200; i += 1) {
      const heads = new PlainHeads(shapes);
      for (let again = 0; again < 3; again += 1) {
        const text = head(`X-Name-${i}: ${again}\r\n`);
        expect(asPlain(heads.read(text))).toEqual(asPlain(readPlainHead(text)));
      }
    }
  });
});

/** What was read, without what only a connection knows of it. */
function asPlain(read: PlainHead | 'partial' | null) {
  if (read === null || read === 'partial') return read;
  const { method, url, rawHeaders, bodyAt, bodyLength } = read;
  return { method, url, rawHeaders, bodyAt, bodyLength };
}

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
