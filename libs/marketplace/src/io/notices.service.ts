import { Injectable, Logger } from '@nestjs/common';
import { readEventNotice, type Notice } from '@core/marketplace';
import { BusinessClock, SystemClock } from '@io/platform';
import { AccessService } from './access.service.js';
import { NoticesRepository, type NoticeOutcome } from './notices.repository.js';

/** What a marketplace says of agreements, whichever way it comes: by SNS, by a queue, or as an event. */
@Injectable()
export class NoticesService {
  private readonly logger = new Logger('Marketplace');

  constructor(
    private readonly notices: NoticesRepository,
    private readonly access: AccessService,
    private readonly business: BusinessClock,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Follows a notification once, whatever comes twice or late. Where an account is named, only of its own products; one about a
   * product that nobody registered is passed over.
   */
  async follow(
    notice: Notice,
    { noticeId, body, accountId }: { noticeId: string; body: string; accountId?: string },
  ): Promise<NoticeOutcome> {
    const product = await this.notices.product(notice.productCode);
    if (!product || (accountId !== undefined && product.accountId !== accountId)) {
      this.logger.warn(
        `A notification names the product ${notice.productCode}, which is not registered.`,
      );
      return 'unknown';
    }
    const now = await this.business.now(product.accountId);
    const systemNow = this.clock.now();
    const outcome = await this.notices.follow(product, notice, { noticeId, body, now, systemNow });
    if (outcome === 'followed') await this.access.reconcile(systemNow);
    return outcome;
  }

  /** Follows an event of Amazon EventBridge. */
  async followEvent(body: string, event: unknown, accountId?: string): Promise<NoticeOutcome> {
    const notice = readEventNotice(event);
    if (!notice) return 'unknown';
    const noticeId = eventId(event);
    if (noticeId === null) return 'unknown';
    return this.follow(notice, {
      noticeId,
      body,
      ...(accountId === undefined ? {} : { accountId }),
    });
  }
}

function eventId(event: unknown): string | null {
  if (typeof event !== 'object' || event === null || !('id' in event)) return null;
  return typeof event.id === 'string' && event.id.length <= 256 ? event.id : null;
}
