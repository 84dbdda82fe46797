import type { IncomingMessage, ServerResponse } from 'node:http';
import { Buckets, MemoryRateAuthority, type RateBucket } from '@core/limits';

/** A key as the stand-in tells of it in `keys` of `POST /v1/leases`; `null` throttles and quotas are no limits. */
export interface LeasedKey {
  readonly keyId: string;
  readonly customerId: string;
  enabled: boolean;
  throttle: { rateLimit: number; burstLimit: number } | null;
  quota: number | null;
  readonly onFailure?: 'deny' | 'allow';
  readonly expiresAt?: string;
}

interface Question {
  readonly holder: string;
  readonly keys?: { apiKey: string }[];
  readonly stages?: { usagePlanId: string }[];
  readonly rates?: {
    bucket: Record<string, string>;
    asked: number;
    least: number;
    wanted: number;
  }[];
  readonly quotas?: { keyId: string; asked: number; wanted: number; spent: number }[];
  readonly returns?: {
    rates?: { bucket: Record<string, string>; units: number; heldMs: number }[];
    quotas?: { keyId: string; units: number; spent: number }[];
  };
}

const DAY_MS = 86_400_000;
const ACCOUNT = { rateLimit: 1e6, burstLimit: 1e6 };

/**
 * The leases and the event stream of the service (docs/leases.md) in memory, with the service's own arithmetic of rates:
 * for faults that a real service cannot be made to have at will.
 */
export class StandInLeases {
  /** Every question, in the order in which they came. */
  readonly questions: Question[] = [];
  readonly streams = new Set<ServerResponse>();
  /** What is debited of each key's quota. */
  readonly debited = new Map<string, number>();
  private readonly authority = new MemoryRateAuthority(new Buckets(), () => performance.now());
  private events = 0;

  /** `routes` are route keys of a WebSocket api, with what the plan allows of each. */
  constructor(
    readonly keys: Record<string, LeasedKey>,
    private readonly routes: Readonly<Record<string, typeof ACCOUNT>> = {},
  ) {}

  /** Answers `POST /v1/leases`. */
  async answer(body: string): Promise<unknown> {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a stand-in trusts the plugin it tests
    const question = JSON.parse(body) as Question;
    this.questions.push(question);
    const { rates = [], quotas = [], returns = {} } = question;
    await this.authority.giveBack(
      (returns.rates ?? []).map(({ bucket, ...rest }) => ({
        bucket: this.bucket(bucket),
        ...rest,
      })),
    );
    for (const { keyId, units } of returns.quotas ?? []) {
      this.debited.set(keyId, (this.debited.get(keyId) ?? 0) - units);
    }
    const grants = await this.authority.lease(
      rates.map(({ bucket, ...rest }) => ({ bucket: this.bucket(bucket), ...rest })),
    );
    return {
      leaseMs: 1_000,
      keys: (question.keys ?? []).map(({ apiKey }) => this.key(apiKey)),
      stages: (question.stages ?? []).map(({ usagePlanId }) => this.stage(usagePlanId)),
      rates: grants.map(({ retryAfterMs, resetMs, ...grant }) => ({
        ...grant,
        retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : null,
        resetMs: Number.isFinite(resetMs) ? resetMs : null,
      })),
      quotas: quotas.map((wish) => this.quota(wish)),
    };
  }

  /** Opens `GET /v1/gateway/events`. */
  follow(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    if (request.headers['last-event-id'] === undefined)
      response.write('event: reset\ndata: {}\n\n');
    this.streams.add(response);
    response.on('close', () => this.streams.delete(response));
  }

  /** Tells every stream that a key changed, or with null that everything did. */
  tell(keyId: string | null): void {
    this.events += 1;
    const data = JSON.stringify(keyId === null ? {} : { keyId });
    for (const stream of this.streams) {
      stream.write(`id: ${this.events}\nevent: change\ndata: ${data}\n\n`);
    }
  }

  private key(apiKey: string): unknown {
    const key = this.keys[apiKey];
    if (key === undefined) return null;
    const { keyId, customerId, enabled, throttle, quota } = key;
    return {
      keyId,
      customerId,
      enabled,
      expiresAt: key.expiresAt ?? null,
      ipPolicy: null,
      usagePlanId: `plan-${key.onFailure ?? 'deny'}`,
      throttle,
      quota: quota === null ? null : { limit: quota, ...period() },
      accountThrottle: ACCOUNT,
      clockOffsetMs: 0,
    };
  }

  private stage(usagePlanId: string): unknown {
    return {
      plan: { id: usagePlanId, onFailure: usagePlanId.replace('plan-', ''), shadow: false },
      ambiguousPath: 'refuse',
      ipPolicy: null,
      stageThrottle: null,
      methods: [
        ...['/pets', '/pets/{petId}'].map((resourcePath) => aMethod('GET', resourcePath, null)),
        ...Object.entries(this.routes).map(([route, limit]) => aMethod(route, '/', limit)),
      ],
    };
  }

  private quota({
    keyId,
    asked,
    wanted,
  }: {
    keyId: string;
    asked: number;
    wanted: number;
  }): unknown {
    const limit = this.ofId(keyId)?.quota;
    if (limit === undefined || limit === null) return null;
    const debited = this.debited.get(keyId) ?? 0;
    const left = limit - debited;
    const granted = Math.max(
      0,
      Math.min(left, Math.max(asked, Math.min(wanted, Math.floor(left / 64)))),
    );
    this.debited.set(keyId, debited + granted);
    return { granted, remaining: left - granted, limit, ...period() };
  }

  private bucket(wire: Record<string, string>): RateBucket {
    const { level, keyId, method = '' } = wire;
    const ofMethod = level === 'method' ? this.routes[method.replace(/ .*$/, '')] : undefined;
    const limit = level === 'usage-plan' ? this.ofId(keyId)?.throttle : ofMethod;
    return { name: JSON.stringify(wire), home: 'stand-in', ...(limit ?? ACCOUNT) };
  }

  private ofId(keyId: string | undefined): LeasedKey | undefined {
    return Object.values(this.keys).find((key) => key.keyId === keyId);
  }
}

const aMethod = (httpMethod: string, resourcePath: string, limit: typeof ACCOUNT | null) => ({
  httpMethod,
  resourcePath,
  planThrottle: limit,
  stageThrottle: null,
  stageBucket: '*',
});

function period(): { periodFrom: string; periodTo: string } {
  const from = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  return {
    periodFrom: new Date(from).toISOString(),
    periodTo: new Date(from + DAY_MS).toISOString(),
  };
}
