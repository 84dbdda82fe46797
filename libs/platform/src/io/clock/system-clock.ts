import { Injectable } from '@nestjs/common';

/** The machine's time. Everything of security reads this one, and nobody can move it. */
@Injectable()
export class SystemClock {
  now(): Date {
    return new Date();
  }

  /** The same in milliseconds, for the hot path. */
  nowMs(): number {
    return Date.now();
  }

  /** Milliseconds that only go forward, for pace and durations. */
  monotonicMs(): number {
    return performance.now();
  }
}
