import { Decimal, decimal, type Period } from '@core/kernel';
import { quotaPeriod, type QuotaRule } from '@core/limits';

/** What a rule measures: percents of a quota, or an amount of a meter. */
export const ALERT_MEASURES = ['quota-percent', 'usage'] as const;
export type AlertMeasure = (typeof ALERT_MEASURES)[number];

/** Whose usage a rule adds up. A quota is of a key in a plan. */
export const ALERT_GROUPS = ['key', 'customer', 'usage-plan'] as const;
export type AlertGroup = (typeof ALERT_GROUPS)[number];

/** A rule, as far as it says what is measured. */
export interface AlertRuleTerms {
  readonly id: string;
  readonly measure: AlertMeasure;
  readonly meter: string;
  readonly per: AlertGroup;
  /** Only usage of these; null: of all. */
  readonly keyId: string | null;
  readonly customerId: string | null;
  readonly usagePlanId: string | null;
  /** When usage is counted anew; null: with the quota. */
  readonly quotaRule: QuotaRule | null;
  /** Decimals, rising: percents or amounts. */
  readonly thresholds: readonly string[];
}

/** Usage that was rolled up: of a key under a plan ('' for none) on a UTC day. */
export interface TouchedUsage {
  readonly customerId: string;
  readonly keyId: string;
  readonly usagePlanId: string;
  /** Midnight, UTC. */
  readonly day: Date;
}

/** Whose usage; what is null is added up over all. */
export interface AlertSubject {
  readonly customerId: string | null;
  readonly keyId: string | null;
  readonly usagePlanId: string | null;
}

/** A sum that a rule wants to know. */
export interface Measurement {
  readonly rule: AlertRuleTerms;
  /** Names what is measured among all of the rule. */
  readonly subject: string;
  readonly of: AlertSubject;
  readonly period: Period;
}

/** How long after its end a period is still looked at: its last usage comes in after it. */
const LATE_MS = 86_400_000;

/**
 * What has to be measured because usage came in, each sum once. `now` is the account's own time; periods that were
 * over for a day tell nobody anything. `quotas` has the rules of the plans that have a quota.
 */
export function measurements(
  rules: readonly AlertRuleTerms[],
  touched: readonly TouchedUsage[],
  { now, quotas }: { readonly now: Date; readonly quotas: ReadonlyMap<string, QuotaRule> },
): Measurement[] {
  const found = new Map<string, Measurement>();
  for (const rule of rules) {
    for (const usage of touched) {
      const quotaRule = rule.quotaRule ?? quotas.get(usage.usagePlanId);
      const subject = quotaRule && subjectOf(rule, usage);
      if (!quotaRule || !subject) continue;
      const period = quotaPeriod(quotaRule, usage.day);
      if (period.to.getTime() + LATE_MS <= now.getTime()) continue;
      const name = `${rule.id} ${period.from.getTime()} ${subject.name}`;
      if (!found.has(name))
        found.set(name, { rule, subject: subject.name, of: subject.of, period });
    }
  }
  return [...found.values()];
}

/** Whose usage the rule would add up here; null when it does not look at this usage. */
function subjectOf(
  rule: AlertRuleTerms,
  { customerId, keyId, usagePlanId }: TouchedUsage,
): { readonly name: string; readonly of: AlertSubject } | null {
  if (rule.keyId !== null && rule.keyId !== keyId) return null;
  if (rule.customerId !== null && rule.customerId !== customerId) return null;
  if (rule.usagePlanId !== null && rule.usagePlanId !== usagePlanId) return null;
  const only = { customerId: rule.customerId, keyId: rule.keyId, usagePlanId: rule.usagePlanId };
  if (rule.measure === 'quota-percent')
    return {
      name: `usage-plan/${usagePlanId}/key/${keyId}`,
      of: { customerId, keyId, usagePlanId },
    };
  switch (rule.per) {
    case 'key':
      return { name: `key/${keyId}`, of: { ...only, customerId, keyId } };
    case 'customer':
      return { name: `customer/${customerId}`, of: { ...only, customerId } };
    case 'usage-plan':
      if (usagePlanId === '') return null;
      return { name: `usage-plan/${usagePlanId}`, of: { ...only, usagePlanId } };
  }
}

/** What was measured: the sum, and the quota in force where percents of one are asked for. */
export interface Measured {
  readonly quantity: Decimal;
  readonly quota: bigint | null;
}

/** Whether a threshold is reached: exactly at it is. Nothing is reached by no usage. */
export function isReached(
  { measure }: Pick<AlertRuleTerms, 'measure'>,
  threshold: string,
  { quantity, quota }: Measured,
): boolean {
  if (!quantity.gt(0)) return false;
  if (measure === 'usage') return quantity.gte(decimal(threshold));
  if (quota === null) return false;
  return quantity.mul(100).gte(decimal(threshold).mul(quota.toString()));
}

/** The last crossing of a threshold in a period, and whether usage was seen below it since. */
export interface LastCrossing {
  readonly occurrence: number;
  readonly hasFallen: boolean;
}

/** What becomes of a threshold: it is crossed for the n-th time, or usage is seen below it; null: nothing. */
export type Transition =
  { readonly kind: 'crossed'; readonly occurrence: number } | { readonly kind: 'fell' } | null;

/**
 * A threshold is told when it is reached, once, and again in the same period only after usage was seen below it: usage
 * itself only grows, so that takes a larger quota.
 */
export function transition(reached: boolean, last: LastCrossing | null): Transition {
  if (reached) {
    if (last && !last.hasFallen) return null;
    return { kind: 'crossed', occurrence: (last?.occurrence ?? 0) + 1 };
  }
  return last && !last.hasFallen ? { kind: 'fell' } : null;
}

/** A decimal as a threshold is kept: without zeros at its end, so that one threshold has one name. */
export function canonicalThresholds(thresholds: readonly string[]): string[] {
  return [...new Set(thresholds.map((text) => decimal(text).toFixed()))].sort((a, b) =>
    decimal(a).cmp(decimal(b)),
  );
}
