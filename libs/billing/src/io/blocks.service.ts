import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  appendAudit,
  BusinessClock,
  Database,
  NotFound,
  pageArguments,
  Pages,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  blockCustomer,
  liftBlocks,
  type BlockReason,
  type CustomerBlock,
} from './customer-blocks.js';

/** Customers whose calls are refused, and by whom. */
@Injectable()
export class BlocksService {
  constructor(
    private readonly db: Database,
    private readonly clock: BusinessClock,
    private readonly pages: Pages,
  ) {}

  /** Blocks a customer by hand; again, it changes nothing. */
  async block(scope: Scope, customerId: string, note: string): Promise<CustomerBlock> {
    const { accountId, principalId } = scope;
    if ((await this.db.customer.count({ where: { accountId, id: customerId } })) === 0)
      throw new NotFound('customer', customerId);
    const at = await this.clock.now(accountId);
    return this.db.$transaction(async (tx) => {
      const key = { customerId, reason: 'by-hand', subjectId: customerId } as const;
      const block = { ...key, accountId, note, createdBy: principalId, at };
      if (await blockCustomer(tx, block)) {
        const change = { action: 'block-customer', subject: customerId, after: { note } };
        await appendAudit(tx, { accountId, principalId, ...change });
      }
      const where = { customerId_reason_subjectId: key, accountId };
      return toBlock(await tx.customerBlock.findUniqueOrThrow({ where }));
    });
  }

  /** Lifts a block, whatever it is for; others of the customer stay. */
  async lift(scope: Scope, id: string): Promise<void> {
    const { accountId, principalId } = scope;
    const at = await this.clock.now(accountId);
    await this.db.$transaction(async (tx) => {
      const [block] = await liftBlocks(tx, { accountId, id }, at);
      if (!block) throw new NotFound('customer block', id);
      const { customerId: subject, reason, subjectId } = block;
      const change = { action: 'unblock-customer', subject, before: { reason, subjectId } };
      await appendAudit(tx, { accountId, principalId, ...change });
    });
  }

  /** What blocks customers now, the newest first. A customer sees what blocks them. */
  async list(
    { accountId, customerId: own }: Scope,
    filter: { readonly customerId?: string },
    query: PageQuery,
  ): Promise<Page<CustomerBlock>> {
    const list = `customer-blocks ${accountId} ${own ?? ''} ${JSON.stringify(filter)}`;
    const page = this.pages.request(query, list);
    const { where, ...rest } = pageArguments(page);
    const filters = [own === undefined ? {} : { customerId: own }, filter, where];
    const rows = await this.db.customerBlock.findMany({
      where: { accountId, AND: filters },
      ...rest,
    });
    return this.pages.page(rows.map(toBlock), page, list);
  }
}

function toBlock(row: Omit<CustomerBlock, 'reason'> & { readonly reason: string }): CustomerBlock {
  return { ...row, reason: row.reason as BlockReason };
}
