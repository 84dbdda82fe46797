import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  type Given,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  QuotaExtensionsRepository,
  type QuotaExtensionView,
} from './quota-extensions.repository.js';
import {
  UsagePlanKeysRepository,
  type PlanKeySettings,
  type UsagePlanKeyView,
} from './usage-plan-keys.repository.js';

interface Place {
  readonly usagePlanId: string;
  readonly keyId: string;
}

/** What a key has in a plan instead of what the plan says, for good or for a while. */
@Injectable()
export class KeyOverridesService {
  constructor(
    private readonly planKeys: UsagePlanKeysRepository,
    private readonly extensions: QuotaExtensionsRepository,
    private readonly pages: Pages,
    private readonly clock: BusinessClock,
  ) {}

  async get(scope: Scope, place: Place): Promise<UsagePlanKeyView> {
    const planKey = await this.planKeys.find(scope, place);
    if (!planKey) throw new NotFound('key of the usage plan', place.keyId);
    return planKey;
  }

  /** Members that are given replace the old ones as a whole; null is what the plan says. */
  async update(
    scope: Scope,
    place: Place,
    change: Given<Partial<PlanKeySettings>>,
    ifMatch: IfMatch,
  ): Promise<UsagePlanKeyView> {
    if (change.boost && change.boost.until <= (await this.clock.now(scope.accountId))) {
      throw new InvalidRequest([{ pointer: '/boost/until', detail: 'must be in the future' }]);
    }
    return this.planKeys.update(scope, place, change, { ifMatch, now: this.clock.at(0) });
  }

  /** Gives the key more calls in the period that the account's own time is in. */
  async extendQuota(
    scope: Scope,
    place: Place,
    extension: { readonly units: number; readonly reason: string },
  ): Promise<QuotaExtensionView> {
    return this.extensions.grant(scope, place, extension, await this.clock.now(scope.accountId));
  }

  async listExtensions(
    scope: Scope,
    place: Place,
    query: PageQuery,
  ): Promise<Page<QuotaExtensionView>> {
    await this.get(scope, place);
    const list = `${scope.accountId} quota-extensions ${place.usagePlanId} ${place.keyId}`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.extensions.list(scope, place, request), request, list);
  }
}
