import { blockSize, isIdle, measuredPace, type QuotaBlock } from '@core/limits';
import type { KnownKey } from '../policies/known-keys.js';
import type { KeyQuota } from '../policies/policy-answer.js';
import type { LeaseClient, QuotaGrant, QuotaReturn, QuotaWish } from './lease-client.js';

/** What this process holds of the quota of a key in its plan. */
export interface HeldQuota extends QuotaBlock {
  periodFromMs: number;
  periodToMs: number;
  limit: number;
  remainingAtAuthority: number;
  believedUntilMs: number;
  inHand: number;
  readonly keyId: string;
  readonly usagePlanId: string;
  /** When a block was last granted. */
  grantedAtMs: number;
  /** Spent since the service was last told. */
  untold: number;
  /** Spent since the pace was last measured. */
  spent: number;
  spentAtMs: number;
  pace: number;
  measuredAtMs: number;
  /** What waiting calls need. */
  asked: number;
  waiting: Promise<void> | null;
  /** It is no longer what the process goes by: ask `of` for the one that is. */
  isForgotten: boolean;
  /** Its question is on its way. */
  isAsking: boolean;
}

/** The service lends nothing of this quota: key or plan are no longer what the policy here says. */
export class PolicyOutdated extends Error {
  override readonly name = 'PolicyOutdated';
}

/** How long an exhausted quota is believed before the service is asked again. */
const BELIEF_MS = 500;
/** So long before a block is spent, at the key's own pace, the next one is asked for. */
const AHEAD_SECONDS = 0.5;
/** From the last question that was answered; the service may give what was held to others a little later. */
export const QUOTA_VOID_MS = 45_000;
/** A holder of units has to be heard of so often. */
const GREET_MS = 10_000;
/** Counters that nobody asked for in so long are forgotten. */
const FORGET_MS = 60_000;

/**
 * The blocks of quota that this process has taken: debited at the service, spent here synchronously, topped up before
 * they run out, and given back when they lie idle, when their policy is forgotten, and at the end.
 */
export class QuotaLeases {
  private readonly held = new Map<string, HeldQuota>();

  constructor(private readonly client: LeaseClient) {}

  /** What is held for the key; null when its plan has no quota. */
  of({ answer: { keyId, usagePlanId, quota } }: KnownKey): HeldQuota | null {
    if (quota === null || usagePlanId === null) return null;
    const id = `${usagePlanId}/${keyId}`;
    const known = this.held.get(id);
    if (known !== undefined) {
      if (known.limit !== quota.limit) this.changeLimit(known, quota);
      return known;
    }
    const held = open(keyId, usagePlanId, quota);
    this.held.set(id, held);
    return held;
  }

  /** Whether units in hand may still be spent. What is void is no longer in hand after this. */
  isAlive(now: number): boolean {
    return now - this.client.answeredSentAtMs < QUOTA_VOID_MS;
  }

  /** A call was let pass. Asks for more when what is left will not last. */
  spent(held: HeldQuota, cost: number, now: number): void {
    held.spent += cost;
    held.untold += cost;
    held.spentAtMs = now;
    const isLow = held.inHand < held.pace * AHEAD_SECONDS;
    if (isLow && held.waiting === null && now >= held.believedUntilMs) {
      this.take(held, 0).catch(() => undefined);
    }
  }

  /** Waits until the service has answered a wish for at least `missing` more. Rejects when it cannot be asked. */
  async take(held: HeldQuota, missing: number): Promise<void> {
    // Whoever comes while a question is under way decides again with its answer, and asks anew if that was not enough.
    if (!held.isAsking) held.asked += missing;
    held.waiting ??= this.ask(held).finally(() => {
      held.waiting = null;
      held.isAsking = false;
    });
    await held.waiting;
  }

  /** Gives back what news has made doubtful. */
  release(key: KnownKey): void {
    const { keyId, usagePlanId } = key.answer;
    const held = this.held.get(`${usagePlanId}/${keyId}`);
    if (held === undefined) return;
    held.believedUntilMs = Number.NEGATIVE_INFINITY;
    void this.giveBack([held]);
  }

