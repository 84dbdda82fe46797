import { Injectable } from '@nestjs/common';
import type { FieldFault } from '@core/kernel';
import {
  acceptedTimes,
  EventConflict,
  payerNames,
  readingOf,
  RECORD_LIMITS,
  UnusableEvents,
  type CloudEvent,
} from '@core/metering';
import { SystemClock } from '@io/platform';
import { CustomMetersRepository, type AccountMeters } from './custom-meters.repository.js';
import { EventPayersRepository } from './event-payers.repository.js';
import { identityOf, type EventIdentity } from './event-identity.js';
import { EventsRepository, type EventReading } from './events.repository.js';
import { IncidentsRepository } from './incidents.repository.js';
import { PlainEventsService } from './plain-events.service.js';
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

/** Events as they were sent. */
export interface SentEvents {
  /** Of a batch in JSON; null in any other mode. */
  readonly batch: Uint8Array | null;
  /** What they say; throws when they are none. */
  readonly read: () => ReceivedEvents;
}

/** A fault of the event at `index`, with its pointer in the event. */
interface FaultOfEvent extends FieldFault {
  readonly index: number;
}

/** Readings with the place of their event among the pending ones. */
interface Evaluation {
  readonly readings: EventReading[];
  readonly faults: FaultOfEvent[];
}

/** How often it starts anew when meters change under it. */
const ATTEMPTS_MAX = 5;

/** Takes events. What it acknowledges is committed and counts exactly once, for ever. */
@Injectable()
export class EventIngestionService {
  constructor(
    private readonly plain: PlainEventsService,
    private readonly meters: CustomMetersRepository,
    private readonly payers: EventPayersRepository,
    private readonly events: EventsRepository,
    private readonly incidents: IncidentsRepository,
    private readonly system: SystemClock,
    private readonly rollUp: RollUpWakeUp,
  ) {}

  /**
   * Takes all events or none. One that came before with the same content is a duplicate; with other content, the request is
   * an `EventConflict`, and each other content an incident. Events that nobody can be charged for, or no meter can count, are `UnusableEvents`.
   *
   * `now` is the account's business time, which an event without a time happened at.
   */
  async receive(source: BatchSource, sent: SentEvents, now: Date): Promise<EventsAcknowledgement> {
    const taken = sent.batch && (await this.plain.receive(source, sent.batch, now));
    if (!taken) return this.receiveAny(source, sent.read(), now);
    if (taken.readings > 0) this.rollUp.wake();
    const results = Array.from({ length: taken.events }, () => 'accepted' as const);
    return { accepted: taken.events, duplicates: 0, results };
  }

  private async receiveAny(
    source: BatchSource,
    received: ReceivedEvents,
    now: Date,
  ): Promise<EventsAcknowledgement> {
    const identities = received.events.map((event) => identityOf(source.accountId, event));
    const { firsts, contradicting } = firstOfEach(identities);
    if (contradicting.length > 0)
      throw await this.conflict(source, received, identities, contradicting);
    let pending = firsts;
    let meters = await this.meters.ofAccount(source.accountId);
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      const { readings, faults } = await this.evaluate(source, received, pending, { meters, now });
      if (faults.length > 0) {
        // Perhaps only this process does not know a meter yet.
        const isKnown = meters;
        meters = await this.meters.reload(source.accountId);
        if (meters.revisions !== isKnown.revisions || meters.count !== isKnown.count) continue;
        const duplicates = await this.knownAmong(source, faults, identities, received);
        pending = pending.filter((index) => !duplicates.has(index));
        continue;
      }
      const taken = await this.take(source, pending, { received, identities, readings, meters });
      if (taken) {
        // As they are known here they would be claimed by each request, one after the other.
        if (readings.some(({ meter }) => meter.usedAt === null))
          this.meters.forget(source.accountId);
        return this.acknowledge(taken, received.events.length, readings.length);
      }
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
    const taken = await this.events.take(source, sent, readings, meters);
    if ('fresh' in taken) return new Set([...taken.fresh].map((place) => at(pending, place)));
    if (taken.refused === 'meters-changed') return null;
    throw await this.conflict(source, received, identities);
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
    const times = acceptedTimes({ now, ...RECORD_LIMITS });
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
        else {
          // Named one by one: spreading it ahead of the others takes microseconds.
          const { quantity, member, dimensions } = reading;
          readings.push({ quantity, member, dimensions, place, event, atMicros, meter, payer });
        }
      }
    }
    return evaluation;
  }

  /**
   * What was acknowledged stays so, also when it could not come in any more: which of the faulty events were taken before.
   * Throws when one was not.
   */
  private async knownAmong(
    source: BatchSource,
    faults: readonly FaultOfEvent[],
    identities: readonly EventIdentity[],
    received: ReceivedEvents,
  ): Promise<ReadonlySet<number>> {
    const indices = [...new Set(faults.map(({ index }) => index))];
    const contents = await this.events.known(indices.map((index) => at(identities, index)));
    const known = new Set<number>();
    for (const [place, index] of indices.entries()) {
      const content = contents[place];
      if (content === at(identities, index).content) known.add(index);
      else if (content !== null) throw await this.conflict(source, received, identities);
    }
    const left = faults.filter(({ index }) => !known.has(index));
    if (left.length === 0) return known;
    throw new UnusableEvents(
      left.map(({ index, pointer, detail }) => ({
        pointer: received.pointerOf(index, pointer),
        detail,
      })),
    );
  }

  /**
   * The refusal of a request some events of which say something else than what was taken, or (`contradicting`) than another
   * one of the same request. Each that differs from what was taken is noted as an incident, beside what was refused.
   */
  private async conflict(
    source: BatchSource,
    { events, pointerOf }: ReceivedEvents,
    identities: readonly EventIdentity[],
    contradicting: readonly number[] = [],
  ): Promise<EventConflict> {
    const known = await this.events.known(identities);
    const conflicts = identities.flatMap((sent, index) => {
      const first = known[index] ?? null;
      if (first === null || first === sent.content) return [];
      const event = at(events, index);
      return [{ ...sent, index, first, source: event.source, eventId: event.id }];
    });
    if (conflicts.length > 0)
      await this.incidents.noteEventConflicts(source, conflicts, this.system.now());
    const indices = new Set([...conflicts.map(({ index }) => index), ...contradicting]);
    return new EventConflict(
      [...indices].toSorted((a, b) => a - b).map((index) => pointerOf(index, '/id')),
    );
  }
}

/** The first of each identity, and those that say something else than the first of theirs. */
function firstOfEach(identities: readonly EventIdentity[]) {
  const contents = new Map<string, string>();
  const firsts: number[] = [];
  const contradicting: number[] = [];
  for (const [index, { identity, content }] of identities.entries()) {
    const first = contents.get(identity);
    if (first === undefined) {
      firsts.push(index);
      contents.set(identity, content);
    } else if (first !== content) contradicting.push(index);
  }
  return { firsts, contradicting };
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error('the index is of this list');
  return item;
}
