import { randomBytes } from 'node:crypto';
import { prefixedId } from '@core/kernel';
import type { NewEvent } from '@core/notifications';
import { publishEvents } from '@io/notifications';
import type { Prisma } from '@io/platform';

/** Why a customer's calls are refused. */
export const BLOCK_REASONS = ['by-hand', 'overdue-invoice', 'credit-used-up'] as const;
export type BlockReason = (typeof BLOCK_REASONS)[number];

/** Whose calls are refused, why, and since when; a customer is blocked while there is any. */
export interface CustomerBlock {
  readonly id: string;
  readonly accountId: string;
  readonly customerId: string;
  readonly reason: BlockReason;
  /** The invoice, or the currency of the wallet; the customer when it is by hand. */
  readonly subjectId: string;
  readonly note: string | null;
  readonly createdBy: string;
  readonly createdAt: Date;
}

type BlockKey = Pick<CustomerBlock, 'accountId' | 'customerId' | 'reason' | 'subjectId'>;

/**
 * Blocks a customer within the transaction of the cause; false when they are for that already. All who decide hear of it when
 * the transaction commits, by trigger. `at` is the account's time.
 */
export async function blockCustomer(
  tx: Prisma.TransactionClient,
  block: BlockKey & { readonly note: string | null; readonly createdBy: string; readonly at: Date },
): Promise<boolean> {
  const { at, ...rest } = block;
  const id = prefixedId('blk', randomBytes);
  const { count } = await tx.customerBlock.createMany({
    data: [{ ...rest, id, createdAt: at }],
    skipDuplicates: true,
  });
  if (count > 0) await tell(tx, 'customer.blocked', [{ ...block, id }], at);
  return count > 0;
}

/** Lifts blocks, within the transaction that ends their cause, and answers which. */
export async function liftBlocks(
  tx: Prisma.TransactionClient,
  which: { readonly accountId: string } & Partial<
    Pick<CustomerBlock, 'id' | 'customerId' | 'reason' | 'subjectId'>
  >,
  at: Date,
): Promise<Told[]> {
  const found = await tx.customerBlock.findMany({ where: which });
  const lifted: Told[] = [];
  for (const block of found) {
    const { accountId, id } = block;
    const { count } = await tx.customerBlock.deleteMany({ where: { accountId, id } });
    if (count > 0) lifted.push(block);
  }
  if (lifted.length > 0) await tell(tx, 'customer.unblocked', lifted, at);
  return lifted;
}

/** What is told of a block. */
type Told = Pick<CustomerBlock, 'id' | 'accountId' | 'customerId' | 'subjectId'> & {
  readonly reason: string;
};

async function tell(
  tx: Prisma.TransactionClient,
  type: 'customer.blocked' | 'customer.unblocked',
  blocks: readonly Told[],
  at: Date,
): Promise<void> {
  const events: NewEvent[] = [];
  for (const { id, accountId, customerId, reason, subjectId } of blocks) {
    const left = await tx.customerBlock.count({ where: { accountId, customerId } });
    const data = { blockId: id, customerId, reason, subjectId, isBlocked: left > 0 };
    events.push({ accountId, type, subjectId: id, at, data });
  }
  await publishEvents(tx, events, await databaseNow(tx));
}

/** An invoice that is paid or void blocks nobody any more. It is locked. */
export async function endDunning(
  tx: Prisma.TransactionClient,
  { accountId, invoiceId: subjectId }: { readonly accountId: string; readonly invoiceId: string },
  at: Date,
): Promise<void> {
  await liftBlocks(tx, { accountId, reason: 'overdue-invoice', subjectId }, at);
}

/** The time of the transaction by the database, for what is put into outboxes. */
export async function databaseNow(tx: Prisma.TransactionClient): Promise<Date> {
  const rows = await tx.$queryRaw<{ now: Date }[]>`SELECT now()`;
  const [row] = rows;
  if (!row) throw new Error('The database told no time.');
  return row.now;
}
