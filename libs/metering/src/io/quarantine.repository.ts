import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import type { FieldFault, Period } from '@core/kernel';
import { METERS, QUARANTINE_EPOCH, type QuarantineReason, type UsageRecord } from '@core/metering';
import {
  appendAudit,
  Database,
  pageArguments,
  Prisma,
  SystemClock,
  type PageRequest,
} from '@io/platform';
import { decidedSpans, decisionColumns, INSERT_DECISIONS } from './insert-decision-ids.js';
import { insertRecords, type RecordRow } from './insert-records.js';
import type { UsageOwner } from './usage-owners.repository.js';

/** What became of a quarantined record. */
export const QUARANTINE_STATES = ['open', 'counted', 'dropped'] as const;
export type QuarantineState = (typeof QUARANTINE_STATES)[number];

/** Which quarantined records; `from` and `to` are when they came, half-open. */
export interface QuarantineFilter {
  readonly gatewayId?: string | undefined;
  readonly reason?: QuarantineReason | undefined;
  readonly state?: QuarantineState | undefined;
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
}

/** A quarantined record that can be counted by now. */
export interface Countable {
  readonly id: string;
  readonly record: UsageRecord;
  readonly ms: number;
  readonly owner: UsageOwner;
  /** The record as JSON, when it is another one than came. */
  readonly corrected: string | null;
}

/** A row of the quarantine; its faults are a JSON text. */
export type QuarantineRow = Prisma.QuarantinedRecordGetPayload<{ select: typeof VIEW }>;

const VIEW = {
  id: true,
  number: true,
  gatewayId: true,
  epoch: true,
  sequence: true,
  ordinal: true,
  text: true,
  isCut: true,
  state: true,
  reason: true,
  faults: true,
  at: true,
  customerId: true,
  corrected: true,
  settledAt: true,
  settledBy: true,
  note: true,
  createdAt: true,
} as const;

