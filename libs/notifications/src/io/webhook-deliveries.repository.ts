import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { appendAudit, Database, NotFound, type PageRequest } from '@io/platform';
import { publishEvents } from './publish-events.js';

/** A delivery that this worker has for a while. */
export interface ClaimedDelivery {
  readonly accountId: string;
  readonly endpointId: string;
  readonly eventId: string;
  readonly url: string;
  readonly body: string;
  /** The number of this attempt among all of the delivery, from 1. */
  readonly attempt: number;
  /** The same since it was made or replayed. */
  readonly tries: number;
}

/** How an attempt ended: with a status, or with a fault and no answer. */
export interface Attempt {
  readonly at: Date;
  readonly endedAt: Date;
  readonly latencyMs: number;
  readonly status: number | null;
  readonly fault: string | null;
  readonly excerpt: string | null;
  readonly isDelivered: boolean;
  /** Of a failure: when to try again; null: not any more. */
  readonly nextAttemptAt: Date | null;
}

/** A delivery as it is shown. */
export interface DeliveryView {
  readonly eventId: string;
  readonly type: string;
  readonly status: string;
  readonly attempts: number;
  readonly nextAttemptAt: Date | null;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
}

/** An attempt as it is shown. */
export interface AttemptView {
  readonly attempt: number;
  readonly at: Date;
  readonly status: number | null;
  readonly fault: string | null;
  readonly latencyMs: number;
  readonly excerpt: string | null;
}

/** Which events are to be sent again: one, or those of a time. */
export type ReplayRequest =
  | { readonly eventId: string }
  | { readonly since: Date; readonly until: Date; readonly includesDelivered: boolean };

/** Longer than the longest attempt; then a claim is of a worker that crashed. */
const CLAIM_MS = 60_000;
const CLAIMS_MAX = 20;
/** Of one endpoint at once; of one that fails, a single one, so that it keeps nobody waiting. */
const PER_ENDPOINT = 4;
const FAILING_DAYS = 5;
const REPLAY_MAX = 10_000;
const KEPT_DAYS = 30;
const TRIM_BATCH = 5_000;
const ATTEMPTS_SHOWN = 500;
const GONE = 410;

/** Deliveries on their way, and the log of attempts. */
@Injectable()
export class WebhookDeliveriesRepository {
  constructor(private readonly db: Database) {}

  /**
   * Takes some deliveries that are due, in any account, for a minute. Others pass over what is taken; a worker that
   * crashes leaves it to be taken again. Each is counted as an attempt from here on.
   */
  claim(now: Date): Promise<ClaimedDelivery[]> {
    const until = new Date(now.getTime() + CLAIM_MS);
    return this.db.$queryRaw<ClaimedDelivery[]>`
      WITH due AS (
        SELECT q.endpoint_id, q.event_id, w.url
        FROM (SELECT DISTINCT endpoint_id FROM webhook_delivery
              WHERE status = 'pending' AND next_attempt_at <= ${now}) waiting
        JOIN webhook_endpoint w ON w.id = waiting.endpoint_id AND w.disabled_at IS NULL
        CROSS JOIN LATERAL (
          SELECT d.endpoint_id, d.event_id, d.next_attempt_at FROM webhook_delivery d
          WHERE d.endpoint_id = w.id AND d.status = 'pending' AND d.next_attempt_at <= ${now}
            AND (d.sending_until IS NULL OR d.sending_until <= ${now})
          ORDER BY d.next_attempt_at, d.event_id
          LIMIT greatest(0, CASE WHEN w.failing_since IS NULL THEN ${PER_ENDPOINT}::int ELSE 1 END - (
            SELECT count(*) FROM webhook_delivery s
            WHERE s.endpoint_id = w.id AND s.status = 'pending' AND s.sending_until > ${now}))
          FOR UPDATE SKIP LOCKED
        ) q
        ORDER BY q.next_attempt_at LIMIT ${CLAIMS_MAX}
      )
      UPDATE webhook_delivery d
      SET sending_until = ${until}, attempts = d.attempts + 1, tries = d.tries + 1
      FROM due JOIN webhook_event e ON e.id = due.event_id
      WHERE d.endpoint_id = due.endpoint_id AND d.event_id = due.event_id
      RETURNING d.account_id AS "accountId", d.endpoint_id AS "endpointId", d.event_id AS "eventId", due.url, e.body,
        d.attempts AS attempt, d.tries`;
  }

