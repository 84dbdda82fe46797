import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createTollgate, type Tollgate, type TollgateEvent } from '@core/gateway-plugin';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { WebSocket, WebSocketServer, type RawData } from 'ws';
import { StandInLeases, type LeasedKey } from '../support/stand-in-leases.js';
import { StandInService } from '../support/stand-in-service.js';

const KEY = 'tg_socket';
const WIDE = { rateLimit: 100_000, burstLimit: 100_000 };
const ONE = { rateLimit: 0.001, burstLimit: 1 };
const ROUTES = { send: WIDE, slow: ONE, $default: WIDE, $connect: WIDE };

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString();
  return (Buffer.isBuffer(data) ? data : Buffer.from(data)).toString();
}

const running: (() => unknown)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const stop of running.splice(0).reverse()) await stop();
});

interface Chat {
  readonly tollgate: Tollgate;
  readonly leases: StandInLeases;
  readonly service: StandInService;
  readonly url: string;
  readonly events: TollgateEvent[];
  /** What reached the application, in order. */
  readonly heard: string[];
  readonly connections: IncomingMessage[];
  /** The application's ends. */
  readonly sockets: WebSocket[];
}

/** An application that repeats every message, or is silent, behind the plugin. */
async function aChat({
  key = {},
  routes = ROUTES,
  isSilent = false,
}: {
  key?: Partial<LeasedKey>;
  routes?: Record<string, typeof WIDE>;
  isSilent?: boolean;
} = {}): Promise<Chat> {
  const leased = {
    keyId: 'keysocket1',
    customerId: 'cus_a',
    enabled: true,
    throttle: WIDE,
    quota: null,
    ...key,
  };
  const leases = new StandInLeases({ [KEY]: leased }, routes);
  const service = await StandInService.start({
    leases,
    keys: {
      [KEY]: { keyId: leased.keyId, customerId: 'cus_a', plan: WIDE, isEnabled: leased.enabled },
      tg_throttled: {
        keyId: 'keysocket2',
        customerId: 'cus_a',
        plan: { rateLimit: 1, burstLimit: 0 },
      },
    },
  });
  const events: TollgateEvent[] = [];
  const tollgate = createTollgate({
    url: service.url,
    token: service.token,
    apiId: 'petstore01',
    stage: 'prod',
    deadlineMs: 2_000,
    onEvent: (event) => events.push(event),
  });
  const heard: string[] = [];
  const connections: IncomingMessage[] = [];
  const opened: WebSocket[] = [];
  const server = createServer();
  const sockets = new WebSocketServer({ noServer: true });
  sockets.on('connection', (socket, request) => {
    connections.push(request);
    opened.push(socket);
    socket.on('message', (data, isBinary) => {
      heard.push(isBinary ? 'binary' : textOf(data));
      if (!isSilent) socket.send(`echo ${isBinary ? 'binary' : textOf(data)}`);
    });
  });
  server.on('upgrade', tollgate.upgrade(sockets));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  const { port } = server.address() as AddressInfo;
  running.push(
    () => service.stop(),
    () => {
      server.close();
      server.closeAllConnections();
    },
    () => tollgate.close(),
  );
  await vi.waitFor(() => expect(tollgate.stats().hasNews).toBe(true));
  return {
    tollgate,
    leases,
    service,
    events,
    heard,
    connections,
    sockets: opened,
    url: `ws://127.0.0.1:${port}/`,
  };
}

interface Client {
  readonly socket: WebSocket;
  readonly received: string[];
  readonly closed: Promise<{ code: number; reason: string }>;
}

async function connect(
  { url }: Chat,
  headers: Record<string, string> = { 'x-api-key': KEY },
): Promise<Client> {
  const socket = new WebSocket(url, { headers });
  const received: string[] = [];
  socket.on('message', (data) => received.push(textOf(data)));
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) })),
  );
  running.push(() => socket.terminate());
  await once(socket, 'open');
  return { socket, received, closed };
}

/** The answer to an upgrade that was refused. */
function refused(
  chat: Chat,
  headers: Record<string, string>,
): Promise<{ status: number; type: unknown; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(chat.url, { headers });
    socket.on('open', () => reject(new Error('the connection was let in')));
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (_request, response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['x-amzn-errortype'],
          body,
        }),
      );
    });
  });
}

