import { columns, literal, within, type ExportDefinition } from './export.js';
import { FOCUS, FOCUS_1_4 } from './focus.js';
import { RECONCILIATION } from './reconciliation.js';
import { DEFERRED_REVENUE, REVENUE } from './recognition.js';

const PAID = `(SELECT coalesce(sum(p.amount_minor), 0) FROM payment p WHERE p.invoice_id = i.id)`;
const CREDITED = `(SELECT coalesce(sum(n.total_minor), 0) FROM credit_note n WHERE n.invoice_id = i.id)`;
const OPEN = `(SELECT coalesce(sum(p.amount_minor), 0) FROM ledger_transaction t JOIN posting p ON p.transaction_id = t.id
  WHERE t.invoice_id = i.id AND p.ledger_account = 'receivable')`;
const CUSTOMER_NAME = `coalesce(i.recipient->>'legalName', i.recipient->>'name')`;

const INVOICE_REGISTER: ExportDefinition = {
  name: 'invoice-register',
  description: 'One row for each invoice that was issued, void ones included, with their status.',
  span: 'of the issue',
  currency: 'i.currency',
  columns: columns([
    ['number', 'text', 'i.number', 'Gap-free within its issuer and series.'],
    ['status', 'code', 'i.status', 'finalised, paid, void or uncollectible, as it is now.'],
    ['issuedAt', 'instant', 'i.issued_at', 'When it became final.'],
    ['dueAt', 'instant', 'i.due_at', 'When it is to be paid by.'],
    ['invoiceId', 'code', 'i.id', ''],
    ['customerId', 'code', 'i.customer_id', ''],
    [
      'customerName',
      'text',
      CUSTOMER_NAME,
      'As it was at the issue; the legal one where there is one.',
    ],
    ['customerTaxId', 'text', `i.recipient->>'taxId'`, 'As it was at the issue.'],
    ['subscriptionId', 'code', 'i.subscription_id', ''],
    ['periodFrom', 'instant', 'i.period_from', 'Begin of the billed period.'],
    ['periodTo', 'instant', 'i.period_to', 'Its end, not included.'],
    ['currency', 'code', 'i.currency', 'ISO 4217.'],
    ['subtotal', 'money', 'i.subtotal_minor', 'Before tax: the sum of its lines.'],
    ['tax', 'money', 'i.tax_minor', ''],
    ['total', 'money', 'i.total_minor', 'subtotal + tax.'],
    ['paid', 'money', PAID, 'Payments so far.'],
    ['credited', 'money', CREDITED, 'Credit notes so far, with their tax.'],
    ['due', 'money', OPEN, 'What the journal has as receivable of it now.'],
  ]),
  rows: (scope) => `FROM invoice i
    WHERE i.account_id = ${literal(scope.accountId)} AND i.issued_at IS NOT NULL AND ${within('i.issued_at', scope)}
    ORDER BY i.issued_at, i.id`,
};

const INVOICE_LINES: ExportDefinition = {
  name: 'invoice-lines',
  description: 'One row for each line of each issued invoice.',
  span: 'of the issue',
  currency: 'i.currency',
  columns: columns([
    ['number', 'text', 'i.number', 'Of the invoice.'],
    ['status', 'code', 'i.status', 'Of the invoice.'],
    ['issuedAt', 'instant', 'i.issued_at', ''],
    ['invoiceId', 'code', 'i.id', ''],
    ['lineId', 'code', 'l.id', ''],
    ['customerId', 'code', 'i.customer_id', ''],
    ['customerName', 'text', CUSTOMER_NAME, 'As it was at the issue.'],
    ['subscriptionId', 'code', 'i.subscription_id', ''],
    ['periodFrom', 'instant', 'i.period_from', ''],
    ['periodTo', 'instant', 'i.period_to', 'Not included.'],
    ['description', 'text', 'l.description', ''],
    ['meter', 'text', 'l.meter', 'Empty for fees and lines by hand.'],
    ['protocol', 'code', `l.snapshot->>'protocol'`, ''],
    ['quantity', 'quantity', 'l.quantity', 'As it was metered.'],
    ['units', 'code', `l.snapshot->>'units'`, 'After conversion, which the price is for.'],
    [
      'exactAmount',
      'code',
      `coalesce(l.snapshot->>'exactAmount', trim_scale(l.amount)::text)`,
      'In major units, before rounding.',
    ],
    ['amount', 'money', 'l.amount_minor', 'Before tax.'],
    ['currency', 'code', 'i.currency', 'ISO 4217.'],
    ['rateCardId', 'code', `l.snapshot->>'rateCardId'`, ''],
    ['rateCardVersion', 'code', `l.snapshot->>'rateCardVersion'`, ''],
    ['priceId', 'text', `l.snapshot->>'priceId'`, ''],
    ['taxName', 'text', `l.tax->>'name'`, ''],
    ['taxCategory', 'code', `l.tax->>'category'`, 'As in EN 16931.'],
    ['taxRatePercent', 'code', `l.tax->>'ratePercent'`, ''],
  ]),
  rows: (scope) => `FROM invoice i JOIN invoice_line l ON l.invoice_id = i.id
    WHERE i.account_id = ${literal(scope.accountId)} AND i.issued_at IS NOT NULL AND ${within('i.issued_at', scope)}
    ORDER BY i.issued_at, i.id, l.ordinal`,
};

