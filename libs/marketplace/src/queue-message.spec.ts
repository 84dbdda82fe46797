import { describe, expect, it } from 'vitest';
import { readQueueMessage } from './queue-message.js';

const INNER = {
  action: 'subscribe-success',
  'customer-identifier': 'X01EXAMPLEX',
  'product-code': 'n0123',
};
const ENVELOPE = {
  Type: 'Notification',
  MessageId: 'sns-1',
  TopicArn: 'arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-n0123',
  Message: JSON.stringify(INNER),
  Timestamp: '2026-11-10T09:00:00.000Z',
};
const EVENT = {
  id: 'event-1',
  'detail-type': 'License Updated - Manufacturer',
  source: 'aws.agreement-marketplace',
  time: '2026-11-10T09:00:01Z',
  detail: {
    product: { code: 'n0123' },
    license: { arn: 'arn:aws:license-manager::123456789012:license:l-1' },
    acceptor: { accountId: '123456789012' },
  },
};
const sentAt = new Date('2026-11-10T09:00:02Z');
const read = (body: unknown) =>
  readQueueMessage(typeof body === 'string' ? body : JSON.stringify(body), {
    messageId: 'sqs-1',
    sentAt,
  });

describe('readQueueMessage', () => {
  it.each([
    {
      form: 'in its envelope, by its own id and time',
      body: ENVELOPE,
      id: 'sns-1',
      at: ENVELOPE.Timestamp,
    },
    { form: 'raw, by the queue’s', body: INNER, id: 'sqs-1', at: sentAt.toISOString() },
    { form: 'an event', body: EVENT, id: 'event-1', at: '2026-11-10T09:00:01.000Z' },
  ])('reads a notification $form', ({ body, id, at }) => {
    expect(read(body)).toMatchObject({
      kind: 'notice',
      noticeId: id,
      notice: { kind: 'started', productCode: 'n0123', at: new Date(at) },
    });
  });

  it('passes over events that change no agreement', () => {
    const created = { ...EVENT, 'detail-type': 'Purchase Agreement Created - Proposer' };
    expect(read(created)).toEqual({ kind: 'nothing' });
  });

  it.each([
    { why: 'no JSON', body: 'hello' },
    { why: 'an empty object', body: {} },
    { why: 'another’s event', body: { ...EVENT, source: 'aws.ec2' } },
    { why: 'an event of a licence without one', body: { ...EVENT, detail: {} } },
    { why: 'an envelope without an id', body: { ...ENVELOPE, MessageId: '' } },
    { why: 'an envelope without a time', body: { ...ENVELOPE, Timestamp: 'x' } },
    { why: 'an envelope around something else', body: { ...ENVELOPE, Message: '{"action":"x"}' } },
  ])('has a fault to tell of $why', ({ body }) => {
    expect(read(body)).toMatchObject({ kind: 'fault', fault: expect.stringContaining('it') });
  });
});
