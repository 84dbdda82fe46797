import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  WebhookDeliveriesRepository,
  type AttemptView,
  type DeliveryView,
  type ReplayRequest,
} from './webhook-deliveries.repository.js';
import { WebhookEndpointsService } from './webhook-endpoints.service.js';

/** What became of events: read, and sent again. */
@Injectable()
export class WebhookDeliveriesService {
  constructor(
    private readonly deliveries: WebhookDeliveriesRepository,
    private readonly endpoints: WebhookEndpointsService,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  async list(
    scope: Scope,
    endpointId: string,
    { status = null, ...query }: PageQuery & { readonly status?: string | null },
  ): Promise<Page<DeliveryView>> {
    await this.endpoints.get(scope, endpointId);
    const list = `${scope.accountId} deliveries ${endpointId} ${status ?? ''}`;
    const request = this.pages.request(query, list);
    const rows = await this.deliveries.list(scope, endpointId, { ...request, status });
    return this.pages.page(rows, request, list, ({ createdAt, eventId: id }) => ({
      createdAt,
      id,
    }));
  }

  async attempts(
    scope: Scope,
    place: { readonly endpointId: string; readonly eventId: string },
  ): Promise<{ items: readonly AttemptView[] }> {
    const items = await this.deliveries.attempts(scope, place);
    if (!items) throw new NotFound('delivery', place.eventId);
    return { items };
  }

  /** Sends one event again, or those since an instant that did not come through. */
  async replay(
    scope: Scope,
    endpointId: string,
    request: { eventId?: string; since?: Date; until?: Date; includesDelivered?: boolean },
  ): Promise<{ deliveries: number }> {
    const now = this.clock.now();
    const deliveries = await this.deliveries.replay(scope, endpointId, toReplay(request, now), now);
    return { deliveries };
  }
}

function toReplay(
  { eventId, since, until, includesDelivered }: Parameters<WebhookDeliveriesService['replay']>[2],
  now: Date,
): ReplayRequest {
  if ((eventId === undefined) === (since === undefined))
    throw new InvalidRequest([
      { pointer: '/since', detail: 'must be given, or `eventId`, and not both' },
    ]);
  if (eventId !== undefined) return { eventId };
  return {
    since: since ?? now,
    until: until ?? new Date(now.getTime() + 1),
    includesDelivered: includesDelivered ?? false,
  };
}
