import { randomBytes } from 'node:crypto';
import { AccessService, EntitlementsService, NoticesService } from '@io/marketplace';
import { SystemClock } from '@io/platform';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { WireEntitlement } from '../support/marketplace-entitlements.js';
import { startMarketplace, type MeteredMarketplace } from '../support/metered-marketplace.js';

let market: MeteredMarketplace;
let basic: string;
let gold: string;
let product: { id: string; productCode: string };
beforeAll(async () => {
  market = await startMarketplace();
});
beforeEach(async () => {
  market.aws.fault = () => 'none';
  market.aws.startsEmpty = false;
  market.aws.pageSize = 25;
  market.aws.entitlements.length = 0;
  // What others left behind is asked for no more.
  await market.rows.db.marketplaceAgreement.updateMany({ data: { state: 'failed' } });
  await market.moveTo('2027-03-10T09:30:00Z');
  basic = await aPlan();
  gold = await aPlan();
  product = await market.product({
    entitledPlans: [
      { dimension: 'basic', usagePlanId: basic },
      { dimension: 'kcalls', usagePlanId: gold, quotaPerUnit: 1000 },
    ],
  });
});

/** A plan of a hundred calls a month. */
async function aPlan(): Promise<string> {
  const id = await market.rows.usagePlan();
  const quota = { quotaLimit: 100n, quotaPeriod: 'MONTH', quotaOffset: 0 };
  await market.rows.db.usagePlan.update({ where: { id }, data: quota });
  return id;
}

interface Buyer {
  readonly agreementId: string;
  readonly customerId: string;
  readonly keyIds: readonly string[];
  readonly ids: Omit<WireEntitlement, 'ProductCode' | 'Dimension' | 'Value'>;
}

/** Somebody who came from AWS, with keys of which none is in a plan. */
async function aBuyer({
  keys = 1,
  of,
  licence = false,
}: { keys?: number; of?: Buyer; licence?: boolean } = {}): Promise<Buyer> {
  const customerId = of?.customerId ?? (await market.rows.customer());
  const id = randomBytes(5).toString('hex');
  const ids = licence
    ? {
        CustomerAWSAccountId: '123456789012',
        LicenseArn: `arn:aws:license-manager::123456789012:license:l-${id}`,
      }
    : { CustomerIdentifier: `X${id}` };
  const { CustomerIdentifier, CustomerAWSAccountId, LicenseArn } = {
    CustomerIdentifier: undefined,
    CustomerAWSAccountId: undefined,
    LicenseArn: undefined,
    ...ids,
  };
  const buyer = {
    ...(CustomerIdentifier ? { customerIdentifier: CustomerIdentifier } : {}),
    ...(LicenseArn ? { customerAwsAccountId: CustomerAWSAccountId, licenseArn: LicenseArn } : {}),
  };
  const agreement = await market.api.call('POST', '/v1/marketplace/agreements', {
    body: { productId: product.id, customerId, ...buyer },
  });
  expect(agreement.status).toBe(201);
  const keyIds: string[] = [];
  for (let n = 0; n < keys; n += 1)
    keyIds.push((await market.api.call('POST', '/v1/api-keys', { body: { customerId } })).body.id);
  return { agreementId: agreement.body.id, customerId, keyIds: keyIds.toSorted(), ids };
}

/** What AWS says a buyer has bought from now on. */
function sell(
  { ids }: Buyer,
  bought: Record<string, number | boolean | string>,
  until = '2028-01-01T00:00:00Z',
) {
  const { entitlements } = market.aws;
  const others = entitlements.filter(
    (one) => JSON.stringify(one).indexOf(JSON.stringify(ids).slice(1, -1)) < 0,
  );
  const own = Object.entries(bought).map(([Dimension, value]): WireEntitlement => ({
    ProductCode: product.productCode,
    Dimension,
    ...ids,
    Value:
      typeof value === 'number'
        ? { IntegerValue: value }
        : typeof value === 'boolean'
          ? { BooleanValue: value }
          : { StringValue: value },
    ExpirationDate: Date.parse(until) / 1000,
  }));
  entitlements.splice(0, entitlements.length, ...others, ...own);
}

const refresh = async () => {
  const answers = await market.api.app.get(EntitlementsService, { strict: false }).refreshDue();
  await reconcile();
  return answers;
};
const reconcile = () =>
  market.api.app
    .get(AccessService, { strict: false })
    .reconcile(market.api.app.get(SystemClock).now());
/** AWS tells that something changed, and not what. */
const push = ({ ids }: Buyer) =>
  market.api.app.get(NoticesService, { strict: false }).follow(
    {
      kind: 'entitlements-changed',
      productCode: product.productCode,
      customerIdentifier: ids.CustomerIdentifier ?? null,
      customerAwsAccountId: ids.CustomerAWSAccountId ?? null,
      licenseArn: ids.LicenseArn ?? null,
      offerId: null,
      isFreeTrial: false,
      at: new Date(),
    },
    { noticeId: randomBytes(6).toString('hex'), body: '{}' },
  );
