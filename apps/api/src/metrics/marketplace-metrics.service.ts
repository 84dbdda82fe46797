import { Injectable } from '@nestjs/common';
import { MeteringRecordsService, QueuesService } from '@io/marketplace';
import type { Metric } from './exposition.js';
import { gauge } from './process-metrics.service.js';

/** What no marketplace has taken, over all accounts: money that is lost when nobody looks. */
@Injectable()
export class MarketplaceMetricsService {
  constructor(
    private readonly records: MeteringRecordsService,
    private readonly queues: QueuesService,
  ) {}

  async metrics(): Promise<Metric[]> {
    const backlog = this.records.backlog();
    const asked = [
      gauge(
        'tollgate_marketplace_records_pending',
        'Metering records that no marketplace has taken.',
        backlog.then(({ pending }) => pending),
      ),
      gauge(
        'tollgate_marketplace_records_dead',
        'Metering records that were given up, and wait for a person.',
        backlog.then(({ dead }) => dead),
      ),
      gauge(
        'tollgate_marketplace_records_pending_age_seconds',
        'From the end of the oldest hour that waits; 0 when none does.',
        backlog.then(({ oldestPendingSeconds }) => oldestPendingSeconds),
      ),
      gauge(
        'tollgate_marketplace_deadline_seconds',
        'To the deadline that comes first; a day when nothing waits.',
        backlog.then(({ nextDeadlineSeconds }) => nextDeadlineSeconds ?? DAY_SECONDS),
      ),
      gauge(
        'tollgate_marketplace_usd_at_risk',
        'Of records that wait for six hours and more or were given up, as far as their units have a price.',
        backlog.then(({ usdAtRisk }) => usdAtRisk),
      ),
      gauge(
        'tollgate_marketplace_queue_messages_open',
        'Messages of queues that could not be followed, and wait for a person.',
        this.queues.countOpen(),
      ),
      gauge(
        'tollgate_marketplace_queues_failing',
        'Queues of notifications that could not be read at the last attempt.',
        this.queues.countFailing(),
      ),
    ];
    return (await Promise.all(asked)).flat();
  }
}

const DAY_SECONDS = 86_400;
