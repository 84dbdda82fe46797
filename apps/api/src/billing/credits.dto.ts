import { CREDIT_KINDS, type CreditKind } from '@core/billing';
import {
  CREDIT_ENTRY_KINDS,
  RESTS,
  type CreditBalance,
  type CreditEntry,
  type Rest,
  type StoredGrant,
  type Wallet,
} from '@io/billing';
import {
  Currency,
  Flag,
  Id,
  Instant,
  Int,
  ListOf,
  Nested,
  OneOf,
  PageQuery,
  Quantity,
  Text,
  TextList,
} from '@io/platform';
import { MoneyView, moneyView } from './money.dto.js';

const PRIORITY = { min: 1, max: 100 };

export class CreateCreditGrantBody {
  @OneOf(CREDIT_KINDS, {
    description:
      'paid: money that came in ahead, owed to the customer until it is used. promotional: a present, which makes revenue smaller.',
  })
  kind: CreditKind;

  @Text({ max: 100, description: 'As it stands on invoices.', example: 'Top-up' })
  name: string;

  @Quantity({ description: 'In major units, before tax.', example: '100.00' })
  amount: string;

  @Currency({ optional: true, description: "The customer's when left out." })
  currency?: string;

  @Int({ ...PRIORITY, optional: true, description: 'The smallest burns first; 50 when left out.' })
  priority?: number;

  @TextList({
    max: 20,
    itemMax: 64,
    optional: true,
    description: 'Pays only what these meters cost; all when empty or left out.',
  })
  meters?: string[];

  @TextList({
    max: 20,
    itemMax: 64,
    optional: true,
    description: 'Pays only subscriptions to these usage plans; all when empty or left out.',
  })
  usagePlanIds?: string[];

  @Instant({ optional: true, description: "Now, by the account's clock, when left out." })
  effectiveAt?: string;

  @Instant({ optional: true, description: 'From then on it pays nothing; never when left out.' })
  expiresAt?: string;

  @Text({
    max: 100,
    description: 'Of whoever took the money. The same grant sent twice under it is granted once.',
  })
  reference: string;
}

export class VoidCreditGrantBody {
  @Text({ max: 500, description: 'Kept in the audit log.' })
  reason: string;

  @OneOf(RESTS, {
    optional: true,
    description:
      'Where what was paid ahead goes: what is owed to the customer, when left out, or back to them.',
  })
  restTo?: Rest;
}

export class CreditGrantQuery extends PageQuery {
  @Id({ optional: true })
  customerId?: string;
}

export class CreditEntryQuery extends CreditGrantQuery {
  @Id({ optional: true })
  grantId?: string;

  @Id({ optional: true })
  invoiceId?: string;
}

