import { Injectable } from '@nestjs/common';
import type { CountedPart } from '@core/metering';
import { Database, Prisma } from '@io/platform';
import { ofLatest, readIn } from './sum-meters.js';
import { usedIn, type UsageFilter, type Window } from './sum-usage.js';

/** What a line of an invoice counts: a meter of a customer's plan or of a whole account, through some kinds of api where it says so. */
export interface UsageOf extends UsageFilter {
  readonly meter: string;
  /** Of the apis that were called; null: any. */
  readonly protocols: readonly string[] | null;
}

/** What a batch adds to a span, of the records that are still kept. */
export interface BatchPart {
  readonly batchId: string;
  readonly gatewayId: string;
  /** Null of a batch of events, which has no number. */
  readonly epoch: string | null;
  readonly sequence: string | null;
  readonly receivedAt: Date;
  readonly records: number;
  readonly quantity: string;
}

/** A record, or an event's reading, as it was counted. */
export interface RecordPart {
  readonly batchId: string;
  readonly gatewayId: string;
  readonly epoch: string | null;
  readonly sequence: string | null;
  /** Its place in the batch; null of an event. */
  readonly index: number | null;
  /** Of an event, with which it is known; null of a record. */
  readonly source: string | null;
  readonly eventId: string | null;
  readonly at: Date;
  readonly receivedAt: Date;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly statusClass: string;
  readonly quantity: string;
  /** Decisions that it names: ids, or spans of them as `first..last`. */
  readonly decisionIds: readonly string[];
  readonly decisionIdsLeftOut: number;
}

/** What is kept of a span, batch by batch or record by record. */
export interface Kept {
  readonly records: number;
  readonly quantity: string;
}

/** Where a page of records starts: after this batch and this place or event in it. */
export interface RecordPlaceAfter {
  readonly batchId: string;
  readonly index: number;
  readonly source: string;
  readonly eventId: string;
}

const DECISIONS_SHOWN_MAX = 100;

/** Takes usage apart again: by part of a window, by batch, and record by record. */
@Injectable()
export class UsagePartsRepository {
  constructor(private readonly db: Database) {}

  /** The parts of a window that are not empty, of a built-in meter. */
  builtInParts(of: UsageOf, window: Window): Promise<CountedPart[]> {
    return this.db.$queryRaw<CountedPart[]>`
      SELECT width_bucket(at, ${[...window.edges]}::timestamptz[]) AS bucket, 'sum' AS aggregation,
        trim_scale(sum(quantity))::text AS sum, '0' AS max, '0' AS latest, 0 AS members
      FROM (${usedIn(filterOf(of), window)}) used
      WHERE ${isThrough(of)}
      GROUP BY 1 ORDER BY 1`;
  }

  /** The same of an own meter, which no kind of api parts. */
  ownParts(of: UsageOf, window: Window): Promise<CountedPart[]> {
    return this.db.$queryRaw<CountedPart[]>`
      SELECT bucket, aggregation, trim_scale(sum(quantity))::text AS sum, trim_scale(max(quantity))::text AS max,
        trim_scale(${ofLatest(Prisma.sql`quantity`)})::text AS latest, (count(*) FILTER (WHERE is_first))::int AS members
      FROM (
        SELECT *, row_number() OVER (PARTITION BY member ORDER BY bucket) = 1 AS is_first FROM (
          SELECT *, width_bucket(starts_at, ${[...window.edges]}::timestamptz[]) AS bucket
          FROM (${readIn(filterOf(of), window)}) used
        ) placed
      ) part
      GROUP BY bucket, aggregation ORDER BY bucket`;
  }

  /** What is kept of the records of a span; the window has its two edges. */
  async kept(of: readonly UsageOf[], window: Window, isOwn: boolean): Promise<Kept> {
    const [kept] = await this.db.$queryRaw<Kept[]>`
      SELECT count(*)::int AS records, coalesce(trim_scale(sum(quantity)), 0)::text AS quantity
      FROM (${rowsIn(of, window, isOwn)}) kept`;
    return kept ?? { records: 0, quantity: '0' };
  }

  /** The batches of a span, in the order in which they came. */
  batches(
    of: readonly UsageOf[],
    window: Window,
    page: { readonly isOwn: boolean; readonly after: string | null; readonly limit: number },
  ): Promise<BatchPart[]> {
    return this.db.$queryRaw<BatchPart[]>`
      SELECT batch_id::text AS "batchId", gateway_id AS "gatewayId", epoch, sequence::text AS sequence,
        min(received_at) AS "receivedAt", count(*)::int AS records, trim_scale(sum(quantity))::text AS quantity
      FROM (${rowsIn(of, window, page.isOwn)}) kept
      WHERE batch_id > ${BigInt(page.after ?? 0)}
      GROUP BY batch_id, gateway_id, epoch, sequence
      ORDER BY batch_id
      LIMIT ${page.limit + 1}`;
  }

