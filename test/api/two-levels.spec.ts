import { InvoicingService } from '@io/billing';
import { UsageService } from '@io/metering';
import { Database } from '@io/platform';
import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';
import { AMAZON } from '../support/invoicing.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
const CENTS = {
  meter: 'calls',
  description: 'Calls',
  price: { model: 'per-unit', unitAmount: '0.00001' },
};

let api: TestApi;
let invoicing: InvoicingService;
beforeAll(async () => {
  api = await startApi();
  invoicing = api.app.get(InvoicingService);
});

/** An API owner with an account of their own, whose developer calls their api. */
async function anOwner(mode = 'live') {
  const { id: accountId, token } = await controlPlane(api).account(mode);
  const owner = controlPlane(api, String(token));
  const stage = await owner.apiStage();
  const { id: usagePlanId } = await owner.usagePlan({ apiStages: [stage] });
  const { id: customerId } = await owner.customer({ name: 'A developer' });
  const { id: keyId } = await owner.apiKey({ customerId });
  const path = `/v1/usage-plans/${usagePlanId}/keys`;
  const added = await api.call('POST', path, { token: String(token), body: { keyId } });
  expect(added.status).toBe(201);
  const { id: rateCardId } = await owner.rateCard([CENTS]);
  const terms = { customerId, usagePlanId, rateCardId, startsAt: ago(HOUR_MS) };
  const { id: subscriptionId } = await owner.subscription(terms);
  const gateway = await owner.gateway('edge');
  let sequence = 0;
  return {
    accountId: String(accountId),
    token: String(token),
    customerId: String(customerId),
    subscriptionId: String(subscriptionId),
    /** The developer's calls of a minute ago, through the owner's gateway. */
    calls: (calls: string, number = sequence) => {
      sequence = number + 1;
      const call = { keyId, ...stage, method: 'GET', resourcePath: '/pets', statusClass: '2xx' };
      const records = [{ at: ago(60_000), ...call, quantities: { calls } }];
      const body = { epoch: 'e', sequence: number, records };
      return api.call('POST', '/v1/usage/batches', { token: String(gateway['token']), body });
    },
  };
}

/** A subscription of the platform's that charges an owner's traffic, by Amazon's prices. */
async function platformTerms(billedAccountId: string) {
  const platform = controlPlane(api);
  const { id: customerId } = await platform.customer({ name: 'An API owner' });
  const { id: usagePlanId } = await platform.usagePlan({ name: 'Platform' });
  const terms = { rateCardId: AMAZON, startsAt: ago(HOUR_MS) };
  return {
    ...terms,
    customerId: String(customerId),
    usagePlanId: String(usagePlanId),
    billedAccountId,
  };
}

const create = async (body: object, token = api.ownerToken) =>
  api.call('POST', '/v1/subscriptions', { body, token });

/** Ends a subscription and adds up what its customer is asked for, in cents. */
async function billed(
  { customerId, subscriptionId }: { customerId: string; subscriptionId: string },
  token = api.ownerToken,
): Promise<string[]> {
  const ended = await api.call('POST', `/v1/subscriptions/${subscriptionId}/end`, {
    token,
    body: {},
  });
  expect(ended.status).toBe(200);
  await invoicing.closeDue();
  const { body } = await api.call('GET', `/v1/invoices?customerId=${customerId}`, { token });
  return body.items.map((invoice: { total: { amount: string } }) => invoice.total.amount);
}

