import { Injectable } from '@nestjs/common';
import type { FieldFault } from '@core/kernel';
import {
  acceptedTimes,
  EventConflict,
  readingOf,
  UnusableEvents,
  type CloudEvent,
} from '@core/metering';
import { CustomMetersRepository, type AccountMeters } from './custom-meters.repository.js';
import { EventPayersRepository, type PayerNames } from './event-payers.repository.js';
import {
  EventsRepository,
  identityOf,
  type EventIdentity,
  type EventReading,
} from './events.repository.js';
import { RollUpWakeUp } from './roll-up-wake-up.js';
import type { BatchSource } from './usage-batches.repository.js';

/** What became of each event, in their order. */
export interface EventsAcknowledgement {
  readonly accepted: number;
  /** Came before, with the same content. They count once. */
  readonly duplicates: number;
  readonly results: readonly ('accepted' | 'duplicate')[];
}

/** Events as they came, and how a fault of one is pointed at: `/3/subject`, or `/ce-subject`. */
export interface ReceivedEvents {
  readonly events: readonly CloudEvent[];
  readonly pointerOf: (index: number, pointer: string) => string;
}

/** A fault of the event at `index`, with its pointer in the event. */
interface FaultOfEvent extends FieldFault {
  readonly index: number;
}

interface Evaluation {
  readonly readings: EventReading[];
  readonly faults: FaultOfEvent[];
}

/** How often it starts anew when meters change under it. */
const ATTEMPTS_MAX = 5;
const FUTURE_MS = 5 * 60_000;
const PAST_MONTHS = 13;

/** Takes events. What it acknowledges is committed and counts exactly once, for ever. */
@Injectable()
export class EventIngestionService {
  constructor(
    private readonly meters: CustomMetersRepository,
    private readonly payers: EventPayersRepository,
    private readonly events: EventsRepository,
    private readonly rollUp: RollUpWakeUp,
  ) {}