const CREDIT_NOTES: ExportDefinition = {
  name: 'credit-notes',
  description: 'One row for each line of each credit note.',
  span: 'of the issue',
  currency: 'n.currency',
  columns: columns([
    ['number', 'text', 'n.number', 'Gap-free within its issuer and series.'],
    ['issuedAt', 'instant', 'n.created_at', ''],
    ['creditNoteId', 'code', 'n.id', ''],
    ['lineId', 'code', 'l.id', ''],
    ['invoiceNumber', 'text', 'i.number', 'Of the invoice that it corrects.'],
    ['invoiceId', 'code', 'n.invoice_id', ''],
    ['invoiceLineId', 'code', 'l.invoice_line_id', ''],
    ['customerId', 'code', 'n.customer_id', ''],
    [
      'customerName',
      'text',
      `coalesce(n.recipient->>'legalName', n.recipient->>'name')`,
      'As it was at the issue of the invoice.',
    ],
    ['description', 'text', 'l.description', ''],
    ['amount', 'money', 'l.amount_minor', 'Before tax; above zero takes away from the invoice.'],
    ['currency', 'code', 'n.currency', 'ISO 4217.'],
    ['total', 'money', 'n.total_minor', 'Of the whole credit note, with tax.'],
    ['reason', 'text', 'n.reason', ''],
    ['createdBy', 'text', 'n.created_by', ''],
  ]),
  rows: (
    scope,
  ) => `FROM credit_note n JOIN credit_note_line l ON l.credit_note_id = n.id JOIN invoice i ON i.id = n.invoice_id
    WHERE n.account_id = ${literal(scope.accountId)} AND ${within('n.created_at', scope)}
    ORDER BY n.created_at, n.id, l.ordinal`,
};

const PAYMENTS: ExportDefinition = {
  name: 'payments',
  description: 'One row for each payment of an invoice.',
  span: 'of the payment',
  currency: 'p.currency',
  columns: columns([
    ['paymentId', 'code', 'p.id', ''],
    ['paidAt', 'instant', 'p.paid_at', 'When the money came.'],
    ['invoiceId', 'code', 'p.invoice_id', ''],
    ['number', 'text', 'i.number', 'Of the invoice.'],
    ['customerId', 'code', 'p.customer_id', ''],
    ['customerName', 'text', CUSTOMER_NAME, 'As it was at the issue.'],
    ['amount', 'money', 'p.amount_minor', ''],
    ['currency', 'code', 'p.currency', 'ISO 4217.'],
    ['method', 'code', 'p.method', ''],
    ['reference', 'text', 'p.reference', 'What the bank calls it.'],
    ['createdBy', 'text', 'p.created_by', 'Who recorded it.'],
    ['createdAt', 'instant', 'p.created_at', 'When it was recorded.'],
  ]),
  rows: (scope) => `FROM payment p JOIN invoice i ON i.id = p.invoice_id
    WHERE p.account_id = ${literal(scope.accountId)} AND ${within('p.paid_at', scope)}
    ORDER BY p.paid_at, p.id`,
};

const JOURNAL: ExportDefinition = {
  name: 'journal',
  description: 'One row for each posting, debits and credits. Each transaction sums to zero.',
  span: 'of when the act occurred',
  currency: 'p.currency',
  columns: columns([
    ['transactionId', 'code', 't.id', ''],
    ['occurredAt', 'instant', 't.occurred_at', ''],
    ['act', 'code', 't.act', 'Such as finalise-invoice.'],
    ['subjectId', 'code', 't.subject_id', 'What was done to.'],
    ['invoiceId', 'code', 't.invoice_id', ''],
    ['number', 'text', 'i.number', 'Of the invoice.'],
    ['customerId', 'code', 't.customer_id', ''],
    ['posting', 'integer', 'p.ordinal', 'Its place in the transaction.'],
    ['ledgerAccount', 'code', 'p.ledger_account', ''],
    ['debit', 'money', 'greatest(p.amount_minor, 0)', ''],
    ['credit', 'money', 'greatest(-p.amount_minor, 0)', ''],
    ['currency', 'code', 'p.currency', 'ISO 4217.'],
    ['postedAt', 'instant', 't.created_at', 'When it was posted.'],
  ]),
  rows: (scope) => `FROM ledger_transaction t
    JOIN posting p ON p.transaction_id = t.id LEFT JOIN invoice i ON i.id = t.invoice_id
    WHERE t.account_id = ${literal(scope.accountId)} AND ${within('t.occurred_at', scope)}
    ORDER BY t.occurred_at, t.id, p.ordinal`,
};

