import { Injectable } from '@nestjs/common';
import {
  ExchangeNotOpen,
  OPEN_EXCHANGES,
  type ExchangeDirection,
  type ExchangeStatus,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { appendAudit, Database, pageArguments, type PageRequest, type Prisma } from '@io/platform';

/** An exchange as it is shown. */
export interface Exchange {
  readonly id: string;
  readonly direction: ExchangeDirection;
  readonly target: string;
  readonly act: string;
  readonly subjectId: string;
  readonly customerId: string | null;
  readonly status: ExchangeStatus;
  readonly attempts: number;
  readonly nextAttemptAt: Date;
  readonly remoteId: string | null;
  readonly amountMinor: bigint | null;
  readonly currency: string | null;
  readonly fault: string | null;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
  readonly resolvedBy: string | null;
  readonly resolvedReason: string | null;
}

export interface ExchangeAttempt {
  readonly attempt: number;
  readonly at: Date;
  readonly latencyMs: number;
  readonly outcome: string;
  readonly fault: string | null;
}

/** Which exchanges are wanted; without a status those that are not over. */
export interface ExchangeFilter {
  readonly direction?: ExchangeDirection;
  readonly target?: string;
  readonly status?: ExchangeStatus;
  readonly customerId?: string;
}

/** The remote services that there are. */
export const EXCHANGE_TARGETS = ['stripe'] as const;

/** What waits for a remote service, or for us, over all accounts. */
export interface ExchangeBacklog {
  readonly target: string;
  readonly direction: ExchangeDirection;
  readonly status: ExchangeStatus;
  readonly count: number;
  readonly oldestSeconds: number;
}

const VIEW = {
  id: true,
  direction: true,
  target: true,
  act: true,
  subjectId: true,
  customerId: true,
  status: true,
  attempts: true,
  nextAttemptAt: true,
  remoteId: true,
  amountMinor: true,
  currency: true,
  fault: true,
  createdAt: true,
  endedAt: true,
  resolvedBy: true,
  resolvedReason: true,
} as const;

const ATTEMPTS_SHOWN = 100;

type Row = Prisma.ExchangeGetPayload<{ select: typeof VIEW }>;

/** The outbox and the inbox, as operators see and settle them. */
@Injectable()
export class ExchangesRepository {
  constructor(private readonly db: Database) {}

  async page(
    { accountId }: Scope,
    { status, ...filter }: ExchangeFilter,
    page: PageRequest,
  ): Promise<Exchange[]> {
    const { where, ...rest } = pageArguments(page);
    const wanted = status === undefined ? { in: [...OPEN_EXCHANGES] } : status;
    const rows = await this.db.exchange.findMany({
      where: { accountId, ...filter, status: wanted, AND: [where] },
      ...rest,
      select: VIEW,
    });
    return rows.map(toExchange);
  }

  async find(
    { accountId }: Scope,
    id: string,
  ): Promise<{ exchange: Exchange; attempts: ExchangeAttempt[] } | null> {
    const row = await this.db.exchange.findUnique({
      where: { accountId_id: { accountId, id } },
      select: VIEW,
    });
    if (!row) return null;
    const attempts = await this.db.exchangeAttempt.findMany({
      where: { accountId, exchangeId: id },
      orderBy: { attempt: 'desc' },
      take: ATTEMPTS_SHOWN,
      select: { attempt: true, at: true, latencyMs: true, outcome: true, fault: true },
    });
    return { exchange: toExchange(row), attempts };
  }

  /** Makes one that failed or is dead due now, from the first pause on. Throws `ExchangeNotOpen`. Null when there is none. */
  retry(scope: Scope, id: string, { reason, now }: Settling): Promise<Exchange | null> {
    return this.settle(scope, id, {
      from: ['failed', 'dead'],
      action: 'retry-exchange',
      reason,
      now,
      data: { status: 'pending', tries: 0, nextAttemptAt: now, endedAt: null },
    });
  }

  /** Ends one that a person has settled elsewhere. Throws `ExchangeNotOpen`. Null when there is none. */
  resolve(scope: Scope, id: string, { reason, now }: Settling): Promise<Exchange | null> {
    const { principalId: resolvedBy } = scope;
    return this.settle(scope, id, {
      from: ['pending', 'failed', 'dead'],
      action: 'resolve-exchange',
      reason,
      now,
      data: { status: 'resolved', endedAt: now, resolvedBy, resolvedReason: reason },
    });
  }

  /** What is open, over all accounts; old ones of any status are as old as the oldest of them. */
  backlog(): Promise<ExchangeBacklog[]> {
    return this.db.$queryRaw<ExchangeBacklog[]>`
      SELECT target, direction, status, count(*)::int AS count,
        greatest(extract(epoch FROM now() - min(created_at)), 0)::float8 AS "oldestSeconds"
      FROM exchange WHERE status IN ('pending', 'sending', 'failed', 'dead')
      GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`;
  }

  private settle(
    { accountId, principalId }: Scope,
    id: string,
    settling: Settling & {
      readonly from: readonly ExchangeStatus[];
      readonly action: string;
      readonly data: Prisma.ExchangeUpdateInput;
    },
  ): Promise<Exchange | null> {
    const { from, action, reason, now, data } = settling;
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT FROM exchange WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
      const where = { accountId_id: { accountId, id } };
      const before = await tx.exchange.findUnique({
        where,
        select: { status: true, fault: true, sendingUntil: true },
      });
      if (!before) return null;
      // A claim that ran out is of a worker that died: it failed.
      const hasRunOut = before.sendingUntil !== null && before.sendingUntil <= now;
      const status = hasRunOut ? 'failed' : (before.status as ExchangeStatus);
      if (!from.includes(status)) throw new ExchangeNotOpen(status, from);
      const after = await tx.exchange.update({
        where,
        data: { ...data, sendingUntil: null },
        select: VIEW,
      });
      await appendAudit(tx, {
        accountId,
        principalId,
        action,
        subject: id,
        before: { status, fault: before.fault },
        after: { status: after.status, act: after.act, subjectId: after.subjectId, reason },
      });
      return toExchange(after);
    });
  }
}

interface Settling {
  readonly reason: string;
  readonly now: Date;
}

function toExchange(row: Row): Exchange {
  return {
    ...row,
    direction: row.direction as ExchangeDirection,
    status: row.status as ExchangeStatus,
  };
}
