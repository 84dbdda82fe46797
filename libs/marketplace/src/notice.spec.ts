import { describe, expect, it } from 'vitest';
import { readEventNotice, readSnsNotice } from './notice.js';

const AT = new Date('2026-11-10T09:00:00Z');
/** As AWS documents it. */
const SUBSCRIBED =
  '{"action":"subscribe-success","customer-identifier":"X01EXAMPLEX","product-code":"n0123EXAMPLEXXXXXXXXXXXX","offer-identifier":"offer-abcexample123","isFreeTrialTermPresent":"true"}';
/** As one came to a seller. */
const LICENSED = {
  version: '0',
  id: '6c53798d-0000-0000-0000-000000000000',
  'detail-type': 'License Updated - Manufacturer',
  source: 'aws.agreement-marketplace',
  account: '993604559884',
  time: '2026-08-20T14:24:23Z',
  region: 'us-east-1',
  resources: ['arn:aws:aws-marketplace::aws:agreement:agmt-1'],
  detail: {
    requestId: '1',
    catalog: 'AWSMarketplace',
    agreement: { id: 'agmt-1' },
    product: { id: 'prod-k35yywhyj4eqg', code: 'abc' },
    license: { arn: 'aws:license-manager::294406891311:license:l-1' },
    acceptor: { accountId: '123456789012' },
    proposer: { accountId: '993604559884' },
    offer: { id: 'offer-uovnpk2f6jq7s' },
  },
};

describe('readSnsNotice', () => {
  it('reads what AWS documents, with a flag that is a string', () => {
    expect(readSnsNotice(SUBSCRIBED, AT)).toEqual({
      kind: 'started',
      productCode: 'n0123EXAMPLEXXXXXXXXXXXX',
      customerIdentifier: 'X01EXAMPLEX',
      customerAwsAccountId: null,
      licenseArn: null,
      offerId: 'offer-abcexample123',
      isFreeTrial: true,
      at: AT,
    });
  });

  it.each(['', 'null', '[]', '{"action":"other"}', SUBSCRIBED.replace('X01EXAMPLEX', '')])(
    'takes %s for none',
    (message) => {
      expect(readSnsNotice(message, AT)).toBeNull();
    },
  );
});

describe('readEventNotice', () => {
  it('reads a licence, whose ARN is kept as it is, also without its prefix', () => {
    expect(readEventNotice(LICENSED)).toMatchObject({
      kind: 'started',
      productCode: 'abc',
      customerAwsAccountId: '123456789012',
      licenseArn: 'aws:license-manager::294406891311:license:l-1',
      at: new Date('2026-08-20T14:24:23Z'),
    });
    const gone = { ...LICENSED, 'detail-type': 'License Deprovisioned - Manufacturer' };
    expect(readEventNotice(gone)).toMatchObject({ kind: 'ending' });
  });

  it.each([
    { event: { ...LICENSED, source: 'mine' }, why: 'of another source' },
    {
      event: { ...LICENSED, 'detail-type': 'Purchase Agreement Ended - Proposer' },
      why: 'of an agreement, which does not end its licence',
    },
    { event: { ...LICENSED, time: 'never' }, why: 'without a time' },
    { event: { ...LICENSED, detail: null }, why: 'without a detail' },
    { event: null, why: 'that is no object' },
  ])('takes an event $why for none', ({ event }) => {
    expect(readEventNotice(event)).toBeNull();
  });
});
