import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { eventTypeFaults } from '@core/notifications';
import {
  EgressClient,
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  WebhookEndpointsRepository,
  type NewWebhookEndpoint,
  type WebhookEndpointSettings,
  type WebhookEndpointView,
} from './webhook-endpoints.repository.js';

const HOUR_MS = 3_600_000;

/** Where an account wants its events sent. */
@Injectable()
export class WebhookEndpointsService {
  constructor(
    private readonly endpoints: WebhookEndpointsRepository,
    private readonly egress: EgressClient,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  async create(scope: Scope, settings: WebhookEndpointSettings): Promise<NewWebhookEndpoint> {
    this.check(settings);
    return this.endpoints.create(scope, settings, this.clock.now());
  }

  async get(scope: Scope, id: string): Promise<WebhookEndpointView> {
    const endpoint = await this.endpoints.find(scope, id);
    if (!endpoint) throw new NotFound('webhook endpoint', id);
    return endpoint;
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<WebhookEndpointView>> {
    const list = `${scope.accountId} webhook-endpoints`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.endpoints.list(scope, request), request, list);
  }

  async update(
    scope: Scope,
    id: string,
    change: Partial<WebhookEndpointSettings> & { readonly isDisabled?: boolean },
    ifMatch: IfMatch,
  ): Promise<WebhookEndpointView> {
    this.check(change);
    return this.endpoints.update(scope, id, change, { ifMatch, now: this.clock.now() });
  }

  delete(scope: Scope, id: string): Promise<void> {
    return this.endpoints.delete(scope, id);
  }

  rotateSecret(scope: Scope, id: string, overlapHours: number) {
    const now = this.clock.now();
    const overlapTo = new Date(now.getTime() + overlapHours * HOUR_MS);
    return this.endpoints.rotateSecret(scope, id, { now, overlapTo });
  }

  /** Sends an event that means nothing. */
  test(scope: Scope, id: string): Promise<{ eventId: string }> {
    return this.endpoints.test(scope, id, this.clock.now());
  }

  private check({ url, eventTypes = [] }: Partial<WebhookEndpointSettings>): void {
    const faults = [...eventTypeFaults(eventTypes)];
    const fault = url === undefined ? null : this.egress.urlFault(url);
    if (fault !== null) faults.unshift({ pointer: '/url', detail: fault });
    if (faults.length > 0) throw new InvalidRequest(faults);
  }
}
