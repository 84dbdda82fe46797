import { Injectable } from '@nestjs/common';
import type { ExchangeOutcome } from '@core/billing';
import { DomainError } from '@core/kernel';
import { SystemClock } from '@io/platform';
import { ExchangeRunnerService, type ExchangeClaim } from '../exchange/exchange-runner.service.js';
import { StripeCalls } from './stripe-calls.js';
import { failureOf } from './stripe-client.js';
import { StripeConnectionsService } from './stripe-connections.service.js';
import { StripeOutbox } from './stripe-outbox.js';

/** The repeating job that tells Stripe and acts on what it says, and its queue. */
export const EXCHANGE_WITH_STRIPE = 'exchange-with-stripe';

/** So many exchanges of a worker are on their way at once. */
const LANES = 16;

/** Performs exchanges with Stripe, both ways. */
@Injectable()
export class StripeExchangeService {
  constructor(
    private readonly runner: ExchangeRunnerService,
    private readonly connections: StripeConnectionsService,
    private readonly outbox: StripeOutbox,
    private readonly clock: SystemClock,
  ) {}

  /** Queues what Stripe is to be told, and performs until nothing is due. Returns how many attempts it made. */
  async exchangeDue(lanes = LANES): Promise<number> {
    let attempts = 0;
    for (;;) {
      await this.outbox.sweep(this.clock.now());
      const made = await this.runner.run('stripe', (claim) => this.perform(claim), { lanes });
      attempts += made;
      if (made === 0) return attempts;
    }
  }

  private async perform(claim: ExchangeClaim): Promise<ExchangeOutcome> {
    try {
      const account = await this.connections.open(claim.exchange.accountId);
      return await this.outbox.perform(new StripeCalls(claim, account));
    } catch (error) {
      if (error instanceof DomainError) return { kind: 'refused', fault: error.message };
      const failure = failureOf(error);
      if (!failure) throw error;
      if (failure.pauseMs > 0) await claim.pause(failure.pauseMs);
      if (failure.isKeyUsedUp) await claim.useUpKeys();
      return failure.outcome;
    }
  }
}
