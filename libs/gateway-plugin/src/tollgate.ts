import { randomBytes } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { clientAddressReader, headerValues, pathOf } from './adapters/client-request.js';
import {
  expressAdapter,
  fastifyAdapter,
  guardCall,
  nodeAdapter,
  type FastifyInstanceParts,
  type Verdict,
} from './adapters/http-guard.js';
import type { Traffic } from './adapters/connection-meter.js';
import { CONNECT_ROUTE } from './adapters/route-key.js';
import { identify } from './adapters/identity.js';
import {
  UpgradeWatch,
  WebSocketGuard,
  type WebSocketOptions,
  type WebSocketServerParts,
} from './adapters/websocket.js';
import { refusalOf } from './deciding/answer.js';
import type { Call } from './deciding/call.js';
import { Decider } from './deciding/decider.js';
import type { Decision, Judgement } from './deciding/decision.js';
import { LocalDecision } from './deciding/local-decision.js';
import { undecided } from './deciding/undecided.js';
import { warnings, type EventListener } from './events.js';
import { Holdings } from './leases/holdings.js';
import { checkOptions, type TollgateOptions } from './options.js';
import { ServiceClient } from './service/service-client.js';
import { ServiceHealth } from './service/service-health.js';
import { countBody } from './usage/response-bytes.js';
import { UsageReporter } from './usage/usage-reporter.js';

/** What the plugin counted since it was created, and how it stands. */
export interface TollgateStats {
  readonly allowed: number;
  readonly refused: number;
  /** Calls whose plan was not known while the service was away, by what they were answered. */
  readonly unavailableAllowed: number;
  readonly unavailableDenied: number;
  readonly unmetered: number;
  /** Questions for policies and blocks, each for many calls. */
  readonly leaseQuestions: number;
  /** Keys whose policy is here. */
  readonly knownKeys: number;
  /** WebSockets that are open. */
  readonly connections: number;
  /** Whether news of changed policies comes. */
  readonly hasNews: boolean;
  /** Whether the service answers. */
  readonly isServiceAway: boolean;
}

/** One gateway: decides on each call, answers refusals, meters what passed. */
export interface Tollgate {
  /** Wraps a listener of `http.createServer()`. */
  node(handler: RequestListener): RequestListener;
  /** Middleware for Express 5. Mount it before whatever encodes or answers. */
  express(): (request: IncomingMessage, response: ServerResponse, next: () => void) => void;
  /** Plugin for Fastify 5, for all routes of the instance it is registered on. */
  readonly fastify: (instance: FastifyInstanceParts) => Promise<void>;
  /**
   * Judges a call for a framework that no adapter is made for: answers it when it may not pass, and says whether it may.
   */
  guard(request: IncomingMessage, response: ServerResponse): boolean | Promise<boolean>;
  /**
   * The listener for a server's `upgrade`, with a `WebSocketServer` of the package `ws` made with `noServer: true`. A
   * connection is the route `$connect`, each message the route that it names.
   */
  upgrade(
    server: WebSocketServerParts,
    options?: WebSocketOptions,
  ): (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /**
   * Decides on a call that no adapter saw, and consumes what it costs; at once when its policy and allowance are at
   * hand. Nothing is metered by it.
   */
  decide(call: Call): Decision | Promise<Decision>;
  /** The decision under which a request passed; undefined when it passed without one. */
  decisionOf(request: IncomingMessage): Decision | undefined;
  /** Counters for the application's own metrics. */
  stats(): TollgateStats;
  /** Sends the usage so far; resolves when it is acknowledged. */
  flush(): Promise<void>;
  /** Waits for open calls, sends the rest, gives unspent allowance back, stops. Call it after `server.close()`. */
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
  /** To be kept with the record. */
  readonly decisionId?: string | undefined;
}

/** A request that carries decisions, by the mark of each gateway. */
type Judged = IncomingMessage & Record<symbol, Decision | undefined>;

const KNOWN_KEYS_MAX = 10_000;
const RECHECK_MS = 5_000;
/** Route keys are methods of the api's root. */
const ROUTES_PATH = '/';

class Gateway implements Tollgate {
  private readonly client: ServiceClient;
  private readonly reporter: UsageReporter;
  private readonly health: ServiceHealth;
  private readonly holdings: Holdings;
  private readonly decider: Decider;
  private readonly webSockets: WebSocketGuard;
  private readonly upgrades = new UpgradeWatch();
  private readonly rechecks: NodeJS.Timeout;
  private readonly onEvent: EventListener;
  private readonly clientAddress: (request: IncomingMessage) => string;
  /** Under which a request carries its decision; a WeakMap costs more than the decision. */
  private readonly mark = Symbol('decision');
  /** Keys that passed lately, so that calls allowed by `onFailure` are metered too. */
  private readonly passedKeys = new Map<
    string,
    { keyId: string; customerId: string | undefined }
  >();
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
    const { apiId, stage, deadlineMs = 200, onFailure = 'deny' } = options;
    this.onEvent = options.onEvent ?? warnings();
    this.clientAddress = clientAddressReader(options.trustProxy);
    this.client = new ServiceClient(options);
    this.reporter = new UsageReporter({
      client: this.client,
      onEvent: this.onEvent,
      place: { apiId, stage },
      intervalMs: options.flushIntervalMs ?? 1_000,
      spoolDir: options.spoolDir,
    });
    this.health = new ServiceHealth(this.onEvent);
    this.holdings = new Holdings({
      address: options,
      client: this.client,
      health: this.health,
      holder: this.reporter.epoch,
      apiId,
      stage,
      onEvent: this.onEvent,
    });
    this.decider = new Decider({
      client: this.client,
      health: this.health,
      holdings: this.holdings,
      apiId,
      stage,
      deadlineMs,
      onFailure,
      idPrefix: `dec_${randomBytes(9).toString('base64url').replace(/[-_]/g, '0')}`,
      onQuestionRefused: (status) => this.onEvent({ type: 'question-refused', status }),
    });
    this.webSockets = new WebSocketGuard({
      speakerOf: (request, { apiKey }) => {
        const keys = apiKey === undefined ? headerValues(request, 'x-api-key') : [apiKey(request)];
        const sourceIp = this.clientAddress(request);
        return keys.length > 1 ? null : { apiKey: keys[0], sourceIp };
      },
      decide: (speaker, method, otherwise) =>
        this.decider.decide({ ...speaker, method, resourcePath: ROUTES_PATH, otherwise }),
      accept: (request, { apiKey }, decision) => {
        this.note(request, decision);
        identify(request, decision);
        const { keyId, customerId } = decision;
        if (keyId !== undefined) this.remember(apiKey, { keyId, customerId });
      },
      ledgerOf: ({ apiKey }) => ({
        now: () => this.client.clock.now(),
        add: (traffic) => this.meterTraffic(apiKey, traffic),
        opened: (id, at, keyId = this.passedKeys.get(apiKey ?? '')?.keyId) =>
          keyId !== undefined && this.reporter.connections.add({ id, at, keyId, apiId, stage }),
        closed: (id, at) => this.reporter.connections.close(id, at),
        lost: () => this.passedUnmetered(CONNECT_ROUTE),
      }),
      notSent: (bytes) => this.onEvent({ type: 'message-not-sent', bytes }),
      mayStay: async ({ apiKey, sourceIp }) =>
        apiKey !== undefined && (await this.decider.mayUse(apiKey, sourceIp)),
    });
    this.holdings.onChange((keyId) => void this.webSockets.recheck(keyId));
    // Keys expire without news, and news may be missing.
    this.rechecks = setInterval(() => void this.webSockets.recheck(null), RECHECK_MS);
    this.rechecks.unref();
    if (options.flushOnSigterm === true) process.once('SIGTERM', this.onSigterm);
  }

