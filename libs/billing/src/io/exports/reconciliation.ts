import { LATE_DAYS_MAX } from '../draft-basis.js';
import {
  columns,
  literal,
  minor,
  within,
  type ExportDefinition,
  type ExportScope,
} from './export.js';

/** What is booked, and what is owed, of each invoice that is final and not void. `claim` is what of it was to be paid at all. */
const SETTLED = `
  SELECT i.id AS invoice_id, i.due_at, i.status,
    i.total_minor - (SELECT coalesce(sum(n.total_minor), 0) FROM credit_note n WHERE n.invoice_id = i.id) AS claim,
    (SELECT coalesce(sum(p.amount_minor), 0) FROM payment p WHERE p.invoice_id = i.id)
      + coalesce(sum(booked.minor) FILTER (WHERE booked.act = 'issue-credit-note' AND booked.account IN ('cash', 'customer-credit')), 0) AS paid,
    coalesce(sum(booked.minor) FILTER (WHERE booked.account = 'receivable'), 0) AS open
  FROM invoice i LEFT JOIN LATERAL (
    SELECT t.act, p.ledger_account AS account, p.amount_minor AS minor
    FROM ledger_transaction t JOIN posting p ON p.transaction_id = t.id WHERE t.invoice_id = i.id
  ) booked ON TRUE`;

/** The place of the tax, behind all lines. */
const AFTER_LINES = 1_000_000;

/** A part of a sum of an invoice that falls to a line, so that all parts add up to it. */
const partOf = (sum: string) =>
  `coalesce(round(${sum} * till / nullif(claim, 0)) - round(${sum} * (till - own) / nullif(claim, 0)), 0)`;

/** The newest that is known of each price in each period; lines on the invoices of others say again what the whole period costs. */
const newestOfPrice = (condition: string) => `
  SELECT DISTINCT ON (subscription_id, period_from, price_key) *
  FROM line WHERE rating IS NOT NULL AND ${condition}
  ORDER BY subscription_id, period_from, price_key, issued_at DESC NULLS FIRST, invoice_id DESC, ordinal DESC`;

/** Rows of what was used by quarter of an hour: of the built-in meters added up, of the account's own as they are to be aggregated. */
function usedOf(accounts: string, { from }: ExportScope): string {
  const since = (column: string) =>
    from ? `${column} > ${literal(from)} - interval '1 hour'` : 'TRUE';
  return `SELECT u.account_id, u.customer_id, u.usage_plan_id, u.meter, coalesce(api.protocol, 'REST') AS protocol, quarter.at, 'sum' AS aggregation,
      NULL::uuid AS member, sum(quarter.quantity) AS quantity, NULL::timestamptz AS last_at, '' AS source, '' AS event_id
    FROM usage_hour u
      CROSS JOIN LATERAL (VALUES
        (u.hour, u.quantity - u.quantity_15 - u.quantity_30 - u.quantity_45),
        (u.hour + interval '15 minutes', u.quantity_15),
        (u.hour + interval '30 minutes', u.quantity_30),
        (u.hour + interval '45 minutes', u.quantity_45)) quarter (at, quantity)
      LEFT JOIN api ON api.account_id = u.account_id AND api.id = u.api_id
    WHERE u.account_id ${accounts} AND quarter.quantity <> 0 AND ${since('u.hour')}
    GROUP BY 1, 2, 3, 4, 5, 6`;
}

const OWN_METERS = (
  account: string,
) => `SELECT account_id, customer_id, usage_plan_id, meter, '' AS protocol, quarter AS at, aggregation,
      member, quantity, at AS last_at, source, event_id
    FROM meter_quarter WHERE account_id = ${account}`;

/** The quantity of a group of rows by the aggregation that they have. */
const AGGREGATED = `CASE aggregation WHEN 'max' THEN max(quantity) WHEN 'unique-count' THEN count(DISTINCT member)
  WHEN 'latest' THEN (array_agg(quantity ORDER BY last_at DESC, source DESC, event_id DESC))[1] ELSE sum(quantity) END`;

/**
 * Rows `(subscription_id, customer_id, period_from, item, meter, …)`, one fact each; what is not its own is null. Usage belongs to the
 * subscription that has its plan then, or had it last; one that bills an account has all usage of that account.
 */
