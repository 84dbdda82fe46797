import { Injectable } from '@nestjs/common';
import type { ExchangeOutcome } from '@core/billing';
import { DomainError } from '@core/kernel';
import { SystemClock } from '@io/platform';
import {
  ExchangeRunnerService,
  type ExchangeClaim,
  type Lanes,
} from '../exchange/exchange-runner.service.js';
import { StripeCalls } from './stripe-calls.js';
import { failureOf, NeedsPerson } from './stripe-client.js';
import { StripeConnectionsService } from './stripe-connections.service.js';
import { FOLLOWING_ACTS, HEARD_ACT, PUSH_ACT, StripeOutbox } from './stripe-outbox.js';

/** The repeating job that tells Stripe what it is to know, and its queue. */
export const EXCHANGE_WITH_STRIPE = 'exchange-with-stripe';

/** So many exchanges of a worker are on their way at once. */
const LANES = 16;
const HEARING_LANES = 4;
/** A long run looks for what else Stripe is to be told. */
const SWEEP_MS = 1_000;

/** Performs exchanges with Stripe, both ways. */
@Injectable()
export class StripeExchangeService {
  constructor(
    private readonly runner: ExchangeRunnerService,
    private readonly connections: StripeConnectionsService,
    private readonly outbox: StripeOutbox,
    private readonly clock: SystemClock,
  ) {}

  /** Tells and hears until nothing is due. Returns how many attempts it made. */
  async exchangeDue(lanes = LANES): Promise<number> {
    let attempts = 0;
    for (;;) {
      const made = (await this.tellDue(lanes)) + (await this.hearDue());
      attempts += made;
      if (made === 0) return attempts;
    }
  }

  /** Queues what Stripe is to be told, and tells it until nothing is due. Returns how many attempts it made. */
  async tellDue(lanes = LANES): Promise<number> {
    // Half of them begin with new invoices, half end what was begun: all endpoints of Stripe are used at once, and nothing of an
    // invoice waits for all the others.
    const acts = Array.from({ length: lanes }, (_, n) =>
      n % 2 === 0 ? [...FOLLOWING_ACTS, PUSH_ACT] : [PUSH_ACT, ...FOLLOWING_ACTS],
    );
    let attempts = 0;
    for (;;) {
      const made = await this.run({ lanes: acts, before: this.sweeping() });
      attempts += made;
      if (made === 0) return attempts;
    }
  }

  /** Acts on what Stripe has said until nothing is left. Returns how many attempts it made. */
  async hearDue(): Promise<number> {
    const lanes = Array.from({ length: HEARING_LANES }, () => [HEARD_ACT]);
    return this.run({ lanes });
  }

  private run(lanes: Lanes): Promise<number> {
    return this.runner.run('stripe', (claim) => this.perform(claim), lanes);
  }

  /** Sweeps at once, and then no more often than it is good for; whoever comes meanwhile waits for it. */
  private sweeping(): () => Promise<void> {
    let sweptMs = Number.NEGATIVE_INFINITY;
    let sweep: Promise<unknown> = Promise.resolve();
    return async () => {
      const nowMs = this.clock.monotonicMs();
      if (nowMs - sweptMs >= SWEEP_MS) {
        sweptMs = nowMs;
        sweep = this.outbox.sweep(this.clock.now());
      }
      await sweep;
    };
  }

  private async perform(claim: ExchangeClaim): Promise<ExchangeOutcome> {
    try {
      const account = await this.connections.open(claim.exchange.accountId);
      return await this.outbox.perform(new StripeCalls(claim, account));
    } catch (error) {
      if (error instanceof DomainError || error instanceof NeedsPerson)
        return { kind: 'refused', fault: error.message };
      const failure = failureOf(error);
      if (!failure) throw error;
      if (failure.pauseMs > 0) await claim.pause(failure.pauseMs);
      if (failure.isKeyUsedUp) await claim.useUpKeys();
      return failure.outcome;
    }
  }
}
