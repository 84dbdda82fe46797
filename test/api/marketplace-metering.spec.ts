import { randomUUID } from 'node:crypto';
import { MeteringRecordsService } from '@io/marketplace';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  startMarketplace,
  type MeteredBuyer,
  type MeteredMarketplace,
} from '../support/metered-marketplace.js';

const METRICS = 'metrics-token-of-16';

let market: MeteredMarketplace;
let day = 1;
/** An hour of a day of this test's own. */
const at = (hour: number, minute = 0) =>
  new Date(Date.UTC(2027, 0, day, hour, minute)).toISOString();

beforeAll(async () => {
  market = await startMarketplace({ TOLLGATE_METRICS_TOKEN: METRICS });
});
beforeEach(async () => {
  day += 2;
  market.aws.fault = () => 'none';
  market.aws.repeatsAs = 'Success';
  // Agreements begin in the hour before.
  await market.moveTo(at(-1, 5));
});

const quantities = async ({ agreementId }: MeteredBuyer) =>
  (await market.records(agreementId)).map(
    ({ hour, quantity, state }) => `${hour.slice(11, 13)} ${quantity} ${state}`,
  );
const carried = async ({ agreementId }: MeteredBuyer) =>
  (await market.api.call('GET', `/v1/marketplace/agreements/${agreementId}`)).body.carried;

/** Whose calls cost 0.4 cents each. */
const aRateCard = async () => {
  const price = { model: 'per-unit', unitAmount: '0.004' };
  const items = [{ meter: 'calls', description: 'Calls', price }];
  const body = { name: `Marketplace ${randomUUID()}`, currency: 'USD', items };
  return (await market.api.call('POST', '/v1/rate-cards', { body })).body;
};