  /** The records of a span, in the order of their batches and of their places in them. */
  records(
    of: readonly UsageOf[],
    window: Window,
    page: {
      readonly isOwn: boolean;
      readonly after: RecordPlaceAfter | null;
      readonly limit: number;
    },
  ): Promise<RecordPart[]> {
    const { isOwn, limit } = page;
    const after = page.after ?? { batchId: '0', index: -1, source: '', eventId: '' };
    const place = isOwn
      ? Prisma.sql`(batch_id, source, event_id) > (${BigInt(after.batchId)}, ${after.source} COLLATE "C", ${after.eventId} COLLATE "C")`
      : Prisma.sql`(batch_id, ordinal) > (${BigInt(after.batchId)}, ${after.index})`;
    return this.db.$queryRaw<RecordPart[]>`
      SELECT part.batch_id::text AS "batchId", gateway_id AS "gatewayId", epoch, sequence::text AS sequence, ordinal AS index,
        source, event_id AS "eventId", at, part.received_at AS "receivedAt", key_id AS "keyId", api_id AS "apiId", stage, method,
        resource_path AS "resourcePath", status_class AS "statusClass", trim_scale(quantity)::text AS quantity,
        coalesce(d.ids, '{}') AS "decisionIds", coalesce(d.left_out, 0)::int AS "decisionIdsLeftOut"
      FROM (
        SELECT * FROM (${rowsIn(of, window, isOwn)}) kept WHERE ${place}
        ORDER BY batch_id, ordinal, source COLLATE "C", event_id COLLATE "C" LIMIT ${limit + 1}
      ) part
      LEFT JOIN LATERAL (
        SELECT array_agg(CASE first WHEN last THEN first ELSE first || '..' || last END ORDER BY first)
            FILTER (WHERE n <= ${DECISIONS_SHOWN_MAX}) AS ids,
          count(*) FILTER (WHERE n > ${DECISIONS_SHOWN_MAX}) AS left_out
        FROM (
          SELECT first, last, row_number() OVER (ORDER BY first, last) AS n FROM usage_decision
          WHERE account_id = part.account_id AND received_at = part.received_at AND batch_id = part.batch_id
            AND ordinal = part.ordinal
        ) told
      ) d ON TRUE
      ORDER BY batch_id, ordinal, source COLLATE "C", event_id COLLATE "C"`;
  }
}

function filterOf({ protocols: _, ...filter }: UsageOf): UsageFilter {
  return filter;
}

/** The condition that usage came through an api of these protocols; as `UsageRepository.metered` tells the protocol of usage. */
function isThrough({ accountId, protocols }: UsageOf): Prisma.Sql {
  if (protocols === null) return Prisma.sql`TRUE`;
  return Prisma.sql`coalesce((SELECT api.protocol FROM api WHERE api.id = api_id AND api.account_id = ${accountId}), 'REST')
    = ANY (${[...protocols]}::text[])`;
}

/** The condition that a record or a reading `r` is what any of these count. */
function isOf(all: readonly UsageOf[]): Prisma.Sql {
  const each = all.map((of) => {
    const { accountId, customerId, usagePlanId, meter } = of;
    const whose = [
      Prisma.sql`r.account_id = ${accountId} AND r.meter = ${meter} AND ${isThrough(of)}`,
      ...(customerId === undefined ? [] : [Prisma.sql`r.customer_id = ${customerId}`]),
      ...(usagePlanId === undefined ? [] : [Prisma.sql`r.usage_plan_id = ${usagePlanId}`]),
    ];
    return Prisma.sql`(${Prisma.join(whose, ' AND ')})`;
  });
  return Prisma.join(each, ' OR ');
}

/** Records of the span that are rolled up and not dropped yet, or readings of events, each with its batch. */
function rowsIn(of: readonly UsageOf[], window: Window, isOwn: boolean): Prisma.Sql {
  const [from, to] = [window.edges.at(0), window.edges.at(-1)];
  const which = Prisma.sql`(${isOf(of)}) AND r.at >= ${from} AND r.at < ${to}
    AND r.received_at >= ${window.receivedFrom} AND b.rolled_up_at IS NOT NULL`;
  if (isOwn)
    return Prisma.sql`
      SELECT r.batch_id, b.gateway_id, NULL::text AS epoch, NULL::bigint AS sequence, NULL::int AS ordinal, r.source, r.event_id,
        r.at, r.received_at, r.account_id, r.key_id, r.api_id, r.stage, '' AS method, '' AS resource_path, '' AS status_class, r.quantity
      FROM meter_reading r JOIN event_batch b ON b.id = r.batch_id WHERE ${which}`;
  return Prisma.sql`
    SELECT r.batch_id, b.gateway_id, b.epoch, b.sequence, r.ordinal, NULL::text AS source, NULL::text AS event_id,
      r.at, r.received_at, r.account_id, r.key_id, r.api_id, r.stage, r.method, r.resource_path, r.status_class, r.quantity
    FROM usage_record r JOIN usage_batch b ON b.id = r.batch_id WHERE ${which}`;
}
