import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  BusinessClock,
  Config,
  NotFound,
  Pages,
  SystemClock,
  type Page,
  type PageQuery,
} from '@io/platform';
import { DeadlineWatchRepository } from './deadline-watch.repository.js';
import {
  RecordsRepository,
  type MeteringBacklog,
  type MeteringRecord,
  type RecordFilter,
} from './records.repository.js';

/** The queue, and the job, that tells of records whose deadline comes near. */
export const WATCH_METERING_DEADLINES = 'watch-metering-deadlines';

/** The metering ledger as people see it, and what they do about records that were given up. */
@Injectable()
export class MeteringRecordsService {
  constructor(
    private readonly records: RecordsRepository,
    private readonly watch: DeadlineWatchRepository,
    private readonly pages: Pages,
    private readonly business: BusinessClock,
    private readonly clock: SystemClock,
    private readonly config: Config,
  ) {}

  async list(scope: Scope, filter: RecordFilter, query: PageQuery): Promise<Page<MeteringRecord>> {
    const list = `metering-records ${scope.accountId} ${JSON.stringify(filter)}`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.records.list(scope, filter, request), request, list);
  }

  async get(scope: Scope, id: string): Promise<MeteringRecord> {
    const record = await this.records.find(scope, id);
    if (!record) throw new NotFound('metering record', id);
    return record;
  }

  /** Throws `RecordNotDead` or `RecordExpired`. */
  async retry(scope: Scope, id: string): Promise<MeteringRecord> {
    const businessNow = await this.business.now(scope.accountId);
    return this.records.retry(scope, id, { now: this.clock.now(), businessNow });
  }

  /** Throws `RecordNotDead` or `AgreementEnded`. */
  resolve(
    scope: Scope,
    id: string,
    resolution: { readonly resolution: 'carry' | 'write-off'; readonly note: string },
  ): Promise<MeteringRecord> {
    return this.records.resolve(scope, id, { ...resolution, now: this.clock.now() });
  }

  backlog(): Promise<MeteringBacklog> {
    return this.records.backlog(this.clock.now(), this.config.awsMarketplace.endpoint !== null);
  }

  /** Tells what is at risk, and answers of how many products. */
  watchDeadlines(): Promise<number> {
    return this.watch.tellAtRisk(this.clock.now());
  }
}
