import { columns, literal, major, within, type Column, type ExportDefinition } from './export.js';

/** What a line of a price was rated by; of another period than its invoice's, in that period. */
const RATING = `coalesce(l.snapshot->'source'->'rating', l.snapshot)`;
const KIND = `l.snapshot->'source'->>'kind'`;
const PRICE = `l.snapshot->'price'`;
/** What coupons take off a line whose amount is net, in minor units. */
const DISCOUNT = `(SELECT coalesce(sum((d.value->>'minor')::bigint), 0) FROM jsonb_array_elements(coalesce(l.snapshot->'discounts', '[]')) d
  WHERE coalesce(l.tax->>'isInclusive', 'false') = 'false')`;
/** More digits the columns do not have. */
const fits = (value: string) => `scale(trim_scale((${value})::numeric)) <= 12`;

/**
 * Whether nothing but units and what each costs makes the amount: only then there is a unit price. Not with tax within, which is no cost
 * of the service.
 */
const IS_PLAIN = `(${KIND} IS NULL AND l.snapshot ? 'priceId'
  AND NOT ${PRICE} ?| ARRAY['discountPercent', 'minimumAmount', 'maximumAmount'] AND coalesce(l.tax->>'isInclusive', 'false') = 'false')`;
const HAS_TIERS = `(${IS_PLAIN} AND ${PRICE}->>'model' IN ('graduated', 'volume') AND NOT EXISTS (
  SELECT FROM jsonb_array_elements(l.snapshot->'tiers') t
  WHERE (t.value->>'flatAmount')::numeric <> 0 OR NOT ${fits(`t.value->>'unitAmount'`)} OR NOT ${fits(`t.value->>'quantity'`)}))`;
const UNITS = `(l.snapshot->>'units')::numeric`;
/** Of a price per unit, and of a fee, which is one unit. */
const UNIT_PRICE = `CASE WHEN NOT ${IS_PLAIN} THEN NULL
  WHEN ${PRICE}->>'model' = 'per-unit' AND ${fits(`${PRICE}->>'unitAmount'`)} AND ${fits(UNITS)} THEN (${PRICE}->>'unitAmount')::numeric
  WHEN ${PRICE}->>'model' = 'flat' AND ${fits(`l.snapshot->>'exactAmount'`)} THEN (l.snapshot->>'exactAmount')::numeric END`;

/**
 * The parts of a line that have a unit price of their own: a part for each tier that was entered, or the line as a whole. What is billed of them
 * is rounded as they add up, so that it sums to the line, and what coupons take off comes off each in proportion.
 */
const PARTS = `CROSS JOIN LATERAL (
    SELECT each.*, count(*) OVER () AS parts, coalesce(sum(quantity * unit_price) OVER (ORDER BY n), 0) AS cost,
      sum(quantity * unit_price) OVER () AS whole FROM (
      SELECT t.ordinality::int AS n, (t.value->>'quantity')::numeric AS quantity, (t.value->>'unitAmount')::numeric AS unit_price
      FROM jsonb_array_elements(CASE WHEN ${HAS_TIERS} THEN l.snapshot->'tiers' ELSE '[]' END) WITH ORDINALITY t
      UNION ALL
      SELECT 1, CASE WHEN ${PRICE}->>'model' = 'flat' THEN 1 ELSE round(${UNITS}, 12) END, ${UNIT_PRICE}
      WHERE NOT ${HAS_TIERS} OR jsonb_array_length(l.snapshot->'tiers') = 0
    ) each
  ) part`;

