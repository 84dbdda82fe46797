import { Injectable } from '@nestjs/common';
import type { ExchangeOutcome } from '@core/billing';
import { SystemClock } from '@io/platform';
import type { StripeCalls } from './stripe-calls.js';
import { StripeInvoicesRepository } from './stripe-invoices.repository.js';
import { StripePushService } from './stripe-push.service.js';
import { StripeReactionsService } from './stripe-reactions.service.js';

/** An invoice that is new at Stripe. */
export const PUSH_ACT = 'push-invoice';
/** What follows on a push, what matters most first. */
export const FOLLOWING_ACTS = [
  'report-payment',
  'push-credit-note',
  'void-invoice',
  'write-off-invoice',
  'collect-invoice',
  'check-invoice',
] as const;
export const HEARD_ACT = 'receive-event';

/** Which act is performed how. */
@Injectable()
export class StripeOutbox {
  constructor(
    private readonly pushed: StripeInvoicesRepository,
    private readonly push: StripePushService,
    private readonly reactions: StripeReactionsService,
    private readonly clock: SystemClock,
  ) {}

  sweep(now: Date): Promise<number> {
    return this.pushed.sweep(now);
  }

  perform(calls: StripeCalls): Promise<ExchangeOutcome> {
    const { act } = calls.claim.exchange;
    switch (act) {
      case PUSH_ACT:
        return this.push.pushInvoice(calls);
      case 'collect-invoice':
        return this.push.collect(calls);
      case 'report-payment':
        return this.push.reportPayment(calls, this.clock);
      case 'push-credit-note':
        return this.push.pushCreditNote(calls);
      case 'void-invoice':
        return this.push.voidInvoice(calls);
      case 'write-off-invoice':
        return this.push.writeOffInvoice(calls);
      case 'check-invoice':
        return this.push.check(calls);
      case HEARD_ACT:
        return this.reactions.react(calls);
      default:
        return Promise.resolve({ kind: 'refused', fault: `Nobody here knows how to ${act}.` });
    }
  }
}
