import { randomBytes } from 'node:crypto';
import { NoticesService, QueuesService } from '@io/marketplace';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { startMarketplace, type MeteredMarketplace } from '../support/metered-marketplace.js';

const METRICS = 'metrics-token-of-16';

let market: MeteredMarketplace;
let queueUrl: string;
let product: { id: string; productCode: string };
beforeAll(async () => {
  market = await startMarketplace({ TOLLGATE_METRICS_TOKEN: METRICS });
});
beforeEach(async () => {
  // What others left behind is read no more.
  await market.rows.db.marketplaceProduct.updateMany({ data: { queueUrl: null } });
  queueUrl = market.aws.sqs.create(`q-${randomBytes(5).toString('hex')}`);
  product = await market.product({ queueUrl });
});
afterEach(() => {
  market.aws.fault = () => 'none';
  market.aws.sqs.deliverTwice = false;
  vi.restoreAllMocks();
});

const read = () => market.api.app.get(QueuesService, { strict: false }).readAll({ waitSeconds: 0 });
const said = (action: string, change: object = {}) =>
  JSON.stringify({
    action,
    'customer-identifier': 'X01EXAMPLEX',
    'product-code': product.productCode,
    ...change,
  });
const envelope = (Message: string, change: object = {}) =>
  JSON.stringify({
    Type: 'Notification',
    MessageId: randomBytes(8).toString('hex'),
    TopicArn: 'arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-x',
    Message,
    Timestamp: new Date().toISOString(),
    ...change,
  });
const agreements = async () =>
  (await market.api.call('GET', `/v1/marketplace/agreements?productId=${product.id}`)).body.items;
const kept = async (query = '') =>
  (await market.api.call('GET', `/v1/marketplace/queue-messages${query}`)).body.items.filter(
    (one: { queueUrl: string }) => one.queueUrl === queueUrl,
  );
const metrics = async () => {
  const headers = { authorization: `Bearer ${METRICS}` };
  return (await fetch(`${market.api.url}/metrics`, { headers })).text();
};
const settle = (id: string, how: string, body: object = {}) =>
  market.api.call('POST', `/v1/marketplace/queue-messages/${id}/${how}`, { body });

