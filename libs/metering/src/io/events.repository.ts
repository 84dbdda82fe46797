import { Injectable } from '@nestjs/common';
import { type CloudEvent, type PlainEvents, type Reading } from '@core/metering';
import { Database, SystemClock } from '@io/platform';
import pg from 'pg';
import type { AccountMeters, CountingMeter } from './custom-meters.repository.js';
import { memberId, type EventIdentity } from './event-identity.js';
import { copyTogether } from './copy-together.js';
import {
  IDENTITY_COLUMNS,
  identityRows,
  READING_COLUMNS,
  readingRows,
  RowBuffer,
  type PlainReading,
} from './event-rows.js';
import type { EventPayer } from './event-payers.repository.js';
import { TAKE_EVENTS } from './take-events.js';
import type { BatchSource } from './usage-batches.repository.js';

/** What one event says for one meter, with the payer. */
export interface EventReading extends Reading {
  /** Which of the events that are taken together. */
  readonly place: number;
  readonly event: CloudEvent;
  readonly atMicros: number;
  readonly meter: CountingMeter;
  readonly payer: EventPayer;
}

/** Plain events, who each of them is, and what they say. */
export interface PlainTaking {
  readonly events: PlainEvents;
  readonly identities: readonly EventIdentity[];
  readonly readings: readonly PlainReading[];
}

/** What became of events: which are new; or that the meters are others by now, or some said something else before. */
export type TakenEvents =
  { readonly fresh: ReadonlySet<number> } | { readonly refused: 'meters-changed' | 'conflict' };

interface TakenRow {
  take: boolean;
  fresh: number[];
}

const NO_MEMBER = '0'.repeat(32);
const RESTRICT_VIOLATION = '23001';
const UNIQUE_VIOLATION = '23505';
const CHECK_VIOLATION = '23514';
const BUFFER_KEPT_MAX = 1024 * 1024;

const isViolation = (error: unknown, code: string) =>
  error instanceof pg.DatabaseError && error.code === code;

/** Events that were taken, and what they say for meters. */
@Injectable()
export class EventsRepository {
  /** Gateways whose last events were not all new: the next will not be either, and are not tried in vain. */
  private readonly repeating = new Set<string>();
  /** Those that no request uses now; never more than twice as many as there are connections. */
  private readonly buffers: RowBuffer[] = [];

  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Takes events with what they say, in one statement and one round trip: all of them, or none. One that was taken before
   * with the same content is left as it is. When it returns, it is committed.
   */
  async take(
    { accountId, gatewayId }: BatchSource,
    events: readonly EventIdentity[],
    readings: readonly EventReading[],
    { count, revisions }: AccountMeters,
  ): Promise<TakenEvents> {
    const meters = numbered(readings.map(({ meter }) => meter));
    const payers = numbered(readings.map(({ payer }) => payer));
    const unused = meters.all.filter(({ usedAt }) => usedAt === null);
    const values = [
      accountId,
      gatewayId,
      this.clock.now(),
      count,
      String(revisions),
      textArray(unused, ({ name }) => name),
      plainArray(unused, ({ revision }) => revision),
      plainArray(events, ({ identity }) => identity),
      plainArray(events, ({ content }) => content),
      textArray(meters.all, ({ name }) => name),
      textArray(meters.all, ({ aggregation }) => aggregation),
      textArray(payers.all, ({ customerId }) => customerId),
      textArray(payers.all, ({ keyId }) => keyId),
      textArray(payers.all, ({ apiId }) => apiId),
      textArray(payers.all, ({ stage }) => stage),
      textArray(payers.all, ({ usagePlanId }) => usagePlanId),
      plainArray(readings, ({ place }) => place + 1),
      plainArray(readings, ({ meter }) => meters.numberOf(meter)),
      plainArray(readings, ({ payer }) => payers.numberOf(payer)),
      textArray(readings, ({ atMicros }) => instantText(atMicros)),
      textArray(readings, ({ event }) => event.source),
      textArray(readings, ({ event }) => event.id),
      textArray(readings, ({ dimensions }) => dimensions),
      plainArray(readings, ({ member }) => (member === null ? NO_MEMBER : memberId(member))),
      plainArray(readings, ({ quantity }) => quantity),
    ];
    const row = (await this.takeUnlessKnown(gatewayId, values)) ?? (await this.takeNew(values));
    if (row === 'conflict') return { refused: 'conflict' };
    if (!row.take) return { refused: 'meters-changed' };
    const fresh = new Set(row.fresh.map((n) => n - 1));
    if (fresh.size < events.length) this.repeating.add(gatewayId);
    else this.repeating.delete(gatewayId);
    return { fresh };
  }

  /** Whether events of a gateway are likely all new. */
  expectsNew({ gatewayId }: BatchSource): boolean {
    return !this.repeating.has(gatewayId);
  }

