import { InvoicingService } from '@io/billing';
import { Database } from '@io/platform';
import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';
import { anExchange } from '../support/exchanges.js';
import { documentedRoutes, pathOf, type Route } from '../support/openapi-routes.js';

/**
 * Every route with an id in its path, asked for what belongs to somebody else. A new route needs a row in ROWS: with
 * `{}` when it takes no body, or with a body that would be accepted from the owner. A new kind of id needs its sample
 * in `ids`. Routes that customers may use say so; they answer 404 to the wrong customer, the others 403.
 */
interface Row {
  readonly body?: (ids: Ids) => unknown;
  readonly customersToo?: boolean;
  /** What the owner is answered where it is not 200: the row is found, and not in a state to be shown so. */
  readonly refusedWith?: number;
}

/** One id of the first account per path parameter; of routes that all say `{id}`, by the path's first word. */
type Ids = Readonly<Record<string, string>>;

const NAME = { body: () => ({ name: 'x' }) };
const ITEM = {
  meter: 'calls',
  description: 'Calls',
  price: { model: 'per-unit', unitAmount: '0.01' },
};

const ROWS: Readonly<Record<string, Row>> = {
  'GET /v1/apis/{apiId}': {},
  'PATCH /v1/apis/{apiId}': NAME,
  'DELETE /v1/apis/{apiId}': {},
  'PUT /v1/apis/{apiId}/document': {
    body: () => ({ openapi: '3.0.3', info: { title: 'x', version: '1' }, paths: {} }),
  },
  'GET /v1/apis/{apiId}/methods': {},
  'GET /v1/apis/{apiId}/stages': {},
  'POST /v1/apis/{apiId}/stages': NAME,
  'GET /v1/apis/{apiId}/stages/{stage}': {},
  'PATCH /v1/apis/{apiId}/stages/{stage}': { body: () => ({ description: 'x' }) },
  'DELETE /v1/apis/{apiId}/stages/{stage}': {},
  'GET /v1/usage-plans/{usagePlanId}': {},
  'PATCH /v1/usage-plans/{usagePlanId}': NAME,
  'DELETE /v1/usage-plans/{usagePlanId}': {},
  'GET /v1/usage-plans/{usagePlanId}/keys': {},
  'POST /v1/usage-plans/{usagePlanId}/keys': { body: ({ keyId }) => ({ keyId }) },
  'GET /v1/usage-plans/{usagePlanId}/keys/{keyId}': {},
  'PATCH /v1/usage-plans/{usagePlanId}/keys/{keyId}': { body: () => ({ throttle: null }) },
  'DELETE /v1/usage-plans/{usagePlanId}/keys/{keyId}': {},
  'GET /v1/usage-plans/{usagePlanId}/keys/{keyId}/quota-extensions': {},
  'POST /v1/usage-plans/{usagePlanId}/keys/{keyId}/quota-extensions': {
    body: () => ({ units: 1, reason: 'x' }),
  },
  'GET /v1/api-keys/{keyId}': { customersToo: true },
  'GET /v1/api-keys/{keyId}/usage-so-far': { customersToo: true },
  'PATCH /v1/api-keys/{keyId}': NAME,
  'DELETE /v1/api-keys/{keyId}': {},
  'POST /v1/api-keys/{keyId}/rotations': { body: () => ({ overlapSeconds: 0 }) },
  'GET /v1/coupons/{id}': {},
  'PATCH /v1/coupons/{id}': NAME,
  'DELETE /v1/coupons/{id}': {},
  'POST /v1/coupons/{id}/preview': { body: () => ({ subscriptionId: 'sub_x' }) },
  'POST /v1/coupon-redemptions/{id}/end': {},
  'GET /v1/customers/{customerId}': {},
  'PATCH /v1/customers/{customerId}': NAME,
  'DELETE /v1/customers/{customerId}': {},
  'POST /v1/customers/{customerId}/tokens': NAME,
  'GET /v1/customers/{customerId}/stripe': { customersToo: true },
  'PUT /v1/customers/{customerId}/stripe': { body: () => ({}) },
  'POST /v1/customers/{customerId}/stripe/setup-sessions': {
    customersToo: true,
    body: () => ({ successUrl: 'https://x.example/', cancelUrl: 'https://x.example/' }),
  },
  'POST /v1/customers/{customerId}/stripe/portal-sessions': {
    customersToo: true,
    body: () => ({ returnUrl: 'https://x.example/' }),
  },
  'POST /v1/stripe/unpushed-invoices/{invoiceId}/push': {},
  'GET /v1/customers/{customerId}/balance': { customersToo: true },
  'GET /v1/exchanges/{exchangeId}': {},
  'POST /v1/exchanges/{exchangeId}/retry': { body: () => ({ reason: 'x' }) },
  'POST /v1/exchanges/{exchangeId}/resolve': { body: () => ({ reason: 'x' }) },
  'GET /v1/customers/{customerId}/credits': { customersToo: true },
  'GET /v1/customers/{customerId}/wallets/{currency}': { customersToo: true },
  'PUT /v1/customers/{customerId}/wallets/{currency}': { body: () => ({ hardStop: false }) },
  'POST /v1/customers/{customerId}/blocks': { body: () => ({ note: 'x' }) },
  'DELETE /v1/customer-blocks/{blockId}': {},
  'POST /v1/customers/{customerId}/credit-grants': {
    body: () => ({ kind: 'paid', name: 'x', amount: '1', reference: 'y' }),
  },
  'GET /v1/credit-grants/{id}': { customersToo: true },
  'POST /v1/credit-grants/{id}/void': { body: () => ({ reason: 'x' }) },
  'GET /v1/gateways/{gatewayId}': {},
  'PATCH /v1/gateways/{gatewayId}': NAME,
  'DELETE /v1/gateways/{gatewayId}': {},
  'POST /v1/gateways/{gatewayId}/tokens': NAME,
  'DELETE /v1/tokens/{tokenId}': {},
  'POST /v1/usage/incidents/{incidentId}/acknowledge': { body: () => ({ reason: 'x' }) },
  'GET /v1/usage/corrections/{correctionId}': {},
  'POST /v1/usage/corrections/{correctionId}/drop': { body: () => ({ reason: 'x' }) },
  'GET /v1/usage/quarantine/{recordId}': {},
  'POST /v1/usage/quarantine/{recordId}/drop': { body: () => ({ reason: 'x' }) },
  'POST /v1/usage/quarantine/{recordId}/replay': { body: () => ({}) },
  'GET /v1/meters/{meter}': {},
  'PATCH /v1/meters/{meter}': { body: () => ({ isActive: false }) },
  'DELETE /v1/meters/{meter}': {},
  'GET /v1/rate-cards/{id}': {},
  'POST /v1/rate-cards/{id}/versions': { body: () => ({ items: [ITEM] }) },
  'POST /v1/rate-cards/{id}/migrations': { body: () => ({ fromVersion: 1 }) },
  'POST /v1/rate-cards/{id}/quote': { body: () => ({ usage: { calls: '1' } }) },
  'GET /v1/subscriptions/{id}': { customersToo: true },
  'GET /v1/subscriptions/{id}/preview': { customersToo: true },
  'GET /v1/subscriptions/{id}/projection': { customersToo: true },
  'GET /v1/invoices/{id}': { customersToo: true },
  'GET /v1/invoices/{id}/csv': { customersToo: true },
  'GET /v1/invoices/{id}/statement': { customersToo: true, refusedWith: 409 },
  'GET /v1/invoices/{id}/pdf': { customersToo: true },
  'GET /v1/invoices/{id}/ubl': { customersToo: true, refusedWith: 409 },
  'GET /v1/invoices/{id}/cii': { customersToo: true, refusedWith: 409 },
  'POST /v1/invoices/{id}/refresh': {},
  'POST /v1/invoices/{id}/approve': {},
  'POST /v1/invoices/{id}/finalise': {},
  'POST /v1/invoices/{id}/pay': {},
  'POST /v1/invoices/{id}/void': {},
  'POST /v1/invoices/{id}/mark-uncollectible': {},
  'GET /v1/invoices/{id}/payments': { customersToo: true },
  'GET /v1/invoices/{id}/stripe': { customersToo: true },
  'POST /v1/invoices/{id}/payments': { body: () => ({ amount: '1', reference: 'x' }) },
  'POST /v1/invoices/{id}/reissue': {},
  'POST /v1/invoices/{id}/lines': {
    body: () => ({ description: 'x', amount: '1', reason: 'x' }),
  },
  'DELETE /v1/invoices/{id}/lines/{lineId}': {},
  'GET /v1/invoices/{id}/lines/{lineId}/explanation': { customersToo: true },
  'GET /v1/invoices/{id}/lines/{lineId}/explanation/hours': { customersToo: true },
  'GET /v1/invoices/{id}/lines/{lineId}/explanation/batches': {
    customersToo: true,
    refusedWith: 400,
  },
  'GET /v1/invoices/{id}/lines/{lineId}/explanation/records': {
    customersToo: true,
    refusedWith: 400,
  },
  'POST /v1/invoices/{id}/credit-notes': { body: () => ({ reason: 'x' }) },
  'GET /v1/credit-notes/{id}': { customersToo: true },
  'GET /v1/credit-notes/{id}/pdf': { customersToo: true },
  'GET /v1/credit-notes/{id}/ubl': { customersToo: true, refusedWith: 422 },
  'GET /v1/credit-notes/{id}/cii': { customersToo: true, refusedWith: 422 },
  'GET /v1/issuers/{issuerId}': {},
  'PATCH /v1/issuers/{issuerId}': NAME,
  'GET /v1/tax-rules/{taxRuleId}': {},
  'PATCH /v1/tax-rules/{taxRuleId}': NAME,
  'DELETE /v1/tax-rules/{taxRuleId}': {},
  'GET /v1/alert-rules/{ruleId}': {},
  'PATCH /v1/alert-rules/{ruleId}': NAME,
  'DELETE /v1/alert-rules/{ruleId}': {},
  'GET /v1/alert-rules/{ruleId}/crossings': {},
  'GET /v1/marketplace/products/{productId}': {},
  'PATCH /v1/marketplace/products/{productId}': NAME,
  'GET /v1/marketplace/agreements/{agreementId}': { customersToo: true },
  'POST /v1/marketplace/agreements/{agreementId}/assign': { body: () => ({}) },
  'POST /v1/marketplace/queue-messages/{queueMessageId}/retry': {},
  'POST /v1/marketplace/queue-messages/{queueMessageId}/dismiss': { body: () => ({ note: 'x' }) },
  'GET /v1/marketplace/metering-records/{ledgerRecordId}': {},
  'POST /v1/marketplace/metering-records/{ledgerRecordId}/retry': {},
  'POST /v1/marketplace/metering-records/{ledgerRecordId}/resolve': {
    body: () => ({ resolution: 'write-off', note: 'x' }),
  },
  'GET /v1/export-schedules/{scheduleId}': {},
  'PATCH /v1/export-schedules/{scheduleId}': { body: () => ({ delayHours: 1 }) },
  'DELETE /v1/export-schedules/{scheduleId}': {},
  'GET /v1/export-schedules/{scheduleId}/runs': {},
  'POST /v1/export-schedules/{scheduleId}/runs': { body: () => ({}) },
  'POST /v1/export-schedules/{scheduleId}/dry-runs': { body: () => ({}) },
  'GET /v1/webhook-endpoints/{endpointId}': {},
  'PATCH /v1/webhook-endpoints/{endpointId}': { body: () => ({ description: 'x' }) },
  'DELETE /v1/webhook-endpoints/{endpointId}': {},
  'POST /v1/webhook-endpoints/{endpointId}/secret-rotations': { body: () => ({}) },
  'POST /v1/webhook-endpoints/{endpointId}/test-events': {},
  'GET /v1/webhook-endpoints/{endpointId}/deliveries': {},
  'GET /v1/webhook-endpoints/{endpointId}/deliveries/{eventId}/attempts': {},
  'POST /v1/webhook-endpoints/{endpointId}/replays': { body: ({ eventId }) => ({ eventId }) },
  'POST /v1/subscriptions/{id}/changes': { body: () => ({ addOns: [] }) },
  'POST /v1/subscriptions/{id}/changes/preview': { body: () => ({ addOns: [] }) },
  'POST /v1/subscriptions/{id}/pause': {},
  'POST /v1/subscriptions/{id}/resume': {},
  'POST /v1/subscriptions/{id}/cancel': {},
  'POST /v1/subscriptions/{id}/end': { body: () => ({ at: '2030-01-01T00:00:00Z' }) },
};

