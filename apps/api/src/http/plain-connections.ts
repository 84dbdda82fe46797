import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { FieldNames } from './field-names.js';
import { answerText, KEEP_ALIVE_MS, type HotAnswer } from './hot-answer.js';
import type { HotReply, HotRequest, HotRoute, TextRead } from './hot-route.js';
import { bodyFault, type BodyHeaders } from './json-body.js';
import { readIntoOneBuffer } from './one-buffer.js';
import { HeadShapes, PlainHeads, type PlainHead } from './plain-request.js';
import { readHeaders, type HotHeaders } from './strict-requests.js';

/** What is larger, or comes in more parts, Node gathers. */
const REQUEST_MAX = 256 * 1024;
const PARTS_MAX = 16;
/** How long a request may take to come, as `headersTimeout` of Node. */
const REQUEST_SECONDS_MAX = 10;

/** What the connections of a server have in common. */
interface PlainServer {
  readonly route: HotRoute;
  readonly shapes: HeadShapes;
  isHot(url: string): boolean;
  readonly ownSocket: typeof readIntoOneBuffer;
  readonly isClosing: boolean;
  /** From then on the connection is Node's, with the bytes that nobody has read yet. */
  handOver(connection: PlainConnection, socket: Socket, bytes: Buffer): void;
  ended(connection: PlainConnection): void;
}

/**
 * Reads requests for the hot routes from the connections of a server before Node does, as long as they are plain and come
 * one after the other: Node's parser, streams and timers cost several times what a decision does. At the first
 * request that is anything else the connection becomes Node's for good, with all that came of it, so whatever is not
 * plain is read, answered and refused as ever. Both ways send the same bytes (plain-connections.spec.ts).
 */
export function readPlainConnections(
  server: Server,
  {
    route,
    isHot,
    ownSocket = readIntoOneBuffer,
  }: {
    readonly route: HotRoute;
    isHot(url: string): boolean;
    readonly ownSocket?: typeof readIntoOneBuffer;
  },
): void {
  const byNode = server.listeners('connection');
  const connections = new Set<PlainConnection>();
  const shared: PlainServer = {
    route,
    isHot,
    ownSocket,
    shapes: new HeadShapes(),
    get isClosing() {
      return !server.listening;
    },
    handOver: (connection, socket, bytes) => {
      connections.delete(connection);
      if (bytes.length > 0) socket.unshift(bytes);
      for (const listener of byNode) Reflect.apply(listener, server, [socket]);
      socket.resume();
    },
    ended: (connection) => connections.delete(connection),
  };
  // One timer for all: Node's own of each connection are set anew with each request and each answer.
  let clock: NodeJS.Timeout | null = null;
  const age = () => {
    for (const connection of connections) connection.age();
    if (connections.size > 0 || !clock) return;
    clearInterval(clock);
    clock = null;
  };
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    connections.add(new PlainConnection(socket, shared));
    clock ??= setInterval(age, 1_000).unref();
  });
  // A server that closes waits for its connections, and Node does not know of these.
  const closeIdle = server.closeIdleConnections.bind(server);
  const closeAll = server.closeAllConnections.bind(server);
  server.closeIdleConnections = () => {
    closeIdle();
    for (const connection of connections) connection.endIfIdle();
  };
  server.closeAllConnections = () => {
    closeAll();
    for (const connection of connections) connection.destroy();
  };
}

/** A connection whose requests have all been plain; it answers one at a time. */
class PlainConnection {
  private readonly socket: Socket;
  /** Bytes come from the stream, not from the one buffer. */
  private readonly isStream: boolean;
  /** Of a request that has not come whole. */
  private parts: readonly Buffer[] = NO_PARTS;
  /** What came while it was answering, and waits for its turn; more than that is not read. */
  private early: Buffer = NO_BYTES;
  private readonly heads: PlainHeads;
  private isAnswering = false;
  private hasEnded = false;
  private isNodes = false;
  /** Seconds without a byte, and since the first one of a request that has not come whole. */
  private quietFor = 0;
  private waitsFor = 0;
  private quietMax = REQUEST_SECONDS_MAX;

  constructor(
    accepted: Socket,
    private readonly server: PlainServer,
  ) {
    this.heads = new PlainHeads(server.shapes);
    const own = server.ownSocket(accepted, this.onBytes);
    this.isStream = own === null;
    this.socket = own ?? accepted.on('data', this.onData);
    this.socket.on('end', this.onEnd);
    this.socket.on('error', this.onError);
    this.socket.on('close', this.onClose);
  }

  /** Whether the connection ends with the answer that is written now. */
  get isLast(): boolean {
    return this.hasEnded || this.server.isClosing;
  }

  /** The answer to the request. */
  write(text: string, encoding: 'latin1' | 'utf8', isLast: boolean): void {
    const { socket } = this;
    this.isAnswering = false;
    if (!socket.writable) return;
    socket.write(text, encoding);
    if (isLast) return socket.destroySoon();
    this.quietFor = 0;
    this.quietMax = KEEP_ALIVE_MS / 1000;
    if (socket.isPaused()) socket.resume();
    const { early } = this;
    if (early.length === 0) return;
    this.early = NO_BYTES;
    this.onBytes(early, early.length);
  }

