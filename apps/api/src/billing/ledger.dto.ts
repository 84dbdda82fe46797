import { LEDGER_ACCOUNTS } from '@core/billing';
import {
  PAYMENT_METHODS,
  type BalanceSums,
  type JournalTransaction,
  type Payment,
  type PaymentMethod,
} from '@io/billing';
import {
  Currency,
  Id,
  Instant,
  ListOf,
  Nested,
  OneOf,
  PageQuery,
  Quantity,
  Text,
} from '@io/platform';
import { MoneyView, moneyView } from './money.dto.js';

export class CreatePaymentBody {
  @Quantity({ description: 'In major units, at most what is due.', example: '1165.50' })
  amount: string;

  @OneOf(PAYMENT_METHODS, {
    optional: true,
    description:
      'bank-transfer when left out; customer-credit takes it from what is owed to the customer.',
  })
  method?: PaymentMethod;

  @Text({
    max: 100,
    description: 'Of the bank. The same payment sent twice under it is recorded once.',
  })
  reference: string;

  @Instant({ optional: true, description: "Now, by the account's clock, when left out." })
  paidAt?: string;
}

export class PaymentView {
  @Id({ example: 'pay_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Id()
  invoiceId: string;

  @Nested(() => MoneyView)
  amount: MoneyView;

  @OneOf(PAYMENT_METHODS)
  method: string;

  @Text({ max: 100 })
  reference: string;

  @Instant()
  paidAt: string;

  @Id({ description: 'Whose token recorded it.' })
  createdBy: string;

  @Instant()
  createdAt: string;
}

export class PaymentListView {
  @ListOf(() => PaymentView, { max: 500 })
  items: PaymentView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

export class CurrencyBalanceView {
  @Currency()
  currency: string;

  @Nested(() => MoneyView, {
    description: 'Due of finalised invoices, without what is given up on.',
  })
  receivable: MoneyView;

  @Nested(() => MoneyView, {
    description: 'Owed to the customer: credited after it was paid. Invoices can be paid from it.',
  })
  credit: MoneyView;

  @Nested(() => MoneyView, { description: 'The first less the second; negative when we owe them.' })
  balance: MoneyView;
}

/** Sums of postings. */
export class BalanceView {
  @Id()
  customerId: string;

  @ListOf(() => CurrencyBalanceView, {
    max: 200,
    description: 'One for each currency in which anything was invoiced.',
  })
  balances: CurrencyBalanceView[];
}

export class JournalQuery extends PageQuery {
  @Id({ optional: true })
  customerId?: string;

  @Id({ optional: true })
  invoiceId?: string;

  @Instant({ optional: true, description: 'Occurred then or later.' })
  from?: string;

  @Instant({ optional: true, description: 'Occurred before.' })
  to?: string;
}

export class PostingView {
  @OneOf(LEDGER_ACCOUNTS)
  ledgerAccount: string;

  @Nested(() => MoneyView, { description: 'A debit is positive, a credit negative.' })
  amount: MoneyView;
}

export class JournalTransactionView {
  @Id({ example: 'txn_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Text({ max: 64, example: 'finalise-invoice' })
  act: string;

  @Id({ description: 'Of what the act was done to.' })
  subjectId: string;

  @Id()
  customerId: string;

  @Id({ nullable: true })
  invoiceId: string | null;

  @Instant()
  occurredAt: string;

  @ListOf(() => PostingView, { max: 100, description: 'They sum to zero in each currency.' })
  postings: PostingView[];
}

export class JournalListView {
  @ListOf(() => JournalTransactionView, { max: 500 })
  items: JournalTransactionView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

/** A payment as the API shows it. */
export function paymentView(payment: Payment): PaymentView {
  const { id, invoiceId, amountMinor: minor, currency, method, reference, createdBy } = payment;
  return {
    id,
    invoiceId,
    amount: moneyView({ minor, currency }),
    method,
    reference,
    paidAt: payment.paidAt.toISOString(),
    createdBy,
    createdAt: payment.createdAt.toISOString(),
  };
}

/** What a customer owes and is owed, as the API shows it. */
export function balanceView(customerId: string, balances: readonly BalanceSums[]): BalanceView {
  return {
    customerId,
    balances: balances.map(({ currency, receivableMinor, creditMinor }) => {
      const money = (minor: bigint) => moneyView({ minor, currency });
      return {
        currency,
        receivable: money(receivableMinor),
        credit: money(creditMinor),
        balance: money(receivableMinor - creditMinor),
      };
    }),
  };
}

/** One act in the journal, as the API shows it. */
export function journalTransactionView(one: JournalTransaction): JournalTransactionView {
  const { id, act, subjectId, customerId, invoiceId, occurredAt, postings } = one;
  return {
    id,
    act,
    subjectId,
    customerId,
    invoiceId,
    occurredAt: occurredAt.toISOString(),
    postings: postings.map(({ ledgerAccount, amount }) => ({
      ledgerAccount,
      amount: moneyView(amount),
    })),
  };
}