const LATE = (days: string) => `interval '${days} days'`;

const RECEIVABLES_AGEING: ExportDefinition = {
  name: 'receivables-ageing',
  description:
    'What each customer owes, by how long it is overdue, one row for each customer and currency.',
  span: 'only `to`: as it stood then; without it, now',
  currency: 'd.currency',
  columns: columns([
    ['customerId', 'code', 'd.customer_id', ''],
    ['customerName', 'text', 'coalesce(c.legal_name, c.name)', 'As it is now.'],
    ['currency', 'code', 'd.currency', 'ISO 4217.'],
    ['total', 'money', 'd.total', 'The sum of the next columns.'],
    ['notDue', 'money', 'd.not_due', ''],
    ['days1To30', 'money', 'd.late_30', 'Overdue by up to 30 days.'],
    ['days31To60', 'money', 'd.late_60', ''],
    ['days61To90', 'money', 'd.late_90', ''],
    ['daysOver90', 'money', 'd.late_more', ''],
  ]),
  rows: (scope) => {
    const at = literal(scope.to ?? scope.now);
    const late = (from: string, to: string) =>
      `coalesce(sum(minor) FILTER (WHERE due_at < ${at} - ${LATE(from)} AND due_at >= ${at} - ${LATE(to)}), 0)`;
    return `FROM (
      SELECT customer_id, currency, sum(minor) AS total,
        coalesce(sum(minor) FILTER (WHERE due_at IS NULL OR due_at >= ${at}), 0) AS not_due,
        coalesce(sum(minor) FILTER (WHERE due_at < ${at} AND due_at >= ${at} - ${LATE('30')}), 0) AS late_30,
        ${late('30', '60')} AS late_60, ${late('60', '90')} AS late_90,
        coalesce(sum(minor) FILTER (WHERE due_at < ${at} - ${LATE('90')}), 0) AS late_more
      FROM (
        SELECT t.customer_id, p.currency, i.due_at, sum(p.amount_minor) AS minor
        FROM ledger_transaction t JOIN posting p ON p.transaction_id = t.id LEFT JOIN invoice i ON i.id = t.invoice_id
        WHERE t.account_id = ${literal(scope.accountId)} AND p.ledger_account = 'receivable' AND t.occurred_at < ${at}
        GROUP BY t.customer_id, p.currency, t.invoice_id, i.due_at HAVING sum(p.amount_minor) <> 0
      ) open GROUP BY customer_id, currency
    ) d JOIN customer c ON c.id = d.customer_id
    ORDER BY d.customer_id, d.currency`;
  },
};

const CUSTOMER_CREDIT: ExportDefinition = {
  name: 'customer-credit',
  description:
    'What is owed to each customer: what it was at `from`, what was added and used since, and what it was at `to`.',
  span: 'of when the act occurred',
  currency: 'd.currency',
  columns: columns([
    ['customerId', 'code', 'd.customer_id', ''],
    ['customerName', 'text', 'coalesce(c.legal_name, c.name)', 'As it is now.'],
    ['currency', 'code', 'd.currency', 'ISO 4217.'],
    ['opening', 'money', 'd.opening', ''],
    ['added', 'money', 'd.added', ''],
    ['used', 'money', 'd.used', ''],
    ['closing', 'money', 'd.opening + d.added - d.used', ''],
  ]),
  rows: (scope) => {
    const from = scope.from ? literal(scope.from) : `'-infinity'::timestamptz`;
    return `FROM (
      SELECT t.customer_id, p.currency,
        -coalesce(sum(p.amount_minor) FILTER (WHERE t.occurred_at < ${from}), 0) AS opening,
        -coalesce(sum(p.amount_minor) FILTER (WHERE t.occurred_at >= ${from} AND p.amount_minor < 0), 0) AS added,
        coalesce(sum(p.amount_minor) FILTER (WHERE t.occurred_at >= ${from} AND p.amount_minor > 0), 0) AS used
      FROM ledger_transaction t JOIN posting p ON p.transaction_id = t.id
      WHERE t.account_id = ${literal(scope.accountId)} AND p.ledger_account = 'customer-credit'
        AND ${within('t.occurred_at', { from: null, to: scope.to })}
      GROUP BY t.customer_id, p.currency
    ) d JOIN customer c ON c.id = d.customer_id
    ORDER BY d.customer_id, d.currency`;
  },
};

