import { Injectable, Logger } from '@nestjs/common';
import { entitledTo, quotaShares, type Entitled } from '@core/marketplace';
import { messageOf } from '@io/platform';
import { EntitledAccessRepository, type BuyersKey } from './entitled-access.repository.js';

/**
 * Puts the keys of buyers of contract products where their entitlements say. It compares what should be with what is, so it can
 * run any time: an upgrade, a downgrade and an expiry are all the same to it.
 */
@Injectable()
export class EntitledAccessService {
  private readonly logger = new Logger('Marketplace');

  constructor(private readonly access: EntitledAccessRepository) {}

  /** Answers of how many buyers keys were moved. */
  async reconcile(now: Date): Promise<number> {
    let moved = 0;
    for (const buyer of await this.access.buyers(now)) {
      const entitled = entitledTo(buyer.entitlements, buyer.plans, buyer.now);
      if (isInPlace(buyer.keys, entitled)) continue;
      try {
        await this.access.place(buyer, entitled, now);
        moved += 1;
      } catch (error) {
        const { customerId, productId } = buyer;
        this.logger.warn(
          `Keys of ${customerId} were not moved as ${productId} wants it: ${messageOf(error)}`,
        );
      }
    }
    return moved;
  }
}

function isInPlace(keys: readonly BuyersKey[], entitled: Entitled | null): boolean {
  if (!entitled) return keys.every(({ usagePlanId }) => usagePlanId === null);
  const { usagePlanId, quota } = entitled;
  if (keys.some((key) => key.usagePlanId !== usagePlanId)) return false;
  if (quota === null) return true;
  const shares = quotaShares(quota, keys.length);
  return keys.every(({ quotaLimit }, index) => quotaLimit === shares[index]);
}
