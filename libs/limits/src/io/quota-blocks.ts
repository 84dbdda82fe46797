import { randomUUID } from 'node:crypto';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { Durations } from '@core/kernel';
import {
  QUOTA_SWEEP_MS,
  QuotaBook,
  QuotaLeases,
  quotaLimitIn,
  quotaPeriod,
  type KeyPolicy,
  type PlanPolicy,
  type QuotaBlock,
  type QuotaGrant,
  type QuotaLimit,
  type QuotaReturn,
  type QuotaTerms,
  type QuotaWish,
} from '@core/limits';
import { messageOf, SystemClock } from '@io/platform';
import { BEAT_MS, QuotaAuthority, VOID_MS, type QuotaCounter } from './quota-authority.js';

/** Whose quota it is. */
type QuotaOwner = Omit<QuotaCounter, 'periodFrom' | 'periodTo'>;

/** A quota's period, and its limit there. */
interface HeldTerms extends QuotaTerms {
  /** ISO text of the period's end. */
  readonly resetsAt: string;
}

/** The quota of a key in a plan in one period, as this process knows it. */
export interface HeldQuota {
  /** Its number among those that are held. */
  readonly id: number;
  /** What the period was made from. */
  readonly rule: QuotaLimit;
  /** One object for all quotas that have the same, so that a decision finds it near. */
  terms: HeldTerms;
  /** It is no longer what the process goes by. */
  isForgotten: boolean;
}

/** What the blocks of this process did since it began. */
export interface QuotaBlockStats {
  /** Whether the last question was not answered. */
  readonly isFailing: boolean;
  /** Debited, and neither spent nor given back. */
  readonly inHand: number;
  readonly granted: number;
  readonly returned: number;
  /** Statements that were not answered. */
  readonly failures: number;
  /** Of statements that were answered. */
  readonly debits: Durations;
  readonly returns: Durations;
}

/** Counters that nobody asked for in so long are forgotten. */
const FORGET_MS = 60_000;
/** Of periods that are over some are kept as well, but not for ever. */
const TERMS_MAX = 1_000;
/** More than a clock is ever corrected by: the machine slept meanwhile, and its monotonic clock with it. */
const SLEPT_MS = 5_000;

/**
 * The blocks of quota that this process has taken: spent locally and synchronously, taken for all waiting keys in
 * one statement at a time, and given back when they lie idle, when their period ends and when the process stops.
 */
