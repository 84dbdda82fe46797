import { Decimal } from '@core/kernel';
import { deadlineOf, type MeteringRules } from './metering-window.js';

/** The largest quantity that a record takes. */
export const QUANTITY_MAX = 2_147_483_647;

/** What an agreement was metered of one dimension since it began. The difference is carried. */
export interface MeterBalance {
  /** All usage that was counted, exactly, as its meter counts it. */
  readonly metered: Decimal;
  /** The sum of all records that were made of it, in units of the dimension, whatever became of them. */
  readonly recorded: Decimal;
}

/** Usage that an hour is to be sealed with: its own, and in the first of several what came late for earlier ones. */
export interface MeteredHour {
  readonly hour: Date;
  /** Below zero when corrections took back more than was used. */
  readonly metered: Decimal;
}

/** An hour whose quantity will never change again. */
export interface SealedHour {
  readonly hour: Date;
  readonly quantity: number;
  /** Why no marketplace will take it; null when it is to be sent. */
  readonly deadFor: 'expired' | 'after-end' | null;
}

/** How hours are sealed. */
export interface SealingRules extends Pick<MeteringRules, 'windowHours'> {
  /** So much usage is one unit. */
  readonly unitSize: Decimal;
  /** Idle hours get a record of zero. */
  readonly sendsZero: boolean;
  /** The last of the hours is the agreement's last: no later one takes what is carried. */
  readonly isLast: boolean;
  /** The agreement is over, and so is its last hour: nothing is taken any more. */
  readonly isOver: boolean;
}

/**
 * Freezes the quantities of hours, in their order. A record has the whole units of what was metered and not recorded yet; the
 * fraction, what is below zero, and what is beyond the largest quantity are carried into the next hour. An hour that is past
 * its deadline gets no record as long as a later one can take its usage; else it is dead. So records plus what is
 * carried are what was metered, always.
 */
export function sealHours(
  balance: MeterBalance,
  hours: readonly MeteredHour[],
  { now, ...rules }: SealingRules & { readonly now: Date },
): { readonly sealed: readonly SealedHour[]; readonly balance: MeterBalance } {
  const sealed: SealedHour[] = [];
  let { metered, recorded } = balance;
  hours.forEach(({ hour, metered: used }, index) => {
    metered = metered.add(used);
    const isLastHour = rules.isLast && index === hours.length - 1;
    const isExpired = now >= deadlineOf(hour, rules);
    if ((isExpired || rules.isOver) && !isLastHour) return;
    const whole = metered.div(rules.unitSize).floor().sub(recorded);
    const quantity = Math.max(0, Math.min(QUANTITY_MAX, whole.toNumber()));
    // A zero locks its hour: of one that may still run, or that nobody takes, none is made.
    if (quantity === 0 && (!rules.sendsZero || isExpired || isLastHour || rules.isOver)) return;
    recorded = recorded.add(quantity);
    const deadFor = rules.isOver ? 'after-end' : isExpired ? 'expired' : null;
    sealed.push({ hour, quantity, deadFor });
  });
  return { sealed, balance: { metered, recorded } };
}

/** What was metered and is in no record, in units of the dimension; below zero when more was recorded than is left. */
export const carriedOf = ({ metered, recorded }: MeterBalance, unitSize: Decimal): Decimal =>
  metered.div(unitSize).sub(recorded);
