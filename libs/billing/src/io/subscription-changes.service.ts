import { Injectable, Logger } from '@nestjs/common';
import {
  changedPhases,
  isSame,
  closingAt,
  currentPeriod,
  pausedPhases,
  PeriodAlreadyBilled,
  phaseAt,
  resumedPhases,
  SubscriptionEnded,
  SubscriptionNotActive,
  withPhases,
  type Phase,
} from '@core/billing';
import type { Scope } from '@core/identity';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  SystemClock,
  VersionMismatch,
} from '@io/platform';
import { ChangedTermsService, type TermsChange } from './changed-terms.service.js';
import {
  SubscriptionChangesRepository,
  type SubscriptionChange,
} from './subscription-changes.repository.js';
import type { SubscriptionNow, SubscriptionOverTime } from './timelines.js';

/** When an act takes effect: now, with the end of the open period, or at an instant that was not invoiced yet. */
export type ChangeInstant = 'now' | 'period-end' | Date;

/** The repeating job that moves keys whose time has come, and its queue. */
export const MOVE_SUBSCRIPTION_KEYS = 'move-subscription-keys';

/** An act as it was computed: what it writes, or that nothing would change. */
type Act = (seen: SubscriptionOverTime, at: Date, now: Date) => Promise<Written | null>;
type Written = Pick<SubscriptionChange, 'phases'> & Partial<Pick<SubscriptionChange, 'dates'>>;

const WORKER = 'worker';
const CANCEL = 'cancel-subscription';
const DUE_MAX = 500;
const ATTEMPTS_MAX = 5;
/** How far ahead a change may be planned. */
const AHEAD_DAYS_MAX = 400;
const DAY_MS = 86_400_000;

/**
 * What happens to subscriptions: changes of their terms, pauses, ends. Each act holds from an instant that was not invoiced yet, is
 * written once, and changes nothing when it is asked for again.
 */
@Injectable()
export class SubscriptionChangesService {
  private readonly logger = new Logger('Subscriptions');

  constructor(
    private readonly subscriptions: SubscriptionChangesRepository,
    private readonly terms: ChangedTermsService,
    private readonly clock: BusinessClock,
    private readonly systemClock: SystemClock,
  ) {}

  /**
   * Changes terms from an instant on: plan, prices, add-ons, and with the period's end also the period rule. Throws `InvalidRequest`,
   * `PeriodAlreadyBilled`, `SubscriptionEnded`, `SubscriptionOverlaps` or `KeyAlreadyOnStage`.
   */
  change(
    scope: Scope,
    id: string,
    { at, ...change }: TermsChange & { readonly at: ChangeInstant },
  ): Promise<SubscriptionNow> {
    ensureRuleAtEnd(change, at);
    return this.act(scope, id, { action: 'change-subscription', at }, (seen, instant) =>
      this.changed(scope, seen, { at: instant, change }),
    );
  }

  /** What a change would make of the phases, without writing it. Throws as `change` does. */
  async planned(
    scope: Scope,
    id: string,
    { at, ...change }: TermsChange & { readonly at: ChangeInstant },
  ): Promise<{ seen: SubscriptionOverTime; at: Date; phases: readonly Phase[] }> {
    ensureRuleAtEnd(change, at);
    const seen = await this.get(scope, id);
    const now = await this.clock.now(scope.accountId);
    const instant = instantOf(seen, { at, isEnd: false }, now);
    const written = await this.changed(scope, seen, { at: instant, change });
    return { seen, at: instant, phases: written?.phases ?? [] };
  }

  /** Pauses it: nothing is asked for, and its keys leave the plan, until an instant or until it is resumed. Throws `SubscriptionNotActive`. */
  pause(
    scope: Scope,
    id: string,
    { at, until }: { readonly at: ChangeInstant; readonly until: Date | null },
  ): Promise<SubscriptionNow> {
    return this.act(scope, id, { action: 'pause-subscription', at }, (seen, instant) => {
      const { kind } = phaseAt(seen.timeline, instant);
      if (kind === 'trial') throw new SubscriptionNotActive(kind);
      if (until !== null && until <= instant) {
        throw new InvalidRequest([{ pointer: '/until', detail: 'must be after the pause begins' }]);
      }
      const phases = pausedPhases(seen.timeline, instant, until);
      return Promise.resolve(isSame(phases, phasesFrom(seen, instant)) ? null : { phases });
    });
  }

  /** Resumes a pause, and takes back that it was cancelled for later. */
  resume(
    scope: Scope,
    id: string,
    { at }: { readonly at: ChangeInstant },
  ): Promise<SubscriptionNow> {
    return this.act(scope, id, { action: 'resume-subscription', at }, (seen, instant) => {
      const phases = resumedPhases(seen.timeline, instant);
      const isPaused = !isSame(phases, phasesFrom(seen, instant));
      if (seen.cancelledAt === null) return Promise.resolve(isPaused ? { phases } : null);
      const closesAt = closingAt(seen.timeline, { ...seen, endsAt: null });
      const dates = { endsAt: null, cancelledAt: null, closesAt };
      return Promise.resolve({ phases: isPaused ? phases : [], dates });
    });
  }

