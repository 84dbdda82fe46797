import type { Period } from '@core/kernel';
import type { AddOn } from './add-ons.js';
import { billingPeriod, periodAfterChange } from './billing-period.js';
import { timezoneOf } from './invoice-dates.js';
import type { PeriodRule } from './period-rule.js';
import type { PriceOverride } from './price-overrides.js';
import { partShare, type ProrationShare } from './proration.js';

/** `trial` and `paused` ask for nothing: what is used then is counted and not charged. */
export type PhaseKind = 'trial' | 'active' | 'paused';

/** What holds of a subscription while a phase lasts. */
export interface PhaseTerms {
  readonly kind: PhaseKind;
  readonly usagePlanId: string;
  readonly rateCardId: string;
  readonly rateCardVersion: number;
  readonly periodRule: PeriodRule;
  /** Prices of the customer's own, in place of those of the rate card. */
  readonly priceOverrides: readonly PriceOverride[];
  /** Prices beside those of the rate card, each with a quantity. */
  readonly addOns: readonly AddOn[];
}

/** Terms that hold from an instant until the next phase begins. */
export interface Phase extends PhaseTerms {
  readonly startsAt: Date;
}

/** The phases of a subscription in the order of time; the first begins with it, the last has no end of its own. */
export type Timeline = readonly [Phase, ...Phase[]];

/** A phase as it was written; what a later revision begins at, and all after it, takes the place of what was there. */
export interface WrittenPhase extends Phase {
  readonly revision: number;
}

/** A part of a period throughout which the same terms hold. */
export interface PhasePart {
  readonly period: Period;
  readonly phase: Phase;
}

/** A period with what it is a part of: the whole would-be period of the calendar, which begins earlier for who joined within it. */
export interface OpenPeriod {
  readonly period: Period;
  readonly whole: Period;
  readonly rule: PeriodRule;
}

/** The phases that count, of all that were ever written. Without any there is only the first. */
export function timelineOf(first: Phase, written: readonly WrittenPhase[]): Timeline {
  const inOrder = written.toSorted(
    (a, b) => a.revision - b.revision || a.startsAt.getTime() - b.startsAt.getTime(),
  );
  let phases: Phase[] = [first];
  for (const phase of inOrder.map(withoutRevision)) {
    phases = [...phases.filter(({ startsAt }) => startsAt < phase.startsAt), phase];
  }
  const [head = first, ...rest] = phases;
  return [head, ...rest];
}

function withoutRevision({ revision: _, ...phase }: WrittenPhase): Phase {
  return phase;
}

/** The phase that an instant lies in; the first for what lies before it. */
export function phaseAt(timeline: Timeline, at: Date): Phase {
  return timeline.findLast(({ startsAt }) => startsAt <= at) ?? timeline[0];
}

/** What a subscription is at an instant. */
export type SubscriptionStatus = 'pending' | PhaseKind | 'ended';

/** Whether it has begun, what it is then, and whether it has ended. */
export function statusAt(timeline: Timeline, endsAt: Date | null, at: Date): SubscriptionStatus {
  if (at < timeline[0].startsAt) return 'pending';
  if (endsAt !== null && endsAt <= at) return 'ended';
  return phaseAt(timeline, at).kind;
}

/**
 * The phases from `at` on, when a change of terms is made there. What is planned for later keeps its instants, and is changed alike: an
 * add-on that comes today stays when the trial ends tomorrow.
 */
export function changedPhases(
  timeline: Timeline,
  at: Date,
  change: (terms: PhaseTerms, startsAt: Date) => PhaseTerms,
): Phase[] {
  const later = timeline.filter(({ startsAt }) => startsAt > at);
  return [{ ...phaseAt(timeline, at), startsAt: at }, ...later].map(({ startsAt, ...terms }) => ({
    ...change(terms, startsAt),
    startsAt,
  }));
}

/** The phases from `at` on, when the subscription is paused there: until an instant, or until it is resumed. */
export function pausedPhases(timeline: Timeline, at: Date, until: Date | null): Phase[] {
  const isPaused = (startsAt: Date) => until === null || startsAt < until;
  const phases = changedPhases(timeline, at, (terms, startsAt) =>
    isPaused(startsAt) ? { ...terms, kind: 'paused' } : terms,
  );
  if (until === null || phases.some(({ startsAt }) => startsAt.getTime() === until.getTime()))
    return phases;
  const resumed: Phase = { ...phaseAt(timeline, until), startsAt: until };
  return [...phases, resumed].toSorted((a, b) => a.startsAt.getTime() - b.startsAt.getTime());
}

