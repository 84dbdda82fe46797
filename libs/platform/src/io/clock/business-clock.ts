import { Injectable } from '@nestjs/common';
import { Database } from '../database/database.js';
import { SystemClock } from './system-clock.js';

const ACCOUNTS_MAX = 100_000;

/**
 * The time that quotas, periods and invoices of an account go by: the system's, and ahead of it by the
 * account's offset where the account is in test mode. It ticks, and only ever moves forward.
 */
@Injectable()
export class BusinessClock {
  /** Accounts in live mode, which they are for ever: their time is the system's. */
  private readonly live = new Set<string>();

  constructor(
    private readonly db: Database,
    private readonly system: SystemClock,
  ) {}

  async now(accountId: string): Promise<Date> {
    if (this.live.has(accountId)) return this.at(0);
    const account = await this.db.account.findUniqueOrThrow({
      where: { id: accountId },
      select: { mode: true, clockOffsetMs: true },
    });
    if (account.mode === 'live') {
      if (this.live.size >= ACCOUNTS_MAX) this.live.clear();
      this.live.add(accountId);
    }
    return this.at(Number(account.clockOffsetMs));
  }

  /** The time of an account whose offset is at hand. */
  at(offsetMs: number): Date {
    return new Date(this.system.now().getTime() + offsetMs);
  }
}
