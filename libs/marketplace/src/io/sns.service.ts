import { verify } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import {
  confirmsOwnTopic,
  namesCertificateOfSns,
  readSnsMessage,
  readSnsNotice,
  SnsMessageRefused,
  type SnsMessage,
} from '@core/marketplace';
import { Config, EgressClient, SystemClock } from '@io/platform';
import { NoticesRepository, type NoticeOutcome } from './notices.repository.js';
import { NoticesService } from './notices.service.js';
import { SnsCertificates } from './sns-certificates.js';

const AGE_MS_MAX = 3_600_000;
const AHEAD_MS_MAX = 5 * 60_000;
const OK = 200;

/** Messages of Amazon SNS that come over HTTPS, from anybody: what is not Amazon's, and of a topic of ours, is refused. */
@Injectable()
export class SnsService {
  private readonly logger = new Logger('Marketplace');

  constructor(
    private readonly notices: NoticesService,
    private readonly topics: NoticesRepository,
    private readonly certificates: SnsCertificates,
    private readonly egress: EgressClient,
    private readonly config: Config,
    private readonly clock: SystemClock,
  ) {}

  /** Throws `SnsMessageRefused`. Subscriptions of topics of ours are confirmed; nothing is ever unsubscribed. */
  async receive(body: string): Promise<NoticeOutcome | 'confirmed'> {
    const message = readSnsMessage(body);
    if (!message) throw new SnsMessageRefused('it is no message of Amazon SNS');
    if (!(await this.topics.hasTopic(message.topicArn)))
      throw new SnsMessageRefused('no product has this topic');
    await this.check(message);
    if (message.type === 'Notification') {
      const notice = readSnsNotice(message.message, message.timestamp);
      if (!notice) return 'unknown';
      return this.notices.follow(notice, { noticeId: message.messageId, body: message.message });
    }
    if (message.type === 'UnsubscribeConfirmation' || !confirmsOwnTopic(message))
      throw new SnsMessageRefused('it confirms no subscription of its own topic');
    const { status } = await this.egress.get(message.subscribeUrl ?? '');
    if (status !== OK) throw new SnsMessageRefused(`the subscription was answered ${status}`);
    this.logger.log(`The subscription of ${message.topicArn} is confirmed.`);
    return 'confirmed';
  }

  private async check(message: SnsMessage): Promise<void> {
    const { signatureVersion, signature, signedText, timestamp } = message;
    if (!namesCertificateOfSns(message))
      throw new SnsMessageRefused('its certificate is not at Amazon SNS');
    const isOld = signatureVersion === '1' && this.config.awsMarketplace.takesSha1;
    if (signatureVersion !== '2' && !isOld)
      throw new SnsMessageRefused('its signature is of a version that is not taken');
    const age = this.clock.nowMs() - timestamp.getTime();
    if (age > AGE_MS_MAX || age < -AHEAD_MS_MAX) throw new SnsMessageRefused('it is not of now');
    const certificate = await this.certificates.of(message.certificateUrl);
    const algorithm = isOld ? 'RSA-SHA1' : 'RSA-SHA256';
    const bytes = Buffer.from(signature, 'base64');
    if (!verify(algorithm, Buffer.from(signedText), certificate.publicKey, bytes))
      throw new SnsMessageRefused('its signature is wrong');
  }
}
