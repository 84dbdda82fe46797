import { setTimeout as sleep } from 'node:timers/promises';
import {
  CLOSE_PERIODS,
  EXCHANGE_WITH_STRIPE,
  FINALISE_INVOICES,
  HEAR_FROM_STRIPE,
} from '@io/billing';
import { SEAL_MARKETPLACE_HOURS, SEND_METERING_RECORDS } from '@io/marketplace';
import { ROLL_UP_USAGE } from '@io/metering';
import type { Database } from '@io/platform';
import pg from 'pg';
import { afterFile } from './after-file.js';
import { startApi, type TestApi } from './api.js';
import { billingRows, type BillingRows } from './billing.js';
import { controlPlane } from './control-plane.js';
import {
  aCustomer,
  anApi,
  anApiKey,
  aPlanKey,
  aPlanStage,
  aStage,
  aUsagePlan,
} from './factories.js';
import { MARKETPLACE_FAULTS, MarketplaceStandIn, type MarketplaceFault } from './marketplace.js';
import { MortalWorker } from './mortal-worker.js';
import type { Card, StripeObject } from './stripe/stripe-books.js';
import {
  STRIPE_FAULTS,
  STRIPE_KEY,
  StripeStandIn,
  WEBHOOK_SECRET,
  type Fault,
} from './stripe/stripe-stand-in.js';

const JOBS = [
  ROLL_UP_USAGE,
  CLOSE_PERIODS,
  FINALISE_INVOICES,
  EXCHANGE_WITH_STRIPE,
  HEAR_FROM_STRIPE,
  SEAL_MARKETPLACE_HOURS,
  SEND_METERING_RECORDS,
];
const ZONES = ['UTC', 'America/Los_Angeles', 'Asia/Kolkata', 'Pacific/Auckland'];
const HOUR_MS = 3_600_000;
const LOOK_MS = 100;
/** Every so many looks what failed is due again. */
const LOOKS_PER_RETRY = 3;
const STEP_MS_MAX = 300_000;
const BATCH = 2_000;
/** A fifth of the calls goes wrong, and a fifth of the events is lost. */
const ONE_IN = 5;

/** A customer who pays by Stripe, and may have bought at AWS Marketplace too. */
interface Payer {
  readonly customerId: string;
  readonly stripeCustomerId: string;
  readonly keyId: string;
  readonly card: Card;
  readonly buyer: Buyer | null;
}

/** An agreement, and all that was used under it. */
export interface Buyer {
  readonly agreementId: string;
  readonly keyId: string;
  readonly wire: Readonly<Record<string, string>>;
  used: number;
}

/** How large a run is. */
export interface ChaosSize {
  readonly customers: number;
  readonly days: number;
  readonly kills: number;
}

/**
 * An api, a worker that is killed, Stripe and AWS Marketplace that go wrong, and customers who use and pay while a test clock
 * runs. What happened can be held against all sides afterwards.
 */
export class PaymentChaos {
  readonly payers: Payer[] = [];
  readonly told = new Set<string>();
  lost = 0;
  faults = 0;
  private readonly held: StripeObject[] = [];
  private now = new Date('2027-01-05T00:20:00Z');
  private sequence = 0;
  private plan = { apiId: '', stage: '' };
  private isCalm = false;

  private constructor(
    readonly api: TestApi,
    readonly rows: BillingRows,
    readonly stripe: StripeStandIn,
    readonly aws: MarketplaceStandIn,
    readonly worker: MortalWorker,
    private readonly size: ChaosSize,
    private readonly random: (bound: number) => number,
  ) {}

  get db(): Database {
    return this.rows.db;
  }

  /** Starts all of it; gone after the file. */
  static async start(size: ChaosSize, random: (bound: number) => number): Promise<PaymentChaos> {
    const stripe = await StripeStandIn.start();
    afterFile(() => stripe.stop());
    const aws = await MarketplaceStandIn.start();
    afterFile(() => aws.stop());
    const settings = {
      STRIPE_API_BASE: stripe.url,
      AWS_MARKETPLACE_ENDPOINT: aws.url,
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    };
    const api = await startApi(settings);
    const rows = await billingRows(api);
    const { databaseUrl } = api;
    const worker = await MortalWorker.start({ databaseUrl, db: rows.db }, settings, random);
    afterFile(() => worker.stop());
    const chaos = new PaymentChaos(api, rows, stripe, aws, worker, size, random);
    await chaos.prepare();
    stripe.misbehave(() => chaos.stripeFault());
    aws.fault = () => chaos.awsFault();
    return chaos;
  }