  private readonly judge = (
    request: IncomingMessage,
    response: ServerResponse,
    target: string,
  ): Verdict | Promise<Verdict> => {
    if (this.upgrades.finds(request)) this.onEvent({ type: 'upgrade-unguarded' });
    const keys = headerValues(request, 'x-api-key');
    const apiKey = keys[0];
    // Two keys can be judged in two ways.
    const decision =
      keys.length > 1
        ? undecided('question-refused', { allowed: false, at: 0, resourcePath: '' })
        : this.decider.decide(this.callOf(request, target, apiKey));
    return decision instanceof Promise
      ? decision.then((made) => this.verdict(request, response, { decision: made, apiKey }))
      : this.verdict(request, response, { decision, apiKey });
  };

  readonly fastify = fastifyAdapter(this.judge);

  node(handler: RequestListener): RequestListener {
    return nodeAdapter(this.judge, handler);
  }

  express(): ReturnType<Tollgate['express']> {
    return expressAdapter(this.judge);
  }

  guard(
    request: IncomingMessage & { originalUrl?: string },
    response: ServerResponse,
  ): boolean | Promise<boolean> {
    const target = request.originalUrl ?? request.url ?? '';
    return guardCall(this.judge, { request, response, target });
  }

  upgrade(
    server: WebSocketServerParts,
    options?: WebSocketOptions,
  ): ReturnType<Tollgate['upgrade']> {
    return this.webSockets.upgrade(server, options);
  }

  decide(call: Call): Decision | Promise<Decision> {
    return this.decider.decide(call);
  }

  decisionOf(request: IncomingMessage): Decision | undefined {
    return (request as Judged)[this.mark];
  }

  stats(): TollgateStats {
    return {
      ...this.counters,
      leaseQuestions: this.holdings.leases.asked,
      knownKeys: this.holdings.keys.size,
      connections: this.webSockets.size,
      hasNews: this.holdings.hasNews,
      isServiceAway: this.health.isAway,
    };
  }

  flush(): Promise<void> {
    return this.reporter.flush();
  }