function facts(scope: ExportScope): string {
  const account = literal(scope.accountId);
  return `
    period AS MATERIALIZED (
      SELECT subscription_id, customer_id, period_from, period_to, status, held_for, finalise_at
      FROM (SELECT DISTINCT ON (i.subscription_id, i.period_from) i.*
        FROM invoice i WHERE i.account_id = ${account} AND i.period_from < i.period_to ORDER BY i.subscription_id, i.period_from, i.revision DESC) newest
      UNION ALL
      SELECT s.id, s.customer_id, s.billed_to, s.closes_at, 'open', NULL, NULL
      FROM subscription s WHERE s.account_id = ${account} AND s.closes_at IS NOT NULL
    ),
    span AS MATERIALIZED (
      SELECT p.*, s.ends_at FROM subscription_span p JOIN subscription s ON s.id = p.subscription_id WHERE p.account_id = ${account}
    ),
    pause AS MATERIALIZED (
      SELECT * FROM (
        SELECT p.subscription_id, p.kind, p.starts_at AS begun, lead(p.starts_at) OVER (PARTITION BY p.subscription_id ORDER BY p.starts_at) AS ended
        FROM subscription_phase p
        WHERE p.account_id = ${account} AND NOT EXISTS (SELECT FROM subscription_phase l
          WHERE l.subscription_id = p.subscription_id AND l.revision > p.revision AND l.starts_at <= p.starts_at)
      ) phase WHERE kind <> 'active'
    ),
    priced AS MATERIALIZED (
      SELECT DISTINCT v.rate_card_id, v.version, item ->> 'meter' AS meter, item ->> 'protocol' AS protocol
      FROM rate_card_version v CROSS JOIN LATERAL jsonb_array_elements(v.items) item
      WHERE (v.rate_card_id, v.version) IN (SELECT rate_card_id, rate_card_version FROM span)
    ),
    used AS MATERIALIZED (${usedOf(`= ${account}`, scope)} UNION ALL ${OWN_METERS(account)}),
    owner AS (
      SELECT DISTINCT ON (customer_id, usage_plan_id, at) customer_id, usage_plan_id, at, span.subscription_id, span.span_from,
        span.rate_card_id, span.rate_card_version
      FROM (SELECT DISTINCT customer_id, usage_plan_id, at FROM used) used JOIN span USING (customer_id, usage_plan_id)
      WHERE span.span_from <= used.at AND (span.ends_at IS NULL OR used.at < span.ends_at)
      ORDER BY customer_id, usage_plan_id, at, (span.span_to IS NULL OR used.at < span.span_to) DESC, span.span_from DESC, span.subscription_id
    ),
    charged AS (
      SELECT used.*, owner.subscription_id, owner.span_from, owner.rate_card_id, owner.rate_card_version
      FROM used LEFT JOIN owner USING (customer_id, usage_plan_id, at)
      UNION ALL
      SELECT billed.account_id, s.customer_id, billed.usage_plan_id, billed.meter, billed.protocol, billed.at, billed.aggregation, billed.member,
        billed.quantity, billed.last_at, billed.source, billed.event_id, s.id, span.span_from, span.rate_card_id, span.rate_card_version
      FROM (${usedOf(`IN (SELECT billed_account_id FROM subscription WHERE account_id = ${account})`, scope)}) billed
        JOIN subscription s ON s.account_id = ${account} AND s.billed_account_id = billed.account_id
        JOIN span ON span.subscription_id = s.id AND span.span_from <= billed.at AND (span.span_to IS NULL OR billed.at < span.span_to)
    ),
    aggregated AS (
      SELECT c.subscription_id, c.customer_id, coalesce(p.period_from, date_trunc('month', c.at, 'UTC')) AS period_from, c.meter,
        c.subscription_id IS NOT NULL AND of_all.meter IS NULL AND of_kind.meter IS NULL AS is_unpriced,
        pause.subscription_id IS NOT NULL AS is_paused,
        ${AGGREGATED} AS quantity
      FROM charged c
        LEFT JOIN period p ON p.subscription_id = c.subscription_id AND c.at >= p.period_from AND (c.at < p.period_to OR p.status = 'open')
        LEFT JOIN priced of_all ON of_all.rate_card_id = c.rate_card_id AND of_all.version = c.rate_card_version
          AND of_all.meter = c.meter AND of_all.protocol IS NULL
        LEFT JOIN priced of_kind ON of_kind.rate_card_id = c.rate_card_id AND of_kind.version = c.rate_card_version
          AND of_kind.meter = c.meter AND of_kind.protocol = c.protocol
        LEFT JOIN pause ON pause.subscription_id = c.subscription_id AND c.at >= pause.begun AND (pause.ended IS NULL OR c.at < pause.ended)
      GROUP BY 1, 2, 3, 4, 5, 6, c.account_id, c.usage_plan_id, c.span_from, c.aggregation
    ),
    metered AS (
      SELECT subscription_id, customer_id, period_from, meter, sum(quantity) AS quantity,
        coalesce(sum(quantity) FILTER (WHERE is_unpriced), 0) AS unpriced,
        coalesce(sum(quantity) FILTER (WHERE is_paused AND NOT is_unpriced), 0) AS paused
      FROM aggregated GROUP BY 1, 2, 3, 4
    ),
    line AS MATERIALIZED (
      SELECT i.id AS invoice_id, i.number, i.status, i.subscription_id, i.customer_id, i.currency, i.issued_at, l.ordinal, l.amount_minor AS amount,
        coalesce((l.snapshot #>> '{source,periodFrom}')::timestamptz, i.period_from) AS period_from, of_line.rating, of_line.meter,
        CASE WHEN of_line.meter IS NOT NULL THEN 'usage' WHEN of_line.kind = 'credit' THEN 'credit' WHEN of_line.kind = 'manual' THEN 'by-hand'
          ELSE 'fee' END AS item,
        concat_ws(' ', of_line.rating ->> 'priceId', of_line.rating #>> '{spans,0,from}') AS price_key,
        coalesce((l.tax ->> 'isInclusive')::boolean, FALSE) AS is_inclusive, l.snapshot ? 'discounts' AS has_coupon,
        (SELECT coalesce(sum(c.amount_minor), 0) FROM credit_note_line c WHERE c.invoice_line_id = l.id) AS credited
      FROM invoice i JOIN invoice_line l ON l.invoice_id = i.id
        CROSS JOIN LATERAL (SELECT l.snapshot #>> '{source,kind}' AS kind, coalesce(l.meter, l.snapshot #>> '{source,rating,meter}') AS meter,
          coalesce(l.snapshot #> '{source,rating}', CASE WHEN l.snapshot ? 'priceId' THEN l.snapshot END) AS rating) of_line
      WHERE i.account_id = ${account} AND i.status <> 'void'
      UNION ALL
      SELECT i.id, i.number, i.status, i.subscription_id, i.customer_id, i.currency, i.issued_at, ${AFTER_LINES}, i.tax_minor, i.period_from, NULL, NULL,
        'tax', '', FALSE, FALSE, (SELECT coalesce(sum(n.tax_minor), 0) FROM credit_note n WHERE n.invoice_id = i.id)
      FROM invoice i WHERE i.account_id = ${account} AND i.status <> 'void' AND i.tax_minor <> 0
    ),
    part AS (
      SELECT line.*, settled.claim, settled.paid, settled.open, settled.due_at, line.amount - line.credited AS own,
        sum(line.amount - line.credited) OVER (PARTITION BY line.invoice_id ORDER BY line.ordinal) AS till
      FROM line JOIN (${SETTLED} WHERE i.account_id = ${account} AND i.status IN ('finalised', 'paid', 'uncollectible') GROUP BY i.id) settled
        USING (invoice_id)
    ),
    fact AS (
      SELECT subscription_id, customer_id, period_from, 'usage' AS item, meter, NULL AS currency, quantity AS metered, unpriced, paused,
        NULL::numeric AS rated, NULL::numeric AS invoiced, NULL::numeric AS rated_minor, NULL::numeric AS minor, NULL::numeric AS credited,
        NULL::numeric AS paid, NULL::numeric AS open, NULL::numeric AS otherwise, NULL AS number, NULL AS why, NULL AS settling
      FROM metered
      UNION ALL
      SELECT subscription_id, customer_id, period_from, item, meter, currency, NULL, NULL, NULL, (rating ->> 'quantity')::numeric, NULL,
        CASE WHEN rating ? 'commitment' THEN 0 ELSE round(${minor(`(rating ->> 'grossAmount')::numeric`, 'currency')}) END, NULL, NULL, NULL, NULL, NULL, NULL,
        CASE WHEN rating ? 'commitment' OR (rating ->> 'exactAmount')::numeric > (rating ->> 'grossAmount')::numeric THEN 'below-minimum'
          WHEN (rating ->> 'exactAmount')::numeric = (rating ->> 'grossAmount')::numeric THEN NULL
          WHEN (rating ->> 'exactAmount')::numeric = (rating #>> '{price,maximumAmount}')::numeric THEN 'above-maximum'
          ELSE 'discount' END, NULL
      FROM (${newestOfPrice('TRUE')}) newest
      UNION ALL
      SELECT subscription_id, customer_id, period_from, item, meter, currency, NULL, NULL, NULL, NULL, (rating ->> 'quantity')::numeric,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
      FROM (${newestOfPrice(`status <> 'draft'`)}) newest
      UNION ALL
      SELECT subscription_id, customer_id, period_from, item, meter, currency, NULL, NULL, NULL, NULL, NULL, NULL, amount, credited,
        ${partOf('paid')}, ${partOf('open')}, own - ${partOf('paid')} - ${partOf('open')}, number, concat_ws(' ', CASE WHEN is_inclusive THEN 'tax-included' END, CASE WHEN has_coupon THEN 'coupon' END),
        CASE WHEN ${partOf('open')} <> 0 THEN CASE WHEN due_at < ${literal(scope.now)} THEN 'overdue' ELSE 'not-due' END
          WHEN status = 'uncollectible' THEN 'uncollectible' WHEN claim < 0 THEN 'owed-to-customer' END
      FROM part
      UNION ALL
      SELECT subscription_id, customer_id, period_from, item, meter, currency, NULL, NULL, NULL, NULL, NULL,
        CASE WHEN rating IS NULL THEN amount END, NULL, NULL, NULL, NULL, NULL, NULL, 'draft', NULL
      FROM line WHERE status = 'draft'
      UNION ALL
      SELECT i.subscription_id, i.customer_id, i.period_from, CASE WHEN l.meter IS NULL THEN 'fee' ELSE 'usage' END, l.meter, i.currency, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, i.number, NULL, NULL
      FROM invoice i JOIN invoice_line l ON l.invoice_id = i.id JOIN period p ON p.subscription_id = i.subscription_id AND p.period_from = i.period_from
      WHERE i.account_id = ${account} AND i.status = 'void' AND p.status = 'void' AND NOT l.snapshot ? 'source'
    )`;
}