/** A row for each part of a line, for the tax of each rate, and for the same of credit notes, which correct. Major units. */
function rowsOf(invoices: string, notes: string): string {
  const net = major('l.amount_minor', 'i.currency');
  const minor = major('1', 'i.currency');
  const share = `CASE WHEN l.snapshot ? 'discounts' THEN coalesce(${net} / nullif(part.whole, 0), 1) ELSE 1 END`;
  const rounded = (cost: string) => `round((${cost}) * ${share} / ${minor}) * ${minor}`;
  const before = rounded('part.cost - part.quantity * part.unit_price');
  const taxOf = (document: string, sign: '' | '-') =>
    major(`${sign}(t.value->>'taxMinor')::bigint`, `${document}.currency`);
  const taxName = `(t.value->>'name') || ' ' || (t.value->>'ratePercent') || ' %'`;
  const nothing = Array.from({ length: 10 }, () => 'NULL').join(', ');
  return `
    SELECT i.issued_at, i.id AS document_id, 1 AS section, l.ordinal, part.n AS part, i.number, i.customer_id, i.recipient, i.issuer, i.currency,
      i.period_from, i.period_to, s.usage_plan_id,
      coalesce((${RATING}->'spans'->0->>'from')::timestamptz, (l.snapshot->'source'->>'periodFrom')::timestamptz, i.period_from) AS charge_from,
      coalesce((${RATING}->'spans'->-1->>'to')::timestamptz, (l.snapshot->'source'->>'periodTo')::timestamptz, i.period_to) AS charge_to,
      CASE WHEN ${KIND} = 'credit' THEN 'Credit' WHEN ${KIND} = 'manual' THEN 'Adjustment'
        WHEN ${RATING}->>'meter' IS NOT NULL THEN 'Usage' WHEN ${RATING} ? 'priceId' THEN 'Purchase' ELSE 'Adjustment' END AS category,
      CASE WHEN ${KIND} = 'late-usage' OR ${KIND} = 'in-advance' AND (l.snapshot->'source'->>'periodFrom')::timestamptz < i.period_to
        THEN 'Correction' END AS class,
      l.description,
      CASE WHEN part.parts = 1 THEN ${net} WHEN part.n = part.parts THEN ${net} - ${before}
        ELSE ${rounded('part.cost')} - ${before} END AS billed,
      coalesce(round(part.quantity * part.unit_price, 12), ${net} + ${major(DISCOUNT, 'i.currency')}) AS listed,
      CASE WHEN ${KIND} IS NULL AND l.snapshot ? 'priceId' THEN part.quantity END AS pricing_quantity,
      CASE WHEN ${KIND} IS NULL AND l.snapshot ? 'priceId' THEN CASE WHEN ${PRICE}->>'model' = 'flat' THEN 'Fees'
        ELSE coalesce((${PRICE}->'convert'->>'divideBy') || ' ', '') || coalesce(l.meter, 'Units') END END AS pricing_unit,
      part.unit_price,
      CASE WHEN ${KIND} IS NULL AND l.meter IS NOT NULL
        THEN CASE WHEN part.parts > 1 AND NOT ${PRICE} ?| ARRAY['convert', 'includedUnits'] THEN part.quantity
          WHEN part.n = 1 THEN l.quantity ELSE 0 END END AS consumed,
      CASE WHEN ${KIND} IS NULL THEN l.meter END AS consumed_unit,
      ${RATING}->>'meter' AS meter, ${RATING}->>'rateCardId' AS card, ${RATING}->>'rateCardVersion' AS version, ${RATING}->>'priceId' AS price,
      CASE WHEN part.parts > 1 THEN part.n END AS tier, l.id AS line_id
    FROM invoice i JOIN invoice_line l ON l.invoice_id = i.id JOIN subscription s ON s.id = i.subscription_id ${PARTS}
    WHERE ${invoices} AND i.issued_at IS NOT NULL AND i.status <> 'void'
    UNION ALL
    SELECT i.issued_at, i.id, 2, t.ordinality::int, 1, i.number, i.customer_id, i.recipient, i.issuer, i.currency, i.period_from, i.period_to,
      s.usage_plan_id, i.period_from, i.period_to, 'Tax', NULL, ${taxName}, ${taxOf('i', '')}, ${taxOf('i', '')}, ${nothing}, NULL
    FROM invoice i JOIN subscription s ON s.id = i.subscription_id, jsonb_array_elements(i.taxes) WITH ORDINALITY t
    WHERE ${invoices} AND i.issued_at IS NOT NULL AND i.status <> 'void'
    UNION ALL
    SELECT n.created_at, n.id, 1, c.ordinal, 1, n.number, n.customer_id, n.recipient, n.issuer, n.currency, i.period_from, i.period_to,
      s.usage_plan_id, i.period_from, i.period_to,
      CASE WHEN ${KIND} = 'credit' THEN 'Credit' WHEN ${RATING}->>'meter' IS NOT NULL THEN 'Usage'
        WHEN ${RATING} ? 'priceId' THEN 'Purchase' ELSE 'Adjustment' END, 'Correction', c.description,
      ${major('-c.amount_minor', 'n.currency')}, ${major('-c.amount_minor', 'n.currency')}, NULL, NULL, NULL, NULL, NULL,
      ${RATING}->>'meter', ${RATING}->>'rateCardId', ${RATING}->>'rateCardVersion', ${RATING}->>'priceId', NULL, c.invoice_line_id
    FROM credit_note n JOIN credit_note_line c ON c.credit_note_id = n.id JOIN invoice_line l ON l.id = c.invoice_line_id
      JOIN invoice i ON i.id = n.invoice_id JOIN subscription s ON s.id = i.subscription_id
    WHERE ${notes}
    UNION ALL
    SELECT n.created_at, n.id, 2, t.ordinality::int, 1, n.number, n.customer_id, n.recipient, n.issuer, n.currency, i.period_from, i.period_to,
      s.usage_plan_id, i.period_from, i.period_to, 'Tax', 'Correction', ${taxName}, ${taxOf('n', '-')}, ${taxOf('n', '-')}, ${nothing}, NULL
    FROM credit_note n JOIN invoice i ON i.id = n.invoice_id JOIN subscription s ON s.id = i.subscription_id,
      jsonb_array_elements(n.taxes) WITH ORDINALITY t
    WHERE ${notes}`;
}

