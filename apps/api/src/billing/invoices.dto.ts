import { invoiceLines, type InvoiceLine, type LineTax, type TaxedDraft } from '@core/billing';
import {
  HELD_FOR,
  type Invoice,
  type InvoiceFilter,
  type InvoiceHead,
  type StoredLine,
} from '@io/billing';
import {
  Currency,
  Email,
  Id,
  Instant,
  Int,
  InvalidRequest,
  JsonObject,
  ListOf,
  Nested,
  OneOf,
  PageQuery,
  Quantity,
  Text,
  Zone,
} from '@io/platform';
import { MoneyView, moneyView } from './money.dto.js';
import { PeriodView } from './previews.dto.js';
import { UnpricedView } from './rate-cards.dto.js';
import { LineTaxView, TaxGroupView, taxGroupView } from './tax-rules.dto.js';

const STATUSES = ['draft', 'finalised', 'paid', 'void', 'uncollectible'] as const;

export class SpanQuery {
  @Instant({ optional: true })
  from?: string;

  @Instant({ optional: true, description: 'Not included.' })
  to?: string;
}

export class InvoiceQuery extends PageQuery {
  @Id({ optional: true })
  customerId?: string;

  @OneOf(STATUSES, { optional: true })
  status?: (typeof STATUSES)[number];

  @Instant({ optional: true, description: 'Drafted then or later.' })
  from?: string;

  @Instant({ optional: true, description: 'Drafted before.' })
  to?: string;
}

export class CreateLineBody {
  @Text({ max: 200, description: 'As it stands on the invoice.' })
  description: string;

  @Text({
    max: 24,
    pattern: /^-?(0|[1-9]\d{0,13})(\.\d{1,4})?$/,
    patternSays: 'be an amount in major units in a string, such as "12.50" or "-5"',
    example: '-5.00',
    description: 'In major units; negative for a rebate. Taxed as the customer and the plan are.',
  })
  amount: string;

  @Text({ max: 500, description: 'Kept with the line, for whoever asks later.' })
  reason: string;
}

export class PartyView {
  @Text()
  name: string;

  @Text({ nullable: true })
  legalName: string | null;

  @Email({ optional: true, nullable: true })
  email?: string | null;

  @Text({ nullable: true, max: 1_000 })
  address: string | null;

  @Text({ nullable: true })
  taxId: string | null;
}

/** What a coupon takes off a line. */
export class LineDiscountView {
  @Id()
  couponId: string;

  @Id()
  redemptionId: string;

  @Text({ max: 40 })
  code: string;

  @Text({ max: 100 })
  name: string;

  @Text({ max: 11, nullable: true, description: 'Null where it takes off an amount.' })
  percent: string | null;

  @Nested(() => MoneyView, { description: 'With the tax where the price contains it.' })
  amount: MoneyView;
}

export class PreviewLineView {
  @Text({ max: 200 })
  description: string;

  @Text({ nullable: true, max: 64 })
  meter: string | null;

  @Quantity({ description: 'As metered.' })
  quantity: string;

  @Text({ max: 200, description: 'In major units, before the one rounding.' })
  exactAmount: string;

  @Nested(() => MoneyView, { description: 'Net.' })
  amount: MoneyView;

  @JsonObject({
    nullable: true,
    description:
      'What the line was made of: price, version, units and tiers. Null for adjustments.',
  })
  rating: object | null;

  @JsonObject({
    nullable: true,
    description:
      'What an adjustment is for: late usage of a finished period, or a sum with its reason. Null for prices.',
  })
  source: object | null;

  @ListOf(() => LineDiscountView, {
    max: 100,
    description: 'What coupons took off; the amount is without it.',
  })
  discounts: LineDiscountView[];

  @Nested(() => LineTaxView, { nullable: true, description: 'Null when no rule is for it.' })
  tax: LineTaxView | null;
}