/** The table of records that are not counted, or were not when they came. */
@Injectable()
export class QuarantineRepository {
  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
  ) {}

  /** Why records of a batch that came before were quarantined with it, in their order. */
  async ofBatch(
    { accountId, gatewayId }: { readonly accountId: string; readonly gatewayId: string },
    { epoch, sequence }: { readonly epoch: string; readonly sequence: number },
  ): Promise<{ ordinal: number; faults: readonly FieldFault[] }[]> {
    const rows = await this.db.quarantinedRecord.findMany({
      where: { accountId, gatewayId, epoch, sequence },
      select: { ordinal: true, faults: true },
      orderBy: { ordinal: 'asc' },
    });
    return rows.map(({ ordinal, faults }) => ({ ordinal, faults: faultsOf(faults) }));
  }

  /** A page of them, newest first. */
  list(
    { accountId }: Scope,
    filter: QuarantineFilter,
    request: PageRequest,
  ): Promise<QuarantineRow[]> {
    const { where, ...page } = pageArguments(request);
    return this.db.quarantinedRecord.findMany({
      where: { AND: [{ accountId }, whereOf(filter), where] },
      ...page,
      select: VIEW,
    });
  }

  find({ accountId }: Scope, id: string): Promise<QuarantineRow | null> {
    return this.db.quarantinedRecord.findFirst({ where: { accountId, id }, select: VIEW });
  }

  /** Open ones after a number, in the order in which they came, at most `limit`. */
  open(
    { accountId }: Scope,
    filter: QuarantineFilter,
    { after, limit }: { readonly after: bigint; readonly limit: number },
  ): Promise<QuarantineRow[]> {
    return this.db.quarantinedRecord.findMany({
      where: { AND: [{ accountId, state: 'open', number: { gt: after } }, whereOf(filter)] },
      orderBy: { number: 'asc' },
      take: limit,
      select: VIEW,
    });
  }

  /**
   * Counts those that are still open, each in a batch of the service's own that the roll-up finds, and returns how many:
   * whoever has locked a record settles it, so that each counts once. Records are locked in the order of their numbers.
   */
  async count(scope: Scope, countable: readonly Countable[]): Promise<number> {
    const { accountId, principalId } = scope;
    const byId = new Map(countable.map((one) => [one.id, one]));
    return this.db.$transaction(async (tx) => {
      const now = this.clock.now();
      const open = await lockOpen(tx, accountId, [...byId.keys()]);
      if (open.length === 0) return 0;
      for (const gatewayId of new Set(open.map((row) => row.gatewayId))) {
        const ofGateway = open.filter((row) => row.gatewayId === gatewayId);
        const counted = ofGateway.flatMap(({ id, number }) => {
          const one = byId.get(id);
          return one ? [{ ...one, number }] : [];
        });
        const texts = counted.map(({ record, ms }) => JSON.stringify([ms, record]));
        const { id: batchId } = await tx.usageBatch.create({
          data: {
            accountId,
            gatewayId,
            epoch: QUARANTINE_EPOCH,
            // Free for ever, since a record is counted once.
            sequence: counted[0]?.number ?? 0n,
            contentHash: Uint8Array.from(createHash('sha256').update(texts.join('\n')).digest()),
            recordCount: counted.length,
            receivedAt: now,
          },
          select: { id: true },
        });
        await tx.$executeRaw(insertRecords(rowsOf({ batchId, accountId }, counted), now));
        const decided = decisionColumns(
          decidedSpans(counted.map(({ record }, ordinal) => ({ record, ordinal }))),
        );
        if (decided) {
          const { first, last, ordinal } = decided;
          const batch = [accountId, batchId, now] as const;
          await tx.$executeRawUnsafe(INSERT_DECISIONS, ...batch, first, last, ordinal);
        }
        await tx.$executeRaw`
          UPDATE usage_quarantine q SET state = 'counted', counted_batch_id = ${batchId}, counted_ordinal = c.ordinal - 1,
            corrected = c.corrected, settled_at = ${now}, settled_by = ${principalId}
          FROM unnest(${counted.map(({ id }) => id)}::text[], ${counted.map(({ corrected }) => corrected)}::text[])
            WITH ORDINALITY AS c (id, corrected, ordinal)
          WHERE q.account_id = ${accountId} AND q.id = c.id`;
      }
      const records = open.map(({ id }) => ({ id, corrected: byId.get(id)?.corrected ?? null }));
      await appendAudit(tx, {
        ...scope,
        action: 'replay-usage',
        subject: subjectOf(open),
        after: { records },
      });
      return open.length;
    });
  }

  /** Drops those that are still open, and returns how many. */
  async drop(scope: Scope, ids: readonly string[], note: string): Promise<number> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      const open = await lockOpen(tx, accountId, ids);
      if (open.length === 0) return 0;
      await tx.quarantinedRecord.updateMany({
        where: { accountId, id: { in: open.map(({ id }) => id) } },
        data: { state: 'dropped', note, settledAt: this.clock.now(), settledBy: principalId },
      });
      await appendAudit(tx, {
        ...scope,
        action: 'drop-usage',
        subject: subjectOf(open),
        after: { records: open.map(({ id }) => id), note },
      });
      return open.length;
    });
  }

  /**
   * Open ones that could be a customer's usage in a period, the oldest first. One whose time cannot be read, or is not
   * believed, could be as far ahead and as old as records may be when it came.
   */
  touching(
    { accountId, customerId }: { readonly accountId: string; readonly customerId?: string },
    { from, to }: Period,
    bounds: { readonly futureMs: number; readonly pastMonths: number; readonly limit: number },
  ): Promise<{ id: string }[]> {
    const { futureMs, pastMonths, limit } = bounds;
    return this.db.$queryRaw<{ id: string }[]>`
      SELECT q.id FROM usage_quarantine q JOIN account a ON a.id = q.account_id,
        LATERAL (SELECT q.created_at + a.clock_offset_ms * interval '1 millisecond' AS came) clock
      WHERE q.account_id = ${accountId} AND q.settled_at IS NULL
        AND (q.customer_id IS NULL OR q.customer_id = coalesce(${customerId ?? null}, q.customer_id))
        AND CASE WHEN q.at IS NULL OR q.reason IN ('in-future', 'too-old')
          THEN came + make_interval(secs => ${futureMs} / 1000.0) >= ${from}
            AND came - make_interval(months => ${pastMonths}::int) < ${to}
          ELSE q.at >= ${from} AND q.at < ${to} END
      ORDER BY q.number LIMIT ${limit}`;
  }

  /** Whether any record of the account is open. */
  async hasOpen(accountId: string): Promise<boolean> {
    const found = await this.db.quarantinedRecord.findFirst({
      where: { accountId, settledAt: null },
      select: { id: true },
    });
    return found !== null;
  }

  /** How many are open over all accounts, and for how long the oldest has been; 0 when there is none. */
  async backlog(): Promise<{ open: number; oldestSeconds: number }> {
    const [row] = await this.db.$queryRaw<{ open: number; oldestSeconds: number }[]>`
      SELECT count(*)::int AS open,
        greatest(coalesce(extract(epoch FROM now() - min(created_at)), 0), 0)::float8 AS "oldestSeconds"
      FROM usage_quarantine WHERE settled_at IS NULL`;
    return row ?? { open: 0, oldestSeconds: 0 };
  }
}

/** The faults of a row, which was written by us. */
export const faultsOf = (text: string) => JSON.parse(text) as readonly FieldFault[];

interface LockedRow {
  readonly id: string;
  readonly number: bigint;
  readonly gatewayId: string;
}

const lockOpen = (tx: Prisma.TransactionClient, accountId: string, ids: readonly string[]) =>
  tx.$queryRaw<LockedRow[]>`
    SELECT id, number, gateway_id AS "gatewayId" FROM usage_quarantine
    WHERE account_id = ${accountId} AND id = ANY (${[...ids]}::text[]) AND state = 'open'
    ORDER BY number FOR NO KEY UPDATE`;

/** What an audit event is about: the record, or how many. */
const subjectOf = (rows: readonly { readonly id: string }[]) =>
  rows.length === 1 ? (rows[0]?.id ?? '') : `${rows.length} records`;

const whereOf = ({ gatewayId, reason, state, from, to }: QuarantineFilter) => ({
  ...(gatewayId !== undefined && { gatewayId }),
  ...(reason !== undefined && { reason }),
  ...(state !== undefined && { state }),
  createdAt: { ...(from && { gte: from }), ...(to && { lt: to }) },
});

const rowsOf = (
  batch: { readonly batchId: bigint; readonly accountId: string },
  counted: readonly Countable[],
): RecordRow[] =>
  counted.flatMap(({ record, ms, owner }, ordinal) => {
    const { method, resourcePath, statusClass, quantities } = record;
    const row = { ...batch, owner, ordinal, at: new Date(ms), method, resourcePath, statusClass };
    return METERS.flatMap((meter) => {
      const quantity = quantities[meter];
      return quantity === undefined ? [] : [{ ...row, meter, quantity }];
    });
  });
