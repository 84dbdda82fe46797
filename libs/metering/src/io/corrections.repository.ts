import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { prefixedId, type Period } from '@core/kernel';
import { CORRECTIONS_EPOCH, type Correction } from '@core/metering';
import {
  appendAudit,
  Database,
  pageArguments,
  Prisma,
  SystemClock,
  type PageRequest,
} from '@io/platform';
import { targetsOf, type TargetRow } from './correction-targets.js';

/** What became of a correction. */
export const CORRECTION_STATES = ['waiting', 'applied', 'refused', 'dropped'] as const;
export type CorrectionState = (typeof CORRECTION_STATES)[number];

/** Which corrections; `from` and `to` are when they came, half-open. */
export interface CorrectionFilter {
  readonly gatewayId?: string | undefined;
  readonly customerId?: string | undefined;
  readonly state?: CorrectionState | undefined;
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
}

/** A correction of a record of a gateway. */
export interface GatewayCorrection extends Correction {
  readonly gatewayId: string;
}

/** What a correction would correct, and the id of the one that does already. */
export interface AskedTarget extends TargetRow {
  readonly correctedBy: string | null;
}

const HIDDEN = { accountId: true, number: true, batchId: true } as const;

export type CorrectionRow = Prisma.UsageCorrectionGetPayload<{ omit: typeof HIDDEN }>;