  /**
   * Writes down how an attempt ended. An attempt whose claim another worker has taken over is logged, and changes
   * nothing else. Answers the reason when the endpoint was disabled by it: it is gone, or nothing has come through
   * for five days.
   */
  recordAttempt(claimed: ClaimedDelivery, attempt: Attempt): Promise<'gone' | 'failing' | null> {
    const { accountId, endpointId, eventId } = claimed;
    const { at, endedAt, status, fault, latencyMs, excerpt, isDelivered, nextAttemptAt } = attempt;
    const failing = new Date(endedAt.getTime() - FAILING_DAYS * 86_400_000);
    return this.db.$transaction(async (tx) => {
      const done = await tx.$executeRaw`
        UPDATE webhook_delivery SET sending_until = NULL,
          status = ${isDelivered ? 'delivered' : nextAttemptAt ? 'pending' : 'dead'},
          next_attempt_at = coalesce(${nextAttemptAt}, next_attempt_at),
          ended_at = ${isDelivered || !nextAttemptAt ? endedAt : null}::timestamptz
        WHERE account_id = ${accountId} AND endpoint_id = ${endpointId} AND event_id = ${eventId}
          AND attempts = ${claimed.attempt} AND status = 'pending'`;
      await tx.$executeRaw`
        INSERT INTO webhook_attempt (account_id, endpoint_id, event_id, attempt, at, status, fault, latency_ms, excerpt)
        SELECT d.account_id, d.endpoint_id, d.event_id, ${claimed.attempt}::int, ${at}, ${status}::int, ${fault}, ${latencyMs}::int, ${excerpt}
        FROM webhook_delivery d
        WHERE d.account_id = ${accountId} AND d.endpoint_id = ${endpointId} AND d.event_id = ${eventId}
        ON CONFLICT DO NOTHING`;
      if (done === 0) return null;
      if (isDelivered) {
        await tx.$executeRaw`
          UPDATE webhook_endpoint SET failing_since = NULL
          WHERE id = ${endpointId} AND failing_since IS NOT NULL`;
        return null;
      }
      const [row] = await tx.$queryRaw<{ reason: 'gone' | 'failing' | null }[]>`
        UPDATE webhook_endpoint SET failing_since = coalesce(failing_since, ${at}),
          disabled_reason = CASE WHEN ${status === GONE} THEN 'gone' WHEN failing_since <= ${failing} THEN 'failing' END,
          disabled_at = CASE WHEN ${status === GONE} OR failing_since <= ${failing} THEN ${endedAt}::timestamptz END,
          updated_at = CASE WHEN ${status === GONE} OR failing_since <= ${failing}
            THEN greatest(${endedAt}::timestamptz, updated_at + interval '1 ms') ELSE updated_at END
        WHERE id = ${endpointId} AND disabled_at IS NULL
        RETURNING disabled_reason AS reason`;
      const reason = row?.reason ?? null;
      if (reason === null) return null;
      const subjectId = `${endpointId}/${eventId}/${claimed.attempt}`;
      const type = 'webhook-endpoint.disabled' as const;
      const data = { endpointId, reason };
      await publishEvents(tx, [{ accountId, type, subjectId, at: endedAt, data }], endedAt);
      return reason;
    });
  }

  /** A page of an endpoint's deliveries, newest first. */
  list(
    { accountId }: Scope,
    endpointId: string,
    { status, limit, after }: PageRequest & { readonly status: string | null },
  ): Promise<DeliveryView[]> {
    return this.db.$queryRaw<DeliveryView[]>`
      SELECT d.event_id AS "eventId", e.type, d.status, d.attempts,
        CASE WHEN d.status = 'pending' THEN d.next_attempt_at END AS "nextAttemptAt",
        d.created_at AS "createdAt", d.ended_at AS "endedAt"
      FROM webhook_delivery d JOIN webhook_event e ON e.account_id = d.account_id AND e.id = d.event_id
      WHERE d.account_id = ${accountId} AND d.endpoint_id = ${endpointId}
        AND (${status}::text IS NULL OR d.status = ${status})
        AND (${after?.createdAt ?? null}::timestamptz IS NULL
          OR (d.created_at, d.event_id) < (${after?.createdAt ?? null}::timestamptz, ${after?.id ?? null}::text))
      ORDER BY d.created_at DESC, d.event_id DESC LIMIT ${limit + 1}`;
  }

