import assert from 'node:assert';
import { decimal, Decimal } from '@core/kernel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchesOf, halvesOf } from './batches.js';
import { hasCulprit, outcomesOf, type BatchAnswer } from './batch-outcome.js';
import { identityOf, recordBody, type RecordBody } from './metering-record.js';
import { deadlineOf, finalFlushAt, hourOf, hoursAfter, hoursToSeal } from './metering-window.js';
import { sealHours, type MeterBalance, type SealedHour } from './seal-hours.js';

/** Late on the last of a month, so that the runs go through its end. */
const START = new Date('2026-10-31T12:00:00Z');
const BUYERS = ['a', 'b'];
const DIMENSIONS = ['calls', 'bytes'];
const UNIT = decimal('0.8');

type Mood = 'well' | 'throttles' | 'breaks' | 'drops-after' | 'drops-before' | 'unprocessed';

/** Of AWS: younger than a day, and of the month before only until 06:00 UTC on the 1st. */
function isOpen(hour: Date, now: Date): boolean {
  const months =
    now.getUTCFullYear() * 12 + now.getUTCMonth() - hour.getUTCFullYear() * 12 - hour.getUTCMonth();
  const isFirst = now.getUTCDate() === 1 && now.getUTCHours() < 6;
  return (
    now.getTime() - hour.getTime() < 24 * 3_600_000 && (months === 0 || (months === 1 && isFirst))
  );
}

/** What AWS keeps and refuses, as far as metering goes. Every refusal that our side must not provoke is thrown. */
class Marketplace {
  readonly taken = new Map<string, number>();
  readonly seen = new Map<string, string>();
  readonly unsubscribed = new Set<string>();
  badDimension = 'none';

  meter(records: readonly RecordBody[], { now, mood }: { now: Date; mood: Mood }): BatchAnswer {
    assert(records.length <= 25, 'a request has 25 records at most');
    for (const record of records) {
      const payload = JSON.stringify(record);
      const identity = identityOf(record);
      // No hour is sent twice with another payload, however often it is sent.
      assert.equal(this.seen.get(identity) ?? payload, payload);
      this.seen.set(identity, payload);
      const hour = new Date(record.Timestamp * 1000);
      assert(hour <= now && isOpen(hour, now), `${payload} is outside its window`);
    }
    if (mood === 'throttles') return { kind: 'refused', error: 'ThrottlingException' };
    if (mood === 'drops-before') return { kind: 'unknown', cause: 'ECONNRESET' };
    if (records.some(({ Dimension }) => Dimension === this.badDimension))
      return { kind: 'refused', error: 'InvalidUsageDimensionException' };
    const unprocessed = mood === 'unprocessed' ? records.filter((_, n) => n % 2 === 0) : [];
    const results = records
      .filter((record) => !unprocessed.includes(record))
      .map((record, n) => ({ record, ...this.take(record, n % 2 === 0) }));
    if (mood === 'drops-after' || mood === 'breaks') return { kind: 'unknown', cause: mood };
    return { kind: 'answered', results, unprocessed };
  }

  /** An identical record again is answered in either of the two ways that AWS documents. */
  private take(record: RecordBody, saysDuplicate: boolean) {
    if (this.unsubscribed.has(record.CustomerIdentifier ?? ''))
      return { status: 'CustomerNotSubscribed', meteringRecordId: null };
    const identity = identityOf(record);
    const first = this.taken.get(identity);
    if (first === undefined) this.taken.set(identity, record.Quantity);
    const isDuplicate = first !== undefined && (first !== record.Quantity || saysDuplicate);
    return { status: isDuplicate ? 'DuplicateRecord' : 'Success', meteringRecordId: identity };
  }
}

interface Row extends SealedHour {
  readonly id: string;
  readonly meter: string;
  readonly body: RecordBody;
  state: 'pending' | 'accepted' | 'dead';
  mayBeTaken: boolean;
}

/** A worker in memory: seals, sends, and may die between any two steps. */
class Ledger {
  readonly rows: Row[] = [];
  readonly balances = new Map<string, MeterBalance>();
  private readonly sealedTo = new Map<string, Date>();
  private readonly waiting = new Map<string, Decimal>();

