import { Injectable } from '@nestjs/common';
import type { ExchangeDirection, ExchangeOutcome } from '@core/billing';
import { Database } from '@io/platform';

/** An exchange that this worker has for a while. */
export interface ClaimedExchange {
  readonly id: string;
  readonly accountId: string;
  readonly direction: ExchangeDirection;
  readonly target: string;
  readonly act: string;
  readonly subjectId: string;
  readonly customerId: string | null;
  /** The number of this attempt among all of the exchange, from 1. */
  readonly attempt: number;
  /** The same since it was made or retried by hand. */
  readonly tries: number;
  readonly requestHash: Uint8Array | null;
  readonly remoteId: string | null;
  /** How often the remote has answered under a key so that it would do so again: part of the next keys. */
  readonly keysUsedUp: number;
  readonly detail: unknown;
  readonly createdAt: Date;
}

/** How often an account may call, and how often in one way. */
export interface Pace {
  readonly callsPerSecond: number;
  /** What is called: a remote counts calls of each endpoint too. */
  readonly kind: string;
  readonly kindPerSecond: number;
}

/** Another worker has taken the exchange over, since this one took too long: it must not go on. */
export class ClaimLost extends Error {
  constructor(id: string) {
    super(`Another worker has taken ${id} over.`);
  }
}

/** Longer than a call to a remote service may take. Each call makes it new; then a claim is of a worker that crashed. */
const CLAIM_MS = 90_000;

/**
 * Exchanges on their way. Whoever dies leaves its claim to run out, and the next goes on where it was; a claim that ran out
 * writes nothing any more.
 */
@Injectable()
export class ExchangeQueueRepository {
  constructor(private readonly db: Database) {}

  /**
   * Takes one that is due, of any account; others pass over it. Of the acts the first that has any, and of that the longest
   * waiting. Of a customer there is one at a time, in order; what builds on something that is dead waits until a person has
   * settled that.
   */
  async claim(target: string, acts: readonly string[], now: Date): Promise<ClaimedExchange | null> {
    const until = new Date(now.getTime() + CLAIM_MS);
    // The acts come in their order, and those behind the first that has one are not looked at.
    const [claimed] = await this.db.$queryRaw<ClaimedExchange[]>`
      WITH due AS (
        SELECT first.id FROM unnest(${[...acts]}::text[]) AS wanted (act)
        CROSS JOIN LATERAL (
          SELECT e.id FROM exchange e
          WHERE e.target = ${target} AND e.act = wanted.act AND e.status IN ('pending', 'sending', 'failed')
            AND e.next_attempt_at <= ${now} AND (e.sending_until IS NULL OR e.sending_until <= ${now})
            AND NOT EXISTS (
              SELECT FROM exchange b
              WHERE b.account_id = e.account_id AND b.target = e.target AND b.direction = e.direction
                AND b.customer_id = e.customer_id AND b.position < e.position
                AND b.status IN ('pending', 'sending', 'failed'))
            AND NOT EXISTS (
              SELECT FROM exchange b
              WHERE b.account_id = e.account_id AND b.target = e.target AND b.direction = e.direction
                AND b.chain = e.chain AND b.position < e.position
                AND b.status IN ('pending', 'sending', 'failed', 'dead') AND (b.status <> 'dead' OR b.direction = 'out'))
          ORDER BY e.position LIMIT 1
          FOR UPDATE SKIP LOCKED
        ) first LIMIT 1
      )
      UPDATE exchange e
      SET status = 'sending', sending_until = ${until}, attempts = e.attempts + 1, tries = e.tries + 1
      FROM due WHERE e.id = due.id
      RETURNING e.id, e.account_id AS "accountId", e.direction, e.target, e.act, e.subject_id AS "subjectId",
        e.customer_id AS "customerId", e.attempts AS attempt, e.tries, e.request_hash AS "requestHash",
        e.remote_id AS "remoteId", e.keys_used_up AS "keysUsedUp", e.detail, e.created_at AS "createdAt"`;
    return claimed ?? null;
  }

