import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { FORBIDDEN, UNAVAILABLE, rateLimitHeaders, refusalOf, type Refusal } from './answer.js';
import { Breaker } from './breaker.js';
import {
  clientAddressReader,
  headerValues,
  pathOf,
  replaceIdentity,
  type TrustedProxy,
} from './client-request.js';
import { UNMATCHED_PATH, parseDecision, type Decision } from './decision.js';
import { warnings, type EventListener } from './events.js';
import { countBody } from './response-bytes.js';
import { ServiceClient, type ServiceAddress } from './service-client.js';
import type { MeteredProtocol } from './usage.js';
import { UsageReporter } from './usage-reporter.js';

/** How a gateway is connected to Tollgate. */
export interface TollgateOptions extends ServiceAddress {
  readonly apiId: string;
  readonly stage: string;
  /** HTTP APIs are also metered in units of 512 KiB. Default REST. */
  readonly protocol?: MeteredProtocol;
  /** How long a call waits for its decision. Default 200 ms. */
  readonly deadlineMs?: number;
  /** What happens to a call that the service did not decide in time. Default deny. */
  readonly onFailure?: 'allow' | 'deny';
  /** The proxy in front of this process. Default none: the client is who opened the connection. */
  readonly trustProxy?: TrustedProxy;
  /** The api's own template of a request, such as `/pets/{petId}`. Default: the service finds it from the path. */
  readonly resourcePath?: (request: IncomingMessage) => string | undefined;
  /** How often usage is sent. Default 1,000 ms. */
  readonly flushIntervalMs?: number;
  /** A folder of this process's own where unsent usage survives a crash. Default none: it is in memory. */
  readonly spoolDir?: string;
  /** Sends the rest of the usage on SIGTERM and then lets the signal do its work. Default false. */
  readonly flushOnSigterm?: boolean;
  /** How long `close()` waits for open calls and unsent usage. Default 5,000 ms. */
  readonly closeTimeoutMs?: number;
  /** Hears of failures. Default: Node process warnings, each kind at most once in 10 s. */
  readonly onEvent?: EventListener;
}

/** What becomes of one call. */
type Verdict =
  | { readonly passes: true; readonly headers: Readonly<Record<string, string>> }
  | { readonly passes: false; readonly refusal: Refusal };

/** The parts of a Fastify 5 request and reply that the hook touches. */
interface FastifyRequestParts {
  readonly raw: IncomingMessage;
  readonly originalUrl: string;
}
interface FastifyReplyParts {
  readonly raw: ServerResponse;
  code(status: number): unknown;
  headers(values: Record<string, string>): unknown;
  send(body: string): unknown;
}
interface FastifyInstanceParts {
  addHook(
    name: 'onRequest',
    hook: (request: FastifyRequestParts, reply: FastifyReplyParts) => Promise<unknown>,
  ): unknown;
}

/** What the plugin counted since it was created. */
export interface TollgateStats {
  readonly allowed: number;
  readonly refused: number;
  /** Calls that the service did not decide, by what they were answered. */
  readonly unavailableAllowed: number;
  readonly unavailableDenied: number;
  readonly unmetered: number;
}

/** One gateway: asks before each call, answers refusals, meters what passed. */
export interface Tollgate {
  /** Wraps a listener of `http.createServer()`. */
  node(handler: RequestListener): RequestListener;
  /** Middleware for Express 5. Mount it before whatever encodes or answers. */
  express(): (request: IncomingMessage, response: ServerResponse, next: () => void) => void;
  /** Plugin for Fastify 5, for all routes of the instance it is registered on. */
  readonly fastify: (instance: FastifyInstanceParts) => Promise<void>;
  /** The decision under which a request passed; undefined when it passed by `onFailure`. */
  decisionOf(request: IncomingMessage): Decision | undefined;
  /** Counters for the application's own metrics. */
  stats(): TollgateStats;
  /** Sends the usage so far; resolves when it is acknowledged. */
  flush(): Promise<void>;
  /** Waits for open calls, sends the rest, stops. Call it after `server.close()`. */
  close(): Promise<void>;
}