describe('a queue of Amazon SQS', () => {
  it('brings notifications of SNS, in envelopes and raw, and events of EventBridge', async () => {
    market.aws.sqs.put(queueUrl, envelope(said('subscribe-success')));
    market.aws.sqs.put(queueUrl, said('subscribe-success', { 'customer-identifier': 'X2' }));
    const event = {
      id: randomBytes(8).toString('hex'),
      'detail-type': 'License Updated - Manufacturer',
      source: 'aws.agreement-marketplace',
      time: new Date().toISOString(),
      detail: {
        product: { code: product.productCode },
        license: { arn: 'arn:aws:license-manager::123456789012:license:l-1' },
        acceptor: { accountId: '123456789012' },
      },
    };
    market.aws.sqs.put(queueUrl, JSON.stringify(event));
    const created = { ...event, id: 'x', 'detail-type': 'Purchase Agreement Created - Proposer' };
    market.aws.sqs.put(queueUrl, JSON.stringify(created));
    expect(await read()).toBe(4);
    const found = await agreements();
    expect(found).toHaveLength(3);
    expect(new Set(found.map(({ state }: { state: string }) => state))).toEqual(
      new Set(['active']),
    );
    expect(market.aws.sqs.size(queueUrl)).toBe(0);
    expect(await kept()).toEqual([]);
  });

  it('is waited for as long as SQS does, and what comes meanwhile is there at once', async () => {
    const waits = market.aws.sqs.waits.length;
    const reading = market.api.app
      .get(QueuesService, { strict: false })
      .readAll({ waitSeconds: 20 });
    await expect.poll(() => market.aws.sqs.waits.slice(waits)).toEqual([20]);
    market.aws.sqs.put(queueUrl, said('subscribe-success'));
    await expect.poll(agreements).toHaveLength(1);
    await expect.poll(() => market.aws.sqs.size(queueUrl)).toBe(0);
    await expect.poll(() => market.aws.sqs.waits.length).toBe(waits + 2);
    market.aws.sqs.wake();
    expect(await reading).toBe(1);
  });

  it('may bring the same twice, by two ways as well: it counts once', async () => {
    const body = envelope(said('subscribe-success'));
    market.aws.sqs.put(queueUrl, body);
    market.aws.sqs.put(queueUrl, body);
    await read();
    const { MessageId: noticeId } = JSON.parse(body) as { MessageId: string };
    const of = { where: { noticeId } };
    expect(await market.rows.db.marketplaceNotice.count(of)).toBe(1);
    expect(market.aws.sqs.size(queueUrl)).toBe(0);
  });

  it('gives a message again that was followed and not deleted, which changes nothing', async () => {
    market.aws.fault = (operation) => (operation === 'DeleteMessageBatch' ? 'drop-before' : 'none');
    market.aws.sqs.put(queueUrl, envelope(said('subscribe-success')));
    await read();
    expect(market.aws.sqs.size(queueUrl)).toBe(1);
    expect(await agreements()).toMatchObject([{ state: 'active' }]);
    const { updatedAt } = (await agreements())[0];
    market.aws.fault = () => 'none';
    expect(await read()).toBe(0);
    market.aws.sqs.show(queueUrl);
    expect(await read()).toBe(1);
    expect((await agreements())[0].updatedAt).toBe(updatedAt);
    expect(market.aws.sqs.size(queueUrl)).toBe(0);
  });

  it('keeps a message until what it says is committed, and after five times a person has it', async () => {
    const notices = market.api.app.get(NoticesService, { strict: false });
    const follow = vi.spyOn(notices, 'follow').mockRejectedValue(new Error('the database is away'));
    market.aws.sqs.put(queueUrl, envelope(said('subscribe-success')));
    for (let time = 1; time < 5; time += 1) {
      expect(await read()).toBe(0);
      expect(market.aws.sqs.size(queueUrl)).toBe(1);
      expect(await kept()).toEqual([]);
      market.aws.sqs.show(queueUrl);
    }
    expect(await read()).toBe(1);
    expect(market.aws.sqs.size(queueUrl)).toBe(0);
    const [message] = await kept('?state=open');
    expect(message).toMatchObject({ fault: 'the database is away', state: 'open' });
    follow.mockRestore();
    expect(await settle(message.id, 'retry')).toMatchObject({
      status: 200,
      body: { state: 'followed' },
    });
    expect(await agreements()).toMatchObject([{ state: 'active' }]);
  });

  it('loses nothing that is no notification, or of no product: it is shown, counted, followed later or dismissed', async () => {
    market.aws.sqs.put(queueUrl, 'rubbish');
    const code = `later-${randomBytes(4).toString('hex')}`;
    market.aws.sqs.put(queueUrl, envelope(said('subscribe-success', { 'product-code': code })));
    expect(await read()).toBe(2);
    const [second, first] = await kept();
    expect(new Set([first.fault, second.fault])).toEqual(
      new Set(['it is no notification of AWS Marketplace', `no product has the code "${code}"`]),
    );
    const rubbish = first.body === 'rubbish' ? first : second;
    const early = first.body === 'rubbish' ? second : first;
    expect(await metrics()).toMatch(/^tollgate_marketplace_queue_messages_open 2$/m);
    expect(await settle(rubbish.id, 'retry')).toMatchObject({
      status: 409,
      body: { fault: rubbish.fault },
    });
    expect(await settle(early.id, 'retry')).toMatchObject({ status: 409 });
    const later = await market.api.call('POST', '/v1/marketplace/products', {
      body: { productCode: code, name: 'Later' },
    });
    expect((await settle(early.id, 'retry')).body.state).toBe('followed');
    const made = await market.api.call(
      'GET',
      `/v1/marketplace/agreements?productId=${later.body.id}`,
    );
    expect(made.body.items).toMatchObject([{ state: 'active' }]);
    expect((await settle(early.id, 'retry')).status).toBe(409);
    expect((await settle(rubbish.id, 'dismiss')).status).toBe(400);
    expect(await settle(rubbish.id, 'dismiss', { note: 'a test of ours' })).toMatchObject({
      status: 200,
      body: { state: 'dismissed', note: 'a test of ours' },
    });
    expect((await settle(rubbish.id, 'dismiss', { note: 'x' })).status).toBe(409);
    expect((await settle('mqm_nowhere', 'retry')).status).toBe(404);
    expect(await kept('?state=open')).toEqual([]);
  });

  it('that cannot be read keeps no other waiting, and is told of until it can', async () => {
    const name = `gone-${randomBytes(4).toString('hex')}`;
    const gone = `https://sqs.us-east-1.amazonaws.com/123456789012/${name}`;
    const { id } = await market.product({ queueUrl: gone });
    market.aws.sqs.put(queueUrl, said('subscribe-success'));
    expect(await read()).toBe(1);
    const shown = async () => (await market.api.call('GET', `/v1/marketplace/products/${id}`)).body;
    expect(await shown()).toMatchObject({
      queueReadAt: null,
      queueFault: expect.stringContaining(name),
    });
    const other = await market.api.call('GET', `/v1/marketplace/products/${product.id}`);
    expect(other.body).toMatchObject({ queueReadAt: expect.any(String), queueFault: null });
    expect(await metrics()).toMatch(/^tollgate_marketplace_queues_failing 1$/m);
    market.aws.sqs.create(name);
    await read();
    expect(await shown()).toMatchObject({ queueReadAt: expect.any(String), queueFault: null });
    expect(await metrics()).toMatch(/^tollgate_marketplace_queues_failing 0$/m);
  });
});

describe('queueUrl of a product', () => {
  const ask = (url: unknown, token?: string) =>
    market.api.call('POST', '/v1/marketplace/products', {
      ...(token === undefined ? {} : { token }),
      body: { productCode: `p-${randomBytes(5).toString('hex')}`, name: 'Pets', queueUrl: url },
    });

  it.each([
    'http://sqs.us-east-1.amazonaws.com/123456789012/q',
    'https://sqs.us-east-1.amazonaws.com.evil.example/123456789012/q',
    'https://evil.example/123456789012/q',
    'https://sqs.us-east-1.amazonaws.com/123456789012/q/../../x',
    'https://sqs.s3-ap-southeast-2.amazonaws.com/123456789012/q',
  ])('is answered 400 as %s: no request is signed for it', async (url) => {
    expect(await ask(url)).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '/queueUrl' }] },
    });
  });

  it('is of one account, for several of its products, until none of them names it', async () => {
    expect((await ask(queueUrl)).status).toBe(201);
    const other = await market.rows.operatorToken(await market.rows.otherAccount());
    expect(await ask(queueUrl, other)).toMatchObject({ status: 409, body: { queueUrl } });
    const own = await market.rows.db.marketplaceProduct.findMany({ where: { queueUrl } });
    for (const { id } of own) {
      const path = `/v1/marketplace/products/${id}`;
      const headers = {
        'if-match': (await market.api.call('GET', path)).headers.get('etag') ?? '',
      };
      const { status } = await market.api.call('PATCH', path, {
        body: { queueUrl: null },
        headers,
      });
      expect(status).toBe(200);
    }
    expect((await ask(queueUrl, other)).status).toBe(201);
  });
});
