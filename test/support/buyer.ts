import { formatMoney } from '@core/kernel';
import { expect } from 'vitest';
import type { Business } from './business.js';

type Body = Record<string, unknown>;

interface Money {
  readonly amount: string;
  readonly minor: string;
}

interface Transaction {
  readonly postings: readonly { readonly ledgerAccount: string; readonly amount: Money }[];
}

/** An invoice as the api shows it. */
export interface Invoice {
  readonly id: string;
  readonly number: string | null;
  readonly status: string;
  readonly period: { readonly from: string; readonly to: string };
  readonly lines: readonly {
    readonly id: string;
    readonly description: string;
    readonly amount: Money;
    readonly source: { readonly id?: string; readonly kind: string } | null;
  }[];
  readonly taxes: readonly {
    readonly name: string;
    readonly ratePercent: string;
    readonly net: Money;
    readonly tax: Money;
  }[];
  readonly total: Money;
  readonly due: Money;
  readonly dueAt: string | null;
  readonly issuedAt: string | null;
}

/** A bill as it is read out: its lines, its taxes, and last its total. */
export function readOut({ lines, taxes, total }: Pick<Invoice, 'lines' | 'taxes' | 'total'>) {
  return [
    ...lines.map(({ description, amount }) => `${description} = ${amount.amount}`),
    ...taxes.map(
      ({ name, ratePercent, net, tax }) =>
        `${name} ${ratePercent} % of ${net.amount} = ${tax.amount}`,
    ),
    `total = ${total.amount}`,
  ];
}

/** A customer with one key, who subscribes, uses and pays. */
export class Buyer {
  readonly customerId: string;
  readonly keyId: string;
  readonly apiKey: string;
  readonly subscriptionId: string;

  constructor(
    private readonly business: Business,
    who: Pick<Buyer, 'customerId' | 'keyId' | 'apiKey' | 'subscriptionId'>,
  ) {
    ({ customerId: this.customerId, keyId: this.keyId, apiKey: this.apiKey } = who);
    this.subscriptionId = who.subscriptionId;
  }

  /** Uses calls, or what meters count, at an instant; answers where that is written down. */
  uses(what: string | Record<string, string>, at: string): Promise<Body> {
    const quantities = typeof what === 'string' ? { calls: what } : what;
    return this.business.reports(this.keyId, at, quantities);
  }

  /** Changes, pauses, resumes, cancels or ends the subscription. */
  asksTo(verb: 'changes' | 'pause' | 'resume' | 'cancel' | 'end', body: Body = {}) {
    return this.business.call('POST', `/v1/subscriptions/${this.subscriptionId}/${verb}`, body);
  }

  subscription() {
    return this.business.call('GET', `/v1/subscriptions/${this.subscriptionId}`);
  }

  /** The period that is open, from and to. */
  async openPeriod(): Promise<string[] | null> {
    const { currentPeriod } = await this.subscription();
    return currentPeriod && [currentPeriod.from, currentPeriod.to].map(shortInstant);
  }

  /** Oldest first. */
  async invoices(): Promise<Invoice[]> {
    const all = await this.business.list(`/v1/invoices?customerId=${this.customerId}`);
    const invoices: Invoice[] = [];
    for (const { id } of all.toReversed()) {
      invoices.push((await this.business.call('GET', `/v1/invoices/${String(id)}`)) as Invoice);
    }
    return invoices;
  }

  /** The newest, or the one at a place, counted from 0. */
  async invoice(place = -1): Promise<Invoice> {
    const invoice = (await this.invoices()).at(place);
    if (!invoice) throw new Error('There is no such invoice.');
    return invoice;
  }

  /** What the newest invoice says, or the one at a place. */
  async bill(place?: number): Promise<string[]> {
    return readOut(await this.invoice(place));
  }

  /** What the open period would cost if it ended now. */
  async billSoFar(): Promise<string[]> {
    const path = `/v1/subscriptions/${this.subscriptionId}/preview`;
    return readOut((await this.business.call('GET', path)) as Invoice);
  }

  /** Does something with the newest invoice, or another: finalise, pay, void and so on. Answers it. */
  async with(verb: string, body?: Body, invoice?: Invoice): Promise<Invoice> {
    const { id } = invoice ?? (await this.invoice());
    return (await this.business.call('POST', `/v1/invoices/${id}/${verb}`, body)) as Invoice;
  }

  /** Pays ahead, or is given, credit. */
  async isGranted(amount: string, grant: Body = {}): Promise<string> {
    const body = { kind: 'paid', name: 'Top-up', amount, reference: `wire of ${amount}`, ...grant };
    const path = `/v1/customers/${this.customerId}/credit-grants`;
    return String((await this.business.call('POST', path, body))['id']);
  }

  async creditLeft(grantId: string): Promise<string> {
    return (await this.business.call('GET', `/v1/credit-grants/${grantId}`))['left'].amount;
  }

  /** What they owe and what is owed to them, in the ledger. */
  async owes(): Promise<{ receivable: string; credit: string }> {
    const path = `/v1/customers/${this.customerId}/balance`;
    const { balances } = await this.business.call('GET', path);
    const [{ receivable, credit }] = balances;
    return { receivable: receivable.amount, credit: credit.amount };
  }

  /** What the journal has of them: the balance of each ledger account that is not zero. */
  async ledger(): Promise<Record<string, string>> {
    const path = `/v1/ledger-transactions?customerId=${this.customerId}`;
    const sums = new Map<string, bigint>();
    for (const { postings } of (await this.business.list(path)) as unknown as Transaction[]) {
      for (const { ledgerAccount, amount } of postings) {
        sums.set(ledgerAccount, (sums.get(ledgerAccount) ?? 0n) + BigInt(amount.minor));
      }
    }
    const written = [...sums]
      .filter(([, minor]) => minor !== 0n)
      .map(([account, minor]) => [account, formatMoney({ minor, currency: 'USD' })]);
    return Object.fromEntries(written) as Record<string, string>;
  }

  /** What the gateway comes to be told about their calls, within a second. */
  calling() {
    const asking = () => this.business.decides(this.apiKey);
    return expect.poll(asking, { timeout: 2_000, interval: 20 });
  }
}

/** `2027-03-28T23:30` of an instant that the api answers: to the minute, in UTC. */
export const shortInstant = (instant: string) => instant.slice(0, 16);
