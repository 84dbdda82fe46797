import { columns, literal, within, type ExportDefinition, type ExportScope } from './export.js';

/** Whether a line is what was paid ahead: money that pays for the other lines, and no revenue of its own. */
const IS_PREPAID = `coalesce(l.snapshot #>> '{source,grantKind}' = 'paid', FALSE)`;

/** The usage plan of a line: its own, where the subscription has had several. */
const PLAN_OF_LINE = `coalesce(l.snapshot ->> 'usagePlanId', l.snapshot #>> '{source,rating,usagePlanId}', s.usage_plan_id)`;

/** The local month of an instant, in the zone in which the invoice tells its days. */
const monthOf = (instant: string) => `date_trunc('month', ${instant} AT TIME ZONE i.timezone)`;

/** When a line's service was: where its price held, the other period that it is of, or the period of its invoice. */
const SPANS_OF_LINE = `coalesce(l.snapshot -> 'spans', l.snapshot #> '{source,rating,spans}', jsonb_build_array(jsonb_build_object(
  'from', coalesce((l.snapshot #>> '{source,periodFrom}')::timestamptz, i.period_from),
  'to', coalesce((l.snapshot #>> '{source,periodTo}')::timestamptz, i.period_to))))`;

/**
 * Rows `(line_id, …, month, invoiced, credited, recognised, accrued, deferred)`: what became of each line in each month. Invoiced and
 * credited when that was done. Earned is the share of the line's service that lies before the month's end, by local days, of what the
 * line asks then; what its period asks as a whole is known with its first invoice, and is earned since the service began. What is
 * corrected later than in the month of that invoice is corrected in the month in which it was done, so months that are over stay as
 * they are. Each sum is a running total, rounded, so that months add up to it. `accrued` and `deferred` are the changes of what was
 * earned and not invoiced yet, and of what was invoiced and not earned yet.
 */