const ISSUER = `coalesce(f.issuer->>'legalName', f.issuer->>'name')`;
const PURCHASE = `f.category = 'Purchase'`;

/** Columns of FOCUS 1.4, in the order of its names. */
const COMMON = columns([
  [
    'BilledCost',
    'quantity',
    'f.billed',
    'What is asked for. By InvoiceId it adds up to what is payable.',
  ],
  ['BillingAccountId', 'code', 'f.customer_id', 'The customer.'],
  [
    'BillingAccountName',
    'text',
    `coalesce(f.recipient->>'legalName', f.recipient->>'name')`,
    'As it was at the issue.',
  ],
  ['BillingAccountType', 'code', `'Customer'::text`, ''],
  ['BillingCurrency', 'code', 'f.currency', 'ISO 4217.'],
  ['BillingPeriodEnd', 'instant', 'f.period_to', 'Not included.'],
  ['BillingPeriodStart', 'instant', 'f.period_from', 'Of the invoice.'],
  ['ChargeCategory', 'code', 'f.category', 'Usage, Purchase, Tax, Credit or Adjustment.'],
  [
    'ChargeClass',
    'code',
    'f.class',
    'Correction of late usage and of what was asked in advance, which correct what was invoiced, and of credit notes.',
  ],
  ['ChargeDescription', 'text', 'f.description', ''],
  [
    'ChargeFrequency',
    'code',
    `CASE WHEN f.category = 'Usage' THEN 'Usage-Based' WHEN ${PURCHASE} THEN 'Recurring' ELSE 'One-Time' END`,
    '',
  ],
  ['ChargePeriodEnd', 'instant', 'f.charge_to', 'Not included.'],
  [
    'ChargePeriodStart',
    'instant',
    'f.charge_from',
    'When the price held; of late usage and of what is asked in advance, its period.',
  ],
  [
    'ConsumedQuantity',
    'quantity',
    'f.consumed',
    'As it was metered; of Usage that corrects nothing. Of tiers with a conversion or included units all of it is with the first.',
  ],
  ['ConsumedUnit', 'code', 'f.consumed_unit', 'The meter.'],
  [
    'ContractedCost',
    'quantity',
    'f.listed',
    'ContractedUnitPrice × PricingQuantity where there is such a price, to 12 decimals; else as BilledCost. Before what coupons take off.',
  ],
  [
    'ContractedUnitPrice',
    'quantity',
    'f.unit_price',
    'Of a unit, of a unit in its tier, or of a fee; empty where something else makes the amount too: discounts, minimums, fees by tier, tax within, packages.',
  ],
  ['EffectiveCost', 'quantity', 'f.billed', 'As BilledCost: nothing is spread over time.'],
  ['HostProviderName', 'text', ISSUER, 'Of FOCUS 1.3: the issuer.'],
  ['InvoiceId', 'text', 'f.number', 'The number of the invoice, or of the credit note.'],
  ['InvoiceIssuerName', 'text', ISSUER, ''],
  ['ListCost', 'quantity', 'f.listed', 'As ContractedCost: the rate card is the list.'],
  ['ListUnitPrice', 'quantity', 'f.unit_price', ''],
  [
    'PricingCategory',
    'code',
    `CASE WHEN f.pricing_quantity IS NOT NULL THEN 'Standard' END`,
    'Standard, where there is a quantity.',
  ],
  ['PricingQuantity', 'quantity', 'f.pricing_quantity', 'After conversion and included units.'],
  [
    'PricingUnit',
    'text',
    'f.pricing_unit',
    'The meter, with how many make one where it is converted.',
  ],
]);