@Injectable()
export class QuotaBlocks implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('QuotaBlocks');
  private readonly held = new Map<string, HeldQuota>();
  private readonly owners = new Map<number, QuotaOwner>();
  private readonly terms = new Map<string, HeldTerms>();
  private ownerCount = 0;
  private readonly leases: QuotaLeases<QuotaOwner>;
  /** Another one after each silence, so that what the dead one gives back is never taken for the living one's. */
  private holder = newHolder();
  private timer: NodeJS.Timeout | null = null;
  private failing = false;
  /** When the last beat that was answered was sent. */
  private beatAtMs = Number.NEGATIVE_INFINITY;
  private beating: Promise<void> | null = null;
  /** Settled when nothing of this holder is on its way back; never rejects. */
  private returning: Promise<unknown> = Promise.resolve();
  private clockGapMs = Number.NaN;
  private readonly debits = new Durations();
  private readonly returns = new Durations();

  constructor(
    private readonly authority: QuotaAuthority,
    private readonly clock: SystemClock,
  ) {
    this.leases = new QuotaLeases<QuotaOwner>(
      {
        debit: (wishes) => this.timed(this.debits, () => this.debit(wishes)),
        giveBack: (returns) => this.giveBack(returns),
      },
      {
        monotonicMs: () => clock.monotonicMs(),
        tick: () => new Promise((resolve) => setImmediate(resolve)),
        tell: (error) => this.tell(error),
      },
      new QuotaBook((owner) => this.ownerOf(owner)),
    );
  }

  onModuleInit(): void {
    this.timer = setInterval(() => void this.everyTick(), QUOTA_SWEEP_MS);
    this.timer.unref();
  }

  /** After the last answer, since calls take blocks until then, and before the database closes, which is global. */
  async onApplicationShutdown(): Promise<void> {
    if (this.timer) clearInterval(this.timer);
    await this.leases.sweep({ all: true });
  }

  /**
   * What is held of the quota of a key in a plan at this instant of the business clock. `last` is what this answered
   * the time before, where the caller has it at hand.
   */
  of(key: KeyPolicy, plan: PlanPolicy, atMs: number, last: HeldQuota | null): HeldQuota | null {
    const { quota } = plan;
    if (!quota) return null;
    if (last && !last.isForgotten && isCurrent(last, quota, atMs)) return last;
    const name = `${plan.id}/${key.keyId}`;
    const held = this.held.get(name);
    if (held && isSamePeriod(held, quota, atMs)) {
      const limit = limitOf(held, quota);
      if (held.terms.limit !== limit) this.changeLimit(held, limit);
      return held;
    }
    if (held) this.forget(name, held);
    const { accountId, customerId, keyId } = key;
    const owner = { accountId, customerId, keyId, usagePlanId: plan.id };
    const fresh = this.open(owner, quota, atMs);
    this.held.set(name, fresh);
    return fresh;
  }

  /** The quota as `decide` wants it, good until this is called again. What it takes is spent. */
  block({ id }: HeldQuota, now: number): QuotaBlock {
    return this.leases.book.block(id, now);
  }

  /** What is left here and at the authority, as that told when it was last asked. */
  remaining({ id }: HeldQuota): number {
    return this.leases.book.remainingAtAuthority(id) + this.leases.book.inHand(id);
  }

  /**
   * Lets go of everything in hand when this process was silent for so long that others may have been given it. To be
   * asked before anything is spent; it costs a comparison.
   */
  checkVoid(now: number): void {
    if (now - this.beatAtMs > VOID_MS && this.beatAtMs !== Number.NEGATIVE_INFINITY) this.letGo();
  }

  /** Waits until the authority has answered a wish for at least `missing` more. Rejects when it cannot. */
  async take({ id }: HeldQuota, missing: number): Promise<void> {
    await this.leases.take(id, missing);
  }

  stats(): QuotaBlockStats {
    const { failing: isFailing, debits, returns } = this;
    const { failures, granted, returned } = this.leases.stats();
    let inHand = 0;
    for (const { id } of this.held.values()) inHand += this.leases.book.inHand(id);
    return { isFailing, failures, inHand, granted, returned, debits, returns };
  }

  private open(owner: QuotaOwner, rule: QuotaLimit, atMs: number): HeldQuota {
    const { from, to } = quotaPeriod(rule, new Date(atMs));
    const [fromMs, toMs] = [from.getTime(), to.getTime()];
    const limit = quotaLimitIn(rule, { fromMs, toMs });
    const terms = this.sharedTerms({ limit, periodFromMs: fromMs, periodToMs: toMs });
    const number = (this.ownerCount += 1);
    this.owners.set(number, owner);
    const id = this.leases.book.add(number, terms, this.clock.monotonicMs());
    return { id, rule, terms, isForgotten: false };
  }

  /** Those that are kept already, where there are such. */
  private sharedTerms({ limit, periodFromMs, periodToMs }: QuotaTerms): HeldTerms {
    const name = `${limit}/${periodFromMs}/${periodToMs}`;
    const known = this.terms.get(name);
    if (known) return known;
    const resetsAt = new Date(periodToMs).toISOString();
    const terms = { limit, periodFromMs, periodToMs, resetsAt };
    if (this.terms.size >= TERMS_MAX) this.terms.clear();
    this.terms.set(name, terms);
    return terms;
  }

  /** A block of the old limit may be more than the new one leaves, so it goes back before the next call. */
  private changeLimit(held: HeldQuota, limit: number): void {
    held.terms = this.sharedTerms({ ...held.terms, limit });
    this.leases.book.setTerms(held.id, held.terms);
    void this.leases.sweep({ all: false });
  }

  private forget(name: string, held: HeldQuota): void {
    held.isForgotten = true;
    this.held.delete(name);
    this.owners.delete(this.leases.book.remove(held.id));
    void this.leases.sweep({ all: false });
  }

  /** Gives back what lies idle, and forgets counters that nobody uses. */
  private async sweep(): Promise<void> {
    await this.leases.sweep({ all: false });
    const { book } = this.leases;
    const now = this.clock.monotonicMs();
    for (const [name, held] of this.held) {
      if (book.inHand(held.id) === 0 && book.idleMs(held.id, now) > FORGET_MS) {
        this.forget(name, held);
      }
    }
  }

  /** What is in hand goes back, and what is on its way will. */
  private letGo(): void {
    this.beatAtMs = Number.NEGATIVE_INFINITY;
    this.logger.warn('This process was silent for too long: its blocks of quota are void.');
    for (const { id } of this.held.values()) this.leases.book.release(id);
    void this.leases.sweep({ all: false });
    this.holder = newHolder();
    // What goes back now stays debited where it was declared dead: nothing to wait for.
    this.returning = Promise.resolve();
  }

  /** Says that this process lives, when it has not lately. Rejects when that cannot be said. */
  private async beatInTime(): Promise<void> {
    const sentAtMs = this.clock.monotonicMs();
    this.checkVoid(sentAtMs);
    if (sentAtMs - this.beatAtMs < BEAT_MS) return;
    this.beating ??= this.authority
      .beat(this.holder)
      .then(() => {
        this.checkVoid(this.clock.monotonicMs());
        this.beatAtMs = sentAtMs;
      })
      .finally(() => (this.beating = null));
    await this.beating;
  }

  private async everyTick(): Promise<void> {
    const gapMs = this.clock.nowMs() - this.clock.monotonicMs();
    if (gapMs - this.clockGapMs > SLEPT_MS) this.letGo();
    this.clockGapMs = gapMs;
    await this.sweep();
    const { book } = this.leases;
    const holdsAny = [...this.held.values()].some(({ id }) => book.inHand(id) > 0);
    if (holdsAny) await this.beatInTime().catch((error: unknown) => this.tell(error));
  }

  /** After what is on its way back: a debit that overtook it would find too little left, and a call be refused for that. */
  private async debit(wishes: readonly QuotaWish<QuotaOwner>[]): Promise<QuotaGrant[]> {
    await this.returning;
    await this.beatInTime();
    const { holder } = this;
    const grants = await this.authority.debit(
      wishes.map(({ of, terms, asked, wanted, spent }) => ({
        counter: counterOf(of, terms),
        limit: terms.limit,
        asked,
        wanted,
        spent,
      })),
      holder,
    );
    this.checkVoid(this.clock.monotonicMs());
    const answers = grants.map((grant, index) => ({
      ...grant,
      terms: wishes[index]?.terms ?? NO_TERMS,
    }));
    if (holder === this.holder) return answers;
    // Granted to a holder that may be dead by now: not this one's to spend.
    const late = answers.flatMap(({ granted: units, terms }, index) => {
      const of = wishes[index]?.of;
      return of ? [{ of, terms, units, spent: 0 }] : [];
    });
    await this.giveBack(late, holder);
    return answers.map((answer) => ({ ...answer, granted: 0 }));
  }

  private async giveBack(
    returns: readonly QuotaReturn<QuotaOwner>[],
    holder = this.holder,
  ): Promise<void> {
    const units = returns
      .filter(({ units, spent }) => units > 0 || spent > 0)
      .map(({ of, terms, units, spent }) => ({ counter: counterOf(of, terms), units, spent }));
    if (units.length === 0) return;
    const returned = this.timed(this.returns, () => this.authority.giveBack(units, holder));
    this.returning = Promise.allSettled([this.returning, returned]);
    await returned;
  }

  /** How long it took, when it was answered. */
  private async timed<T>(durations: Durations, question: () => Promise<T>): Promise<T> {
    const fromMs = this.clock.monotonicMs();
    const answer = await question();
    durations.add(this.clock.monotonicMs() - fromMs);
    return answer;
  }

  private ownerOf(number: number): QuotaOwner {
    const owner = this.owners.get(number);
    if (!owner) throw new Error(`Nobody is owner ${number}.`);
    return owner;
  }

  /** One log line per change of state, not per call. */
  private tell(error: unknown): void {
    if (this.failing === (error !== null)) return;
    this.failing = error !== null;
    if (error === null) this.logger.log('The quota authority answers again.');
    else this.logger.error(`The quota authority does not answer: ${messageOf(error)}`);
  }
}

const newHolder = () => `api/${randomUUID()}`;

const NO_TERMS: QuotaTerms = { limit: 0, periodFromMs: 0, periodToMs: 0 };

const counterOf = (owner: QuotaOwner, { periodFromMs, periodToMs }: QuotaTerms): QuotaCounter => ({
  ...owner,
  periodFrom: new Date(periodFromMs),
  periodTo: new Date(periodToMs),
});

/** Whether what is held is of the period that this rule finds at this instant. */
function isSamePeriod({ terms, rule }: HeldQuota, quota: QuotaLimit, atMs: number): boolean {
  return (
    atMs >= terms.periodFromMs &&
    atMs < terms.periodToMs &&
    rule.period === quota.period &&
    rule.offset === quota.offset
  );
}

const limitOf = ({ terms }: HeldQuota, quota: QuotaLimit) =>
  quotaLimitIn(quota, { fromMs: terms.periodFromMs, toMs: terms.periodToMs });

const isCurrent = (held: HeldQuota, quota: QuotaLimit, atMs: number) =>
  isSamePeriod(held, quota, atMs) && held.terms.limit === limitOf(held, quota);
