import type { Decimal, Period } from '@core/kernel';
import type { AlertMeasure, AlertSubject } from './alerts.js';

/** A threshold that was crossed, as it is told. */
export interface Crossing {
  readonly id: string;
  readonly accountId: string;
  readonly ruleId: string;
  readonly ruleName: string;
  readonly measure: AlertMeasure;
  readonly meter: string;
  readonly subject: string;
  readonly of: AlertSubject;
  readonly period: Period;
  /** A decimal: a percent or an amount. */
  readonly threshold: string;
  readonly occurrence: number;
  readonly quantity: Decimal;
  readonly quota: bigint | null;
  /** By the account's clock. */
  readonly crossedAt: Date;
}

/** The data of the event `usage.alert.crossed`. */
export function crossingData(crossing: Crossing): Record<string, unknown> {
  const { id, ruleId, measure, meter, of, period, threshold, occurrence, quantity, quota } =
    crossing;
  return {
    crossingId: id,
    ruleId,
    measure,
    meter,
    ...Object.fromEntries(Object.entries(of).filter(([, value]) => value !== null)),
    periodFrom: period.from.toISOString(),
    periodTo: period.to.toISOString(),
    threshold,
    occurrence,
    quantity: quantity.toFixed(),
    quota: quota === null ? null : quota.toString(),
  };
}

/** The subject and the paragraphs of the message about a crossing. */
export function crossingMessage(crossing: Crossing): {
  readonly subject: string;
  readonly paragraphs: readonly string[];
} {
  const { ruleName, measure, meter, subject, period, threshold, quantity, quota } = crossing;
  const what = measure === 'usage' ? `${threshold} ${meter}` : `${threshold} % of the quota`;
  const used =
    quota === null
      ? `${quantity.toFixed()} ${meter}`
      : `${quantity.toFixed()} of ${quota} ${meter}`;
  return {
    subject: `${ruleName}: ${what} reached`,
    paragraphs: [
      `${what} reached by ${subject}.`,
      `Used: ${used}, from ${minute(period.from)} to before ${minute(period.to)} (UTC).`,
      `Rule: ${ruleName} (${crossing.ruleId}). Crossing: ${crossing.id}.`,
    ],
  };
}

const minute = (at: Date) => at.toISOString().slice(0, 16).replace('T', ' ');
