import type { FieldFault } from '@core/kernel';
import { Temporal } from '@core/kernel';

export const DUNNING_ACTIONS = ['remind', 'block'] as const;
export type DunningAction = (typeof DUNNING_ACTIONS)[number];

/** What is done when an invoice is so many days overdue. */
export interface DunningStep {
  readonly afterDays: number;
  readonly action: DunningAction;
}

/** What is wrong with a schedule; empty when nothing is. */
export function dunningFaults(steps: readonly DunningStep[]): FieldFault[] {
  return steps.flatMap(({ afterDays }, index) => {
    const before = steps[index - 1];
    const isLater = before === undefined || before.afterDays < afterDays;
    return isLater
      ? []
      : [{ pointer: `/steps/${index}/afterDays`, detail: 'must be later than the step before' }];
  });
}

/** The steps whose time has come and that are not done yet, in order. A day is one of the invoice's calendar. */
export function dueSteps(
  steps: readonly DunningStep[],
  invoice: {
    readonly dueAt: Date;
    readonly timezone: string;
    readonly at: Date;
    readonly done: readonly DunningStep[];
  },
): DunningStep[] {
  const { dueAt, timezone, at, done } = invoice;
  return steps.filter(
    (step) =>
      stepAt(step, { dueAt, timezone }) <= at &&
      !done.some(({ afterDays, action }) => afterDays === step.afterDays && action === step.action),
  );
}

/** When a step is due. */
export function stepAt(
  { afterDays }: DunningStep,
  { dueAt, timezone }: { readonly dueAt: Date; readonly timezone: string },
): Date {
  const at = Temporal.Instant.fromEpochMilliseconds(dueAt.getTime())
    .toZonedDateTimeISO(timezone)
    .add({ days: afterDays });
  return new Date(at.epochMilliseconds);
}