describe('metering', () => {
  it('sends each hour once, an hour after its end, as the dimension apigateway of Amazon API Gateway', async () => {
    const product = await market.product();
    const buyer = await market.buyer(product);
    await market.use(buyer, at(0), '7');
    await market.use(buyer, at(1), '5');
    await market.moveTo(at(1, 59));
    expect(await market.seal()).toBe(0);
    await market.moveTo(at(2, 1));
    expect(await market.seal()).toBe(1);
    expect(await market.seal()).toBe(0);
    await market.send();
    await market.moveTo(at(3, 1));
    await market.seal();
    await market.send();
    expect(await quantities(buyer)).toEqual(['00 7 accepted', '01 5 accepted']);
    const mine = [...market.aws.taken.values()].filter(
      (one) => one.CustomerIdentifier === buyer.customerIdentifier,
    );
    expect(mine).toMatchObject([
      { Dimension: 'apigateway', Quantity: 7, productCode: product.productCode },
      { Dimension: 'apigateway', Quantity: 5, Timestamp: Date.parse(at(1)) / 1000 },
    ]);
  });

  it('puts usage that comes late into the next open hour, and never takes back what it sent', async () => {
    const buyer = await market.buyer(await market.product());
    await market.use(buyer, at(0), '10');
    await market.moveTo(at(2, 1));
    await market.seal();
    await market.use(buyer, at(0), '4');
    await market.use(buyer, at(1), '1');
    await market.moveTo(at(3, 1));
    await market.seal();
    await market.use(buyer, at(1), '-3');
    await market.moveTo(at(4, 1));
    await market.seal();
    await market.use(buyer, at(3), '5');
    await market.moveTo(at(5, 1));
    await market.seal();
    await market.send();
    expect(await quantities(buyer)).toEqual(['00 10 accepted', '01 5 accepted', '03 2 accepted']);
  });

  it('carries fractions of units, of meters and of amounts', async () => {
    const card = await aRateCard();
    const product = await market.product({
      dimensions: [
        { dimension: 'kcalls', meter: 'calls', unitSize: '1000', usdPerUnit: '2' },
        { dimension: 'cents', rateCardId: card.id, unitSize: '0.01', usdPerUnit: '0.01' },
      ],
    });
    const buyer = await market.buyer(product);
    await market.use(buyer, at(0), '1501');
    await market.moveTo(at(2, 1));
    await market.seal();
    await market.use(buyer, at(1), '500');
    await market.moveTo(at(3, 1));
    await market.seal();
    const found = await market.records(buyer.agreementId);
    expect(found.map(({ dimension, quantity }) => [dimension, quantity])).toEqual([
      ['cents', 600],
      ['cents', 200],
      ['kcalls', 1],
      ['kcalls', 1],
    ]);
    expect(await carried(buyer)).toEqual([
      { dimension: 'cents', carried: '0.4' },
      { dimension: 'kcalls', carried: '0.001' },
    ]);
  });

  it('splits quantities by tags that add up', async () => {
    const product = await market.product({ allocateBy: ['stage', 'statusClass'] });
    const buyer = await market.buyer(product);
    await market.use(buyer, at(0), '7');
    await market.use(buyer, at(0), '2', { statusClass: '5xx' });
    await market.moveTo(at(2, 1));
    await market.seal();
    await market.send();
    const sent = [...market.aws.taken.values()].find(
      (one) => one.CustomerIdentifier === buyer.customerIdentifier,
    );
    expect(sent?.UsageAllocations?.map((one) => one.AllocatedUsageQuantity)).toEqual([7, 2]);
    expect(sent?.UsageAllocations?.[1]?.Tags).toContainEqual({ Key: 'statusClass', Value: '5xx' });
  });

  it('sends zeros of idle hours where a product wants them', async () => {
    const buyer = await market.buyer(await market.product({ sendsZero: true }));
    await market.moveTo(at(3, 1));
    await market.seal();
    await market.send();
    expect(await quantities(buyer)).toEqual(['23 0 accepted', '00 0 accepted', '01 0 accepted']);
  });

  it('meters licences without a product, each agreement of a customer by its own keys', async () => {
    const product = await market.product();
    const one = await market.buyer(product);
    const customerAwsAccountId = '123456789012';
    const licenseArn = `arn:aws:license-manager::${customerAwsAccountId}:license:l-${day}`;
    const { productId, customerId } = { productId: product.id, customerId: one.customerId };
    const second = await market.api.call('POST', '/v1/marketplace/agreements', {
      body: { productId, customerId, customerAwsAccountId, licenseArn, isActive: true },
    });
    market.aws.subscribe({ CustomerAWSAccountId: customerAwsAccountId, LicenseArn: licenseArn });
    await market.moveTo(at(0, 50));
    const path = `/v1/marketplace/agreements/${second.body.id}/assign`;
    const assigned = await market.api.call('POST', path, { body: { keyIds: [one.keyId] } });
    expect(assigned.status).toBe(200);
    await market.use(one, at(0), '3');
    await market.use(one, at(1), '8');
    await market.moveTo(at(3, 1));
    await market.seal();
    await market.send();
    expect(await quantities(one)).toEqual(['00 3 accepted']);
    expect(await quantities({ ...one, agreementId: second.body.id })).toEqual(['01 8 accepted']);
    const licensed = [...market.aws.taken.values()].find(
      (record) => record.LicenseArn === licenseArn,
    );
    expect(licensed).toMatchObject({
      CustomerAWSAccountId: customerAwsAccountId,
      productCode: null,
    });
  });
});