/** Connects a Node server to Tollgate. Throws a `TypeError` that names every wrong option. */
export function createTollgate(options: TollgateOptions): Tollgate {
  checkOptions(options);
  return new Gateway(options);
}

/** What a call is metered as. */
interface MeterAs {
  readonly at: number;
  readonly keyId: string;
  readonly resourcePath: string;
}

/** What came of asking the service. */
type Asked =
  | { readonly outcome: 'decided'; readonly decision: Decision; readonly at: number }
  | { readonly outcome: 'question-refused'; readonly status: number }
  | { readonly outcome: 'undecided'; readonly cause: string };

const KNOWN_KEYS_MAX = 10_000;

class Gateway implements Tollgate {
  private readonly client: ServiceClient;
  private readonly reporter: UsageReporter;
  private readonly breaker = new Breaker();
  private readonly onEvent: EventListener;
  private readonly clientAddress: (request: IncomingMessage) => string;
  private readonly decisions = new WeakMap<IncomingMessage, Decision>();
  /** Keys that passed lately, so that calls allowed by `onFailure` are metered too. */
  private readonly knownKeys = new Map<string, { keyId: string; customerId: string }>();
  private readonly counters = {
    allowed: 0,
    refused: 0,
    unavailableAllowed: 0,
    unavailableDenied: 0,
    unmetered: 0,
  };
  private openCalls = 0;
  private onIdle: (() => void) | undefined;

  constructor(private readonly options: TollgateOptions) {
    this.onEvent = options.onEvent ?? warnings();
    this.clientAddress = clientAddressReader(options.trustProxy);
    this.client = new ServiceClient(options);
    this.reporter = new UsageReporter({
      client: this.client,
      onEvent: this.onEvent,
      intervalMs: options.flushIntervalMs ?? 1_000,
      spoolDir: options.spoolDir,
    });
    if (options.flushOnSigterm === true) process.once('SIGTERM', this.onSigterm);
  }

  node(handler: RequestListener): RequestListener {
    return (request, response) => {
      const pass = (): void => handler(request, response);
      void this.passOrRefuse(request, response, request.url ?? '', pass);
    };
  }

  express(): (request: IncomingMessage, response: ServerResponse, next: () => void) => void {
    return (request: IncomingMessage & { originalUrl?: string }, response, next) => {
      void this.passOrRefuse(request, response, request.originalUrl ?? request.url ?? '', next);
    };
  }

  // fastify-plugin's mark: the hook belongs to the instance it is registered on, not to a child.
  readonly fastify = Object.assign(
    async (instance: FastifyInstanceParts): Promise<void> => {
      instance.addHook('onRequest', async (request, reply) => {
        const verdict = await this.judge(request.raw, reply.raw, request.originalUrl);
        if (verdict.passes) {
          reply.headers(verdict.headers);
          return undefined;
        }
        reply.code(verdict.refusal.status);
        reply.headers(verdict.refusal.headers);
        return reply.send(verdict.refusal.body);
      });
    },
    { [Symbol.for('skip-override')]: true },
  );

  decisionOf(request: IncomingMessage): Decision | undefined {
    return this.decisions.get(request);
  }

  stats(): TollgateStats {
    return { ...this.counters };
  }

  flush(): Promise<void> {
    return this.reporter.flush();
  }

  async close(): Promise<void> {
    process.removeListener('SIGTERM', this.onSigterm);
    const closeBy = Date.now() + (this.options.closeTimeoutMs ?? 5_000);
    await this.idle(closeBy);
    await this.reporter.close(Math.max(1, closeBy - Date.now()));
    this.client.close();
  }

  private readonly onSigterm = (): void => {
    void this.close().then(() => {
      if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM');
    });
  };

