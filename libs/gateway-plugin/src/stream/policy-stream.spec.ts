import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { PolicyStream, type StreamPatience } from './policy-stream.js';

const QUICK: StreamPatience = { silenceMs: 25_000, backoffMsMin: 5, backoffMsMax: 20 };

interface Opened {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A service whose streams the test holds in its hands, and what a follower of it heard. */
async function aFollowedService({
  patience = QUICK,
  answer = 200,
}: { patience?: StreamPatience; answer?: number } = {}) {
  const streams: Opened[] = [];
  const server: Server = createServer((request, response) => {
    if (answer === 200) response.writeHead(200, { 'content-type': 'text/event-stream' });
    else response.writeHead(answer).end();
    response.flushHeaders();
    streams.push({ request, response });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  const { port } = server.address() as AddressInfo;
  const heard: (string | null)[] = [];
  const states: string[] = [];
  const stream = new PolicyStream(
    { url: `http://127.0.0.1:${port}`, token: 'tgw_x' },
    {
      onChange: (keyId) => heard.push(keyId),
      onOpen: () => states.push('open'),
      onLost: () => states.push('lost'),
    },
    patience,
  );
  stops.push(
    () => stream.close(),
    () => server.closeAllConnections(),
    () => server.close(),
  );
  stream.start();
  const opened = async (count: number): Promise<Opened> => {
    await vi.waitFor(() => expect(streams.length).toBeGreaterThanOrEqual(count));
    const last = streams[count - 1];
    if (last === undefined) throw new Error('no stream');
    return last;
  };
  return { opened, heard, states, server, streams };
}

describe('PolicyStream', () => {
  it('hears which key to forget, and all of them with the first stream', async () => {
    const { opened, heard } = await aFollowedService();
    const { request, response } = await opened(1);
    expect(request.headers).toMatchObject({
      authorization: 'Bearer tgw_x',
      accept: 'text/event-stream',
    });
    response.write('id: 1\nevent: change\ndata: {"keyId":"key1"}\n\nevent: change\ndata: {}\n\n');
    response.write('event: reset\ndata: {}\n\nevent: later\ndata: {"keyId":"other"}\n\n');
    await vi.waitFor(() => expect(heard).toEqual([null, 'key1', null, null]));
  });

  it('comes back where it was, without forgetting anything that it need not', async () => {
    const { opened, heard, states } = await aFollowedService();
    const first = await opened(1);
    first.response.write('id: 41\nevent: change\ndata: {"keyId":"key1"}\n\n');
    await vi.waitFor(() => expect(heard).toHaveLength(2));
    first.response.destroy();
    const second = await opened(2);
    expect(second.request.headers['last-event-id']).toBe('41');
    second.response.write('id: 42\nevent: change\ndata: {"keyId":"key2"}\n\n');
    await vi.waitFor(() => expect(heard).toEqual([null, 'key1', 'key2']));
    expect(states).toEqual(['open', 'lost', 'open']);
  });

  it('gives up a stream that is silent, and takes pings for sound', async () => {
    const silenceMs = 500;
    const { opened, states } = await aFollowedService({ patience: { ...QUICK, silenceMs } });
    const { response } = await opened(1);
    const until = performance.now() + 2 * silenceMs;
    await new Promise<void>((resolve) => {
      const pings = setInterval(() => {
        response.write(': ping\n\n');
        if (performance.now() < until) return;
        clearInterval(pings);
        resolve();
      }, 20);
    });
    expect(states).toEqual(['open']);
    await opened(2);
    expect(states.slice(0, 2)).toEqual(['open', 'lost']);
  });

  it('tells once that it is lost, however often it tries', async () => {
    const { opened, states } = await aFollowedService({ answer: 503 });
    await opened(5);
    expect(states).toEqual(['lost']);
  });

  it('tries no more when it is closed', async () => {
    const { opened, streams } = await aFollowedService();
    const { response } = await opened(1);
    stops[0]?.();
    await new Promise((resolve) => response.once('close', resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(streams).toHaveLength(1);
  });
});
