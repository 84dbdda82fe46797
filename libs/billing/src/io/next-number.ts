import assert from 'node:assert';
import type { Prisma } from '@io/platform';

/** The next number of a series, from 1. The series' row stays locked to the end of the transaction, so none is skipped. */
export function nextNumber(
  tx: Prisma.TransactionClient,
  of: { readonly accountId: string; readonly series: string },
): Promise<bigint> {
  return nextNumbers(tx, { ...of, count: 1 });
}

/** The same of so many at once, which follow each other: the first of them. */
export async function nextNumbers(
  tx: Prisma.TransactionClient,
  of: { readonly accountId: string; readonly series: string; readonly count: number },
): Promise<bigint> {
  const { accountId, series, count } = of;
  const rows = await tx.$queryRaw<{ first: bigint }[]>`
    INSERT INTO invoice_series AS s (account_id, series, next_number) VALUES (${accountId}, ${series}, 1 + ${count}::int)
    ON CONFLICT (account_id, series) DO UPDATE SET next_number = s.next_number + ${count}::int
    RETURNING next_number - ${count}::int AS first`;
  const [row] = rows;
  assert(row, 'The series gives a number.');
  return row.first;
}