/** The table of what is said of usage records. */
@Injectable()
export class CorrectionsRepository {
  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
  ) {}

  /** A page of them, newest first. */
  list(
    { accountId }: Scope,
    { gatewayId, customerId, state, from, to }: CorrectionFilter,
    request: PageRequest,
  ): Promise<CorrectionRow[]> {
    const { where, ...page } = pageArguments(request);
    const filter = {
      ...(gatewayId !== undefined && { gatewayId }),
      ...(customerId !== undefined && { customerId }),
      ...(state !== undefined && { state }),
      createdAt: { ...(from && { gte: from }), ...(to && { lt: to }) },
    };
    return this.db.usageCorrection.findMany({
      where: { AND: [{ accountId }, filter, where] },
      ...page,
      omit: HIDDEN,
    });
  }

  /** Those of these ids that there are, in the order in which they came. */
  find({ accountId }: Scope, ids: readonly string[]): Promise<CorrectionRow[]> {
    return this.db.usageCorrection.findMany({
      where: { accountId, id: { in: [...ids] } },
      orderBy: { number: 'asc' },
      omit: HIDDEN,
    });
  }

  /** What corrections would correct, in their order. */
  targets({ accountId }: Scope, corrections: readonly GatewayCorrection[]): Promise<AskedTarget[]> {
    const asked = Prisma.sql`
      SELECT a.number, ${accountId}::text AS account_id, a.gateway_id, a.target_epoch, a.target_sequence, a.target_ordinal
      FROM unnest(${corrections.map((_, n) => n)}::bigint[], ${corrections.map((one) => one.gatewayId)}::text[],
        ${corrections.map(({ target }) => target.epoch)}::text[],
        ${corrections.map(({ target }) => target.sequence)}::bigint[],
        ${corrections.map(({ target }) => target.index)}::int[])
        AS a (number, gateway_id, target_epoch, target_sequence, target_ordinal)`;
    return this.db.$queryRaw<AskedTarget[]>`
      SELECT found.*, other.id AS "correctedBy"
      FROM (${targetsOf(asked)}) found JOIN (${asked}) asked USING (number)
      LEFT JOIN usage_correction other ON other.account_id = asked.account_id AND other.gateway_id = asked.gateway_id
        AND other.target_epoch = asked.target_epoch AND other.target_sequence = asked.target_sequence
        AND other.target_ordinal = asked.target_ordinal AND other.state IN ('waiting', 'applied')
      ORDER BY number`;
  }

  /**
   * Keeps a person's corrections, all or none, each numbered as a record of its own, and returns their ids; null when
   * one of the targets got another correction meanwhile. Targets are taken in their order, as batches take them.
   */
  async create(
    scope: Scope,
    corrections: readonly GatewayCorrection[],
    reason: string,
  ): Promise<string[] | null> {
    const { accountId, principalId } = scope;
    const ids = corrections.map(() => prefixedId('cor', randomBytes));
    const isKept = await this.db
      .$transaction(async (tx) => {
        const kept = await tx.$executeRaw`
        INSERT INTO usage_correction (id, number, account_id, gateway_id, epoch, sequence, ordinal, target_epoch,
          target_sequence, target_ordinal, quantities, reason, created_by, created_at)
        SELECT c.id, c.number, ${accountId}, c.gateway_id, ${CORRECTIONS_EPOCH}, c.number, 0, c.target_epoch,
          c.target_sequence, c.target_ordinal, c.quantities, ${reason}, ${principalId}, ${this.clock.now()}::timestamptz
        FROM (SELECT *, nextval(pg_get_serial_sequence('usage_correction', 'number')) AS number FROM unnest(${ids}::text[], ${corrections.map(({ gatewayId }) => gatewayId)}::text[],
          ${corrections.map(({ target }) => target.epoch)}::text[],
          ${corrections.map(({ target }) => target.sequence)}::bigint[],
          ${corrections.map(({ target }) => target.index)}::int[],
          ${corrections.map(({ quantities }) => quantities && JSON.stringify(quantities))}::text[])
          AS said (id, gateway_id, target_epoch, target_sequence, target_ordinal, quantities)) c
        ORDER BY c.gateway_id, c.target_epoch, c.target_sequence, c.target_ordinal
        ON CONFLICT (gateway_id, target_epoch, target_sequence, target_ordinal) WHERE state IN ('waiting', 'applied')
        DO NOTHING`;
        if (kept < ids.length) throw new Taken();
        await appendAudit(tx, {
          ...scope,
          action: 'correct-usage',
          subject: ids.length === 1 ? (ids[0] ?? '') : `${ids.length} corrections`,
          after: {
            reason,
            corrections: corrections.map((one, n) => ({ id: ids[n], ...one })),
          },
        });
        return true;
      })
      .catch((error: unknown) => {
        if (error instanceof Taken) return false;
        throw error;
      });
    return isKept ? ids : null;
  }

  /** Drops one that waits; false when it does not any more. */
  async drop(scope: Scope, id: string, note: string): Promise<boolean> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      const { count } = await tx.usageCorrection.updateMany({
        where: { accountId, id, state: 'waiting' },
        data: { state: 'dropped', note, settledAt: this.clock.now(), settledBy: principalId },
      });
      if (count === 0) return false;
      await appendAudit(tx, { ...scope, action: 'drop-correction', subject: id, after: { note } });
      return true;
    });
  }

  /**
   * Waiting ones that could be of a period, the oldest first: what they correct was there when they came, so it is as old as records
   * may be. One whose target is in the quarantine is left to that.
   */
  touching(
    accountId: string,
    { from, to }: Period,
    bounds: { readonly futureMs: number; readonly pastMonths: number; readonly limit: number },
  ): Promise<{ id: string }[]> {
    const { futureMs, pastMonths, limit } = bounds;
    return this.db.$queryRaw<{ id: string }[]>`
      SELECT c.id FROM usage_correction c JOIN account a ON a.id = c.account_id,
        LATERAL (SELECT c.created_at + a.clock_offset_ms * interval '1 millisecond' AS came) clock
      WHERE c.account_id = ${accountId} AND c.state = 'waiting'
        AND came + make_interval(secs => ${futureMs} / 1000.0) >= ${from}
        AND came - make_interval(months => ${pastMonths}::int) < ${to}
        AND NOT EXISTS (SELECT FROM usage_quarantine q WHERE q.gateway_id = c.gateway_id AND q.epoch = c.target_epoch
          AND q.sequence = c.target_sequence AND q.ordinal = c.target_ordinal AND q.state = 'open')
      ORDER BY c.number LIMIT ${limit}`;
  }

  /** How many wait over all accounts, and for how long the oldest has; 0 when none does. */
  async backlog(): Promise<{ waiting: number; oldestSeconds: number }> {
    const [row] = await this.db.$queryRaw<{ waiting: number; oldestSeconds: number }[]>`
      SELECT count(*)::int AS waiting,
        greatest(coalesce(extract(epoch FROM now() - min(created_at)), 0), 0)::float8 AS "oldestSeconds"
      FROM usage_correction WHERE state = 'waiting'`;
    return row ?? { waiting: 0, oldestSeconds: 0 };
  }
}

/** Takes a transaction back: a target has a correction by now. */
class Taken extends Error {}
