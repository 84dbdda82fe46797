import { BullModule, getQueueToken } from '@nestjs/bullmq';
import { Injectable, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import {
  CLOSE_PERIODS,
  EXCHANGE_WITH_STRIPE,
  EXPIRE_CREDITS,
  FINALISE_INVOICES,
  HEAR_FROM_STRIPE,
  MOVE_SUBSCRIPTION_KEYS,
  RUN_DUNNING,
  RUN_EXPORT_SCHEDULES,
  WATCH_WALLETS,
} from '@io/billing';
import {
  CHECK_USAGE,
  COUNT_CONNECTIONS,
  DROP_OLD_USAGE,
  ENSURE_USAGE_PARTITIONS,
  EVALUATE_ALERTS,
  ROLL_UP_USAGE,
} from '@io/metering';
import { RECLAIM_QUOTA_BLOCKS } from '@io/limits';
import {
  READ_MARKETPLACE_QUEUES,
  REFRESH_ENTITLEMENTS,
  SEAL_MARKETPLACE_HOURS,
  SEND_METERING_RECORDS,
  WATCH_METERING_DEADLINES,
} from '@io/marketplace';
import { SEND_EMAILS, SEND_WEBHOOKS, TRIM_NOTIFICATIONS } from '@io/notifications';
import { TRIM_POLICY_CHANGES } from '@io/platform';
import type { Queue } from 'bullmq';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/** Every repeating job: its queue, which has its name, and how often. A run that is missed is not made up for. */
const SCHEDULES = [
  { job: ROLL_UP_USAGE, everyMs: SECOND_MS },
  { job: EVALUATE_ALERTS, everyMs: SECOND_MS },
  { job: SEND_WEBHOOKS, everyMs: SECOND_MS },
  { job: MOVE_SUBSCRIPTION_KEYS, everyMs: SECOND_MS },
  { job: CLOSE_PERIODS, everyMs: 2 * SECOND_MS },
  { job: EXPIRE_CREDITS, everyMs: 5 * SECOND_MS },
  { job: SEND_METERING_RECORDS, everyMs: 2 * SECOND_MS },
  { job: READ_MARKETPLACE_QUEUES, everyMs: 2 * SECOND_MS },
  { job: REFRESH_ENTITLEMENTS, everyMs: 2 * SECOND_MS },
  { job: WATCH_WALLETS, everyMs: 5 * SECOND_MS },
  { job: RUN_DUNNING, everyMs: 5 * SECOND_MS },
  { job: FINALISE_INVOICES, everyMs: 5 * SECOND_MS },
  { job: EXCHANGE_WITH_STRIPE, everyMs: 2 * SECOND_MS },
  { job: HEAR_FROM_STRIPE, everyMs: 2 * SECOND_MS },
  { job: RUN_EXPORT_SCHEDULES, everyMs: 5 * SECOND_MS },
  { job: SEND_EMAILS, everyMs: 5 * SECOND_MS },
  { job: COUNT_CONNECTIONS, everyMs: 5 * SECOND_MS },
  { job: RECLAIM_QUOTA_BLOCKS, everyMs: 10 * SECOND_MS },
  { job: SEAL_MARKETPLACE_HOURS, everyMs: 10 * SECOND_MS },
  { job: WATCH_METERING_DEADLINES, everyMs: MINUTE_MS },
  { job: TRIM_POLICY_CHANGES, everyMs: 10 * MINUTE_MS },
  { job: TRIM_NOTIFICATIONS, everyMs: 10 * MINUTE_MS },
  { job: ENSURE_USAGE_PARTITIONS, everyMs: HOUR_MS },
  { job: CHECK_USAGE, everyMs: HOUR_MS },
  { job: DROP_OLD_USAGE, everyMs: 6 * HOUR_MS },
] as const;

/**
 * Puts the schedules where the queues are. Any number of workers do so; each job has one schedule. All at once, since each
 * is a commit, and a disk that is busy takes seconds for one: for all of them together hardly more.
 */
@Injectable()
export class Schedules implements OnApplicationBootstrap {
  constructor(private readonly modules: ModuleRef) {}

  async onApplicationBootstrap(): Promise<void> {
    await Promise.all(
      SCHEDULES.map(({ job, everyMs }) => {
        const queue = this.modules.get<Queue>(getQueueToken(job), { strict: false });
        const template = { name: job, opts: { attempts: 1 } };
        return queue.upsertJobScheduler(job, { every: everyMs }, template);
      }),
    );
  }
}

@Module({
  imports: [BullModule.registerQueue(...SCHEDULES.map(({ job }) => ({ name: job })))],
  providers: [Schedules],
})
export class SchedulesModule {}
