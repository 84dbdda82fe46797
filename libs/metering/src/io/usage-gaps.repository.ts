import assert from 'node:assert';
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { prefixedId, type Period } from '@core/kernel';
import { UsageGapNotOpen, type BatchNumbers } from '@core/metering';
import {
  appendAudit,
  Database,
  NotFound,
  pageArguments,
  Prisma,
  type PageRequest,
} from '@io/platform';
import { HAS_OPEN_GAP, openGaps } from './open-gaps.js';

/** Numbers of an epoch that neither came nor were waived. */
export interface GapRow {
  readonly gatewayId: string;
  readonly epoch: string;
  readonly highest: bigint;
  /** How many numbers of the epoch are open, in all its runs. */
  readonly missing: bigint;
  readonly first: bigint;
  readonly last: bigint;
  readonly since: Date;
  /** Null when the records of the batches beside it are kept no more. */
  readonly estimatedCalls: string | null;
}

/** That a person gave up on missing batches. What comes after all counts, and the waiver stays. */
export interface GapWaiver {
  readonly id: string;
  readonly gatewayId: string;
  readonly epoch: string;
  readonly first: bigint;
  readonly last: bigint;
  readonly reason: string;
  readonly createdBy: string;
  readonly createdAt: Date;
}

const VIEW = {
  id: true,
  gatewayId: true,
  epoch: true,
  first: true,
  last: true,
  reason: true,
  createdBy: true,
  createdAt: true,
} as const;

/** Batch numbers that are missing, and those that a person gave up on. */
@Injectable()
export class UsageGapsRepository {
  constructor(private readonly db: Database) {}

  /**
   * Open gaps of an account, the oldest first. The calls of one are estimated by the mean of the batches right before
   * and right after it.
   */
  open(accountId: string, limit: number): Promise<GapRow[]> {
    return this.db.$queryRaw<GapRow[]>`
      SELECT gap.gateway_id AS "gatewayId", gap.epoch, gap.highest, gap.missing, gap.first, gap.last, gap.since,
        round(beside.calls * (gap.last - gap.first + 1))::text AS "estimatedCalls"
      FROM (
        SELECT *, (sum(last - first + 1) OVER (PARTITION BY gateway_id, epoch))::bigint AS missing
        FROM (${openGaps(Prisma.sql`e.account_id = ${accountId}`)}) run
        ORDER BY since, gateway_id, epoch, first
        LIMIT ${limit}
      ) gap
      CROSS JOIN LATERAL (
        SELECT avg(counted.calls) AS calls
        FROM (
          (SELECT b.id, b.received_at FROM usage_batch b
           WHERE b.gateway_id = gap.gateway_id AND b.epoch = gap.epoch AND b.sequence < gap.first
           ORDER BY b.sequence DESC LIMIT 1)
          UNION ALL
          (SELECT b.id, b.received_at FROM usage_batch b
           WHERE b.gateway_id = gap.gateway_id AND b.epoch = gap.epoch AND b.sequence > gap.last
           ORDER BY b.sequence LIMIT 1)
        ) neighbour
        CROSS JOIN LATERAL (
          SELECT coalesce(sum(r.quantity) FILTER (WHERE r.meter = 'calls'), 0) AS calls
          FROM usage_record r WHERE r.batch_id = neighbour.id AND r.received_at = neighbour.received_at
          HAVING count(*) > 0
        ) counted
      ) beside
      ORDER BY gap.since, gap.gateway_id, gap.epoch, gap.first`;
  }

