import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { decimal, type FieldFault } from '@core/kernel';
import { QUOTA_OFFSET_MAX, type QuotaInterval } from '@core/limits';
import { canonicalThresholds, type AlertGroup, type AlertMeasure } from '@core/metering';
import { isRecipient } from '@core/notifications';
import {
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  AlertRulesRepository,
  type AlertRuleView,
  type CrossingView,
} from './alert-rules.repository.js';

/** Who gets e-mail of crossings. */
export interface Recipient {
  readonly email: string;
}

/** A rule as it is shown. */
export type AlertRule = Omit<AlertRuleView, 'emails'> & {
  readonly recipients: readonly Recipient[];
};

/** What may change of a rule; the rest says what is measured and stays. */
export interface AlertRuleChange {
  readonly name?: string;
  readonly thresholds?: readonly string[];
  readonly recipients?: readonly Recipient[];
  readonly enabled?: boolean;
}

/** A rule as it is asked for; what is left out has a default. */
export interface AlertRuleRequest {
  readonly name: string;
  readonly measure: AlertMeasure;
  readonly thresholds: readonly string[];
  readonly meter?: string;
  readonly per?: AlertGroup;
  readonly keyId?: string;
  readonly customerId?: string;
  readonly usagePlanId?: string;
  readonly period?: QuotaInterval;
  readonly offset?: number;
  readonly recipients?: readonly Recipient[];
  readonly enabled?: boolean;
}

const PERCENT_MAX = 1_000;

/** Rules that tell when usage reaches a threshold. */
@Injectable()
export class AlertRulesService {
  constructor(
    private readonly rules: AlertRulesRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  async create(scope: Scope, request: AlertRuleRequest): Promise<AlertRule> {
    const { measure, thresholds, period, offset, meter = 'calls', per = 'key' } = request;
    const faults = [
      ...termFaults(request),
      ...thresholdFaults(measure, thresholds),
      ...recipientFaults(request.recipients ?? []),
    ];
    if (faults.length > 0) throw new InvalidRequest(faults);
    const rule = await this.rules.create(scope, {
      name: request.name,
      measure,
      meter,
      per,
      keyId: request.keyId ?? null,
      customerId: request.customerId ?? null,
      usagePlanId: request.usagePlanId ?? null,
      period: measure === 'usage' ? (period ?? 'MONTH') : null,
      offset: measure === 'usage' ? (offset ?? 0) : null,
      thresholds: canonicalThresholds(thresholds),
      emails: emailsOf(request.recipients ?? []),
      enabled: request.enabled ?? true,
    });
    return toRule(rule);
  }

  async get(scope: Scope, id: string): Promise<AlertRule> {
    const rule = await this.rules.find(scope, id);
    if (!rule) throw new NotFound('alert rule', id);
    return toRule(rule);
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<AlertRule>> {
    const list = `${scope.accountId} alert-rules`;
    const request = this.pages.request(query, list);
    const rules = await this.rules.list(scope, request);
    return this.pages.page(rules.map(toRule), request, list);
  }

  async update(
    scope: Scope,
    id: string,
    { thresholds, recipients, ...change }: AlertRuleChange,
    ifMatch: IfMatch,
  ): Promise<AlertRule> {
    const { measure } = await this.get(scope, id);
    const faults = [
      ...thresholdFaults(measure, thresholds ?? []),
      ...recipientFaults(recipients ?? []),
    ];
    if (faults.length > 0) throw new InvalidRequest(faults);
    const canonical = thresholds ? { thresholds: canonicalThresholds(thresholds) } : {};
    const emails = recipients ? { emails: emailsOf(recipients) } : {};
    const now = this.clock.now();
    const all = { ...change, ...canonical, ...emails };
    return toRule(await this.rules.update(scope, id, all, { ifMatch, now }));
  }

  delete(scope: Scope, id: string): Promise<void> {
    return this.rules.delete(scope, id);
  }

  async crossings(scope: Scope, ruleId: string, query: PageQuery): Promise<Page<CrossingView>> {
    await this.get(scope, ruleId);
    const list = `${scope.accountId} crossings ${ruleId}`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.rules.crossings(scope, ruleId, request), request, list);
  }
}

function toRule({ emails, ...rule }: AlertRuleView): AlertRule {
  return { ...rule, recipients: emails.map((email) => ({ email })) };
}

const emailsOf = (recipients: readonly Recipient[]) => [
  ...new Set(recipients.map(({ email }) => email)),
];

/** A quota is of calls of a key in a plan, and has its own period. */
function termFaults(request: AlertRuleRequest): FieldFault[] {
  const { measure, meter = 'calls', per = 'key', period, offset } = request;
  if (measure === 'usage') {
    const max = QUOTA_OFFSET_MAX[period ?? 'MONTH'];
    if ((offset ?? 0) <= max) return [];
    return [{ pointer: '/offset', detail: `must be from 0 to ${max} with this period` }];
  }
  const faults: FieldFault[] = [];
  if (meter !== 'calls')
    faults.push({ pointer: '/meter', detail: 'must be calls: quotas are of calls' });
  if (per !== 'key') faults.push({ pointer: '/per', detail: 'must be key: quotas are of keys' });
  for (const [name, value] of Object.entries({ period, offset })) {
    if (value !== undefined)
      faults.push({ pointer: `/${name}`, detail: 'must be left out: the quota has its own' });
  }
  return faults;
}

/** Refused here, and not when a crossing has to be told. */
function recipientFaults(recipients: readonly Recipient[]): FieldFault[] {
  return recipients.flatMap(({ email }, index) =>
    isRecipient(email)
      ? []
      : [{ pointer: `/recipients/${index}/email`, detail: 'must be one plain address' }],
  );
}

function thresholdFaults(measure: string, thresholds: readonly string[]): FieldFault[] {
  return thresholds.flatMap((text, index) => {
    const pointer = `/thresholds/${index}`;
    if (!/^(0|[1-9]\d{0,25})(\.\d{1,12})?$/.test(text) || decimal(text).isZero())
      return [{ pointer, detail: 'must be a decimal above 0 in a string, such as "80"' }];
    if (measure === 'quota-percent' && decimal(text).gt(PERCENT_MAX))
      return [{ pointer, detail: `must be a percent of at most ${PERCENT_MAX}` }];
    return [];
  });
}
