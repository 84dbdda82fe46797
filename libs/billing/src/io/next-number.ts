import type { Prisma } from '@io/platform';

/** The next number of a series, from 1. The series' row stays locked to the end of the transaction, so none is skipped. */
export async function nextNumber(
  tx: Prisma.TransactionClient,
  { accountId, series }: { readonly accountId: string; readonly series: string },
): Promise<bigint> {
  const rows = await tx.$queryRaw<{ given: bigint }[]>`
    INSERT INTO invoice_series AS s (account_id, series, next_number) VALUES (${accountId}, ${series}, 2)
    ON CONFLICT (account_id, series) DO UPDATE SET next_number = s.next_number + 1
    RETURNING next_number - 1 AS given`;
  const [row] = rows;
  if (!row) throw new Error('The series gave no number.');
  return row.given;
}
