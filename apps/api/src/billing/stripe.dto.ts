import {
  COLLECTIONS,
  type Collection,
  type DryPush,
  type PayoutMatch,
  type StripeConnection,
  type StripeCustomer,
  type StripeInvoice,
} from '@io/billing';
import { Flag, Id, Instant, Int, ListOf, Nested, OneOf, Text } from '@io/platform';
import { moneyView, MoneyView } from './money.dto.js';

const PACE = {
  min: 1,
  max: 100,
  description: 'How fast Stripe is called, all processes together.',
};
const WEB = { max: 2_048, pattern: /^https?:\/\/\S+$/, patternSays: 'be a URL' };

export class StripeConnectionBody {
  @Text({
    optional: true,
    max: 256,
    pattern: /^(sk|rk)_(test|live)_\w+$/,
    patternSays: 'be a secret or restricted key of Stripe',
    description: 'Sealed at rest and never shown again. Of the mode that the account has.',
  })
  secretKey?: string;

  @Text({
    optional: true,
    max: 256,
    pattern: /^whsec_\S+$/,
    patternSays: 'begin with whsec_',
    description:
      'Of the endpoint at Stripe. The one before stays good, until it is replaced again.',
  })
  webhookSecret?: string;

  @Flag({
    optional: true,
    description: 'Whether invoices that are finalised from now on are pushed by themselves.',
  })
  autoPush?: boolean;

  @Int({ optional: true, ...PACE })
  callsPerSecond?: number;
}

export class StripeConnectionView {
  @Text({ example: 'acct_1PgafTB7WZ01zgkW' })
  stripeAccountId: string;

  @Flag()
  isLive: boolean;

  @Text()
  keyLastFour: string;

  @Flag()
  hasWebhookSecret: boolean;

  @Instant({ nullable: true, description: 'Invoices issued from here on are pushed; null: none.' })
  pushesFrom: Date | null;

  @Int(PACE)
  callsPerSecond: number;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;

  @Text({ description: 'Where Stripe is to post its events.', example: '/v1/stripe/events/acc_1' })
  eventsPath: string;
}

export class StripeCustomerBody {
  @OneOf(COLLECTIONS, {
    optional: true,
    description:
      'Whether Stripe charges the card, or sends the invoice by e-mail. Charges when left out.',
  })
  collection?: Collection;

  @Text({
    optional: true,
    max: 64,
    pattern: /^cus_\w+$/,
    patternSays: 'be a customer of Stripe',
    description: 'One that is at Stripe already. Another is made when left out.',
  })
  stripeCustomerId?: string;
}

export class StripeCustomerView {
  @Id()
  customerId: string;

  @Text({ nullable: true, example: 'cus_QXg1o8vcGmoR32' })
  stripeCustomerId: string | null;

  @OneOf(COLLECTIONS)
  collection: Collection;

  @Instant()
  createdAt: Date;

  @Instant({ nullable: true, description: 'When Stripe said that it was deleted there.' })
  deletedAt: Date | null;
}

export class SetupSessionBody {
  @Text(WEB)
  successUrl: string;

  @Text(WEB)
  cancelUrl: string;
}

export class PortalSessionBody {
  @Text(WEB)
  returnUrl: string;
}

export class StripeSessionView {
  @Text({ max: 2_048, description: 'A page of Stripe to send the customer to. It ends soon.' })
  url: string;
}

const STRIPE_STATUSES = ['open', 'paid', 'void', 'uncollectible'] as const;

/** An invoice as Stripe last said that it stands. */
export class StripeInvoiceView {
  @Id()
  invoiceId: string;

  @Text({ max: 255, example: 'in_1Qm2nWcN5vX1pR8s' })
  stripeInvoiceId: string;

  @OneOf(STRIPE_STATUSES)
  status: (typeof STRIPE_STATUSES)[number];

  @Text({ nullable: true, max: 2_048, description: 'A page of Stripe on which it can be paid.' })
  hostedUrl: string | null;

  @Text({ nullable: true, max: 1_024, description: 'Why the money could not be taken last.' })
  paymentFault: string | null;

