import { LeaseQuestions, type LeaseStats } from './lease-questions.js';
import type { QuotaBook, QuotaGrant, QuotaReturn, QuotaWish } from './quota-book.js';
import type { LeaseSurroundings } from './rate-leases.js';
import { Rounds } from './rounds.js';

/** Who debits blocks of quotas and takes them back. Both reject when it cannot be asked. */
export interface QuotaLender<Ref> {
  /** In the order of the wishes; null where there is no such quota any more. */
  debit(wishes: readonly QuotaWish<Ref>[]): Promise<readonly (QuotaGrant | null)[]>;
  giveBack(returns: readonly QuotaReturn<Ref>[]): Promise<void>;
}

/** How often `sweep` is to be called. */
export const QUOTA_SWEEP_MS = 500;

/** Blocks of quotas: what is in hand, and the one question at a time to who lends them for all calls that wait. */
export class QuotaLeases<Ref> {
  readonly #rounds: Rounds;
  readonly #questions: LeaseQuestions;
  /** Quotas that the last question found gone. */
  #gone = new Set<number>();

  constructor(
    private readonly lender: QuotaLender<Ref>,
    private readonly surroundings: LeaseSurroundings,
    readonly book: QuotaBook<Ref>,
  ) {
    this.#questions = new LeaseQuestions((error) => surroundings.tell(error));
    this.#rounds = new Rounds(
      () => this.#ask(),
      () => surroundings.tick(),
    );
  }

  /** Waits until a wish for at least `missing` more was answered: `gone` by null. Rejects when it cannot be asked for. */
  async take(id: number, missing: number): Promise<'answered' | 'gone'> {
    this.book.want(id, missing);
    await this.#rounds.next();
    return this.#gone.has(id) ? 'gone' : 'answered';
  }

  /** Asks for what is wanted ahead of need. Never rejects: a call that comes to wait for it asks again. */
  askAhead(): void {
    this.#rounds.next().catch(() => undefined);
  }

  /**
   * Gives back what was released or lies idle; `all` when the process stops. Never rejects: what cannot be given back
   * stays debited, since a quota is never exceeded, at worst not quite used.
   */
  async sweep({ all }: { all: boolean }): Promise<void> {
    if (all) await this.#rounds.idle;
    const returns = this.book.returns(this.surroundings.monotonicMs(), { all });
    if (returns.length === 0) return;
    await this.#questions
      .ask(async () => {
        await this.lender.giveBack(returns);
        for (const { units } of returns) this.#questions.stats.returned += units;
      })
      .catch(() => undefined);
  }

  stats(): LeaseStats {
    return { ...this.#questions.stats };
  }

  async #ask(): Promise<void> {
    const { ids, wishes } = this.book.wishes(this.surroundings.monotonicMs());
    if (wishes.length === 0) return;
    this.#questions.stats.wishes += wishes.length;
    await this.#questions.ask(async () => {
      const grants = await this.lender.debit(wishes).catch((error: unknown) => {
        this.book.failed(ids);
        throw error;
      });
      const now = this.surroundings.monotonicMs();
      this.#gone = new Set(ids.filter((_, index) => !grants[index]));
      this.book.failed([...this.#gone]);
      for (const [index, id] of ids.entries()) {
        const [wish, grant] = [wishes[index], grants[index]];
        if (!wish || !grant) continue;
        this.book.grant(id, { wish, grant }, now);
        this.#questions.stats.granted += grant.granted;
      }
    });
    // Blocks that came too late, for a period or a limit that is over.
    if (this.book.hasReleased) void this.sweep({ all: false });
  }
}