  use(meter: string, quantity: Decimal): void {
    this.waiting.set(meter, (this.waiting.get(meter) ?? decimal(0)).add(quantity));
  }

  metered(meter: string): Decimal {
    const balance = this.balances.get(meter)?.metered ?? decimal(0);
    return balance.add(this.waiting.get(meter) ?? 0);
  }

  carried(meter: string): Decimal {
    const { recorded } = this.balances.get(meter) ?? { recorded: decimal(0) };
    return this.metered(meter).div(UNIT).sub(recorded);
  }

  seal(now: Date, flushedAt: Date | null, sendsZero: boolean): void {
    for (const meter of BUYERS.flatMap((buyer) => DIMENSIONS.map((of) => `${buyer}/${of}`))) {
      const from = this.sealedTo.get(meter) ?? START;
      const isLast = flushedAt !== null && now >= flushedAt;
      const lag = { windowHours: 24, sealLagMinutes: isLast ? -60 : 60 };
      const hours = hoursToSeal(from, { ...lag, now, isSettling: false });
      if (hours.length === 0) continue;
      // All that is known goes into the first hour, as what comes late does.
      const metered = hours.map((hour, n) => ({
        hour,
        metered: n === 0 ? (this.waiting.get(meter) ?? decimal(0)) : decimal(0),
      }));
      const isOver = flushedAt !== null && hours.every((hour) => hour > flushedAt);
      const balance = this.balances.get(meter) ?? { metered: decimal(0), recorded: decimal(0) };
      const rules = { now, windowHours: 24, unitSize: UNIT, sendsZero, isLast, isOver };
      const { sealed, balance: after } = sealHours(balance, metered, rules);
      // A record has what is whole of the rest, no more, and leaves no whole unit behind.
      const carried = after.metered.div(UNIT).sub(after.recorded);
      if (sealed.some(({ quantity }) => quantity > 0)) assert(carried.gte(0), 'recorded twice');
      const isOpenStill = now < deadlineOf(hours.at(-1) ?? now, { windowHours: 24 });
      if (isOpenStill && !isOver) assert(carried.lt(1), 'a whole unit is left behind');
      this.balances.set(meter, after);
      this.waiting.delete(meter);
      this.sealedTo.set(meter, hoursAfter(hours.at(-1) ?? from, 1));
      const [buyer = '', dimension = ''] = meter.split('/');
      for (const hour of sealed)
        this.rows.push({
          ...hour,
          id: `${meter}/${hour.hour.toISOString()}`,
          meter,
          body: recordBody({
            ...hour,
            buyer: { customerIdentifier: buyer },
            dimension,
            allocations: [],
          }),
          state: hour.deadFor === null ? 'pending' : 'dead',
          mayBeTaken: false,
        });
    }
  }

  send(now: Date, moods: () => Mood, aws: Marketplace): void {
    for (const row of this.rows)
      if (row.state === 'pending' && now >= deadlineOf(row.hour, { windowHours: 24 }))
        row.state = 'dead';
    const due = this.rows.filter(({ state }) => state === 'pending');
    const sendable = due.map((row) => ({ ...row, batchKey: 'p', bytes: 250, row }));
    for (const batch of batchesOf(sendable))
      this.sendBatch(
        batch.map(({ row }) => row),
        { now, moods, aws },
      );
  }

  private sendBatch(
    batch: readonly Row[],
    at: { now: Date; moods: () => Mood; aws: Marketplace },
  ): void {
    const sent = batch.map(({ id, body, mayBeTaken }) => ({ id, body, mayBeTaken }));
    // Written down before the request leaves: a worker that dies here does not know what came of it.
    for (const row of batch) row.mayBeTaken = true;
    const mood = at.moods();
    const answer = at.aws.meter(
      batch.map(({ body }) => body),
      { now: at.now, mood },
    );
    if (hasCulprit(answer) && batch.length > 1) {
      for (const [n, row] of batch.entries()) row.mayBeTaken = sent[n]?.mayBeTaken ?? true;
      for (const half of halvesOf(batch)) this.sendBatch(half, at);
      return;
    }
    for (const [id, outcome] of outcomesOf(sent, answer)) {
      const row = batch.find((each) => each.id === id);
      if (!row) throw new Error(id);
      if (outcome.kind === 'accepted') row.state = 'accepted';
      else if (outcome.kind === 'dead') row.state = 'dead';
      else row.mayBeTaken = outcome.mayBeTaken;
    }
  }
}

