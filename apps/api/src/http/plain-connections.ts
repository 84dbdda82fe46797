import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { answerText, KEEP_ALIVE_MS, type HotAnswer } from './hot-answer.js';
import type { HotReply, HotRequest, HotRoute, TextRead } from './hot-route.js';
import { bodyFault, type BodyHeaders } from './json-body.js';
import { HeadPattern, readPlainHead, type PlainHead } from './plain-request.js';
import { readHeaders, type HotHeaders } from './strict-requests.js';

/** What is larger, or comes in more parts, Node gathers. */
const REQUEST_MAX = 256 * 1024;
const PARTS_MAX = 16;
/** How long a request may take to come, as `headersTimeout` of Node. */
const REQUEST_MS_MAX = 10_000;

/** What the connections of a server have in common. */
interface PlainServer {
  readonly route: HotRoute;
  isHot(url: string): boolean;
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
  { route, isHot }: { readonly route: HotRoute; isHot(url: string): boolean },
): void {
  const byNode = server.listeners('connection');
  const connections = new Set<PlainConnection>();
  const shared: PlainServer = {
    route,
    isHot,
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
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => connections.add(new PlainConnection(socket, shared)));
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
  /** Of a request that has not come whole. */
  private parts: readonly Buffer[] = NO_PARTS;
  private beganAtMs = 0;
  /** What the client says with each request, as far as it does. */
  private pattern: HeadPattern | null = null;
  /** Of the head that was read last. */
  private fields = new PlainFields([]);
  private isAnswering = false;
  private hasEnded = false;

  constructor(
    private readonly socket: Socket,
    private readonly server: PlainServer,
  ) {
    socket.on('data', this.onData);
    socket.on('end', this.onEnd);
    socket.on('timeout', this.onTimeout);
    socket.on('error', this.onError);
    socket.on('close', this.onClose);
    socket.setTimeout(REQUEST_MS_MAX);
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
    if (socket.isPaused()) socket.resume();
    if (socket.timeout !== KEEP_ALIVE_MS) socket.setTimeout(KEEP_ALIVE_MS);
  }

  endIfIdle(): void {
    if (!this.isAnswering && this.parts.length === 0) this.socket.destroySoon();
  }

  destroy(): void {
    this.socket.destroy();
  }

  private readonly onData = (part: Buffer): void => {
    const bytes = this.gathered(part);
    const text = bytes.toString('latin1');
    let head: PlainHead;
    let bodyAt: number;
    let bodyLength: number;
    if (this.pattern?.matches(text)) {
      ({ head, bodyAt, bodyLength } = this.pattern);
    } else {
      const read = readPlainHead(text);
      if (read === 'partial') return this.await(bytes);
      if (read === null || !this.server.isHot(read.url)) return this.handOver(bytes);
      ({ bodyAt, bodyLength } = head = read);
      this.pattern = head.digitsAt === -1 ? null : new HeadPattern(text, head);
      this.fields = new PlainFields(head.rawHeaders);
    }
    const size = bodyAt + bodyLength;
    if (text.length < size && size <= REQUEST_MAX) return this.await(bytes);
    // More than one at once, or an answer that the client does not take.
    if (text.length !== size || this.socket.writableLength > 0) return this.handOver(bytes);
    this.parts = NO_PARTS;
    this.isAnswering = true;
    const asked = new PlainAsked(this, head, this.fields, text.slice(bodyAt));
    if (!this.server.route(asked, asked)) return this.handOver(bytes);
    // What comes meanwhile waits for its turn.
    if (!asked.isSent) this.socket.pause();
  };

  private gathered(part: Buffer): Buffer {
    if (this.parts.length === 0) return part;
    this.parts = [...this.parts, part];
    return Buffer.concat(this.parts);
  }

  /** More has to come of these bytes, in few parts and soon. */
  private await(bytes: Buffer): void {
    if (this.parts.length === 0) {
      this.parts = [bytes];
      this.beganAtMs = performance.now();
      this.socket.setTimeout(REQUEST_MS_MAX);
    }
    const isLate = performance.now() - this.beganAtMs > REQUEST_MS_MAX;
    if (isLate || this.parts.length > PARTS_MAX) this.handOver(bytes);
  }

  private handOver(bytes: Buffer): void {
    const { socket } = this;
    this.parts = NO_PARTS;
    socket.pause();
    socket.off('data', this.onData);
    socket.off('end', this.onEnd);
    socket.off('timeout', this.onTimeout);
    socket.off('error', this.onError);
    socket.off('close', this.onClose);
    socket.setTimeout(0);
    this.server.handOver(this, socket, bytes);
  }

  /** The client sends no more, and may wait for an answer. */
  private readonly onEnd = (): void => {
    this.hasEnded = true;
    if (!this.isAnswering) this.socket.end();
  };

  private readonly onTimeout = (): void => {
    if (this.parts.length > 0) this.handOver(Buffer.concat(this.parts));
    else this.socket.destroy();
  };

  private readonly onError = (): void => void this.socket.destroy();

  private readonly onClose = (): void => this.server.ended(this);
}

const NO_PARTS: readonly Buffer[] = [];

/** The fields of a head that must be single, read when they are asked for first. */
class PlainFields {
  private known: HotHeaders | Error | null = null;

  constructor(private readonly rawHeaders: readonly string[]) {}

  get read(): HotHeaders | Error {
    return (this.known ??= readHeaders(this.rawHeaders));
  }
}

/** One request and its answer. */
class PlainAsked implements HotRequest, HotReply {
  isSent = false;

  constructor(
    private readonly connection: PlainConnection,
    private readonly head: PlainHead,
    private readonly fields: PlainFields,
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
    return this.fields.read;
  }

  readBody(headers: BodyHeaders, bytesMax: number, read: TextRead): void {
    read(bodyFault(headers, this.body.length, bytesMax), this.body);
  }

  send(answer: HotAnswer, varying: readonly string[], body: string): void {
    if (this.isSent) return;
    this.isSent = true;
    const { isLast } = this.connection;
    const isHead = this.head.method === 'HEAD';
    this.connection.write(answer.text(varying, body, { isHead, isLast }), 'latin1', isLast);
  }

  sendAny(status: number, fields: readonly string[], body: string): void {
    if (this.isSent) return;
    this.isSent = true;
    const { isLast } = this.connection;
    const text = this.head.method === 'HEAD' ? '' : body;
    this.connection.write(answerText(status, fields, text, { isLast }), 'utf8', isLast);
  }
}
