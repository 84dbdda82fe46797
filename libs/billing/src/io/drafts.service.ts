import { Injectable } from '@nestjs/common';
import { WrongInvoiceStatus } from '@core/billing';
import type { Scope } from '@core/identity';
import { exactMoney, type Decimal } from '@core/kernel';
import { BusinessClock, InvalidRequest, NotFound } from '@io/platform';
import { DraftsRepository } from './drafts.repository.js';
import type { Invoice } from './invoice-rows.js';
import { InvoicesRepository } from './invoices.repository.js';
import type { RateSlice } from './rating-transactions.js';
import { RatingService } from './rating.service.js';

/** A line as a person puts it on a draft; its amount is in major units and may be negative. */
export interface ManualLineRequest {
  readonly description: string;
  readonly amount: Decimal;
  readonly reason: string;
}

/** What people do with a draft before it is final. Each step rates it anew. */
@Injectable()
export class DraftsService {
  constructor(
    private readonly invoices: InvoicesRepository,
    private readonly drafts: DraftsRepository,
    private readonly rating: RatingService,
    private readonly clock: BusinessClock,
  ) {}

  /** Rates a draft anew, with what came in since. Throws `WrongInvoiceStatus` when it is none any more. */
  async refresh(scope: Scope, id: string): Promise<Invoice> {
    const { status } = await this.get(scope, id);
    if (status !== 'draft') throw new WrongInvoiceStatus(status, ['draft']);
    await this.rating.rollUpNow(scope.accountId);
    const invoice = await this.drafts.replace(scope, id, this.rate);
    if (invoice) return invoice;
    throw new WrongInvoiceStatus((await this.get(scope, id)).status, ['draft']);
  }

  /**
   * Makes a draft for the period of an invoice that was made void, rated anew. Idempotent: again, it returns the same. Throws
   * `WrongInvoiceStatus`.
   */
  async reissue(scope: Scope, id: string): Promise<Invoice> {
    await this.get(scope, id);
    await this.rating.rollUpNow(scope.accountId);
    const at = await this.clock.now(scope.accountId);
    const invoice = await this.drafts.reissue(scope, id, { at, rate: this.rate });
    if (!invoice) throw new NotFound('invoice', id);
    return invoice;
  }

  /** Puts a line on a draft and rates it again. Throws `WrongInvoiceStatus`. */
  async addLine(scope: Scope, id: string, line: ManualLineRequest): Promise<Invoice> {
    const { currency } = await this.get(scope, id);
    const { description, reason } = line;
    const amount = exactMoney(line.amount, currency);
    if (!amount || amount.minor === 0n) {
      const detail = amount ? 'must not be 0' : `has more decimals than ${currency}`;
      throw new InvalidRequest([{ pointer: '/amount', detail }]);
    }
    const at = await this.clock.now(scope.accountId);
    await this.drafts.addLine(scope, id, { description, reason, amountMinor: amount.minor, at });
    return this.refresh(scope, id);
  }

  /** Takes a line that a person put on a draft off again, and rates it again. Throws `WrongInvoiceStatus`. */
  async removeLine(scope: Scope, id: string, lineId: string): Promise<Invoice> {
    await this.get(scope, id);
    if (!(await this.drafts.removeLine(scope, id, lineId))) throw new NotFound('line', lineId);
    return this.refresh(scope, id);
  }

  private readonly rate: RateSlice = (slice) => this.rating.rate(slice);

  private async get(scope: Scope, id: string): Promise<Invoice> {
    const invoice = await this.invoices.find(scope, id);
    if (!invoice) throw new NotFound('invoice', id);
    return invoice;
  }
}
