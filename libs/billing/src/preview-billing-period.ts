import { JsonFields, type FieldFault } from '@core/kernel';
import { billingPeriod } from './billing-period.js';
import { InvalidPeriodPreview } from './errors.js';
import { readPeriodRule } from './period-rule.js';

/** A half-open period as the API shows it: two instants in UTC. */
export interface PeriodJson {
  readonly from: string;
  readonly to: string;
}

/**
 * Answers `POST /v1/billing-periods/preview`; throws `InvalidPeriodPreview` naming every faulty field, or
 * `PeriodOutOfRange`.
 */
export function previewBillingPeriod(json: unknown): PeriodJson {
  const faults: FieldFault[] = [];
  const fields = new JsonFields(json, '', faults);
  const rule = fields.member('rule', readPeriodRule);
  const at = fields.instant('at');
  const which = fields.has('which')
    ? fields.choice('which', ['containing', 'previous', 'next'])
    : 'containing';
  fields.refuseUnknown();
  if (faults.length > 0) throw new InvalidPeriodPreview({ errors: faults });

  const { from, to } = billingPeriod(rule, at, which);
  return { from: from.toISOString(), to: to.toISOString() };
}
