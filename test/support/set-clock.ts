import { SystemClock } from '@io/platform';

/** A clock that a test sets. */
export class SetClock extends SystemClock {
  /** `at` in milliseconds since 1970. */
  constructor(public at: number) {
    super();
  }

  override now(): Date {
    return new Date(this.at);
  }
}
