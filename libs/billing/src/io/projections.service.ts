import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { BusinessClock } from '@io/platform';
import { PreviewsService, type ProjectedPeriod } from './previews.service.js';

/** What open periods will have cost when they end. Stores nothing. */
@Injectable()
export class ProjectionsService {
  constructor(
    private readonly previews: PreviewsService,
    private readonly clock: BusinessClock,
  ) {}

  /** As of now, by the account's clock; null when no period is open. */
  async project(scope: Scope, subscriptionId: string): Promise<ProjectedPeriod | null> {
    const now = await this.clock.now(scope.accountId);
    return this.previews.projection(scope, subscriptionId, now);
  }
}
