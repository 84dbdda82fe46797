import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { Pages, SystemClock, type Page, type PageQuery } from '@io/platform';
import { IncidentsRepository, type Incident } from './incidents.repository.js';

/** What a person has to look at. */
@Injectable()
export class IncidentsService {
  constructor(
    private readonly incidents: IncidentsRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  /** Newest first: all, or those that were or were not acknowledged. */
  async list(
    scope: Scope,
    isAcknowledged: boolean | undefined,
    query: PageQuery,
  ): Promise<Page<Incident>> {
    const list = `${scope.accountId} incidents ${isAcknowledged}`;
    const request = this.pages.request(query, list);
    const rows = await this.incidents.list(scope, isAcknowledged, request);
    return this.pages.page(rows, request, list);
  }

  acknowledge(scope: Scope, id: string, reason: string): Promise<Incident> {
    return this.incidents.acknowledge(scope, id, reason, this.clock.now());
  }
}
