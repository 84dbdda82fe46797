import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { AccessService, SnsCertificates } from '@io/marketplace';
import { Config, EgressClient, SystemClock } from '@io/platform';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { startMarketplace, type MeteredMarketplace } from '../support/metered-marketplace.js';
import { EXPIRED, INTERMEDIATE, LEAF, ROOT, STRANGERS } from '../support/sns-certificates.js';
import { snsMessage } from '../support/sns-sender.js';

const TOPIC = 'arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-abc';

let market: MeteredMarketplace;
let product: { id: string; productCode: string };
let planId: string;
let fetched: string[];
let certificate: string;
beforeAll(async () => {
  market = await startMarketplace({ TRUSTED_PROXIES: '127.0.0.1/32' });
});
beforeEach(async () => {
  await market.moveTo('2027-02-10T09:30:00Z');
  planId = await market.rows.usagePlan();
  product = await market.product({ usagePlanId: planId, topicArns: [TOPIC] });
  await market.rows.db.usagePlan.update({
    where: { id: planId },
    data: { productCode: product.productCode },
  });
  fetched = [];
  certificate = LEAF + INTERMEDIATE;
  vi.spyOn(market.api.app.get(EgressClient, { strict: false }), 'get').mockImplementation((url) => {
    fetched.push(url);
    const [body, bytes] = [certificate, Buffer.from(certificate)];
    return Promise.resolve({ status: 200, headers: {}, body, bytes, isPublic: true });
  });
  vi.spyOn(market.api.app.get(SnsCertificates, { strict: false }), 'roots').mockReturnValue([
    new X509Certificate(ROOT),
  ]);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** A buyer whom AWS sends with a token that needs the form's own decoding, once. */
function aBuyer(ids: object = {}) {
  const token = `${randomBytes(6).toString('hex')}+/%2B== x`;
  const CustomerIdentifier = `X${randomBytes(5).toString('hex')}`;
  const CustomerAWSAccountId = String(randomBytes(5).readUIntBE(0, 5))
    .padStart(12, '0')
    .slice(0, 12);
  const buyer = {
    CustomerIdentifier,
    CustomerAWSAccountId,
    ProductCode: product.productCode,
    ...ids,
  };
  market.aws.tokens.set(token, { buyer, issuedAt: market.aws.now() });
  return { token, ...buyer };
}

const post = async (path: string, fields: Record<string, string>, accept = 'application/json') => {
  const answer = await fetch(`${market.api.url}/marketplace/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept },
    body: new URLSearchParams(fields).toString(),
  });
  const text = await answer.text();
  return { status: answer.status, text, body: accept.includes('json') ? JSON.parse(text) : null };
};
const land = (token: string, accept?: string) =>
  post('landing', { 'x-amzn-marketplace-token': token }, accept);
const agreementsOf = async () =>
  (await market.api.call('GET', `/v1/marketplace/agreements?productId=${product.id}`)).body.items;
const sns = async (body: string) => {
  const answer = await fetch(`${market.api.url}/marketplace/sns`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain; charset=UTF-8' },
    body,
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
};
const say = (
  action: string,
  { CustomerIdentifier }: { CustomerIdentifier?: string },
  change = {},
) =>
  sns(
    snsMessage(
      TOPIC,
      {
        action,
        'customer-identifier': CustomerIdentifier,
        'product-code': product.productCode,
      },
      change,
    ),
  );
const keysInPlan = async () =>
  (await market.api.call('GET', `/v1/usage-plans/${planId}/keys`)).body.items.map(
    ({ keyId }: { keyId: string }) => keyId,
  );
/** A buyer who has signed up and has a key. */
async function aCustomer() {
  const buyer = aBuyer();
  const { body: arrival } = await land(buyer.token);
  const { body } = await post('sign-up', {
    claim: arrival.claim,
    name: 'Acme',
    email: 'a@acme.example',
  });
  const { body: key } = await market.api.call('POST', '/v1/api-keys', {
    body: { customerId: body.customerId },
  });
  return {
    ...buyer,
    customerId: body.customerId as string,
    token: body.token as string,
    keyId: key.id,
  };
}

describe('POST /marketplace/landing', () => {
  it('finds whose a token is, and signs them up: a customer with a token of their own', async () => {
    const buyer = aBuyer();
    const arrived = await land(buyer.token);
    expect(arrived).toMatchObject({
      status: 200,
      body: { productName: 'Petstore', state: 'pending' },
    });
    const { claim } = arrived.body;
    const made = await post('sign-up', { claim, name: 'Acme & Sons', email: '' });
    expect(made).toMatchObject({ status: 200, body: { state: 'pending' } });
    const mine = await market.api.call('GET', '/v1/marketplace/agreements', {
      token: made.body.token,
    });
    expect(mine.body.items).toMatchObject([
      {
        customerId: made.body.customerId,
        customerIdentifier: buyer.CustomerIdentifier,
        customerAwsAccountId: buyer.CustomerAWSAccountId,
        state: 'pending',
      },
    ]);
    expect((await post('sign-up', { claim, name: 'Again' })).status).toBe(403);
    // AWS answers a token for hours: the second visit finds the same agreement, and has nothing to claim.
    expect((await land(buyer.token)).body).toMatchObject({ claim: null });
    expect(await agreementsOf()).toHaveLength(1);
  });

  it('shows people a page, in which nothing of a stranger is markup', async () => {
    product = await market.product({ name: '<b>Pets</b>' });
    const buyer = aBuyer();
    const { status, text } = await land(buyer.token, 'text/html');
    expect(status).toBe(200);
    expect(text).toContain('&#60;b&#62;Pets&#60;/b&#62;');
    expect(text).toContain('action="/marketplace/sign-up"');
    const refused = await land('<script>', 'text/html');
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('not one of AWS Marketplace');
  });

  it('knows a buyer by their other agreement, also a new licence', async () => {
    const first = await aCustomer();
    const LicenseArn = `arn:aws:license-manager::${first.CustomerAWSAccountId}:license:l-2`;
    const { CustomerAWSAccountId } = first;
    const second = aBuyer({ CustomerIdentifier: undefined, CustomerAWSAccountId, LicenseArn });
    expect((await land(second.token)).body.claim).toBeNull();
    const { body } = await market.api.call(
      'GET',
      `/v1/marketplace/agreements?customerId=${first.customerId}`,
    );
    expect(body.items).toHaveLength(2);
    expect(body.items[0]).toMatchObject({ licenseArn: LicenseArn, customerIdentifier: null });
  });

  it('adds an agreement to a customer who is there already, by its code, once', async () => {
    const customerId = await market.rows.customer();
    const token = await market.rows.customerToken(customerId);
    const { claim } = (await land(aBuyer().token)).body;
    const ask = (as: string) =>
      market.api.call('POST', '/v1/marketplace/claims', { token: as, body: { claim } });
    expect(await ask(token)).toMatchObject({ status: 200, body: { customerId } });
    expect((await ask(token)).status).toBe(403);
  });

  it.each([
    { why: 'no token', fields: {} },
    { why: 'an empty one', fields: { 'x-amzn-marketplace-token': ' ' } },
    { why: 'one that is too long', fields: { 'x-amzn-marketplace-token': 'x'.repeat(4_097) } },
    { why: 'one that AWS does not know', fields: { 'x-amzn-marketplace-token': 'rubbish' } },
  ])('answers 400 to $why', async ({ fields }) => {
    expect((await post('landing', fields as Record<string, string>)).status).toBe(400);
  });

  it('answers 400 to a token of more than four hours, 404 to a product of nobody, 503 when AWS is away', async () => {
    const old = aBuyer();
    await market.moveTo('2027-02-10T13:31:00Z');
    expect(await land(old.token)).toMatchObject({ status: 400, body: { isExpired: true } });
    expect((await land(aBuyer({ ProductCode: 'other' }).token)).status).toBe(404);
    market.aws.fault = () => 'throttle';
    expect((await land(aBuyer().token)).status).toBe(503);
    market.aws.fault = () => 'none';
  });
});

describe('visits of one address', () => {
  it('are answered 429 when they are too many, to people and programs, and nobody asks AWS', async () => {
    // No visit comes back while they are counted.
    const clock = market.api.app.get(SystemClock);
    vi.spyOn(clock, 'monotonicMs').mockReturnValue(clock.monotonicMs());
    const visit = (accept: string) =>
      fetch(`${market.api.url}/marketplace/landing`, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          'x-forwarded-for': '192.0.2.77',
          accept,
        },
        body: 'x-amzn-marketplace-token=rubbish',
      });
    for (let n = 0; n < 60; n += 1) expect((await visit('application/json')).status).toBe(400);
    const asked = market.aws.calls.length;
    const refused = await visit('application/json');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(await refused.json()).toMatchObject({
      type: expect.stringContaining('too-many-visits'),
    });
    const page = await visit('text/html');
    expect(page.status).toBe(429);
    expect(await page.text()).toContain('Too many requests');
    expect(market.aws.calls).toHaveLength(asked);
    // Another address is not kept waiting.
    expect((await land('rubbish')).status).toBe(400);
  });
});

describe('notifications by SNS', () => {
  it('let a buyer in only after the subscription, and out when its last hour is sealed', async () => {
    const buyer = await aCustomer();
    market.aws.subscribe({ CustomerIdentifier: buyer.CustomerIdentifier });
    expect(await keysInPlan()).toEqual([]);
    expect(await say('subscribe-success', buyer)).toMatchObject({
      status: 200,
      body: { outcome: 'followed' },
    });
    expect(await keysInPlan()).toEqual([buyer.keyId]);
    await market.moveTo('2027-02-10T11:20:00Z');
    await say('unsubscribe-pending', buyer);
    const reconcile = () =>
      market.api.app
        .get(AccessService, { strict: false })
        .reconcile(market.api.app.get(SystemClock).now());
    await reconcile();
    expect(await keysInPlan()).toEqual([buyer.keyId]);
    const used = {
      ...buyer,
      apiId: 'a',
      stage: 'prod',
      usagePlanId: planId,
      agreementId: '',
      customerIdentifier: '',
    };
    await market.use(used, '2027-02-10T11:00:00Z', '5');
    await market.use(used, '2027-02-10T12:00:00Z', '3');
    await market.moveTo('2027-02-10T12:06:00Z');
    await market.seal();
    await market.send();
    await reconcile();
    expect(await keysInPlan()).toEqual([]);
    const [agreement] = await agreementsOf();
    expect(
      (await market.records(agreement.id)).map(({ hour, quantity, state }) => [
        hour.slice(11, 13),
        quantity,
        state,
      ]),
    ).toEqual([
      ['11', 5, 'accepted'],
      ['12', 3, 'accepted'],
    ]);
    await say('unsubscribe-success', buyer);
    expect((await agreementsOf())[0]).toMatchObject({ state: 'ended' });
  });

  it('meter on when a buyer subscribes again before the end', async () => {
    const buyer = await aCustomer();
    market.aws.subscribe({ CustomerIdentifier: buyer.CustomerIdentifier });
    await say('subscribe-success', buyer);
    await market.moveTo('2027-02-10T11:20:00Z');
    await say('unsubscribe-pending', buyer);
    await say('subscribe-success', buyer);
    const used = {
      ...buyer,
      apiId: 'a',
      stage: 'prod',
      usagePlanId: planId,
      agreementId: '',
      customerIdentifier: '',
    };
    await market.use(used, '2027-02-10T12:00:00Z', '3');
    await market.moveTo('2027-02-10T14:01:00Z');
    await market.seal();
    await market.send();
    const [agreement] = await agreementsOf();
    expect(agreement).toMatchObject({ state: 'active', endingAt: null });
    expect(await market.records(agreement.id)).toMatchObject([{ quantity: 3, state: 'accepted' }]);
    expect(await keysInPlan()).toEqual([buyer.keyId]);
  });

  it('are followed once, and not when a newer one was', async () => {
    const buyer = await aCustomer();
    const start = { MessageId: 'm-start' };
    await say('subscribe-success', buyer, start);
    expect((await say('subscribe-success', buyer, start)).body.outcome).toBe('duplicate');
    const before = new Date(Date.now() - 600_000).toISOString();
    const old = { Timestamp: before };
    expect((await say('unsubscribe-pending', buyer, old)).body.outcome).toBe('late');
    expect((await agreementsOf())[0]).toMatchObject({ state: 'active' });
  });

  it('confirm a subscription of a topic of ours, at Amazon', async () => {
    const url = `https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=t`;
    const asked = { Type: 'SubscriptionConfirmation', SubscribeURL: url, Token: 't' };
    expect((await sns(snsMessage(TOPIC, {}, asked))).body.outcome).toBe('confirmed');
    expect(fetched).toContain(url);
    const elsewhere = {
      ...asked,
      SubscribeURL: url.replace('sns.us-east-1.amazonaws.com', 'evil.example'),
    };
    expect((await sns(snsMessage(TOPIC, {}, elsewhere))).status).toBe(403);
    expect(fetched.some((one) => one.includes('evil'))).toBe(false);
  });

  it.each([
    { why: 'of a topic of nobody', topic: `${TOPIC}-other`, change: {} },
    { why: 'signed over SHA-1', topic: TOPIC, change: { SignatureVersion: '1' } },
    {
      why: 'of two hours ago',
      topic: TOPIC,
      change: { Timestamp: new Date(Date.now() - 7_200_000).toISOString() },
    },
    {
      why: 'with a certificate elsewhere',
      topic: TOPIC,
      change: { SigningCertURL: 'https://evil.example/a.pem' },
    },
    { why: 'with another signature', topic: TOPIC, change: { Signature: 'AAAA' } },
  ])('are refused $why', async ({ topic, change }) => {
    const refused = await sns(snsMessage(topic, { action: 'subscribe-success' }, change));
    expect(refused.status).toBe(403);
  });

  it.each([
    { why: 'of another root of the same name', pem: STRANGERS },
    { why: 'that has expired', pem: EXPIRED + INTERMEDIATE },
  ])('are refused with a certificate $why', async ({ pem }) => {
    certificate = pem;
    // At a URL of its own, of which nothing is kept.
    const SigningCertURL = `https://sns.us-east-1.amazonaws.com/SimpleNotificationService-${randomBytes(16).toString('hex')}.pem`;
    const refused = await sns(
      snsMessage(TOPIC, { action: 'subscribe-success' }, { SigningCertURL }),
    );
    expect(refused.status).toBe(403);
    expect(fetched).toContain(SigningCertURL);
  });

  it('are taken signed over SHA-1 where that is set', async () => {
    const { awsMarketplace } = market.api.app.get(Config);
    const before = awsMarketplace.takesSha1;
    Object.assign(awsMarketplace, { takesSha1: true });
    try {
      const old = { SignatureVersion: '1' };
      expect((await sns(snsMessage(TOPIC, { action: 'none' }, old))).status).toBe(200);
      const forged = { ...old, Signature: 'AAAA' };
      expect((await sns(snsMessage(TOPIC, { action: 'none' }, forged))).status).toBe(403);
    } finally {
      Object.assign(awsMarketplace, { takesSha1: before });
    }
  });

  it('are refused when another key signed them', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    expect((await sns(snsMessage(TOPIC, {}, {}, key))).status).toBe(403);
    expect((await sns('{}')).status).toBe(403);
  });
});