describe('WebSockets behind the plugin', () => {
  it.each([
    { headers: {}, status: 403, type: 'ForbiddenException', message: 'Forbidden', why: 'no key' },
    {
      headers: { 'x-api-key': 'who' },
      status: 403,
      type: 'ForbiddenException',
      message: 'Forbidden',
      why: 'an unknown key',
    },
    {
      headers: { 'x-api-key': 'tg_throttled' },
      status: 429,
      type: 'TooManyRequestsException',
      message: 'Too Many Requests',
      why: 'an empty bucket',
    },
  ])(
    'refuses $why with $status before the handshake',
    async ({ headers, status, type, message }) => {
      const chat = await aChat();
      expect(await refused(chat, headers)).toEqual({
        status,
        type,
        body: JSON.stringify({ message }),
      });
      expect(chat.connections).toEqual([]);
    },
  );

  it('lets a good key in, tells the application whose it is, and hands messages over in order', async () => {
    const chat = await aChat();
    const client = await connect(chat, { 'x-api-key': KEY, 'x-tollgate-key-id': 'spoof' });
    const texts = Array.from({ length: 50 }, (_, number) =>
      JSON.stringify({ action: 'send', number }),
    );
    for (const text of texts) client.socket.send(text);
    client.socket.send(Buffer.from([1, 2, 3]));
    await vi.waitFor(() => expect(client.received).toHaveLength(51));
    expect(chat.heard).toEqual([...texts, 'binary']);
    expect(chat.connections[0]?.headers).toMatchObject({ 'x-tollgate-key-id': 'keysocket1' });
  });

  it('throttles each route by itself, with a message in Amazon’s form, and stays open', async () => {
    const chat = await aChat();
    const client = await connect(chat);
    for (let count = 0; count < 3; count += 1) client.socket.send('{"action":"slow"}');
    client.socket.send('{"action":"send"}');
    await vi.waitFor(() => expect(client.received).toHaveLength(4));
    expect(client.received.filter((text) => text.startsWith('echo'))).toEqual([
      'echo {"action":"slow"}',
      'echo {"action":"send"}',
    ]);
    const errors = client.received.filter((text) => !text.startsWith('echo'));
    expect(JSON.parse(errors[0] ?? '')).toEqual({
      message: 'Too Many Requests',
      connectionId: expect.stringMatching(/^[\w+/]{12}$/),
      requestId: expect.stringMatching(/^dec_/),
    });
    expect(chat.heard).toHaveLength(2);
    expect(client.socket.readyState).toBe(WebSocket.OPEN);
  });

  it('charges a message without a route of the api to $default', async () => {
    const chat = await aChat({ routes: { ...ROUTES, $default: ONE } });
    const client = await connect(chat);
    for (const text of ['{"action":"nowhere"}', 'plain text', '{"action":"send"}']) {
      client.socket.send(text);
    }
    await vi.waitFor(() => expect(client.received).toHaveLength(3));
    expect(chat.heard).toEqual(['{"action":"nowhere"}', '{"action":"send"}']);
  });

  it('takes a message of 128 KiB, and ends a connection that sends one byte more', async () => {
    const chat = await aChat();
    const client = await connect(chat);
    client.socket.send(Buffer.alloc(128 * 1024));
    await vi.waitFor(() => expect(client.received).toEqual(['echo binary']));
    client.socket.send(Buffer.alloc(128 * 1024 + 1));
    expect(await client.closed).toMatchObject({ code: 1009 });
    expect(chat.heard).toHaveLength(1);
  });

  it('ends every connection of a revoked key within a second', async () => {
    const chat = await aChat();
    const clients = [await connect(chat), await connect(chat)];
    const key = chat.leases.keys[KEY];
    if (key === undefined) throw new Error('no key');
    const revokedAt = performance.now();
    key.enabled = false;
    chat.leases.tell(key.keyId);
    const closed = await Promise.all(clients.map((client) => client.closed));
    const forbidden = { code: 1008, reason: 'Forbidden' };
    expect(closed).toEqual([forbidden, forbidden]);
    expect(performance.now() - revokedAt).toBeLessThan(1_000);
    expect(chat.tollgate.stats().connections).toBe(0);
  });

  it('keeps a connection whose key is as good as before when everything may have changed', async () => {
    const chat = await aChat();
    const client = await connect(chat);
    const asked = chat.leases.questions.length;
    chat.leases.tell(null);
    await vi.waitFor(() => expect(chat.leases.questions.length).toBeGreaterThan(asked));
    client.socket.send('{"action":"send"}');
    await vi.waitFor(() => expect(client.received).toEqual(['echo {"action":"send"}']));
  });

  it('says goodbye when the gateway closes', async () => {
    const chat = await aChat();
    const client = await connect(chat);
    await chat.tollgate.close();
    expect(await client.closed).toMatchObject({ code: 1001 });
  });

  it('tells when something else takes the upgrades of a guarded server', async () => {
    const chat = await aChat();
    const server = createServer(chat.tollgate.node((_request, response) => response.end()));
    const unguarded = new WebSocketServer({ server });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    running.push(
      () => server.close(),
      () => unguarded.close(),
    );
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
    const { port } = server.address() as AddressInfo;
    for (let call = 0; call < 2; call += 1) await fetch(`http://127.0.0.1:${port}/`);
    expect(chat.events.filter(({ type }) => type === 'upgrade-unguarded')).toHaveLength(1);
  });
});