function recognitionByLine({ accountId }: ExportScope): string {
  const account = literal(accountId);
  return `
    line AS MATERIALIZED (
      SELECT l.id, l.amount_minor AS amount, coalesce(l.meter, l.snapshot #>> '{source,rating,meter}') AS meter, ${PLAN_OF_LINE} AS usage_plan_id, i.currency, s.issuer_id,
        ${monthOf('i.issued_at')} AS issued,
        CASE i.status WHEN 'void' THEN ${monthOf('coalesce(voiding.occurred_at, i.issued_at)')} END AS voided,
        min(${monthOf('i.issued_at')}) OVER (PARTITION BY i.subscription_id, i.period_from, i.period_to) AS known,
        service.begins, service.ends, credit.months AS credit_months, credit.sums AS credit_sums
      FROM invoice i JOIN subscription s ON s.id = i.subscription_id JOIN invoice_line l ON l.invoice_id = i.id
        LEFT JOIN ledger_transaction voiding
          ON voiding.account_id = i.account_id AND voiding.act = 'void-invoice' AND voiding.subject_id = i.id
        CROSS JOIN LATERAL (
          SELECT array_agg(span.begun) AS begins, array_agg(span.ended) AS ends
          FROM jsonb_to_recordset(${SPANS_OF_LINE}) each ("from" timestamptz, "to" timestamptz)
            CROSS JOIN LATERAL (SELECT each."from" AT TIME ZONE i.timezone AS begun,
              greatest(each."to" AT TIME ZONE i.timezone, each."from" AT TIME ZONE i.timezone + interval '1 millisecond') AS ended) span
        ) service
        CROSS JOIN LATERAL (
          SELECT array_agg(${monthOf('n.created_at')}) AS months, array_agg(c.amount_minor) AS sums
          FROM credit_note_line c JOIN credit_note n ON n.id = c.credit_note_id WHERE c.invoice_line_id = l.id
        ) credit
      WHERE i.account_id = ${account} AND i.issued_at IS NOT NULL AND NOT ${IS_PREPAID}
    ),
    standing AS (
      SELECT line.*, m.month, sum_of.invoiced, sum_of.credited, sum_of.earned, sum_of.invoiced - sum_of.credited - sum_of.earned AS ahead
      FROM line
        CROSS JOIN LATERAL generate_series(
          least(line.issued, (SELECT date_trunc('month', min(begun)) FROM unnest(line.begins) begun)),
          greatest(line.issued, line.voided, (SELECT max(month) FROM unnest(line.credit_months) month),
            (SELECT date_trunc('month', max(ended) - interval '1 millisecond') FROM unnest(line.ends) ended)),
          interval '1 month') m (month)
        CROSS JOIN LATERAL (
          SELECT sum(greatest(extract(epoch FROM least(span.ended, m.month + interval '1 month') - span.begun), 0)) AS served,
            sum(extract(epoch FROM span.ended - span.begun)) AS whole
          FROM unnest(line.begins, line.ends) span (begun, ended)
        ) service
        CROSS JOIN LATERAL (
          SELECT coalesce(sum(credit.minor) FILTER (WHERE credit.month <= m.month), 0) AS by_then,
            coalesce(sum(credit.minor) FILTER (WHERE credit.month <= greatest(m.month, line.known)), 0) AS by_known
          FROM unnest(line.credit_months, line.credit_sums) credit (month, minor)
        ) credits
        CROSS JOIN LATERAL (
          SELECT CASE WHEN line.issued <= m.month THEN line.amount ELSE 0 END AS invoiced,
            CASE WHEN line.voided <= m.month THEN line.amount ELSE credits.by_then END AS credited,
            round(service.served * CASE
              WHEN line.issued > greatest(m.month, line.known) OR line.voided <= greatest(m.month, line.known) THEN 0
              ELSE line.amount - credits.by_known END / service.whole) AS earned
        ) sum_of
    ),
    recognition AS (
      SELECT meter, usage_plan_id, currency, issuer_id, month,
        invoiced - lag(invoiced, 1, 0) OVER by_month AS invoiced,
        credited - lag(credited, 1, 0::numeric) OVER by_month AS credited,
        earned - lag(earned, 1, 0::numeric) OVER by_month AS recognised,
        ${UNBILLED} - lag(${UNBILLED}, 1, 0::numeric) OVER by_month AS accrued,
        ${DEFERRED} - lag(${DEFERRED}, 1, 0::numeric) OVER by_month AS deferred
      FROM standing WINDOW by_month AS (PARTITION BY id ORDER BY month)
    )`;
}

/** What was invoiced and not earned yet has the sign of the line's amount; else it is what was earned and not invoiced yet. */
const DEFERRED = `CASE WHEN ahead * amount > 0 THEN ahead ELSE 0 END`;
const UNBILLED = `CASE WHEN ahead * amount < 0 THEN -ahead ELSE 0 END`;

/** Whether a month is in the span, by its first instant. */
const monthWithin = (month: string, scope: ExportScope) =>
  within(`${month} AT TIME ZONE 'UTC'`, scope);

const MONTH = 'In the zone in which the invoice tells its days.';

/** What was billed in a month, and what was earned in it. */
export const REVENUE: ExportDefinition = {
  name: 'revenue',
  description:
    'Revenue by month, usage plan, meter and currency: billed by the issue of the invoice, with what was credited or made void taken back when that happened; recognised by the local days that the service of each line has in the month, late usage in the months in which it was used, and what is asked in advance in those it is for. What is credited or void in a later month than that of the first invoice is taken back in that month.',
  span: 'of the months, by their first instant',
  currency: 'r.currency',
  columns: columns([
    ['month', 'code', `to_char(r.month, 'YYYY-MM')`, MONTH],
    ['usagePlanId', 'code', 'r.usage_plan_id', ''],
    ['usagePlanName', 'text', 'plan.name', 'As it is now.'],
    ['meter', 'text', 'r.meter', 'Empty for fees and lines by hand.'],
    [
      'billed',
      'money',
      'r.billed',
      'Before tax, less promotional credit; prepaid credit pays, and is in it.',
    ],
    [
      'recognised',
      'money',
      'r.recognised',
      'Before tax; of months to come as far as it is invoiced.',
    ],
    ['currency', 'code', 'r.currency', 'ISO 4217.'],
  ]),
  rows: (scope) => `FROM (
      WITH ${recognitionByLine(scope)}
      SELECT month, usage_plan_id, meter, currency, sum(invoiced - credited) AS billed, sum(recognised) AS recognised
      FROM recognition WHERE ${monthWithin('month', scope)}
      GROUP BY month, usage_plan_id, meter, currency HAVING sum(invoiced - credited) <> 0 OR sum(recognised) <> 0
    ) r LEFT JOIN usage_plan plan ON plan.id = r.usage_plan_id
    ORDER BY r.month, r.usage_plan_id, r.meter, r.currency`,
};

