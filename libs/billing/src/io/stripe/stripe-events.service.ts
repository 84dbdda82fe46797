import { Injectable } from '@nestjs/common';
import { StripeEventRefused, type ExchangeOutcome } from '@core/billing';
import { SystemClock } from '@io/platform';
import type { Stripe } from 'stripe';
import { HearingWakeUp } from './hearing-wake-up.js';
import { stripeSdk } from './stripe-client.js';
import { StripeConnectionsRepository } from './stripe-connections.repository.js';
import { StripeEventsRepository } from './stripe-events.repository.js';

/** How old, and how far ahead of our clock, a signature may be. */
const TOLERANCE_SECONDS = 300;
const AHEAD_SECONDS_MAX = 30;

/** Events that Stripe posts: signed for this account, now, kept once, and acted upon by the worker. */
@Injectable()
export class StripeEventsService {
  constructor(
    private readonly connections: StripeConnectionsRepository,
    private readonly events: StripeEventsRepository,
    private readonly worker: HearingWakeUp,
    private readonly clock: SystemClock,
  ) {}

  /** Throws `StripeEventRefused`, alike for an account that is not there. */
  async take(
    accountId: string,
    { body, signature }: { readonly body: Buffer; readonly signature: string | undefined },
  ): Promise<{ duplicate: boolean }> {
    const known = await this.connections.webhookSecrets(accountId);
    if (!known || known.secrets.length === 0)
      throw new StripeEventRefused('its signature is not good');
    const event = await this.verified(body, signature ?? '', known.secrets);
    if (event.livemode !== known.isLive) throw new StripeEventRefused('it is of the other mode');
    const { object } = event.data as { object?: { id?: unknown } };
    const isWhole = typeof event.id === 'string' && typeof event.type === 'string';
    if (!isWhole || typeof object?.id !== 'string')
      throw new StripeEventRefused('it is of nothing');
    const detail = { type: event.type, objectId: object.id };
    const isNew = await this.events.take(accountId, {
      eventId: event.id,
      detail,
      now: this.clock.now(),
    });
    if (isNew) this.worker.wake();
    return { duplicate: !isNew };
  }

  private async verified(
    body: Buffer,
    signature: string,
    secrets: readonly string[],
  ): Promise<Stripe.Event> {
    // The SDK takes a signature that is dated ahead, which would be good for as long as anybody likes.
    const at = Number(/(?:^|,)t=(\d{1,12})(?:,|$)/.exec(signature)?.[1] ?? Number.NaN);
    const nowSeconds = this.clock.nowMs() / 1_000;
    if (!(at <= nowSeconds + AHEAD_SECONDS_MAX))
      throw new StripeEventRefused('its signature is not good');
    const { webhooks, errors } = await stripeSdk();
    for (const secret of secrets) {
      try {
        return webhooks.constructEvent(body, signature, secret, TOLERANCE_SECONDS);
      } catch (error) {
        if (!(error instanceof errors.StripeSignatureVerificationError)) throw error;
      }
    }
    throw new StripeEventRefused('its signature is not good');
  }
}

/** What is done about an event is told by the object that it is of. */
export const NOT_OURS: ExchangeOutcome = {
  kind: 'needless',
  reason: 'It is about nothing of this service.',
};
