import assert from 'node:assert';
import { Config, Database, SystemClock } from '@io/platform';
import fc from 'fast-check';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SentCorrection } from '@core/metering';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aGateway, aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import {
  DAYS_UNLIKE_HOURS,
  ROLLED_UP,
  UsageLedger,
  type LedgerRecord,
} from '../../../../test/support/usage-ledger.js';
import { RollUpProofRepository } from './roll-up-proof.repository.js';
import { RollUpRepository } from './roll-up.repository.js';
import { UsageBatchesRepository } from './usage-batches.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const NOON = Date.UTC(2026, 10, 2, 12);
const MINUTE_MS = 60_000;

let db: Database;
let rollUps: RollUpRepository;
let proof: RollUpProofRepository;
let batches: UsageBatchesRepository;
let owners: Awaited<ReturnType<typeof aKeyInPlan>>[];
let gatewayId: string;
let epochs = 0;
let epoch: string;

beforeAll(async () => {
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  const clock = new SystemClock();
  rollUps = new RollUpRepository(db, clock);
  proof = new RollUpProofRepository(db, clock);
  batches = new UsageBatchesRepository(db, clock);
  const account = await anAccount(db.pool);
  gatewayId = (await aGateway(db.pool, { account_id: account.id })).id;
  owners = await Promise.all([aKeyInPlan(db.pool, account.id), aKeyInPlan(db.pool, account.id)]);
  // What the rules of the table cannot say, since they see a row before it is added to the one that stands.
  await db.pool.query(`
    CREATE FUNCTION refuse_negative() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      RAISE EXCEPTION '% is negative: %', TG_TABLE_NAME, NEW; END $$;
    CREATE TRIGGER never_negative AFTER INSERT OR UPDATE ON usage_day FOR EACH ROW WHEN (NEW.quantity < 0)
      EXECUTE FUNCTION refuse_negative();
    CREATE TRIGGER never_negative AFTER INSERT OR UPDATE ON usage_hour FOR EACH ROW
      WHEN (least(NEW.quantity_15, NEW.quantity_30, NEW.quantity_45,
        NEW.quantity - NEW.quantity_15 - NEW.quantity_30 - NEW.quantity_45) < 0)
      EXECUTE FUNCTION refuse_negative()`);
});
beforeEach(() => {
  epoch = `epoch-${(epochs += 1)}`;
});

/** A usage record, or what is said of the one that stands at `of` in the same list. */
type Drawn = Usage | Said;
interface Usage {
  readonly owner: number;
  readonly at: number;
  readonly quantities: Readonly<Record<string, string>>;
}
interface Said {
  readonly of: number;
  readonly quantities: Readonly<Record<string, string>> | null;
}

const quantity = fc.constantFrom('0', '1', '7', '0.000000000001', '12345678901234567890.5');
const quantities = fc.oneof(
  fc.record({ calls: quantity }),
  fc.record({ 'bytes-out': quantity }),
  fc.record({ calls: quantity, 'bytes-out': quantity }),
);
const usage = fc.record<Usage>({
  owner: fc.nat(1),
  at: fc.constantFrom(-1, 0, 14, 15, 44, 45, 60).map((minute) => NOON + minute * MINUTE_MS),
  quantities,
});
const said = fc.record<Said>({ of: fc.nat(99), quantities: fc.option(quantities) });

/** Records, of which each is corrected at most once, by a later one of the list: chains grow to any length. */
const story = fc
  .tuple(fc.array(usage, { minLength: 1, maxLength: 12 }), fc.array(said, { maxLength: 14 }))
  .map(([records, corrections]) => {
    const all: Drawn[] = [...records];
    const free = records.map((_, n) => n);
    for (const one of corrections) {
      const [of] = free.splice(one.of % free.length, 1);
      free.push(all.length);
      all.push({ ...one, of: of! });
    }
    return all;
  });

