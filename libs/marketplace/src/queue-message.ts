import { objectOf, parsed, readEventNotice, readSnsNotice, textOf, type Notice } from './notice.js';

/** What a message of a queue says. */
export type ReadMessage =
  | {
      readonly kind: 'notice';
      readonly notice: Notice;
      readonly noticeId: string;
      readonly text: string;
    }
  /** An event of a marketplace that changes no agreement. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'fault'; readonly fault: string };

/**
 * Reads a message of Amazon SQS: a notification of Amazon SNS in its envelope or raw, or an event of Amazon EventBridge. It has the id
 * that it has whichever way it comes, so that one that comes by two ways counts once; a raw one has the queue's.
 */
export function readQueueMessage(
  body: string,
  { messageId, sentAt }: { readonly messageId: string; readonly sentAt: Date },
): ReadMessage {
  const fields = objectOf(parsed(body));
  if (fields['source'] === 'aws.agreement-marketplace') {
    const notice = readEventNotice(fields);
    const noticeId = textOf(fields['id']);
    if (notice && noticeId !== null) return { kind: 'notice', notice, noticeId, text: body };
    const isLicence = /^License (Updated|Deprovisioned) - Manufacturer$/.test(
      textOf(fields['detail-type']) ?? '',
    );
    return isLicence ? fault('it is an event of a licence that lacks what it is of') : NOTHING;
  }
  const message = fields['Message'];
  if (fields['Type'] === 'Notification' && typeof message === 'string') {
    const at = new Date(textOf(fields['Timestamp']) ?? '');
    const noticeId = textOf(fields['MessageId']);
    if (noticeId === null || Number.isNaN(at.getTime()))
      return fault('its envelope lacks an id or a time');
    const notice = readSnsNotice(message, at);
    return notice ? { kind: 'notice', notice, noticeId, text: message } : fault(STRANGE);
  }
  const notice = readSnsNotice(body, sentAt);
  return notice ? { kind: 'notice', notice, noticeId: messageId, text: body } : fault(STRANGE);
}

const NOTHING = { kind: 'nothing' } as const;
const STRANGE = 'it is no notification of AWS Marketplace';
const fault = (text: string) => ({ kind: 'fault', fault: text }) as const;
