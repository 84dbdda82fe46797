import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { DecisionTally, type AllowedCalls } from '@core/limits';
import { messageOf } from '@io/platform';
import { DecisionHoursRepository } from './decision-hours.repository.js';

const FLUSH_MS = 5_000;
/** Of one statement. */
const ROWS_MAX = 10_000;

/** The calls that this process allowed, stored every few seconds and when it stops. One that is killed loses the rest. */
@Injectable()
export class DecisionCounts implements OnModuleInit, OnApplicationShutdown {
  readonly tally = new DecisionTally();
  private readonly logger = new Logger('DecisionCounts');
  private sequence = 0;
  /** What was taken and not acknowledged; the first part was perhaps stored, and is sent again as it is. */
  private parts: AllowedCalls[][] = [];
  private flushing: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;
  private isFailing = false;

  constructor(private readonly hours: DecisionHoursRepository) {}

  onModuleInit(): void {
    this.timer = setInterval(() => void this.tryFlush(), FLUSH_MS);
    this.timer.unref();
  }

  /** After the last answer, since calls are counted until then. */
  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.tryFlush();
  }

  /** Stores all that was counted before the call. Rejects when it cannot; what was counted is kept. */
  flush(): Promise<void> {
    const flushed = this.flushing.then(() => this.store());
    this.flushing = flushed.catch(() => undefined);
    return flushed;
  }

  private async store(): Promise<void> {
    if (this.parts.length === 0) {
      const rows = this.tally.take();
      for (let at = 0; at < rows.length; at += ROWS_MAX)
        this.parts.push(rows.slice(at, at + ROWS_MAX));
    }
    for (let part = this.parts[0]; part; part = this.parts[0]) {
      await this.hours.add(this.sequence, part);
      this.sequence += 1;
      this.parts.shift();
    }
  }

  /** One log line per change of state. */
  private async tryFlush(): Promise<void> {
    try {
      await this.flush();
      if (this.isFailing) this.logger.log('counts of allowed calls are stored again');
      this.isFailing = false;
    } catch (error) {
      if (!this.isFailing) this.logger.error(`counts of allowed calls wait: ${messageOf(error)}`);
      this.isFailing = true;
    }
  }
}
