import { Config, Database, SystemClock } from '@io/platform';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aGateway, aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import {
  DAYS_UNLIKE_HOURS,
  ROLLED_UP,
  UsageLedger,
  type LedgerRecord,
} from '../../../../test/support/usage-ledger.js';
import { RollUpRepository } from './roll-up.repository.js';
import { UsageBatchesRepository } from './usage-batches.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const MIDNIGHT = Date.UTC(2026, 10, 2);
const MINUTE_MS = 60_000;

let db: Database;
let rollUps: RollUpRepository;
let batches: UsageBatchesRepository;
let owners: Awaited<ReturnType<typeof aKeyInPlan>>[];
let gatewayId: string;
let epochs = 0;

beforeAll(async () => {
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  const clock = new SystemClock();
  rollUps = new RollUpRepository(db, clock);
  batches = new UsageBatchesRepository(db, clock);
  const account = await anAccount(db.pool);
  gatewayId = (await aGateway(db.pool, { account_id: account.id })).id;
  owners = await Promise.all([aKeyInPlan(db.pool, account.id), aKeyInPlan(db.pool, account.id)]);
});

/** A record as it is drawn: whose, when, and how much. */
interface Drawn {
  readonly owner: number;
  readonly at: number;
  readonly method: string;
  readonly statusClass: string;
  readonly quantities: Readonly<Record<string, string>>;
}

const quantity = fc.constantFrom('0', '1', '7', '0.1', '0.000000000001', '12345678901234567890.5');
const drawn = fc.record<Drawn>({
  owner: fc.nat(1),
  // The edges of quarters, hours and a day, and what is just before them.
  at: fc
    .tuple(fc.constantFrom(-60, -15, 0, 14, 15, 30, 45, 60, 1_440), fc.constantFrom(0, -1, 999))
    .map(([minute, ms]) => MIDNIGHT + minute * MINUTE_MS + ms),
  method: fc.constantFrom('GET', 'POST'),
  statusClass: fc.constantFrom('2xx', '5xx'),
  quantities: fc.oneof(
    fc.record({ calls: quantity }),
    fc.record({ calls: quantity, 'bytes-out': quantity }),
  ),
});

/** The same records in an order of their own, cut into batches of their own, some of which come twice. */
interface Arrangement {
  readonly ranks: readonly number[];
  readonly sizes: readonly number[];
  readonly workers: number;
}

const arrangement = fc.record<Arrangement>({
  ranks: fc.array(fc.nat(1_000), { minLength: 40, maxLength: 40 }),
  sizes: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 40, maxLength: 40 }),
  workers: fc.integer({ min: 1, max: 4 }),
});

const ownerOf = ({ owner }: Drawn) => owners[owner]!;

/** A record as the ledger keeps it; the path tells the arrangements apart. */
function ledgerRecord(record: Drawn, resourcePath: string): LedgerRecord {
  const { customerId, keyId, apiId, stage, usagePlanId } = ownerOf(record);
  const { at, method, statusClass, quantities } = record;
  const owner = { customerId, keyId, apiId, stage, usagePlanId };
  return { ...owner, at, method, resourcePath, statusClass, quantities };
}

async function store(epoch: string, sequence: number, records: readonly Drawn[]): Promise<boolean> {
  const { isNew } = await batches.store(
    { accountId: owners[0]!.accountId, gatewayId },
    {
      epoch,
      sequence,
      records: records.map((record) => ({
        ...ledgerRecord(record, `/${epoch}`),
        at: '',
        quantities: record.quantities,
      })),
      instants: Float64Array.from(records, ({ at }) => at),
    },
    records.map(ownerOf),
    Buffer.alloc(32),
  );
  return isNew;
}

async function rollUpUntilDone(): Promise<void> {
  while ((await rollUps.rollUp(null)) > 0);
}

/** Stores the records as they are arranged while workers roll up, and answers what they came to. */
async function rolledUp(records: readonly Drawn[], how: Arrangement): Promise<string[]> {
  const epoch = `epoch-${(epochs += 1)}`;
  const left = records
    .map((record, n) => ({ record, rank: how.ranks[n % how.ranks.length]! }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ record }) => record);
  const parts: Drawn[][] = [];
  while (left.length > 0) parts.push(left.splice(0, how.sizes[parts.length % how.sizes.length]));
  const late = parts.length > 1 ? parts.length - 1 : parts.length;
  const twice = (sequence: number) => (how.ranks[sequence % how.ranks.length]! % 3 === 0 ? 2 : 1);
  const send = async (part: readonly Drawn[], sequence: number) => {
    const answers = await Promise.all(
      Array.from({ length: twice(sequence) }, () => store(epoch, sequence, part)),
    );
    expect(answers.filter((isNew) => isNew)).toHaveLength(1);
  };
  await Promise.all([
    ...parts.slice(0, late).map(send),
    ...Array.from({ length: how.workers }, rollUpUntilDone),
  ]);
  await Promise.all(Array.from({ length: how.workers }, rollUpUntilDone));
  for (const [n, part] of parts.slice(late).entries()) await send(part, late + n);
  await Promise.all(Array.from({ length: how.workers }, rollUpUntilDone));
  const { rows } = await db.pool.query<{ line: string }>(
    `SELECT replace(line, $1, '/path') AS line FROM (${ROLLED_UP} AND resource_path = $1) hours`,
    [`/${epoch}`],
  );
  return rows.map(({ line }) => line).toSorted();
}

describe('roll-ups', () => {
  it('are the same of the same records in any order, any batches, sent twice or late, by any number of workers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(drawn, { minLength: 1, maxLength: 40 }),
        arrangement,
        arrangement,
        async (records, one, another) => {
          const ledger = new UsageLedger();
          for (const record of records) ledger.add(ledgerRecord(record, '/path'));
          const counted = ledger.lines().toSorted();
          expect(await rolledUp(records, one)).toEqual(counted);
          expect(await rolledUp(records, another)).toEqual(counted);
        },
      ),
      { numRuns: 25 },
    );
    const { rows } = await db.pool.query(DAYS_UNLIKE_HOURS);
    expect(rows).toEqual([]);
  }, 60_000);
});
