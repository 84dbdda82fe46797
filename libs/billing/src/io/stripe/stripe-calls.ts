import type { Stripe } from 'stripe';
import type { ExchangeClaim } from '../exchange/exchange-runner.service.js';
import { checked } from './stripe-client.js';
import type { StripeAccount } from './stripe-connections.service.js';

type Call<T> = (stripe: Stripe, options: Stripe.RequestOptions) => Promise<Stripe.Response<T>>;

/** The calls of one exchange: each takes its turn, has a key made of facts, and is checked when it is answered. */
export class StripeCalls {
  constructor(
    readonly claim: ExchangeClaim,
    readonly account: StripeAccount,
  ) {}

  async read<T extends object>(object: string, call: Call<T>): Promise<T> {
    await this.claim.turn(this.account.callsPerSecond);
    return checked(await call(this.account.stripe, {}), object);
  }

  /**
   * Does a step of the exchange. Its key is what the exchange is about, so that it is the same after a crash; only once Stripe
   * has answered 5xx, which it would repeat for a day, and has been looked at, there is another.
   */
  async write<T extends object>(step: string, object: string, call: Call<T>): Promise<T> {
    const { accountId, act, subjectId, keysUsedUp } = this.claim.exchange;
    await this.claim.turn(this.account.callsPerSecond);
    const idempotencyKey = `tollgate/${accountId}/${act}/${subjectId}/${step}/${keysUsedUp}`;
    return checked(await call(this.account.stripe, { idempotencyKey }), object);
  }
}
