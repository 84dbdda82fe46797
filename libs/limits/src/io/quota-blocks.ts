import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { Durations } from '@core/kernel';
import {
  blockSize,
  isIdle,
  measuredPace,
  quotaLimitIn,
  quotaPeriod,
  type KeyPolicy,
  type PlanPolicy,
  type QuotaBlock,
  type QuotaLimit,
} from '@core/limits';
import { messageOf, SystemClock } from '@io/platform';
import { QuotaAuthority, type QuotaCounter } from './quota-authority.js';

/** What this process holds of one quota, and how it was spent. */
export interface HeldQuota extends QuotaBlock {
  periodFromMs: number;
  periodToMs: number;
  limit: number;
  remainingAtAuthority: number;
  believedUntilMs: number;
  inHand: number;
  /** What the period was made from. */
  readonly rule: QuotaLimit;
  /** ISO text of the period's end. */
  resetsAt: string;
  counter: QuotaCounter;
  spentAtMs: number;
  /** Spent since the pace was last measured. */
  spent: number;
  pace: number;
  measuredAtMs: number;
  asked: number;
  waiting: Promise<void> | null;
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

/** How long an exhausted quota is believed before the authority is asked again. */
const BELIEF_MS = 500;
const SWEEP_MS = 500;
/** Counters that nobody asked for in so long are forgotten. */
const FORGET_MS = 60_000;

/**
 * The blocks of quota that this process has taken: spent locally and synchronously, taken for all waiting keys in
 * one statement at a time, and given back when they lie idle, when their period ends and when the process stops.
 */
@Injectable()
export class QuotaBlocks implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('QuotaBlocks');
  private readonly held = new Map<string, HeldQuota>();
  private queue: HeldQuota[] = [];
  /** The statement that will take the queue; it begins when the one before has been answered. */
  private next: Promise<void> | null = null;
  private running: Promise<unknown> = Promise.resolve();
  private timer: NodeJS.Timeout | null = null;
  private failing = false;
  private failures = 0;
  private granted = 0;
  private returned = 0;
  private readonly debits = new Durations();
  private readonly returns = new Durations();

  constructor(
    private readonly authority: QuotaAuthority,
    private readonly clock: SystemClock,
  ) {}

  onModuleInit(): void {
    this.timer = setInterval(() => void this.sweep(false), SWEEP_MS);
    this.timer.unref();
  }

  /** After the last answer, since calls take blocks until then, and before the database closes, which is global. */
  async onApplicationShutdown(): Promise<void> {
    if (this.timer) clearInterval(this.timer);
    await this.running;
    await this.sweep(true);
  }

  /**
   * What is held of the quota of a key in a plan at this instant of the business clock. `last` is what this answered
   * the time before, where the caller has it at hand.
   */
  of(key: KeyPolicy, plan: PlanPolicy, atMs: number, last: HeldQuota | null): HeldQuota | null {
    const { quota } = plan;
    if (!quota) return null;
    if (last && !last.isForgotten && isCurrent(last, quota, atMs)) return last;
    const id = `${plan.id}/${key.keyId}`;
    const held = this.held.get(id);
    if (held && isSamePeriod(held, quota, atMs)) {
      const limit = limitOf(held, quota);
      if (held.limit !== limit) this.changeLimit(held, limit);
      return held;
    }
    if (held) this.forget(held);
    const fresh = this.open(key, plan.id, quota, atMs);
    this.held.set(id, fresh);
    return fresh;
  }

  /** Waits until the authority has answered a wish for at least `missing` more. Rejects when it cannot. */
  async take(held: HeldQuota, missing: number): Promise<void> {
    held.asked += missing;
    if (!held.waiting) {
      this.queue.push(held);
      held.waiting = this.next ??= this.afterRunning();
    }
    await held.waiting;
  }

  stats(): QuotaBlockStats {
    const { failing: isFailing, failures, granted, returned, debits, returns } = this;
    let inHand = 0;
    for (const held of this.held.values()) inHand += held.inHand;
    return { isFailing, failures, inHand, granted, returned, debits, returns };
  }

  private open(key: KeyPolicy, usagePlanId: string, rule: QuotaLimit, atMs: number): HeldQuota {
    const { accountId, customerId, keyId } = key;
    const period = quotaPeriod(rule, new Date(atMs));
    const fromMs = period.from.getTime();
    const toMs = period.to.getTime();
    const now = this.clock.monotonicMs();
    return {
      periodFromMs: fromMs,
      periodToMs: toMs,
      resetsAt: period.to.toISOString(),
      rule,
      limit: quotaLimitIn(rule, { fromMs, toMs }),
      remainingAtAuthority: 0,
      believedUntilMs: Number.NEGATIVE_INFINITY,
      inHand: 0,
      counter: {
        accountId,
        customerId,
        usagePlanId,
        keyId,
        periodFrom: period.from,
        periodTo: period.to,
      },
      spentAtMs: now,
      spent: 0,
      pace: 0,
      measuredAtMs: now,
      asked: 0,
      waiting: null,
      isForgotten: false,
    };
  }