describe('an amount, of a customer with several agreements about one product', () => {
  const another = async (productId: string, customerId: string) => {
    const licenseArn = `arn:aws:license-manager::123456789012:license:l-${randomUUID()}`;
    const buyer = { customerAwsAccountId: '123456789012', licenseArn };
    const { body } = await market.api.call('POST', '/v1/marketplace/agreements', {
      body: { productId, customerId, ...buyer, isActive: true },
    });
    return body.id as string;
  };
  const assign = (agreementId: string, keyId: string) =>
    market.api.call('POST', `/v1/marketplace/agreements/${agreementId}/assign`, {
      body: { keyIds: [keyId] },
    });
  const inCents = (rateCardId: string) => [{ dimension: 'cents', rateCardId, unitSize: '0.01' }];

  it('is metered once: the oldest that runs has all of it, the next what is used after its end', async () => {
    const card = await aRateCard();
    const cents = async (id: string) => (await market.records(id)).map(({ quantity }) => quantity);
    const first = await market.buyer(await market.product({ dimensions: inCents(card.id) }));
    const of = { where: { id: first.agreementId } };
    const { productId } = await market.rows.db.marketplaceAgreement.findFirstOrThrow(of);
    const second = await another(productId, first.customerId);
    await market.use(first, at(0), '1000');
    await market.moveTo(at(2, 1));
    await market.seal();
    expect(await cents(first.agreementId)).toEqual([400]);
    expect(await cents(second)).toEqual([]);
    await market.rows.db.marketplaceAgreement.updateMany({
      ...of,
      data: { state: 'ended', endingAt: at(2), endedAt: at(2) },
    });
    await market.use(first, at(3), '500');
    await market.moveTo(at(5, 1));
    await market.seal();
    expect(await cents(first.agreementId)).toEqual([400]);
    expect(await cents(second)).toEqual([200]);
  });

  it('has no part by keys: 409 to keys for one agreement, and to an amount where keys were given', async () => {
    const card = await aRateCard();
    const priced = await market.buyer(await market.product({ dimensions: inCents(card.id) }));
    const refused = { status: 409, body: { dimension: 'cents' } };
    expect(await assign(priced.agreementId, priced.keyId)).toMatchObject(refused);
    const product = await market.product();
    const counted = await market.buyer(product);
    expect((await assign(counted.agreementId, counted.keyId)).status).toBe(200);
    const path = `/v1/marketplace/products/${product.id}`;
    const dimensions = [{ dimension: 'apigateway', meter: 'calls' }, ...inCents(card.id)];
    const version = (await market.api.call('GET', path)).headers.get('etag') ?? '';
    const headers = { 'if-match': version };
    expect(await market.api.call('PATCH', path, { body: { dimensions }, headers })).toMatchObject(
      refused,
    );
    expect((await market.api.call('GET', path)).body.dimensions).toHaveLength(1);
  });
});