/** The phases from `at` on, when a paused subscription is resumed there. */
export function resumedPhases(timeline: Timeline, at: Date): Phase[] {
  return changedPhases(timeline, at, (terms) =>
    terms.kind === 'paused' ? { ...terms, kind: 'active' } : terms,
  );
}

/** A timeline in which phases take the place of what was from the first of them on. */
export function withPhases(timeline: Timeline, phases: readonly Phase[]): Timeline {
  const [change] = phases;
  const kept = change ? timeline.filter(({ startsAt }) => startsAt < change.startsAt) : timeline;
  const [first = timeline[0], ...rest] = [...kept, ...phases];
  return [first, ...rest];
}

/** The parts of a period, in order, without gap or overlap. Phases side by side with the same terms are one part. */
export function phaseParts(timeline: Timeline, { from, to }: Period): PhasePart[] {
  const inside = timeline.filter(({ startsAt }) => startsAt > from && startsAt < to);
  const phases = [phaseAt(timeline, from), ...inside];
  const parts: { phase: Phase; from: Date }[] = [];
  for (const phase of phases) {
    const before = parts.at(-1);
    if (before && haveSameTerms(before.phase, phase)) continue;
    parts.push({ phase, from: before ? phase.startsAt : from });
  }
  return parts.map(({ phase, from: start }, index) => ({
    phase,
    period: { from: start, to: parts[index + 1]?.from ?? to },
  }));
}

/**
 * What is to be billed next: from where the last invoice ended to the end of that period, or to the end of the subscription when it comes
 * first. Null when nothing is left. A rule that begins to hold at `billedTo` begins its first period there (`periodAfterChange`).
 */
export function openPeriod(
  timeline: Timeline,
  { billedTo: from, endsAt }: { readonly billedTo: Date; readonly endsAt: Date | null },
): OpenPeriod | null {
  if (endsAt !== null && endsAt <= from) return null;
  const { periodRule: rule } = phaseAt(timeline, from);
  const { periodRule: before } = phaseAt(timeline, new Date(from.getTime() - 1));
  const { to } =
    before === rule || isSame(before, rule)
      ? billingPeriod(rule, from, 'containing')
      : periodAfterChange({ before, after: rule, lastEnded: from });
  const whole = billingPeriod(rule, new Date(to.getTime() - 1), 'containing');
  return { period: { from, to: endsAt !== null && endsAt < to ? endsAt : to }, whole, rule };
}

/**
 * The period that usage is counted in now, and where it ends; null when nothing is left to bill. It has begun too while what is asked for it in
 * advance is still to be invoiced, as of the instant of the start.
 */
export function currentPeriod(
  timeline: Timeline,
  of: { readonly billedTo: Date; readonly closesAt: Date | null; readonly endsAt: Date | null },
): Period | null {
  const { billedTo: from, closesAt: to } = of;
  if (to === null || to > from) return to && { from, to };
  return openPeriod(timeline, of)?.period ?? null;
}

/** Where what is open closes when the end of a subscription is moved: what is due at its start stays due. */
export function closingAt(
  timeline: Timeline,
  of: { readonly billedTo: Date; readonly closesAt: Date | null; readonly endsAt: Date | null },
): Date | null {
  if (of.closesAt?.getTime() === of.billedTo.getTime()) return of.closesAt;
  return openPeriod(timeline, of)?.period.to ?? null;
}

/** How much of its whole would-be period a part of a period is (`partShare`); null when it is all of it. */
export function shareOfPart(
  timeline: Timeline,
  period: Period,
  part: Period,
): ProrationShare | null {
  const open = openPeriod(timeline, { billedTo: period.from, endsAt: null });
  if (!open || (part.from <= open.whole.from && part.to >= open.whole.to)) return null;
  const { whole, rule, period: full } = open;
  const isEnd = part.to.getTime() === period.to.getTime() && period.to < full.to;
  const share = partShare(part, { whole, rule, end: isEnd ? 'end' : 'hand-over' });
  return share.used === share.of ? null : share;
}

/** The zone whose days a period is told in. */
export function timezoneAt(timeline: Timeline, at: Date): string {
  return timezoneOf(phaseAt(timeline, at).periodRule);
}

function haveSameTerms({ startsAt: _a, ...a }: Phase, { startsAt: _b, ...b }: Phase): boolean {
  // The rule says when periods begin, not what is asked within one.
  return isSame({ ...a, periodRule: null }, { ...b, periodRule: null });
}

/** Whether two values say the same, whatever the order of their members. */
export function isSame(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