const mood = fc.constantFrom<Mood>(
  'well',
  'well',
  'throttles',
  'breaks',
  'drops-after',
  'drops-before',
  'unprocessed',
);
const step = fc.record({
  hours: fc.integer({ min: 0, max: 30 }),
  uses: fc.array(
    fc.record({
      meter: fc.constantFrom(
        ...BUYERS.flatMap((buyer) => DIMENSIONS.map((of) => `${buyer}/${of}`)),
      ),
      thousandths: fc.integer({ min: -2_000, max: 9_000 }),
    }),
    { maxLength: 6 },
  ),
  moods: fc.array(mood, { minLength: 1, maxLength: 4 }),
});

describe('the metering ledger, whatever the marketplace does', () => {
  it('accepts, carries or gives up what was metered, and nothing else; an hour has one payload, sent in its window', () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 25 }),
        fc.record({
          sendsZero: fc.boolean(),
          endsAfter: fc.option(fc.integer({ min: 1, max: 100 }), { nil: null }),
          badDimension: fc.constantFrom('none', 'bytes'),
          unsubscribed: fc.subarray(BUYERS, { maxLength: 1 }),
        }),
        (steps, { sendsZero, endsAfter, badDimension, unsubscribed }) => {
          const aws = new Marketplace();
          aws.badDimension = badDimension;
          for (const buyer of unsubscribed) aws.unsubscribed.add(buyer);
          const ledger = new Ledger();
          const metered = new Map<string, Decimal>();
          const flushedAt =
            endsAfter === null ? null : hourOf(finalFlushAt(hoursAfter(START, endsAfter)));
          let now = START;
          for (const { hours, uses, moods } of steps) {
            now = hoursAfter(now, hours);
            for (const { meter, thousandths } of uses) {
              const quantity = decimal(thousandths).div(1_000);
              ledger.use(meter, quantity);
              metered.set(meter, (metered.get(meter) ?? decimal(0)).add(quantity));
            }
            ledger.seal(now, flushedAt, sendsZero);
            let n = 0;
            ledger.send(now, () => moods[n++ % moods.length] ?? 'well', aws);
          }
          // In the end the marketplace is well, or too late.
          ledger.send(now, () => 'well', aws);
          ledger.send(hoursAfter(now, 24), () => 'well', aws);

          for (const [meter, all] of metered) {
            const rows = ledger.rows.filter((row) => row.meter === meter);
            const sum = (state: Row['state']) =>
              rows
                .filter((row) => row.state === state)
                .reduce((total, row) => total + row.quantity, 0);
            const accounted = ledger.carried(meter).add(sum('accepted')).add(sum('dead'));
            expect(sum('pending')).toBe(0);
            expect(accounted.toFixed()).toBe(all.div(UNIT).toFixed());
            const taken = rows
              .filter(({ state }) => state === 'accepted')
              .map(({ body }) => aws.taken.get(identityOf(body)));
            expect(taken.reduce<number>((total, quantity) => total + (quantity ?? NaN), 0)).toBe(
              sum('accepted'),
            );
          }
          // What is given up was not taken, but where no answer ever said so.
          const givenUp = ledger.rows.filter((row) => row.state === 'dead' && !row.mayBeTaken);
          expect(givenUp.filter(({ body }) => aws.taken.has(identityOf(body)))).toEqual([]);
          expect(new Set(ledger.rows.map(({ id }) => id)).size).toBe(ledger.rows.length);
        },
      ),
      { numRuns: 200 },
    );
  });
});
