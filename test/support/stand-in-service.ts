import { timingSafeEqual, createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { StandInLeases } from './stand-in-leases.js';

/** A plan as the stand-in enforces it. */
export interface StandInPlan {
  readonly rateLimit: number;
  readonly burstLimit: number;
  readonly quotaLimit?: number;
}

/** A key that the stand-in knows. */
export interface StandInKey {
  readonly keyId: string;
  readonly customerId: string;
  readonly plan: StandInPlan;
  readonly isEnabled?: boolean;
}

/** What the stand-in was started with. */
export interface StandInOptions {
  readonly token?: string;
  readonly apiId?: string;
  readonly stage?: string;
  readonly keys?: Readonly<Record<string, StandInKey>>;
  readonly templates?: readonly string[];
  /** Without them the service is one that knows no leases and no events. */
  readonly leases?: StandInLeases;
}

/** How the stand-in misbehaves: `drop-answer` commits and then cuts the connection. */
export type Fault = 'none' | 'hang' | 'error' | 'refuse' | 'drop-answer';

/** One decision that was asked for, as the service understood it. */
export interface AskedDecision {
  readonly apiKey: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly sourceIp: string | undefined;
  readonly isAllowed: boolean;
}

interface Refused {
  readonly reason: string;
  readonly status: number;
  readonly message: string;
  readonly errorType: string;
  readonly retryAfterMs?: number;
}

interface Verdict {
  readonly decisionId: string;
  readonly key: StandInKey | undefined;
  readonly resourcePath: string;
  readonly refused: Refused | undefined;
  readonly remaining: number;
}

const FORBIDDEN = { status: 403, message: 'Forbidden', errorType: 'ForbiddenException' };
const RECORD_FIELDS = [
  'at',
  'keyId',
  'apiId',
  'stage',
  'method',
  'resourcePath',
  'statusClass',
  'quantities',
];

const DECISION_FIELDS = ['hour', 'keyId', 'apiId', 'stage', 'method', 'resourcePath', 'allowed'];

const METERS = ['calls', 'bytes-out', 'http-units', 'messages', 'connection-minutes'];

const BODY_BYTES_MAX = 8 * 1024 * 1024;
const FAULTS_MAX = 20;

/**
 * The service's gateway-facing contract (decisions, forward-auth, batches) in memory, so that a plugin can be tested
 * without databases. It refuses what the service refuses: unknown fields, wrong tokens, other content under a number.
 */
export class StandInService {
  readonly asked: AskedDecision[] = [];
  /** The raw headers of every forward-auth call. */
  readonly forwarded: string[][] = [];
  /** Committed batches: `epoch/sequence` → exact body. */
  readonly batches = new Map<string, string>();
  readonly answers: { status: number; route: string }[] = [];
  fault: Fault = 'none';
  /** Keys whose records are quarantined; the answer names at most 20 of them. */
  readonly unknownKeys = new Set<string>();
  /** With it batches are answered 503 and `Retry-After`, and nothing is kept. */
  retryAfterSeconds: number | undefined;
  /** Hears of each batch that arrives, before it is looked at. */
  onBatch: (body: string) => void = () => undefined;
  /** Shifts the account's business clock. */
  clockOffsetMs = 0;
  readonly token: string;
  private readonly buckets = new Map<string, { tokens: number; at: number; used: number }>();
  private decisions = 0;

  private constructor(
    private readonly options: StandInOptions,
    private readonly server: Server,
  ) {
    this.token = options.token ?? 'tgg_stand-in-token';
  }

  static async start(options: StandInOptions = {}, port = 0): Promise<StandInService> {
    const server = createServer({ keepAliveTimeout: 60_000 });
    const service = new StandInService(options, server);
    server.on('request', (request, response) => void service.handle(request, response));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return service;
  }

  get port(): number {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  /** Sums of a meter over all committed batches, by a label made from each record. */
  committed(
    meter: string,
    label: (record: Record<string, string>) => string = () => 'all',
  ): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const record of this.records()) {
      const name = label(record);
      sums[name] = (sums[name] ?? 0) + Number(record.quantities[meter] ?? 0);
    }
    return sums;
  }

  records(): (Record<string, string> & { quantities: Record<string, string> })[] {
    return [...this.batches.values()].flatMap((body) => JSON.parse(body).records);
  }

  /** The lives that were told of connections: when each was opened, and its last heartbeat or its close. */
  lives(): { keyId: string; from: number; to: number; isClosed: boolean }[] {
    const lives = new Map<string, { keyId: string; from: number; to: number; isClosed: boolean }>();
    for (const body of this.batches.values()) {
      const { epoch, connections } = JSON.parse(body);
      for (const { id, at, keyId } of connections?.opened ?? []) {
        const from = Date.parse(at);
        lives.set(`${epoch}/${id}`, { keyId, from, to: from, isClosed: false });
      }
      for (const life of lives.values())
        if (connections && !life.isClosed) life.to = Math.max(life.to, Date.parse(connections.at));
      for (const { id, at } of connections?.closed ?? []) {
        const life = lives.get(`${epoch}/${id}`);
        if (life === undefined || life.isClosed) throw new Error(`${id} was not open`);
        Object.assign(life, { to: Date.parse(at), isClosed: true });
      }
    }
    return [...lives.values()];
  }

  /** Sequences that are missing below the highest of their epoch. */
  gaps(): string[] {
    const highest = new Map<string, number>();
    for (const key of this.batches.keys()) {
      const [epoch = '', sequence = ''] = key.split('/');
      highest.set(epoch, Math.max(highest.get(epoch) ?? 0, Number(sequence)));
    }
    return [...highest].flatMap(([epoch, last]) =>
      Array.from({ length: last }, (_, sequence) => `${epoch}/${sequence}`).filter(
        (key) => !this.batches.has(key),
      ),
    );
  }

  private now(): number {
    return Date.now() + this.clockOffsetMs;
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    const { fault } = this;
    if (fault === 'hang') return;
    response.setHeader('X-Tollgate-Time', new Date(this.now()).toISOString());
    if (fault === 'error') return this.answer(response, 500, { title: 'broken' });
    const url = request.url ?? '';
    if (url.startsWith('/v1/forward-auth/')) return this.forwardAuth(request, response);
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined || !this.isToken(token)) {
      return this.answer(response, 401, { title: 'Unauthorized' });
    }
    const { leases } = this.options;
    if (leases !== undefined && url === '/v1/gateway/events') {
      leases.follow(request, response);
      return undefined;
    }
    if (request.method !== 'POST') return this.answer(response, 405, {});
    if (leases !== undefined && url === '/v1/leases') {
      return this.answer(response, 200, await leases.answer(body));
    }
    let fields: unknown;
    try {
      fields = JSON.parse(body);
    } catch {
      return this.answer(response, 400, { title: 'not JSON' });
    }
    if (url === '/v1/decisions') return this.decide(response, fields);
    if (url === '/v1/usage/batches') return this.commit(request, response, fields, body);
    return this.answer(response, 404, {});
  }

  private decide(response: ServerResponse, fields: unknown): void {
    const fault = faultOf(fields, {
      required: ['apiId', 'stage', 'method'],
      optional: ['apiKey', 'path', 'resourcePath', 'sourceIp', 'cost', 'dryRun'],
    });
    if (fault !== undefined || this.fault === 'refuse' || !isObject(fields)) {
      return this.answer(response, 400, { title: 'invalid', errors: [fault] });
    }
    const { apiId, stage } = fields;
    if (apiId !== this.apiId || stage !== this.stage) return this.answer(response, 404, {});
    const verdict = this.judge({
      apiKey: text(fields['apiKey']),
      method: String(fields['method']),
      path: text(fields['path'] ?? fields['resourcePath']) ?? '',
      sourceIp: text(fields['sourceIp']),
    });
    const { key, refused } = verdict;
    this.answer(response, 200, {
      allowed: refused === undefined,
      decisionId: verdict.decisionId,
      resourcePath: verdict.resourcePath,
      ...refused,
      ...(key && {
        keyId: key.keyId,
        customerId: key.customerId,
        usagePlanId: 'plan01',
        rate: {
          limit: key.plan.rateLimit,
          remaining: verdict.remaining,
          resetsAt: new Date(this.now() + 1_000).toISOString(),
        },
      }),
    });
  }

  private forwardAuth(request: IncomingMessage, response: ServerResponse): void {
    this.forwarded.push(request.rawHeaders);
    const [, apiId, stage, gateway] =
      /^\/v1\/forward-auth\/([^/]+)\/([^/]+)\/([^/?]+)/.exec(request.url ?? '') ?? [];
    const count = (name: string): number =>
      request.rawHeaders.filter((header, index) => index % 2 === 0 && header.toLowerCase() === name)
        .length;
    const one = (name: string): string | undefined => text(request.headers[name]);
    const isMalformed =
      gateway !== 'nginx' ||
      !this.isToken(one('x-tollgate-token') ?? '') ||
      ['x-api-key', 'x-tollgate-token', 'x-original-uri'].some((name) => count(name) > 1) ||
      request.rawHeaders.length > 400 ||
      apiId !== this.apiId ||
      stage !== this.stage;
    const verdict = isMalformed
      ? this.refuse(undefined, '/{proxy+}', { ...FORBIDDEN, reason: 'unknown-key' })
      : this.judge({
          apiKey: one('x-api-key'),
          method: one('x-original-method') ?? '',
          path: one('x-original-uri') ?? '',
          sourceIp: one('x-real-ip'),
        });
    const { refused, key } = verdict;
    response.setHeader('X-Tollgate-Decision-Id', verdict.decisionId);
    response.setHeader('X-Tollgate-Key-Id', key?.keyId ?? '');
    response.setHeader('X-Tollgate-Customer-Id', key?.customerId ?? '');
    response.setHeader('X-Tollgate-Resource-Path', verdict.resourcePath);
    if (key !== undefined) {
      response.setHeader('RateLimit-Policy', `"rate";q=${key.plan.burstLimit};w=1`);
      response.setHeader('RateLimit', `"rate";r=${verdict.remaining};t=1`);
    }
    if (refused === undefined) return this.answer(response, 200, {});
    response.setHeader('X-Decision-Status', String(refused.status));
    response.setHeader('x-amzn-ErrorType', refused.errorType);
    if (refused.retryAfterMs !== undefined) {
      response.setHeader('Retry-After', String(Math.ceil(refused.retryAfterMs / 1_000)));
    }
    this.answer(response, 403, { message: refused.message });
  }

  private judge(asked: {
    apiKey: string | undefined;
    method: string;
    path: string;
    sourceIp: string | undefined;
  }): Verdict {
    const verdict = this.judgeKey(asked);
    this.asked.push({ ...asked, isAllowed: verdict.refused === undefined });
    return verdict;
  }

  private judgeKey({ apiKey, path }: { apiKey: string | undefined; path: string }): Verdict {
    const pathname = path.replace(/[?#].*$/s, '');
    const resourcePath = this.templateOf(pathname);
    const key = apiKey === undefined ? undefined : this.options.keys?.[apiKey];
    if (key === undefined) {
      const reason = apiKey === undefined ? 'missing-key' : 'unknown-key';
      return this.refuse(undefined, resourcePath, { ...FORBIDDEN, reason });
    }
    if (key.isEnabled === false || isAmbiguous(pathname)) {
      return this.refuse(key, resourcePath, { ...FORBIDDEN, reason: 'disabled-key' });
    }
    return this.spend(key, resourcePath);
  }

  private spend(key: StandInKey, resourcePath: string): Verdict {
    const { rateLimit, burstLimit, quotaLimit } = key.plan;
    const now = Date.now();
    const bucket = this.buckets.get(key.keyId) ?? { tokens: burstLimit, at: now, used: 0 };
    bucket.tokens = Math.min(burstLimit, bucket.tokens + ((now - bucket.at) / 1_000) * rateLimit);
    bucket.at = now;
    this.buckets.set(key.keyId, bucket);
    if (bucket.tokens < 1) {
      return this.refuse(key, resourcePath, {
        reason: 'throttled',
        status: 429,
        message: 'Too Many Requests',
        errorType: 'TooManyRequestsException',
        retryAfterMs: ((1 - bucket.tokens) / rateLimit) * 1_000,
      });
    }
    if (quotaLimit !== undefined && bucket.used >= quotaLimit) {
      return this.refuse(key, resourcePath, {
        reason: 'quota-exceeded',
        status: 429,
        message: 'Limit Exceeded',
        errorType: 'LimitExceededException',
        retryAfterMs: 3_600_000,
      });
    }
    bucket.tokens -= 1;
    bucket.used += 1;
    const remaining = Math.floor(bucket.tokens);
    return { decisionId: this.decisionId(), key, resourcePath, refused: undefined, remaining };
  }

  private refuse(key: StandInKey | undefined, resourcePath: string, refused: Refused): Verdict {
    return { decisionId: this.decisionId(), key, resourcePath, refused, remaining: 0 };
  }

  private decisionId(): string {
    this.decisions += 1;
    return `dec_${String(this.decisions).padStart(20, '0')}`;
  }

  private templateOf(pathname: string): string {
    const templates = this.options.templates ?? ['/pets', '/pets/{petId}', '/big'];
    const match = templates.find((template) =>
      new RegExp(`^${template.replaceAll(/\{[^}]+\}/g, '[^/]+')}$`).test(pathname),
    );
    return match ?? '/{proxy+}';
  }

  private commit(
    request: IncomingMessage,
    response: ServerResponse,
    fields: unknown,
    body: string,
  ): void {
    this.onBatch(body);
    if (this.retryAfterSeconds !== undefined) {
      response.setHeader('Retry-After', String(this.retryAfterSeconds));
      return this.answer(response, 503, { title: 'busy' });
    }
    if (Buffer.byteLength(body) > BODY_BYTES_MAX) return this.answer(response, 413, {});
    const fault = batchFault(fields);
    if (fault !== undefined || this.fault === 'refuse' || !isObject(fields)) {
      return this.answer(response, 400, { title: 'invalid', errors: [fault] });
    }
    const number = `${String(fields['epoch'])}/${String(fields['sequence'])}`;
    const before = this.batches.get(number);
    if (before !== undefined && before !== body) return this.answer(response, 409, {});
    this.batches.set(number, body);
    if (this.fault === 'drop-answer') {
      request.socket.destroy();
      return;
    }
    const records = Array.isArray(fields['records']) ? fields['records'].length : 0;
    const duplicate = before !== undefined;
    const errors = this.unknownKeysIn(fields['records']);
    this.answer(response, duplicate ? 200 : 201, {
      records,
      duplicate,
      ...(errors.length > 0
        ? { quarantined: errors.length, errors: errors.slice(0, FAULTS_MAX) }
        : {}),
    });
  }

  private unknownKeysIn(records: unknown): { pointer: string; detail: string }[] {
    if (this.unknownKeys.size === 0 || !Array.isArray(records)) return [];
    return records.flatMap((record: { keyId: string }, index) =>
      this.unknownKeys.has(record.keyId)
        ? [{ pointer: `/records/${index}/keyId`, detail: 'is not an API key of this account' }]
        : [],
    );
  }

  private get apiId(): string {
    return this.options.apiId ?? 'petstore01';
  }

  private get stage(): string {
    return this.options.stage ?? 'prod';
  }

  private isToken(value: string): boolean {
    const digest = (secret: string): Buffer => createHash('sha256').update(secret).digest();
    return timingSafeEqual(digest(value), digest(this.token));
  }

  private answer(response: ServerResponse, status: number, body: unknown): void {
    this.answers.push({ status, route: response.req.url ?? '' });
    const json = JSON.stringify(body);
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(json),
    });
    response.end(json);
  }
}