/** Where the keys of a buyer are: plan and quota of each. */
const places = async ({ keyIds }: Buyer) => {
  const names = new Map([
    [basic, 'basic'],
    [gold, 'gold'],
  ]);
  const rows = await market.rows.db.usagePlanKey.findMany({
    where: { keyId: { in: [...keyIds] } },
    orderBy: { keyId: 'asc' },
  });
  return rows.map(
    ({ usagePlanId, quotaLimit }) => `${names.get(usagePlanId)} ${quotaLimit ?? '-'}`,
  );
};
const detail = async ({ agreementId }: Buyer) =>
  (await market.api.call('GET', `/v1/marketplace/agreements/${agreementId}`)).body;

describe('entitlements', () => {
  it('bring the plan and the quota, without a subscription: what is bought is the start', async () => {
    const buyer = await aBuyer();
    sell(buyer, { kcalls: 5 });
    expect(await places(buyer)).toEqual([]);
    expect(await refresh()).toBe(1);
    expect(await places(buyer)).toEqual(['gold 5000']);
    expect(await detail(buyer)).toMatchObject({
      state: 'active',
      activeAt: expect.stringContaining('2027-03-10T09:30'),
      entitlements: [{ dimension: 'kcalls', value: '5', isLive: true }],
      entitlementsFault: null,
    });
  });

  it('are read over all pages, of which some are empty', async () => {
    market.aws.startsEmpty = true;
    market.aws.pageSize = 1;
    const buyer = await aBuyer();
    sell(buyer, { other: 1, seats: true, name: 'Gold', kcalls: 2 });
    market.aws.calls.length = 0;
    await refresh();
    expect(market.aws.calls.map(({ operation }) => operation)).toEqual(
      Array.from({ length: 5 }, () => 'GetEntitlements'),
    );
    expect(await places(buyer)).toEqual(['gold 2000']);
    expect((await detail(buyer)).entitlements.map(({ value }: { value: string }) => value)).toEqual(
      ['1', 'true', 'Gold', '2'],
    );
  });

  it('upgrade and downgrade when AWS tells that they changed, and are not asked for else for an hour', async () => {
    const buyer = await aBuyer();
    sell(buyer, { basic: true });
    await refresh();
    expect(await places(buyer)).toEqual(['basic -']);
    sell(buyer, { basic: true, kcalls: 3 });
    expect(await refresh()).toBe(0);
    expect(await places(buyer)).toEqual(['basic -']);
    await push(buyer);
    expect(await refresh()).toBe(1);
    expect(await places(buyer)).toEqual(['gold 3000']);
    sell(buyer, { basic: true, kcalls: 1 });
    await push(buyer);
    await refresh();
    expect(await places(buyer)).toEqual(['gold 1000']);
    sell(buyer, { basic: true });
    await market.moveTo('2027-03-10T10:31:00Z');
    expect(await refresh()).toBe(1);
    expect(await places(buyer)).toEqual(['basic -']);
  });

  it('end access at the instant at which they expire, also when AWS is away; a renewal begins it again', async () => {
    const buyer = await aBuyer();
    sell(buyer, { kcalls: 5 }, '2027-03-10T11:00:00Z');
    await refresh();
    await market.moveTo('2027-03-10T10:59:00Z');
    await refresh();
    expect(await places(buyer)).toEqual(['gold 5000']);
    market.aws.fault = () => 'error';
    await market.moveTo('2027-03-10T11:00:01Z');
    expect(await refresh()).toBe(0);
    expect(await places(buyer)).toEqual([]);
    expect(await detail(buyer)).toMatchObject({
      state: 'active',
      entitlementsFault: expect.stringContaining('Oops'),
      entitlements: [{ isLive: false }],
    });
    market.aws.fault = () => 'none';
    await market.moveTo('2027-03-10T11:10:00Z');
    await refresh();
    // The last records are due within the hour.
    expect(await detail(buyer)).toMatchObject({ state: 'ending', entitlementsFault: null });
    await market.moveTo('2027-03-10T12:30:00Z');
    await refresh();
    expect((await detail(buyer)).state).toBe('ended');
    sell(buyer, { kcalls: 7 });
    await push(buyer);
    await refresh();
    expect(await places(buyer)).toEqual(['gold 7000']);
    expect(await detail(buyer)).toMatchObject({ state: 'active', endingAt: null, endedAt: null });
  });

  it('hold as AWS last said while it does not answer, which is shown, and asked again after a pause', async () => {
    const buyer = await aBuyer();
    sell(buyer, { kcalls: 5 });
    await refresh();
    market.aws.fault = () => 'throttle';
    await push(buyer);
    expect(await refresh()).toBe(0);
    expect(await places(buyer)).toEqual(['gold 5000']);
    expect((await detail(buyer)).entitlementsFault).toContain('Rate exceeded');
    market.aws.fault = () => 'none';
    expect(await refresh()).toBe(0);
    await market.moveTo('2027-03-10T09:30:05Z');
    expect(await refresh()).toBe(1);
    expect((await detail(buyer)).entitlementsFault).toBeNull();
  });

  it('are asked for again when a notification comes while AWS answers', async () => {
    const buyer = await aBuyer();
    sell(buyer, { kcalls: 5 });
    const pushed: Promise<unknown>[] = [];
    market.aws.fault = () => {
      if (pushed.length > 0) return 'none';
      pushed.push(push(buyer));
      // What is sold while the answer is on its way is not in it.
      queueMicrotask(() => sell(buyer, { kcalls: 6 }));
      return 'none';
    };
    await refresh();
    await Promise.all(pushed);
    await refresh();
    expect(await places(buyer)).toEqual(['gold 6000']);
  });

  it('are those of a licence, and of all agreements of a buyer together, shared by their keys', async () => {
    const first = await aBuyer({ keys: 2, licence: true });
    const second = await aBuyer({ keys: 0, of: first, licence: true });
    const stranger = await aBuyer({ licence: true });
    sell(first, { kcalls: 5 });
    sell(second, { kcalls: 2 }, '2027-03-11T00:00:00Z');
    sell(stranger, { basic: true });
    await refresh();
    expect(await places(first)).toEqual(['gold 3500', 'gold 3500']);
    expect(await places(stranger)).toEqual(['basic -']);
    expect((await detail(first)).entitlements).toHaveLength(1);
    await market.moveTo('2027-03-11T00:00:00Z');
    await reconcile();
    expect(await places(first)).toEqual(['gold 2500', 'gold 2500']);
  });

  it('leave a key where a person put it', async () => {
    const buyer = await aBuyer({ keys: 2 });
    const [kept = ''] = buyer.keyIds;
    const own = await market.rows.usagePlan();
    const path = `/v1/usage-plans/${own}/keys`;
    expect((await market.api.call('POST', path, { body: { keyId: kept } })).status).toBe(201);
    sell(buyer, { kcalls: 5 });
    await refresh();
    expect((await places(buyer)).toSorted()).toEqual(['gold 5000', 'undefined -']);
  });

  it('do not bring back whose end a notification told', async () => {
    const buyer = await aBuyer();
    sell(buyer, { kcalls: 5 });
    await refresh();
    await market.rows.db.marketplaceAgreement.updateMany({
      where: { id: buyer.agreementId },
      data: { state: 'ending', endingAt: new Date(), entitlementsDueAt: null },
    });
    await refresh();
    expect((await detail(buyer)).state).toBe('ending');
  });
});

