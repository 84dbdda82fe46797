import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { prefixedId } from '@core/kernel';
import type { QuotaInterval, QuotaRule } from '@core/limits';
import {
  crossingData,
  crossingMessage,
  isReached,
  measurements,
  transition,
  type AlertGroup,
  type AlertMeasure,
  type AlertRuleTerms,
  type Crossing,
  type LastCrossing,
  type Measured,
  type Measurement,
  type TouchedUsage,
} from '@core/metering';
import { composeEmail } from '@core/notifications';
import { publishEvents, queueEmails } from '@io/notifications';
import { Database, type Prisma } from '@io/platform';
import { measure } from './measure-alerts.js';

interface RuleRow extends AlertRuleTerms {
  readonly name: string;
  readonly emails: readonly string[];
}

/** A threshold whose usage was seen below it. */
interface Fall {
  readonly ruleId: string;
  readonly subject: string;
  readonly periodFrom: Date;
  readonly threshold: string;
  readonly occurrence: number;
}

const DUE_MAX = 2_000;
const TIMEOUT_MS = 60_000;

/** Looks at usage that came in, and keeps what was crossed with what is told of it. */
@Injectable()
export class AlertEvaluationRepository {
  constructor(private readonly db: Database) {}

  /** Accounts with usage that no rule has looked at. */
  due(): Promise<{ accountId: string }[]> {
    return this.db.$queryRaw`
      SELECT a.id AS "accountId" FROM account a
      WHERE EXISTS (SELECT FROM alert_due d WHERE d.account_id = a.id)`;
  }