/** What is not charged yet has the currency in which it will be. */
const CURRENCY = 'coalesce(d.currency, d.of_subscription, c.currency)';

const NOT_BILLED = 'coalesce(d.metered, 0) - d.uncharged - coalesce(d.invoiced, 0)';

/** Why a row has a difference, in order; each is null where it is not the case. */
const reasons = ({ now }: ExportScope) => [
  `CASE WHEN d.subscription_id IS NULL AND d.metered <> 0 THEN 'no-subscription' END`,
  `CASE WHEN d.unpriced <> 0 THEN 'no-price' END`,
  `CASE WHEN d.paused <> 0 THEN 'trial-or-pause' END`,
  `CASE WHEN d.subscription_id IS NULL OR (${NOT_BILLED} = 0 AND NOT d.has_draft) AND p.status <> 'void' THEN NULL
    WHEN p.status IS NULL OR p.status = 'open' THEN 'not-yet-billed' WHEN p.status = 'void' THEN 'void'
    WHEN p.status = 'draft' AND p.held_for IS NOT NULL THEN 'withheld-for-' || p.held_for
    WHEN p.status = 'draft' AND p.finalise_at IS NULL THEN 'awaits-approval' WHEN p.status = 'draft' THEN 'draft'
    WHEN d.item <> 'usage' THEN NULL
    WHEN extract(epoch FROM p.period_from)::numeric % 900 <> 0 OR extract(epoch FROM p.period_to)::numeric % 900 <> 0 THEN 'parted-quarter-hour'
    WHEN d.has_draft OR (s.closes_at IS NOT NULL AND p.period_to > ${literal(now)} - interval '${LATE_DAYS_MAX} days') THEN 'late-usage-pending'
    ELSE 'late-usage-unbilled' END`,
  `nullif(d.whys, '')`,
  `CASE d.item WHEN 'credit' THEN 'credit-applied' WHEN 'by-hand' THEN 'by-hand' WHEN 'tax' THEN 'tax' END`,
  `CASE WHEN d.minor <> d.rated_minor AND d.whys = '' AND d.item IN ('usage', 'fee') AND NOT d.has_draft AND p.status NOT IN ('draft', 'void')
    THEN CASE WHEN abs(d.minor - d.rated_minor) <= d.prices THEN 'rounding' ELSE 'unexplained' END END`,
  `CASE WHEN d.credited <> 0 THEN 'credited' END`,
  `nullif(d.settlings, '')`,
];

