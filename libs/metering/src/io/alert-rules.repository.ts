import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { TooManyAlertRules, type AlertGroup, type AlertMeasure } from '@core/metering';
import {
  appendAudit,
  checkVersion,
  Database,
  isReferenceViolation,
  nextVersion,
  NotFound,
  pageArguments,
  type IfMatch,
  type PageRequest,
  type Prisma,
} from '@io/platform';

/** A rule as it is kept. */
export interface AlertRuleView {
  readonly id: string;
  readonly name: string;
  readonly measure: string;
  readonly meter: string;
  readonly per: string;
  readonly keyId: string | null;
  readonly customerId: string | null;
  readonly usagePlanId: string | null;
  readonly period: string | null;
  readonly offset: number | null;
  readonly thresholds: readonly string[];
  readonly emails: readonly string[];
  readonly enabled: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A rule to be made; its thresholds are canonical. */
export interface NewAlertRule {
  readonly name: string;
  readonly measure: AlertMeasure;
  readonly meter: string;
  readonly per: AlertGroup;
  readonly keyId: string | null;
  readonly customerId: string | null;
  readonly usagePlanId: string | null;
  readonly period: string | null;
  readonly offset: number | null;
  readonly thresholds: readonly string[];
  readonly emails: readonly string[];
  readonly enabled: boolean;
}

/** What may change; what is measured stays, since it names what was told. */
type AlertRuleChange = Partial<Pick<NewAlertRule, 'name' | 'thresholds' | 'emails' | 'enabled'>>;

/** A crossing as it is shown. */
export interface CrossingView {
  readonly id: string;
  readonly subject: string;
  readonly periodFrom: Date;
  readonly periodTo: Date;
  readonly threshold: string;
  readonly occurrence: number;
  readonly quantity: string;
  readonly quota: string | null;
  readonly crossedAt: Date;
  readonly fellAt: Date | null;
  readonly createdAt: Date;
}

const RULES_MAX = 200;

/** Rules, and the crossings that they saw. */
@Injectable()
export class AlertRulesRepository {
  constructor(private readonly db: Database) {}

  /** A new rule looks at the usage that is there, too: what is beyond a threshold already is told now. */
  async create(scope: Scope, rule: NewAlertRule): Promise<AlertRuleView> {
    const { accountId } = scope;
    const id = prefixedId('alr', randomBytes);
    try {
      return await this.db.$transaction(async (tx) => {
        // Holds back others that count at the same time.
        await tx.$queryRaw`SELECT FROM account WHERE id = ${accountId} FOR NO KEY UPDATE`;
        const count = await tx.alertRule.count({ where: { accountId } });
        if (count >= RULES_MAX) throw new TooManyAlertRules(RULES_MAX);
        const { thresholds, emails, ...rest } = rule;
        const after = toView(
          await tx.alertRule.create({
            data: { ...rest, id, accountId, thresholds: [...thresholds], emails: [...emails] },
          }),
        );
        await lookAgain(tx, accountId, after);
        await appendAudit(tx, { ...scope, action: 'create-alert-rule', subject: id, after });
        return after;
      });
    } catch (error) {
      if (isReferenceViolation(error))
        throw new NotFound(
          'key, customer or usage plan',
          rule.keyId ?? rule.customerId ?? rule.usagePlanId ?? '',
        );
      throw error;
    }
  }

  async find({ accountId }: Scope, id: string): Promise<AlertRuleView | null> {
    const row = await this.db.alertRule.findUnique({ where: { accountId_id: { accountId, id } } });
    return row && toView(row);
  }

  async list({ accountId }: Scope, request: PageRequest): Promise<AlertRuleView[]> {
    const { where, ...page } = pageArguments(request);
    const rows = await this.db.alertRule.findMany({ where: { accountId, ...where }, ...page });
    return rows.map(toView);
  }

  update(
    scope: Scope,
    id: string,
    { thresholds, emails, ...change }: AlertRuleChange,
    { ifMatch, now }: { ifMatch: IfMatch; now: Date },
  ): Promise<AlertRuleView> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      const before = await lockRule(tx, accountId, id);
      checkVersion(ifMatch, before);
      const after = toView(
        await tx.alertRule.update({
          where: { accountId_id: { accountId, id } },
          data: {
            ...change,
            ...(thresholds === undefined ? {} : { thresholds: [...thresholds] }),
            ...(emails === undefined ? {} : { emails: [...emails] }),
            updatedAt: nextVersion(before, now),
          },
        }),
      );
      await lookAgain(tx, accountId, after);
      await appendAudit(tx, { ...scope, action: 'update-alert-rule', subject: id, before, after });
      return after;
    });
  }

  /** With its crossings. */
  delete(scope: Scope, id: string): Promise<void> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      const before = await lockRule(tx, accountId, id);
      await tx.alertRule.deleteMany({ where: { accountId, id } });
      await appendAudit(tx, { ...scope, action: 'delete-alert-rule', subject: id, before });
    });
  }

  /** A page of a rule's crossings, newest first. */
  async crossings(
    { accountId }: Scope,
    ruleId: string,
    request: PageRequest,
  ): Promise<CrossingView[]> {
    const { where, ...page } = pageArguments(request);
    const rows = await this.db.alertCrossing.findMany({
      where: { accountId, ruleId, ...where },
      ...page,
    });
    return rows.map(({ accountId: _, ruleId: __, threshold, quantity, quota, ...row }) => ({
      ...row,
      threshold: threshold.toFixed(),
      quantity: quantity.toFixed(),
      quota: quota === null ? null : quota.toString(),
    }));
  }
}

/** Puts whose usage the rule adds up before the next evaluation. */
async function lookAgain(
  tx: Prisma.TransactionClient,
  accountId: string,
  { keyId, customerId, usagePlanId, enabled }: AlertRuleView,
): Promise<void> {
  if (!enabled) return;
  await tx.$executeRaw`
    INSERT INTO alert_due (account_id, customer_id, key_id, usage_plan_id, day)
    SELECT d.account_id, d.customer_id, d.key_id, d.usage_plan_id, max(d.day)
    FROM usage_day d JOIN account a ON a.id = d.account_id
    WHERE d.account_id = ${accountId}
      AND d.day > now() + make_interval(secs => a.clock_offset_ms / 1000.0) - interval '32 days'
      AND (${keyId}::text IS NULL OR d.key_id = ${keyId})
      AND (${customerId}::text IS NULL OR d.customer_id = ${customerId})
      AND (${usagePlanId}::text IS NULL OR d.usage_plan_id = ${usagePlanId})
    GROUP BY 1, 2, 3, 4`;
}

async function lockRule(
  tx: Prisma.TransactionClient,
  accountId: string,
  id: string,
): Promise<AlertRuleView> {
  await tx.$queryRaw`
    SELECT FROM alert_rule WHERE account_id = ${accountId} AND id = ${id} FOR NO KEY UPDATE`;
  const row = await tx.alertRule.findUnique({ where: { accountId_id: { accountId, id } } });
  if (!row) throw new NotFound('alert rule', id);
  return toView(row);
}

function toView({ accountId: _, ...row }: Prisma.AlertRuleGetPayload<object>): AlertRuleView {
  return row;
}
