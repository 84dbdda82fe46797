import { Injectable } from '@nestjs/common';
import { Database } from '../database/database.js';
import { SystemClock } from './system-clock.js';

/**
 * The time that quotas, periods and invoices of an account go by: the system's, and ahead of it by the
 * account's offset where the account is in test mode. It ticks, and only ever moves forward.
 */
@Injectable()
export class BusinessClock {
  constructor(
    private readonly db: Database,
    private readonly system: SystemClock,
  ) {}

  async now(accountId: string): Promise<Date> {
    const account = await this.db.account.findUniqueOrThrow({
      where: { id: accountId },
      select: { clockOffsetMs: true },
    });
    return this.at(Number(account.clockOffsetMs));
  }

  /** The time of an account whose offset is at hand. */
  at(offsetMs: number): Date {
    return new Date(this.system.now().getTime() + offsetMs);
  }
}
