import { Injectable } from '@nestjs/common';
import { ExportScheduleDisabled, type ExportRunStatus } from '@core/billing';
import type { Scope } from '@core/identity';
import type { Period } from '@core/kernel';
import {
  appendAudit,
  Database,
  NotFound,
  pageArguments,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import { wantRun } from './want-run.js';

/** What was written. */
export interface WrittenExport {
  /** A path or the URL of an object. */
  readonly place: string;
  readonly rows: number;
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
}

/** One period of a schedule. */
export interface ExportRun {
  readonly id: string;
  readonly status: ExportRunStatus;
  readonly period: Period;
  /** Of the last time that it came through; null until then. */
  readonly written: WrittenExport | null;
  /** Why the last attempt failed. */
  readonly fault: string | null;
  readonly attempts: number;
  readonly nextAttemptAt: Date | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

/** A run that this worker has for a while. */
export interface ClaimedExportRun {
  readonly id: string;
  readonly accountId: string;
  readonly scheduleId: string;
  readonly period: Period;
  /** The number of this attempt among all, from 1. */
  readonly attempt: number;
  readonly tries: number;
}

/** How an attempt ended. */
export type ExportOutcome =
  | { readonly kind: 'done'; readonly written: WrittenExport }
  /** `next` null: it is not tried again by itself. */
  | { readonly kind: 'failed'; readonly fault: string; readonly next: Date | null };

/** How long a claim lasts after the last sign of progress. */
const CLAIM_MS = 10 * 60_000;

type Row = Prisma.ExportRunGetPayload<object>;

/** Runs of schedules: who has them, and how they ended. */
@Injectable()
export class ExportRunsRepository {
  constructor(private readonly db: Database) {}

  /** Takes the run that has waited longest, in any account. Others pass over it; a worker that crashes leaves it to be taken again. */
  async claim(now: Date): Promise<ClaimedExportRun | null> {
    const [row] = await this.db.$queryRaw<
      (Omit<ClaimedExportRun, 'period'> & { from: Date; to: Date })[]
    >`
      WITH due AS (
        SELECT r.id FROM export_run r JOIN export_schedule s ON s.account_id = r.account_id AND s.id = r.schedule_id
        WHERE s.disabled_at IS NULL AND r.status IN ('pending', 'running', 'failed') AND r.next_attempt_at <= ${now}
          AND (r.running_until IS NULL OR r.running_until <= ${now})
        ORDER BY r.next_attempt_at, r.id LIMIT 1 FOR UPDATE OF r SKIP LOCKED)
      UPDATE export_run r SET status = 'running', running_until = ${untilOf(now)}, started_at = ${now}, ended_at = NULL,
        attempts = r.attempts + 1, tries = r.tries + 1
      FROM due WHERE r.id = due.id
      RETURNING r.id, r.account_id AS "accountId", r.schedule_id AS "scheduleId", r.period_from AS "from", r.period_to AS "to",
        r.attempts AS attempt, r.tries`;
    if (!row) return null;
    const { from, to, ...rest } = row;
    return { ...rest, period: { from, to } };
  }

  /** Keeps the claim while there is progress; false when another worker has taken it over. */
  async keep({ id, attempt }: ClaimedExportRun, now: Date): Promise<boolean> {
    const kept = await this.db.$executeRaw`
      UPDATE export_run SET running_until = ${untilOf(now)}
      WHERE id = ${id} AND attempts = ${attempt} AND status = 'running'`;
    return kept === 1;
  }

  /** Writes down how an attempt ended. One whose claim was taken over changes nothing. */
  async record(
    { id, attempt }: ClaimedExportRun,
    outcome: ExportOutcome,
    now: Date,
  ): Promise<void> {
    const ended = { runningUntil: null, endedAt: now };
    const data =
      outcome.kind === 'done'
        ? { ...ended, ...outcome.written, status: 'done', fault: null }
        : {
            ...ended,
            fault: outcome.fault,
            status: outcome.next ? 'failed' : 'dead',
            ...(outcome.next && { nextAttemptAt: outcome.next }),
          };
    await this.db.exportRun.updateMany({
      where: { id, attempts: attempt, status: 'running' },
      data,
    });
  }

  /**
   * Asks for a period, now and from the first attempt on, whatever became of it; what is running goes on. Throws `NotFound`,
   * `ExportScheduleDisabled`.
   */
  request(scope: Scope, scheduleId: string, { from, to }: Period, now: Date): Promise<ExportRun> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      const [schedule] = await tx.$queryRaw<{ disabledAt: Date | null }[]>`
        SELECT disabled_at AS "disabledAt" FROM export_schedule
        WHERE account_id = ${accountId} AND id = ${scheduleId} FOR NO KEY UPDATE`;
      if (!schedule) throw new NotFound('export schedule', scheduleId);
      if (schedule.disabledAt) throw new ExportScheduleDisabled(scheduleId);
      await wantRun(tx, { accountId, scheduleId }, { from, to }, now);
      const key = { scheduleId, periodFrom: from, periodTo: to };
      const run = toRun(
        await tx.exportRun.findUniqueOrThrow({ where: { scheduleId_periodFrom_periodTo: key } }),
      );
      const entry = {
        action: 'request-export-run',
        subject: scheduleId,
        after: { runId: run.id, from, to },
      };
      await appendAudit(tx, { accountId, principalId, ...entry });
      return run;
    });
  }

  /** A page of a schedule's runs, the newest first. */
  async list(
    { accountId }: Scope,
    scheduleId: string,
    { status, ...page }: PageRequest & { readonly status: ExportRunStatus | null },
  ): Promise<ExportRun[]> {
    const { where, ...rest } = pageArguments(page);
    const rows = await this.db.exportRun.findMany({
      where: { accountId, scheduleId, ...(status && { status }), ...where },
      ...rest,
    });
    return rows.map(toRun);
  }
}

const untilOf = (now: Date) => new Date(now.getTime() + CLAIM_MS);

function toRun(row: Row): ExportRun {
  const { id, fault, attempts, createdAt, startedAt, endedAt, place, rows, bytes, sha256 } = row;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the table checks it
  const status = row.status as ExportRunStatus;
  const isWritten = place !== null && rows !== null && bytes !== null && sha256 !== null;
  return {
    id,
    status,
    period: { from: row.periodFrom, to: row.periodTo },
    written: isWritten ? { place, rows: Number(rows), bytes: Number(bytes), sha256 } : null,
    fault,
    attempts,
    nextAttemptAt: status === 'pending' || status === 'failed' ? row.nextAttemptAt : null,
    createdAt,
    startedAt,
    endedAt,
  };
}
