import { Injectable, Logger } from '@nestjs/common';
import { retryPauseMs } from '@core/marketplace';
import { Config, messageOf, SystemClock } from '@io/platform';
import { EntitlementClient } from './entitlement-client.js';
import { EntitlementsRepository, type AskedAgreement } from './entitlements.repository.js';

/** The queue, and the job, that asks what was bought. */
export const REFRESH_ENTITLEMENTS = 'refresh-entitlements';

/** Asked one after the other: AWS takes few of these a second. */
const CLAIMED = 10;

/** Asks AWS what buyers of contract products have bought. Runs in any number of workers. */
@Injectable()
export class EntitlementsService {
  private readonly logger = new Logger('Marketplace');

  constructor(
    private readonly entitlements: EntitlementsRepository,
    private readonly marketplace: EntitlementClient,
    private readonly config: Config,
    private readonly clock: SystemClock,
  ) {}

  /** Asks of everybody who is due, and returns how many answers there were. */
  async refreshDue(): Promise<number> {
    const includesTests = this.config.awsMarketplace.endpoint !== null;
    let answers = 0;
    for (;;) {
      const claim = { limit: CLAIMED, includesTests };
      const claimed = await this.entitlements.claim(this.clock.now(), claim);
      if (claimed.length === 0) return answers;
      for (const agreement of claimed) if (await this.refresh(agreement)) answers += 1;
    }
  }

  private async refresh(agreement: AskedAgreement): Promise<boolean> {
    const { id, productCode, buyer, tries, now } = agreement;
    try {
      const found = await this.marketplace.entitlements(productCode, buyer);
      await this.entitlements.save(agreement, found);
      return true;
    } catch (error) {
      // What AWS said before holds until it expires.
      const fault = messageOf(error).slice(0, 500);
      this.logger.warn(`What agreement ${id} has bought is not known anew: ${fault}`);
      const dueAt = new Date(now.getTime() + retryPauseMs(tries, Math.random()));
      await this.entitlements.fail(agreement, fault, dueAt);
      return false;
    }
  }
}