const CREDITS_LIABILITY: ExportDefinition = {
  name: 'credits-liability',
  description:
    'What customers paid ahead and did not use yet: what it was at `from`, what became of it since, and what it was at `to`. Promotional credit is owed to nobody, and is not in it.',
  span: 'of when the act occurred',
  currency: 'd.currency',
  columns: columns([
    ['customerId', 'code', 'd.customer_id', ''],
    ['customerName', 'text', 'coalesce(c.legal_name, c.name)', 'As it is now.'],
    ['currency', 'code', 'd.currency', 'ISO 4217.'],
    ['opening', 'money', 'd.opening', 'Owed to the customer before `from`.'],
    ['paidAhead', 'money', 'd.paid', 'Top-ups.'],
    ['earned', 'money', 'd.earned', 'Taken by invoices that became final.'],
    ['returned', 'money', 'd.returned', 'Given back by void invoices and credit notes.'],
    ['expired', 'money', 'd.expired', 'Never used: breakage.'],
    ['voided', 'money', 'd.voided', "Taken back: paid out, or moved to the customer's credit."],
    [
      'closing',
      'money',
      'd.opening + d.paid - d.earned + d.returned - d.expired - d.voided',
      'What the journal has as prepaid-credit then.',
    ],
  ]),
  rows: (scope) => {
    const from = scope.from ? literal(scope.from) : `'-infinity'::timestamptz`;
    const sumOf = (...acts: string[]) =>
      `coalesce(sum(p.amount_minor) FILTER (WHERE t.occurred_at >= ${from} AND t.act IN (${acts.map(literal).join(', ')})), 0)`;
    return `FROM (
      SELECT t.customer_id, p.currency,
        -coalesce(sum(p.amount_minor) FILTER (WHERE t.occurred_at < ${from}), 0) AS opening,
        -${sumOf('grant-credit')} AS paid, ${sumOf('finalise-invoice')} AS earned,
        -${sumOf('void-invoice', 'issue-credit-note')} AS returned,
        ${sumOf('expire-credit')} AS expired, ${sumOf('void-credit')} AS voided
      FROM ledger_transaction t JOIN posting p ON p.transaction_id = t.id
      WHERE t.account_id = ${literal(scope.accountId)} AND p.ledger_account = 'prepaid-credit'
        AND ${within('t.occurred_at', { from: null, to: scope.to })}
      GROUP BY t.customer_id, p.currency
    ) d JOIN customer c ON c.id = d.customer_id
    ORDER BY d.customer_id, d.currency`;
  },
};

const USAGE_DETAIL: ExportDefinition = {
  name: 'usage-detail',
  description: 'Usage as it was rolled up: one row for each UTC hour, key, method and meter.',
  span: 'of the use, whole UTC hours',
  currency: "'USD'",
  columns: columns([
    ['hour', 'instant', 'u.hour', 'Its begin.'],
    ['customerId', 'code', 'u.customer_id', ''],
    ['keyId', 'code', 'u.key_id', ''],
    ['usagePlanId', 'code', 'u.usage_plan_id', ''],
    ['apiId', 'code', 'u.api_id', ''],
    ['stage', 'text', 'u.stage', ''],
    ['method', 'text', 'u.method', ''],
    ['resourcePath', 'text', 'u.resource_path', ''],
    ['statusClass', 'code', 'u.status_class', ''],
    ['meter', 'text', 'u.meter', ''],
    ['quantity', 'quantity', 'u.quantity', 'Below zero where more was taken back than used.'],
  ]),
  rows: (scope) => `FROM usage_hour u
    WHERE u.account_id = ${literal(scope.accountId)} AND ${within('u.hour', scope)}
    ORDER BY u.hour, ${[
      'customer_id',
      'key_id',
      'meter',
      'api_id',
      'stage',
      'usage_plan_id',
      'method',
      'resource_path',
      'status_class',
    ]
      .map((column) => `u.${column} COLLATE "C"`)
      .join(', ')}`,
};

/** Every export, in the order in which they are listed. */
export const EXPORTS: readonly ExportDefinition[] = [
  INVOICE_REGISTER,
  INVOICE_LINES,
  CREDIT_NOTES,
  PAYMENTS,
  JOURNAL,
  REVENUE,
  DEFERRED_REVENUE,
  RECEIVABLES_AGEING,
  CUSTOMER_CREDIT,
  CREDITS_LIABILITY,
  USAGE_DETAIL,
  FOCUS,
  FOCUS_1_4,
  RECONCILIATION,
];

export const EXPORT_NAMES = EXPORTS.map(({ name }) => name);