describe('POST /v1/marketplace/events', () => {
  const event = (type: string, of: { CustomerAWSAccountId: string; LicenseArn: string }) => ({
    id: randomBytes(8).toString('hex'),
    'detail-type': `${type} - Manufacturer`,
    source: 'aws.agreement-marketplace',
    time: new Date().toISOString(),
    detail: {
      product: { code: product.productCode },
      license: { arn: of.LicenseArn },
      acceptor: { accountId: of.CustomerAWSAccountId },
    },
  });

  it('starts and ends licences', async () => {
    const of = {
      CustomerAWSAccountId: '210987654321',
      LicenseArn: `arn:aws:l-${product.productCode}`,
    };
    const send = (body: object) => market.api.call('POST', '/v1/marketplace/events', { body });
    expect((await send(event('License Updated', of))).body).toEqual({ outcome: 'followed' });
    expect((await agreementsOf())[0]).toMatchObject({ licenseArn: of.LicenseArn, state: 'active' });
    const gone = event('License Deprovisioned', of);
    expect((await send(gone)).body).toEqual({ outcome: 'followed' });
    expect((await send(gone)).body).toEqual({ outcome: 'duplicate' });
    expect((await agreementsOf())[0]).toMatchObject({ state: 'ending' });
    expect((await send({ id: 'x', source: 'mine' })).body).toEqual({ outcome: 'unknown' });
  });

  it('is about products of the account alone', async () => {
    const other = await market.rows.operatorToken(await market.rows.otherAccount());
    const of = { CustomerAWSAccountId: '210987654321', LicenseArn: 'arn:aws:l-x' };
    const body = event('License Updated', of);
    const answer = await market.api.call('POST', '/v1/marketplace/events', { token: other, body });
    expect(answer.body).toEqual({ outcome: 'unknown' });
    expect(await agreementsOf()).toEqual([]);
  });
});
