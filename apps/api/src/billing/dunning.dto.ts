import { DUNNING_ACTIONS, type DunningAction } from '@core/billing';
import { BLOCK_REASONS, type CustomerBlock, type OverdueStanding } from '@io/billing';
import { Id, Instant, Int, ListOf, Nested, OneOf, PageQuery, Text } from '@io/platform';
import { MoneyView, moneyView } from './money.dto.js';

const DAYS = { min: 0, max: 365 };

export class DunningStepBody {
  @Int({ ...DAYS, description: 'Days after the invoice was due.' })
  afterDays: number;

  @OneOf(DUNNING_ACTIONS, {
    description:
      'remind: an e-mail to the customer, and the event. block: also refuse the calls of their keys.',
  })
  action: DunningAction;
}

export class DunningScheduleBody {
  @ListOf(() => DunningStepBody, { max: 10, description: 'In order; none: nothing is done.' })
  steps: DunningStepBody[];
}

export class DunningScheduleView extends DunningScheduleBody {}

export class BlockCustomerBody {
  @Text({ max: 500, description: 'Why; kept with the block.' })
  note: string;
}

export class BlockQuery extends PageQuery {
  @Id({ optional: true })
  customerId?: string;
}

export class CustomerBlockView {
  @Id({ example: 'blk_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Id()
  customerId: string;

  @OneOf(BLOCK_REASONS)
  reason: string;

  @Id({ description: 'The invoice, or the currency of the credit; else the customer.' })
  subjectId: string;

  @Text({ max: 500, nullable: true })
  note: string | null;

  @Id({ description: 'Whose token, or the worker.' })
  createdBy: string;

  @Instant()
  createdAt: string;
}

export class CustomerBlockListView {
  @ListOf(() => CustomerBlockView, { max: 500 })
  items: CustomerBlockView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

export class DoneStepView extends DunningStepBody {
  @Instant()
  doneAt: string;
}

export class NextStepView extends DunningStepBody {
  @Instant()
  at: string;
}

export class OverdueInvoiceView {
  @Id()
  invoiceId: string;

  @Text({ nullable: true })
  number: string | null;

  @Id()
  customerId: string;

  @Nested(() => MoneyView, { description: 'What is still to be paid.' })
  due: MoneyView;

  @Instant()
  dueAt: string;

  @Int({ min: 0, max: 1_000_000 })
  daysOverdue: number;

  @ListOf(() => DoneStepView, { max: 100 })
  done: DoneStepView[];

  @Nested(() => NextStepView, { nullable: true, description: 'Null when all is done.' })
  next: NextStepView | null;
}

export class OverdueInvoiceListView {
  @ListOf(() => OverdueInvoiceView, { max: 500 })
  items: OverdueInvoiceView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

/** Why a customer is blocked, as the API shows it. */
export function customerBlockView(block: CustomerBlock): CustomerBlockView {
  const { id, customerId, reason, subjectId, note, createdBy } = block;
  const createdAt = block.createdAt.toISOString();
  return { id, customerId, reason, subjectId, note, createdBy, createdAt };
}

/** An overdue invoice as the API shows it. */
export function overdueInvoiceView(invoice: OverdueStanding): OverdueInvoiceView {
  const { id: invoiceId, number, customerId, currency, dueMinor, dueAt, daysOverdue } = invoice;
  return {
    invoiceId,
    number,
    customerId,
    due: moneyView({ minor: dueMinor, currency }),
    dueAt: dueAt.toISOString(),
    daysOverdue,
    done: invoice.done.map(({ doneAt, ...step }) => ({ ...step, doneAt: doneAt.toISOString() })),
    next: invoice.next && { ...invoice.next, at: invoice.next.at.toISOString() },
  };
}
