import {
  QuotaLeases,
  type LeaseSurroundings,
  type QuotaBook,
  type QuotaGrant,
  type QuotaRef,
  type QuotaReturn,
  type QuotaWish,
} from '@core/limits';
import type { LeaseClient } from './lease-client.js';

/** The service lends nothing of this quota: key or plan are no longer what the policy here says. */
export class PolicyOutdated extends Error {
  override readonly name = 'PolicyOutdated';
}

/** A holder of units has to be heard of so often. */
const GREET_MS = 10_000;

/** The blocks of quota that this process has taken from the service, and the questions for them. */
export class GatewayQuotas {
  private readonly leases: QuotaLeases<QuotaRef>;

  constructor(
    private readonly client: LeaseClient,
    surroundings: LeaseSurroundings,
    private readonly book: QuotaBook<QuotaRef>,
  ) {
    this.leases = new QuotaLeases(
      {
        debit: (wishes) => this.debit(wishes),
        giveBack: (returns) => client.giveBackQuotas(returns.map(returned)),
      },
      surroundings,
      book,
    );
  }

  /** Waits until the service has answered a wish for at least `missing` more. Rejects when it cannot be asked. */
  async take(id: number, missing: number): Promise<void> {
    if ((await this.leases.take(id, missing)) === 'gone') throw new PolicyOutdated();
  }

  /** Asks for what will not last. */
  askAhead(): void {
    this.leases.askAhead();
  }

  /** Gives back what was released or lies idle, and says that this process lives. */
  sweep(now: number): void {
    void this.leases.sweep({ all: false });
    if (now - this.client.answeredSentAtMs <= GREET_MS || !this.book.holds) return;
    this.client.greet().catch(() => undefined);
  }

  /** Gives all back. Never rejects. */
  close(): Promise<void> {
    return this.leases.sweep({ all: true });
  }

  private async debit(wishes: readonly QuotaWish<QuotaRef>[]): Promise<(QuotaGrant | null)[]> {
    const grants = await this.client.leaseQuotas(
      wishes.map(({ of, asked, wanted, spent }) => ({ ...of, asked, wanted, spent })),
    );
    return grants.map((grant) => {
      if (grant === null) return null;
      const { granted, remaining, ...terms } = grant;
      return { granted, remaining, terms };
    });
  }
}

const returned = ({ of, terms, units, spent }: QuotaReturn<QuotaRef>) => ({
  ...of,
  periodFromMs: terms.periodFromMs,
  units,
  spent,
});
