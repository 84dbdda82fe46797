import {
  parsePeriodRule,
  type AddOn,
  type Phase,
  type PhaseKind,
  type PriceOverride,
  type WrittenPhase,
} from '@core/billing';
import type { Prisma } from '@io/platform';
import { storedJson, storedList } from './json.js';

/** The rows of a change. */
export function phaseRows(
  phases: readonly Phase[],
  of: {
    readonly accountId: string;
    readonly customerId: string;
    readonly subscriptionId: string;
    readonly revision: number;
    readonly createdBy: string;
    readonly createdAt: Date;
  },
): Prisma.SubscriptionPhaseCreateManyInput[] {
  return phases.map(({ periodRule, priceOverrides, addOns, ...phase }) => ({
    ...of,
    ...phase,
    periodRule: storedJson(periodRule),
    priceOverrides: storedList(priceOverrides),
    addOns: storedList(addOns),
  }));
}

/** A phase as it was written: its JSON was read and checked then, and never changes. */
export function toPhase(row: Prisma.SubscriptionPhaseGetPayload<object>): WrittenPhase {
  const { revision, startsAt, usagePlanId, rateCardId, rateCardVersion } = row;
  return {
    revision,
    startsAt,
    kind: row.kind as PhaseKind,
    usagePlanId,
    rateCardId,
    rateCardVersion,
    periodRule: parsePeriodRule(row.periodRule),
    priceOverrides: row.priceOverrides as unknown as PriceOverride[],
    addOns: row.addOns as unknown as AddOn[],
  };
}
