import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { refusalOf } from '../deciding/answer.js';
import type { Judgement } from '../deciding/decision.js';
import {
  ConnectionMeter,
  MESSAGE_BYTES_MAX,
  bytesOf,
  type TrafficLedger,
} from './connection-meter.js';
import {
  CONNECT_ROUTE,
  DEFAULT_EXPRESSION,
  DEFAULT_ROUTE,
  routeSelector,
  type RouteSelector,
} from './route-key.js';

/** The parts of a `WebSocket` of the package `ws` that the guard touches. */
export interface WebSocketParts {
  emit(name: string, ...values: unknown[]): boolean;
  on(name: 'error', listener: () => void): unknown;
  readonly readyState: number;
  send(data: unknown, ...rest: unknown[]): void;
  close(code: number, reason: string): void;
  terminate(): void;
  pause(): void;
  resume(): void;
}

/** The parts of a `WebSocketServer` of the package `ws` that the guard touches; made with `noServer: true`. */
export interface WebSocketServerParts {
  readonly options: { maxPayload?: number | undefined };
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    then: (socket: WebSocketParts) => void,
  ): void;
  emit(name: string, ...values: unknown[]): boolean;
}

/** How messages are told apart. */
export interface WebSocketOptions {
  /** Where a message says its route. Default `$request.body.action`; a message without one goes to `$default`. */
  readonly routeSelectionExpression?: string;
  /** The key of a client that cannot send headers, such as a browser. Default: the header `X-Api-Key`. */
  readonly apiKey?: (request: IncomingMessage) => string | undefined;
}

/** Who speaks over one connection. */
export interface Speaker {
  readonly apiKey: string | undefined;
  readonly sourceIp: string;
}

/** What the guard of WebSockets asks of the gateway. */
export interface WebSocketJudge {
  /** Who asks for a connection; null when that cannot be told. */
  speakerOf(request: IncomingMessage, options: WebSocketOptions): Speaker | null;
  /** Decides on a route key; `otherwise` is the route where the stage has none of that name. */
  decide(speaker: Speaker, routeKey: string, otherwise?: string): Judgement | Promise<Judgement>;
  /** What the application behind finds in the request of a connection that was let in. */
  accept(request: IncomingMessage, speaker: Speaker, decision: Judgement): void;
  /** Where the usage of a connection goes. */
  ledgerOf(speaker: Speaker): TrafficLedger;
  /** A message of the application was too big. */
  notSent(bytes: number): void;
  /** Whether the speaker's key may still be used, by a policy that is asked for if need be. */
  mayStay(speaker: Speaker): Promise<boolean>;
}

const POLICY_VIOLATION = 1008;
const MESSAGE_TOO_BIG = 1009;
const GOING_AWAY = 1001;
/** The `readyState` of a connection that still sends. */
const OPEN = 1;
/** How long a client has to answer the close. */
const CLOSE_MS = 1_000;

const guarded = new WeakSet<object>();

/** Whether the server of a request has a listener for upgrades, and none of ours: its WebSockets pass unseen. */
export class UpgradeWatch {
  private readonly seen = new WeakSet<object>();

  /** True once for each such server. */
  finds(request: IncomingMessage): boolean {
    const server: unknown = Reflect.get(request.socket, 'server');
    if (!(server instanceof EventEmitter) || this.seen.has(server)) return false;
    this.seen.add(server);
    const listeners = server.listeners('upgrade');
    return listeners.length > 0 && !listeners.some((listener) => guarded.has(listener));
  }
}

/** Every connection that was let in, so that it can be ended when its key is revoked. */
export class WebSocketGuard {
  private readonly connections = new Set<Connection>();

  constructor(private readonly judge: WebSocketJudge) {}