  /**
   * Open gaps whose calls could lie in a period, the oldest first: a missing batch was numbered before the one that
   * shows it missing came, and holds no record that is older, or further ahead, than records may be.
   */
  touching(
    accountId: string,
    { from, to }: Period,
    {
      futureMs,
      pastMonths,
      limit,
    }: { readonly futureMs: number; readonly pastMonths: number; readonly limit: number },
  ): Promise<BatchNumbers[]> {
    return this.db.$queryRaw<{ gatewayId: string; epoch: string; first: bigint; last: bigint }[]>`
      SELECT gap.gateway_id AS "gatewayId", gap.epoch, gap.first, gap.last
      FROM (${openGaps(Prisma.sql`e.account_id = ${accountId}`)}) gap
      JOIN account a ON a.id = ${accountId}
      WHERE gap.since + make_interval(secs => (a.clock_offset_ms + ${futureMs}) / 1000.0) >= ${from}
        AND gap.before_at - make_interval(months => ${pastMonths}::int) < ${to}
      ORDER BY gap.since, 1, 2, 3
      LIMIT ${limit}`.then((rows) => rows.map(toNumbers));
  }

  /**
   * Notes that a person gave up on numbers, all of which must be open gaps of the epoch; its row is locked meanwhile,
   * so that none of them comes and no waivers overlap. The same numbers again are the waiver that stands.
   */
  waive(scope: Scope, numbers: BatchNumbers, reason: string, now: Date): Promise<GapWaiver> {
    const { accountId, principalId } = scope;
    const { gatewayId, epoch, first, last } = numbers;
    return this.db.$transaction(async (tx) => {
      const gateway = await tx.gateway.findFirst({ where: { accountId, id: gatewayId } });
      if (!gateway) throw new NotFound('gateway', gatewayId);
      const [come] = await tx.$queryRaw<{ highest: bigint }[]>`
        SELECT highest FROM usage_epoch
        WHERE account_id = ${accountId} AND gateway_id = ${gatewayId} AND epoch = ${epoch} FOR NO KEY UPDATE`;
      if (!come) throw new NotFound('epoch', epoch);
      const place = { accountId, gatewayId, epoch };
      const before = await tx.usageGapWaiver.findFirst({
        where: { ...place, first, last },
        select: VIEW,
      });
      if (before) return before;
      const received = await tx.usageBatch.count({
        where: { ...place, sequence: { gte: first, lte: last } },
      });
      const waived = await tx.usageGapWaiver.count({
        where: { ...place, first: { lte: last }, last: { gte: first } },
      });
      if (last >= come.highest || received > 0 || waived > 0) throw new UsageGapNotOpen(numbers);
      const waiver = await tx.usageGapWaiver.create({
        data: {
          ...place,
          first,
          last,
          reason,
          id: prefixedId('wvr', randomBytes),
          createdBy: principalId,
          createdAt: now,
        },
        select: VIEW,
      });
      await appendAudit(tx, {
        ...scope,
        action: 'waive-usage-gap',
        subject: waiver.id,
        after: { gatewayId, epoch, first, last, reason },
      });
      return waiver;
    });
  }

  /** A page of waivers, newest first. */
  waivers({ accountId }: Scope, request: PageRequest): Promise<GapWaiver[]> {
    const { where, ...page } = pageArguments(request);
    return this.db.usageGapWaiver.findMany({
      where: { accountId, ...where },
      ...page,
      select: VIEW,
    });
  }

  /** Epochs with an open gap, over all accounts: for whoever runs the service. */
  async epochsWithGaps(): Promise<number> {
    const [row] = await this.db.$queryRaw<{ epochs: number }[]>`
      SELECT count(*)::int AS epochs FROM usage_epoch e WHERE ${HAS_OPEN_GAP}`;
    assert(row, 'a count is always there');
    return row.epochs;
  }

  /** Age of the oldest open gap over all accounts; 0 when there is none. */
  async oldestGapSeconds(): Promise<number> {
    const [row] = await this.db.$queryRaw<{ seconds: number }[]>`
      SELECT greatest(coalesce(extract(epoch FROM now() - min(since)), 0), 0)::float8 AS seconds
      FROM (${openGaps(Prisma.sql`true`)}) gap`;
    assert(row, 'an aggregate is always there');
    return row.seconds;
  }
}

const toNumbers = ({
  first,
  last,
  ...place
}: Pick<GapRow, 'gatewayId' | 'epoch' | 'first' | 'last'>): BatchNumbers => ({
  ...place,
  first: Number(first),
  last: Number(last),
});
