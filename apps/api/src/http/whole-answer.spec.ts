import { createServer, type RequestListener, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WholeAnswer } from './whole-answer.js';

const found = new WholeAnswer(200, ['Content-Type', 'text/plain', 'X-Fixed', 'fixed']);
const ask = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;

describe('WholeAnswer', () => {
  let server: Server;
  let client: Socket;
  let received = '';

  const start = async (listener: RequestListener, keepAliveTimeout = 60_000) => {
    server = createServer({ keepAliveTimeout }, listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    received = '';
    client.setEncoding('latin1').on('data', (chunk: string) => (received += chunk));
  };
  const until = (text: string) =>
    new Promise<void>((resolve) => {
      const look = () => received.includes(text) && resolve();
      look();
      client.on('data', look);
    });
  const closed = () => new Promise((resolve) => client.once('close', resolve));

  afterEach(() => {
    client.destroy();
    server.close();
  });

  const answering: RequestListener = ({ url }, response) =>
    found.send(response, ['X-Path', `${url}`], `you asked for ${url}.`);

  it('sends the same as Node does', async () => {
    await start(answering);
    client.write(ask('/a'));
    await until('/a.');
    const [own = '', body] = received.split('\r\n\r\n');
    received = '';
    client.write(ask('/a', 'Connection: close\r\n'));
    await closed();
    const [nodes = '', nodesBody] = received.split('\r\n\r\n');
    expect(body).toBe(nodesBody);
    const fields = (head: string) =>
      head
        .split('\r\n')
        .filter((line) => !/^(?:date|connection|keep-alive):/i.test(line))
        .sort();
    expect(fields(own)).toEqual(fields(nodes));
    expect(own).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(own).toMatch(
      /\r\nDate: \w{3}, .* GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=72/,
    );
  });

  it('keeps the order of requests that come in one packet, also when the first takes longer', async () => {
    await start((request, response) => {
      if (request.url === '/slow') setTimeout(() => answering(request, response), 20);
      else answering(request, response);
    });
    const paths = ['/1', '/slow', '/2', '/3', '/slow', '/4', '/end'];
    client.write(paths.map((path) => ask(path)).join(''));
    await until('/end.');
    expect([...received.matchAll(/you asked for (\/\w+)\./g)].map(([, path]) => path)).toEqual(
      paths,
    );
  });

  it('serves one connection a thousand times', async () => {
    await start(answering);
    for (let i = 0; i < 1_000; i += 1) {
      client.write(ask(`/${i}`));
      await until(`/${i}.`);
      received = '';
    }
    expect(
      await new Promise((resolve) => server.getConnections((_, count) => resolve(count))),
    ).toBe(1);
  });

  it('leaves the connection idle: Node closes it after its time, and with the server', async () => {
    await start(answering, 50);
    client.write(ask('/a'));
    await until('/a.');
    await closed();
    expect(received).toContain('/a.');
    const stopped = new Promise((resolve) => server.close(resolve));
    await stopped;
  });

  it('goes the way of Node when the client does not read, so that what waits is bounded', async () => {
    let ownWay = 0;
    await start((_, response) => {
      const { socket } = response;
      const before = socket?.writableLength ?? 0;
      found.send(response, [], 'x'.repeat(100_000));
      if (socket && before === 0) ownWay += 1;
    });
    client.pause();
    client.write(ask('/').repeat(500));
    client.end();
    await new Promise((resolve) => setImmediate(resolve));
    client.resume();
    await closed();
    expect(received.match(/x{100000}/g)).toHaveLength(500);
    expect(ownWay).toBeGreaterThan(0);
  });
});