  /** Plays all days, with a kill of the worker every now and then. */
  async play(): Promise<void> {
    const steps = this.size.days * 2;
    const outage = this.random(steps);
    for (let step = 0; step < steps; step += 1) {
      const killsDue = Math.ceil((this.size.kills * (step + 1)) / steps);
      if (step === outage) await this.awayFor(30);
      else await this.moveBy(12);
      await this.use();
      if (step === steps >> 1) this.unsubscribeSome();
      await this.settle(killsDue, step === steps - 1);
      this.payByHand(2);
      await this.tellSome();
    }
    this.worker.disarm();
    if (this.worker.isDying) await this.worker.revive();
    while (this.worker.kills < this.size.kills) {
      await sleep(this.random(300));
      await this.worker.kill();
      await this.worker.revive();
    }
  }

  /** Remote services behave, everybody pays, and what events did not tell is asked for. */
  async end(): Promise<void> {
    this.isCalm = true;
    await this.moveBy(4);
    await this.settle(0, true);
    this.payByHand(1);
    await this.tellSome();
    await this.settle(0, true);
    await this.db
      .$executeRaw`UPDATE stripe_invoice SET created_at = created_at - interval '25 hours'`;
    await this.settle(0, true);
  }

  private async prepare(): Promise<void> {
    const { api, rows } = this;
    const pool = new pg.Pool({ connectionString: api.databaseUrl });
    afterFile(() => pool.end());
    await this.moveBy(0);
    const account_id = rows.accountId;
    const own = { account_id };
    const { id: apiId } = await anApi(pool, own);
    const { name: stage } = await aStage(pool, { ...own, api_id: apiId });
    this.plan = { apiId, stage };
    const [plan, sold] = [await aUsagePlan(pool, own), await aUsagePlan(pool, own)];
    for (const { id } of [plan, sold])
      await aPlanStage(pool, { ...own, usage_plan_id: id, api_id: apiId, stage });
    const create = controlPlane(api);
    const { id: rateCardId } = await create.rateCard([
      {
        meter: 'calls',
        description: 'Calls',
        price: { model: 'per-unit', unitAmount: '0.0137' },
      },
    ]);
    const connection = {
      secretKey: STRIPE_KEY,
      webhookSecret: WEBHOOK_SECRET,
      autoPush: true,
      callsPerSecond: 100,
    };
    await this.must('PUT', '/v1/stripe', connection);
    await this.must('PATCH', '/v1/invoice-settings', { collectionHours: 0 });
    const productCode = 'prod-chaos';
    await rows.db.usagePlan.update({ where: { id: sold.id }, data: { productCode } });
    const { id: productId } = await this.must('POST', '/v1/marketplace/products', {
      productCode,
      name: 'Petstore',
      dimensions: [
        { dimension: 'calls', meter: 'calls' },
        { dimension: 'hundreds', meter: 'calls', unitSize: '100' },
      ],
    });
    const oneInBuys = this.size.customers > 100 ? 25 : 4;
    for (let n = 0; n < this.size.customers; n += 1) {
      const row = { ...own, name: `Customer ${n}`, email: `billing@${n}.example` };
      const { id: customer_id } = await aCustomer(pool, row);
      const keyIn = async (usage_plan_id: string) => {
        const { id } = await anApiKey(pool, { account_id, customer_id });
        await aPlanKey(pool, { account_id, usage_plan_id, key_id: id });
        return id;
      };
      const keyId = await keyIn(plan.id);
      await create.subscription({
        customerId: customer_id,
        usagePlanId: plan.id,
        rateCardId,
        startsAt: this.now.toISOString(),
        periodRule: {
          kind: 'anniversary',
          interval: this.size.days < 28 ? 'day' : 'month',
          anchor: `2026-12-${10 + this.random(19)}`,
          timezone: ZONES[this.random(ZONES.length)],
        },
      });
      const card = (['good', 'good', 'good', 'declined', 'none'] as const)[n % 5] ?? 'good';
      const collection = card === 'none' ? 'send-invoice' : 'charge-automatically';
      const path = `/v1/customers/${customer_id}/stripe`;
      const { stripeCustomerId } = await this.must('PUT', path, { collection });
      this.stripe.books.cards.set(stripeCustomerId, card);
      const buyer =
        n % oneInBuys === 0
          ? await this.buyer({ n, productId, customerId: customer_id, keyId: await keyIn(sold.id) })
          : null;
      this.payers.push({ customerId: customer_id, stripeCustomerId, keyId, card, buyer });
    }
  }