  /** A block of the old limit may be more than the new one leaves, so it goes back before the next call. */
  private changeLimit(held: HeldQuota, limit: number): void {
    this.release(held);
    held.limit = limit;
    held.remainingAtAuthority = 0;
    held.believedUntilMs = Number.NEGATIVE_INFINITY;
  }

  private forget(held: HeldQuota): void {
    held.isForgotten = true;
    this.release(held);
  }

  private release(held: HeldQuota): void {
    const units = held.inHand;
    held.inHand = 0;
    if (units > 0) void this.giveBack([{ counter: held.counter, units }]);
  }

  private afterRunning(): Promise<void> {
    const next = this.running.then(() => this.takeQueue());
    this.running = next.catch(() => undefined);
    return next;
  }

  private async takeQueue(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const wishes = this.queue;
    this.queue = [];
    this.next = null;
    const now = this.clock.monotonicMs();
    const asked = wishes.map((held) => {
      const { asked: amount, limit } = held;
      held.asked = 0;
      held.waiting = null;
      this.measure(held, now);
      return { amount, limit };
    });
    try {
      const grants = await this.authority.debit(
        wishes.map((held, index) => ({
          counter: held.counter,
          limit: held.limit,
          asked: asked[index]?.amount ?? 0,
          wanted: blockSize({
            asked: 0,
            remaining: Number.MAX_SAFE_INTEGER,
            pacePerSecond: held.pace,
          }),
        })),
      );
      this.debits.add(this.clock.monotonicMs() - now);
      for (const [index, held] of wishes.entries()) {
        const grant = grants[index];
        if (!grant) continue;
        this.granted += grant.granted;
        if (held.isForgotten || held.limit !== asked[index]?.limit) {
          // Not what the process goes by any more: of a period that ended, or more than a lower limit leaves.
          void this.giveBack([{ counter: held.counter, units: grant.granted }]);
          continue;
        }
        held.inHand += grant.granted;
        held.remainingAtAuthority = grant.remaining;
        held.believedUntilMs = this.clock.monotonicMs() + BELIEF_MS;
        held.spentAtMs = this.clock.monotonicMs();
      }
      this.tell(null);
    } catch (error) {
      this.tell(error);
      throw error;
    }
  }

  private measure(held: HeldQuota, now: number): void {
    held.pace = measuredPace(held.pace, { spent: held.spent, elapsedMs: now - held.measuredAtMs });
    held.spent = 0;
    held.measuredAtMs = now;
  }

  /** Gives back what lies idle, or all of it, and forgets counters that nobody uses. */
  private async sweep(all: boolean): Promise<void> {
    const now = this.clock.monotonicMs();
    const returns = [];
    for (const [id, held] of this.held) {
      if (held.inHand > 0 && (all || isIdle(held, now))) {
        returns.push({ counter: held.counter, units: held.inHand });
        held.inHand = 0;
      }
      if (held.inHand === 0 && !held.waiting && now - held.spentAtMs > FORGET_MS) {
        held.isForgotten = true;
        this.held.delete(id);
      }
    }
    await this.giveBack(returns);
  }

  /** What cannot be given back stays debited: a quota is never exceeded, at worst not quite used. */
  private async giveBack(returns: Parameters<QuotaAuthority['giveBack']>[0]): Promise<void> {
    if (returns.length === 0) return;
    try {
      const fromMs = this.clock.monotonicMs();
      await this.authority.giveBack(returns);
      this.returns.add(this.clock.monotonicMs() - fromMs);
      for (const { units } of returns) this.returned += units;
      this.tell(null);
    } catch (error) {
      this.tell(error);
    }
  }

  /** One log line per change of state, not per call. */
  private tell(error: unknown): void {
    if (error !== null) this.failures += 1;
    if (this.failing === (error !== null)) return;
    this.failing = error !== null;
    if (error === null) this.logger.log('The quota authority answers again.');
    else this.logger.error(`The quota authority does not answer: ${messageOf(error)}`);
  }
}

/** Whether what is held is of the period that this rule finds at this instant. */
function isSamePeriod(held: HeldQuota, { period, offset }: QuotaLimit, atMs: number): boolean {
  return (
    atMs >= held.periodFromMs &&
    atMs < held.periodToMs &&
    held.rule.period === period &&
    held.rule.offset === offset
  );
}

const limitOf = ({ periodFromMs, periodToMs }: HeldQuota, quota: QuotaLimit) =>
  quotaLimitIn(quota, { fromMs: periodFromMs, toMs: periodToMs });

const isCurrent = (held: HeldQuota, quota: QuotaLimit, atMs: number) =>
  isSamePeriod(held, quota, atMs) && held.limit === limitOf(held, quota);