/** How what was invoiced and is not earned yet came from one month into the next. */
export const DEFERRED_REVENUE: ExportDefinition = {
  name: 'deferred-revenue',
  description:
    'How deferred revenue rolled forward: one row for each month, issuer and currency, without a month left out. opening + invoiced - credited - recognised + accrued = closing, and the opening of a month is the closing of the one before. Months to come are as they are planned of what is invoiced. Before tax; money paid ahead is not in it until an invoice takes it (credits-liability).',
  span: 'of the months, by their first instant',
  currency: 'd.currency',
  columns: columns([
    ['month', 'code', `to_char(d.month, 'YYYY-MM')`, MONTH],
    ['issuerId', 'code', 'd.issuer_id', "Empty for the account's own name."],
    ['issuerName', 'text', 'd.issuer_name', 'As it is now.'],
    ['currency', 'code', 'd.currency', 'ISO 4217.'],
    ['opening', 'money', 'd.closing - d.change', 'Invoiced before, and not earned before.'],
    ['invoiced', 'money', 'd.invoiced', 'By the issue of the invoices, void ones too.'],
    ['credited', 'money', 'd.credited', 'By credit notes, and by making void.'],
    ['recognised', 'money', 'd.recognised', 'Earned in the month, as in revenue.'],
    [
      'accrued',
      'money',
      'd.accrued',
      'How much more was earned and not invoiced; below zero when that was invoiced.',
    ],
    ['closing', 'money', 'd.closing', 'Invoiced and not earned.'],
    [
      'unbilled',
      'money',
      'd.unbilled',
      'Earned and not invoiced, at the end of the month. closing - unbilled is the revenue of the journal less what was recognised.',
    ],
  ]),
  rows: (scope) => `FROM (
      WITH ${recognitionByLine(scope)},
      moved AS (
        SELECT issuer_id, currency, month, sum(invoiced) AS invoiced, sum(credited) AS credited, sum(recognised) AS recognised,
          sum(accrued) AS accrued, sum(deferred) AS change
        FROM recognition GROUP BY issuer_id, currency, month
      ),
      calendar AS (
        SELECT issuer_id, currency, generate_series(min(month), max(month), interval '1 month') AS month
        FROM moved GROUP BY issuer_id, currency
      )
      SELECT c.month, c.issuer_id, c.currency, coalesce(issuer.legal_name, issuer.name, a.legal_name, a.name) AS issuer_name,
        coalesce(m.invoiced, 0) AS invoiced, coalesce(m.credited, 0) AS credited, coalesce(m.recognised, 0) AS recognised,
        coalesce(m.accrued, 0) AS accrued, coalesce(m.change, 0) AS change,
        coalesce(sum(m.change) OVER by_month, 0) AS closing, coalesce(sum(m.accrued) OVER by_month, 0) AS unbilled
      FROM calendar c JOIN account a ON a.id = ${literal(scope.accountId)}
        LEFT JOIN issuer ON issuer.account_id = a.id AND issuer.id = c.issuer_id
        LEFT JOIN moved m ON m.issuer_id IS NOT DISTINCT FROM c.issuer_id AND m.currency = c.currency AND m.month = c.month
      WINDOW by_month AS (PARTITION BY c.issuer_id, c.currency ORDER BY c.month)
    ) d
    WHERE ${monthWithin('d.month', scope)}
    ORDER BY d.month, d.issuer_id, d.currency`,
};