/** Paths that a gateway's upstream may read otherwise than the service does. */
function isAmbiguous(pathname: string): boolean {
  return (
    !pathname.startsWith('/') ||
    pathname.length > 4_096 ||
    // oxlint-disable-next-line no-control-regex -- control bytes are what is refused
    /[\u0000-\u001f\u007f-\uffff\\]|%(?![0-9a-f]{2})|%(?:00|2f|5c|25[0-9a-f]{2}|2e)|\/\/|\/\.{1,2}(?:[;/]|$)/i.test(
      pathname,
    ) ||
    /%(?:3\d|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae]|2d|2e)/i.test(pathname)
  );
}

function batchFault(fields: unknown): string | undefined {
  const outer = faultOf(fields, {
    required: ['epoch', 'sequence', 'records'],
    optional: ['connections', 'decisions'],
  });
  if (outer !== undefined || !isObject(fields)) return outer;
  const { epoch, sequence, records, connections, decisions } = fields;
  if (typeof epoch !== 'string' || !/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(epoch)) return '/epoch';
  if (!Number.isSafeInteger(sequence) || Number(sequence) < 0) return '/sequence';
  if (!Array.isArray(records) || records.length > 10_000) return '/records';
  if (connections === undefined && decisions === undefined && records.length === 0)
    return '/records';
  if (connections !== undefined) {
    const parts = { required: ['at', 'opened', 'closed'], optional: [] };
    const fault = faultOf(connections, parts);
    if (fault !== undefined) return `/connections${fault}`;
  }
  if (decisions !== undefined) {
    if (!Array.isArray(decisions) || decisions.length > 5_000) return '/decisions';
    for (const [index, told] of decisions.entries()) {
      const fault = faultOf(told, { required: DECISION_FIELDS, optional: [] });
      if (fault !== undefined) return `/decisions/${index}${fault}`;
      if (!/T\d\d:00:00\.000Z$/.test(told.hour)) return `/decisions/${index}/hour`;
      if (!Number.isSafeInteger(told.allowed) || told.allowed < 1)
        return `/decisions/${index}/allowed`;
    }
  }
  for (const [index, record] of records.entries()) {
    const fault = recordFault(record);
    if (fault !== undefined) return `/records/${index}${fault}`;
  }
  return undefined;
}