interface Arrangement {
  readonly ranks: readonly number[];
  readonly sizes: readonly number[];
  readonly workers: number;
  /** How many batches come after the others are rolled up. */
  readonly late: number;
}
const arrangement = fc.record<Arrangement>({
  ranks: fc.array(fc.nat(1_000), { minLength: 26, maxLength: 26 }),
  sizes: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 26, maxLength: 26 }),
  workers: fc.integer({ min: 1, max: 4 }),
  late: fc.nat(4),
});

function ledgerRecord({ owner, at, quantities: counted }: Usage, path: string): LedgerRecord {
  const { customerId, keyId, apiId, stage, usagePlanId } = owners[owner]!;
  const place = { customerId, keyId, apiId, stage, usagePlanId };
  return {
    ...place,
    at,
    method: 'GET',
    resourcePath: path,
    statusClass: '2xx',
    quantities: counted,
  };
}

/** What each record of a story counts in the end. */
function outcome(all: readonly Drawn[]): Usage[] {
  const counts = all.map((one) => one.quantities);
  // From the last of a chain back to its record.
  for (const [n, one] of [...all.entries()].toReversed()) {
    if ('of' in one) counts[one.of] = counts[n] ?? null;
  }
  return all.flatMap((one, n) => {
    const counted = counts[n] ?? null;
    return 'of' in one || counted === null ? [] : [{ ...one, quantities: counted }];
  });
}

type Place = { readonly sequence: number; readonly index: number };

async function send(
  sequence: number,
  part: readonly Drawn[],
  placeOf: (one: number) => Place,
): Promise<boolean> {
  const records: Usage[] = [];
  const ordinals: number[] = [];
  const corrections: SentCorrection[] = [];
  for (const [index, one] of part.entries()) {
    if ('of' in one) {
      const target = { epoch, ...placeOf(one.of) };
      corrections.push({ ordinal: index, target, quantities: one.quantities });
    } else {
      records.push(one);
      ordinals.push(index);
    }
  }
  const { isNew } = await batches.store(
    { accountId: owners[0]!.accountId, gatewayId },
    {
      epoch,
      sequence,
      records: records.map((record) => ({ ...ledgerRecord(record, `/${epoch}`), at: '' })),
      instants: Float64Array.from(records, ({ at }) => at),
      leftOut: { ordinals: Int32Array.from(ordinals), quarantined: [] },
      corrections,
    },
    records.map(({ owner }) => owners[owner]!),
    Buffer.alloc(32),
  );
  return isNew;
}

async function rollUpUntilDone(): Promise<void> {
  while ((await rollUps.rollUp(null)) > 0);
}

/** Sends a story as it is arranged while workers roll up, each batch twice at once, and answers what it came to. */
async function rolledUp(all: readonly Drawn[], how: Arrangement): Promise<string[]> {
  const order = all
    .map((_, n) => ({ n, rank: how.ranks[n % how.ranks.length]! }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ n }) => n);
  const parts: number[][] = [];
  while (order.length > 0) parts.push(order.splice(0, how.sizes[parts.length % how.sizes.length]));
  const places = new Map<number, Place>();
  for (const [sequence, part] of parts.entries())
    for (const [index, n] of part.entries()) places.set(n, { sequence, index });
  const sendTwice = async (part: readonly number[], sequence: number) => {
    const records = part.map((n) => all[n]!);
    const once = () => send(sequence, records, (n) => places.get(n)!);
    const answers = await Promise.all([once(), once()]);
    expect(answers.filter((isNew) => isNew)).toHaveLength(1);
  };
  const workers = () => Array.from({ length: how.workers }, rollUpUntilDone);
  const early = Math.max(0, parts.length - how.late);
  await Promise.all([...parts.slice(0, early).map(sendTwice), ...workers()]);
  await Promise.all(workers());
  for (const [n, part] of parts.slice(early).entries()) {
    await sendTwice(part, early + n);
    await Promise.all(workers());
  }
  await rollUpUntilDone();
  const { rows } = await db.pool.query<{ line: string }>(
    `SELECT replace(line, $1, '/path') AS line FROM (${ROLLED_UP} AND resource_path = $1) hours`,
    [`/${epoch}`],
  );
  return countedLines(rows.map(({ line }) => line));
}

