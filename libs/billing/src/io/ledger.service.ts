import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { NotFound, Pages, type Page, type PageQuery } from '@io/platform';
import {
  LedgerRepository,
  type BalanceSums,
  type JournalFilter,
  type JournalTransaction,
} from './ledger.repository.js';

/** What was posted, and what it adds up to. */
@Injectable()
export class LedgerService {
  constructor(
    private readonly ledger: LedgerRepository,
    private readonly pages: Pages,
  ) {}

  /** What a customer owes and is owed, by currency. A customer finds only themselves. */
  async balances(scope: Scope, customerId: string): Promise<BalanceSums[]> {
    const isForeign = scope.customerId !== undefined && scope.customerId !== customerId;
    const balances = isForeign ? null : await this.ledger.balances(scope, customerId);
    if (!balances) throw new NotFound('customer', customerId);
    return balances;
  }

  /** The journal, the newest first. */
  async transactions(
    scope: Scope,
    filter: JournalFilter,
    query: PageQuery,
  ): Promise<Page<JournalTransaction>> {
    const list = `ledger-transactions ${scope.accountId} ${JSON.stringify(filter)}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.ledger.page(scope, filter, page), page, list);
  }
}