  async close(): Promise<void> {
    process.removeListener('SIGTERM', this.onSigterm);
    const closeBy = Date.now() + (this.options.closeTimeoutMs ?? 5_000);
    clearInterval(this.rechecks);
    this.webSockets.close();
    await this.idle(closeBy);
    const leftMs = () => Math.max(1, closeBy - Date.now());
    await Promise.all([atMost(this.holdings.close(), leftMs()), this.reporter.close(leftMs())]);
    this.client.close();
  }

  private readonly onSigterm = (): void => {
    void this.close().then(() => {
      if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM');
    });
  };

  private callOf(request: IncomingMessage, target: string, apiKey: string | undefined): Call {
    const { method = 'GET' } = request;
    const sourceIp = this.clientAddress(request);
    const resourcePath = this.options.resourcePath?.(request);
    return resourcePath === undefined
      ? { apiKey, method, path: pathOf(target), sourceIp }
      : { apiKey, method, resourcePath, sourceIp };
  }

  private verdict(
    request: IncomingMessage,
    response: ServerResponse,
    { decision, apiKey }: { decision: Judgement; apiKey: string | undefined },
  ): Verdict {
    const isUndecided =
      decision.status === 503 || (decision.allowed && decision.keyId === undefined);
    if (!decision.allowed) {
      this.counters[isUndecided ? 'unavailableDenied' : 'refused'] += 1;
      return { passes: false, refusal: refusalOf(decision) };
    }
    if (isUndecided) return this.passUndecided(request, response, { decision, apiKey });
    this.counters.allowed += 1;
    this.note(request, decision);
    const { keyId, customerId, resourcePath, at } = decision;
    identify(request, decision);
    if (keyId !== undefined) this.remember(apiKey, { keyId, customerId });
    this.count(decision, request.method);
    const decisionId = this.options.decisionIds === true ? decision.decisionId : undefined;
    const as = keyId === undefined ? undefined : { at, keyId, resourcePath, decisionId };
    this.meter(request, response, as);
    return { passes: true, headers: decision.headers() };
  }

  /** Counts an allowed call that was decided on here; the service counts its own. */
  private count(decision: Judgement, method = 'GET'): void {
    const { keyId, at, resourcePath } = decision;
    if (decision instanceof LocalDecision && keyId !== undefined)
      this.reporter.decisions.add({ at, keyId, method, resourcePath });
  }

  private note(request: IncomingMessage, decision: Decision): void {
    (request as Judged)[this.mark] = decision;
  }

  /** Nobody could say whose key it is: by `onFailure` it passes all the same. */
  private passUndecided(
    request: IncomingMessage,
    response: ServerResponse,
    { decision, apiKey }: { decision: Judgement; apiKey: string | undefined },
  ): Verdict {
    this.counters.unavailableAllowed += 1;
    const passed = apiKey === undefined ? undefined : this.passedKeys.get(apiKey);
    const { at, resourcePath } = decision;
    identify(request, { ...decision, ...passed });
    if (passed === undefined) {
      this.counters.unmetered += 1;
      this.onEvent({ type: 'call-unmetered', method: request.method ?? '' });
    }
    this.meter(request, response, passed && { at, keyId: passed.keyId, resourcePath });
    return { passes: true, headers: {} };
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
        // Named one by one: in a loop, spreading `as` ahead of other fields takes microseconds.
        this.reporter.record({
          at: as.at,
          keyId: as.keyId,
          apiId,
          stage,
          method,
          resourcePath: as.resourcePath,
          status,
          bytesOut: bytesOut(),
          protocol,
          decisionId: as.decisionId,
        });
      }
      this.openCalls -= 1;
      if (this.openCalls === 0) this.onIdle?.();
    };
    if (response.destroyed) ended();
    else response.once('close', ended);
  }

  private meterTraffic(apiKey: string | undefined, traffic: Traffic): void {
    const { routeKey: method, keyId = this.passedKeys.get(apiKey ?? '')?.keyId } = traffic;
    if (keyId === undefined) return this.passedUnmetered(method);
    const { apiId, stage } = this.options;
    this.reporter.record({
      at: traffic.at,
      keyId,
      apiId,
      stage,
      method,
      resourcePath: ROUTES_PATH,
      status: traffic.status,
      protocol: 'WEBSOCKET',
      messages: traffic.messages,
    });
  }

  private passedUnmetered(method: string): void {
    this.counters.unmetered += 1;
    this.onEvent({ type: 'call-unmetered', method });
  }

  private remember(
    apiKey: string | undefined,
    known: { keyId: string; customerId: string | undefined },
  ): void {
    if (this.options.onFailure !== 'allow' || apiKey === undefined) return;
    this.passedKeys.delete(apiKey);
    this.passedKeys.set(apiKey, known);
    const oldest = this.passedKeys.keys().next().value;
    if (this.passedKeys.size > KNOWN_KEYS_MAX && oldest !== undefined) {
      this.passedKeys.delete(oldest);
    }
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

/** Resolves when the work is done, or after that time. */
async function atMost(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work, late]);
  clearTimeout(timer);
}