  /** The attempts of a delivery, the latest first; null when there is no such delivery. */
  async attempts(
    { accountId }: Scope,
    { endpointId, eventId }: { readonly endpointId: string; readonly eventId: string },
  ): Promise<AttemptView[] | null> {
    const where = { accountId, endpointId, eventId };
    if ((await this.db.webhookDelivery.count({ where })) === 0) return null;
    return this.db.webhookAttempt.findMany({
      where,
      orderBy: { attempt: 'desc' },
      take: ATTEMPTS_SHOWN,
      select: {
        attempt: true,
        at: true,
        status: true,
        fault: true,
        latencyMs: true,
        excerpt: true,
      },
    });
  }

  /**
   * Sends events again that the endpoint would take now, from the first pause of the schedule on, and answers how many.
   * Of a time, those that did not come through: dead ones, and those it was not told because it was disabled or new.
   */
  replay(scope: Scope, endpointId: string, request: ReplayRequest, now: Date): Promise<number> {
    const { accountId } = scope;
    const one = 'eventId' in request ? request.eventId : null;
    const since = 'since' in request ? request.since : null;
    const until = 'until' in request ? request.until : null;
    const all = 'eventId' in request || request.includesDelivered;
    return this.db.$transaction(async (tx) => {
      const endpoint = await tx.webhookEndpoint.findUnique({
        where: { accountId_id: { accountId, id: endpointId } },
        select: { id: true },
      });
      if (!endpoint) throw new NotFound('webhook endpoint', endpointId);
      const replayed = await tx.$executeRaw`
        INSERT INTO webhook_delivery AS d (account_id, endpoint_id, event_id, next_attempt_at, created_at)
        SELECT w.account_id, w.id, e.id, ${now}, e.created_at
        FROM webhook_endpoint w JOIN webhook_event e ON e.account_id = w.account_id
        LEFT JOIN webhook_delivery known ON known.endpoint_id = w.id AND known.event_id = e.id
        WHERE w.account_id = ${accountId} AND w.id = ${endpointId}
          AND (known.event_id IS NOT NULL
            OR (e.type <> 'webhook-endpoint.test' AND (w.event_types = '{}' OR e.type = ANY (w.event_types))))
          AND (${one}::text IS NULL OR e.id = ${one})
          AND (${since}::timestamptz IS NULL OR (e.created_at >= ${since} AND e.created_at < ${until}::timestamptz))
        ORDER BY e.created_at, e.id LIMIT ${REPLAY_MAX}
        ON CONFLICT (endpoint_id, event_id) DO UPDATE
        SET status = 'pending', tries = 0, next_attempt_at = excluded.next_attempt_at, ended_at = NULL
        WHERE d.status = 'dead' OR (d.status = 'delivered' AND ${all})`;
      if (one !== null && replayed === 0) {
        const known = await tx.webhookDelivery.count({
          where: { accountId, endpointId, eventId: one },
        });
        if (known === 0) throw new NotFound('event for the endpoint', one);
      }
      await appendAudit(tx, {
        ...scope,
        action: 'replay-webhook-events',
        subject: endpointId,
        after: { ...request, deliveries: replayed },
      });
      return replayed;
    });
  }

  /** Forgets events that are older than a month with all about them, some at a time, and messages likewise. */
  async trim(now: Date): Promise<number> {
    const before = new Date(now.getTime() - KEPT_DAYS * 86_400_000);
    const events = await this.db.$executeRaw`
      DELETE FROM webhook_event WHERE id IN (
        SELECT id FROM webhook_event WHERE created_at < ${before} ORDER BY created_at LIMIT ${TRIM_BATCH})`;
    const emails = await this.db.$executeRaw`
      DELETE FROM email_message WHERE id IN (
        SELECT id FROM email_message WHERE created_at < ${before} ORDER BY created_at LIMIT ${TRIM_BATCH})`;
    return events + emails;
  }
}