const TEXT_BYTES_MAX = [
  ['stage', 128],
  ['method', 128],
  ['resourcePath', 1_536],
] as const;

function recordFault(record: unknown): string | undefined {
  const fault = faultOf(record, { required: RECORD_FIELDS, optional: [] });
  if (fault !== undefined || !isObject(record)) return fault;
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$/.test(String(record['at']))) return '/at';
  for (const name of ['keyId', 'apiId'])
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(String(record[name]))) return `/${name}`;
  for (const [name, bytesMax] of TEXT_BYTES_MAX) {
    const value = record[name];
    if (typeof value !== 'string' || value === '' || /\p{Cc}/u.test(value)) return `/${name}`;
    if (Buffer.byteLength(value) > bytesMax) return `/${name}`;
  }
  if (!/^[1-5]xx$/.test(String(record['statusClass']))) return '/statusClass';
  if (!isObject(record['quantities'])) return '/quantities';
  for (const [meter, quantity] of Object.entries(record['quantities'])) {
    if (!/^(0|[1-9]\d{0,25})$/.test(String(quantity))) return `/quantities/${meter}`;
    if (!METERS.includes(meter)) return `/quantities/${meter}`;
  }
  return undefined;
}

function faultOf(
  fields: unknown,
  { required, optional }: { required: readonly string[]; optional: readonly string[] },
): string | undefined {
  if (!isObject(fields)) return '';
  const missing = required.find((name) => fields[name] === undefined);
  if (missing !== undefined) return `/${missing}`;
  const unknown = Object.keys(fields).find(
    (name) => !required.includes(name) && !optional.includes(name),
  );
  return unknown === undefined ? undefined : `/${unknown}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  request.setEncoding('utf8');
  for await (const chunk of request) body += String(chunk);
  return body;
}
