import { Injectable, Logger } from '@nestjs/common';
import { finalFlushAt, hourOf } from '@core/marketplace';
import { UsagePlanKeysService } from '@io/catalog';
import { Database, messageOf } from '@io/platform';
import { MARKETPLACE } from './change-agreement.js';
import { EntitledAccessService } from './entitled-access.service.js';

interface KeyPlace {
  readonly accountId: string;
  readonly usagePlanId: string;
  readonly keyId: string;
}

/**
 * Lets buyers in while their agreements last, by putting their keys into the plan of the product, and takes the keys out when the
 * last hour is sealed. It compares what should be with what is, so it can run any time and makes up for what was missed.
 */
@Injectable()
export class AccessService {
  private readonly logger = new Logger('Marketplace');

  constructor(
    private readonly db: Database,
    private readonly planKeys: UsagePlanKeysService,
    private readonly entitled: EntitledAccessService,
  ) {}

  /** Answers how many keys were put in and taken out; those of contract products go by entitlements. */
  async reconcile(now: Date): Promise<{ readonly added: number; readonly removed: number }> {
    let added = 0;
    let removed = 0;
    for (const place of await this.missing()) added += await this.attempt(place, 'add');
    for (const place of await this.leftOver(now)) removed += await this.attempt(place, 'remove');
    await this.entitled.reconcile(now);
    return { added, removed };
  }

  /** Keys of buyers with a running agreement that are in no plan of its product. */
  private missing(): Promise<KeyPlace[]> {
    return this.db.$queryRaw<KeyPlace[]>`
      SELECT DISTINCT k.account_id AS "accountId", p.usage_plan_id AS "usagePlanId", k.id AS "keyId"
      FROM marketplace_agreement a
      JOIN marketplace_product p ON p.account_id = a.account_id AND p.id = a.product_id AND p.usage_plan_id IS NOT NULL
      JOIN api_key k ON k.account_id = a.account_id AND k.customer_id = a.customer_id AND k.deleted_at IS NULL
      WHERE a.state = 'active'
        AND NOT EXISTS (SELECT FROM usage_plan_key u WHERE u.key_id = k.id)`;
  }

  /** Keys in the plan of a product of whose agreements none runs any more, and the last hour of each is sealed. */
  private async leftOver(now: Date): Promise<KeyPlace[]> {
    const rows = await this.db.$queryRaw<
      (KeyPlace & {
        state: string;
        endingAt: Date | null;
        endedAt: Date | null;
        sealedTo: Date | null;
        offsetMs: bigint;
      })[]
    >`
      SELECT k.account_id AS "accountId", p.usage_plan_id AS "usagePlanId", k.id AS "keyId", a.state,
        a.ending_at AS "endingAt", a.ended_at AS "endedAt", a.sealed_to AS "sealedTo", c.clock_offset_ms AS "offsetMs"
      FROM marketplace_agreement a
      JOIN account c ON c.id = a.account_id
      JOIN marketplace_product p ON p.account_id = a.account_id AND p.id = a.product_id
      JOIN api_key k ON k.account_id = a.account_id AND k.customer_id = a.customer_id AND k.deleted_at IS NULL
      JOIN usage_plan_key u ON u.account_id = k.account_id AND u.usage_plan_id = p.usage_plan_id AND u.key_id = k.id
      WHERE a.state IN ('ending', 'ended')
        AND NOT EXISTS (SELECT FROM marketplace_agreement o
          WHERE o.account_id = a.account_id AND o.customer_id = a.customer_id AND o.product_id = a.product_id
            AND o.state = 'active')`;
    return rows.filter(({ state, endingAt, sealedTo, offsetMs }) => {
      if (state === 'ended') return true;
      if (endingAt === null) return false;
      const flushAt = finalFlushAt(endingAt);
      const isFlushed = sealedTo !== null && sealedTo > hourOf(flushAt);
      return isFlushed && now.getTime() + Number(offsetMs) >= flushAt.getTime();
    });
  }

  private async attempt({ accountId, ...place }: KeyPlace, act: 'add' | 'remove'): Promise<number> {
    const scope = { accountId, principalId: MARKETPLACE };
    try {
      await this.planKeys[act](scope, { usagePlanId: place.usagePlanId, keyId: place.keyId });
      return 1;
    } catch (error) {
      // Another did it meanwhile, or a person has put the key on these stages by another plan.
      this.logger.warn(`Key ${place.keyId} was not changed: ${messageOf(error)}`);
      return 0;
    }
  }
}