/** Routes whose path parameters are no ids of rows, or whose caller is a gateway. They have tests of their own. */
const NOT_HERE = [/ \/v1\/forward-auth\//, / \/v1\/exports\//, / \/v1\/stripe\/(events|payouts)\//];

let api: TestApi;
let ids: Ids;
let routes: readonly Route[];
/** The last event of the audit log once all is made. */
let changes: number;
let others: Readonly<Record<'owner of another account' | 'another customer' | 'a gateway', string>>;

beforeAll(async () => {
  api = await startApi();
  const make = controlPlane(api);
  const { apiId, stage } = await make.apiStage();
  const plan = await make.usagePlan({ apiStages: [{ apiId, stage }] });
  const key = await make.apiKey();
  await api.call('POST', `/v1/usage-plans/${plan.id}/keys`, { body: { keyId: key.id } });
  const card = await make.rateCard([ITEM]);
  const subscription = await make.subscription({
    customerId: key.customerId,
    usagePlanId: plan.id,
    rateCardId: card.id,
  });
  const inTwoMonths = new Date(Date.now() + 62 * 86_400_000).toISOString();
  await api.call('POST', '/v1/test-clock', { body: { now: inTwoMonths } });
  await api.app.get(InvoicingService, { strict: false }).closeDue();
  const { body: rule } = await api.call('POST', '/v1/alert-rules', {
    body: { name: 'x', measure: 'usage', thresholds: ['1'] },
  });
  const { body: endpoint } = await api.call('POST', '/v1/webhook-endpoints', {
    body: { url: 'https://hooks.example/' },
  });
  const { body: schedule } = await api.call('POST', '/v1/export-schedules', {
    body: {
      export: 'journal',
      format: 'csv',
      interval: 'day',
      target: {
        kind: 's3',
        endpoint: 'https://s3.example/',
        region: 'eu-test-1',
        bucket: 'finance',
        accessKeyId: 'AKID',
        secretAccessKey: 'secret',
      },
    },
  });
  const testPath = `/v1/webhook-endpoints/${endpoint.id}/test-events`;
  const { eventId } = (await api.call('POST', testPath)).body;
  const { body: invoices } = await api.call('GET', '/v1/invoices');
  const { body: issuer } = await api.call('POST', '/v1/issuers', {
    body: { series: 'DE', name: 'x' },
  });
  const { body: taxRule } = await api.call('POST', '/v1/tax-rules', {
    body: { name: 'VAT', category: 'standard', ratePercent: '19' },
  });
  const stripe = { customerId: key.customerId, collection: 'send-invoice' };
  const { id: accountId } = (await api.call('GET', '/v1/account')).body;
  await api.app.get(Database).stripeCustomer.create({ data: { accountId, ...stripe } });
  const pushed = { accountId, invoiceId: invoices.items[0].id, customerId: key.customerId };
  await api.app
    .get(Database)
    .stripeInvoice.create({ data: { ...pushed, stripeInvoiceId: 'in_1', status: 'open' } });
  const meter = await make.meter({ name: 'chats', aggregation: 'count', eventType: 'chat' });
  const { body: grant } = await api.call('POST', `/v1/customers/${key.customerId}/credit-grants`, {
    body: { kind: 'paid', name: 'x', amount: '1', reference: 'x' },
  });
  const { body: block } = await api.call('POST', `/v1/customers/${key.customerId}/blocks`, {
    body: { note: 'x' },
  });
  const { body: coupon } = await api.call('POST', '/v1/coupons', {
    body: { code: 'X1', name: 'x', percent: '1', duration: 'once' },
  });
  const { body: redemption } = await api.call('POST', '/v1/coupon-redemptions', {
    body: { code: 'X1', customerId: key.customerId },
  });
  await api.call('PUT', `/v1/customers/${key.customerId}/wallets/USD`, {
    body: { hardStop: false },
  });
  ids = {
    apiId,
    currency: 'USD',
    blockId: block.id,
    meter: meter.name,
    stage,
    usagePlanId: plan.id,
    keyId: key.id,
    customerId: key.customerId,
    gatewayId: (await make.gateway('edge')).id,
    tokenId: (await make.operatorToken('support')).id,
    ruleId: rule.id,
    endpointId: endpoint.id,
    scheduleId: schedule.id,
    eventId,
    incidentId: await anIncident({ keyId: key.id, apiId, stage }),
    correctionId: await aWaitingCorrection(),
    recordId: await aQuarantinedRecord(),
    taxRuleId: taxRule.id,
    invoiceId: invoices.items[0].id,
    exchangeId: await anExchange(api.app.get(Database), {
      accountId,
      status: 'dead',
    }),
    lineId: await aLine(invoices.items[0].id),
    issuerId: issuer.id,
    ...(await aMeteringRecord(key.customerId)),
    'credit-notes': await aCreditNote(invoices.items[0].id),
    'credit-grants': grant.id,
    coupons: coupon.id,
    'coupon-redemptions': redemption.id,
    'rate-cards': card.id,
    subscriptions: subscription.id,
    invoices: invoices.items[0].id,
  };
  others = {
    'owner of another account': (await make.account()).token,
    'another customer': (await make.customerToken((await make.customer()).id)).value,
    'a gateway': api.gatewayToken,
  };
  changes = (await api.call('GET', '/v1/audit-events?limit=1')).body.items[0].sequence;
  const documented = await documentedRoutes(api);
  routes = documented.filter(
    ({ name, pathParameters }) =>
      pathParameters.length > 0 && !NOT_HERE.some((pattern) => pattern.test(name)),
  );
});

/** A credit note of an invoice; over what it says, nobody asks here. */
async function aCreditNote(invoiceId: string): Promise<string> {
  const db = api.app.get(Database);
  const { accountId, customerId, currency, timezone, issuer, recipient } =
    await db.invoice.findUniqueOrThrow({ where: { id: invoiceId } });
  const parties = { issuer: issuer as object, recipient: recipient as object };
  const sums = { subtotalMinor: 1n, taxMinor: 0n, totalMinor: 1n, taxes: [] };
  const why = { reason: 'x', restTo: 'cash', createdBy: 'x', createdAt: new Date() };
  const of = { accountId, customerId, invoiceId, currency, timezone };
  const note = { id: 'cn_1', number: 'CN-000001', ...of, ...parties, ...sums, ...why };
  const { id } = await db.creditNote.create({ data: note });
  return id;
}

/** The line of a meter on an invoice that is a draft still. */
async function aLine(invoiceId: string): Promise<string> {
  const db = api.app.get(Database);
  const { accountId, customerId } = await db.invoice.findUniqueOrThrow({
    where: { id: invoiceId },
  });
  const of = { accountId, customerId, invoiceId, ordinal: 0, description: 'x', meter: 'calls' };
  const { body: card } = await api.call('GET', '/v1/rate-cards?limit=1');
  const { id: rateCardId, version: rateCardVersion } = card.items[0];
  const rated = {
    rateCardId,
    rateCardVersion,
    priceId: 'calls',
    price: ITEM.price,
    meter: 'calls',
  };
  const amounts = { quantity: '1', units: '1', tiers: [], grossAmount: '0.01' };
  const snapshot = { ...rated, ...amounts, exactAmount: '0.01', roundedMinor: '1' };
  const line = { id: 'line_1', ...of, quantity: '1', amount: '0.01', amountMinor: 1n, snapshot };
  return (await db.invoiceLine.create({ data: line })).id;
}

/** A product, an agreement of the customer, and a record that was given up. */
async function aMeteringRecord(customerId: string) {
  const post = async (path: string, body: object) =>
    (await api.call('POST', `/v1/marketplace/${path}`, { body })).body;
  const product = await post('products', { productCode: 'prod1', name: 'x' });
  const agreement = { productId: product.id, customerId, customerIdentifier: 'X1' };
  const { id: agreementId } = await post('agreements', agreement);
  const db = api.app.get(Database);
  const { accountId } = await db.customer.findUniqueOrThrow({ where: { id: customerId } });
  const hour = new Date('2026-11-10T09:00:00Z');
  const of = { accountId, customerId, agreementId, productId: product.id };
  const what = { dimension: 'apigateway', hour, region: 'us-east-1', quantity: 1 };
  const times = { deadlineAt: hour, nextAttemptAt: hour, createdAt: hour };
  const sent = { payload: '{}', batchKey: 'x', state: 'dead' };
  const record = { id: 'mrec_1', ...of, ...what, ...times, ...sent };
  const { id: ledgerRecordId } = await db.marketplaceRecord.create({ data: record });
  const queue = { queueUrl: 'https://sqs.us-east-1.amazonaws.com/123456789012/q', messageId: 'm' };
  const kept = { id: 'mqm_1', accountId, ...queue, body: '{}', sentAt: hour, fault: 'x' };
  await db.marketplaceQueueMessage.create({ data: { ...kept, createdAt: hour } });
  return { productId: product.id, agreementId, ledgerRecordId, queueMessageId: kept.id };
}

/** A batch number that was used for two contents. */
async function anIncident(place: Record<string, string>): Promise<string> {
  for (const calls of ['1', '2']) {
    const record = {
      ...place,
      at: (await api.call('GET', '/v1/test-clock')).body.now,
      method: 'GET',
      resourcePath: '/pets',
      statusClass: '2xx',
      quantities: { calls },
    };
    const body = { epoch: 'e', sequence: 0, records: [record] };
    await api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
  }
  const { body } = await api.call('GET', '/v1/usage/incidents');
  return body.items[0].id;
}

async function aQuarantinedRecord(): Promise<string> {
  const body = { epoch: 'bad', sequence: 0, records: [{ at: 'never' }] };
  await api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
  return (await api.call('GET', '/v1/usage/quarantine')).body.items[0].id;
}

async function aWaitingCorrection(): Promise<string> {
  const voids = { epoch: 'never', sequence: 0, index: 0 };
  const body = { epoch: 'voids', sequence: 0, records: [{ voids }] };
  await api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
  return (await api.call('GET', '/v1/usage/corrections')).body.items[0].id;
}

/** The route's path with ids of the first account; a bare `{id}` is one of what the path begins with. */
function samplePath(route: Route): string {
  const noun = route.path.split('/')[2] ?? '';
  return pathOf(route, { ...ids, ...(ids[noun] === undefined ? {} : { id: ids[noun] }) });
}

const ask = (route: Route, token: string | null) => {
  const body = ROWS[route.name]?.body?.(ids);
  return api.call(route.method, samplePath(route), {
    token,
    ...(body === undefined ? {} : { body }),
  });
};

it('has a row for every route with an id, and no row without a route', () => {
  expect(routes.map(({ name }) => name)).toEqual(Object.keys(ROWS).sort());
});

it('has ids that their owner finds', async () => {
  const answers = [];
  for (const route of routes.filter(({ method }) => method === 'GET')) {
    answers.push({ route: route.name, status: (await ask(route, api.ownerToken)).status });
  }
  expect(answers).toEqual(
    answers.map(({ route }) => ({ route, status: ROWS[route]?.refusedWith ?? 200 })),
  );
});

describe.each([
  { who: 'owner of another account', status: () => 404 },
  { who: 'another customer', status: (row?: Row) => (row?.customersToo ? 404 : 403) },
  { who: 'a gateway', status: () => 403 },
  { who: null, status: () => 401 },
] as const)('foreign ids, asked for by $who', ({ who, status }) => {
  it('are not there, on any route', async () => {
    const answers = [];
    for (const route of routes) {
      const { status } = await ask(route, who && others[who]);
      answers.push({ route: route.name, status });
    }
    expect(answers).toEqual(
      routes.map(({ name }) => ({ route: name, status: status(ROWS[name]) })),
    );
  });
});

it('left everything as it was', async () => {
  expect((await api.call('GET', '/v1/audit-events?limit=1')).body.items[0].sequence).toBe(changes);
});
