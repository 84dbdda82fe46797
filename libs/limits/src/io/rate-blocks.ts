import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import {
  MemoryRateAuthority,
  RATE_AHEAD_MS,
  RATE_SWEEP_MS,
  RateAuthority,
  RateLeases,
  type LeaseStats,
  type Rates,
} from '@core/limits';
import { messageOf, SystemClock } from '@io/platform';

/**
 * The rates that this process decides on: its own buckets where it is itself the authority, else leases of it, asked for
 * ahead of need, given back when they lie idle and when the process stops.
 */
@Injectable()
export class RateBlocks implements OnModuleInit, OnApplicationShutdown {
  readonly rates: Rates;
  private readonly logger = new Logger('RateBlocks');
  private readonly leases: RateLeases | null;
  private timers: NodeJS.Timeout[] = [];
  private failing = false;
  private askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(authority: RateAuthority, clock: SystemClock) {
    if (authority instanceof MemoryRateAuthority) {
      this.rates = authority.buckets;
      this.leases = null;
      return;
    }
    this.leases = new RateLeases(authority, {
      monotonicMs: () => clock.monotonicMs(),
      tick: () => this.gather(authority.gatherMs, clock),
      tell: (error) => this.tell(error),
    });
    this.rates = this.leases.rates;
  }

  onModuleInit(): void {
    const { leases } = this;
    if (!leases) return;
    this.timers = [
      setInterval(() => void leases.sweep({ all: false }), RATE_SWEEP_MS),
      setInterval(() => void leases.askAhead(), RATE_AHEAD_MS),
    ];
    for (const timer of this.timers) timer.unref();
  }

  /** After the last answer, since calls take blocks until then. */
  async onApplicationShutdown(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    await this.leases?.sweep({ all: true });
  }

  /** Waits until the authority has answered for these buckets. Rejects when it cannot be asked. */
  async take(buckets: readonly number[], cost: number): Promise<void> {
    await this.leases?.take(buckets, cost);
  }

  /** Null where the process is itself the authority. */
  stats(): (LeaseStats & { readonly isFailing: boolean }) | null {
    return this.leases && { ...this.leases.stats(), isFailing: this.failing };
  }

  /** A turn of the event loop for calls that arrived together, and longer when the last question was just now. */
  private async gather(gatherMs: number, clock: SystemClock): Promise<void> {
    const restMs = this.askedAtMs + gatherMs - clock.monotonicMs();
    await new Promise((resolve) =>
      restMs > 0 ? setTimeout(resolve, restMs) : setImmediate(resolve),
    );
    this.askedAtMs = clock.monotonicMs();
  }

  /** One log line per change of state, not per call. */
  private tell(error: unknown): void {
    if (this.failing === (error !== null)) return;
    this.failing = error !== null;
    if (error === null) this.logger.log('The rate authority answers again.');
    else this.logger.error(`The rate authority does not answer: ${messageOf(error)}`);
  }
}
