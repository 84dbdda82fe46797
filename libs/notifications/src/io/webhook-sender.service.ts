import { Injectable, Logger } from '@nestjs/common';
import { nextAttemptAt, retryAfterMs } from '@core/notifications';
import { EgressClient, EgressFailure, SystemClock, withoutSecrets } from '@io/platform';
import {
  WebhookDeliveriesRepository,
  type Attempt,
  type ClaimedDelivery,
} from './webhook-deliveries.repository.js';
import { WebhookEndpointsRepository } from './webhook-endpoints.repository.js';
import { signedHeaders } from './webhook-signature.js';

/** The queue, and the job, that sends what is due. */
export const SEND_WEBHOOKS = 'send-webhooks';
/** The queue, and the job, that forgets old events and messages. */
export const TRIM_NOTIFICATIONS = 'trim-notifications';

const EXCERPT_MAX = 1_024;

/**
 * Sends events to webhooks. The database says what is due, so a lost job or a killed worker only costs time; an event
 * may come twice, with the same `webhook-id`.
 *
 *     pending ──2xx──▶ delivered
 *        │ ▲             │
 *        │ └───replay────┤
 *        └─10th failure─▶ dead
 */
@Injectable()
export class WebhookSenderService {
  private readonly logger = new Logger('Webhooks');

  constructor(
    private readonly deliveries: WebhookDeliveriesRepository,
    private readonly endpoints: WebhookEndpointsRepository,
    private readonly egress: EgressClient,
    private readonly clock: SystemClock,
  ) {}

  /** Sends until nothing is due, and returns how many attempts it made. Runs in any number of workers. */
  async sendDue(): Promise<number> {
    let attempts = 0;
    for (;;) {
      const now = this.clock.now();
      const claimed = await this.deliveries.claim(now);
      if (claimed.length === 0) return attempts;
      const endpointIds = [...new Set(claimed.map(({ endpointId }) => endpointId))];
      const secrets = await this.endpoints.secrets(endpointIds, now);
      await Promise.all(claimed.map((one) => this.send(one, secrets.get(one.endpointId) ?? [])));
      attempts += claimed.length;
    }
  }

  /** Forgets what is older than a month. */
  trim(): Promise<number> {
    return this.deliveries.trim(this.clock.now());
  }

  private async send(claimed: ClaimedDelivery, secrets: readonly string[]): Promise<void> {
    const attempt = await this.attempt(claimed, secrets);
    const reason = await this.deliveries.recordAttempt(claimed, attempt);
    if (reason !== null) {
      this.logger.warn(
        `Webhook endpoint ${claimed.endpointId} of account ${claimed.accountId} is disabled: ${reason}.`,
      );
    }
  }

  private async attempt(claimed: ClaimedDelivery, secrets: readonly string[]): Promise<Attempt> {
    const at = this.clock.now();
    const startMs = this.clock.monotonicMs();
    const { eventId: id, body, url, tries } = claimed;
    const ended = () => ({
      at,
      endedAt: this.clock.now(),
      latencyMs: Math.round(this.clock.monotonicMs() - startMs),
    });
    try {
      const headers = {
        'content-type': 'application/json',
        'user-agent': 'Tollgate-Webhooks/1',
        ...signedHeaders({ id, body, at }, secrets),
      };
      const answer = await this.egress.post(url, { headers, body });
      const isDelivered = answer.status >= 200 && answer.status < 300;
      const pauseMs = retryAfterMs(answer.headers['retry-after'], at);
      return {
        ...ended(),
        status: answer.status,
        fault: null,
        excerpt: answer.isPublic ? excerptOf(answer.body) : null,
        isDelivered,
        nextAttemptAt: isDelivered ? null : this.next(tries, pauseMs),
      };
    } catch (error) {
      if (!(error instanceof EgressFailure)) throw error;
      const nextAt = this.next(tries, 0);
      return {
        ...ended(),
        status: null,
        fault: error.fault,
        excerpt: null,
        isDelivered: false,
        nextAttemptAt: nextAt,
      };
    }
  }

  private next(tries: number, retryAfter: number): Date | null {
    const now = this.clock.now();
    return nextAttemptAt({ tries, now, retryAfterMs: retryAfter }, Math.random());
  }
}

/** The start of an answer that Postgres takes and that shows no secret, should the receiver repeat one. */
function excerptOf(body: string): string {
  return withoutSecrets(body.slice(0, EXCERPT_MAX).replaceAll('\u0000', '').toWellFormed());
}