describe('entitledPlans of a product', () => {
  const ask = (body: object) =>
    market.api.call('POST', '/v1/marketplace/products', {
      body: { productCode: `p-${randomBytes(5).toString('hex')}`, name: 'Pets', ...body },
    });

  it('are answered 400 where they name what is not there, and nothing is made', async () => {
    const before = await market.rows.db.marketplaceProduct.count();
    const unmetered = await market.rows.usagePlan();
    const refused = await ask({
      entitledPlans: [
        { dimension: 'a', usagePlanId: 'plan_nowhere' },
        { dimension: 'b', usagePlanId: unmetered, quotaPerUnit: 10 },
        { dimension: 'a', usagePlanId: gold },
      ],
    });
    expect(refused.status).toBe(400);
    expect(refused.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/entitledPlans/0/usagePlanId',
      '/entitledPlans/1/quotaPerUnit',
      '/entitledPlans/2/dimension',
    ]);
    const both = await ask({
      usagePlanId: basic,
      entitledPlans: [{ dimension: 'a', usagePlanId: gold }],
    });
    expect(both.body.errors).toMatchObject([{ pointer: '/usagePlanId' }]);
    expect(await market.rows.db.marketplaceProduct.count()).toBe(before);
  });

  it('are changed like the rest, and the keys follow', async () => {
    const buyer = await aBuyer();
    sell(buyer, { kcalls: 5 });
    await refresh();
    const path = `/v1/marketplace/products/${product.id}`;
    const headers = { 'if-match': (await market.api.call('GET', path)).headers.get('etag') ?? '' };
    const entitledPlans = [{ dimension: 'kcalls', usagePlanId: gold, quotaPerUnit: 10 }];
    expect(
      await market.api.call('PATCH', path, { body: { entitledPlans }, headers }),
    ).toMatchObject({
      status: 200,
      body: { entitledPlans },
    });
    await reconcile();
    expect(await places(buyer)).toEqual(['gold 50']);
  });
});