export class InvoiceLineView extends PreviewLineView {
  @Id({ example: 'line_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;
}

export class InvoiceHeadView {
  @Id({ example: 'inv_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Text({ nullable: true, example: 'TG-000001', description: 'Gap-free; null on a draft.' })
  number: string | null;

  @OneOf(STATUSES)
  status: string;

  @Id()
  customerId: string;

  @Id()
  subscriptionId: string;

  @Nested(() => PeriodView)
  period: PeriodView;

  @Zone()
  timezone: string;

  @Int({ min: 1, max: 1_000, description: 'Above 1 after an invoice of the period was made void.' })
  revision: number;

  @Currency()
  currency: string;

  @Nested(() => MoneyView)
  subtotal: MoneyView;

  @Nested(() => MoneyView)
  tax: MoneyView;

  @Nested(() => MoneyView)
  total: MoneyView;

  @Nested(() => MoneyView, { description: 'What came in for it.' })
  paid: MoneyView;

  @Nested(() => MoneyView, { description: 'What credit notes took back of it.' })
  credited: MoneyView;

  @Nested(() => MoneyView, {
    description: 'What is still to be paid; 0 on a draft and on a void invoice.',
  })
  due: MoneyView;

  @Instant()
  createdAt: string;

  @Instant({ nullable: true })
  issuedAt: string | null;

  @Instant({ nullable: true })
  dueAt: string | null;

  @Instant({
    nullable: true,
    description:
      'A draft gathers late usage up to here. Null of one that only a person makes final.',
  })
  collectsUntil: string | null;

  @OneOf(HELD_FOR, {
    nullable: true,
    description: 'Why the draft could not become final yet: usage that may be missing.',
  })
  heldFor: string | null;

  @Instant({ nullable: true, description: 'As it stands: other lines are to be approved again.' })
  approvedAt: string | null;

  @Text({ nullable: true, max: 100 })
  approvedBy: string | null;
}

export class InvoiceView extends InvoiceHeadView {
  @ListOf(() => TaxGroupView, { max: 100, description: 'The tax, once for each rate.' })
  taxes: TaxGroupView[];

  @Nested(() => PartyView)
  issuer: PartyView;

  @Nested(() => PartyView)
  recipient: PartyView;

  @ListOf(() => InvoiceLineView, { max: 1_000 })
  lines: InvoiceLineView[];
}

export class InvoiceListView {
  @ListOf(() => InvoiceHeadView, { max: 500 })
  items: InvoiceHeadView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

/** What the open period would be charged now; without a period when nothing is left to bill. */
export class PeriodPreviewView {
  @Id()
  subscriptionId: string;

  @Nested(() => PeriodView, { nullable: true })
  period: PeriodView | null;

  @ListOf(() => PreviewLineView, { max: 1_000 })
  lines: PreviewLineView[];

  @ListOf(() => TaxGroupView, { max: 100 })
  taxes: TaxGroupView[];

  @Nested(() => MoneyView, { nullable: true })
  total: MoneyView | null;

  @ListOf(() => UnpricedView, { max: 1_000, description: 'Usage that no price names.' })
  unpriced: UnpricedView[];
}

/** A span as dates; throws `InvalidRequest` when it ends before it starts. */
export function readSpan({ from, to }: SpanQuery): { from?: Date; to?: Date } {
  const span = {
    ...(from !== undefined && { from: new Date(from) }),
    ...(to !== undefined && { to: new Date(to) }),
  };
  if (span.from && span.to && span.to <= span.from) {
    throw new InvalidRequest([{ pointer: '?to', detail: 'must be after `from`' }]);
  }
  return span;
}

/** The filter of a list of invoices. */
export function readFilter({ customerId, status, from, to }: InvoiceQuery): InvoiceFilter {
  const span = readSpan({ ...(from !== undefined && { from }), ...(to !== undefined && { to }) });
  return {
    ...(customerId !== undefined && { customerId }),
    ...(status !== undefined && { status }),
    ...span,
  };
}

/** An invoice without its lines, as the API shows it. */
export function invoiceHeadView(invoice: InvoiceHead): InvoiceHeadView {
  const { id, number, status, customerId, subscriptionId, period, timezone, currency } = invoice;
  const { createdAt, issuedAt, dueAt } = invoice;
  const money = (minor: bigint) => moneyView({ minor, currency });
  return {
    id,
    number,
    status,
    customerId,
    subscriptionId,
    period: { from: period.from.toISOString(), to: period.to.toISOString() },
    timezone,
    revision: invoice.revision,
    currency,
    subtotal: money(invoice.subtotalMinor),
    tax: money(invoice.taxMinor),
    total: money(invoice.totalMinor),
    paid: money(invoice.paidMinor),
    credited: money(invoice.creditedMinor),
    due: money(invoice.dueMinor),
    createdAt: createdAt.toISOString(),
    issuedAt: issuedAt && issuedAt.toISOString(),
    dueAt: dueAt && dueAt.toISOString(),
    collectsUntil: invoice.collectsUntil && invoice.collectsUntil.toISOString(),
    heldFor: invoice.heldFor,
    approvedAt: invoice.approvedAt && invoice.approvedAt.toISOString(),
    approvedBy: invoice.approvedBy,
  };
}

/** An invoice as the API shows it. */
export function invoiceView(invoice: Invoice): InvoiceView {
  const { issuer, recipient, lines, currency } = invoice;
  const rest = {
    taxes: invoice.taxes.map(taxGroupView),
    issuer,
    recipient,
    lines: lines.map((line) => storedLineView(line, currency)),
  };
  return Object.assign(invoiceHeadView(invoice), rest);
}

/** A line of an invoice as the API shows it. */
export function storedLineView(line: StoredLine, currency: string): InvoiceLineView {
  return Object.assign({ id: line.id }, lineView(line, currency));
}

function lineView(line: InvoiceLine, currency: string): PreviewLineView {
  const { description, meter, quantity, exactAmount, amountMinor, rating, source } = line;
  const tax = line.tax && lineTaxView(line.tax, currency);
  const amount = moneyView({ minor: amountMinor, currency });
  const discounts = line.discounts.map(({ minor, ...of }) => {
    return { ...of, amount: moneyView({ minor: BigInt(minor), currency }) };
  });
  return { description, meter, quantity, exactAmount, amount, rating, source, discounts, tax };
}

function lineTaxView({ grossMinor, ...terms }: LineTax, currency: string): LineTaxView {
  const gross = grossMinor === null ? null : moneyView({ minor: BigInt(grossMinor), currency });
  return { ...terms, gross };
}

/** The preview of a subscription's open period, as the API shows it. */
export function periodPreviewView(
  subscriptionId: string,
  draft: TaxedDraft | null,
): PeriodPreviewView {
  if (!draft) {
    return { subscriptionId, period: null, lines: [], taxes: [], total: null, unpriced: [] };
  }
  const { period, currency, total, unpriced } = draft;
  const lines = invoiceLines(draft.lines).map((line) => lineView(line, currency));
  return {
    subscriptionId,
    period: { from: period.from.toISOString(), to: period.to.toISOString() },
    lines,
    taxes: draft.taxes.map(taxGroupView),
    total: moneyView(total),
    unpriced: unpriced.map(({ quantity, ...rest }) => ({ ...rest, quantity: quantity.toFixed() })),
  };
}
