import { describe, expect, it } from 'vitest';
import { confirmsOwnTopic, namesCertificateOfSns, readSnsMessage } from './sns-message.js';

const TOPIC = 'arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-abc';
const CERTIFICATE = `https://sns.us-east-1.amazonaws.com/SimpleNotificationService-${'0a'.repeat(16)}.pem`;
const CONFIRM = `https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=t`;
const message = (change: object = {}) =>
  readSnsMessage(
    JSON.stringify({
      Type: 'Notification',
      MessageId: 'm1',
      TopicArn: TOPIC,
      Message: '{}',
      Timestamp: '2026-11-10T09:00:00.000Z',
      SignatureVersion: '2',
      Signature: 'AA==',
      SigningCertURL: CERTIFICATE,
      UnsubscribeURL: 'https://sns.us-east-1.amazonaws.com/',
      ...change,
    }),
  );

describe('readSnsMessage', () => {
  it('knows what is signed, by Amazon’s order, and a subject where there is one', () => {
    const signed = `Message\n{}\nMessageId\nm1\nTimestamp\n2026-11-10T09:00:00.000Z\nTopicArn\n${TOPIC}\nType\nNotification\n`;
    expect(message()?.signedText).toBe(signed);
    expect(message({ Subject: 's' })?.signedText).toContain('MessageId\nm1\nSubject\ns\nTimestamp');
    const asked = { Type: 'SubscriptionConfirmation', SubscribeURL: CONFIRM, Token: 't' };
    expect(message(asked)?.signedText).toContain(`SubscribeURL\n${CONFIRM}\nTimestamp`);
  });

  it.each([{ Type: 'Other' }, { MessageId: 5 }, { Signature: null }, { Timestamp: 'x' }])(
    'takes %o for none',
    (change) => {
      expect(message(change)).toBeNull();
    },
  );
});

describe('a certificate', () => {
  it('is at Amazon SNS, in the Region of the topic', () => {
    const own = message();
    expect(own && namesCertificateOfSns(own)).toBe(true);
  });

  it.each([
    CERTIFICATE.replace('https', 'http'),
    CERTIFICATE.replace('sns.us-east-1', 'sns.s3-ap-southeast-2'),
    CERTIFICATE.replace('us-east-1', 'eu-west-1'),
    CERTIFICATE.replace('amazonaws.com/', 'amazonaws.com.evil.example/'),
    CERTIFICATE.replace('//sns', '//evil@sns'),
    CERTIFICATE.replace('.com/', '.com:444/'),
    CERTIFICATE.replace('.pem', '.pem?x=.pem'),
    CERTIFICATE.replace('/Simple', '/x/../../Simple-'),
    'https://sns.us-east-1.amazonaws.com/evil.pem',
  ])('is not %s', (SigningCertURL) => {
    const forged = message({ SigningCertURL });
    expect(forged && namesCertificateOfSns(forged)).toBe(false);
  });

  it('is nowhere for a topic whose Region is a bucket', () => {
    const SigningCertURL = CERTIFICATE.replace('us-east-1', 's3-ap-southeast-2');
    const TopicArn = TOPIC.replace('us-east-1', 's3-ap-southeast-2');
    const forged = message({ SigningCertURL, TopicArn });
    expect(forged && namesCertificateOfSns(forged)).toBe(false);
  });
});

describe('a confirmation', () => {
  const asked = (SubscribeURL: string) => {
    const read = message({ Type: 'SubscriptionConfirmation', SubscribeURL, Token: 't' });
    return read && confirmsOwnTopic(read);
  };

  it('goes to Amazon SNS, for the topic of the message', () => {
    expect(asked(CONFIRM)).toBe(true);
  });

  it.each([
    CONFIRM.replace('sns.us-east-1.amazonaws.com', 'evil.example'),
    CONFIRM.replace('ConfirmSubscription', 'Unsubscribe'),
    CONFIRM.replace('-abc', '-other'),
    `${CONFIRM}&Action=Unsubscribe`,
    CONFIRM.replace('/?', '/x?'),
  ])('does not go to %s', (url) => {
    expect(asked(url)).toBe(false);
  });
});
