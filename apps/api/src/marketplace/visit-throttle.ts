import { Injectable } from '@nestjs/common';
import { DomainError, parseIpAddress } from '@core/kernel';
import { Config, SystemClock } from '@io/platform';
import type { FastifyRequest } from 'fastify';
import { clientAddress } from '../decisions/forward-auth-request.js';

const BURST = 60;
const PER_SECOND = 1;
const ADDRESSES_MAX = 10_000;
const SECOND_MS = 1_000;

/** Too many requests of strangers came from one address. */
export class TooManyVisits extends DomainError {
  readonly code = 'too-many-visits';
  readonly kind = 'exhausted';
  readonly facts: { readonly retryAfterSeconds: number };

  constructor(retryAfterSeconds: number) {
    super(`Too many requests come from this address: try again in ${retryAfterSeconds} seconds.`);
    this.facts = { retryAfterSeconds };
  }
}

/**
 * How often anybody may ask pages that need no token and that cost a call to AWS: 60 times at once and once a second, for an IPv4
 * address or the /64 of an IPv6 one. Each process counts for itself.
 */
@Injectable()
export class VisitThrottle {
  /** When each address would have all of its visits back; those that have are forgotten. */
  private readonly fullAtMs = new Map<string, number>();

  constructor(
    private readonly config: Config,
    private readonly clock: SystemClock,
  ) {}

  /** Throws `TooManyVisits`; a refused visit costs nothing. */
  visit({ headers, socket }: Pick<FastifyRequest, 'headers' | 'socket'>): void {
    // Whole, so that sixty sums of a second are a minute to the last bit.
    const now = Math.floor(this.clock.monotonicMs());
    const forwarded = [headers['x-forwarded-for'] ?? []].flat();
    const list = [...forwarded, socket.remoteAddress ?? ''].join(',');
    const from = networkOf(clientAddress(list, this.config.trustedProxies) ?? '');
    const fullAt = Math.max(this.fullAtMs.get(from) ?? now, now) + SECOND_MS / PER_SECOND;
    const waitMs = fullAt - now - (BURST * SECOND_MS) / PER_SECOND;
    if (waitMs > 0) throw new TooManyVisits(Math.ceil(waitMs / SECOND_MS));
    this.fullAtMs.delete(from);
    this.fullAtMs.set(from, fullAt);
    if (this.fullAtMs.size > ADDRESSES_MAX) this.forget(now);
  }

  /** Those that are full, or else whoever came longest ago: an attacker with many addresses costs no more memory than that. */
  private forget(now: number): void {
    for (const [from, fullAt] of this.fullAtMs) if (fullAt <= now) this.fullAtMs.delete(from);
    for (const from of this.fullAtMs.keys()) {
      if (this.fullAtMs.size <= ADDRESSES_MAX) return;
      this.fullAtMs.delete(from);
    }
  }
}

/** What one visitor has: an IPv4 address, or a /64. */
function networkOf(address: string): string {
  const ip = parseIpAddress(address);
  if (!ip) return address;
  return ip.family === 4 ? `4 ${ip.value}` : `6 ${ip.value >> 64n}`;
}
