import assert from 'node:assert';
import type { INestApplicationContext, Type } from '@nestjs/common';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Database, PlatformModule } from '@io/platform';
import { readCsv } from '../../apps/cli/src/exports/read-csv.js';
import { afterFile } from './after-file.js';
import { BillingWorkerModule } from '../../apps/worker/src/billing/billing-worker.module.js';
import { ClosePeriodsProcessor } from '../../apps/worker/src/billing/close-periods.processor.js';
import { ExpireCreditsProcessor } from '../../apps/worker/src/billing/expire-credits.processor.js';
import { FinaliseInvoicesProcessor } from '../../apps/worker/src/billing/finalise-invoices.processor.js';
import { MoveSubscriptionKeysProcessor } from '../../apps/worker/src/billing/move-subscription-keys.processor.js';
import { RunDunningProcessor } from '../../apps/worker/src/billing/run-dunning.processor.js';
import { WatchWalletsProcessor } from '../../apps/worker/src/billing/watch-wallets.processor.js';
import { RollUpUsageProcessor } from '../../apps/worker/src/usage/roll-up-usage.processor.js';
import { UsageModule } from '../../apps/worker/src/usage/usage.module.js';
import { startApi, type TestApi } from './api.js';
import { Buyer } from './buyer.js';
import { controlPlane } from './control-plane.js';

type Body = Record<string, unknown>;

/** What the worker does of itself, as its schedules have it. */
const JOBS: readonly Type<{ process(): Promise<unknown> }>[] = [
  RollUpUsageProcessor,
  MoveSubscriptionKeysProcessor,
  ExpireCreditsProcessor,
  ClosePeriodsProcessor,
  FinaliseInvoicesProcessor,
  RunDunningProcessor,
  WatchWalletsProcessor,
];

/** The worker without its schedules: a story says when its jobs run, and waits for none. */
@Module({ imports: [PlatformModule, UsageModule, BillingWorkerModule] })
class JobsModule {}

/** What is sold: a usage plan, and the rate card that it is charged by. */
export interface Offer {
  readonly usagePlanId: string;
  readonly rateCardId: string;
}

/** Prices as a rate card has them. */
export const fee = (amount: string, price: Body = {}) => ({
  id: 'fee',
  meter: null,
  description: 'Fee',
  price: { model: 'flat', amount, ...price },
});
export const perCall = (unitAmount: string, price: Body = {}) =>
  calls({ model: 'per-unit', unitAmount, ...price });
export const calls = (price: Body) => ({
  id: 'calls',
  meter: 'calls',
  description: 'Calls',
  price,
});

/** One api and the jobs of one worker, for all stories of a file. */
export interface Stories {
  /** Opens a business in test mode, with a clock of its own that shows `now`. */
  opens(now: string, account?: Body): Promise<Business>;
  /** Opens one that lives by the time of the world. */
  opensLive(): Promise<Business>;
  /** The business that bills all others for their traffic. */
  platform(): Promise<Business>;
}

export async function startStories(): Promise<Stories> {
  const api = await startApi({ TOLLGATE_DEMO: 'off' });
  const jobs = await NestFactory.createApplicationContext(JobsModule, { logger: ['fatal'] });
  afterFile(() => jobs.close());
  const opened = async (owner: { readonly token: string; readonly accountId: string }) => {
    const business = new Business(api, jobs, owner);
    await business.opensTheDoor();
    return business;
  };
  const account = async (mode: string) => {
    const { id, token } = await controlPlane(api).account(mode);
    return { accountId: String(id), token: String(token) };
  };
  return {
    opens: async (now, change = {}) => {
      const owner = await account('test');
      // A story plays in its own year, whenever it is told. From then on its clock is only moved.
      const clockOffsetMs = BigInt(Date.parse(now) - Date.now());
      const where = { id: owner.accountId };
      await api.app.get(Database).account.update({ where, data: { clockOffsetMs } });
      const business = await opened(owner);
      if (Object.keys(change).length > 0) await business.call('PATCH', '/v1/account', change);
      return business;
    },
    opensLive: async () => opened(await account('live')),
    platform: async () => {
      const { body } = await api.call('GET', '/v1/account');
      return opened({ accountId: String(body['id']), token: api.ownerToken });
    },
  };
}

/** An API owner, who sells plans and lets time pass. All through the public api. */
export class Business {
  readonly token: string;
  readonly accountId: string;
  private readonly make: ReturnType<typeof controlPlane>;
  private stage = { apiId: '', stage: '' };
  private gatewayToken = '';
  private gatewayId = '';
  private batches = 0;

  constructor(
    private readonly api: TestApi,
    private readonly jobs: INestApplicationContext,
    owner: { readonly token: string; readonly accountId: string },
  ) {
    ({ token: this.token, accountId: this.accountId } = owner);
    this.make = controlPlane(api, this.token);
  }

