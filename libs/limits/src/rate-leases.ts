import { LeaseQuestions, type LeaseStats } from './lease-questions.js';
import { LeasedRates } from './leased-rates.js';
import type { RateAuthority } from './rate-authority.js';
import { Rounds } from './rounds.js';

/** What a holder of leases needs of the process that it lives in. */
export interface LeaseSurroundings {
  /** Milliseconds of a clock that never goes back. */
  monotonicMs(): number;
  /** Resolves when the calls that arrived together have said what they want: a turn of the event loop. */
  tick(): Promise<void>;
  /** Hears of each answer: null, or why there was none. */
  tell(error: unknown): void;
}

/** How often `sweep` is to be called. */
export const RATE_SWEEP_MS = 250;
/** How often `askAhead` is to be called, and how long before its end a block is asked for anew: until then and an answer. */
export const RATE_AHEAD_MS = 100;
const ANSWER_MS = 50;

/** Leases of rates: what is in hand, and the one question at a time to their authority for all calls that wait. */
export class RateLeases {
  readonly #rounds: Rounds;
  /** Buckets that the last question got no answer for. */
  #unanswered = new Set<number>();
  readonly #questions: LeaseQuestions;

  constructor(
    private readonly authority: RateAuthority,
    private readonly surroundings: LeaseSurroundings,
    readonly rates = new LeasedRates(),
  ) {
    this.#questions = new LeaseQuestions((error) => surroundings.tell(error));
    this.#rounds = new Rounds(
      () => this.#ask(),
      () => surroundings.tick(),
    );
  }

  /** Waits until the authority has answered for these buckets. Rejects when it cannot be asked. */
  async take(buckets: readonly number[], cost: number): Promise<void> {
    for (const id of buckets) this.rates.want(id, cost);
    await this.#rounds.next();
    if (buckets.some((id) => this.#unanswered.has(id))) {
      throw new Error('The part of the authority that keeps this bucket does not answer.');
    }
  }

  /** Asks for what calls will need soon, so that they need not wait for it. Never rejects. */
  async askAhead(): Promise<void> {
    const now = this.surroundings.monotonicMs();
    if (!this.rates.wantAhead(now, RATE_AHEAD_MS + ANSWER_MS)) return;
    await this.#rounds.next().catch(() => undefined);
  }

  /** Gives back what is idle or about to be void; `all` when the process stops. Never rejects. */
  async sweep({ all }: { all: boolean }): Promise<void> {
    if (all) await this.#rounds.idle;
    const now = this.surroundings.monotonicMs();
    const returns = this.rates.returns(now, { everyMs: RATE_SWEEP_MS, all });
    if (returns.length === 0) return;
    await this.#questions
      .ask(async () => {
        await this.authority.giveBack(returns);
        this.#questions.stats.returned += returns.reduce((sum, { units }) => sum + units, 0);
      })
      .catch(() => undefined);
  }

  stats(): LeaseStats {
    return { ...this.#questions.stats };
  }

  async #ask(): Promise<void> {
    const sentAtMs = this.surroundings.monotonicMs();
    const { ids, wishes } = this.rates.wishes(sentAtMs);
    if (wishes.length === 0) return;
    this.#questions.stats.wishes += wishes.length;
    await this.#questions.ask(async () => {
      const grants = await this.authority.lease(wishes);
      const now = this.surroundings.monotonicMs();
      this.#unanswered = new Set(ids.filter((_, index) => !grants[index]));
      for (const [index, id] of ids.entries()) {
        const [wish, grant] = [wishes[index], grants[index]];
        if (!wish || !grant) continue;
        this.rates.grant(id, { wish, grant, sentAtMs }, now);
        this.#questions.stats.granted += grant.granted;
      }
    });
  }
}