describe('two levels of billing', () => {
  it("charge one call to the developer, by the owner's prices, and to the owner, by the platform's", async () => {
    const owner = await anOwner();
    const terms = await platformTerms(owner.accountId);
    const { status, body: subscription } = await create(terms);
    expect({ status, subscription }).toMatchObject({
      status: 201,
      subscription: { billedAccountId: owner.accountId },
    });
    expect(await owner.calls('1000000')).toMatchObject({ status: 201 });

    await api.app.get(UsageService).rollUpNow(owner.accountId);
    const preview = await api.call('GET', `/v1/subscriptions/${subscription.id}/preview`);
    expect(preview.body).toMatchObject({ total: { amount: '3.50' } });
    expect(await billed(owner, owner.token)).toEqual(['10.00']);
    const { customerId } = subscription;
    expect(await billed({ customerId, subscriptionId: subscription.id })).toEqual(['3.50']);
    const { body: found } = await api.call('GET', `/v1/invoices?customerId=${customerId}`);
    const invoice = `/v1/invoices/${found.items[0].id}`;
    const { lines } = (await api.call('GET', invoice)).body;
    const path = `${invoice}/lines/${lines[0].id}/explanation`;
    const { usage } = (await api.call('GET', path)).body;
    expect(usage).toMatchObject({ billed: '1000000', counted: '1000000', changedSince: '0' });
    expect((await api.call('GET', `${path}/records`)).body).toMatchObject({
      quantity: '1000000',
      kept: '1000000',
      dropped: '0',
    });
  });

  it("charge the owner's traffic beside what their own key used of the platform's plan", async () => {
    const owner = await anOwner();
    const terms = await platformTerms(owner.accountId);
    const { body: subscription } = await create(terms);
    const { body: platform } = await api.call('GET', '/v1/account');
    const { customerId, usagePlanId } = terms;
    const used = { accountId: platform.id, customerId, usagePlanId, keyId: 'own', meter: 'calls' };
    const quantity = '2000000';
    const hour = new Date(Math.floor(Date.now() / HOUR_MS) * HOUR_MS);
    const call = { apiId: 'own', stage: 'prod', method: 'GET', resourcePath: '/' };
    const db = api.app.get(Database);
    await db.usageHour.create({ data: { ...used, ...call, statusClass: '2xx', quantity, hour } });
    // Whole days are read by the day, and just after midnight this one is.
    const day = new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS);
    await db.usageDay.create({ data: { ...used, quantity, day } });
    await owner.calls('1000000');
    await api.app.get(UsageService).rollUpNow(owner.accountId);
    const { body } = await api.call('GET', `/v1/subscriptions/${subscription.id}/preview`);
    expect(body.lines[0]).toMatchObject({ quantity: '3000000' });
  });

  it('do not let an invoice be final while batches of the owner are missing', async () => {
    const owner = await anOwner();
    const { body: subscription } = await create(await platformTerms(owner.accountId));
    await owner.calls('1000000');
    await owner.calls('1000000', 5);
    const { customerId, id: subscriptionId } = subscription;
    await billed({ customerId, subscriptionId });
    const { body } = await api.call('GET', `/v1/invoices?customerId=${customerId}`);
    const answer = await api.call('POST', `/v1/invoices/${body.items[0].id}/finalise`);
    expect(answer).toMatchObject({
      status: 409,
      body: { type: expect.stringMatching(/usage-gap/) },
    });
  });

  it('answer 409 to a second subscription that charges the account at that time, of ten at once but one', async () => {
    const owner = await anOwner();
    const all = await Promise.all(
      Array.from({ length: 10 }, async () => create(await platformTerms(owner.accountId))),
    );
    const refused = all.filter(({ status }) => status === 409);
    expect(all.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(refused).toHaveLength(9);
    expect(refused[0]?.body).toMatchObject({
      type: expect.stringMatching(/account-billed-already$/),
      billedAccountId: owner.accountId,
    });
  });

  it.each(['a test account', 'no account', 'itself', 'from another account'])(
    'answer 400 that names the field: %s',
    async (why) => {
      const owner = await anOwner(why === 'a test account' ? 'test' : 'live');
      const terms = await platformTerms(owner.accountId);
      const { body: own } = await api.call('GET', '/v1/account');
      const change = { 'no account': 'acc_none', itself: own.id }[why];
      const asked = { ...terms, ...(change !== undefined && { billedAccountId: change }) };
      const token = why === 'from another account' ? (await anOwner()).token : api.ownerToken;
      const { status, body } = await create(asked, token);
      expect(status).toBe(400);
      expect(body.errors).toContainEqual(expect.objectContaining({ pointer: '/billedAccountId' }));
    },
  );
});