/** Usage, what it cost, what was invoiced for it, and what was paid of that, each difference with its reason. */
export const RECONCILIATION: ExportDefinition = {
  name: 'reconciliation',
  description:
    'From usage to payment: one row for each customer, subscription, period and meter, with the late usage of a period in the row of the period; and one for the fees, the lines by hand, the credits and the tax of a period. Payments and what is open are those of the invoices, split over their lines. Usage of nobody who subscribed is by month (UTC). Void invoices are left out, but for the reason.',
  span: 'of the begin of the periods',
  currency: CURRENCY,
  columns: columns([
    ['customerId', 'code', 'd.customer_id', ''],
    ['customerName', 'text', 'coalesce(c.legal_name, c.name)', 'As it is now.'],
    ['subscriptionId', 'code', 'd.subscription_id', 'Empty for usage of nobody who subscribed.'],
    ['item', 'code', 'd.item', 'usage, fee, by-hand, credit or tax.'],
    ['meter', 'text', 'd.meter', 'Of usage.'],
    ['periodFrom', 'instant', 'd.period_from', ''],
    ['periodTo', 'instant', 'd.period_to', 'Not included.'],
    ['invoiceNumbers', 'text', 'd.numbers', 'Of all invoices that charge it.'],
    ['currency', 'code', CURRENCY, 'ISO 4217.'],
    ['metered', 'quantity', 'd.metered', 'As it is rolled up now.'],
    [
      'uncharged',
      'quantity',
      'd.uncharged',
      'What of it no price names, or was used in a trial or a pause.',
    ],
    ['rated', 'quantity', 'd.rated', 'As invoices and drafts rated it last.'],
    ['invoiced', 'quantity', 'd.invoiced', 'As final invoices did.'],
    ['quantityDifference', 'quantity', 'd.metered - d.invoiced', 'metered - invoiced.'],
    [
      'ratedAmount',
      'money',
      'd.rated_minor',
      'What rated costs before discount, maximum and minimum.',
    ],
    [
      'invoicedAmount',
      'money',
      'd.minor',
      'Of final invoices, before tax; the tax has its own row.',
    ],
    ['amountDifference', 'money', 'd.minor - d.rated_minor', 'invoicedAmount - ratedAmount.'],
    ['credited', 'money', 'd.credited', 'By credit notes.'],
    ['paid', 'money', 'd.paid', 'Less what was given back.'],
    ['open', 'money', 'd.open', 'What the journal has as receivable.'],
    [
      'settledOtherwise',
      'money',
      'd.otherwise',
      'invoicedAmount - credited - paid - open: given up on, or owed to the customer.',
    ],
    [
      'reasons',
      'code',
      'd.reasons',
      'Why there is a difference: no-subscription, no-price, trial-or-pause, not-yet-billed, draft, awaits-approval, withheld-for-usage-gap, withheld-for-usage-quarantined, withheld-for-usage-correction-waiting, void, late-usage-pending, late-usage-unbilled, parted-quarter-hour (the period begins or ends within a quarter of an hour), below-minimum, above-maximum, discount, coupon, tax-included, rounding, credit-applied, by-hand, tax, credited, not-due, overdue, uncollectible, owed-to-customer; unexplained is a fault.',
    ],
  ]),
  rows: (scope) => `FROM (
      WITH ${facts(scope)},
      summed AS (
        SELECT subscription_id, customer_id, period_from, item, meter, max(currency) AS currency,
          string_agg(DISTINCT number, ' ' ORDER BY number) AS numbers,
          CASE WHEN item = 'usage' THEN coalesce(sum(metered), 0) END AS metered,
          coalesce(sum(unpriced), 0) AS unpriced, coalesce(sum(paused), 0) AS paused, coalesce(sum(unpriced + paused), 0) AS uncharged,
          CASE WHEN item = 'usage' THEN coalesce(sum(rated), 0) END AS rated,
          CASE WHEN item = 'usage' THEN coalesce(sum(invoiced), 0) END AS invoiced,
          coalesce(sum(rated_minor), 0) AS rated_minor, coalesce(sum(minor), 0) AS minor, coalesce(sum(credited), 0) AS credited,
          coalesce(sum(paid), 0) AS paid, coalesce(sum(open), 0) AS open, coalesce(sum(otherwise), 0) AS otherwise,
          count(minor) AS prices, coalesce(bool_or(why = 'draft'), FALSE) AS has_draft,
          coalesce(string_agg(DISTINCT nullif(nullif(why, 'draft'), ''), ' '), '') AS whys, coalesce(string_agg(DISTINCT settling, ' '), '') AS settlings
        FROM fact GROUP BY subscription_id, customer_id, period_from, item, meter
      )
      SELECT d.*, p.period_to, s.currency AS of_subscription, concat_ws(' ', ${reasons(scope).join(',\n        ')}) AS reasons
      FROM summed d
        LEFT JOIN period p ON p.subscription_id = d.subscription_id AND p.period_from = d.period_from
        LEFT JOIN subscription s ON s.id = d.subscription_id
      WHERE ${within('d.period_from', scope)}
    ) d JOIN customer c ON c.id = d.customer_id
    ORDER BY d.customer_id, d.subscription_id, d.period_from, d.item, d.meter COLLATE "C"`,
};
