import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { prefixedId } from '@core/kernel';
import type { Scope } from '@core/identity';
import { appendAudit, Database, NotFound, pageArguments, type PageRequest } from '@io/platform';
import type { EventIdentity } from './event-identity.js';
import type { BatchSource } from './usage-batches.repository.js';

/** Something that a person has to look at, and whether one has. */
export interface Incident {
  readonly id: string;
  /** `batch-conflict`: a batch number came again with other content; `event-conflict`: an event did. The first content stands. */
  readonly kind: string;
  readonly gatewayId: string;
  /** Of a batch; null of an event. */
  readonly epoch: string | null;
  readonly sequence: bigint | null;
  /** Of an event; null of a batch. */
  readonly source: string | null;
  readonly eventId: string | null;
  /** SHA-256 of the content that stands, and of the one that was refused; of events the first 8 bytes. */
  readonly firstHash: Uint8Array;
  readonly otherHash: Uint8Array;
  /** How often the same came. */
  readonly occurrences: number;
  readonly createdAt: Date;
  readonly lastSeenAt: Date;
  readonly acknowledgedAt: Date | null;
  readonly acknowledgedBy: string | null;
  readonly reason: string | null;
}

/** The contents of one batch number: as it was stored, and as it came again. */
export interface TwoContents {
  readonly epoch: string;
  readonly sequence: number;
  readonly firstHash: Buffer;
  readonly otherHash: Buffer;
}

/** The contents of one event: as it was taken, and as it came again. */
export interface TwoEventContents extends EventIdentity {
  readonly source: string;
  readonly eventId: string;
  /** What was taken, as `content` is. */
  readonly first: string;
}

const VIEW = {
  id: true,
  kind: true,
  gatewayId: true,
  epoch: true,
  sequence: true,
  source: true,
  eventId: true,
  firstHash: true,
  otherHash: true,
  occurrences: true,
  createdAt: true,
  lastSeenAt: true,
  acknowledgedAt: true,
  acknowledgedBy: true,
  reason: true,
} as const;

/** The table of incidents. */
@Injectable()
export class IncidentsRepository {
  constructor(private readonly db: Database) {}

  /** Notes that a number came with other content. The same content again is the same incident, seen once more. */
  async noteConflict(
    { accountId, gatewayId }: BatchSource,
    { epoch, sequence, firstHash, otherHash }: TwoContents,
    now: Date,
  ): Promise<void> {
    await this.db.$executeRaw`
      INSERT INTO incident AS i (id, account_id, kind, gateway_id, epoch, sequence, first_hash, other_hash,
        created_at, last_seen_at)
      VALUES (${prefixedId('inc', randomBytes)}, ${accountId}, 'batch-conflict', ${gatewayId}, ${epoch}, ${sequence},
        ${firstHash}, ${otherHash}, ${now}, ${now})
      ON CONFLICT (gateway_id, epoch, sequence, kind, other_hash) DO UPDATE SET
        occurrences = least(i.occurrences, 2147483646) + 1,
        last_seen_at = greatest(i.last_seen_at, excluded.last_seen_at)`;
  }

  /**
   * Notes events that came with other content. The same content of an event again, by whichever gateway, is the same incident,
   * seen once more. They are written in the order of their keys, so that no two requests wait in a circle.
   */
  async noteEventConflicts(
    { accountId, gatewayId }: BatchSource,
    conflicts: readonly TwoEventContents[],
    now: Date,
  ): Promise<void> {
    await this.db.$executeRaw`
      INSERT INTO incident AS i (id, account_id, kind, gateway_id, source, event_id, event_identity, first_hash, other_hash,
        occurrences, created_at, last_seen_at)
      SELECT min(c.id), ${accountId}, 'event-conflict', ${gatewayId}, c.source, c.event_id, c.identity, int8send(c.first),
        int8send(c.other), count(*), ${now}::timestamptz, ${now}::timestamptz
      FROM unnest(
        ${conflicts.map(() => prefixedId('inc', randomBytes))}::text[],
        ${conflicts.map(({ source }) => source)}::text[],
        ${conflicts.map(({ eventId }) => eventId)}::text[],
        ${conflicts.map(({ identity }) => identity)}::text[]::uuid[],
        ${conflicts.map(({ first }) => first)}::text[]::bigint[],
        ${conflicts.map(({ content }) => content)}::text[]::bigint[]
      ) AS c (id, source, event_id, identity, first, other)
      GROUP BY c.source, c.event_id, c.identity, c.first, c.other
      ORDER BY c.identity, int8send(c.other)
      ON CONFLICT (event_identity, other_hash) DO UPDATE SET
        occurrences = least(i.occurrences::bigint + excluded.occurrences, 2147483647),
        last_seen_at = greatest(i.last_seen_at, excluded.last_seen_at)`;
  }

  /** A page of them, newest first: all, or those that were or were not acknowledged. */
  list(
    { accountId }: Scope,
    isAcknowledged: boolean | undefined,
    request: PageRequest,
  ): Promise<Incident[]> {
    const { where, ...page } = pageArguments(request);
    const acknowledged =
      isAcknowledged === undefined ? {} : { acknowledgedAt: isAcknowledged ? { not: null } : null };
    return this.db.incident.findMany({
      where: { accountId, ...acknowledged, ...where },
      ...page,
      select: VIEW,
    });
  }

  /** Says that somebody has looked at it, and why it is settled. Once it is, a second time changes nothing. */
  acknowledge(scope: Scope, id: string, reason: string, now: Date): Promise<Incident> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT id FROM incident WHERE account_id = ${accountId} AND id = ${id} FOR NO KEY UPDATE`;
      const before = await tx.incident.findFirst({ where: { accountId, id }, select: VIEW });
      if (!before) throw new NotFound('incident', id);
      if (before.acknowledgedAt !== null) return before;
      const after = await tx.incident.update({
        where: { id, accountId },
        data: { acknowledgedAt: now, acknowledgedBy: principalId, reason },
        select: VIEW,
      });
      const { kind, gatewayId, epoch, sequence, source, eventId } = after;
      await appendAudit(tx, {
        ...scope,
        action: 'acknowledge-incident',
        subject: id,
        after:
          kind === 'event-conflict'
            ? { kind, gatewayId, source, eventId, reason }
            : { kind, gatewayId, epoch, sequence, reason },
      });
      return after;
    });
  }
}
