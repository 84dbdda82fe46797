import { createServer, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { takeBody } from './json-body.js';
import { WholeAnswer } from './whole-answer.js';
import { WholeRequest } from './whole-request.js';

const echo = new WholeAnswer(200, ['Content-Type', 'text/plain']);
const BODY_MAX = 1_000;

const post = (body: string, path = '/taken') =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunked = (...parts: string[]) =>
  `POST /taken HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${[...parts, '']
    .map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
    .join('')}`;

describe('WholeRequest', () => {
  let server: Server;
  const clients: Socket[] = [];
  let faults: string[] = [];

  const answer = (request: WholeRequest, response: ServerResponse) => {
    if (request.url === '/left') {
      request.leave();
      return echo.send(response, [], '<left>');
    }
    if (request.url === '/streamed') {
      let body = '';
      request.on('data', (part: Buffer) => (body += part.toString('latin1')));
      request.on('end', () => response.end(`<${body}>`));
      return;
    }
    takeBody({}, request, BODY_MAX, (error, bytes) => {
      if (error) faults.push(error.message);
      echo.send(response, [], error ? '<refused>' : `<${bytes.toString('latin1')}>`);
    });
  };
  const start = async () => {
    faults = [];
    server = createServer<typeof WholeRequest>({ IncomingMessage: WholeRequest }, answer);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  };
  const open = () => {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    clients.push(client);
    let received = '';
    const bodies = () => received.match(/(?<=<)[^<>]*(?=>)/g) ?? [];
    let look = () => {};
    client.setEncoding('latin1').on('data', (chunk: string) => {
      received += chunk;
      look();
    });
    const until = (count: number) =>
      new Promise<string[]>((resolve) => {
        look = () => bodies().length >= count && resolve(bodies());
        look();
      });
    return { client, until };
  };

  const connections = () =>
    new Promise((resolve) => server.getConnections((_, count) => resolve(count)));

  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy();
    server.close();
  });

  it('gives the body, however it comes', async () => {
    await start();
    const { client, until } = open();
    client.write(post('at once'));
    await until(1);
    client.write(chunked('in ', 'two ', 'parts'));
    await until(2);
    const text = post('byte by byte');
    for (const byte of text) {
      client.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(3);
    client.write(post(''));
    expect(await until(4)).toEqual(['at once', 'in two parts', 'byte by byte', '']);
  });

  it('gives each of many on one connection its own, also when they come in one packet', async () => {
    await start();
    const { client, until } = open();
    const all = Array.from({ length: 500 }, (_, i) => `${i}`);
    client.write(all.map((body) => post(body)).join(''));
    expect(await until(500)).toEqual(all);
    client.write(`GET /left HTTP/1.1\r\nHost: a\r\n\r\n${post('a', '/streamed')}${post('b')}`);
    expect((await until(503)).slice(500)).toEqual(['left', 'a', 'b']);
  });

  it('keeps nothing past the limit, refuses once, and serves the connection on', async () => {
    await start();
    const { client, until } = open();
    const large = 'x'.repeat(BODY_MAX);
    client.write(chunked(large, large, large) + post('small'));
    expect(await until(2)).toEqual(['refused', 'small']);
    expect(faults).toEqual([expect.stringContaining('1000 bytes')]);
  });

  it('hears nothing more of a client that went away in the middle', async () => {
    await start();
    const leaving = open();
    leaving.client.write(post('never complete').slice(0, -5));
    await expect.poll(connections, { timeout: 10_000 }).toBe(1);
    leaving.client.destroy();
    await expect.poll(connections, { timeout: 10_000 }).toBe(0);
    const { client, until } = open();
    client.write(post('another'));
    expect(await until(1)).toEqual(['another']);
    expect(faults).toEqual([]);
  });

  it('leaves a request that nobody takes as Node has it', async () => {
    await start();
    const { client, until } = open();
    client.write(post('a stream', '/streamed') + post('taken'));
    expect(await until(2)).toEqual(['a stream', 'taken']);
  });
});
