import { addMoney, zeroMoney, type Money, type Period } from '@core/kernel';
import { isInAdvance, type Price } from '@core/pricing';
import { withAdjustments, type Adjustment, type InvoiceDraft } from './draft-invoice.js';
import { daysOf } from './invoice-dates.js';
import { adjustmentOf, type BilledPeriod } from './late-usage.js';
import { chargeKey, type BilledPart, type RatingSnapshot } from './price-lines.js';
import { phaseParts, type Phase, type Timeline } from './timeline.js';

/**
 * Whether anything is asked for a period before it begins. What follows a trial or a pause within it is not: nobody pays ahead for what they are
 * still trying.
 */
export function periodAsksInAdvance(
  timeline: Timeline,
  period: Period,
  cardOf: (phase: Phase) => { readonly prices: readonly { readonly price: Price }[] },
): boolean {
  const phases = phaseParts(timeline, period).map(({ phase }) => phase);
  return until(phases, ({ kind }) => kind !== 'active').some((phase) => {
    const prices = [...cardOf(phase).prices, ...phase.priceOverrides, ...phase.addOns];
    return prices.some(({ price }) => isInAdvance(price));
  });
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
  const days = daysOf(rated.period, rated.timezone);
  return rated.lines.flatMap((line): Adjustment[] => {
    if (line.kind !== 'price') return [];
    const before =
      billed.billed.get(chargeKey(line.rating, billed.period.from.toISOString())) ?? 0n;
    const minor = line.amount.minor - before;
    if (minor === 0n) return [];
    const when = line.rating.spans ? '' : `: ${days.first} to ${days.last}`;
    const description = `${line.description}${when}, in advance`;
    const amount = { minor, currency: rated.currency };
    return [adjustmentOf({ kind: 'in-advance', description, amount, rating: line.rating }, billed)];
  });
}

/**
 * A draft without what was asked for its period in advance. Where less or more was due in the end, such as after an upgrade or a
 * cancellation, a line asks for the difference or gives it back.
 */
export function settledDraft(draft: InvoiceDraft, own: BilledPeriod): InvoiceDraft {
  if (own.inAdvance.size === 0) return draft;
  const from = own.period.from.toISOString();
  const left = new Map(own.inAdvance);
  const days = daysOf(own.period, draft.timezone);
  const differences: Adjustment[] = [];
  const lines = draft.lines.filter((line) => {
    const key = line.kind === 'price' ? chargeKey(line.rating, from) : '';
    if (line.kind !== 'price' || !left.delete(key)) return true;
    const minor = line.amount.minor - (own.billed.get(key) ?? 0n);
    if (minor === 0n) return false;
    const description = `${line.description}: difference to what was asked in advance`;
    const amount = { minor, currency: draft.currency };
    const of = { kind: 'in-advance', description, amount, rating: line.rating } as const;
    differences.push(adjustmentOf(of, own));
    return false;
  });
  for (const [key, rating] of left) {
    const minor = -(own.billed.get(key) ?? 0n);
    if (minor === 0n) continue;
    const amount: Money = { minor, currency: draft.currency };
    const description = `Asked in advance for ${days.first} to ${days.last}, taken back`;
    const of = { kind: 'in-advance', description, amount, rating: nothingOf(rating) } as const;
    differences.push(adjustmentOf(of, own));
  }
  const subtotal = lines.reduce(
    (sum, { amount }) => addMoney(sum, amount),
    zeroMoney(draft.currency),
  );
  const rest = { ...draft, lines, subtotal, total: addMoney(subtotal, draft.tax) };
  return withAdjustments(rest, differences);
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
