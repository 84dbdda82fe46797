import { Injectable } from '@nestjs/common';
import {
  dueAt,
  UsageCorrectionWaiting,
  UsageGapOpen,
  UsageQuarantined,
  WrongInvoiceStatus,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { exactMoney, type Decimal } from '@core/kernel';
import { MissingUsageService } from '@io/metering';
import { BusinessClock, InvalidRequest, NotFound } from '@io/platform';
import { DraftsRepository } from './drafts.repository.js';
import type { Invoice } from './invoice-rows.js';
import { InvoicesRepository } from './invoices.repository.js';
import type { RateSlice } from './rating-transactions.js';
import { RatingService } from './rating.service.js';
import { TermsRepository } from './terms.repository.js';

/** A line as a person puts it on a draft; its amount is in major units and may be negative. */
export interface ManualLineRequest {
  readonly description: string;
  readonly amount: Decimal;
  readonly reason: string;
}

/**
 * What is done with a draft, up to the moment when it is final. Each step rates it anew.
 *
 *     draft ──finalise──▶ finalised ──▶ paid | void | uncollectible
 */
@Injectable()
export class DraftsService {
  constructor(
    private readonly invoices: InvoicesRepository,
    private readonly drafts: DraftsRepository,
    private readonly rating: RatingService,
    private readonly terms: TermsRepository,
    private readonly missing: MissingUsageService,
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
   * Makes a draft final: last rating, number, dates. Idempotent: a second call returns the same invoice. Throws
   * `UsageGapOpen` while batches are missing that could belong to its period, `UsageQuarantined` while records are in the
   * quarantine that could, and `UsageCorrectionWaiting` while corrections wait that could be of it.
   */
  async finalise(scope: Scope, id: string): Promise<Invoice> {
    const invoice = await this.get(scope, id);
    if (invoice.status === 'draft') {
      // Before the last rating: what filled a gap by then is in it.
      await this.holdForMissing(scope, invoice);
      await this.rating.rollUpNow(scope.accountId);
      const issuedAt = await this.clock.now(scope.accountId);
      await this.drafts.finalise(scope, [id], {
        rate: this.rate,
        dates: ({ netTermsDays }, timezone) => ({
          issuedAt,
          dueAt: dueAt(issuedAt, { netTermsDays, timezone }),
        }),
      });
    }
    return this.get(scope, id);
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

  /** Any gateway of the account may have seen the customer's calls, so a gap of any of them counts; also of an account that is billed. */
  private async holdForMissing(
    { accountId }: Scope,
    { customerId, subscriptionId, period }: Invoice,
  ): Promise<void> {
    // So that no correction waits any more that can be applied.
    await this.rating.rollUpNow(accountId);
    const billed = await this.terms.billedAccounts(accountId, subscriptionId);
    for (const of of [{ accountId, customerId }, ...billed.map((id) => ({ accountId: id }))]) {
      const { gaps, recordIds, correctionIds } = await this.missing.touching(of, period);
      if (gaps.length > 0) throw new UsageGapOpen(gaps);
      if (recordIds.length > 0) throw new UsageQuarantined(recordIds);
      if (correctionIds.length > 0) throw new UsageCorrectionWaiting(correctionIds);
    }
  }
}
