import { InjectQueue } from '@nestjs/bullmq';
import { Injectable } from '@nestjs/common';
import { JobWakeUp, SystemClock } from '@io/platform';
import type { Queue } from 'bullmq';

/** The queue, and the job, that sums waiting batches into hours. */
export const ROLL_UP_USAGE = 'roll-up-usage';

/** The queue, and the job, that makes the partitions of usage records ahead of time. */
export const ENSURE_USAGE_PARTITIONS = 'ensure-usage-partitions';

/** The queue, and the job, that drops days of usage records which are older than they are kept. */
export const DROP_OLD_USAGE = 'drop-old-usage';

const PAUSE_MS = 200;
/** A wake-up that died with its worker keeps others back for no longer. */
const DEDUPLICATION_MS = 1_000;

/** Wakes the worker after a batch, at most five times a second from one process. */
@Injectable()
export class RollUpWakeUp extends JobWakeUp {
  constructor(@InjectQueue(ROLL_UP_USAGE) queue: Queue, clock: SystemClock) {
    super(queue, clock, { pauseMs: PAUSE_MS, deduplication: { ttl: DEDUPLICATION_MS } });
  }
}