describe('sending', () => {
  /** Buyers of one product with a record each that waits. */
  async function waiting(count: number, product?: { id: string; productCode: string }) {
    const of = product ?? (await market.product());
    const buyers = [];
    for (let n = 0; n < count; n += 1) buyers.push(await market.buyer(of));
    for (const [n, buyer] of buyers.entries()) await market.use(buyer, at(0), String(n + 1));
    await market.moveTo(at(2, 1));
    await market.seal();
    return buyers;
  }
  const statesOf = async (buyers: readonly MeteredBuyer[]) => {
    const all = [];
    for (const { agreementId } of buyers) all.push(...(await market.records(agreementId)));
    return all.map(({ state, reason }) => (reason === null ? state : `${state}: ${reason}`));
  };

  it.each([
    'throttle',
    'error',
    'error-after',
    'drop-before',
    'drop-after',
    'unprocessed',
  ] as const)(
    'sends the same again after %s, and AWS bills it once, whichever way it answers a repetition',
    async (fault) => {
      for (const repeatsAs of ['Success', 'DuplicateRecord'] as const) {
        day += 1;
        await market.moveTo(at(-1, 5));
        market.aws.repeatsAs = repeatsAs;
        const buyers = await waiting(3);
        let first = true;
        market.aws.fault = () => (first ? ((first = false), fault) : 'none');
        await market.send();
        await market.hurry();
        await market.send();
        expect(await statesOf(buyers)).toEqual(['accepted', 'accepted', 'accepted']);
        const texts = new Map<string, Set<string>>();
        for (const { identity, text } of market.aws.seen)
          texts.set(identity, (texts.get(identity) ?? new Set()).add(text));
        expect([...texts.values()].every((payloads) => payloads.size === 1)).toBe(true);
        const mine = new Set(buyers.map((buyer) => buyer.customerIdentifier));
        const billed = [...market.aws.taken.values()].filter((one) =>
          mine.has(one.CustomerIdentifier ?? ''),
        );
        expect(billed.map(({ Quantity = 0 }) => Quantity).toSorted((a, b) => a - b)).toEqual([
          1, 2, 3,
        ]);
      }
    },
  );

  it('gives up the one record that fails a batch, and no other', async () => {
    const product = await market.product();
    const buyers = await waiting(25, product);
    const [bad] = buyers;
    await market.db.query(`ALTER TABLE marketplace_record DISABLE TRIGGER sealed`);
    await market.db.query(
      `UPDATE marketplace_record SET payload = replace(payload, '"apigateway"', '"nonsense"') WHERE agreement_id = $1`,
      [bad?.agreementId],
    );
    await market.db.query(`ALTER TABLE marketplace_record ENABLE TRIGGER sealed`);
    market.aws.dimensions.set(product.productCode, ['apigateway']);
    await market.send();
    const states = await statesOf(buyers);
    expect(states.filter((state) => state === 'accepted')).toHaveLength(24);
    expect(states[0]).toBe('dead: invalid-dimension');
  });

  it('makes a task of what is refused for good: no subscription, or another quantity stands', async () => {
    const [gone, taken] = await waiting(2);
    if (!gone || !taken) throw new Error('two were asked for');
    market.aws.unsubscribe({ CustomerIdentifier: gone.customerIdentifier });
    const record = JSON.parse(
      (
        await market.rows.db.marketplaceRecord.findFirstOrThrow({
          where: { agreementId: taken.agreementId },
        })
      ).payload,
    ) as never;
    const { productId } = await market.rows.db.marketplaceAgreement.findUniqueOrThrow({
      where: { id: taken.agreementId },
    });
    const { productCode } = await market.rows.db.marketplaceProduct.findUniqueOrThrow({
      where: { id: productId },
    });
    market.aws.bill({ ...(record as object), Quantity: 99 } as never, productCode);
    await market.send();
    expect(await statesOf([gone, taken])).toEqual(['dead: not-subscribed', 'dead: other-quantity']);
    const { body } = await market.api.call(
      'GET',
      `/v1/marketplace/metering-records?state=dead&agreementId=${gone.agreementId}`,
    );
    expect(body.items).toMatchObject([
      { quantity: 1, reason: 'not-subscribed', mayBeTaken: false },
    ]);
  });

  it('gives up what is past its deadline, with what it is worth', async () => {
    const dimensions = [{ dimension: 'apigateway', meter: 'calls', usdPerUnit: '0.25' }];
    const [buyer] = await waiting(1, await market.product({ dimensions }));
    if (!buyer) throw new Error('one was asked for');
    market.aws.fault = () => 'throttle';
    await market.send();
    await market.moveTo(at(24));
    await market.send();
    expect(await statesOf([buyer])).toEqual(['dead: expired']);
    const path = `/v1/marketplace/metering-records`;
    const { body } = await market.api.call('GET', `${path}?agreementId=${buyer.agreementId}`);
    expect(body.items).toMatchObject([
      { usd: '0.25', deadlineAt: at(24), cause: 'ThrottlingException' },
    ]);
    const [{ id }] = body.items;
    const late = await market.api.call('POST', `${path}/${id}/retry`);
    expect(late).toMatchObject({ status: 409, body: { deadlineAt: at(24) } });
    const carry = { resolution: 'carry', note: 'AWS was away' };
    const settled = await market.api.call('POST', `${path}/${id}/resolve`, { body: carry });
    expect(settled).toMatchObject({
      status: 200,
      body: { state: 'carried', note: 'AWS was away' },
    });
    const again = await market.api.call('POST', `${path}/${id}/resolve`, { body: carry });
    expect(again).toMatchObject({ status: 409, body: { state: 'carried' } });
    market.aws.fault = () => 'none';
    await market.moveTo(at(26, 1));
    await market.seal();
    await market.send();
    expect(await statesOf([buyer])).toEqual(['carried: expired', 'accepted']);
    const { body: audit } = await market.api.call('GET', '/v1/audit-events?limit=1');
    expect(audit.items[0]).toMatchObject({ action: 'resolve-metering-record', subject: id });
  });

  it('tells webhooks and Prometheus what is at risk, at six and twenty hours and before the end of a month', async () => {
    const dimensions = [{ dimension: 'apigateway', meter: 'calls', usdPerUnit: '0.25' }];
    const product = await market.product({ dimensions });
    const [buyer] = await waiting(1, product);
    market.aws.fault = () => 'throttle';
    const watch = market.api.app.get(MeteringRecordsService, { strict: false });
    const told = async () => {
      await watch.watchDeadlines();
      await watch.watchDeadlines();
      const events = await market.rows.db.webhookEvent.findMany({
        where: { type: 'marketplace.metering.at-risk', subjectId: { startsWith: product.id } },
        orderBy: { createdAt: 'asc' },
      });
      return events
        .map(({ body }) => JSON.parse(body).data)
        .filter((data) => data.usdAtRisk !== null);
    };
    await market.moveTo(at(6, 59));
    expect(await told()).toEqual([]);
    await market.moveTo(at(7));
    expect(await told()).toMatchObject([
      { urgency: 'six-hours', oldestHour: at(0), deadlineAt: at(24), usdAtRisk: '0.25' },
    ]);
    await market.moveTo(at(21));
    expect((await told()).map(({ urgency }) => urgency)).toEqual(['six-hours', 'twenty-hours']);
    const { body: text } = await market.api.call('GET', '/metrics', { token: METRICS });
    expect(text).toMatch(/tollgate_marketplace_usd_at_risk [\d.]+/);
    expect(text).toMatch(/tollgate_marketplace_deadline_seconds -?[\d.]+/);
    await market.moveTo(at(24));
    await market.send();
    const dead = await market.rows.db.webhookEvent.findMany({
      where: { type: 'marketplace.record.dead' },
    });
    const mine = dead.map(({ body }) => JSON.parse(body).data);
    expect(mine.filter(({ agreementId }) => agreementId === buyer?.agreementId)).toMatchObject([
      { reason: 'expired', quantity: '1', usdAtRisk: '0.25' },
    ]);
  });

  it('keeps to ten calls a second, over all senders', async () => {
    const products = [];
    for (let n = 0; n < 12; n += 1) products.push(await market.product());
    for (const product of products) {
      const buyer = await market.buyer(product);
      await market.use(buyer, at(0), '1');
    }
    await market.moveTo(at(2, 1));
    await market.seal();
    market.aws.calls.length = 0;
    await Promise.all([market.send(), market.send()]);
    const times = market.aws.calls.map(({ at: ms }) => ms).toSorted((a, b) => a - b);
    expect(times.length).toBeGreaterThanOrEqual(12);
    expect((times[11] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(950);
  });
});

describe('the ledger', () => {
  it('cannot be changed, by SQL either', async () => {
    const buyer = await market.buyer(await market.product());
    await market.use(buyer, at(0), '7');
    await market.moveTo(at(2, 1));
    await market.seal();
    const change = (set: string) =>
      market.db.query(`UPDATE marketplace_record SET ${set} WHERE agreement_id = $1`, [
        buyer.agreementId,
      ]);
    for (const set of ['quantity = 8', "payload = '{}'", "hour = hour + interval '1 hour'"])
      await expect(change(set)).rejects.toThrow('is sealed');
    await market.send();
    await expect(change("state = 'pending'")).rejects.toThrow('is sealed');
    await expect(market.db.query('DELETE FROM marketplace_record')).rejects.toThrow(
      'never deleted',
    );
  });
});
