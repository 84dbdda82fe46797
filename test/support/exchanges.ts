import { randomBytes } from 'node:crypto';
import { prefixedId } from '@core/kernel';
import type { Database } from '@io/platform';

/** An exchange as it may be made. */
export interface ExchangeRow {
  readonly accountId: string;
  readonly customerId?: string;
  readonly subjectId?: string;
  readonly direction?: 'out' | 'in';
  readonly target?: string;
  readonly act?: string;
  readonly chain?: string;
  readonly status?: string;
  readonly createdAt?: Date;
  readonly amountMinor?: bigint;
  readonly currency?: string;
}

/** Puts an exchange into the database, and returns its id. */
export async function anExchange(db: Database, row: ExchangeRow): Promise<string> {
  const id = prefixedId('xch', randomBytes);
  const { subjectId = id, createdAt = new Date() } = row;
  await db.exchange.create({
    data: {
      direction: 'out',
      target: 'stripe',
      act: 'push-invoice',
      chain: subjectId,
      nextAttemptAt: createdAt,
      ...row,
      ...(row.status === 'dead' ? { endedAt: createdAt, fault: 'no such customer' } : {}),
      ...(row.status === 'sent' ? { endedAt: createdAt } : {}),
      id,
      subjectId,
      createdAt,
    },
  });
  return id;
}
