import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import {
  exportDueAt,
  exportPeriod,
  ExportScheduleExists,
  TooManyExportSchedules,
  type ExportRule,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId, type Period } from '@core/kernel';
import {
  appendAudit,
  checkVersion,
  Database,
  isUniqueViolation,
  Keyring,
  nextVersion,
  NotFound,
  pageArguments,
  type IfMatch,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import type { ExportFormat } from '../exports/export.js';
import { placeOf, type ExportTarget } from './export-targets.js';
import { wantRun } from './want-run.js';

/** What is written when, and where. */
export interface ExportSchedule extends ExportRule {
  readonly id: string;
  readonly exportName: string;
  readonly format: ExportFormat;
  readonly waitsForInvoices: boolean;
  readonly target: ExportTarget;
  /** The next period that is written by itself, and when. */
  readonly nextPeriod: Period;
  readonly dueAt: Date;
  readonly disabledAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A target with what opens it; null of a folder. */
export interface ExportTargetSettings {
  readonly target: ExportTarget;
  readonly secretAccessKey: string | null;
}

/** What is said of a new schedule. */
export interface NewExportSchedule extends ExportRule, ExportTargetSettings {
  readonly exportName: string;
  readonly format: ExportFormat;
  readonly waitsForInvoices: boolean;
  /** An instant of the first period that is written. */
  readonly from: Date;
}

/** What can be changed of one. What is written stays: for another table or interval there is another schedule. */
export interface ExportScheduleChange {
  readonly delayHours?: number;
  readonly waitsForInvoices?: boolean;
  readonly isDisabled?: boolean;
  readonly to?: ExportTargetSettings;
}

const SCHEDULES_MAX = 100;

type Row = Omit<Prisma.ExportScheduleGetPayload<object>, 'sealedSecretKey'>;

/** Schedules of exports. The secrets of buckets leave here only for a run. */
@Injectable()
export class ExportSchedulesRepository {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
  ) {}

  /** Throws `ExportScheduleExists`, `TooManyExportSchedules`. */
  async create(scope: Scope, schedule: NewExportSchedule, now: Date): Promise<ExportSchedule> {
    const { accountId, principalId } = scope;
    const { exportName, format, interval, timezone, delayHours, waitsForInvoices } = schedule;
    const id = prefixedId('exs', randomBytes);
    const period = exportPeriod(schedule, schedule.from, 'containing');
    const data = {
      id,
      accountId,
      exportName,
      format,
      interval,
      timezone,
      delayHours,
      waitsForInvoices,
      ...this.targetColumns({ accountId, id }, schedule),
      nextFrom: period.from,
      dueAt: exportDueAt(schedule, period),
      createdAt: now,
      updatedAt: now,
    };
    return this.unlessTaken(async (tx) => {
      // Holds back others that count at the same time.
      await tx.$queryRaw`SELECT FROM account WHERE id = ${accountId} FOR NO KEY UPDATE`;
      if ((await tx.exportSchedule.count({ where: { accountId } })) >= SCHEDULES_MAX)
        throw new TooManyExportSchedules(SCHEDULES_MAX);
      const after = toSchedule(await tx.exportSchedule.create({ data }));
      const change = { action: 'create-export-schedule', subject: id, after };
      await appendAudit(tx, { accountId, principalId, ...change });
      return after;
    });
  }

  async find({ accountId }: Scope, id: string): Promise<ExportSchedule | null> {
    const row = await this.db.exportSchedule.findUnique({
      where: { accountId_id: { accountId, id } },
    });
    return row && toSchedule(row);
  }

  async list({ accountId }: Scope, page: PageRequest): Promise<ExportSchedule[]> {
    const { where, ...rest } = pageArguments(page);
    const rows = await this.db.exportSchedule.findMany({ where: { accountId, ...where }, ...rest });
    return rows.map(toSchedule);
  }

  /** Periods that ended while it was disabled are written once it is not any more. */
  async update(
    scope: Scope,
    id: string,
    change: ExportScheduleChange,
    { ifMatch, now }: { readonly ifMatch: IfMatch; readonly now: Date },
  ): Promise<ExportSchedule> {
    const { accountId, principalId } = scope;
    const { delayHours, waitsForInvoices, isDisabled, to } = change;
    return this.unlessTaken(async (tx) => {
      const row = await lockSchedule(tx, scope, id);
      const before = toSchedule(row);
      checkVersion(ifMatch, before);
      const data = {
        ...(waitsForInvoices !== undefined && { waitsForInvoices }),
        ...(delayHours !== undefined && {
          delayHours,
          dueAt: exportDueAt({ ...before, delayHours }, before.nextPeriod),
        }),
        ...(isDisabled !== undefined && {
          disabledAt: isDisabled ? (row.disabledAt ?? now) : null,
        }),
        ...(to && this.targetColumns({ accountId, id }, to)),
        updatedAt: nextVersion(before, now),
      };
      const where = { accountId_id: { accountId, id } };
      const after = toSchedule(await tx.exportSchedule.update({ where, data }));
      const hasNewSecret = (to?.secretAccessKey ?? null) !== null;
      const entry = { action: 'update-export-schedule', subject: id, before };
      await appendAudit(tx, {
        accountId,
        principalId,
        ...entry,
        after: { ...after, hasNewSecret },
      });
      return after;
    });
  }

  /** With its history. What was written stays where it is. */
  delete(scope: Scope, id: string): Promise<void> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      const before = toSchedule(await lockSchedule(tx, scope, id));
      await tx.exportSchedule.deleteMany({ where: { accountId, id } });
      const entry = { action: 'delete-export-schedule', subject: id, before };
      await appendAudit(tx, { accountId, principalId, ...entry });
    });
  }

  /**
   * Makes the run of the next period of each schedule whose time has come by its account's clock, and answers how many: none twice, in however
   * many workers. Of one that waits for invoices, once none up to the end of the period is a draft or still to be made.
   */
  async planDue(systemNow: Date, limit: number): Promise<number> {
    const due = await this.db.$queryRaw<{ accountId: string; id: string }[]>`
      SELECT s.account_id AS "accountId", s.id FROM export_schedule s JOIN account a ON a.id = s.account_id
      WHERE s.disabled_at IS NULL
        AND s.due_at <= ${systemNow}::timestamptz + a.clock_offset_ms * interval '1 millisecond'
        AND NOT (s.waits_for_invoices AND (
          EXISTS (SELECT FROM subscription b WHERE b.account_id = s.account_id
            AND b.closes_at <= s.due_at - s.delay_hours * interval '1 hour')
          OR EXISTS (SELECT FROM invoice i WHERE i.account_id = s.account_id AND i.status = 'draft'
            AND i.period_to <= s.due_at - s.delay_hours * interval '1 hour')))
      ORDER BY s.due_at, s.id LIMIT ${limit}`;
    let planned = 0;
    for (const one of due) if (await this.planNext(one, systemNow)) planned += 1;
    return planned;
  }

  private planNext(
    { accountId, id }: { readonly accountId: string; readonly id: string },
    systemNow: Date,
  ): Promise<boolean> {
    return this.db.$transaction(async (tx) => {
      const held = await tx.$queryRaw<object[]>`
        SELECT 1 FROM export_schedule s JOIN account a ON a.id = s.account_id
        WHERE s.account_id = ${accountId} AND s.id = ${id} AND s.disabled_at IS NULL
          AND s.due_at <= ${systemNow}::timestamptz + a.clock_offset_ms * interval '1 millisecond'
        FOR NO KEY UPDATE OF s SKIP LOCKED`;
      if (held.length === 0) return false;
      const where = { accountId_id: { accountId, id } };
      const schedule = toSchedule(await tx.exportSchedule.findUniqueOrThrow({ where }));
      // Once for each period, since it moves on here; what a person has asked for before its time is written again.
      await wantRun(tx, { accountId, scheduleId: id }, schedule.nextPeriod, systemNow);
      const next = exportPeriod(schedule, schedule.nextPeriod.to, 'containing');
      const data = { nextFrom: next.from, dueAt: exportDueAt(schedule, next) };
      await tx.exportSchedule.update({ where, data });
      return true;
    });
  }

  /** The schedule with what opens its target; null when it is gone. */
  async open(
    accountId: string,
    id: string,
  ): Promise<(ExportSchedule & ExportTargetSettings) | null> {
    const row = await this.db.exportSchedule.findUnique({
      where: { accountId_id: { accountId, id } },
    });
    if (!row) return null;
    const sealed = row.sealedSecretKey;
    const secretAccessKey = sealed && this.keyring.open(sealed, secretPlace(accountId, id));
    return { ...toSchedule(row), secretAccessKey };
  }

  private targetColumns(
    { accountId, id }: { readonly accountId: string; readonly id: string },
    { target, secretAccessKey }: ExportTargetSettings,
  ) {
    const sealedSecretKey =
      secretAccessKey === null
        ? null
        : this.keyring.seal(secretAccessKey, secretPlace(accountId, id));
    return { target: { ...target }, place: placeOf(target), sealedSecretKey };
  }

  private async unlessTaken<T>(act: (tx: Prisma.TransactionClient) => Promise<T>): Promise<T> {
    try {
      return await this.db.$transaction(act);
    } catch (error) {
      if (isUniqueViolation(error)) throw new ExportScheduleExists();
      throw error;
    }
  }
}

