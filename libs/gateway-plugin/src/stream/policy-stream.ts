import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { ServiceAddress } from '../service/service-client.js';
import { ServerSentEventReader, type ServerSentEvent } from './server-sent-events.js';

/** What the stream tells. */
export interface PolicyStreamListener {
  /** Forget this key, or with null every key and stage. */
  onChange(keyId: string | null): void;
  /** Told once when news begins to come, and once when it no longer does. */
  onOpen(): void;
  onLost(cause: string): void;
}

/** How long the stream waits; for tests. */
export interface StreamPatience {
  /** A stream that is silent for so long is dead: the service sends a comment every 10 s. */
  readonly silenceMs: number;
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
}

const PATIENCE: StreamPatience = { silenceMs: 25_000, backoffMsMin: 100, backoffMsMax: 10_000 };

/**
 * Follows `GET /v1/gateway/events`, for ever, and comes back where it was.
 *
 *     connecting ──200──▶ open ──end, error, 25 s of silence──▶ waiting 0.1 to 10 s ──▶ connecting
 *
 * What happened between two streams is sent by the service again (`Last-Event-ID`), or is told as a `reset`. The first
 * stream is a reset too: what was asked for before it was open may have changed since.
 */
export class PolicyStream {
  private lastEventId: string | undefined;
  private current: ClientRequest | undefined;
  private wake: NodeJS.Timeout | undefined;
  private silence: NodeJS.Timeout | undefined;
  private failures = 0;
  private isOpen = false;
  private isLostTold = false;
  private isClosed = false;

  constructor(
    private readonly address: ServiceAddress,
    private readonly listener: PolicyStreamListener,
    private readonly patience: StreamPatience = PATIENCE,
  ) {}

  /** Whether news comes. */
  get isFollowing(): boolean {
    return this.isOpen;
  }

  /** The id of the last event, while news comes. */
  get lastSeen(): string | undefined {
    return this.isOpen ? this.lastEventId : undefined;
  }

  /** Begins to follow. */
  start(): void {
    if (!this.isClosed && this.current === undefined) this.connect();
  }

  /** Stops for good. */
  close(): void {
    this.isClosed = true;
    clearTimeout(this.wake);
    clearTimeout(this.silence);
    this.current?.destroy();
  }

  private connect(): void {
    const base = new URL(this.address.url);
    const send = base.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send({
      agent: false,
      hostname: base.hostname.replace(/^\[|\]$/g, ''),
      port: base.port,
      path: `${base.pathname.replace(/\/$/, '')}/v1/gateway/events`,
      headers: {
        authorization: `Bearer ${this.address.token}`,
        accept: 'text/event-stream',
        ...(this.lastEventId === undefined ? {} : { 'last-event-id': this.lastEventId }),
      },
    });
    this.current = request;
    // A gateway that has closed its server ends, although this waits for news.
    request.on('socket', (socket) => socket.unref());
    request.on('response', (response) => this.follow(request, response));
    request.on('error', (error: Error & { code?: string }) => {
      this.lost(request, error.code ?? error.message);
    });
    request.end();
    this.expectSound(request);
  }

  private follow(request: ClientRequest, response: IncomingMessage): void {
    const isStream = response.headers['content-type']?.startsWith('text/event-stream') === true;
    if (response.statusCode !== 200 || !isStream) {
      response.resume();
      this.lost(request, `HTTP ${response.statusCode}`);
      return;
    }
    const reader = new ServerSentEventReader(this.lastEventId);
    const isFirst = this.lastEventId === undefined;
    this.opened();
    if (isFirst) this.listener.onChange(null);
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      this.failures = 0;
      this.expectSound(request);
      try {
        for (const event of reader.read(text)) this.hear(event);
      } catch (error) {
        this.lost(request, error instanceof Error ? error.message : String(error));
      }
    });
    response.on('error', (error: Error) => this.lost(request, error.message));
    response.on('end', () => this.lost(request, 'the service ended the stream'));
  }

  private hear({ type, data, id }: ServerSentEvent): void {
    if (id !== undefined) this.lastEventId = id;
    if (type === 'reset') this.listener.onChange(null);
    else if (type === 'change') this.listener.onChange(keyIdOf(data));
  }

  private opened(): void {
    if (this.isOpen) return;
    this.isOpen = true;
    this.isLostTold = false;
    this.listener.onOpen();
  }

  /** Ends this stream, if it is still the current one, and begins the next after a pause. */
  private lost(request: ClientRequest, cause: string): void {
    if (this.current !== request || this.isClosed) return;
    this.current = undefined;
    clearTimeout(this.silence);
    request.destroy();
    this.isOpen = false;
    if (!this.isLostTold) {
      this.isLostTold = true;
      this.listener.onLost(cause);
    }
    this.wake = setTimeout(() => this.connect(), this.pauseMs());
    this.wake.unref();
  }

  /** Doubles with each failure; half of it is random, so that many gateways do not come back at once. */
  private pauseMs(): number {
    const { backoffMsMin, backoffMsMax } = this.patience;
    const ceiling = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(this.failures, 10));
    this.failures += 1;
    return ceiling / 2 + (Math.random() * ceiling) / 2;
  }

  private expectSound(request: ClientRequest): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(
      () => this.lost(request, `silent for ${this.patience.silenceMs} ms`),
      this.patience.silenceMs,
    );
    this.silence.unref();
  }
}

/** Null means all: also for a change that cannot be read, since forgetting too much is safe. */
function keyIdOf(data: string): string | null {
  try {
    const fields: unknown = JSON.parse(data);
    if (typeof fields !== 'object' || fields === null || !('keyId' in fields)) return null;
    return typeof fields.keyId === 'string' ? fields.keyId : null;
  } catch {
    return null;
  }
}