  @Instant({ nullable: true })
  paymentFailedAt: Date | null;

  @Instant({ nullable: true, description: 'Since when its payment is disputed.' })
  disputedAt: Date | null;
}

export class StripeEventView {
  @Flag({ description: 'Whether it came before; then nothing was kept.' })
  duplicate: boolean;
}

export const connectionView = (
  accountId: string,
  connection: StripeConnection,
): StripeConnectionView => ({ ...connection, eventsPath: `/v1/stripe/events/${accountId}` });

export function stripeInvoiceView(invoice: StripeInvoice): StripeInvoiceView {
  const { invoiceId, stripeInvoiceId, status, hostedUrl } = invoice;
  const { paymentFault, paymentFailedAt, disputedAt } = invoice;
  const seen = { invoiceId, stripeInvoiceId, status, hostedUrl };
  return { ...seen, paymentFault, paymentFailedAt, disputedAt };
}

export const customerView = (customer: StripeCustomer): StripeCustomerView => ({ ...customer });

class DryItemView {
  @Text({ max: 500 })
  description: string;

  @Int({ min: -99_999_999, max: 99_999_999, description: "In Stripe's smallest unit." })
  amount: number;
}

/** What would be pushed of an invoice. */
export class DryPushView {
  @Id()
  invoiceId: string;

  @Text({ nullable: true })
  number: string | null;

  @Id()
  customerId: string;

  @Nested(() => MoneyView)
  total: MoneyView;

  @Text({ nullable: true })
  stripeCustomerId: string | null;

  @OneOf(COLLECTIONS, { nullable: true })
  collection: Collection | null;

  @ListOf(() => DryItemView, { max: 250 })
  items: readonly DryItemView[];

  @Text({ nullable: true, description: 'Why it would not be pushed; null when it would.' })
  refusal: string | null;

  @Flag({ description: 'Whether its push is queued already.' })
  isQueued: boolean;
}

export class DryRunView {
  @ListOf(() => DryPushView, { max: 100 })
  items: readonly DryPushView[];
}

export const dryPushView = ({ totalMinor, currency, ...push }: DryPush): DryPushView => ({
  ...push,
  total: moneyView({ minor: totalMinor, currency }),
});

class PayoutLineView {
  @Text({ description: 'Of the charge or refund.' })
  stripeId: string;

  @Text({ example: 'charge' })
  type: string;

  @Nested(() => MoneyView)
  gross: MoneyView;

  @Nested(() => MoneyView)
  fee: MoneyView;

  @Nested(() => MoneyView)
  net: MoneyView;

  @Id({ nullable: true })
  invoiceId: string | null;

  @Id({ nullable: true })
  paymentId: string | null;

  @Text({ nullable: true, description: 'Why it is not what is booked here; null when it is.' })
  difference: string | null;
}

/** A payout of Stripe, held against the payments that are booked here. */
export class PayoutMatchView {
  @Text()
  payoutId: string;

  @Text()
  status: string;

  @Instant()
  arrivesAt: Date;

  @Nested(() => MoneyView)
  amount: MoneyView;

  @Nested(() => MoneyView)
  fees: MoneyView;

  @ListOf(() => PayoutLineView, { max: 10_000 })
  lines: readonly PayoutLineView[];

  @Flag({ description: 'Whether the lines add up to the payout, and each is what is booked.' })
  isMatched: boolean;
}

export function payoutView(match: PayoutMatch): PayoutMatchView {
  const { payoutId, status, arrivesAt, currency, amountMinor, feesMinor, lines, isMatched } = match;
  const money = (minor: bigint) => moneyView({ minor, currency });
  return {
    payoutId,
    status,
    arrivesAt,
    amount: money(amountMinor),
    fees: money(feesMinor),
    lines: lines.map(({ grossMinor, feeMinor, netMinor, ...line }) => ({
      ...line,
      gross: money(grossMinor),
      fee: money(feeMinor),
      net: money(netMinor),
    })),
    isMatched,
  };
}
