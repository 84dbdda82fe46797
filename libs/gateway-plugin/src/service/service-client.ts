import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

/** Where the service is, and who is asking. */
export interface ServiceAddress {
  /** The service's base URL, such as `http://127.0.0.1:3000`. */
  readonly url: string;
  /** The gateway's token. It is in no event, error or file. */
  readonly token: string;
}

/** What the service answered. */
export interface ServiceAnswer {
  readonly status: number;
  readonly text: string;
  /** The instant of the answer in milliseconds of business time. */
  readonly at: number;
  /** How long its `Retry-After` asks to wait, in milliseconds; undefined without one that can be read. */
  readonly retryAfterMs?: number | undefined;
}

/** How long an answer is waited for. */
export interface Patience {
  readonly deadlineMs: number;
  /** Gives up at once when it aborts. */
  readonly signal?: AbortSignal;
  /** Whether a question that may have been answered already may be sent again. Default true. */
  readonly mayRepeat?: boolean;
  /** How long the answer may be, in characters. Default 1 MiB. */
  readonly answerCharsMax?: number;
}

/** The service could not be asked or did not answer in time. The message names no secret. */
export class ServiceUnreachable extends Error {
  override readonly name = 'ServiceUnreachable';
}

const ANSWER_CHARS_MAX = 1024 * 1024;
const CLOCK_TOLERANCE_MS = 2_000;

/**
 * The account's business clock as seen from here. Gateways' clocks are wrong and test accounts travel in time, so every
 * answer says the time; an offset below 2 s is the network, and the local clock holds.
 */
export class ServiceClock {
  private currentOffsetMs = 0;

  constructor(private readonly local: () => number = Date.now) {}

  /** What to add to local time, in milliseconds; 0 below 2 s. */
  get offsetMs(): number {
    return this.currentOffsetMs;
  }

  /** Business time now, in milliseconds. */
  now(): number {
    return this.local() + this.currentOffsetMs;
  }

  /** The local clock, for deadlines and breakers. */
  localNow(): number {
    return this.local();
  }

  /** Learns from an answer's `X-Tollgate-Time` and returns the answer's instant. */
  observe(header: string | undefined, askedAt: number): number {
    const answeredAt = this.local();
    const serviceTime = header === undefined ? Number.NaN : Date.parse(header);
    if (!Number.isNaN(serviceTime)) {
      const offset = serviceTime - (askedAt + answeredAt) / 2;
      this.currentOffsetMs = Math.abs(offset) < CLOCK_TOLERANCE_MS ? 0 : Math.round(offset);
    }
    return answeredAt + this.currentOffsetMs;
  }
}

/**
 * Posts JSON to the service over kept-alive connections with a hard deadline.
 *
 * node:http and not fetch: measured on Node 20.20 with one connection 60 µs against 230 µs of CPU per call, with 32
 * calls at once 28 µs against 200 µs.
 */
export class ServiceClient {
  private readonly base: URL;
  private readonly agent: HttpAgent | HttpsAgent;

  constructor(
    private readonly address: ServiceAddress,
    readonly clock: ServiceClock = new ServiceClock(),
  ) {
    this.base = new URL(address.url);
    const options = { keepAlive: true, maxSockets: 256, maxFreeSockets: 64 };
    this.agent = this.base.protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options);
  }

  /**
   * Posts and returns whatever status came. Throws `ServiceUnreachable` when none came before the deadline. A kept
   * connection that the service closed in the same moment is tried once more.
   */
  async post(path: string, body: string, patience: Patience): Promise<ServiceAnswer> {
    const askedAt = this.clock.localNow();
    try {
      return await this.postOnce(path, body, patience);
    } catch (error) {
      const leftMs = patience.deadlineMs - (this.clock.localNow() - askedAt);
      const mayRepeat = patience.mayRepeat !== false && error instanceof StaleConnection;
      if (!mayRepeat || leftMs < 1) throw error;
      return await this.postOnce(path, body, { ...patience, deadlineMs: leftMs });
    }
  }

  /** Closes the kept connections. */
  close(): void {
    this.agent.destroy();
  }

  private postOnce(
    path: string,
    body: string,
    { deadlineMs, signal, answerCharsMax = ANSWER_CHARS_MAX }: Patience,
  ): Promise<ServiceAnswer> {
    const askedAt = this.clock.localNow();
    return new Promise((resolve, reject) => {
      const send = this.base.protocol === 'https:' ? httpsRequest : httpRequest;
      const request = send(
        {
          agent: this.agent,
          hostname: this.base.hostname.replace(/^\[|\]$/g, ''),
          port: this.base.port,
          path: this.base.pathname.replace(/\/$/, '') + path,
          method: 'POST',
          headers: {
            authorization: `Bearer ${this.address.token}`,
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
          },
        },
        (response) => {
          readText(response, answerCharsMax).then((text) => {
            settle();
            const at = this.clock.observe(one(response.headers['x-tollgate-time']), askedAt);
            const retryAfterMs = retryAfter(
              one(response.headers['retry-after']),
              this.clock.localNow(),
            );
            resolve({ status: response.statusCode ?? 0, text, at, retryAfterMs });
          }, fail);
        },
      );
      const settle = (): void => {
        clearTimeout(deadline);
        signal?.removeEventListener('abort', stop);
      };
      const fail = (cause: Error): void => {
        settle();
        reject(
          cause instanceof ServiceUnreachable ? cause : unreachable(cause, request.reusedSocket),
        );
      };
      const giveUp = (reason: string): void => {
        fail(new ServiceUnreachable(reason));
        request.destroy();
      };
      const stop = (): void => giveUp('stopped');
      const deadline = setTimeout(
        () => giveUp(`no answer within ${Math.ceil(deadlineMs)} ms`),
        deadlineMs,
      );
      signal?.addEventListener('abort', stop, { once: true });
      request.on('error', fail);
      request.end(body);
    });
  }
}

/** A kept connection died under the request before anything was answered. */
export class StaleConnection extends ServiceUnreachable {}

function unreachable(cause: Error & { code?: string }, wasReused: boolean): ServiceUnreachable {
  const reason = cause.code ?? cause.message;
  const isStale = wasReused && (cause.code === 'ECONNRESET' || cause.code === 'EPIPE');
  return new (isStale ? StaleConnection : ServiceUnreachable)(reason, { cause });
}

/** What a `Retry-After` of seconds or of a date (RFC 9110, 10.2.3) asks for, in milliseconds from `now`. */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000;
  const instant = Date.parse(header);
  return Number.isNaN(instant) ? undefined : Math.max(0, instant - now);
}

function one(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0];
}

function readText(response: IncomingMessage, charsMax: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > charsMax) {
        response.destroy(new ServiceUnreachable('the answer is too long'));
      }
    });
    response.on('end', () => resolve(text));
    response.on('error', reject);
  });
}