  /**
   * Gives the claim a turn to call its remote service: makes the claim new, and answers when the call may go out, so that the
   * calls of all processes come evenly and no faster than the account's rate, and those of one kind no faster than theirs.
   * Throws `ClaimLost`. Locks are taken in the order claim → pace of the account → pace of the kind.
   */
  async turn({ id, target, attempt }: ClaimedExchange, pace: Pace, now: Date): Promise<Date> {
    const { callsPerSecond, kind, kindPerSecond } = pace;
    const gapsMs = [1_000 / callsPerSecond, 1_000 / kindPerSecond];
    const until = new Date(now.getTime() + CLAIM_MS);
    const rows = await this.db.$queryRaw<{ of: string; next: Date }[]>`
      WITH held AS (
        UPDATE exchange SET sending_until = ${until}
        WHERE id = ${id} AND attempts = ${attempt} AND status = 'sending'
        RETURNING account_id, target
      )
      INSERT INTO exchange_pace AS p (account_id, target, next_call_at)
      SELECT account_id, target || of.kind, ${now}::timestamptz + of.gap_ms * interval '1 ms'
      FROM held CROSS JOIN unnest(${['', ` ${kind}`]}::text[], ${gapsMs}::float8[]) AS of (kind, gap_ms)
      ON CONFLICT (account_id, target) DO UPDATE
        SET next_call_at = greatest(p.next_call_at, ${now}::timestamptz) + (excluded.next_call_at - ${now}::timestamptz)
      RETURNING p.target AS of, p.next_call_at AS next`;
    if (rows.length === 0) throw new ClaimLost(id);
    const turns = rows.map(({ of, next }) => next.getTime() - (gapsMs[of === target ? 0 : 1] ?? 0));
    return new Date(Math.max(...turns));
  }

  /** Lets nobody call the remote service of the account before an instant. */
  async pause({ accountId, target }: ClaimedExchange, until: Date): Promise<void> {
    await this.db.$executeRaw`
      INSERT INTO exchange_pace AS p (account_id, target, next_call_at) VALUES (${accountId}, ${target}, ${until})
      ON CONFLICT (account_id, target) DO UPDATE SET next_call_at = greatest(p.next_call_at, excluded.next_call_at)`;
  }

  /** Keeps what the remote calls what was made there, or what was sent, before anything else is done. Throws `ClaimLost`. */
  async remember(
    { id, attempt }: ClaimedExchange,
    known:
      | { readonly remoteId: string }
      | { readonly requestHash: Buffer }
      | { readonly keysUsedUp: number },
  ): Promise<void> {
    const data =
      'requestHash' in known ? { requestHash: Uint8Array.from(known.requestHash) } : known;
    const { count } = await this.db.exchange.updateMany({
      where: { id, attempts: attempt, status: 'sending' },
      data,
    });
    if (count === 0) throw new ClaimLost(id);
  }

  /** Writes down how an attempt ended, in the log too. Nothing of one whose claim was taken over. */
  async record(
    { id, accountId, attempt }: ClaimedExchange,
    outcome: ExchangeOutcome,
    at: { readonly begun: Date; readonly ended: Date; readonly next: Date | null },
  ): Promise<void> {
    const isFailed = outcome.kind === 'failed' && at.next !== null;
    const status = isFailed ? 'failed' : ENDS[outcome.kind];
    const fault = 'fault' in outcome ? outcome.fault : null;
    await this.db.$transaction(async (tx) => {
      const { count } = await tx.exchange.updateMany({
        where: { id, accountId, attempts: attempt, status: 'sending' },
        data: {
          status,
          sendingUntil: null,
          fault: outcome.kind === 'sent' ? (outcome.note ?? null) : fault,
          ...(outcome.kind === 'sent' && outcome.remoteId ? { remoteId: outcome.remoteId } : {}),
          ...(outcome.kind === 'needless'
            ? { resolvedBy: 'worker', resolvedReason: outcome.reason }
            : {}),
          ...(isFailed && at.next ? { nextAttemptAt: at.next } : { endedAt: at.ended }),
        },
      });
      if (count === 0) return;
      await tx.exchangeAttempt.create({
        data: {
          accountId,
          exchangeId: id,
          attempt,
          at: at.begun,
          latencyMs: at.ended.getTime() - at.begun.getTime(),
          outcome: isFailed ? 'failed' : OUTCOMES[outcome.kind],
          fault,
        },
      });
    });
  }
}

const ENDS = { sent: 'sent', needless: 'resolved', failed: 'dead', refused: 'dead' } as const;
const OUTCOMES = { sent: 'sent', needless: 'needless', failed: 'dead', refused: 'dead' } as const;