/** What nothing is counted in any more stays as zero. */
const countedLines = (lines: readonly string[]) =>
  lines.filter((line) => !line.endsWith(' 0 0 0 0')).toSorted();

const hours = () => ({
  accountId: owners[0]!.accountId,
  period: { from: new Date(NOON - 3 * 3_600_000), to: new Date(NOON + 3 * 3_600_000) },
});
const standing = async () =>
  (await db.pool.query<{ line: string }>(`${ROLLED_UP} ORDER BY 1`)).rows.map(({ line }) => line);

describe('corrections and voids', () => {
  it('come to the same in any order, any batches, sent twice or late, and by any number of workers', async () => {
    await fc.assert(
      fc.asyncProperty(story, arrangement, arrangement, async (all, one, another) => {
        const ledger = new UsageLedger();
        for (const record of outcome(all)) ledger.add(ledgerRecord(record, '/path'));
        const counted = countedLines(ledger.lines());
        for (const how of [one, another]) {
          epoch = `epoch-${(epochs += 1)}`;
          expect(await rolledUp(all, how)).toEqual(counted);
        }
      }),
      { numRuns: 25 },
    );
    const { rows } = await db.pool.query(
      `SELECT state, count(*)::int FROM usage_correction GROUP BY 1`,
    );
    expect(rows).toEqual([{ state: 'applied', count: expect.any(Number) }]);
  }, 120_000);

  it('count once when record, two corrections and their roll-ups come at once', async () => {
    const record: Usage = { owner: 0, at: NOON, quantities: { calls: '10' } };
    for (let round = 0; round < 20; round += 1) {
      epoch = `race-${round}`;
      const target = () => ({ sequence: 0, index: 0 });
      const say = (sequence: number, calls: string) =>
        send(sequence, [{ of: 0, quantities: { calls } }], target);
      await Promise.all([
        rollUpUntilDone(),
        say(1, '3'),
        send(0, [record], target),
        say(2, '5'),
        rollUpUntilDone(),
        rollUpUntilDone(),
      ]);
      await rollUpUntilDone();
      const { rows } = await db.pool.query<{ calls: string; applied: string; kept: number }>(
        `SELECT (SELECT trim_scale(sum(quantity)) FROM usage_hour WHERE resource_path = '/' || $1) AS calls,
           (SELECT quantities::jsonb ->> 'calls' FROM usage_correction WHERE epoch = $1 AND state = 'applied') AS applied,
           (SELECT count(*)::int FROM usage_quarantine WHERE epoch = $1 AND reason = 'already-corrected') AS kept`,
        [epoch],
      );
      expect(rows).toEqual([{ calls: rows[0]?.applied, applied: rows[0]?.calls, kept: 1 }]);
      expect(['3', '5']).toContain(rows[0]?.calls);
    }
  }, 60_000);

  it('take nothing away before it was added, also while another worker holds its batch', async () => {
    await send(0, [{ owner: 0, at: NOON, quantities: { calls: '10' } }], () => assert.fail());
    const other = await db.pool.connect();
    try {
      await other.query('BEGIN');
      await other.query('SELECT FROM usage_batch WHERE epoch = $1 FOR UPDATE', [epoch]);
      await send(1, [{ of: 0, quantities: null }], () => ({ sequence: 0, index: 0 }));
      await rollUpUntilDone();
      await other.query('COMMIT');
    } finally {
      other.release();
    }
    await rollUpUntilDone();
    const { rows } = await db.pool.query(
      `SELECT trim_scale(quantity) AS quantity FROM usage_hour WHERE resource_path = '/' || $1`,
      [epoch],
    );
    expect(rows).toEqual([{ quantity: '0' }]);
  });

  it('are records like all others: roll-ups are proved by them, and made anew equal', async () => {
    const before = await standing();
    expect(before.length).toBeGreaterThan(0);
    expect(await proof.differences(hours(), 10)).toEqual([]);
    await proof.rebuild(hours());
    expect(await standing()).toEqual(before);
    const { rows } = await db.pool.query(DAYS_UNLIKE_HOURS);
    expect(rows).toEqual([]);
  });
});
