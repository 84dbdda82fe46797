import type { Stripe } from 'stripe';
import type { ExchangeClaim } from '../exchange/exchange-runner.service.js';
import { checked } from './stripe-client.js';
import type { StripeAccount } from './stripe-connections.service.js';

type Call<T> = (stripe: Stripe, options: Stripe.RequestOptions) => Promise<Stripe.Response<T>>;

/** Stripe takes 25 calls a second of each endpoint; what people ask for at once is not counted here. */
const KIND_PER_SECOND = 24;

/** The calls of one exchange: each takes its turn, has a key made of facts, and is checked when it is answered. */
export class StripeCalls {
  constructor(
    readonly claim: ExchangeClaim,
    readonly account: StripeAccount,
  ) {}

  async read<T extends object>(object: string, call: Call<T>): Promise<T> {
    await this.turn(`read ${object}`);
    return checked(await call(this.account.stripe, {}), object);
  }

  /**
   * Does a step of the exchange. Its key is what the exchange is about, so that it is the same after a crash; only once Stripe
   * has answered 5xx, which it would repeat for a day, and has been looked at, there is another.
   */
  async write<T extends object>(step: string, object: string, call: Call<T>): Promise<T> {
    const { accountId, act, subjectId, keysUsedUp } = this.claim.exchange;
    const [verb] = step.split('/');
    await this.turn(`${verb} ${object}`);
    const idempotencyKey = `tollgate/${accountId}/${act}/${subjectId}/${step}/${keysUsedUp}`;
    return checked(await call(this.account.stripe, { idempotencyKey }), object);
  }

  private turn(kind: string): Promise<void> {
    const { callsPerSecond } = this.account;
    return this.claim.turn({ callsPerSecond, kind, kindPerSecond: KIND_PER_SECOND });
  }
}