  /** An api with one stage, behind one gateway. */
  async opensTheDoor(): Promise<void> {
    this.stage = await this.make.apiStage();
    const { id, token } = await this.make.gateway('edge');
    [this.gatewayId, this.gatewayToken] = [String(id), String(token)];
  }

  /** Asks the api as the owner, who is answered well. */
  async call(method: string, path: string, body?: unknown) {
    const answer = await this.tries(method, path, body);
    const said = `${method} ${path} ${answer.status} ${JSON.stringify(answer.body)}`;
    assert(answer.status < 300, said);
    return answer.body;
  }

  /** Asks the api as the owner, who may be refused. */
  async tries(method: string, path: string, body?: unknown) {
    const { token } = this;
    return this.api.call(method, path, { token, ...(body !== undefined && { body }) });
  }

  /** Time passes, and the worker does what is due by then. */
  async itIs(now: string): Promise<void> {
    await this.call('POST', '/v1/test-clock', { now });
    await this.worksOff();
  }

  /** The worker does what is due. */
  async worksOff(): Promise<void> {
    for (const job of JOBS) await this.jobs.get(job, { strict: false }).process();
  }

  /** Offers a plan at prices, in dollars unless it says otherwise. */
  async sells(
    name: string,
    items: readonly Body[],
    { currency = 'USD', ...plan }: Body = {},
  ): Promise<Offer> {
    const apiStages = [this.stage];
    const { id: usagePlanId } = await this.make.usagePlan({ name, apiStages, ...plan });
    const rateCardId = await this.prices(name, items, { currency });
    return { usagePlanId: String(usagePlanId), rateCardId };
  }

  /** Writes a rate card; answers its id. */
  async prices(name: string, items: readonly Body[], { currency = 'USD' }: Body = {}) {
    const { id } = await this.call('POST', '/v1/rate-cards', { name, currency, items });
    return String(id);
  }

  /** A customer signs up for an offer, now unless `terms` say since when. */
  async signsUp(who: Body & { name: string }, offer: Offer, terms: Body = {}): Promise<Buyer> {
    const { id } = await this.make.customer(who);
    return this.subscribes(String(id), offer, terms);
  }

  /** A customer who is there already subscribes to one more, with a key of its own. */
  async subscribes(customerId: string, offer: Offer, terms: Body = {}): Promise<Buyer> {
    const { id, value } = await this.make.apiKey({ customerId });
    const keyId = String(id);
    await this.call('POST', `/v1/usage-plans/${offer.usagePlanId}/keys`, { keyId });
    const body = { customerId, ...offer, ...terms };
    const subscription = await this.call('POST', '/v1/subscriptions', body);
    const subscriptionId = String(subscription['id']);
    return new Buyer(this, { customerId, keyId, apiKey: String(value), subscriptionId });
  }

  /** What a customer used, as the gateway reports it. */
  async reports(
    keyId: string,
    at: string,
    quantities: Record<string, string>,
    sequence = this.batches++,
  ): Promise<Body> {
    const place = { method: 'GET', resourcePath: '/pets', statusClass: '2xx' };
    const records = [{ at, keyId, ...this.stage, ...place, quantities }];
    const body = { epoch: 'edge', sequence, records };
    const token = this.gatewayToken;
    const answer = await this.api.call('POST', '/v1/usage/batches', { token, body });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    assert.equal(answer.body['quarantined'] ?? 0, 0, 'It is counted, and not put aside.');
    return { gatewayId: this.gatewayId, epoch: 'edge', sequence, index: 0 };
  }

  /** A batch of the gateway's gets lost on its way; answers which. */
  losesABatch() {
    return { gatewayId: this.gatewayId, epoch: 'edge', sequence: this.batches++ };
  }

  /** What the gateway is answered about a call with a key. */
  async decides(apiKey: string): Promise<string> {
    const body = { apiKey, ...this.stage, method: 'GET', path: '/pets' };
    const token = this.gatewayToken;
    const answer = await this.api.call('POST', '/v1/decisions', { token, body });
    return String(answer.body['reason'] ?? 'allowed');
  }

  /** The rows of an export, by the names of its columns. */
  async table(name: string): Promise<Record<string, string>[]> {
    return readCsv((await this.call('GET', `/v1/exports/${name}.csv`)) as unknown as string);
  }

  /** All of a list, newest first. */
  async list(path: string): Promise<Body[]> {
    const { items, next } = await this.call(
      'GET',
      `${path}${path.includes('?') ? '&' : '?'}limit=500`,
    );
    assert.equal(next, undefined, 'A story is short.');
    return items as Body[];
  }
}
