import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BLOCK_SHARE, Buckets } from '@core/limits';

type Throttle = { readonly rateLimit: number; readonly burstLimit: number };

/** One key as the stand-in knows it; what is left out is unlimited. */
export interface LeasedKey {
  readonly keyId: string;
  readonly usagePlanId?: string | null;
  readonly enabled?: boolean;
  readonly expiresAt?: string;
  readonly ipPolicy?: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
  readonly throttle?: Throttle;
  readonly quota?: number;
}

interface StageOptions {
  readonly onFailure?: 'deny' | 'allow';
  readonly shadow?: boolean;
  readonly ambiguousPath?: 'refuse' | 'strictest' | 'normalise';
  readonly stageThrottle?: Throttle;
  readonly methods?: readonly {
    readonly httpMethod: string;
    readonly resourcePath: string;
    readonly planThrottle?: Throttle;
    readonly stageThrottle?: Throttle;
  }[];
}

type Fields = Readonly<Record<string, unknown>>;

/** A question that breaks the contract, with the fault. */
class Broken extends Error {}

const HOLDER = /^[A-Za-z0-9_-]{16,64}$/;
const DAY_MS = 86_400_000;
const QUOTA_EXCEEDED = {
  status: 429,
  message: 'Limit Exceeded',
  errorType: 'LimitExceededException',
  reason: 'quota-exceeded',
  level: 'usage-plan',
  retryAfterMs: DAY_MS,
};
const UNLIMITED: Throttle = { rateLimit: 1e9, burstLimit: 1e9 };

/** Of every decision that it makes itself. */
export const DECISION_ID = 'dec_standin';

/**
 * The service's side of docs/leases.md in memory, for what a real service cannot be made to do: to break off, to be
 * silent, to grant oddly, and to tell what it was asked. A question that breaks the contract is answered 400 and kept.
 */
export class StrictLender {
  readonly token = 'tgw_stand-in-token-stand-in-token-0000000';
  readonly apiId = 'petstore01';
  readonly stage = 'prod';
  readonly keys = new Map<string, LeasedKey>();
  options: StageOptions = {};
  /** Questions that broke the contract. */
  readonly broken: string[] = [];
  /** What was answered 500. */
  readonly failed: string[] = [];
  readonly decisions: Fields[] = [];
  readonly questions: Fields[] = [];
  /** Acknowledged batches: `epoch/sequence` → exact body. */
  readonly batches = new Map<string, string>();
  /** By `keyId`: what was granted and not returned, with what decisions took. */
  readonly held = new Map<string, number>();
  fault: 'none' | 'silent' | 'error' | 'drop-answer' = 'none';
  readonly streams = new Set<ServerResponse>();
  private readonly buckets = new Buckets();
  private events = 0;

  private constructor(private readonly server: Server) {}