  private async passOrRefuse(
    request: IncomingMessage,
    response: ServerResponse,
    target: string,
    pass: () => void,
  ): Promise<void> {
    const verdict = await this.judge(request, response, target);
    if (!verdict.passes) return writeRefusal(response, verdict.refusal);
    setHeaders(response, verdict.headers);
    pass();
  }

  /** Rejects only for a bug here or in the application's `resourcePath`. */
  private async judge(
    request: IncomingMessage,
    response: ServerResponse,
    target: string,
  ): Promise<Verdict> {
    const keys = headerValues(request, 'x-api-key');
    if (keys.length > 1) return this.refuse(FORBIDDEN);
    const apiKey = keys[0];
    const question = JSON.stringify(this.question(request, target, apiKey));
    const asked = await this.ask(question);
    switch (asked.outcome) {
      case 'decided':
        return this.decided(request, response, { ...asked, apiKey });
      case 'question-refused':
        this.onEvent({ type: 'question-refused', status: asked.status });
        return this.refuse(FORBIDDEN);
      case 'undecided':
        return this.undecided(request, response, apiKey, asked.cause);
    }
  }

  /** Asks the service. A 4xx speaks about the question, so it is an answer; all else but a decision is none. */
  private async ask(question: string): Promise<Asked> {
    if (!this.breaker.admits(Date.now())) return { outcome: 'undecided', cause: 'breaker open' };
    try {
      const { deadlineMs = 200 } = this.options;
      const { status, text, at } = await this.client.post('/v1/decisions', question, {
        deadlineMs,
      });
      const isRefused = status >= 400 && status < 500 && status !== 429;
      if (status !== 200 && !isRefused) throw new Error(`HTTP ${status}`);
      const decision = isRefused ? undefined : parseDecision(text);
      this.breaker.succeeded();
      if (decision === undefined) return { outcome: 'question-refused', status };
      return { outcome: 'decided', decision, at };
    } catch (error) {
      this.breaker.failed(Date.now());
      return {
        outcome: 'undecided',
        cause: error instanceof Error ? error.message : String(error),
      };
    }
  }

  private question(
    request: IncomingMessage,
    target: string,
    apiKey: string | undefined,
  ): Record<string, unknown> {
    const { apiId, stage, resourcePath } = this.options;
    const template = resourcePath?.(request);
    return {
      ...(apiKey === undefined ? {} : { apiKey }),
      apiId,
      stage,
      method: request.method,
      ...(template === undefined ? { path: pathOf(target) } : { resourcePath: template }),
      sourceIp: this.clientAddress(request),
    };
  }

  private decided(
    request: IncomingMessage,
    response: ServerResponse,
    { apiKey, decision, at }: { apiKey: string | undefined; decision: Decision; at: number },
  ): Verdict {
    if (!decision.allowed) {
      if (apiKey !== undefined && decision.status === 403) this.knownKeys.delete(apiKey);
      return this.refuse(refusalOf(decision, at));
    }
    this.counters.allowed += 1;
    this.decisions.set(request, decision);
    const { keyId, customerId = '', resourcePath, decisionId } = decision;
    if (apiKey !== undefined && keyId !== undefined) this.remember(apiKey, { keyId, customerId });
    identify(request, { keyId, customerId, decisionId, resourcePath });
    this.meter(request, response, keyId === undefined ? undefined : { at, keyId, resourcePath });
    return { passes: true, headers: rateLimitHeaders(decision, at) };
  }

