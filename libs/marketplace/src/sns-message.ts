import { objectOf, parsed } from './notice.js';

/** A message of Amazon SNS over HTTPS. */
export interface SnsMessage {
  readonly type: 'Notification' | 'SubscriptionConfirmation' | 'UnsubscribeConfirmation';
  readonly messageId: string;
  readonly topicArn: string;
  readonly message: string;
  readonly timestamp: Date;
  readonly signatureVersion: string;
  /** Base64. */
  readonly signature: string;
  readonly certificateUrl: string;
  /** Where a subscription is confirmed; null of notifications. */
  readonly subscribeUrl: string | null;
  /** What was signed. */
  readonly signedText: string;
}

const TYPES = ['Notification', 'SubscriptionConfirmation', 'UnsubscribeConfirmation'] as const;

/** Which members are signed, in this order; of those that may be missing only the ones that are there. */
const SIGNED = {
  Notification: ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'],
  SubscriptionConfirmation: [
    'Message',
    'MessageId',
    'SubscribeURL',
    'Timestamp',
    'Token',
    'TopicArn',
    'Type',
  ],
} as const;

/** Reads a message; null when it is none. That it is Amazon's is not known until its signature was checked. */
export function readSnsMessage(body: string): SnsMessage | null {
  const fields = objectOf(parsed(body));
  const text = (name: string): string | null => {
    const value = fields[name];
    return typeof value === 'string' ? value : null;
  };
  const type = TYPES.find((one) => one === fields['Type']);
  const [messageId, topicArn, message] = [text('MessageId'), text('TopicArn'), text('Message')];
  const [signature, certificateUrl] = [text('Signature'), text('SigningCertURL')];
  const timestamp = new Date(text('Timestamp') ?? '');
  if (type === undefined || messageId === null || topicArn === null || message === null)
    return null;
  if (signature === null || certificateUrl === null || Number.isNaN(timestamp.getTime()))
    return null;
  const names = SIGNED[type === 'Notification' ? type : 'SubscriptionConfirmation'];
  const signedText = names
    .flatMap((name) => {
      const value = text(name);
      return value === null ? [] : [`${name}\n${value}\n`];
    })
    .join('');
  return {
    type,
    messageId,
    topicArn,
    message,
    timestamp,
    signatureVersion: text('SignatureVersion') ?? '',
    signature,
    certificateUrl,
    subscribeUrl: type === 'Notification' ? null : text('SubscribeURL'),
    signedText,
  };
}

/**
 * The Region of a topic. Stricter than AWS's own pattern, which takes a bucket named `sns` for a Region and lets anybody sign.
 */
function regionOf(topicArn: string): string | null {
  const [arn, , service, region = ''] = topicArn.split(':');
  return arn === 'arn' && service === 'sns' && /^[a-z]{2}(-[a-z]+)+-\d$/.test(region)
    ? region
    : null;
}

/** Whether a URL leads to Amazon SNS in the Region of the topic, and nowhere else. */
function isOfSns(text: string, topicArn: string): boolean {
  const region = regionOf(topicArn);
  if (region === null || !URL.canParse(text)) return false;
  const url = new URL(text);
  const domain = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  const isPlain = url.username === '' && url.password === '' && url.port === '' && url.hash === '';
  return url.protocol === 'https:' && isPlain && url.hostname === `sns.${region}.${domain}`;
}

/** Whether a message names a certificate of Amazon SNS by its URL. */
export const namesCertificateOfSns = ({ certificateUrl, topicArn }: SnsMessage): boolean =>
  isOfSns(certificateUrl, topicArn) &&
  /^\/SimpleNotificationService-[0-9a-f]{32}\.pem$/.test(new URL(certificateUrl).pathname) &&
  new URL(certificateUrl).search === '';

/** Whether a URL confirms the subscription of the message's own topic, and does nothing else. */
export function confirmsOwnTopic({ subscribeUrl, topicArn }: SnsMessage): boolean {
  if (subscribeUrl === null || !isOfSns(subscribeUrl, topicArn)) return false;
  const { pathname, searchParams } = new URL(subscribeUrl);
  return (
    pathname === '/' &&
    searchParams.get('Action') === 'ConfirmSubscription' &&
    searchParams.get('TopicArn') === topicArn &&
    searchParams.getAll('Action').length === 1 &&
    searchParams.getAll('TopicArn').length === 1
  );
}