export class CreditGrantView {
  @Id({ example: 'cg_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Id()
  customerId: string;

  @OneOf(CREDIT_KINDS)
  kind: string;

  @Text({ max: 100 })
  name: string;

  @Nested(() => MoneyView)
  amount: MoneyView;

  @Nested(() => MoneyView, { description: 'Of it; what expired or was taken back is not left.' })
  left: MoneyView;

  @Int(PRIORITY)
  priority: number;

  @TextList({ max: 20, itemMax: 64 })
  meters: readonly string[];

  @TextList({ max: 20, itemMax: 64 })
  usagePlanIds: readonly string[];

  @Instant()
  effectiveAt: string;

  @Instant({ nullable: true })
  expiresAt: string | null;

  @Text({ max: 100 })
  reference: string;

  @Id({ description: 'Whose token granted it.' })
  createdBy: string;

  @Instant()
  createdAt: string;
}

export class CreditGrantListView {
  @ListOf(() => CreditGrantView, { max: 500 })
  items: CreditGrantView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

export class CreditEntryView {
  @Id({ example: 'ce_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Id()
  grantId: string;

  @Id()
  customerId: string;

  @OneOf(CREDIT_ENTRY_KINDS)
  kind: string;

  @Nested(() => MoneyView, { description: 'Above zero what was added, below what was taken.' })
  amount: MoneyView;

  @Id({ nullable: true, description: 'Of the invoice that it paid, or came back from.' })
  invoiceId: string | null;

  @Instant()
  occurredAt: string;
}

export class CreditEntryListView {
  @ListOf(() => CreditEntryView, { max: 500 })
  items: CreditEntryView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

export class CreditBalanceView {
  @Currency()
  currency: string;

  @Nested(() => MoneyView, { description: 'What can pay an invoice that becomes final now.' })
  available: MoneyView;

  @Nested(() => MoneyView, { description: 'Of grants whose time has not come.' })
  later: MoneyView;
}

/** What a customer can pay with. */
export class CreditBalancesView {
  @Id()
  customerId: string;

  @ListOf(() => CreditBalanceView, { max: 200, description: 'Of each currency with any left.' })
  balances: CreditBalanceView[];
}

export class WalletBody {
  @Quantity({
    optional: true,
    nullable: true,
    description:
      'Tell with `credit.low` when no more than that is left, once, and again after it was more; never when null.',
  })
  lowBalance?: string | null;

  @Flag({ description: 'Refuse the calls of the customer when nothing is left.' })
  hardStop: boolean;
}

/** What is wanted of a customer's credit, and how it stands. */
export class WalletView {
  @Id()
  customerId: string;

  @Currency()
  currency: string;

  @Nested(() => MoneyView, { nullable: true })
  lowBalance: MoneyView | null;

  @Flag()
  hardStop: boolean;

  @Nested(() => MoneyView, {
    nullable: true,
    description:
      'Credit less what was used and no invoice has taken yet, before tax, when it was looked at.',
  })
  left: MoneyView | null;

  @Flag({ description: 'No more than lowBalance is left.' })
  isLow: boolean;

  @Instant({ nullable: true })
  lookedAt: string | null;
}

/** A wallet as the API shows it. */
export function walletView(wallet: Wallet): WalletView {
  const { customerId, currency, lowMinor, isHardStop, leftMinor, isLow, lookedAt } = wallet;
  const money = (minor: bigint | null) => (minor === null ? null : moneyView({ minor, currency }));
  return {
    customerId,
    currency,
    lowBalance: money(lowMinor),
    hardStop: isHardStop,
    left: money(leftMinor),
    isLow,
    lookedAt: lookedAt && lookedAt.toISOString(),
  };
}

/** A grant as the API shows it. */
export function creditGrantView(grant: StoredGrant): CreditGrantView {
  const { id, customerId, kind, name, currency, amountMinor, leftMinor, priority } = grant;
  const { meters, usagePlanIds, effectiveAt, expiresAt, reference, createdBy } = grant;
  return {
    id,
    customerId,
    kind,
    name,
    amount: moneyView({ minor: amountMinor, currency }),
    left: moneyView({ minor: leftMinor, currency }),
    priority,
    meters,
    usagePlanIds,
    effectiveAt: effectiveAt.toISOString(),
    expiresAt: expiresAt && expiresAt.toISOString(),
    reference,
    createdBy,
    createdAt: grant.createdAt.toISOString(),
  };
}

/** What became of a grant, as the API shows it. */
export function creditEntryView(entry: CreditEntry): CreditEntryView {
  const { id, grantId, customerId, kind, amountMinor: minor, currency, invoiceId } = entry;
  const amount = moneyView({ minor, currency });
  const occurredAt = entry.occurredAt.toISOString();
  return { id, grantId, customerId, kind, amount, invoiceId, occurredAt };
}

/** What a customer can pay with, as the API shows it. */
export function creditBalancesView(
  customerId: string,
  balances: readonly CreditBalance[],
): CreditBalancesView {
  return {
    customerId,
    balances: balances.map(({ currency, availableMinor, laterMinor }) => ({
      currency,
      available: moneyView({ minor: availableMinor, currency }),
      later: moneyView({ minor: laterMinor, currency }),
    })),
  };
}
