import { InjectQueue } from '@nestjs/bullmq';
import { Injectable, Logger } from '@nestjs/common';
import { SystemClock } from '@io/platform';
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

/**
 * Wakes the worker after a batch, at most five times a second from one process. It may be lost: the schedule of
 * every second finds what waits.
 */
@Injectable()
export class RollUpWakeUp {
  private readonly logger = new Logger('RollUpWakeUp');
  private lastMs = Number.NEGATIVE_INFINITY;

  constructor(
    @InjectQueue(ROLL_UP_USAGE) private readonly queue: Queue,
    private readonly clock: SystemClock,
  ) {
    // A wake-up that fails says so itself; without a listener BullMQ prints every attempt to connect.
    queue.on('error', () => undefined);
  }

  wake(): void {
    const nowMs = this.clock.monotonicMs();
    if (nowMs - this.lastMs < PAUSE_MS) return;
    this.lastMs = nowMs;
    this.queue
      .add(ROLL_UP_USAGE, {}, { deduplication: { id: ROLL_UP_USAGE, ttl: DEDUPLICATION_MS } })
      .catch((error: unknown) =>
        this.logger.warn(
          `The worker was not woken, its schedule will find the batch: ${String(error)}`,
        ),
      );
  }
}