/** What the service has been told, by route key, after everything was sent. */
async function metered(
  { tollgate, service }: Chat,
  meter: 'messages',
): Promise<Record<string, number>> {
  await tollgate.flush();
  const sums = service.committed(meter, ({ method = '' }) => method);
  return Object.fromEntries(Object.entries(sums).filter(([, sum]) => sum > 0));
}

describe('What the plugin meters of WebSockets', () => {
  const SIZES = [
    { bytes: 1, units: 1 },
    { bytes: 32_768, units: 1 },
    { bytes: 32_769, units: 2 },
    { bytes: 131_072, units: 4 },
  ];

  it.each(SIZES)('a message of $bytes bytes to the application: $units', async (row) => {
    const chat = await aChat({ isSilent: true });
    const client = await connect(chat);
    client.socket.send('x'.repeat(row.bytes));
    client.socket.send(Buffer.alloc(row.bytes));
    await vi.waitFor(() => expect(chat.heard).toHaveLength(2));
    expect(await metered(chat, 'messages')).toEqual({ $default: 2 * row.units });
  });

  it.each(SIZES)('a message of $bytes bytes from the application: $units', async (row) => {
    const chat = await aChat();
    const client = await connect(chat);
    chat.sockets[0]?.send('x'.repeat(row.bytes));
    chat.sockets[0]?.send(Buffer.alloc(row.bytes), { compress: false });
    await vi.waitFor(() => expect(client.received).toHaveLength(2));
    expect(await metered(chat, 'messages')).toEqual({ $default: 2 * row.units });
  });

  it('bytes and not characters, and parts as the one message that they are', async () => {
    const chat = await aChat({ isSilent: true });
    const client = await connect(chat);
    client.socket.send(`{"action":"send","text":"${'é'.repeat(16_384)}"}`);
    client.socket.send('x'.repeat(20_000), { fin: false });
    client.socket.send('x'.repeat(20_000));
    await vi.waitFor(() => expect(chat.heard).toHaveLength(2));
    expect(await metered(chat, 'messages')).toEqual({ send: 2, $default: 2 });
    chat.sockets[0]?.send('é'.repeat(5_000), { fin: false });
    chat.sockets[0]?.send('x'.repeat(10_000));
    await vi.waitFor(() => expect(client.received).toHaveLength(1));
    expect(await metered(chat, 'messages')).toEqual({ send: 2, $default: 3 });
  });

  it('nothing of what is throttled, nor the answer that says so; invented routes as $default', async () => {
    const chat = await aChat({ isSilent: true });
    const client = await connect(chat);
    for (let count = 0; count < 3; count += 1) client.socket.send('{"action":"slow"}');
    client.socket.send('{"action":"invented"}');
    await vi.waitFor(() => expect(chat.heard).toHaveLength(2));
    await vi.waitFor(() => expect(client.received).toHaveLength(2));
    expect(await metered(chat, 'messages')).toEqual({ slow: 1, $default: 1 });
  });

  it('nothing of what is forbidden or too big, in either direction', async () => {
    let now = Date.now();
    vi.spyOn(Date, 'now').mockImplementation(() => now);
    const expiresAt = new Date(now + 60_000).toISOString();
    const chat = await aChat({ key: { expiresAt }, isSilent: true });
    const big = await connect(chat);
    const [socket] = chat.sockets;
    const error = await new Promise((resolve) =>
      socket?.send(Buffer.alloc(128 * 1024 + 1), resolve),
    );
    expect(error).toBeInstanceOf(RangeError);
    expect(chat.events).toContainEqual({ type: 'message-not-sent', bytes: 128 * 1024 + 1 });
    expect(big.socket.readyState).toBe(WebSocket.OPEN);
    big.socket.send(Buffer.alloc(128 * 1024 + 1));
    expect(await big.closed).toMatchObject({ code: 1009 });
    await refused(chat, { 'x-api-key': 'tg_throttled' });
    const client = await connect(chat);
    now += 60_000;
    // The plugin carries its clock on for some milliseconds.
    const movedAt = performance.now();
    await vi.waitFor(() => expect(performance.now() - movedAt).toBeGreaterThan(50));
    client.socket.send('{"action":"send"}');
    expect(await client.closed).toMatchObject({ code: 1008 });
    expect(chat.heard).toEqual([]);
    const late = chat.sockets[1];
    late?.send('after the end', () => undefined);
    expect(await metered(chat, 'messages')).toEqual({});
    expect(chat.service.lives()).toHaveLength(2);
    expect(big.received).toEqual([]);
  });

  it('when each connection was opened and closed, once, whoever ends it', async () => {
    let now = Date.now();
    vi.spyOn(Date, 'now').mockImplementation(() => now);
    const chat = await aChat();
    const clients = [await connect(chat), await connect(chat)];
    const told = async () => {
      await chat.tollgate.flush();
      return chat.service
        .lives()
        .map(({ keyId, from, to, isClosed }) => [keyId, Math.round((to - from) / 1_000), isClosed]);
    };
    expect(await told()).toEqual([
      ['keysocket1', 0, false],
      ['keysocket1', 0, false],
    ]);
    now += 61_000;
    clients[0]?.socket.close();
    await clients[0]?.closed;
    await vi.waitFor(() => expect(chat.tollgate.stats().connections).toBe(1));
    expect(await told()).toEqual([
      ['keysocket1', 61, true],
      ['keysocket1', 61, false],
    ]);
    now += 60_000;
    await chat.tollgate.close();
    await clients[1]?.closed;
    expect(await told()).toEqual([
      ['keysocket1', 61, true],
      ['keysocket1', 121, true],
    ]);
    expect(chat.service.records()).toEqual([]);
  });

  it('one heartbeat for all open connections, and none when nothing is open', async () => {
    let now = Date.now();
    vi.spyOn(Date, 'now').mockImplementation(() => now);
    const chat = await aChat();
    await connect(chat);
    const last = await connect(chat);
    await chat.tollgate.flush();
    const before = chat.service.batches.size;
    now += 30_000;
    await vi.waitFor(() => expect(chat.service.batches.size).toBe(before + 1), 5_000);
    expect([...chat.service.batches.values()].at(-1)).toContain('"opened":[],"closed":[]}');
    expect(chat.service.lives().map(({ from, to }) => Math.round((to - from) / 1_000))).toEqual([
      30, 30,
    ]);
    for (const socket of chat.sockets) socket.terminate();
    await last.closed;
    await vi.waitFor(() => expect(chat.tollgate.stats().connections).toBe(0));
    await chat.tollgate.flush();
    const closed = chat.service.batches.size;
    now += 120_000;
    await chat.tollgate.flush();
    expect(chat.service.batches.size).toBe(closed);
  });
});
