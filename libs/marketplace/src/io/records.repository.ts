import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { decimal } from '@core/kernel';
import {
  AgreementEnded,
  RecordExpired,
  RecordNotDead,
  type RecordBody,
  type RecordOutcome,
} from '@core/marketplace';
import {
  appendAudit,
  Database,
  NotFound,
  pageArguments,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import { publishEvents } from '@io/notifications';

/** States of a record. */
export const RECORD_STATES = ['pending', 'accepted', 'dead', 'carried', 'written-off'] as const;
export type RecordState = (typeof RECORD_STATES)[number];

/** A record that this worker has for a while. */
export interface ClaimedRecord {
  readonly id: string;
  readonly accountId: string;
  readonly region: string;
  /** Null of licences, whose records name none. */
  readonly productCode: string | null;
  readonly batchKey: string;
  readonly bytes: number;
  readonly body: RecordBody;
  /** Of this attempt, from 1. */
  readonly attempt: number;
  /** Whether an attempt before this one may have been taken. */
  readonly mayBeTaken: boolean;
}

/** A record as it is shown. */
export interface MeteringRecord {
  readonly id: string;
  readonly customerId: string;
  readonly agreementId: string;
  readonly productId: string;
  readonly dimension: string;
  readonly hour: Date;
  readonly region: string;
  readonly quantity: number;
  readonly usd: string | null;
  readonly state: string;
  readonly deadlineAt: Date;
  readonly attempts: number;
  readonly mayBeTaken: boolean;
  readonly cause: string | null;
  readonly reason: string | null;
  readonly meteringRecordId: string | null;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
  readonly settledAt: Date | null;
  readonly settledBy: string | null;
  readonly note: string | null;
}

/** Which records are listed. */
export interface RecordFilter {
  readonly state?: string | undefined;
  readonly agreementId?: string | undefined;
  readonly productId?: string | undefined;
}

/** What waits and what is lost, over all accounts. */
export interface MeteringBacklog {
  readonly pending: number;
  readonly dead: number;
  /** From the end of the oldest hour that waits. */
  readonly oldestPendingSeconds: number;
  /** To the next deadline; null when nothing waits. */
  readonly nextDeadlineSeconds: number | null;
  /** Of what waits for six hours and more, and of what is dead. */
  readonly usdAtRisk: number;
}

type StoredRecord = Omit<MeteringRecord, 'usd'> & { readonly usd: Prisma.Decimal | null };

const VIEW = {
  id: true,
  customerId: true,
  agreementId: true,
  productId: true,
  dimension: true,
  hour: true,
  region: true,
  quantity: true,
  usd: true,
  state: true,
  deadlineAt: true,
  attempts: true,
  mayBeTaken: true,
  cause: true,
  reason: true,
  meteringRecordId: true,
  createdAt: true,
  endedAt: true,
  settledAt: true,
  settledBy: true,
  note: true,
} as const;

/** Longer than a worker has records: then they are of one that crashed. */
const CLAIM_MS = 60_000;
const EXPIRED_MAX = 500;

/** The metering ledger. */
@Injectable()
export class RecordsRepository {
  constructor(private readonly db: Database) {}

  /**
   * Takes records that are due, in any account, those with the nearest deadline first. From here on each may be taken by AWS,
   * which is written down before anything leaves. Records of accounts in test mode only go where a test has its own marketplace.
   */
  async claim(
    now: Date,
    { limit, includesTests }: { readonly limit: number; readonly includesTests: boolean },
  ): Promise<ClaimedRecord[]> {
    const until = new Date(now.getTime() + CLAIM_MS);
    const rows = await this.db.$queryRaw<
      {
        id: string;
        accountId: string;
        region: string;
        batchKey: string;
        payload: string;
        attempt: number;
        mayBeTaken: boolean;
        productCode: string;
      }[]
    >`
      WITH due AS (
        SELECT r.id, r.may_be_taken FROM marketplace_record r JOIN account c ON c.id = r.account_id
        WHERE r.state = 'pending' AND r.next_attempt_at <= ${now}
          AND (r.sending_until IS NULL OR r.sending_until <= ${now})
          AND r.deadline_at > ${now}::timestamptz + c.clock_offset_ms * interval '1 ms'
          AND (c.mode = 'live' OR ${includesTests})
        ORDER BY r.deadline_at, r.id LIMIT ${limit}
        FOR UPDATE OF r SKIP LOCKED
      )
      UPDATE marketplace_record r
      SET sending_until = ${until}, attempts = r.attempts + 1, may_be_taken = true
      FROM due, marketplace_product p
      WHERE r.id = due.id AND p.account_id = r.account_id AND p.id = r.product_id
      RETURNING r.id, r.account_id AS "accountId", r.region, r.batch_key AS "batchKey", r.payload,
        r.attempts AS attempt, due.may_be_taken AS "mayBeTaken", p.product_code AS "productCode", r.deadline_at`;
    return rows.map(({ payload, productCode, ...row }) => {
      const body = JSON.parse(payload) as RecordBody;
      const code = body.LicenseArn === undefined ? productCode : null;
      return { ...row, body, productCode: code, bytes: Buffer.byteLength(payload) };
    });
  }

  /**
   * Writes down what became of an attempt. Of one whose claim another worker took over meanwhile only that it was accepted,
   * which is true whoever says so.
   */
  async recordOutcomes(
    outcomes: readonly {
      readonly record: ClaimedRecord;
      readonly outcome: RecordOutcome;
      readonly nextAttemptAt: Date;
    }[],
    now: Date,
  ): Promise<void> {
    const column = <T>(of: (one: (typeof outcomes)[number]) => T) => outcomes.map(of);
    await this.db.$transaction(async (tx) => {
      const dead = await tx.$queryRaw<{ id: string }[]>`
        UPDATE marketplace_record r SET sending_until = NULL,
          state = CASE o.kind WHEN 'again' THEN 'pending' ELSE o.kind END,
          may_be_taken = o.may_be_taken,
          metering_record_id = o.metering_record_id, cause = o.cause, reason = o.reason,
          next_attempt_at = o.next_attempt_at,
          ended_at = CASE WHEN o.kind <> 'again' THEN ${now}::timestamptz END
        FROM unnest(
          ${column(({ record }) => record.id)}::text[],
          ${column(({ record }) => record.attempt)}::int[],
          ${column(({ outcome }) => outcome.kind)}::text[],
          ${column(({ outcome }) => outcome.kind === 'accepted' || (outcome.kind === 'again' && outcome.mayBeTaken))}::boolean[],
          ${column(({ outcome }) => (outcome.kind === 'accepted' ? outcome.meteringRecordId : null))}::text[],
          ${column(({ outcome }) => (outcome.kind === 'again' ? outcome.cause : null))}::text[],
          ${column(({ outcome }) => (outcome.kind === 'dead' ? outcome.reason : null))}::text[],
          ${column(({ nextAttemptAt }) => nextAttemptAt)}::timestamptz[]
        ) AS o (id, attempt, kind, may_be_taken, metering_record_id, cause, reason, next_attempt_at)
        WHERE r.id = o.id AND (r.state = 'pending' OR (r.state = 'dead' AND o.kind = 'accepted'))
          AND (r.attempts = o.attempt OR o.kind = 'accepted')
        RETURNING r.id, r.state`;
      await tellDead(
        tx,
        dead.map(({ id }) => id),
        now,
      );
    });
  }

  /** Gives up what nobody takes any more: past its deadline, by its account's clock, and with no worker. */
  expire(now: Date): Promise<number> {
    return this.db.$transaction(async (tx) => {
      const dead = await tx.$queryRaw<{ id: string }[]>`
        UPDATE marketplace_record r SET state = 'dead', reason = 'expired', ended_at = ${now}
        WHERE r.id IN (
          SELECT p.id FROM marketplace_record p JOIN account c ON c.id = p.account_id
          WHERE p.state = 'pending' AND p.deadline_at <= ${now}::timestamptz + c.clock_offset_ms * interval '1 ms'
            AND (p.sending_until IS NULL OR p.sending_until <= ${now})
          ORDER BY p.deadline_at LIMIT ${EXPIRED_MAX} FOR UPDATE OF p SKIP LOCKED)
        RETURNING r.id`;
      await tellDead(
        tx,
        dead.map(({ id }) => id),
        now,
      );
      return dead.length;
    });
  }

  /** Reserves calls at a tenth of a second each, over all workers, and answers when the first of them may leave. */
  async pace(region: string, calls: number, now: Date): Promise<Date> {
    const [row] = await this.db.$queryRaw<{ at: Date }[]>`
      INSERT INTO marketplace_pace AS p (region, next_call_at)
      VALUES (${region}, ${now}::timestamptz + ${calls}::int * interval '100 ms')
      ON CONFLICT (region) DO UPDATE
      SET next_call_at = greatest(p.next_call_at, ${now}::timestamptz) + ${calls}::int * interval '100 ms'
      RETURNING next_call_at - ${calls}::int * interval '100 ms' AS at`;
    return row?.at ?? now;
  }

  find({ accountId }: Scope, id: string): Promise<MeteringRecord | null> {
    return this.db.marketplaceRecord
      .findFirst({ where: { accountId, id }, select: VIEW })
      .then((row) => row && toView(row));
  }

  /** A page of them, newest first. */
  async list(
    { accountId }: Scope,
    { state, agreementId, productId }: RecordFilter,
    request: PageRequest,
  ): Promise<MeteringRecord[]> {
    const { where, ...page } = pageArguments(request);
    const filter = {
      ...(state === undefined ? {} : { state }),
      ...(agreementId === undefined ? {} : { agreementId }),
      ...(productId === undefined ? {} : { productId }),
    };
    const rows = await this.db.marketplaceRecord.findMany({
      where: { accountId, ...filter, ...where },
      ...page,
      select: VIEW,
    });
    return rows.map(toView);
  }

  /** Sends a dead record again, the same, while AWS still takes its hour. Throws `RecordNotDead` or `RecordExpired`. */
  retry(
    scope: Scope,
    id: string,
    { now, businessNow }: { readonly now: Date; readonly businessNow: Date },
  ): Promise<MeteringRecord> {
    return this.settle(scope, id, async (tx, before) => {
      if (before.deadlineAt <= businessNow) throw new RecordExpired(before.deadlineAt);
      const data = { state: 'pending', reason: null, endedAt: null, nextAttemptAt: now };
      const after = await tx.marketplaceRecord.update({ where: { id }, data, select: VIEW });
      return { after, action: 'retry-metering-record' };
    });
  }

  /**
   * Settles a dead record by hand: its quantity goes into the next hour that is sealed, or is given up. Throws `RecordNotDead`, or
   * `AgreementEnded` where no hour follows.
   */
  resolve(
    scope: Scope,
    id: string,
    { resolution, note, now }: { resolution: 'carry' | 'write-off'; note: string; now: Date },
  ): Promise<MeteringRecord> {
    const { accountId, principalId } = scope;
    return this.settle(scope, id, async (tx, before) => {
      const { agreementId, dimension } = before;
      if (resolution === 'carry') {
        // In key order: the agreement before its balance, as sealing locks them.
        const [agreement] = await tx.$queryRaw<{ endedAt: Date | null }[]>`
          SELECT coalesce(ended_at, ending_at) AS "endedAt" FROM marketplace_agreement
          WHERE account_id = ${accountId} AND id = ${agreementId} FOR UPDATE`;
        if (agreement?.endedAt) throw new AgreementEnded(agreementId);
        await tx.$executeRaw`
          UPDATE marketplace_balance SET recorded = recorded - ${before.quantity}::int
          WHERE account_id = ${accountId} AND agreement_id = ${agreementId} AND dimension = ${dimension}`;
      }
      const state = resolution === 'carry' ? 'carried' : 'written-off';
      const data = { state, note, settledAt: now, settledBy: principalId };
      const after = await tx.marketplaceRecord.update({ where: { id }, data, select: VIEW });
      return { after, action: 'resolve-metering-record' };
    });
  }

  private settle(
    scope: Scope,
    id: string,
    act: (
      tx: Prisma.TransactionClient,
      before: MeteringRecord,
    ) => Promise<{ readonly after: StoredRecord; readonly action: string }>,
  ): Promise<MeteringRecord> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      const known = await tx.marketplaceRecord.findFirst({
        where: { accountId, id },
        select: { agreementId: true },
      });
      if (!known) throw new NotFound('metering record', id);
      // The agreement before its records, as sealing does.
      await tx.$queryRaw`
        SELECT FROM marketplace_agreement WHERE account_id = ${accountId} AND id = ${known.agreementId} FOR UPDATE`;
      await tx.$queryRaw`SELECT FROM marketplace_record WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
      const row = await tx.marketplaceRecord.findFirst({ where: { accountId, id }, select: VIEW });
      if (!row) throw new NotFound('metering record', id);
      const before = toView(row);
      if (before.state !== 'dead') throw new RecordNotDead(before.state);
      const { after: changed, action } = await act(tx, before);
      const after = toView(changed);
      await appendAudit(tx, { ...scope, action, subject: id, before, after });
      return after;
    });
  }

  /** Over all accounts, for whoever runs the service. */
  async backlog(now: Date, includesTests: boolean): Promise<MeteringBacklog> {
    const [row] = await this.db.$queryRaw<MeteringBacklog[]>`
      SELECT (count(*) FILTER (WHERE r.state = 'pending'))::int AS pending,
        (count(*) FILTER (WHERE r.state = 'dead'))::int AS dead,
        coalesce(extract(epoch FROM max(b.now - r.hour - interval '1 hour') FILTER (WHERE r.state = 'pending')), 0)::float8
          AS "oldestPendingSeconds",
        extract(epoch FROM min(r.deadline_at - b.now) FILTER (WHERE r.state = 'pending'))::float8 AS "nextDeadlineSeconds",
        coalesce(sum(r.usd) FILTER (WHERE r.state = 'dead' OR b.now - r.hour > interval '7 hours'), 0)::float8 AS "usdAtRisk"
      FROM marketplace_record r JOIN account c ON c.id = r.account_id
      CROSS JOIN LATERAL (SELECT ${now}::timestamptz + c.clock_offset_ms * interval '1 ms' AS now) b
      WHERE r.state IN ('pending', 'dead') AND (c.mode = 'live' OR ${includesTests})`;
    if (!row) throw new Error('a sum without groups has one row');
    return row;
  }
}

/** Tells webhooks of records that are given up, with what they are worth. */
async function tellDead(
  tx: Prisma.TransactionClient,
  ids: readonly string[],
  now: Date,
): Promise<void> {
  const dead = await tx.marketplaceRecord.findMany({
    where: { id: { in: [...ids] }, state: 'dead' },
    select: { ...VIEW, accountId: true },
  });
  await publishEvents(
    tx,
    dead.map(({ accountId, usd, ...record }) => ({
      accountId,
      type: 'marketplace.record.dead' as const,
      subjectId: `${record.id}/${record.attempts}`,
      at: now,
      data: {
        recordId: record.id,
        agreementId: record.agreementId,
        productId: record.productId,
        dimension: record.dimension,
        hour: record.hour.toISOString(),
        quantity: String(record.quantity),
        usdAtRisk: usd === null ? null : decimal(usd).toFixed(),
        reason: record.reason,
        mayBeTaken: record.mayBeTaken,
      },
    })),
    now,
  );
}

function toView<T extends { readonly usd: Prisma.Decimal | null }>(
  row: T,
): Omit<T, 'usd'> & { readonly usd: string | null } {
  return { ...row, usd: row.usd === null ? null : decimal(row.usd).toFixed() };
}
