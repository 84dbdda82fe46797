import { InvoicingService } from '@io/billing';
import { expect } from 'vitest';
import { startApi, type Answer, type TestApi } from './api.js';
import { billingRows, type BillingRows } from './billing.js';
import { aCatalogue, type Catalogue } from './catalogue.js';

export const AMAZON = 'amazon-api-gateway-us-east-1';
export const NOVEMBER = { from: '2026-11-01T00:00:00.000Z', to: '2026-12-01T00:00:00.000Z' };

/** Usage of a meter in an hour. */
export interface Usage {
  readonly hour: string;
  readonly quantity: string;
  readonly meter?: string;
}

/** A customer with a key, a plan and a subscription. */
export interface Subscribed extends Catalogue {
  readonly subscriptionId: string;
}

/** A draft, and where it is. */
export interface Drafted extends Subscribed {
  readonly id: string;
  readonly path: string;
}

/** An api in which invoices are made. */
export interface Invoicing {
  readonly api: TestApi;
  readonly rows: BillingRows;
  readonly invoicing: InvoicingService;
  /** Usage as the roll-up leaves it. */
  use(of: Catalogue, usage: Usage): Promise<unknown>;
  /** A customer who uses the Petstore since 1 November, by Amazon's prices unless said otherwise. */
  aSubscriber(change?: object): Promise<Subscribed>;
  /** A draft over a million calls in November: $3.50. */
  aDraft(change?: object): Promise<Drafted>;
  /** The same, final. */
  aFinalised(change?: object): Promise<Drafted>;
  /** The newest first. */
  invoicesOf(of: { readonly customerId: string }): Promise<Record<string, never>[]>;
  post(path: string, token?: string): Promise<Answer>;
}

/** The draft of the first month of a new subscription, by Amazon's prices, when its month has ended. */
export async function draftSince(
  api: TestApi,
  { customerId, usagePlanId }: Pick<Catalogue, 'customerId' | 'usagePlanId'>,
  startsAt: string,
): Promise<string> {
  const body = { customerId, usagePlanId, rateCardId: AMAZON, startsAt };
  expect((await api.call('POST', '/v1/subscriptions', { body })).status).toBe(201);
  await api.app.get(InvoicingService).closeDue();
  const { body: found } = await api.call('GET', `/v1/invoices?customerId=${customerId}`);
  return found['items'][0].id;
}

/** Starts an api, shortly after November has ended. */
export async function startInvoicing(
  settings: Readonly<Record<string, string>> = {},
): Promise<Invoicing> {
  const api = await startApi(settings);
  const rows = await billingRows(api);
  const invoicing = api.app.get(InvoicingService);
  await rows.moveClockTo('2026-12-01T00:10:00Z');

  const use = async (of: Catalogue, { hour, quantity, meter = 'calls' }: Usage) => {
    const { accountId, customerId, keyId, apiId, stage, usagePlanId } = of;
    const row = { accountId, customerId, keyId, apiId, stage, usagePlanId, meter, quantity };
    const call = { method: 'GET', resourcePath: '/pets', statusClass: '2xx' };
    await rows.db.usageHour.create({ data: { ...row, ...call, hour: new Date(hour) } });
    await rows.db.$executeRaw`
      INSERT INTO usage_day AS d (customer_id, key_id, day, meter, usage_plan_id, account_id, quantity)
      VALUES (${customerId}, ${keyId}, ${new Date(`${hour.slice(0, 10)}T00:00:00Z`)}, ${meter}, ${usagePlanId}, ${accountId},
        ${quantity}::numeric)
      ON CONFLICT (customer_id, key_id, day, meter, usage_plan_id) DO UPDATE SET quantity = d.quantity + excluded.quantity`;
  };
  const post = (path: string, token?: string) =>
    api.call('POST', path, token === undefined ? {} : { token });
  const aSubscriber = async (change: object = {}): Promise<Subscribed> => {
    const catalogue = await aCatalogue(api);
    const { customerId, usagePlanId } = catalogue;
    const terms = { customerId, usagePlanId, rateCardId: AMAZON, startsAt: NOVEMBER.from };
    const body = { ...terms, ...change };
    const { body: subscription } = await api.call('POST', '/v1/subscriptions', { body });
    return { ...catalogue, subscriptionId: subscription.id };
  };
  const invoicesOf = async ({ customerId }: { readonly customerId: string }) => {
    const { body } = await api.call('GET', `/v1/invoices?customerId=${customerId}&limit=500`);
    return body.items as Record<string, never>[];
  };
  const aDraft = async (change: object = {}): Promise<Drafted> => {
    const subscriber = await aSubscriber(change);
    await use(subscriber, { hour: '2026-11-15T10:00:00Z', quantity: '1000000' });
    await invoicing.closeDue();
    const [invoice] = await invoicesOf(subscriber);
    return { ...subscriber, id: String(invoice?.['id']), path: `/v1/invoices/${invoice?.['id']}` };
  };
  const aFinalised = async (change: object = {}): Promise<Drafted> => {
    const draft = await aDraft(change);
    const { status, body } = await post(`${draft.path}/finalise`);
    if (status !== 200) throw new Error(JSON.stringify(body));
    return draft;
  };
  return { api, rows, invoicing, use, aSubscriber, aDraft, aFinalised, invoicesOf, post };
}
