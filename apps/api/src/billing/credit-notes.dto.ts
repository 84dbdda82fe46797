import { RESTS, type CreditNote, type CreditNoteHead, type Rest } from '@io/billing';
import { Currency, Id, Instant, ListOf, Nested, OneOf, PageQuery, Text, Zone } from '@io/platform';
import { PartyView } from './invoices.dto.js';
import { MoneyView, moneyView } from './money.dto.js';
import { TaxGroupView, taxGroupView } from './tax-rules.dto.js';

export class LineCreditBody {
  @Id({ description: 'Of a line of the invoice.' })
  lineId: string;

  @Text({
    max: 40,
    pattern: /^-?(0|[1-9]\d{0,14})(\.\d{1,4})?$/,
    patternSays: 'be an amount in major units in a string, such as "12.50"',
    example: '12.50',
    description: 'Net, in the direction of the line, at most what is left of it.',
  })
  amount: string;
}

export class CreateCreditNoteBody {
  @Text({ max: 500, description: 'Stands on the credit note.' })
  reason: string;

  @ListOf(() => LineCreditBody, {
    min: 1,
    max: 1_000,
    optional: true,
    description: 'All that is left of the invoice when left out.',
  })
  lines?: LineCreditBody[];

  @OneOf(RESTS, {
    optional: true,
    description:
      'Where what was paid already goes: customer-credit (when left out), or cash when it is paid back.',
  })
  restTo?: Rest;
}

export class CreditNoteQuery extends PageQuery {
  @Id({ optional: true })
  customerId?: string;

  @Id({ optional: true })
  invoiceId?: string;

  @Instant({ optional: true, description: 'Issued then or later.' })
  from?: string;

  @Instant({ optional: true, description: 'Issued before.' })
  to?: string;
}

export class CreditNoteHeadView {
  @Id({ example: 'cn_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Text({ example: 'CN-000001', description: 'Gap-free, of a series of its own.' })
  number: string;

  @Id()
  customerId: string;

  @Id()
  invoiceId: string;

  @Text({ nullable: true, example: 'TG-000001' })
  invoiceNumber: string | null;

  @Text({ max: 500 })
  reason: string;

  @OneOf(RESTS)
  restTo: string;

  @Zone()
  timezone: string;

  @Currency()
  currency: string;

  @Nested(() => MoneyView)
  subtotal: MoneyView;

  @Nested(() => MoneyView)
  tax: MoneyView;

  @Nested(() => MoneyView)
  total: MoneyView;

  @Instant()
  createdAt: string;
}

export class CreditNoteLineView {
  @Id()
  id: string;

  @Id({ description: 'The line of the invoice.' })
  lineId: string;

  @Text({ max: 200 })
  description: string;

  @Nested(() => MoneyView, { description: 'Net.' })
  amount: MoneyView;
}

export class CreditNoteView extends CreditNoteHeadView {
  @ListOf(() => TaxGroupView, { max: 100, description: 'The tax, once for each rate.' })
  taxes: TaxGroupView[];

  @Nested(() => PartyView)
  issuer: PartyView;

  @Nested(() => PartyView)
  recipient: PartyView;

  @ListOf(() => CreditNoteLineView, { max: 1_000 })
  lines: CreditNoteLineView[];
}

export class CreditNoteListView {
  @ListOf(() => CreditNoteHeadView, { max: 500 })
  items: CreditNoteHeadView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

/** A credit note without its lines, as the API shows it. */
export function creditNoteHeadView(note: CreditNoteHead): CreditNoteHeadView {
  const { id, number, customerId, invoiceId, invoiceNumber, reason, restTo } = note;
  const { timezone, currency, subtotalMinor, taxMinor, totalMinor, createdAt } = note;
  const money = (minor: bigint) => moneyView({ minor, currency });
  return {
    id,
    number,
    customerId,
    invoiceId,
    invoiceNumber,
    reason,
    restTo,
    timezone,
    currency,
    subtotal: money(subtotalMinor),
    tax: money(taxMinor),
    total: money(totalMinor),
    createdAt: createdAt.toISOString(),
  };
}

/** A credit note as the API shows it. */
export function creditNoteView(note: CreditNote): CreditNoteView {
  const { currency, issuer, recipient, taxes, lines } = note;
  const rest = {
    taxes: taxes.map(taxGroupView),
    issuer,
    recipient,
    lines: lines.map(({ id, invoiceLineId, description, amountMinor }) => ({
      id,
      lineId: invoiceLineId,
      description,
      amount: moneyView({ minor: amountMinor, currency }),
    })),
  };
  return Object.assign(creditNoteHeadView(note), rest);
}