  /**
   * Takes plain events that are all new, by meters that counted before; false, and nothing is taken, when one of them was taken
   * before or the meters are others by now.
   */
  async takeNewPlain(
    { accountId, gatewayId }: BatchSource,
    { events, identities, readings }: PlainTaking,
    { count, revisions }: AccountMeters,
  ): Promise<boolean> {
    const buffers = [
      this.buffers.pop() ?? new RowBuffer(),
      this.buffers.pop() ?? new RowBuffer(),
    ] as const;
    // The database numbers the batch while the first rows are made.
    const nextId = this.nextId();
    const known = identityRows(identities, buffers[0]);
    const batch = { id: await nextId, accountId, receivedAt: this.clock.now() };
    // The table refuses a batch without events.
    const insertBatch = `
      INSERT INTO event_batch (id, account_id, gateway_id, event_count, received_at)
      SELECT ${batch.id}, ${text(accountId)}, ${text(gatewayId)},
        CASE WHEN count(*) = ${count} AND coalesce(sum(revision), 0) = ${revisions} THEN ${identities.length} ELSE 0 END,
        ${text(batch.receivedAt.toISOString())}
      FROM meter WHERE account_id = ${text(accountId)}`;
    try {
      await copyTogether(this.db.pool, insertBatch, [
        {
          statement: `COPY event_identity (${IDENTITY_COLUMNS}) FROM STDIN (FORMAT binary)`,
          rows: known,
        },
        {
          statement: `COPY meter_reading (${READING_COLUMNS}) FROM STDIN (FORMAT binary)`,
          rows: readingRows(batch, events, readings, buffers[1]),
        },
      ]);
    } catch (error) {
      if (isViolation(error, UNIQUE_VIOLATION)) this.repeating.add(gatewayId);
      else if (!isViolation(error, CHECK_VIOLATION)) throw error;
      return false;
    }
    // After a failure their bytes may still be on their way.
    this.buffers.push(...buffers.filter(({ bytes }) => bytes.length <= BUFFER_KEPT_MAX));
    return true;
  }

  private async nextId(): Promise<string> {
    const { rows } = await this.db.pool.query<{ id: string }>({
      name: 'next-event-batch',
      text: `SELECT nextval('event_batch_id_seq')::text AS id`,
    });
    const [row] = rows;
    if (!row) throw new Error('a sequence has a next number');
    return row.id;
  }

  /** Takes events that are all new, as most are; null, and nothing is taken, when one is not or is likely not to be. */
  private async takeUnlessKnown(gatewayId: string, values: unknown[]): Promise<TakenRow | null> {
    if (this.repeating.has(gatewayId)) return null;
    try {
      return await this.run('fail', values);
    } catch (error) {
      if (isViolation(error, UNIQUE_VIOLATION)) return null;
      throw error;
    }
  }

  private async takeNew(values: unknown[]): Promise<TakenRow | 'conflict'> {
    try {
      return await this.run('pass', values);
    } catch (error) {
      if (isViolation(error, RESTRICT_VIOLATION)) return 'conflict';
      throw error;
    }
  }

  private async run(onKnown: 'fail' | 'pass', values: unknown[]): Promise<TakenRow> {
    const { rows } = await this.db.pool.query<TakenRow>({
      name: `take-events-${onKnown}`,
      text: TAKE_EVENTS[onKnown],
      values,
    });
    const [row] = rows;
    if (!row) throw new Error('taking events answers one row');
    return row;
  }

  /** The content of each event as it was taken; null of one that was not. */
  async known(events: readonly EventIdentity[]): Promise<(string | null)[]> {
    const { rows } = await this.db.pool.query<{ identity: string; content: string }>(
      `SELECT replace(identity::text, '-', '') AS identity, content::text FROM event_identity WHERE identity = ANY ($1::uuid[])`,
      [plainArray(events, ({ identity }) => identity)],
    );
    const contents = new Map(rows.map(({ identity, content }) => [identity, content]));
    return events.map(({ identity }) => contents.get(identity) ?? null);
  }
}

const text = (value: string): string => pg.escapeLiteral(value);

/** The different ones among objects, from 1. */
function numbered<T extends object>(objects: readonly T[]) {
  const numbers = new Map<T, number>();
  for (const one of objects) if (!numbers.has(one)) numbers.set(one, numbers.size + 1);
  return { all: [...numbers.keys()], numberOf: (one: T) => numbers.get(one) ?? 0 };
}

/** An array in Postgres' own text, of values that need no quotes. */
const plainArray = <T>(items: readonly T[], valueOf: (item: T) => string | number | bigint) =>
  `{${items.map(valueOf).join(',')}}`;

/** The same, of any texts; in most a text is often the one before. */
function textArray<T>(items: readonly T[], valueOf: (item: T) => string): string {
  let last = '';
  let lastQuoted = '""';
  const texts = items.map((item) => {
    const text = valueOf(item);
    if (text !== last) {
      last = text;
      lastQuoted = quoted(text);
    }
    return lastQuoted;
  });
  return `{${texts.join(',')}}`;
}

const quoted = (text: string) =>
  `"${/["\\]/.test(text) ? text.replaceAll(/["\\]/g, String.raw`\$&`) : text}"`;

function instantText(micros: number): string {
  const ms = Math.floor(micros / 1_000);
  const below = String(micros - ms * 1_000).padStart(3, '0');
  return `${new Date(ms).toISOString().slice(0, -1)}${below}Z`;
}
