import { hash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { eventContent, type CloudEvent, type Reading } from '@core/metering';
import { Database, SystemClock } from '@io/platform';
import pg from 'pg';
import type { AccountMeters, CountingMeter } from './custom-meters.repository.js';
import type { EventPayer } from './event-payers.repository.js';
import { TAKE_EVENTS } from './take-events.js';
import type { BatchSource } from './usage-batches.repository.js';

/** Who an event is, and what it said. */
export interface EventIdentity {
  /** 16 bytes as hex. */
  readonly identity: string;
  /** 8 bytes as a signed decimal. */
  readonly content: string;
}

/** What one event says for one meter, with the payer. */
export interface EventReading extends Reading {
  /** Which of the events that are taken together. */
  readonly place: number;
  readonly event: CloudEvent;
  readonly atMicros: number;
  readonly meter: CountingMeter;
  readonly payer: EventPayer;
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

const isViolation = (error: unknown, code: string) =>
  error instanceof pg.DatabaseError && error.code === code;

/** Events that were taken, and what they say for meters. */
@Injectable()
export class EventsRepository {
  /** Gateways whose last events were not all new: the next will not be either, and are not tried in vain. */
  private readonly repeating = new Set<string>();

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
      plainArray(readings, ({ member }) =>
        member === null ? NO_MEMBER : digest(member).slice(0, 32),
      ),
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

/** Ids and sources have no line ends, so no two pairs have the same text. */
export function identityOf(accountId: string, event: CloudEvent): EventIdentity {
  const content = digest(eventContent(event)).slice(0, 16);
  return {
    identity: digest(`${accountId}\n${event.source}\n${event.id}`).slice(0, 32),
    content: BigInt.asIntN(64, BigInt(`0x${content}`)).toString(),
  };
}

const digest = (text: string): string => hash('sha256', text, 'hex');

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
