import { TAX_CATEGORIES, type TaxCategory, type TaxGroup } from '@core/billing';
import type { StoredTaxRule } from '@io/billing';
import { Flag, Id, Instant, ListOf, Nested, OneOf, Text } from '@io/platform';
import { MoneyView, moneyView } from './money.dto.js';

const RATE = {
  max: 10,
  pattern: /^(0|[1-9]\d{0,2})(\.\d{1,6})?$/,
  patternSays: 'be a percentage in a string, such as "19" or "8.875"',
  example: '19',
};
const REASON = 'Stands on the invoice; required unless the category is standard or zero-rated.';

export class UpdateTaxRuleBody {
  @Text({ max: 64, optional: true, example: 'VAT', description: 'As it stands on invoices.' })
  name?: string;

  @OneOf(TAX_CATEGORIES, { optional: true })
  category?: TaxCategory;

  @Text({ ...RATE, optional: true, description: '0 in every category but standard.' })
  ratePercent?: string;

  @Flag({ optional: true, description: 'Whether the prices contain the tax.' })
  isInclusive?: boolean;

  @Text({ max: 500, optional: true, nullable: true, description: REASON })
  reason?: string | null;
}

export class CreateTaxRuleBody extends UpdateTaxRuleBody {
  @Text({ max: 64, example: 'VAT', description: 'As it stands on invoices.' })
  declare name: string;

  @OneOf(TAX_CATEGORIES)
  declare category: TaxCategory;

  @Text({ ...RATE, description: '0 in every category but standard.' })
  declare ratePercent: string;

  @Id({ optional: true, nullable: true, description: 'Only for this customer.' })
  customerId?: string | null;

  @Id({ optional: true, nullable: true, description: 'Only for subscriptions to this plan.' })
  usagePlanId?: string | null;

  @Text({ max: 64, optional: true, nullable: true, description: 'Only for lines of this meter.' })
  meter?: string | null;
}

export class TaxRuleView {
  @Id({ example: 'tax_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Id({ nullable: true })
  customerId: string | null;

  @Id({ nullable: true })
  usagePlanId: string | null;

  @Text({ max: 64, nullable: true })
  meter: string | null;

  @Text({ max: 64 })
  name: string;

  @OneOf(TAX_CATEGORIES)
  category: string;

  @Text(RATE)
  ratePercent: string;

  @Flag()
  isInclusive: boolean;

  @Text({ max: 500, nullable: true })
  reason: string | null;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class TaxRuleListView {
  @ListOf(() => TaxRuleView, { max: 500 })
  items: readonly StoredTaxRule[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

/** The tax of an invoice at one rate. */
export class TaxGroupView {
  @Text({ max: 64 })
  name: string;

  @OneOf(TAX_CATEGORIES)
  category: string;

  @Text(RATE)
  ratePercent: string;

  @Text({ max: 500, nullable: true, description: 'Why no tax is charged.' })
  reason: string | null;

  @Nested(() => MoneyView, { description: 'The sum of the lines.' })
  net: MoneyView;

  @Nested(() => MoneyView)
  tax: MoneyView;
}

/** The tax of one line, which is computed with that of all lines of its rate. */
export class LineTaxView {
  @Text({ max: 64 })
  name: string;

  @OneOf(TAX_CATEGORIES)
  category: string;

  @Text(RATE)
  ratePercent: string;

  @Flag()
  isInclusive: boolean;

  @Nested(() => MoneyView, {
    nullable: true,
    description: 'The amount with its tax, where the price contains it.',
  })
  gross: MoneyView | null;
}

/** The tax at one rate, as the API shows it. */
export function taxGroupView({ net, tax, ...terms }: TaxGroup): TaxGroupView {
  return { ...terms, net: moneyView(net), tax: moneyView(tax) };
}