  /**
   * Takes usage of an account that is due, decides which thresholds it reaches, and keeps crossings, events and
   * messages, all in one transaction: a crash takes all of it back, and the usage is due again. Answers how much was
   * due and how many thresholds were crossed. One evaluation of an account at a time: a second one waits, and then
   * reads what the first has kept. Besides, a crossing's key refuses a second one.
   */
  evaluate(
    accountId: string,
    { now, at }: { readonly now: Date; readonly at: (clockOffsetMs: bigint) => Date },
  ): Promise<{ due: number; crossed: number }> {
    return this.db.$transaction(
      async (tx) => {
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`alerts ${accountId}`}, 0))`;
        const touched = await takeDue(tx, accountId);
        if (touched.length === 0) return { due: 0, crossed: 0 };
        const { clockOffsetMs } = await tx.account.findUniqueOrThrow({ where: { id: accountId } });
        const businessNow = at(clockOffsetMs);
        const rules = await rulesOf(tx, accountId);
        const quotas = await quotaRulesOf(tx, accountId);
        const wanted = measurements(rules, touched, { now: businessNow, quotas });
        const found = await measure(tx, accountId, wanted);
        const last = await lastCrossings(tx, accountId, wanted);
        const { crossings, falls } = changes(wanted, found, last, {
          accountId,
          at: businessNow,
          rules,
        });
        await keepFalls(tx, accountId, falls, businessNow);
        const kept = await keepCrossings(tx, crossings, now);
        await tell(tx, kept, rules, now);
        return { due: touched.length, crossed: kept.length };
      },
      { timeout: TIMEOUT_MS, maxWait: 10_000 },
    );
  }
}

const nameOf = (m: { ruleId: string; subject: string; periodFrom: Date; threshold: string }) =>
  [m.ruleId, m.subject, m.periodFrom.getTime(), m.threshold].join(' ');

/** What the core decides, for each threshold of each measurement. */
function changes(
  wanted: readonly Measurement[],
  found: readonly Measured[],
  last: ReadonlyMap<string, LastCrossing>,
  { accountId, at, rules }: { accountId: string; at: Date; rules: readonly RuleRow[] },
): { crossings: Crossing[]; falls: Fall[] } {
  const names = new Map(rules.map(({ id, name }) => [id, name]));
  const crossings: Crossing[] = [];
  const falls: Fall[] = [];
  for (const [index, { rule, subject, of, period }] of wanted.entries()) {
    const measured = found[index];
    if (!measured) continue;
    for (const threshold of rule.thresholds) {
      const place = { ruleId: rule.id, subject, periodFrom: period.from, threshold };
      const before = last.get(nameOf(place)) ?? null;
      const change = transition(isReached(rule, threshold, measured), before);
      if (change?.kind === 'fell') falls.push({ ...place, occurrence: before?.occurrence ?? 0 });
      if (change?.kind === 'crossed')
        crossings.push({
          ...measured,
          id: prefixedId('alc', randomBytes),
          accountId,
          ruleId: rule.id,
          ruleName: names.get(rule.id) ?? rule.id,
          measure: rule.measure,
          meter: rule.meter,
          subject,
          of,
          period,
          threshold,
          occurrence: change.occurrence,
          crossedAt: at,
        });
    }
  }
  return { crossings, falls };
}

function takeDue(tx: Prisma.TransactionClient, accountId: string): Promise<TouchedUsage[]> {
  return tx.$queryRaw<TouchedUsage[]>`
    WITH taken AS (
      DELETE FROM alert_due WHERE id IN (
        SELECT id FROM alert_due WHERE account_id = ${accountId} ORDER BY id LIMIT ${DUE_MAX})
      RETURNING customer_id, key_id, usage_plan_id, day
    )
    SELECT DISTINCT customer_id AS "customerId", key_id AS "keyId", usage_plan_id AS "usagePlanId", day FROM taken`;
}

async function rulesOf(tx: Prisma.TransactionClient, accountId: string): Promise<RuleRow[]> {
  const rows = await tx.alertRule.findMany({ where: { accountId, enabled: true } });
  return rows.map(({ measure: kind, per, period, offset, ...row }) => ({
    ...row,
    measure: kind as AlertMeasure,
    per: per as AlertGroup,
    quotaRule: period === null ? null : { period: period as QuotaInterval, offset: offset ?? 0 },
  }));
}

async function quotaRulesOf(
  tx: Prisma.TransactionClient,
  accountId: string,
): Promise<ReadonlyMap<string, QuotaRule>> {
  const plans = await tx.usagePlan.findMany({
    where: { accountId, quotaPeriod: { not: null } },
    select: { id: true, quotaPeriod: true, quotaOffset: true },
  });
  return new Map(
    plans.map(({ id, quotaPeriod, quotaOffset }) => [
      id,
      { period: quotaPeriod as QuotaInterval, offset: quotaOffset ?? 0 },
    ]),
  );
}

interface LastRow extends LastCrossing {
  readonly ruleId: string;
  readonly subject: string;
  readonly periodFrom: Date;
  readonly threshold: string;
}

async function lastCrossings(
  tx: Prisma.TransactionClient,
  accountId: string,
  wanted: readonly Measurement[],
): Promise<ReadonlyMap<string, LastCrossing>> {
  const rows = await tx.$queryRaw<LastRow[]>`
    SELECT DISTINCT ON (c.rule_id, c.subject, c.period_from, c.threshold) c.rule_id AS "ruleId", c.subject,
      c.period_from AS "periodFrom", trim_scale(c.threshold)::text AS threshold, c.occurrence,
      c.fell_at IS NOT NULL AS "hasFallen"
    FROM alert_crossing c JOIN unnest(
      ${wanted.map(({ rule }) => rule.id)}::text[],
      ${wanted.map(({ subject }) => subject)}::text[],
      ${wanted.map(({ period }) => period.from)}::timestamptz[]) AS w (rule_id, subject, period_from)
      USING (rule_id, subject, period_from)
    WHERE c.account_id = ${accountId}
    ORDER BY c.rule_id, c.subject, c.period_from, c.threshold, c.occurrence DESC`;
  return new Map(rows.map((row) => [nameOf(row), row]));
}

async function keepFalls(
  tx: Prisma.TransactionClient,
  accountId: string,
  falls: readonly Fall[],
  at: Date,
): Promise<void> {
  if (falls.length === 0) return;
  await tx.$executeRaw`
    UPDATE alert_crossing c SET fell_at = ${at}
    FROM unnest(
      ${falls.map(({ ruleId }) => ruleId)}::text[],
      ${falls.map(({ subject }) => subject)}::text[],
      ${falls.map(({ periodFrom }) => periodFrom)}::timestamptz[],
      ${falls.map(({ threshold }) => threshold)}::numeric[],
      ${falls.map(({ occurrence }) => occurrence)}::int[]) AS f (rule_id, subject, period_from, threshold, occurrence)
    WHERE c.account_id = ${accountId} AND c.fell_at IS NULL
      AND (c.rule_id, c.subject, c.period_from, c.threshold, c.occurrence)
        = (f.rule_id, f.subject, f.period_from, f.threshold, f.occurrence)`;
}

/** Keeps crossings and answers those that were not there. */
async function keepCrossings(
  tx: Prisma.TransactionClient,
  crossings: readonly Crossing[],
  now: Date,
): Promise<Crossing[]> {
  if (crossings.length === 0) return [];
  const rows = await tx.$queryRaw<{ id: string }[]>`
    INSERT INTO alert_crossing (id, account_id, rule_id, subject, period_from, period_to, threshold, occurrence, quantity,
      quota, crossed_at, created_at)
    SELECT *, ${now} FROM unnest(
      ${crossings.map(({ id }) => id)}::text[],
      ${crossings.map(({ accountId }) => accountId)}::text[],
      ${crossings.map(({ ruleId }) => ruleId)}::text[],
      ${crossings.map(({ subject }) => subject)}::text[],
      ${crossings.map(({ period }) => period.from)}::timestamptz[],
      ${crossings.map(({ period }) => period.to)}::timestamptz[],
      ${crossings.map(({ threshold }) => threshold)}::numeric[],
      ${crossings.map(({ occurrence }) => occurrence)}::int[],
      ${crossings.map(({ quantity }) => quantity.toFixed())}::numeric[],
      ${crossings.map(({ quota }) => quota?.toString() ?? null)}::bigint[],
      ${crossings.map(({ crossedAt }) => crossedAt)}::timestamptz[])
    ON CONFLICT DO NOTHING
    RETURNING id`;
  const kept = new Set(rows.map(({ id }) => id));
  return crossings.filter(({ id }) => kept.has(id));
}

async function tell(
  tx: Prisma.TransactionClient,
  crossings: readonly Crossing[],
  rules: readonly RuleRow[],
  now: Date,
): Promise<void> {
  const recipients = new Map(rules.map(({ id, emails }) => [id, emails]));
  const events = crossings.map((crossing) => ({
    accountId: crossing.accountId,
    type: 'usage.alert.crossed' as const,
    subjectId: crossing.id,
    at: crossing.crossedAt,
    data: crossingData(crossing),
  }));
  const emails = crossings.flatMap((crossing) =>
    (recipients.get(crossing.ruleId) ?? []).map((recipient) => ({
      ...composeEmail({ recipient, ...crossingMessage(crossing) }),
      accountId: crossing.accountId,
      cause: crossing.id,
    })),
  );
  await publishEvents(tx, events, now);
  await queueEmails(tx, emails, now);
}