  private undecided(
    request: IncomingMessage,
    response: ServerResponse,
    apiKey: string | undefined,
    cause: string,
  ): Verdict {
    const answered = this.options.onFailure ?? 'deny';
    this.onEvent({ type: 'service-unavailable', answered, cause });
    if (answered === 'deny') {
      this.counters.unavailableDenied += 1;
      return { passes: false, refusal: UNAVAILABLE };
    }
    this.counters.unavailableAllowed += 1;
    const known = apiKey === undefined ? undefined : this.knownKeys.get(apiKey);
    const resourcePath = this.options.resourcePath?.(request) ?? UNMATCHED_PATH;
    identify(request, { ...known, resourcePath });
    if (known === undefined) {
      this.counters.unmetered += 1;
      this.onEvent({ type: 'call-unmetered', method: request.method ?? '' });
    }
    const at = this.client.clock.now();
    this.meter(request, response, known && { at, keyId: known.keyId, resourcePath });
    return { passes: true, headers: {} };
  }

  private refuse(refusal: Refusal): Verdict {
    this.counters.refused += 1;
    return { passes: false, refusal };
  }

  /** Meters a call that passes, when its response is over. It counts at the instant of its decision, as its quota does. */
  private meter(request: IncomingMessage, response: ServerResponse, as: MeterAs | undefined): void {
    this.openCalls += 1;
    const bytesOut = countBody(response);
    const { apiId, stage, protocol = 'REST' } = this.options;
    const ended = (): void => {
      if (as !== undefined) {
        const { method = 'GET' } = request;
        const status = response.statusCode;
        this.reporter.record({
          ...as,
          apiId,
          stage,
          method,
          status,
          bytesOut: bytesOut(),
          protocol,
        });
      }
      this.openCalls -= 1;
      if (this.openCalls === 0) this.onIdle?.();
    };
    if (response.destroyed) ended();
    else response.once('close', ended);
  }

  private remember(apiKey: string, known: { keyId: string; customerId: string }): void {
    if (this.options.onFailure !== 'allow') return;
    this.knownKeys.delete(apiKey);
    this.knownKeys.set(apiKey, known);
    const oldest = this.knownKeys.keys().next().value;
    if (this.knownKeys.size > KNOWN_KEYS_MAX && oldest !== undefined) this.knownKeys.delete(oldest);
  }

  /** Resolves when no call is open, or at the instant given. */
  private idle(until: number): Promise<void> {
    if (this.openCalls === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, until - Date.now());
      this.onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function identify(
  request: IncomingMessage,
  {
    keyId = '',
    customerId = '',
    decisionId = '',
    resourcePath,
  }: {
    keyId?: string | undefined;
    customerId?: string;
    decisionId?: string;
    resourcePath: string;
  },
): void {
  replaceIdentity(request, {
    'X-Tollgate-Key-Id': keyId,
    'X-Tollgate-Customer-Id': customerId,
    'X-Tollgate-Decision-Id': decisionId,
    'X-Tollgate-Resource-Path': resourcePath,
  });
}

function setHeaders(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

function writeRefusal(response: ServerResponse, { status, headers, body }: Refusal): void {
  response.statusCode = status;
  setHeaders(response, headers);
  response.end(body);
}

function checkOptions(options: TollgateOptions): void {
  const faults: string[] = [];
  if (!URL.canParse(options.url) || !/^https?:/.test(options.url))
    faults.push('url: an http(s) URL');
  for (const name of ['token', 'apiId', 'stage'] as const) {
    if (typeof options[name] !== 'string' || options[name] === '') faults.push(`${name}: a text`);
  }
  for (const name of ['deadlineMs', 'flushIntervalMs', 'closeTimeoutMs'] as const) {
    const value = options[name];
    if (value !== undefined && !(value > 0)) faults.push(`${name}: a number above 0`);
  }
  if (options.onFailure !== undefined && !['allow', 'deny'].includes(options.onFailure)) {
    faults.push('onFailure: "allow" or "deny"');
  }
  if (options.protocol !== undefined && !['REST', 'HTTP'].includes(options.protocol)) {
    faults.push('protocol: "REST" or "HTTP"');
  }
  if (faults.length > 0) throw new TypeError(`createTollgate needs ${faults.join('; ')}`);
}
