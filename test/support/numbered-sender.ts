import { setTimeout as sleep } from 'node:timers/promises';
import type { PatientClient } from './patient-client.js';
import type { LedgerRecord } from './usage-ledger.js';

/** A batch as its sender keeps it. */
export interface NumberedBatch {
  readonly epoch: string;
  readonly sequence: number;
  readonly records: readonly LedgerRecord[];
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
 * A gateway of numbered batches that sends them out of order, late, twice and at once, withholds some, lies at times, and
 * knows some keys wrongly.
 */
export class NumberedSender {
  readonly acknowledged: NumberedBatch[] = [];
  /** Numbers that were made and never sent. */
  readonly withheld: NumberedBatch[] = [];
  /** Numbers that were tried again with other content. */
  readonly conflicts = new Set<string>();

  constructor(private readonly options: SenderOptions) {}

  /** Sends until it is told to end; all that it began is acknowledged then. */
  async run(isOver: () => boolean): Promise<void> {
    const { gatewayId, random } = this.options;
    for (let n = 0; !isOver(); n += 1) {
      const epoch = `${gatewayId}-${n}`;
      const last = 1 + random(EPOCH_BATCHES_MAX);
      for (let first = 0; first <= last && !isOver(); first += WINDOW) {
        const numbers = Array.from({ length: WINDOW }, (_, index) => first + index);
        await this.sendWindow(numbers.map((sequence) => this.batch(epoch, sequence)));
        await sleep(random(30));
      }
    }
  }

  /** Delivers what was withheld. */
  async deliverWithheld(): Promise<void> {
    for (const batch of this.withheld.splice(0)) await this.deliver(batch);
  }

  private batch(epoch: string, sequence: number): NumberedBatch {
    const { random, record } = this.options;
    const records = Array.from({ length: 1 + random(25) }, record);
    const bad = new Set(records.flatMap((_, index) => (random(60) === 0 ? [index] : [])));
    return { epoch, sequence, records, bad };
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

/** As it goes over the wire. */
const wire = ({ epoch, sequence, records, bad }: NumberedBatch) => ({
  epoch,
  sequence,
  records: records.map((record, index) => ({
    ...wireRecord(record),
    ...(bad.has(index) ? { keyId: UNKNOWN_KEY } : {}),
  })),
});

/** A record as it goes over the wire. */
export const wireRecord = ({
  at,
  customerId: _,
  usagePlanId: __,
  ...record
}: LedgerRecord): object => ({ ...record, at: new Date(at).toISOString() });

/** What of a batch counts, each with its place. */
export const goodRecords = ({ records, bad }: NumberedBatch): [number, LedgerRecord][] =>
  [...records.entries()].filter(([index]) => !bad.has(index));