  /** Half of them by the identifier of old products, half by licences. */
  private async buyer(of: {
    readonly n: number;
    readonly productId: string;
    readonly customerId: string;
    readonly keyId: string;
  }): Promise<Buyer> {
    const { n, productId, customerId, keyId } = of;
    const isLicensed = this.random(2) === 0;
    const account = String(100_000_000_000 + n);
    const licence = `arn:aws:license-manager::294406891311:license:l-${n}`;
    const wire: Record<string, string> = isLicensed
      ? { CustomerAWSAccountId: account, LicenseArn: licence }
      : { CustomerIdentifier: `X${n}` };
    const known = isLicensed
      ? { customerAwsAccountId: account, licenseArn: licence }
      : { customerIdentifier: `X${n}` };
    const body = { productId, customerId, ...known, isActive: true };
    const { id: agreementId } = await this.must('POST', '/v1/marketplace/agreements', body);
    this.aws.subscribe(wire);
    return { agreementId, keyId, wire, used: 0 };
  }

  private async must(method: string, path: string, body: object) {
    const answer = await this.api.call(method, path, { body });
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  private stripeFault(): Fault | null {
    const death = this.worker.dies('stripe');
    if (death === 'before') return 'silence';
    if (death === 'after') return 'drop-after';
    if (this.isCalm || this.random(ONE_IN) > 0) return null;
    this.faults += 1;
    return STRIPE_FAULTS[this.random(STRIPE_FAULTS.length)] ?? null;
  }

  private awsFault(): MarketplaceFault {
    this.aws.repeatsAs = this.random(2) === 0 ? 'Success' : 'DuplicateRecord';
    const death = this.worker.dies('aws');
    if (death === 'before') return 'drop-before';
    if (death === 'after') return 'drop-after';
    if (this.isCalm || this.random(ONE_IN) > 0) return 'none';
    this.faults += 1;
    return MARKETPLACE_FAULTS[this.random(MARKETPLACE_FAULTS.length)] ?? 'none';
  }

  private async moveBy(hours: number): Promise<void> {
    this.now = new Date(this.now.getTime() + hours * HOUR_MS);
    const offsetMs = this.now.getTime() - Date.now();
    this.aws.now = () => new Date(Date.now() + offsetMs);
    await this.rows.moveClockTo(this.now.toISOString());
  }

  /** Nobody works meanwhile: longer than AWS takes what was used. */
  private async awayFor(hours: number): Promise<void> {
    await this.worker.kill();
    await this.moveBy(hours);
    await this.worker.revive();
  }

  /** Calls of the last twelve hours, and some that come late. */
  private async use(): Promise<void> {
    const { payers, random } = this;
    const call = { method: 'GET', resourcePath: '/pets', statusClass: '2xx', ...this.plan };
    const records: object[] = [];
    const add = (keyId: string, calls: number) => {
      const agoMs = random(11 * HOUR_MS);
      const at = new Date(this.now.getTime() - agoMs).toISOString();
      records.push({ at, keyId, ...call, quantities: { calls: String(calls) } });
    };
    for (const { keyId, buyer } of payers) {
      add(keyId, 100 + random(2_000));
      if (!buyer || random(3) === 0) continue;
      const calls = 1 + random(5_000);
      buyer.used += calls;
      add(buyer.keyId, calls);
    }
    for (let from = 0; from < records.length; from += BATCH) {
      const batch = {
        epoch: 'chaos',
        sequence: this.sequence,
        records: records.slice(from, from + BATCH),
      };
      this.sequence += 1;
      const token = this.api.gatewayToken;
      const { status, body } = await this.api.call('POST', '/v1/usage/batches', {
        token,
        body: batch,
      });
      if (status !== 201) throw new Error(JSON.stringify(body));
    }
  }

  /** A few leave without a word: what is metered of them from then on is refused. */
  private unsubscribeSome(): void {
    const buyers = this.payers.flatMap(({ buyer }) => (buyer ? [buyer] : []));
    for (const { wire } of buyers.filter((_, n) => n % 10 === 3)) this.aws.unsubscribe(wire);
  }

  /** Those whose card is not charged pay on Stripe's own page: all or, of several, one in so many, some in parts. */
  private payByHand(oneIn: number): void {
    const open = this.stripe.books.all('invoice', ({ status }) => status === 'open');
    const byHand = new Set(
      this.payers.filter(({ card }) => card !== 'good').map((one) => one.stripeCustomerId),
    );
    for (const invoice of open.filter((one) => byHand.has(one['customer']))) {
      if (this.random(oneIn) > 0) continue;
      const half = Math.floor(invoice['amount_remaining'] / 2);
      if (half > 0 && this.random(3) === 0) this.stripe.books.takeMoney(invoice.id, half);
      this.stripe.books.takeMoney(invoice.id, invoice['amount_remaining']);
    }
  }

  /** Tells events: some are lost, some are held for the next time, the others come twice and in any order. */
  private async tellSome(): Promise<void> {
    const { random, stripe } = this;
    const fresh = stripe.books.events.filter(({ id }) => !this.told.has(id));
    for (const { id } of fresh) this.told.add(id);
    const kept = fresh.filter(() => random(ONE_IN) > 0);
    this.lost += fresh.length - kept.length;
    const now = [...this.held.splice(0), ...kept.filter(() => random(4) > 0)];
    this.held.push(...kept.filter((event) => !now.includes(event)));
    for (const event of now.toSorted(() => random(3) - 1)) {
      for (let times = 1 + random(2); times > 0; times -= 1) {
        const { payload, headers } = stripe.signed(event);
        const url = `${this.api.url}/v1/stripe/events/${this.rows.accountId}`;
        const { status } = await fetch(url, { method: 'POST', headers, body: payload });
        if (status !== 200) throw new Error(`${event['type']} was answered ${status}`);
      }
    }
  }

  /**
   * Until nothing is left to be done at this time, or nothing but what takes its time with Stripe; the worker dies on the way
   * until it has died so often.
   */
  private async settle(kills: number, isForStripeToo: boolean): Promise<void> {
    const until = Date.now() + STEP_MS_MAX;
    for (let look = 0; ; look += 1) {
      if (this.worker.kills < kills && !this.worker.isArmed && !this.worker.isDying) this.armNext();
      if (this.worker.isDying) await this.worker.revive();
      if (look % LOOKS_PER_RETRY === 0) await this.passPauses();
      await this.worker.hurry(JOBS);
      const left = await this.workLeft(isForStripeToo);
      if (Object.values(left).every((count) => count === 0)) return;
      if (Date.now() > until)
        throw new Error(`Not done: ${JSON.stringify(left)}\n${this.worker.said}`);
      await sleep(LOOK_MS);
    }
  }

  /** By turns at either: there are many more calls to Stripe, and at AWS a death says less. */
  private armNext(): void {
    if (this.worker.kills % 2 === 0) this.worker.arm('aws', 3);
    else this.worker.arm('stripe', 30);
  }

  private async passPauses(): Promise<void> {
    await this.db.$executeRaw`UPDATE exchange SET next_attempt_at = now() WHERE status = 'failed'`;
    await this.db.$executeRaw`UPDATE exchange_pace SET next_call_at = now()`;
    await this.db.$executeRaw`
      UPDATE marketplace_record SET next_attempt_at = now() WHERE state = 'pending' AND sending_until IS NULL`;
  }

  private async workLeft(isForStripeToo: boolean): Promise<Record<string, number>> {
    const now = this.now;
    const [left] = await this.db.$queryRaw<Record<string, number>[]>`
      SELECT (SELECT count(*)::int FROM usage_batch WHERE rolled_up_at IS NULL) AS batches,
        (SELECT count(*)::int FROM subscription WHERE closes_at <= ${now}) AS periods,
        (SELECT count(*)::int FROM invoice WHERE finalise_at <= ${now}) AS drafts,
        (SELECT count(*)::int FROM marketplace_agreement WHERE sealed_to + interval '2 hours' <= ${now}) AS hours,
        (SELECT count(*)::int FROM marketplace_record WHERE state = 'pending') AS records`;
    return { ...left, ...(isForStripeToo && (await this.leftForStripe())) };
  }

  private async leftForStripe(): Promise<Record<string, number>> {
    const [left] = await this.db.$queryRaw<Record<string, number>[]>`
      SELECT (SELECT count(*)::int FROM exchange WHERE status IN ('pending', 'sending', 'failed')) AS exchanges,
        (SELECT count(*)::int FROM invoice i WHERE i.status <> 'draft' AND NOT EXISTS (
          SELECT FROM exchange x WHERE x.act = 'push-invoice' AND x.subject_id = i.id)) AS unpushed,
        (SELECT count(*)::int FROM stripe_invoice s WHERE s.status = 'open' AND NOT EXISTS (
          SELECT FROM exchange x WHERE x.act = 'collect-invoice' AND x.chain = s.invoice_id)) AS uncollected,
        (SELECT count(*)::int FROM stripe_invoice s
          WHERE s.status = 'open' AND s.created_at <= now() - interval '24 hours' AND NOT EXISTS (
            SELECT FROM exchange x WHERE x.act = 'check-invoice' AND x.chain = s.invoice_id)) AS unchecked`;
    return left ?? {};
  }
}
