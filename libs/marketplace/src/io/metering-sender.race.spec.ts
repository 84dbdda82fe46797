import { randomBytes } from 'node:crypto';
import { prefixedId } from '@core/kernel';
import { recordBody } from '@core/marketplace';
import { Config, Database, SystemClock } from '@io/platform';
import pg from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { setEnvironment } from '../../../../test/support/environment.js';
import { aCustomer, anAccount } from '../../../../test/support/factories.js';
import { MarketplaceStandIn, type MarketplaceFault } from '../../../../test/support/marketplace.js';
import { randomNumbers } from '../../../../test/support/random.js';
import { MarketplaceClient } from './marketplace-client.js';
import { MeteringSenderService } from './metering-sender.service.js';
import { RecordsRepository } from './records.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'x'.repeat(40) };
const HOUR_MS = 3_600_000;

class Died extends Error {}

/** Dies instead of writing down what came of a request, as a worker that is killed does. */
class MortalRecords extends RecordsRepository {
  dies = () => false;

  override async recordOutcomes(
    ...written: Parameters<RecordsRepository['recordOutcomes']>
  ): Promise<void> {
    if (this.dies()) throw new Died();
    await super.recordOutcomes(...written);
  }
}

let config: Config;
let db: Database;
let pool: pg.Pool;
let aws: MarketplaceStandIn;
let records: MortalRecords;
let client: MarketplaceClient;

beforeAll(async () => {
  const databaseUrl = await createTestDatabase();
  aws = await MarketplaceStandIn.start();
  afterFile(() => aws.stop());
  setEnvironment(CREDENTIALS);
  config = new Config({
    DATABASE_URL: databaseUrl,
    TOLLGATE_SECRET: SECRET,
    AWS_MARKETPLACE_ENDPOINT: aws.url,
  });
  db = new Database(config);
  afterFile(() => db.onApplicationShutdown());
  pool = new pg.Pool({ connectionString: databaseUrl });
  afterFile(() => pool.end());
  records = new MortalRecords(db);
  client = new MarketplaceClient(config);
  afterFile(() => client.onModuleDestroy());
});
beforeEach(() => {
  records.dies = () => false;
});
afterEach(() => {
  aws.fault = () => 'none';
});

const aSender = () => new MeteringSenderService(records, client, config, new SystemClock());

/** Records of as many buyers of one product, for an hour that is over. */
async function sealed(count: number): Promise<string> {
  const { id: accountId } = await anAccount(pool);
  const { id: customerId } = await aCustomer(pool, { account_id: accountId });
  const productId = prefixedId('mpp', randomBytes);
  const productCode = randomBytes(8).toString('hex');
  const product = { id: productId, accountId, productCode, name: 'x', region: 'us-east-1' };
  await db.marketplaceProduct.create({ data: { ...product, dimensions: [], planIds: [] } });
  const hour = new Date(Math.floor(Date.now() / HOUR_MS) * HOUR_MS - 2 * HOUR_MS);
  for (let n = 0; n < count; n += 1) {
    const customerIdentifier = `X${randomBytes(8).toString('hex')}`;
    const agreementId = prefixedId('mpa', randomBytes);
    const of = { accountId, customerId, productId };
    await db.marketplaceAgreement.create({ data: { id: agreementId, ...of, customerIdentifier } });
    const what = { dimension: 'calls', hour, quantity: n + 1 };
    const buyer = { customerIdentifier };
    const payload = JSON.stringify(recordBody({ ...what, buyer, allocations: [] }));
    const when = { deadlineAt: new Date(hour.getTime() + 24 * HOUR_MS), createdAt: new Date() };
    const sent = { payload, batchKey: productCode, nextAttemptAt: new Date(), region: 'us-east-1' };
    const id = prefixedId('mrec', randomBytes);
    await db.marketplaceRecord.create({
      data: { id, agreementId, ...of, ...what, ...when, ...sent },
    });
    aws.subscribe({ CustomerIdentifier: customerIdentifier });
  }
  return productId;
}

/** As if the pauses and claims of workers that died were over. */
const later = (productId: string) =>
  pool.query(
    `UPDATE marketplace_record SET next_attempt_at = now() - interval '1 s', sending_until = NULL
     WHERE product_id = $1 AND state = 'pending'`,
    [productId],
  );

const states = async (productId: string) => {
  const rows = await db.marketplaceRecord.groupBy({
    by: ['state', 'reason'],
    where: { productId },
    _count: true,
  });
  return Object.fromEntries(rows.map((row) => [row.reason ?? row.state, row._count]));
};

describe('a worker that dies', () => {
  it.each(['Success', 'DuplicateRecord'] as const)(
    'after sending costs nothing: another sends the same, which AWS answers %s',
    async (repeatsAs) => {
      aws.repeatsAs = repeatsAs;
      const productId = await sealed(30);
      records.dies = () => true;
      await expect(aSender().sendDue()).rejects.toThrow(Died);
      expect(await states(productId)).toEqual({ pending: 30 });
      records.dies = () => false;
      await later(productId);
      await aSender().sendDue();
      expect(await states(productId)).toEqual({ accepted: 30 });
    },
  );
});

describe('requests', () => {
  it('are filled: 500 records are 20 of them, so 100,000 are 4,000', async () => {
    const productId = await sealed(500);
    aws.calls.length = 0;
    await aSender().sendDue();
    expect(await states(productId)).toEqual({ accepted: 500 });
    expect(aws.calls.map((call) => call.records)).toEqual(Array.from({ length: 20 }, () => 25));
  });
});

describe('many senders, a marketplace that misbehaves, and deaths at random', () => {
  it('send each record until it is taken, AWS bills it once, and its payload is always the same', async () => {
    const draw = randomNumbers(20_261_129);
    const faults: readonly MarketplaceFault[] = [
      'throttle',
      'error',
      'error-after',
      'drop-before',
      'drop-after',
      'unprocessed',
    ];
    const count = 120;
    const productId = await sealed(count);
    const from = aws.seen.length;
    aws.fault = () => (draw(5) === 0 ? (faults[draw(faults.length)] ?? 'none') : 'none');
    records.dies = () => draw(5) === 0;
    for (let round = 0; round < 12; round += 1) {
      aws.repeatsAs = round % 2 === 0 ? 'Success' : 'DuplicateRecord';
      await Promise.allSettled([aSender().sendDue(), aSender().sendDue()]);
      await later(productId);
    }
    aws.fault = () => 'none';
    records.dies = () => false;
    await later(productId);
    await aSender().sendDue();
    expect(await states(productId)).toEqual({ accepted: count });
    const texts = new Map<string, Set<string>>();
    for (const { identity, text } of aws.seen.slice(from))
      texts.set(identity, (texts.get(identity) ?? new Set()).add(text));
    expect(texts.size).toBe(count);
    expect([...texts.values()].every((payloads) => payloads.size === 1)).toBe(true);
    const billed = [...texts.keys()].reduce(
      (sum, identity) => sum + (aws.taken.get(identity)?.Quantity ?? 0),
      0,
    );
    expect(billed).toBe((count * (count + 1)) / 2);
    // Some came more than once, or nothing was tried.
    expect(aws.seen.length - from).toBeGreaterThan(count);
  });
});
