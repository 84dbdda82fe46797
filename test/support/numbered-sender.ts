import { setTimeout as sleep } from 'node:timers/promises';
import type { PatientClient } from './patient-client.js';
import { isSaid, placeText, Sayings, type RecordPlace, type Said } from './sayings.js';
import type { LedgerRecord } from './usage-ledger.js';

/** A batch as its sender keeps it. */
export interface NumberedBatch {
  readonly epoch: string;
  readonly sequence: number;
  readonly records: readonly (LedgerRecord | Said)[];
  /** Places of records that are sent with a key that nobody has, and cannot be counted as they are. */
  readonly bad: ReadonlySet<number>;
}

export interface SenderOptions {
  readonly client: PatientClient;
  readonly gatewayId: string;
  readonly random: (bound: number) => number;
  /** A record of any moment that the service accepts. */
  record(): LedgerRecord;
}

/** An id that no key has. */
const UNKNOWN_KEY = 'nobodyskey';
const WINDOW = 6;
const EPOCH_BATCHES_MAX = 40;

/**
 * A gateway of numbered batches that sends them out of order, late, twice and at once, withholds some, lies at times, knows
 * some keys wrongly, and corrects what it sent or is about to send.
 */
export class NumberedSender {
  readonly acknowledged: NumberedBatch[] = [];
  /** Numbers that were made and never sent. */
  readonly withheld: NumberedBatch[] = [];
  /** Numbers that were tried again with other content. */
  readonly conflicts = new Set<string>();
  private readonly sayings: Sayings;

  constructor(private readonly options: SenderOptions) {
    this.sayings = new Sayings(options);
  }

  /** Sends until it is told to end; all that it began is acknowledged then. */
  async run(isOver: () => boolean): Promise<void> {
    const { gatewayId, random } = this.options;
    for (let n = 0; !isOver(); n += 1) {
      const epoch = `${gatewayId}-${n}`;
      const last = 1 + random(EPOCH_BATCHES_MAX);
      for (let first = 0; first <= last && !isOver(); first += WINDOW) {
        await this.sendWindow(this.window(epoch, first));
        await sleep(random(30));
      }
    }
  }

  /** Delivers what was withheld. */
  async deliverWithheld(): Promise<void> {
    for (const batch of this.withheld.splice(0)) await this.deliver(batch);
  }

  /** What it withholds, as runs of numbers. */
  gaps(): string[] {
    const found: { epoch: string; first: number; last: number }[] = [];
    for (const { epoch, sequence } of this.withheld) {
      const before = found.at(-1);
      if (before?.epoch === epoch && before.last === sequence - 1) before.last = sequence;
      else found.push({ epoch, first: sequence, last: sequence });
    }
    return found.map(
      ({ epoch, first, last }) => `${this.options.gatewayId} ${epoch} ${first}-${last}`,
    );
  }

  /** All that was acknowledged, each record with its place. */
  sent(): SentRecord[] {
    const { gatewayId } = this.options;
    return this.acknowledged.flatMap(({ epoch, sequence, records, bad }) =>
      records.map((record, index) => ({
        place: placeText({ gatewayId, epoch, sequence, index }),
        record,
        isBad: bad.has(index),
      })),
    );
  }

  /** A record that came, counts, and that the gateway itself says nothing of; null when none is found soon. */
  recordForPerson(): RecordPlace | null {
    const { random, gatewayId } = this.options;
    for (let n = 0; n < 20 && this.acknowledged.length > 0; n += 1) {
      const { epoch, sequence, records, bad } =
        this.acknowledged[random(this.acknowledged.length)]!;
      const index = random(records.length);
      const place = { gatewayId, epoch, sequence, index };
      if (!isSaid(records[index]!) && !bad.has(index) && this.sayings.take(place)) return place;
    }
    return null;
  }

  /** Batches that come one after the other. Any of them may correct records of any other, also of a later one. */
  private window(epoch: string, first: number): NumberedBatch[] {
    const { gatewayId, random, record } = this.options;
    const numbers = Array.from({ length: WINDOW }, (_, n) => first + n);
    const drafts = numbers.map((sequence) => {
      const more = Array.from({ length: random(25) }, () => (random(5) === 0 ? null : record()));
      const records = [record(), ...more];
      const bad = records.flatMap((one, index) => (one && random(60) === 0 ? [index] : []));
      return { epoch, sequence, records, bad: new Set(bad) };
    });
    for (const { sequence, records } of drafts)
      for (const [index, one] of records.entries())
        if (one) this.sayings.offer({ gatewayId, epoch, sequence, index });
    return drafts.map(({ sequence, records, bad }) => ({
      epoch,
      sequence,
      bad,
      records: records.map(
        (one, index) => one ?? this.sayings.of({ gatewayId, epoch, sequence, index }),
      ),
    }));
  }

  /** The last one is always sent, so that what is withheld before it can be missed. */
  private async sendWindow(batches: readonly NumberedBatch[]): Promise<void> {
    const { random } = this.options;
    const isFirst = this.withheld.length === 0;
    const isSent = batches.map(
      (_, index) => index === WINDOW - 1 || (random(12) > 0 && !(isFirst && index === 0)),
    );
    this.withheld.push(...batches.filter((_, index) => !isSent[index]));
    const inAnyOrder = batches
      .filter((_, index) => isSent[index])
      .map((batch) => ({ batch, rank: random(1_000_000) }))
      .toSorted((a, b) => a.rank - b.rank);
    await Promise.all(
      inAnyOrder.map(async ({ batch }) => {
        await sleep(random(60));
        await this.deliver(batch);
      }),
    );
  }

  private async deliver(batch: NumberedBatch): Promise<void> {
    const { client, random, gatewayId } = this.options;
    const send = () => client.post('/v1/usage/batches', wire(batch));
    const isTwice = random(6) === 0;
    const answers = await Promise.all(isTwice ? [send(), send()] : [send()]);
    if (answers.some(({ status }) => status >= 300)) return;
    this.acknowledged.push(batch);
    const path = '/v1/usage/batches';
    if (random(5) === 0) {
      const again = await client.post(path, wire(batch));
      if (again.body['duplicate'] !== true) client.wrong.push(`${batch.epoch} was forgotten`);
    }
    if (random(9) > 0) return;
    const [first, ...rest] = batch.records;
    const other = { ...batch, records: [{ ...first!, quantities: { calls: '999' } }, ...rest] };
    const { status } = await client.post(path, wire(other), { wanted: 409 });
    if (status !== 409)
      client.wrong.push(`other content for ${batch.epoch} was answered ${status}`);
    this.conflicts.add(`${gatewayId} ${batch.epoch} ${batch.sequence}`);
  }
}

/** A record of an acknowledged batch. */
export interface SentRecord {
  readonly place: string;
  readonly record: LedgerRecord | Said;
  /** It was sent with a key that nobody has. */
  readonly isBad: boolean;
}

/** As it goes over the wire. */
const wire = ({ epoch, sequence, records, bad }: NumberedBatch) => ({
  epoch,
  sequence,
  records: records.map((record, index) =>
    isSaid(record)
      ? wireSaid(record)
      : { ...wireRecord(record), ...(bad.has(index) ? { keyId: UNKNOWN_KEY } : {}) },
  ),
});

const wireSaid = ({ target: { gatewayId: _, ...target }, quantities }: Said): object =>
  quantities === null ? { voids: target } : { corrects: target, quantities };

/** A record as it goes over the wire. */
export const wireRecord = ({
  at,
  customerId: _,
  usagePlanId: __,
  ...record
}: LedgerRecord): object => ({ ...record, at: new Date(at).toISOString() });
