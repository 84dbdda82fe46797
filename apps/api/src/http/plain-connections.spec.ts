import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HotAnswer } from './hot-answer.js';
import { takeFromNode, type HotReply, type HotRequest } from './hot-route.js';
import { readIntoOneBuffer } from './one-buffer.js';
import { readPlainConnections } from './plain-connections.js';

const BODY_MAX = 1_000;
const found = new HotAnswer(200, ['Content-Type', 'text/plain', 'X-Fixed', 'fixed']);

const get = (path: string, more = '') => `GET /hot${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
const post = (body: string, path = '/hot') =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunked = (...parts: string[]) =>
  `POST /hot HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${[...parts, '']
    .map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
    .join('')}`;

const sockets = [
  ['one buffer for all', readIntoOneBuffer],
  ['sockets as Node made them', () => null],
] as const;

describe.each(sockets)('readPlainConnections with %s', (_name, ownSocket) => {
  let server: Server;
  const clients: Socket[] = [];
  /** How many requests came which way. */
  let byNode = 0;
  let plain = 0;
  /** Connections that read into one buffer. */
  let owned = 0;
  const replies: HotReply[] = [];

  /** Says what came of the body, at once or a little later; `/hot/waits` is answered by the test. */
  const route = (request: HotRequest, reply: HotReply): boolean => {
    const { url, headers } = request;
    if (!url.startsWith('/hot')) return false;
    if (headers instanceof Error) throw headers;
    request.readBody(headers, BODY_MAX, (error, body) => {
      const said = error ? '<refused>' : `<${url.slice(4)}${body}>`;
      if (url === '/hot/waits') replies.push(reply);
      else if (url === '/hot/later')
        setTimeout(() => reply.send(found, `X-Url: ${url}\r\n`, said), 10);
      else if (url === '/hot/any') reply.sendAny(404, ['Content-Length', '5'], '<né>');
      else reply.send(found, `X-Url: ${url}\r\n`, said);
    });
    return true;
  };

  const start = async () => {
    byNode = plain = owned = 0;
    replies.length = 0;
    server = createServer((request, response) => {
      byNode += 1;
      if (takeFromNode(route, request, response)) return;
      let body = '';
      request.on('data', (part: Buffer) => (body += part.toString('latin1')));
      request.on('end', () => response.end(`<streamed ${body}>`));
    });
    readPlainConnections(server, {
      route: (request, reply) => {
        plain += 1;
        return route(request, reply);
      },
      isHot: (url) => url.startsWith('/hot'),
      ownSocket: (socket, read) => {
        const own = ownSocket(socket, read);
        owned += own ? 1 : 0;
        return own;
      },
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  };
  const open = () => {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    clients.push(client.setNoDelay());
    let received = '';
    let look = () => {};
    client.setEncoding('latin1').on('data', (chunk: string) => {
      received += chunk;
      look();
    });
    client.on('error', () => undefined);
    const bodies = () => received.match(/(?<=<)[^<>]*(?=>)/g) ?? [];
    const until = (count: number) =>
      new Promise<string[]>((resolve) => {
        look = () => bodies().length >= count && resolve(bodies());
        look();
      });
    const closed = new Promise<string>((resolve) => client.once('close', () => resolve(received)));
    return { client, until, closed, received: () => received };
  };
  const connections = () =>
    new Promise((resolve) => server.getConnections((_, count) => resolve(count)));

  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy();
    server.close();
  });

  it.each([
    ['/a', 'GET'],
    ['/a', 'HEAD'],
    ['/any', 'GET'],
    ['/any', 'HEAD'],
    ['/later', 'GET'],
  ])('sends %s the same as Node does, to %s', async (path, method) => {
    await start();
    const ask = (more = '') => get(path, more).replace('GET', method);
    const own = open();
    own.client.write(ask());
    await expect.poll(() => own.received()).toMatch(/\r\n\r\n/);
    const nodes = open();
    nodes.client.write(ask('Connection: close\r\n'));
    const [ownHead = '', ownBody] = own.received().split('\r\n\r\n');
    const [nodesHead = '', nodesBody] = (await nodes.closed).split('\r\n\r\n');
    expect({ plain, byNode }).toEqual({ plain: 1, byNode: 1 });
    expect(ownBody).toBe(nodesBody);
    const fields = (head: string) =>
      head
        .split('\r\n')
        .filter((line) => !/^(?:date|connection|keep-alive):/i.test(line))
        .toSorted();
    expect(fields(ownHead)).toEqual(fields(nodesHead));
    expect(ownHead).toMatch(
      /\r\nDate: \w{3}, .* GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=72$/,
    );
  });

  it('serves one connection a thousand times, with bodies of all lengths', async () => {
    await start();
    const { client, until } = open();
    const all = Array.from({ length: 1_000 }, (_, i) => 'x'.repeat(i % 200) + String(i));
    for (const [i, body] of all.entries()) {
      client.write(post(body));
      await until(i + 1);
    }
    expect(await until(1_000)).toEqual(all);
    expect(await connections()).toBe(1);
    expect({ plain, byNode }).toEqual({ plain: 1_000, byNode: 0 });
    expect(owned).toBe(ownSocket === readIntoOneBuffer ? 1 : 0);
  });

  it('reads a request that comes in a few parts', async () => {
    await start();
    const { client, until } = open();
    for (const parts of [3, 2, 16]) {
      const text = post(`in ${parts}`);
      const size = Math.ceil(text.length / parts);
      for (let at = 0; at < text.length; at += size) {
        client.write(text.slice(at, at + size));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await expect.poll(() => plain + byNode).toBe([3, 2, 16].indexOf(parts) + 1);
    }
    expect(await until(3)).toEqual(['in 3', 'in 2', 'in 16']);
    expect({ plain, byNode }).toEqual({ plain: 3, byNode: 0 });
  });

  it('gives Node what comes byte by byte, in chunks, too long, or with something else', async () => {
    await start();
    const many = open();
    for (const byte of post('byte by byte')) {
      many.client.write(byte);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    many.client.write(post('then whole'));
    expect(await many.until(2)).toEqual(['byte by byte', 'then whole']);
    const large = 'x'.repeat(BODY_MAX);
    const chunks = open();
    chunks.client.write(post('first'));
    await chunks.until(1);
    chunks.client.write(chunked('in ', 'two ', 'parts'));
    await chunks.until(2);
    chunks.client.write(chunked(large, large, large) + post('small'));
    expect(await chunks.until(4)).toEqual(['first', 'in two parts', 'refused', 'small']);
    const other = open();
    other.client.write(post('', '/hot/1'));
    await other.until(1);
    other.client.write(post('a stream', '/other'));
    await other.until(2);
    other.client.write(post('2'));
    expect(await other.until(3)).toEqual(['/1', 'streamed a stream', '2']);
    expect(plain).toBe(2);
  });

  it('refuses a body past the limit, and serves the connection on', async () => {
    await start();
    const { client, until } = open();
    client.write(post('x'.repeat(BODY_MAX + 1)));
    await until(1);
    client.write(post('small'));
    expect(await until(2)).toEqual(['refused', 'small']);
  });

  it('keeps the order of requests that come in one packet, also when one takes longer', async () => {
    await start();
    const { client, until } = open();
    const paths = ['/1', '/later', '/2', '/3', '/later', '/4'];
    client.write(get('/0'));
    await until(1);
    client.write(paths.map((path) => get(path)).join(''));
    expect(await until(7)).toEqual(['/0', ...paths]);
  });

  it('keeps the order of requests that come while one is being answered', async () => {
    await start();
    const { client, until } = open();
    client.write(get('/waits'));
    await expect.poll(() => replies.length).toBe(1);
    client.write(get('/1'));
    client.write(get('/2'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    replies[0]?.send(found, '', '<waited>');
    expect(await until(3)).toEqual(['waited', '/1', '/2']);
  });

  it('counts the first answer only', async () => {
    await start();
    const { client, until } = open();
    client.write(get('/waits'));
    await expect.poll(() => replies.length).toBe(1);
    const [reply] = replies;
    reply?.send(found, '', '<first>');
    reply?.sendAny(500, ['Content-Length', '8'], '<second>');
    client.write(get('/waits'));
    await expect.poll(() => replies.length).toBe(2);
    // The one before must not answer this one.
    reply?.send(found, '', '<third>');
    replies[1]?.send(found, '', '<own>');
    expect(await until(2)).toEqual(['first', 'own']);
  });

  it('answers a client that has sent its last, and closes', async () => {
    await start();
    const { client, closed } = open();
    client.end(get('/later'));
    expect(await closed).toMatch(/\r\nConnection: close\r\n[^]*<\/later>$/);
  });

  it('answers the last of a client, too, when it came while one was answered', async () => {
    await start();
    const { client, closed } = open();
    client.write(get('/waits'));
    await expect.poll(() => replies.length).toBe(1);
    client.end(get('/1'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    replies[0]?.send(found, '', '<waited>');
    expect((await closed).match(/(?<=<)[^<>]*(?=>)/g)).toEqual(['waited', '/1']);
  });

  it('hears nothing more of a client that went away', async () => {
    await start();
    const leaving = open();
    leaving.client.write(post('never complete').slice(0, -5));
    const waiting = open();
    waiting.client.write(get('/waits'));
    await expect.poll(() => replies.length).toBe(1);
    leaving.client.destroy();
    waiting.client.destroy();
    // Nothing is read of it while it waits, so it shows when it is answered.
    replies[0]?.send(found, '', '<nobody>');
    await expect.poll(connections, { timeout: 10_000 }).toBe(0);
    const { client, until } = open();
    client.write(post('another'));
    expect(await until(1)).toEqual(['another']);
  });

  it('closes idle connections with the server, and the others with their answer', async () => {
    await start();
    const idle = open();
    idle.client.write(get('/a'));
    await idle.until(1);
    const busy = open();
    busy.client.write(get('/waits'));
    await expect.poll(() => replies.length).toBe(1);
    const stopped = new Promise((resolve) => server.close(resolve));
    await idle.closed;
    replies[0]?.send(found, '', '<last>');
    expect(await busy.closed).toMatch(/\r\nConnection: close\r\n[^]*<last>$/);
    await stopped;
  });

  it('closes with the server though clients keep their side open', async () => {
    await start();
    const port = (server.address() as AddressInfo).port;
    const half = () => {
      const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).resume();
      clients.push(client);
      return client;
    };
    half().write(get('/a'));
    half().write(get('/waits'));
    await expect.poll(() => plain).toBe(2);
    const stopped = new Promise((resolve) => server.close(resolve));
    replies[0]?.send(found, '', '<last>');
    await stopped;
  });

  it('gives Node also what comes after an upgrade', async () => {
    await start();
    server.on('upgrade', (_request, socket: Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n<up>');
      socket.on('data', (bytes: Buffer) => socket.write(`<${bytes.toString()}>`));
    });
    const { client, until } = open();
    client.write(post('plain'));
    await until(1);
    client.write(get('/b', 'Connection: upgrade\r\nUpgrade: echo\r\n'));
    await until(2);
    client.write('one');
    await until(3);
    client.write('two');
    expect(await until(4)).toEqual(['plain', 'up', 'one', 'two']);
    expect({ plain, byNode }).toEqual({ plain: 1, byNode: 0 });
  });

  describe('in time', () => {
    beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
    afterEach(() => void vi.useRealTimers());

    it('closes a connection on which nothing comes', async () => {
      await start();
      const { closed } = open();
      await expect.poll(connections).toBe(1);
      vi.advanceTimersByTime(10_000);
      expect(await connections()).toBe(1);
      vi.advanceTimersByTime(1_000);
      expect(await closed).toBe('');
    });

    it('closes one that was served 72 s after the last answer', async () => {
      await start();
      const { client, until, closed } = open();
      for (let i = 1; i <= 3; i += 1) {
        client.write(get('/a'));
        await until(i);
        vi.advanceTimersByTime(60_000);
      }
      vi.advanceTimersByTime(12_000);
      expect(await connections()).toBe(1);
      vi.advanceTimersByTime(1_000);
      await closed;
    });

    it('gives Node a request that takes longer than ten seconds', async () => {
      await start();
      const { client, until } = open();
      client.write(post('slow').slice(0, -2));
      await new Promise((resolve) => setTimeout(resolve, 20));
      vi.advanceTimersByTime(11_000);
      client.write('ow');
      expect(await until(1)).toEqual(['slow']);
      expect({ plain, byNode }).toEqual({ plain: 0, byNode: 1 });
    });
  });

  it('is bounded in what waits for a client that does not read', async () => {
    await start();
    const { client } = open();
    client.pause();
    for (let i = 0; i < 2_000; i += 1) client.write(post('x'.repeat(BODY_MAX)));
    client.end();
    await expect.poll(() => byNode).toBeGreaterThan(0);
    client.resume();
    await new Promise((resolve) => client.once('close', resolve));
    expect(plain + byNode).toBeGreaterThanOrEqual(2_000);
  });
});
