import type { Period } from '@core/kernel';
import { isInAdvance, type Price } from '@core/pricing';
import {
  withAdjustments,
  withLines,
  type Adjustment,
  type DraftLine,
  type InvoiceDraft,
} from './draft-invoice.js';
import { daysOf } from './invoice-dates.js';
import { adjustmentOf, unbilledAdjustments, type BilledPeriod } from './late-usage.js';
import { chargeKey, type BilledPart, type PriceLine, type RatingSnapshot } from './price-lines.js';
import { phaseParts, type Phase, type Timeline } from './timeline.js';

/** The prices of a rate card. */
interface Priced {
  readonly prices: readonly { readonly price: Price }[];
}

/** Whether anything is asked for in advance while a phase lasts. */
export function phaseAsksInAdvance(
  { kind, priceOverrides, addOns }: Phase,
  { prices }: Priced,
): boolean {
  if (kind !== 'active') return false;
  return [prices, priceOverrides, addOns].some((all) =>
    all.some(({ price }) => isInAdvance(price)),
  );
}

/**
 * Whether anything is asked for a period before it begins. What follows a trial or a pause within it is not: nobody pays ahead for what they are
 * still trying.
 */
export function periodAsksInAdvance(
  timeline: Timeline,
  period: Period,
  cardOf: (phase: Phase) => Priced,
): boolean {
  const phases = phaseParts(timeline, period).map(({ phase }) => phase);
  return until(phases, ({ kind }) => kind !== 'active').some((phase) =>
    phaseAsksInAdvance(phase, cardOf(phase)),
  );
}

/** The parts of a period with nothing but what is asked for it in advance, which no usage is needed for. */
export function partsInAdvance(parts: readonly BilledPart[]): BilledPart[] {
  return until(parts, ({ isCharged }) => !isCharged).map((part) => {
    const prices = part.rateCard.prices.filter(({ price }) => isInAdvance(price));
    const addOns = part.addOns.filter(({ price }) => isInAdvance(price));
    return { ...part, rateCard: { ...part.rateCard, prices }, addOns, usage: [] };
  });
}

/**
 * What is asked for a period in advance (`rated`, of `partsInAdvance`) and no other invoice asked for yet: a line for each price. It stands on the
 * invoice of the period before, and of the first period on an invoice of its own, whose period is the instant of the start.
 */
export function advanceAdjustments(rated: InvoiceDraft, billed: BilledPeriod): Adjustment[] {
  const { first, last } = daysOf(rated.period, rated.timezone);
  return unbilledAdjustments(rated, billed, 'in-advance', ({ description, rating }) => {
    return `${description}${rating.spans ? '' : `: ${first} to ${last}`}, in advance`;
  });
}

/**
 * A draft without what was asked for its period in advance. Where less or more was due in the end, such as after an upgrade or a
 * cancellation, a line asks for the difference or gives it back.
 */
export function settledDraft(draft: InvoiceDraft, own: BilledPeriod): InvoiceDraft {
  if (own.inAdvance.size === 0) return draft;
  const from = own.period.from.toISOString();
  const wasAsked = (line: DraftLine): line is PriceLine =>
    line.kind === 'price' && own.inAdvance.has(chargeKey(line.rating, from));
  const asked = draft.lines.filter(wasAsked);
  const differences = unbilledAdjustments(
    withLines(draft, asked),
    own,
    'in-advance',
    ({ description }) => `${description}: difference to what was asked in advance`,
  );
  const held = new Set(asked.map(({ rating }) => chargeKey(rating, from)));
  const { first, last } = daysOf(own.period, draft.timezone);
  for (const [key, rating] of own.inAdvance) {
    const minor = -(own.billed.get(key) ?? 0n);
    if (held.has(key) || minor === 0n) continue;
    const description = `Asked in advance for ${first} to ${last}, taken back`;
    const amount = { minor, currency: draft.currency };
    const of = { kind: 'in-advance', description, amount, rating: nothingOf(rating) } as const;
    differences.push(adjustmentOf(of, own));
  }
  const others = draft.lines.filter((line) => !wasAsked(line));
  return withAdjustments(withLines(draft, others), differences);
}

/** A price that is asked for nothing after all. */
function nothingOf({ share: _, commitment: _c, ...rating }: RatingSnapshot): RatingSnapshot {
  const zero = { quantity: '0', units: '0', grossAmount: '0', exactAmount: '0', roundedMinor: '0' };
  return { ...rating, ...zero, tiers: [] };
}

/** Those before the first that ends it. */
function until<T>(all: readonly T[], ends: (one: T) => boolean): readonly T[] {
  const end = all.findIndex(ends);
  return end === -1 ? all : all.slice(0, end);
}
