import { randomBytes } from 'node:crypto';
import { MeteringSenderService, SealingService } from '@io/marketplace';
import { afterFile } from './after-file.js';
import { startApi, type TestApi } from './api.js';
import { billingRows, type BillingRows } from './billing.js';
import { aKeyInPlan } from './factories.js';
import { MarketplaceStandIn } from './marketplace.js';
import pg from 'pg';

/** An api that meters to a stand-in of AWS Marketplace, at the time of its account's test clock. */
export interface MeteredMarketplace {
  readonly api: TestApi;
  readonly rows: BillingRows;
  readonly aws: MarketplaceStandIn;
  readonly db: pg.Pool;
  /** A product with a plan whose usage is metered for it. */
  product(body?: object): Promise<{ id: string; productCode: string }>;
  /** A buyer with a key under the product's plan, whose agreement runs. */
  buyer(product: { id: string; productCode: string }, body?: object): Promise<MeteredBuyer>;
  /** Calls that a buyer made in an hour, as they are rolled up. */
  use(buyer: MeteredBuyer, at: string, quantity: string, change?: object): Promise<void>;
  moveTo(instant: string): Promise<void>;
  seal(): Promise<number>;
  send(): Promise<number>;
  /** Lets what waits for a pause be sent at once. */
  hurry(): Promise<void>;
  records(agreementId: string): Promise<LedgerRow[]>;
}

export interface MeteredBuyer {
  readonly agreementId: string;
  readonly customerId: string;
  readonly customerIdentifier: string;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly usagePlanId: string;
}

export interface LedgerRow {
  readonly id: string;
  readonly dimension: string;
  readonly hour: string;
  readonly quantity: number;
  readonly state: string;
  readonly reason: string | null;
}

/** Starts all of it, and stops it after the file. */
export async function startMarketplace(
  settings: Readonly<Record<string, string>> = {},
): Promise<MeteredMarketplace> {
  const aws = await MarketplaceStandIn.start();
  afterFile(() => aws.stop());
  const api = await startApi({
    AWS_MARKETPLACE_ENDPOINT: aws.url,
    ...settings,
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  });
  const rows = await billingRows(api);
  const db = new pg.Pool({ connectionString: api.databaseUrl });
  afterFile(() => db.end());
  let offsetMs = 0;
  aws.now = () => new Date(Date.now() + offsetMs);

  return {
    api,
    rows,
    aws,
    db,
    product: async (body = {}) => {
      const productCode = `prod-${randomBytes(6).toString('hex')}`;
      const given = { productCode, name: 'Petstore', ...body };
      const { body: product } = await api.call('POST', '/v1/marketplace/products', { body: given });
      return { id: product.id, productCode };
    },
    buyer: async ({ id: productId, productCode }, body = {}) => {
      const key = await aKeyInPlan(db, rows.accountId);
      await rows.db.usagePlan.update({ where: { id: key.usagePlanId }, data: { productCode } });
      const customerIdentifier = `X${randomBytes(5).toString('hex')}`;
      const { customerId } = key;
      const agreement = { productId, customerId, customerIdentifier, isActive: true, ...body };
      const answer = await api.call('POST', '/v1/marketplace/agreements', { body: agreement });
      aws.subscribe({ CustomerIdentifier: customerIdentifier });
      return { ...key, agreementId: answer.body.id, customerIdentifier };
    },
    use: async ({ customerId, keyId, apiId, stage, usagePlanId }, at, quantity, change = {}) => {
      const hour = new Date(Math.floor(Date.parse(at) / 3_600_000) * 3_600_000);
      const of = { accountId: rows.accountId, customerId, keyId, apiId, stage, usagePlanId };
      const call = { method: 'GET', resourcePath: '/pets', statusClass: '2xx', meter: 'calls' };
      const { accountId, ...where } = { ...of, ...call, hour, ...change };
      const known = await rows.db.usageHour.updateMany({
        where,
        data: { quantity: { increment: quantity } },
      });
      if (known.count === 0)
        await rows.db.usageHour.create({ data: { accountId, ...where, quantity } });
    },
    moveTo: async (instant) => {
      offsetMs = Date.parse(instant) - Date.now();
      await rows.moveClockTo(instant);
    },
    seal: () => api.app.get(SealingService, { strict: false }).sealDue(),
    send: () => api.app.get(MeteringSenderService, { strict: false }).sendDue(),
    hurry: async () => {
      await db.query(
        `UPDATE marketplace_record SET next_attempt_at = now() - interval '1 s', sending_until = NULL WHERE state = 'pending'`,
      );
    },
    records: async (agreementId) => {
      const found = await rows.db.marketplaceRecord.findMany({
        where: { agreementId },
        orderBy: [{ dimension: 'asc' }, { hour: 'asc' }],
      });
      return found.map(({ id, dimension, hour, quantity, state, reason }) => ({
        id,
        dimension,
        hour: hour.toISOString(),
        quantity,
        state,
        reason,
      }));
    },
  };
}