  /** The listener of a server's `upgrade`: decides on `$connect`, then lets `ws` shake hands. */
  upgrade(
    server: WebSocketServerParts,
    options: WebSocketOptions = {},
  ): (request: IncomingMessage, socket: Duplex, head: Buffer) => void {
    const select = routeSelector(options.routeSelectionExpression ?? DEFAULT_EXPRESSION);
    // ws then refuses a message while it arrives, instead of when it is whole.
    const { maxPayload = 0 } = server.options;
    server.options.maxPayload =
      maxPayload > 0 ? Math.min(maxPayload, MESSAGE_BYTES_MAX) : MESSAGE_BYTES_MAX;
    const listener = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const speaker = this.judge.speakerOf(request, options);
      // The client may leave while the call is decided on.
      const ignore = (): void => undefined;
      socket.on('error', ignore);
      const shakeHands = (decision: Judgement): void => {
        socket.off('error', ignore);
        if (speaker === null || !decision.allowed) return refuseUpgrade(socket, decision);
        if (socket.destroyed) return;
        this.judge.accept(request, speaker, decision);
        server.handleUpgrade(request, socket, head, (webSocket: WebSocketParts) => {
          this.admit(webSocket, { speaker, select, keyId: decision.keyId });
          server.emit('connection', webSocket, request);
        });
      };
      const decision = this.judge.decide(speaker ?? NOBODY, CONNECT_ROUTE);
      if (decision instanceof Promise) void decision.then(shakeHands);
      else shakeHands(decision);
    };
    guarded.add(listener);
    return listener;
  }

  get size(): number {
    return this.connections.size;
  }

  /** Ends the connections of a key, or with null of every key, that may not stay. */
  async recheck(keyId: string | null): Promise<void> {
    const affected = [...this.connections].filter(
      (connection) =>
        keyId === null || connection.keyId === undefined || connection.keyId === keyId,
    );
    await Promise.all(
      affected.map(async (connection) => {
        if (!(await this.judge.mayStay(connection.speaker)))
          connection.end(POLICY_VIOLATION, 'Forbidden');
      }),
    );
  }

  /** Ends all connections, since the gateway goes away. */
  close(): void {
    for (const connection of this.connections) connection.end(GOING_AWAY, 'Going away');
  }

  private admit(
    webSocket: WebSocketParts,
    {
      speaker,
      select,
      keyId,
    }: { speaker: Speaker; select: RouteSelector; keyId: string | undefined },
  ): void {
    const connection = new Connection(webSocket, {
      speaker,
      keyId,
      select,
      judge: this.judge,
      onClose: () => this.connections.delete(connection),
    });
    this.connections.add(connection);
  }
}

interface ConnectionParts {
  readonly speaker: Speaker;
  readonly keyId: string | undefined;
  readonly select: RouteSelector;
  readonly judge: WebSocketJudge;
  onClose(): void;
}

/**
 * One connection. Stands between `ws` and the application: a message reaches the application's listeners when it was let
 * pass, in the order in which they came. What passes is metered, in both directions.
 */
class Connection {
  readonly speaker: Speaker;
  readonly keyId: string | undefined;
  private readonly id = randomBytes(9).toString('base64');
  private readonly emit: (name: string, ...values: unknown[]) => boolean;
  /** Sends and meters nothing. */
  private readonly send: (data: unknown, ...rest: unknown[]) => void;
  private readonly meter: ConnectionMeter;
  /** What came while a message waits for its decision. */
  private waiting: (() => void | Promise<void>)[] | null = null;
  private isEnded = false;

  constructor(
    private readonly webSocket: WebSocketParts,
    private readonly parts: ConnectionParts,
  ) {
    this.speaker = parts.speaker;
    this.keyId = parts.keyId;
    this.emit = webSocket.emit.bind(webSocket);
    this.send = webSocket.send.bind(webSocket);
    this.meter = new ConnectionMeter(this.id, parts.keyId, parts.judge.ledgerOf(parts.speaker));
    webSocket.send = (data: unknown, ...rest: unknown[]): void => this.sendMetered(data, rest);
    // ws tells of a message that is too big by an error; without a listener that would end the process.
    webSocket.on('error', () => undefined);
    webSocket.emit = (name: string, ...values: unknown[]): boolean => {
      if (name !== 'message' && name !== 'close') return this.emit(name, ...values);
      if (name === 'close') this.gone();
      this.inOrder(() => (name === 'message' ? this.message(values) : this.tell(name, values)));
      return true;
    };
  }