  endIfIdle(): void {
    if (!this.isAnswering && this.parts.length === 0) this.socket.destroySoon();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** A second has gone by. */
  age(): void {
    this.quietFor += 1;
    this.waitsFor += 1;
    if (this.parts.length === 0) {
      if (this.quietFor > this.quietMax) this.socket.destroy();
    } else if (this.waitsFor > REQUEST_SECONDS_MAX) {
      this.handOver(Buffer.concat(this.parts));
    }
  }

  private readonly onData = (part: Buffer): void => void this.onBytes(part, part.length);

  /** The bytes are others after it returns. */
  private readonly onBytes = (bytes: Buffer, length: number): boolean => {
    if (this.isNodes) return this.socket.push(copyOf(bytes, length));
    this.quietFor = 0;
    if (this.isAnswering) {
      this.early = Buffer.concat([this.early, bytes.subarray(0, length)]);
      this.socket.pause();
    } else if (this.parts.length === 0) {
      this.read(bytes, length);
    } else {
      this.parts = [...this.parts, copyOf(bytes, length)];
      const all = Buffer.concat(this.parts);
      this.read(all, all.length);
    }
    return true;
  };

  private read(bytes: Buffer, length: number): void {
    const text = bytes.toString('latin1', 0, length);
    const head = this.heads.read(text);
    if (head === 'partial') return this.await(bytes, length);
    if (head === null || !this.server.isHot(head.url)) return this.handOver(copyOf(bytes, length));
    const { bodyAt, bodyLength } = head;
    const size = bodyAt + bodyLength;
    if (length < size && size <= REQUEST_MAX) return this.await(bytes, length);
    // More than one at once, or an answer that the client does not take.
    if (length !== size || this.socket.writableLength > 0)
      return this.handOver(copyOf(bytes, length));
    this.parts = NO_PARTS;
    this.isAnswering = true;
    const asked = new PlainAsked(this, head, text.slice(bodyAt));
    if (!this.server.route(asked, asked)) return this.handOver(copyOf(bytes, length));
    // A stream that gave its last bytes takes none back.
    if (this.isStream && !asked.isSent) this.socket.pause();
  }

  /** More has to come of these bytes, in few parts and soon. */
  private await(bytes: Buffer, length: number): void {
    if (this.parts.length === 0) {
      this.parts = [copyOf(bytes, length)];
      this.waitsFor = 0;
    }
    if (this.parts.length > PARTS_MAX) this.handOver(copyOf(bytes, length));
  }

  /** The connection is Node's, with these bytes. */
  private handOver(bytes: Buffer): void {
    const { socket } = this;
    this.parts = NO_PARTS;
    this.isNodes = true;
    socket.pause();
    socket.off('data', this.onData);
    socket.off('end', this.onEnd);
    socket.off('error', this.onError);
    socket.off('close', this.onClose);
    this.server.handOver(this, socket, bytes);
  }

  /** The client sends no more, and may wait for an answer. */
  private readonly onEnd = (): void => {
    this.hasEnded = true;
    if (!this.isAnswering) this.socket.end();
  };

  private readonly onError = (): void => void this.socket.destroy();

  private readonly onClose = (): void => this.server.ended(this);
}

const NO_PARTS: readonly Buffer[] = [];
const NO_BYTES = Buffer.alloc(0);

const copyOf = (bytes: Buffer, length: number) => Buffer.from(bytes.subarray(0, length));

/** One request and its answer. */
class PlainAsked implements HotRequest, HotReply {
  isSent = false;

  constructor(
    private readonly connection: PlainConnection,
    private readonly head: PlainHead,
    private readonly body: string,
  ) {}

  get method(): string {
    return this.head.method;
  }

  get url(): string {
    return this.head.url;
  }

  get rawHeaders(): readonly string[] {
    return this.head.rawHeaders;
  }

  get headers(): HotHeaders | Error {
    const { rawHeaders, names } = this.head;
    return readHeaders(rawHeaders, names);
  }

  get names(): FieldNames {
    return this.head.names;
  }

  readBody(headers: BodyHeaders, bytesMax: number, read: TextRead): void {
    read(bodyFault(headers, this.body.length, bytesMax), this.body);
  }

  send(answer: HotAnswer, lines: string, body: string): void {
    if (this.isSent) return;
    this.isSent = true;
    const { isLast } = this.connection;
    const isHead = this.head.method === 'HEAD';
    this.connection.write(answer.text(lines, body, { isHead, isLast }), 'latin1', isLast);
  }

  sendAny(status: number, fields: readonly string[], body: string): void {
    if (this.isSent) return;
    this.isSent = true;
    const { isLast } = this.connection;
    const text = this.head.method === 'HEAD' ? '' : body;
    this.connection.write(answerText(status, fields, text, { isLast }), 'utf8', isLast);
  }
}
