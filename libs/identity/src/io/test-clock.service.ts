import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { BusinessClock } from '@io/platform';
import { TestClockRepository } from './test-clock.repository.js';

/** The time an account goes by, which an account in test mode may move. */
@Injectable()
export class TestClockService {
  constructor(
    private readonly clocks: TestClockRepository,
    private readonly clock: BusinessClock,
  ) {}

  async now({ accountId }: Scope): Promise<{ now: Date }> {
    return { now: await this.clock.now(accountId) };
  }

  moveTo(scope: Scope, now: Date): Promise<{ now: Date }> {
    return this.clocks.moveTo(scope, now);
  }
}
