import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { appendAudit, Database, InvalidRequest, SystemClock } from '@io/platform';
import { NotATestAccount } from './errors.js';

/** As far as a clock may be ahead of the world's: two years. */
const AHEAD_MAX_MS = 2 * 366 * 24 * 60 * 60 * 1000;

/** The business clocks of accounts in test mode. */
@Injectable()
export class TestClockRepository {
  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Sets the account's clock, from where it ticks on. Only forward: what has been billed or spent stays in the past.
   * The row is locked while the two times are compared, so that of two moves at once none takes the clock back.
   */
  moveTo(scope: Scope, now: Date): Promise<{ now: Date }> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      const [account] = await tx.$queryRaw<{ mode: string; offsetMs: bigint }[]>`
        SELECT mode, clock_offset_ms AS "offsetMs" FROM account
        WHERE id = ${accountId} FOR NO KEY UPDATE`;
      if (account?.mode !== 'test') throw new NotATestAccount();
      const systemMs = this.clock.now().getTime();
      const before = new Date(systemMs + Number(account.offsetMs));
      const aheadMs = now.getTime() - systemMs;
      if (now < before)
        throw fault(`must not be before ${before.toISOString()}: a clock moves only forward`);
      if (aheadMs > AHEAD_MAX_MS) throw fault('must be at most two years ahead');
      await tx.account.update({
        where: { id: accountId },
        data: { clockOffsetMs: BigInt(aheadMs) },
      });
      await appendAudit(tx, {
        ...scope,
        action: 'move-test-clock',
        subject: accountId,
        before: { now: before },
        after: { now },
      });
      return { now };
    });
  }
}

const fault = (detail: string) => new InvalidRequest([{ pointer: '/now', detail }]);
