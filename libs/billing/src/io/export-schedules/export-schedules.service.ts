import { Injectable } from '@nestjs/common';
import { folderFault, keyPrefixFault } from '@core/billing';
import type { Scope } from '@core/identity';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  ExportSchedulesRepository,
  type ExportSchedule,
  type ExportScheduleChange,
  type ExportTargetSettings,
  type NewExportSchedule,
} from './export-schedules.repository.js';
import { ExportTargets } from './export-targets.js';

const DAY_MS = 86_400_000;
/** The shortest of each interval, in days. */
const DAYS = { day: 1, week: 7, month: 28, quarter: 90, year: 365 } as const;
const PAST_PERIODS_MAX = 500;

/** Which exports of an account are written when, and where. */
@Injectable()
export class ExportSchedulesService {
  constructor(
    private readonly schedules: ExportSchedulesRepository,
    private readonly targets: ExportTargets,
    private readonly pages: Pages,
    private readonly clock: BusinessClock,
  ) {}

  /** Without `from`, the period that now is in is the first that is written. Throws `InvalidRequest`, `ExportScheduleExists`, `TooManyExportSchedules`. */
  async create(
    scope: Scope,
    schedule: Omit<NewExportSchedule, 'from'> & { readonly from?: Date },
  ): Promise<ExportSchedule> {
    const now = await this.clock.now(scope.accountId);
    const { from = now } = schedule;
    this.check(schedule);
    const past = (now.getTime() - from.getTime()) / (DAYS[schedule.interval] * DAY_MS);
    if (past > PAST_PERIODS_MAX) {
      const detail = `must not be more than ${PAST_PERIODS_MAX} periods ago`;
      throw new InvalidRequest([{ pointer: '/from', detail }]);
    }
    return this.schedules.create(scope, { ...schedule, from }, now);
  }

  async get(scope: Scope, id: string): Promise<ExportSchedule> {
    const schedule = await this.schedules.find(scope, id);
    if (!schedule) throw new NotFound('export schedule', id);
    return schedule;
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<ExportSchedule>> {
    const list = `export-schedules ${scope.accountId}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.schedules.list(scope, page), page, list);
  }

  async update(
    scope: Scope,
    id: string,
    change: ExportScheduleChange,
    ifMatch: IfMatch,
  ): Promise<ExportSchedule> {
    if (change.to) this.check(change.to);
    const now = await this.clock.now(scope.accountId);
    return this.schedules.update(scope, id, change, { ifMatch, now });
  }

  delete(scope: Scope, id: string): Promise<void> {
    return this.schedules.delete(scope, id);
  }

  private check({ target }: Pick<ExportTargetSettings, 'target'>): void {
    const unusable = this.targets.faultOf(target);
    const faults = unusable ? [unusable] : [];
    if (target.kind === 'folder') {
      const detail = folderFault(target.folder);
      if (detail !== null) faults.push({ field: 'folder', detail });
    } else {
      const detail = keyPrefixFault(target.prefix);
      if (detail !== null) faults.push({ field: 'prefix', detail });
    }
    if (faults.length === 0) return;
    throw new InvalidRequest(
      faults.map(({ field, detail }) => ({ pointer: `/target/${field}`, detail })),
    );
  }
}