const PROVIDERS = columns([
  ['ProviderName', 'text', ISSUER, 'Of FOCUS up to 1.3.'],
  ['PublisherName', 'text', ISSUER, 'Of FOCUS up to 1.3.'],
]);

const REST = columns([
  ['ServiceCategory', 'code', `'Integration'::text`, ''],
  ['ServiceName', 'text', 'plan.name', 'The usage plan, as it is called now.'],
  ['ServiceProviderName', 'text', ISSUER, 'Of FOCUS 1.3: the issuer.'],
  ['ServiceSubcategory', 'code', `'API Management'::text`, ''],
  ['SkuId', 'text', `f.card || '/' || f.price`, 'The rate card and its price.'],
  ['SkuMeter', 'text', 'f.meter', ''],
  [
    'SkuPriceId',
    'text',
    `f.card || '/' || f.version || '/' || f.price || coalesce('/' || f.tier, '')`,
    'With the version of the card, and the number of the tier.',
  ],
  ['x_DocumentId', 'code', 'f.document_id', 'The id of the invoice or credit note.'],
  ['x_InvoiceLineId', 'code', 'f.line_id', 'The line, by which it can be explained.'],
]);

const focus = (name: string, version: string, all: readonly Column[]): ExportDefinition => ({
  name,
  description: `What customers are charged, as FOCUS ${version} has it: a row for each line and each tax of issued invoices that are not void, and of credit notes; of a line with prices by tier a row for each tier.`,
  span: 'of the issue',
  currency: 'f.currency',
  columns: all,
  isForCustomers: true,
  rows: (scope) => {
    const of = (document: string, issuedAt: string) =>
      [
        `${document}.account_id = ${literal(scope.accountId)}`,
        within(issuedAt, scope),
        ...(scope.customerId === null
          ? []
          : [`${document}.customer_id = ${literal(scope.customerId)}`]),
      ].join(' AND ');
    return `FROM (${rowsOf(of('i', 'i.issued_at'), of('n', 'n.created_at'))}) f LEFT JOIN usage_plan plan ON plan.id = f.usage_plan_id
      ORDER BY f.issued_at, f.document_id, f.section, f.ordinal, f.part`;
  },
});

/** For the buyer's FinOps tools: as 1.2 and 1.3 have it together, and without what 1.4 has taken away. */
export const FOCUS = focus('focus', '1.2 and 1.3', [...COMMON, ...PROVIDERS, ...REST]);
export const FOCUS_1_4 = focus('focus-1.4', '1.4', [...COMMON, ...REST]);
