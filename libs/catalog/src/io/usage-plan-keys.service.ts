import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { NotFound, Pages, type Page, type PageQuery } from '@io/platform';
import { UsagePlanKeysRepository, type UsagePlanKeyView } from './usage-plan-keys.repository.js';
import { UsagePlansRepository } from './usage-plans.repository.js';

/** The keys of usage plans. */
@Injectable()
export class UsagePlanKeysService {
  constructor(
    private readonly planKeys: UsagePlanKeysRepository,
    private readonly plans: UsagePlansRepository,
    private readonly pages: Pages,
  ) {}

  async add(
    scope: Scope,
    place: { usagePlanId: string; keyId: string },
  ): Promise<UsagePlanKeyView> {
    await this.requirePlan(scope, place.usagePlanId);
    return this.planKeys.add(scope, place);
  }

  async list(scope: Scope, usagePlanId: string, query: PageQuery): Promise<Page<UsagePlanKeyView>> {
    await this.requirePlan(scope, usagePlanId);
    const list = `${scope.accountId} usage-plan-keys ${usagePlanId}`;
    const request = this.pages.request(query, list);
    const keys = await this.planKeys.list(scope, usagePlanId, request);
    return this.pages.page(keys, request, list, ({ createdAt, keyId }) => ({
      createdAt,
      id: keyId,
    }));
  }

  async remove(scope: Scope, place: { usagePlanId: string; keyId: string }): Promise<void> {
    return this.planKeys.remove(scope, place);
  }

  private async requirePlan(scope: Scope, id: string): Promise<void> {
    if (!(await this.plans.find(scope, id))) throw new NotFound('usage plan', id);
  }
}