  /**
   * Takes all events or none. One that came before with the same content is a duplicate; with other content, the request is
   * an `EventConflict`. Events that nobody can be charged for, or no meter can count, are `UnusableEvents`.
   *
   * `now` is the account's business time, which an event without a time happened at.
   */
  async receive(
    source: BatchSource,
    received: ReceivedEvents,
    now: Date,
  ): Promise<EventsAcknowledgement> {
    const identities = received.events.map((event) => identityOf(source.accountId, event));
    let pending = firstOfEach(identities, received);
    let meters = await this.meters.ofAccount(source.accountId);
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      const { readings, faults } = await this.evaluate(source, received, pending, { meters, now });
      if (faults.length > 0) {
        // Perhaps only this process does not know a meter yet.
        const isKnown = meters;
        meters = await this.meters.reload(source.accountId);
        if (meters.revisions !== isKnown.revisions || meters.count !== isKnown.count) continue;
        const duplicates = await this.knownAmong(faults, identities, received);
        pending = pending.filter((index) => !duplicates.has(index));
        continue;
      }
      const taken = await this.take(source, pending, { received, identities, readings, meters });
      if (taken) return this.acknowledge(taken, received.events.length, readings.length);
      meters = await this.meters.reload(source.accountId);
    }
    throw new Error('the meters of an account changed at every attempt to count by them');
  }

  /** Which of the pending events are new; null when the meters are others by now. */
  private async take(
    source: BatchSource,
    pending: readonly number[],
    parts: {
      readonly received: ReceivedEvents;
      readonly identities: readonly EventIdentity[];
      readonly readings: readonly EventReading[];
      readonly meters: AccountMeters;
    },
  ): Promise<ReadonlySet<number> | null> {
    if (pending.length === 0) return new Set();
    const { received, identities, readings, meters } = parts;
    const sent = pending.map((index) => at(identities, index));
    const placed = new Map(pending.map((index, place) => [index, place]));
    const taken = await this.events.take(
      source,
      sent,
      readings.map((reading) => ({ ...reading, index: placed.get(reading.index) ?? -1 })),
      meters,
    );
    if ('fresh' in taken) return new Set([...taken.fresh].map((place) => at(pending, place)));
    if (taken.refused === 'meters-changed') return null;
    throw new EventConflict(
      taken.indices.map((place) => received.pointerOf(at(pending, place), '/id')),
    );
  }

  private acknowledge(
    fresh: ReadonlySet<number>,
    count: number,
    readings: number,
  ): EventsAcknowledgement {
    if (fresh.size > 0 && readings > 0) this.rollUp.wake();
    const results = Array.from({ length: count }, (_, index) =>
      fresh.has(index) ? ('accepted' as const) : ('duplicate' as const),
    );
    return { accepted: fresh.size, duplicates: count - fresh.size, results };
  }

  /** Whose each pending event is and what it says for each meter of its type, or why it cannot be counted. */
  private async evaluate(
    { accountId }: BatchSource,
    { events }: ReceivedEvents,
    pending: readonly number[],
    { meters, now }: { readonly meters: AccountMeters; readonly now: Date },
  ): Promise<Evaluation> {
    const times = acceptedTimes({ now, futureMs: FUTURE_MS, pastMonths: PAST_MONTHS });
    const names = pending.map((index) => payerNames(at(events, index)));
    const payers = await this.payers.payers(accountId, names, now);
    const evaluation: Evaluation = { readings: [], faults: [] };
    const { readings, faults } = evaluation;
    for (const [place, index] of pending.entries()) {
      const event = at(events, index);
      const atMicros = event.atMicros ?? now.getTime() * 1_000;
      const refuse = (fault: FieldFault) => faults.push({ ...fault, index });
      if (atMicros > times.latestMs * 1_000) refuse({ pointer: '/time', detail: times.tooLate });
      if (atMicros < times.earliestMs * 1_000) refuse({ pointer: '/time', detail: times.tooEarly });
      const payer = payers[place];
      if (!payer || 'attribute' in payer) {
        if (payer) refuse({ pointer: `/${payer.attribute}`, detail: payer.detail });
        continue;
      }
      const ofType = meters.byType.get(event.type);
      if (!ofType) refuse({ pointer: '/type', detail: 'is the event type of no meter' });
      for (const meter of ofType ?? []) {
        if (!meter.isActive) continue;
        const reading = readingOf(meter, event);
        if (reading === null) continue;
        if ('detail' in reading)
          refuse({ ...reading, detail: `${reading.detail} (meter "${meter.name}")` });
        else readings.push({ ...reading, index, event, atMicros, meter, payer });
      }
    }
    return evaluation;
  }

  /**
   * What was acknowledged stays so, also when it could not come in any more: which of the faulty events were taken before.
   * Throws when one was not.
   */
  private async knownAmong(
    faults: readonly FaultOfEvent[],
    identities: readonly EventIdentity[],
    { pointerOf }: ReceivedEvents,
  ): Promise<ReadonlySet<number>> {
    const indices = [...new Set(faults.map(({ index }) => index))];
    const contents = await this.events.known(indices.map((index) => at(identities, index)));
    const known = new Set<number>();
    const conflicts: string[] = [];
    for (const [place, index] of indices.entries()) {
      const content = contents[place];
      if (content === at(identities, index).content) known.add(index);
      else if (content !== null) conflicts.push(pointerOf(index, '/id'));
    }
    if (conflicts.length > 0) throw new EventConflict(conflicts);
    const left = faults.filter(({ index }) => !known.has(index));
    if (left.length === 0) return known;
    throw new UnusableEvents(
      left.map(({ index, pointer, detail }) => ({ pointer: pointerOf(index, pointer), detail })),
    );
  }
}

/** The first of each identity. Throws when another one of the same request says something else. */
function firstOfEach(
  identities: readonly EventIdentity[],
  { pointerOf }: ReceivedEvents,
): number[] {
  const contents = new Map<string, string>();
  const firsts: number[] = [];
  for (const [index, { identity, content }] of identities.entries()) {
    const first = contents.get(identity);
    if (first !== undefined && first !== content)
      throw new EventConflict([pointerOf(index, '/id')]);
    if (first === undefined) firsts.push(index);
    contents.set(identity, content);
  }
  return firsts;
}

function payerNames({ subject, json }: CloudEvent): PayerNames {
  const extension = (name: string) => {
    const value = json[name];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  };
  return {
    keyId: extension('tollgatekeyid'),
    subject: subject ?? '',
    apiId: extension('tollgateapiid'),
    stage: extension('tollgatestage'),
    usagePlanId: extension('tollgateplanid'),
  };
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error('the index is of this list');
  return item;
}