  /** Closes; nothing that still comes is let pass. */
  end(code: number, reason: string): void {
    this.isEnded = true;
    this.gone();
    this.webSocket.close(code, reason);
    setTimeout(() => this.webSocket.terminate(), CLOSE_MS).unref();
  }

  private gone(): void {
    this.parts.onClose();
    this.meter.closed();
  }

  /** The application sends: a message, or with `fin: false` a part of one. */
  private sendMetered(data: unknown, rest: readonly unknown[]): void {
    if (this.webSocket.readyState !== OPEN) return this.send(data, ...rest);
    const bytes = bytesOf(data);
    if (this.meter.fits(bytes)) {
      this.send(data, ...rest);
      return this.meter.sent(bytes, { isLast: !rest.some(isPart) });
    }
    if (this.meter.isInMessage) this.end(MESSAGE_TOO_BIG, 'Message too big');
    this.parts.judge.notSent(bytes);
    const then = rest.at(-1);
    if (typeof then === 'function') {
      process.nextTick(then, new RangeError(`a message has at most ${MESSAGE_BYTES_MAX} bytes`));
    }
    return undefined;
  }

  /** Runs at once, or behind a message that waits for its decision. */
  private inOrder(step: () => void | Promise<void>): void {
    if (this.waiting !== null) {
      this.waiting.push(step);
      return;
    }
    const running = step();
    if (running instanceof Promise) void this.drain(running);
  }

  private async drain(running: Promise<void>): Promise<void> {
    const waiting: (() => void | Promise<void>)[] = [];
    this.waiting = waiting;
    // The client is held back, so that no more than what has arrived is kept here.
    this.webSocket.pause();
    await running;
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) await step();
    this.waiting = null;
    this.webSocket.resume();
  }

  private tell(name: string, values: readonly unknown[]): void {
    this.emit(name, ...values);
  }

  private message(values: readonly unknown[]): void | Promise<void> {
    if (this.isEnded) return undefined;
    const [data, isBinary] = values;
    if (bytesOf(data) > MESSAGE_BYTES_MAX) {
      this.end(MESSAGE_TOO_BIG, 'Message too big');
      return undefined;
    }
    const route = isBinary === true ? DEFAULT_ROUTE : this.parts.select(String(data));
    const decision = this.parts.judge.decide(this.speaker, route, DEFAULT_ROUTE);
    return decision instanceof Promise
      ? decision.then((made) => this.passOrRefuse(made, values))
      : this.passOrRefuse(decision, values);
  }

  private passOrRefuse(decision: Judgement, values: readonly unknown[]): void {
    if (decision.allowed) {
      this.meter.received(decision, bytesOf(values[0]));
      return this.tell('message', values);
    }
    if (decision.status === 403 && decision.reason !== 'ambiguous-path') {
      return this.end(POLICY_VIOLATION, 'Forbidden');
    }
    // The form of Amazon's own messages to a client.
    return this.send(
      JSON.stringify({
        message: decision.message,
        connectionId: this.id,
        requestId: decision.decisionId,
      }),
    );
  }
}

const NOBODY: Speaker = { apiKey: undefined, sourceIp: '' };

const isPart = (option: unknown): boolean =>
  typeof option === 'object' && option !== null && Reflect.get(option, 'fin') === false;

const REASON_PHRASES: Readonly<Record<number, string>> = {
  403: 'Forbidden',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
};

function refuseUpgrade(socket: Duplex, decision: Judgement): void {
  const { status, headers, body } = refusalOf(decision);
  const lines = Object.entries({ ...headers, Connection: 'close' }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  socket.once('finish', () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${REASON_PHRASES[status] ?? 'Refused'}\r\n${lines.join('')}\r\n${body}`,
  );
}