  /** Ends it, now or with the period; then its keys leave the plan, unless another subscription goes on with it. */
  async cancel(
    scope: Scope,
    id: string,
    { at }: { readonly at: ChangeInstant },
  ): Promise<SubscriptionNow> {
    const before = await this.get(scope, id);
    const now = await this.clock.now(scope.accountId);
    const hasEnded = before.endsAt !== null && before.endsAt <= now;
    if (hasEnded && before.cancelledAt !== null) return { ...before, now };
    return this.act(scope, id, { action: CANCEL, at }, (seen, endsAt, cancelledAt) => {
      if (seen.cancelledAt !== null && seen.endsAt?.getTime() === endsAt.getTime())
        return Promise.resolve(null);
      if (endsAt <= seen.startsAt) {
        const detail = `must be after the start, ${seen.startsAt.toISOString()}`;
        throw new InvalidRequest([{ pointer: '/at', detail }]);
      }
      const dates = {
        endsAt,
        cancelledAt,
        closesAt: closingAt(seen.timeline, { ...seen, endsAt }),
      };
      return Promise.resolve({ phases: [], dates });
    });
  }

  /** Moves the keys of all subscriptions for which it is time, and returns how many they were. One that fails keeps no other waiting. */
  async moveDueKeys(): Promise<number> {
    const due = await this.subscriptions.dueKeys(this.systemClock.now(), DUE_MAX);
    const failures: unknown[] = [];
    for (const { accountId, id } of due) {
      try {
        const now = await this.clock.now(accountId);
        await this.subscriptions.settle({ accountId, principalId: WORKER }, id, now);
      } catch (error) {
        this.logger.error(`The keys of ${id} could not be moved.`, error);
        failures.push(error);
      }
    }
    if (failures.length > 0)
      throw new AggregateError(failures, `The keys of ${failures.length} subscription(s) stay.`);
    return due.length;
  }

  private async changed(
    scope: Scope,
    seen: SubscriptionOverTime,
    { at, change }: { readonly at: Date; readonly change: TermsChange },
  ): Promise<Written | null> {
    const patch = await this.terms.patch(scope, seen, { at, change });
    const phases = changedPhases(seen.timeline, at, patch);
    return isSame(phases, phasesFrom(seen, at)) ? null : { phases };
  }

  /** Reads, computes and writes, again while the subscription moves on in between. */
  private async act(
    scope: Scope,
    id: string,
    { action, at }: { readonly action: string; readonly at: ChangeInstant },
    act: Act,
  ): Promise<SubscriptionNow> {
    for (let attempt = 1; ; attempt += 1) {
      const seen = await this.get(scope, id);
      const now = await this.clock.now(scope.accountId);
      const isEnd = action === CANCEL;
      const written = await act(seen, instantOf(seen, { at, isEnd }, now), now);
      if (!written) return { ...seen, now };
      const { endsAt, cancelledAt, ...planned } = { ...seen, ...written.dates };
      // Before its start it has no invoice, and may begin by other terms.
      const closesAt =
        now < seen.startsAt
          ? await this.terms.firstClosing(scope, withPhases(seen.timeline, written.phases), endsAt)
          : planned.closesAt;
      const dates = { endsAt, cancelledAt, closesAt };
      try {
        const done = { ...written, action, dates, now };
        return { ...(await this.subscriptions.write(scope, seen, done)), now };
      } catch (error) {
        if (!(error instanceof VersionMismatch) || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  }

  private async get(scope: Scope, id: string): Promise<SubscriptionOverTime> {
    const subscription = await this.subscriptions.find(scope, id);
    if (!subscription) throw new NotFound('subscription', id);
    return subscription;
  }
}

/** The rule says when periods begin, so it changes with the next one. */
function ensureRuleAtEnd({ periodRule }: TermsChange, at: ChangeInstant): void {
  if (periodRule === undefined || at === 'period-end') return;
  const detail = 'takes effect with the end of the period only: send "period-end" as `at`';
  throw new InvalidRequest([{ pointer: '/periodRule', detail }]);
}

/** What holds from an instant on as it stands, to compare with what would. */
function phasesFrom({ timeline }: SubscriptionOverTime, at: Date): Phase[] {
  return changedPhases(timeline, at, (terms) => terms);
}

/**
 * The instant of an act; an end (`isEnd`) may lie behind one that was planned. Throws `SubscriptionEnded`, `PeriodAlreadyBilled`, or
 * `InvalidRequest` for what is before the start or years ahead.
 */
function instantOf(
  seen: SubscriptionOverTime,
  { at, isEnd }: { readonly at: ChangeInstant; readonly isEnd: boolean },
  now: Date,
): Date {
  const { startsAt, billedTo, endsAt, timeline } = seen;
  const instant =
    at === 'now'
      ? new Date(Math.max(now.getTime(), startsAt.getTime()))
      : at === 'period-end'
        ? (currentPeriod(timeline, seen)?.to ?? billedTo)
        : at;
  if (endsAt !== null && endsAt <= (isEnd ? now : instant)) throw new SubscriptionEnded(endsAt);
  if (instant < startsAt || instant.getTime() > now.getTime() + AHEAD_DAYS_MAX * DAY_MS) {
    const detail = `must be from ${startsAt.toISOString()} to ${AHEAD_DAYS_MAX} days ahead`;
    throw new InvalidRequest([{ pointer: '/at', detail }]);
  }
  if (instant < billedTo) throw new PeriodAlreadyBilled(billedTo);
  return instant;
}
