import {
  QuotaLeases,
  type LeaseSurroundings,
  type QuotaBlock,
  type QuotaBook,
  type QuotaGrant,
  type QuotaRef,
  type QuotaReturn,
  type QuotaWish,
} from '@core/limits';
import type { KnownKey } from '../policies/known-keys.js';
import type { LeaseClient } from './lease-client.js';

/** The service lends nothing of this quota: key or plan are no longer what the policy here says. */
export class PolicyOutdated extends Error {
  override readonly name = 'PolicyOutdated';
}

/** What stands for no quota. */
export const NO_QUOTA = -1;

/** A block is some five seconds of a key's pace: the next one is asked for when so much of it is left. */
const LOW_SHARE = 1 / 10;
/** From the last question that was answered; the service may give what was held to others a little later. */
const VOID_MS = 45_000;
/** A holder of units has to be heard of so often. */
const GREET_MS = 10_000;

/**
 * The blocks of quota that this process has taken from the service: kept and spent by `QuotaLeases`, topped up before they
 * run out, void when the service has not been heard of.
 */
export class GatewayQuotas {
  private readonly leases: QuotaLeases<QuotaRef>;
  private readonly ids = new Map<string, number>();
  private readonly owners: QuotaRef[] = [];
  /** By quota, the size of its last block. */
  private readonly blockSizes: number[] = [];
  private readonly toppingUp = new Set<number>();
  private readonly outdated = new Set<number>();

  constructor(
    private readonly client: LeaseClient,
    surroundings: LeaseSurroundings,
  ) {
    this.leases = new QuotaLeases(
      {
        debit: (wishes) => this.debit(wishes),
        giveBack: (returns) => client.giveBackQuotas(returns.map(returned)),
      },
      surroundings,
      (owner) => this.owners[owner] ?? { keyId: '', usagePlanId: '' },
    );
  }

  private get book(): QuotaBook<QuotaRef> {
    return this.leases.book;
  }

  /** The number of the key's quota, by what its policy says now; `NO_QUOTA` when its plan has none. */
  of({ answer: { keyId, usagePlanId, quota } }: KnownKey): number {
    if (quota === null || usagePlanId === null) return NO_QUOTA;
    const name = `${usagePlanId}/${keyId}`;
    const known = this.ids.get(name);
    if (known !== undefined) {
      this.book.setTerms(known, quota);
      return known;
    }
    const owner = this.owners.push({ keyId, usagePlanId }) - 1;
    const id = this.book.add(owner, quota, performance.now());
    this.ids.set(name, id);
    return id;
  }

  /** The quota as `decide` wants it, good until this is called again. */
  block(id: number, now: number): QuotaBlock {
    if (now - this.client.answeredSentAtMs >= VOID_MS && this.book.inHand(id) > 0) {
      this.book.release(id);
    }
    return this.book.block(id, now);
  }

  /** The instant by the service's clock, as far as its last grant tells. */
  instantIn(id: number, at: number, now: number): number {
    return this.book.instantIn(id, at, now);
  }

  /** A call was let pass. Asks for more when what is left will not last. */
  spent(id: number, now: number): void {
    const isLow = this.book.inHand(id) < (this.blockSizes[id] ?? 0) * LOW_SHARE;
    if (!isLow || now < this.book.believedUntilMs(id) || this.toppingUp.has(id)) return;
    this.toppingUp.add(id);
    this.leases
      .take(id, 0)
      .catch(() => undefined)
      .finally(() => this.toppingUp.delete(id));
  }

  /** Waits until the service has answered a wish for at least `missing` more. Rejects when it cannot be asked. */
  async take(id: number, missing: number): Promise<void> {
    await this.leases.take(id, missing);
    if (this.outdated.delete(id)) throw new PolicyOutdated();
  }

  /** Gives back what news has made doubtful. */
  release({ answer: { keyId, usagePlanId } }: KnownKey): void {
    const id = this.ids.get(`${usagePlanId}/${keyId}`);
    if (id === undefined) return;
    this.book.release(id);
  }

  /** Gives back what was released or lies idle, and says that this process lives. */
  sweep(now: number): void {
    void this.leases.sweep({ all: false });
    if (now - this.client.answeredSentAtMs <= GREET_MS) return;
    for (const id of this.ids.values()) {
      if (this.book.inHand(id) === 0) continue;
      this.client.greet().catch(() => undefined);
      return;
    }
  }

  /** Gives all back. Never rejects. */
  close(): Promise<void> {
    return this.leases.sweep({ all: true });
  }

  private async debit(wishes: readonly QuotaWish<QuotaRef>[]): Promise<(QuotaGrant | null)[]> {
    const grants = await this.client.leaseQuotas(
      wishes.map(({ of, asked, wanted, spent }) => ({ ...of, asked, wanted, spent })),
    );
    return grants.map((grant, index) => {
      const of = wishes[index]?.of;
      const id = this.ids.get(`${of?.usagePlanId}/${of?.keyId}`) ?? NO_QUOTA;
      if (grant === null) {
        this.outdated.add(id);
        return null;
      }
      const { granted, remaining, ...terms } = grant;
      this.blockSizes[id] = granted;
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
