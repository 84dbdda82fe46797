import { Injectable } from '@nestjs/common';
import { exportPeriod, type ExportRule, type ExportRunStatus } from '@core/billing';
import type { Scope } from '@core/identity';
import type { Period } from '@core/kernel';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  ExportRunsRepository,
  type ExportRun,
  type WrittenExport,
} from './export-runs.repository.js';
import { ExportSchedulesRepository } from './export-schedules.repository.js';
import { ExportWriterService } from './export-writer.service.js';

/** What would be written of a period. */
export type DryExportRun = WrittenExport & {
  readonly period: Period;
  readonly fault: string | null;
};

/** What became of the periods of a schedule, and runs that a person asks for. */
@Injectable()
export class ExportRunsService {
  constructor(
    private readonly schedules: ExportSchedulesRepository,
    private readonly runs: ExportRunsRepository,
    private readonly pages: Pages,
    private readonly clock: BusinessClock,
  ) {}

  async list(
    scope: Scope,
    scheduleId: string,
    { status = null, ...query }: PageQuery & { readonly status?: ExportRunStatus | null },
  ): Promise<Page<ExportRun>> {
    await this.existing(scope, scheduleId);
    const list = `export-runs ${scope.accountId} ${scheduleId} ${status}`;
    const page = this.pages.request(query, list);
    return this.pages.page(
      await this.runs.list(scope, scheduleId, { ...page, status }),
      page,
      list,
    );
  }

  /**
   * Has a period written, again if it was: that of the instant, or else the last one that has ended. The worker does it. Throws
   * `InvalidRequest` for one that has not ended, whose file would not be whole.
   */
  async request(scope: Scope, scheduleId: string, at: Date | null): Promise<ExportRun> {
    const schedule = await this.existing(scope, scheduleId);
    const now = await this.clock.now(scope.accountId);
    const period = wantedPeriod(schedule, at, now);
    if (period.to > now) {
      const detail = 'must be in a period that has ended';
      throw new InvalidRequest([{ pointer: '/at', detail }]);
    }
    return this.runs.request(scope, scheduleId, period, this.clock.at(0));
  }

  private async existing(scope: Scope, id: string) {
    const schedule = await this.schedules.find(scope, id);
    if (!schedule) throw new NotFound('export schedule', id);
    return schedule;
  }
}

/** Tells what a schedule would write. */
@Injectable()
export class ExportDryRunsService {
  constructor(
    private readonly schedules: ExportSchedulesRepository,
    private readonly writer: ExportWriterService,
    private readonly clock: BusinessClock,
  ) {}

  /** What would be written of a period, which may go on still, and where; nothing is. */
  async dryRun(scope: Scope, scheduleId: string, at: Date | null): Promise<DryExportRun> {
    const { accountId } = scope;
    const schedule = await this.schedules.find(scope, scheduleId);
    if (!schedule) throw new NotFound('export schedule', scheduleId);
    const period = wantedPeriod(schedule, at, await this.clock.now(accountId));
    return { period, ...(await this.writer.measure({ accountId, schedule, period })) };
  }
}

const wantedPeriod = (rule: ExportRule, at: Date | null, now: Date): Period =>
  exportPeriod(rule, at ?? now, at ? 'containing' : 'previous');
