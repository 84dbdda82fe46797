import assert from 'node:assert';
import { Injectable } from '@nestjs/common';
import type { InvoiceStatus } from '@core/billing';
import type { Scope } from '@core/identity';
import { Database, pageArguments, type PageRequest } from '@io/platform';
import { draftBases, type DraftBasis, type DraftKey } from './draft-basis.js';
import { toHeads, withLines, type Invoice, type InvoiceHead } from './invoice-rows.js';

/** Which invoices are wanted; the span is of when they were drafted. */
export interface InvoiceFilter {
  readonly customerId?: string;
  readonly status?: InvoiceStatus;
  readonly from?: Date;
  readonly to?: Date;
}

/** Invoices as they stand, and what they charge for each other's periods. */
@Injectable()
export class InvoicesRepository {
  constructor(private readonly db: Database) {}

  /** What a draft of a period depends on besides usage and terms. */
  async basis(accountId: string, key: DraftKey): Promise<DraftBasis> {
    const [basis] = await draftBases(this.db, accountId, [key]);
    assert(basis, 'A period has a basis.');
    return basis;
  }

  async find({ accountId, customerId }: Scope, id: string): Promise<Invoice | null> {
    const row = await this.db.invoice.findFirst({
      where: { accountId, id, ...(customerId !== undefined && { customerId }) },
    });
    return row && withLines(this.db, row);
  }

  async page(
    { accountId, customerId: own }: Scope,
    { customerId, status, from, to }: InvoiceFilter,
    page: PageRequest,
  ): Promise<InvoiceHead[]> {
    const { where, ...rest } = pageArguments(page);
    const filters = [
      own === undefined ? {} : { customerId: own },
      customerId === undefined ? {} : { customerId },
      status === undefined ? {} : { status },
      { createdAt: { ...(from && { gte: from }), ...(to && { lt: to }) } },
      where,
    ];
    const rows = await this.db.invoice.findMany({ where: { accountId, AND: filters }, ...rest });
    return toHeads(this.db, rows);
  }
}
