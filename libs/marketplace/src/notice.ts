/** What a marketplace says about an agreement. */
export type NoticeKind = 'started' | 'failed' | 'ending' | 'ended' | 'entitlements-changed';

/** A notification, whichever way it came. */
export interface Notice {
  readonly kind: NoticeKind;
  readonly productCode: string;
  readonly customerIdentifier: string | null;
  readonly customerAwsAccountId: string | null;
  readonly licenseArn: string | null;
  readonly offerId: string | null;
  readonly isFreeTrial: boolean;
  /** When the marketplace sent it: they come in any order. */
  readonly at: Date;
}

const ACTIONS: Readonly<Record<string, NoticeKind>> = {
  'subscribe-success': 'started',
  'subscribe-fail': 'failed',
  'unsubscribe-pending': 'ending',
  'unsubscribe-success': 'ended',
  'entitlement-updated': 'entitlements-changed',
};

/** The message within a notification of Amazon SNS, sent at an instant; null when it is none of a marketplace. */
export function readSnsNotice(message: string, at: Date): Notice | null {
  const fields = objectOf(parsed(message));
  const kind = ACTIONS[textOf(fields['action']) ?? ''];
  const productCode = textOf(fields['product-code']);
  const customerIdentifier = textOf(fields['customer-identifier']);
  if (!kind || productCode === null || customerIdentifier === null) return null;
  return {
    kind,
    productCode,
    customerIdentifier,
    customerAwsAccountId: null,
    licenseArn: null,
    offerId: textOf(fields['offer-identifier']),
    // A string, as AWS sends it.
    isFreeTrial: fields['isFreeTrialTermPresent'] === 'true',
    at,
  };
}

/** Licences tell when usage is taken; agreements that end only announce that theirs will. */
const DETAIL_TYPES: Readonly<Record<string, NoticeKind>> = {
  'License Updated - Manufacturer': 'started',
  'License Deprovisioned - Manufacturer': 'ending',
};

/** An event of Amazon EventBridge; null when it is none that says something of a licence. */
export function readEventNotice(event: unknown): Notice | null {
  const fields = objectOf(event);
  const kind = DETAIL_TYPES[textOf(fields['detail-type']) ?? ''];
  const detail = objectOf(fields['detail']);
  const licenseArn = textOf(objectOf(detail['license'])['arn']);
  const productCode = textOf(objectOf(detail['product'])['code']);
  const customerAwsAccountId = textOf(objectOf(detail['acceptor'])['accountId']);
  const at = new Date(textOf(fields['time']) ?? '');
  if (fields['source'] !== 'aws.agreement-marketplace' || !kind || Number.isNaN(at.getTime()))
    return null;
  if (licenseArn === null || productCode === null || customerAwsAccountId === null) return null;
  return {
    kind,
    productCode,
    customerIdentifier: null,
    customerAwsAccountId,
    licenseArn,
    offerId: textOf(objectOf(detail['offer'])['id']),
    isFreeTrial: false,
    at,
  };
}

/** A JSON text as a value; undefined when it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The members of a JSON object; none of anything else. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {};
}

/** A text that is there and not too long for what marketplaces send; null otherwise. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= TEXT_MAX ? value : null;
}

const TEXT_MAX = 1_024;
