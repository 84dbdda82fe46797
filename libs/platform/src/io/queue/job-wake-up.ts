import { Logger } from '@nestjs/common';
import type { DeduplicationOptions, Queue } from 'bullmq';
import type { SystemClock } from '../clock/system-clock.js';

/**
 * Wakes the workers for a repeating job, at most once in a pause from one process. A wake-up may be lost: the job's schedule
 * finds what waits.
 */
export abstract class JobWakeUp {
  private readonly logger = new Logger('WakeUp');
  private lastMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly queue: Queue,
    private readonly clock: SystemClock,
    private readonly how: {
      readonly pauseMs: number;
      readonly deduplication: Omit<DeduplicationOptions, 'id'>;
    },
  ) {
    // A wake-up that fails says so itself; without a listener BullMQ prints every attempt to connect.
    queue.on('error', () => undefined);
  }

  wake(): void {
    const nowMs = this.clock.monotonicMs();
    if (nowMs - this.lastMs < this.how.pauseMs) return;
    this.lastMs = nowMs;
    const { name } = this.queue;
    this.queue
      .add(name, {}, { deduplication: { ...this.how.deduplication, id: name } })
      .catch((error: unknown) =>
        this.logger.warn(
          `No worker was woken to ${name}, its schedule will find what waits: ${String(error)}`,
        ),
      );
  }
}