  static async start(): Promise<StrictLender> {
    const server = createServer({ keepAliveTimeout: 60_000 });
    const service = new StrictLender(server);
    server.on('request', (request, response) => void service.handle(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return service;
  }

  get url(): string {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  /** Tells every stream of a change: of a key, or of everything. */
  announce(keyId?: string): void {
    this.events += 1;
    for (const stream of this.streams) {
      stream.write(`id: ${this.events}\nevent: change\ndata: ${JSON.stringify({ keyId })}\n\n`);
    }
  }

  /** Calls in the records of all acknowledged batches. */
  calls(): number {
    return this.records().reduce((sum, { quantities }) => sum + Number(quantities['calls']), 0);
  }

  /** Calls that the gateway says it allowed, in all acknowledged batches. */
  allowed(): number {
    const told = [...this.batches.values()].flatMap((body) => JSON.parse(body).decisions ?? []);
    return told.reduce((sum: number, { allowed }: { allowed: number }) => sum + allowed, 0);
  }

  records(): (Record<string, string> & { quantities: Record<string, string> })[] {
    return [...this.batches.values()].flatMap((body) => JSON.parse(body).records);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    if (this.fault === 'silent') return;
    response.setHeader('X-Tollgate-Time', new Date().toISOString());
    if (this.fault === 'error') {
      this.failed.push(request.url ?? '');
      return send(response, 500, {});
    }
    if (request.headers.authorization !== `Bearer ${this.token}`) return send(response, 401, {});
    const route = `${request.method} ${request.url}`;
    if (route === 'GET /v1/gateway/events') return this.stream(request, response);
    try {
      const asked: Fields = JSON.parse(body);
      const answer = this.answer(route, asked, body);
      if (this.fault === 'drop-answer') return void response.destroy();
      send(response, answer === undefined ? 404 : 200, answer ?? {});
    } catch (error) {
      this.broken.push(`${route}: ${String(error)}`);
      send(response, 400, {});
    }
  }

  private answer(route: string, asked: Fields, body: string): object | undefined {
    switch (route) {
      case 'POST /v1/decisions':
        this.decisions.push(asked);
        return this.decide(asked);
      case 'POST /v1/leases':
        this.questions.push(asked);
        return this.lease(asked);
      case 'POST /v1/usage/batches':
        return this.commit(asked, body);
      default:
        return undefined;
    }
  }

  private stream(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (request.headers['last-event-id'] === undefined) {
      response.write(`id: ${this.events}\nevent: reset\ndata: {}\n\n`);
    }
    this.streams.add(response);
    response.on('close', () => this.streams.delete(response));
  }

  private decide(asked: Fields): object {
    only(asked, ['apiId', 'stage', 'method', 'path'], ['apiKey', 'sourceIp', 'cost']);
    const key = this.keys.get(String(asked['apiKey']));
    const decided = { decisionId: DECISION_ID, resourcePath: '/{proxy+}' };
    const isClean = !String(asked['path']).includes('//');
    if (key && key.enabled !== false && isClean) {
      const held = this.held.get(key.keyId) ?? 0;
      if (held >= (key.quota ?? Infinity)) return { ...decided, allowed: false, ...QUOTA_EXCEEDED };
      this.held.set(key.keyId, held + 1);
      return { ...decided, allowed: true, keyId: key.keyId, customerId: `cus_${key.keyId}` };
    }
    const refused = { status: 403, message: 'Forbidden', errorType: 'ForbiddenException' };
    const known = isClean ? 'disabled-key' : 'ambiguous-path';
    const reason = key ? known : 'unknown-key';
    return { ...decided, ...refused, allowed: false, reason, level: null, retryAfterMs: null };
  }

  private lease(asked: Fields): object {
    only(asked, ['holder'], ['seen', 'keys', 'stages', 'rates', 'quotas', 'returns']);
    if (!HOLDER.test(String(asked['holder']))) throw new Broken('holder');
    const returns = asked['returns'] === undefined ? {} : fieldsOf(asked['returns']);
    only(returns, [], ['rates', 'quotas']);
    for (const wish of listOf(returns['rates'])) this.takeBackRate(wish);
    for (const wish of listOf(returns['quotas'])) this.takeBackQuota(wish);
    return {
      leaseMs: 1_000,
      keys: listOf(asked['keys']).map((wish) => this.key(wish)),
      stages: listOf(asked['stages'], 100).map((wish) => this.stageOf(wish)),
      rates: listOf(asked['rates']).map((wish) => this.rate(wish)),
      quotas: listOf(asked['quotas']).map((wish) => this.quota(wish)),
    };
  }

  private key(wish: Fields): object | null {
    only(wish, ['apiKey', 'apiId', 'stage'], []);
    const key = this.keys.get(String(wish['apiKey']));
    if (!key) return null;
    const {
      keyId,
      enabled = true,
      expiresAt = null,
      ipPolicy = null,
      usagePlanId = 'plan01',
    } = key;
    return {
      keyId,
      customerId: `cus_${keyId}`,
      enabled,
      expiresAt,
      ipPolicy,
      usagePlanId,
      throttle: key.throttle ?? null,
      quota: key.quota === undefined ? null : { limit: key.quota, ...period() },
      accountThrottle: UNLIMITED,
      clockOffsetMs: 0,
    };
  }

  private stageOf(wish: Fields): object | null {
    only(wish, ['usagePlanId', 'apiId', 'stage'], []);
    if (wish['apiId'] !== this.apiId || wish['stage'] !== this.stage) return null;
    const {
      onFailure = 'deny',
      shadow = false,
      ambiguousPath = 'refuse',
      methods = [],
    } = this.options;
    return {
      plan: { id: wish['usagePlanId'], onFailure, shadow },
      ambiguousPath,
      ipPolicy: null,
      stageThrottle: this.options.stageThrottle ?? null,
      methods: methods.map(({ planThrottle, stageThrottle, ...method }) => ({
        ...method,
        planThrottle: planThrottle ?? null,
        stageThrottle: stageThrottle ?? this.options.stageThrottle ?? null,
        stageBucket: stageThrottle ? `${method.httpMethod} ${method.resourcePath}` : '*',
      })),
    };
  }

  private rate(wish: Fields): object {
    only(wish, ['bucket', 'asked', 'least', 'wanted'], []);
    const [asked, least, wanted] = [
      whole(wish['asked']),
      whole(wish['least']),
      whole(wish['wanted']),
    ];
    if (wanted < asked || least < 1) throw new Broken('rate wish');
    const now = performance.now();
    const id = this.bucketOf(wish['bucket']);
    const left = this.buckets.remaining(id, now);
    const ahead = Math.min(wanted, Math.floor(left / BLOCK_SHARE));
    const granted = left < least ? 0 : Math.min(Math.max(asked, ahead), left);
    if (granted > 0) this.buckets.take(id, granted, now);
    const wait = granted > 0 ? 0 : this.buckets.wait(id, least, now);
    return {
      granted,
      remaining: left - granted,
      retryAfterMs: Number.isFinite(wait) ? wait : null,
      resetMs: null,
    };
  }

  private takeBackRate(wish: Fields): void {
    only(wish, ['bucket', 'units', 'heldMs'], []);
    whole(wish['units']);
    whole(wish['heldMs']);
    this.bucketOf(wish['bucket']);
  }

  /** The bucket's id; its limit is the configured one. */
  private bucketOf(value: unknown): number {
    const bucket = fieldsOf(value);
    const { level, keyId, method } = bucket;
    const stage = { apiId: this.apiId, stage: this.stage };
    const matching = this.options.methods?.find(
      (each) => `${each.httpMethod} ${each.resourcePath}` === method,
    );
    const limitOf = (): Throttle | undefined => {
      switch (level) {
        case 'account':
          only(bucket, ['level'], []);
          return UNLIMITED;
        case 'usage-plan':
          only(bucket, ['level', 'keyId', 'usagePlanId'], []);
          return [...this.keys.values()].find((key) => key.keyId === keyId)?.throttle;
        case 'method':
          only(bucket, ['level', 'keyId', 'usagePlanId', ...Object.keys(stage), 'method'], []);
          return matching?.planThrottle;
        case 'stage-method':
          only(bucket, ['level', ...Object.keys(stage), 'method'], []);
          return method === '*' ? this.options.stageThrottle : matching?.stageThrottle;
        default:
          return undefined;
      }
    };
    const limit = limitOf();
    if (!limit) throw new Broken(`no such bucket: ${JSON.stringify(bucket)}`);
    const name = JSON.stringify(bucket);
    return this.buckets.bucket({ name, home: name, ...limit }, performance.now());
  }

  private quota(wish: Fields): object | null {
    only(wish, ['keyId', 'usagePlanId', 'asked', 'wanted'], ['spent']);
    const key = [...this.keys.values()].find(({ keyId }) => keyId === wish['keyId']);
    if (key?.quota === undefined) return null;
    const held = this.held.get(key.keyId) ?? 0;
    const left = key.quota - held;
    const ahead = Math.min(whole(wish['wanted']), Math.floor(left / BLOCK_SHARE));
    const granted = Math.min(Math.max(whole(wish['asked']), ahead), left);
    this.held.set(key.keyId, held + granted);
    return { granted, remaining: left - granted, limit: key.quota, ...period() };
  }

  private takeBackQuota(wish: Fields): void {
    only(wish, ['keyId', 'usagePlanId', 'periodFrom', 'units'], ['spent']);
    const keyId = String(wish['keyId']);
    const units = whole(wish['units']);
    const held = this.held.get(keyId) ?? 0;
    if (units > held || wish['periodFrom'] !== period().periodFrom) throw new Broken('return');
    this.held.set(keyId, held - units);
  }

  private commit(asked: Fields, body: string): object {
    only(asked, ['epoch', 'sequence', 'records'], ['decisions']);
    const number = `${String(asked['epoch'])}/${String(asked['sequence'])}`;
    const known = this.batches.get(number);
    if (known !== undefined && known !== body) throw new Broken(`other content under ${number}`);
    const decisions = asked['decisions'] === undefined ? [] : listOf(asked['decisions'], 10_000);
    for (const count of decisions) {
      only(count, ['hour', 'keyId', 'apiId', 'stage', 'method', 'resourcePath', 'allowed'], []);
      if (!/^\d{4}-\d\d-\d\dT\d\d:00:00Z$/.test(String(count['hour']))) throw new Broken('hour');
      if (whole(count['allowed']) < 1) throw new Broken('allowed');
    }
    const records = listOf(asked['records'], 10_000);
    if (records.length === 0 && asked['decisions'] === undefined) throw new Broken('empty batch');
    for (const record of records) {
      only(
        record,
        ['at', 'keyId', 'apiId', 'stage', 'method', 'resourcePath', 'statusClass', 'quantities'],
        [],
      );
    }
    this.batches.set(number, body);
    return { records: 1, duplicate: known !== undefined };
  }
}

function send(response: ServerResponse, status: number, answer: object): void {
  const text = JSON.stringify(answer);
  response.writeHead(status, { 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

/** Today, in UTC. */
function period(): { periodFrom: string; periodTo: string } {
  const from = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  return {
    periodFrom: new Date(from).toISOString(),
    periodTo: new Date(from + DAY_MS).toISOString(),
  };
}

function fieldsOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Broken('not an object');
  }
  return value as Fields;
}

function listOf(value: unknown, most = 1_000): Fields[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > most) throw new Broken('not such a list');
  return value.map(fieldsOf);
}

function whole(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
    throw new Broken(`not a whole number: ${String(value)}`);
  }
  return value;
}

function only(fields: Fields, required: readonly string[], optional: readonly string[]): void {
  for (const name of required) if (!(name in fields)) throw new Broken(`${name} is missing`);
  for (const name of Object.keys(fields)) {
    if (!required.includes(name) && !optional.includes(name))
      throw new Broken(`${name} is unknown`);
  }
}
