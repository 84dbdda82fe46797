import { isUtf8 } from 'node:buffer';
import { Injectable } from '@nestjs/common';
import {
  acceptedTimes,
  plainEventValues,
  readingBy,
  readPlainEvents,
  RECORD_LIMITS,
  type PlainEvents,
} from '@core/metering';
import { CustomMetersRepository, type AccountMeters } from './custom-meters.repository.js';
import { contentId, plainIdentities } from './event-identity.js';
import { EventPayersRepository, type EventPayer } from './event-payers.repository.js';
import type { PlainReading } from './event-rows.js';
import { EventsRepository } from './events.repository.js';
import type { BatchSource } from './usage-batches.repository.js';

/** So many readings at once are few enough to be sent in one piece. */
const READINGS_MAX = 5_000;

/** Events that were taken. */
export interface TakenPlainEvents {
  readonly events: number;
  readonly readings: number;
}

/** Takes batches of events from their bytes, of which all are new and can be counted, as most are. */
@Injectable()
export class PlainEventsService {
  constructor(
    private readonly meters: CustomMetersRepository,
    private readonly payers: EventPayersRepository,
    private readonly events: EventsRepository,
  ) {}

  /** What `EventIngestionService` does with such a batch; null, and nothing is done, of any other. */
  async receive(
    source: BatchSource,
    bytes: Uint8Array,
    now: Date,
  ): Promise<TakenPlainEvents | null> {
    if (!this.events.expectsNew(source) || !isUtf8(bytes)) return null;
    const contents: string[] = [];
    const events = readPlainEvents(bytes, (content) => contents.push(contentId(content)));
    if (!events) return null;
    const identities = plainIdentities(source.accountId, events, contents);
    const found = await this.payers.payers(source.accountId, events.payers, now);
    const payers = found.filter((payer): payer is EventPayer => !('attribute' in payer));
    if (payers.length < found.length) return null;
    const meters = await this.meters.ofAccount(source.accountId);
    const readings = readingsOf(events, payers, { meters, now });
    if (!readings) return null;
    const isTaken = await this.events.takeNewPlain(
      source,
      { events, identities, readings },
      meters,
    );
    return isTaken ? { events: events.count, readings: readings.length } : null;
  }
}

/** What each event says for each meter of its type; null when one cannot be counted, or is the first that a meter counts. */
function readingsOf(
  events: PlainEvents,
  payers: readonly EventPayer[],
  { meters, now }: { readonly meters: AccountMeters; readonly now: Date },
): PlainReading[] | null {
  const { earliestMs, latestMs } = acceptedTimes({ now, ...RECORD_LIMITS });
  const nowMicros = now.getTime() * 1_000;
  const valueAt = plainEventValues(events);
  const readings: PlainReading[] = [];
  for (let index = 0; index < events.count; index += 1) {
    const toldMicros = events.micros[index] ?? Number.NaN;
    const atMicros = Number.isNaN(toldMicros) ? nowMicros : toldMicros;
    if (atMicros > latestMs * 1_000 || atMicros < earliestMs * 1_000) return null;
    const payer = payers[events.payerOf[index] ?? -1];
    const ofType = meters.byType.get(events.types[events.typeOf[index] ?? -1] ?? '');
    if (!payer || !ofType) return null;
    for (const meter of ofType) {
      if (!meter.isActive) continue;
      const reading = readingBy(meter, (path) => valueAt(index, path));
      if (reading === null) continue;
      if ('detail' in reading || meter.usedAt === null || readings.length === READINGS_MAX)
        return null;
      const { quantity, member, dimensions } = reading;
      readings.push({ quantity, member, dimensions, index, atMicros, meter, payer });
    }
  }
  return readings;
}