  /** Gives back what lies idle, forgets what nobody uses, and says that this process lives. */
  sweep(now: number): void {
    const idle: HeldQuota[] = [];
    let holdsUnits = false;
    for (const [id, held] of this.held) {
      if (isIdle(held, now)) idle.push(held);
      else if (held.inHand > 0) holdsUnits = true;
      const isUnused = held.inHand === 0 && held.untold === 0 && held.waiting === null;
      if (isUnused && now - held.spentAtMs > FORGET_MS) {
        held.isForgotten = true;
        this.held.delete(id);
      }
    }
    void this.giveBack(idle);
    if (holdsUnits && now - this.client.answeredSentAtMs > GREET_MS) {
      this.client.greet().catch(() => undefined);
    }
  }

  /** Gives all back. Never rejects. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.held.values()].map(async ({ waiting }) => waiting));
    await this.giveBack([...this.held.values()]);
  }

  private async ask(held: HeldQuota): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    held.isAsking = true;
    const { keyId, usagePlanId } = held;
    const sentAtMs = performance.now();
    held.pace = measuredPace(held.pace, {
      spent: held.spent,
      elapsedMs: sentAtMs - held.measuredAtMs,
    });
    held.spent = 0;
    held.measuredAtMs = sentAtMs;
    const wish: QuotaWish = {
      keyId,
      usagePlanId,
      asked: held.asked,
      wanted: blockSize({
        asked: 0,
        remaining: Number.MAX_SAFE_INTEGER,
        pacePerSecond: held.pace,
      }),
      spent: held.untold,
    };
    held.asked = 0;
    held.untold = 0;
    const [grant] = await this.client.leaseQuotas([wish]);
    if (grant === undefined || grant === null) throw new PolicyOutdated();
    this.hold(held, grant);
  }

  private hold(held: HeldQuota, grant: QuotaGrant): void {
    if (grant.periodFromMs !== held.periodFromMs) {
      void this.giveBack([held]);
      held.periodFromMs = grant.periodFromMs;
      held.periodToMs = grant.periodToMs;
    }
    held.limit = grant.limit;
    held.inHand += grant.granted;
    held.remainingAtAuthority = grant.remaining;
    const now = performance.now();
    held.believedUntilMs = now + BELIEF_MS;
    held.spentAtMs = now;
    held.grantedAtMs = now;
  }

  private changeLimit(held: HeldQuota, { limit }: KeyQuota): void {
    void this.giveBack([held]);
    held.limit = limit;
    held.remainingAtAuthority = 0;
    held.believedUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** What cannot be given back stays debited: a quota is never exceeded, at worst not quite used. */
  private async giveBack(all: readonly HeldQuota[]): Promise<void> {
    const returns: QuotaReturn[] = [];
    for (const held of all) {
      const { keyId, usagePlanId, periodFromMs, inHand, untold } = held;
      if (inHand === 0 && untold === 0) continue;
      returns.push({ keyId, usagePlanId, periodFromMs, units: inHand, spent: untold });
      held.inHand = 0;
      held.untold = 0;
    }
    if (returns.length > 0) await this.client.giveBackQuotas(returns).catch(() => undefined);
  }
}

function open(keyId: string, usagePlanId: string, quota: KeyQuota): HeldQuota {
  const now = performance.now();
  return {
    keyId,
    usagePlanId,
    ...quota,
    remainingAtAuthority: 0,
    believedUntilMs: Number.NEGATIVE_INFINITY,
    inHand: 0,
    grantedAtMs: Number.NEGATIVE_INFINITY,
    untold: 0,
    spent: 0,
    spentAtMs: now,
    pace: 0,
    measuredAtMs: now,
    asked: 0,
    waiting: null,
    isForgotten: false,
    isAsking: false,
  };
}
