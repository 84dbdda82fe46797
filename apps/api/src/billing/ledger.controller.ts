import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { LedgerService } from '@io/billing';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import { readSpan } from './invoices.dto.js';
import {
  BalanceView,
  balanceView,
  JournalListView,
  JournalQuery,
  journalTransactionView,
} from './ledger.dto.js';

/** The journal of postings, and what it adds up to. */
@Controller()
export class LedgerController {
  constructor(private readonly ledger: LedgerService) {}

  @Get('customers/:customerId/balance')
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: BalanceView })
  async balance(@Caller() scope: Scope, @Param('customerId') customerId: string) {
    return balanceView(customerId, await this.ledger.balances(scope, customerId));
  }

  @Get('ledger-transactions')
  @Allow('read')
  @ApiOkResponse({ type: JournalListView })
  async transactions(
    @Caller() scope: Scope,
    @Query() { customerId, invoiceId, from, to, ...query }: JournalQuery,
  ): Promise<JournalListView> {
    const span = readSpan({ ...(from !== undefined && { from }), ...(to !== undefined && { to }) });
    const filter = {
      ...(customerId !== undefined && { customerId }),
      ...(invoiceId !== undefined && { invoiceId }),
      ...span,
    };
    const { items, ...next } = await this.ledger.transactions(scope, filter, query);
    return { items: items.map(journalTransactionView), ...next };
  }
}
