import assert from 'node:assert';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { exactMoney, type Decimal, type Money } from '@core/kernel';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  type Page,
  type PageQuery,
} from '@io/platform';
import type { Invoice } from './invoice-rows.js';
import { InvoicesRepository } from './invoices.repository.js';
import {
  SettlementsRepository,
  type Payment,
  type PaymentMethod,
} from './settlements.repository.js';

/** A payment as it was asked for. */
export interface PaymentRequest {
  /** In major units. */
  readonly amount: Decimal;
  readonly method: PaymentMethod;
  readonly reference: string;
  /** Now when left out. */
  readonly paidAt?: Date;
}

/** An amount that is refused above: no invoice has it, and Postgres could not keep it. */
const MINOR_MAX = 10n ** 17n;
/** The reference of what `pay` records. */
const MARKED_AS_PAID = 'marked as paid';

/** What becomes of a finalised invoice: payments, void, uncollectible. Each step is posted, and happens once. */
@Injectable()
export class SettlementsService {
  constructor(
    private readonly settlements: SettlementsRepository,
    private readonly invoices: InvoicesRepository,
    private readonly clock: BusinessClock,
    private readonly pages: Pages,
  ) {}

  /** Records that all that is due came in. Throws `WrongInvoiceStatus`. */
  async pay(scope: Scope, id: string): Promise<Invoice> {
    const at = await this.clock.now(scope.accountId);
    const payment = { amount: null, method: 'unspecified', reference: MARKED_AS_PAID } as const;
    return found(id, await this.settlements.pay(scope, id, { ...payment, paidAt: at, at })).invoice;
  }

  /** Records a payment, of a part or of all. Throws `PaymentTooHigh`, `PaymentReferenceTaken`, `WrongInvoiceStatus`. */
  async recordPayment(scope: Scope, id: string, request: PaymentRequest): Promise<Payment> {
    const { method, reference } = request;
    const { currency } = found(id, await this.invoices.find(scope, id));
    const at = await this.clock.now(scope.accountId);
    const paidAt = request.paidAt ?? at;
    if (paidAt > at) {
      throw new InvalidRequest([{ pointer: '/paidAt', detail: 'must not be in the future' }]);
    }
    const asked = { amount: readAmount(request.amount, currency), method, reference, paidAt, at };
    const { payment } = found(id, await this.settlements.pay(scope, id, asked));
    assert(payment, 'An amount makes a payment.');
    return payment;
  }

  /** The payments of an invoice, the newest first. */
  async payments(scope: Scope, id: string, query: PageQuery): Promise<Page<Payment>> {
    found(id, await this.invoices.find(scope, id));
    const list = `payments ${scope.accountId} ${id}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.settlements.payments(scope, id, page), page, list);
  }

  /** Throws `WrongInvoiceStatus`, or `InvoiceSettledInPart` when anything was paid or credited. */
  async void(scope: Scope, id: string): Promise<Invoice> {
    const at = await this.clock.now(scope.accountId);
    return found(id, await this.settlements.void(scope, id, at));
  }

  /** Gives up on what is due. Throws `WrongInvoiceStatus`. */
  async markUncollectible(scope: Scope, id: string): Promise<Invoice> {
    const at = await this.clock.now(scope.accountId);
    return found(id, await this.settlements.writeOff(scope, id, at));
  }
}

function readAmount(amount: Decimal, currency: string): Money {
  const money = exactMoney(amount, currency);
  if (money && money.minor > 0n && money.minor <= MINOR_MAX) return money;
  const detail = money
    ? 'must be more than 0, and an amount that was invoiced'
    : `has more decimals than ${currency}`;
  throw new InvalidRequest([{ pointer: '/amount', detail }]);
}

function found<T>(id: string, one: T | null): T {
  if (one === null) throw new NotFound('invoice', id);
  return one;
}
