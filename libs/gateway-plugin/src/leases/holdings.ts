import {
  Engine,
  RATE_AHEAD_MS,
  RATE_SWEEP_MS,
  RateLeases,
  type BucketRef,
  type StageOfApiRef,
  type ThrottleLimit,
} from '@core/limits';
import type { EventListener } from '../events.js';
import { KnownKeys } from '../policies/known-keys.js';
import type { ServiceAddress, ServiceClient } from '../service/service-client.js';
import type { ServiceHealth } from '../service/service-health.js';
import { PolicyStream } from '../stream/policy-stream.js';
import { LeaseClient, type ServiceBucket, type WireBucket } from './lease-client.js';
import { GatewayQuotas } from './gateway-quotas.js';

/** Whose holdings these are. */
export interface HoldingsOptions {
  readonly address: ServiceAddress;
  readonly client: ServiceClient;
  readonly health: ServiceHealth;
  /** Names this process; the epoch of its usage batches. */
  readonly holder: string;
  readonly apiId: string;
  readonly stage: string;
  readonly onEvent: EventListener;
}

/** Hears which key's policy may have changed; null is all of them. */
export type ChangeListener = (keyId: string | null) => void;

/** All policies are looked through for old ones so often, a few at a time. */
const FORGET_EVERY_MS = 60_000;

/** What this process holds of the service's: policies, blocks of rates and quotas, and the stream that voids them. */
export class Holdings {
  readonly engine: Engine;
  readonly leases: LeaseClient;
  readonly keys: KnownKeys;
  readonly rates: RateLeases;
  readonly quotas: GatewayQuotas;
  private readonly stream: PolicyStream;
  private readonly timers: readonly NodeJS.Timeout[];
  private readonly listeners = new Set<ChangeListener>();

  constructor(private readonly options: HoldingsOptions) {
    const { address, onEvent } = options;
    this.stream = new PolicyStream(address, {
      onChange: (keyId) => this.forget(keyId),
      onOpen: () => onEvent({ type: 'news-open' }),
      onLost: (cause) => onEvent({ type: 'news-lost', cause }),
    });
    this.engine = new Engine((ref, limit) => serviceBucket(ref, limit, options));
    this.engine.quotas.isForesighted = true;
    this.leases = new LeaseClient({
      ...options,
      lastEventId: () => this.stream.lastSeen,
      onSilence: () => this.engine.quotas.releaseAll(),
    });
    this.keys = new KnownKeys(this.leases, this.engine, () => this.stream.isFollowing);
    const surroundings = {
      monotonicMs: () => performance.now(),
      tick: () => new Promise<void>((resolve) => setImmediate(resolve)),
      // Calls that wait for a block tell whether it came; nobody waits for the rest.
      tell: () => undefined,
    };
    this.rates = new RateLeases(this.leases, surroundings, this.engine.rates);
    this.quotas = new GatewayQuotas(this.leases, surroundings, this.engine.quotas);
    this.timers = [
      setInterval(() => this.sweep(), RATE_SWEEP_MS),
      setInterval(() => this.askAhead(), RATE_AHEAD_MS),
    ];
    for (const timer of this.timers) timer.unref();
    this.stream.start();
  }

  get hasNews(): boolean {
    return this.stream.isFollowing;
  }

  /** Tells `listener` of every change from now on; returns how to stop. */
  onChange(listener: ChangeListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Gives everything back. Never rejects. */
  async close(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    this.stream.close();
    await Promise.all([this.rates.sweep({ all: true }), this.quotas.close()]);
  }

  private forget(keyId: string | null): void {
    this.keys.forget(keyId);
    for (const listener of this.listeners) listener(keyId);
  }

  private askAhead(): void {
    if (!this.options.health.isAway) void this.rates.askAhead();
  }

  /** While the service is away nothing is given back: it would be lost, and may still be spent here. */
  private sweep(): void {
    const now = performance.now();
    if (!this.options.health.isAway) {
      void this.rates.sweep({ all: false });
      this.quotas.sweep(now);
    }
    this.engine.sweep(RATE_SWEEP_MS / FORGET_EVERY_MS, now);
  }
}

function serviceBucket(
  { level, keyId, usagePlanId, method }: BucketRef,
  limit: ThrottleLimit,
  { apiId, stage }: StageOfApiRef,
): ServiceBucket {
  const ofKey = { keyId: keyId ?? '', usagePlanId: usagePlanId ?? '' };
  const ofMethod = { apiId, stage, method: method ?? '' };
  const wires: Record<typeof level, WireBucket> = {
    method: { level: 'method', ...ofKey, ...ofMethod },
    'usage-plan': { level: 'usage-plan', ...ofKey },
    'stage-method': { level: 'stage-method', ...ofMethod },
    account: { level: 'account' },
  };
  const wire = wires[level];
  return { name: Object.values(wire).join(' '), home: keyId ?? level, ...limit, wire };
}