const secretPlace = (accountId: string, rowId: string) => ({
  table: 'export_schedule',
  column: 'sealed_secret_key',
  accountId,
  rowId,
});

/** The schedule, held until the transaction ends. Throws `NotFound`. */
async function lockSchedule(
  tx: Prisma.TransactionClient,
  { accountId }: Scope,
  id: string,
): Promise<Row> {
  await tx.$queryRaw`
    SELECT FROM export_schedule WHERE account_id = ${accountId} AND id = ${id} FOR NO KEY UPDATE`;
  const row = await tx.exportSchedule.findUnique({ where: { accountId_id: { accountId, id } } });
  if (!row) throw new NotFound('export schedule', id);
  return row;
}

function toSchedule(row: Row): ExportSchedule {
  const { id, exportName, timezone, delayHours, waitsForInvoices } = row;
  /* oxlint-disable typescript/no-unsafe-type-assertion -- what the table's checks and this repository let in */
  const rule = { interval: row.interval as ExportRule['interval'], timezone, delayHours };
  const format = row.format as ExportFormat;
  const target = row.target as unknown as ExportTarget;
  /* oxlint-enable typescript/no-unsafe-type-assertion */
  const nextPeriod = exportPeriod(rule, row.nextFrom, 'containing');
  const times = { dueAt: row.dueAt, disabledAt: row.disabledAt };
  const versions = { createdAt: row.createdAt, updatedAt: row.updatedAt };
  return {
    id,
    exportName,
    format,
    ...rule,
    waitsForInvoices,
    target,
    nextPeriod,
    ...times,
    ...versions,
  };
}
