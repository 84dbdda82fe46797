import { setTimeout as sleep } from 'node:timers/promises';
import { anEvent } from './events.js';
import type { PatientClient } from './patient-client.js';
import { scaled } from './usage-ledger.js';

/** An event as its sender keeps it. */
export interface SentEvent {
  readonly id: string;
  readonly source: string;
  readonly customerId: string;
  /** In milliseconds. */
  readonly at: number;
  readonly value: number;
  readonly model: string;
}

/** Own meters of each aggregation, of events of the type `chaos`, by model. */
export const CHAOS_METERS = (['sum', 'count', 'max', 'unique-count', 'latest'] as const).map(
  (aggregation) => ({
    name: `chaos-${aggregation}`,
    aggregation,
    eventType: 'chaos',
    ...(aggregation === 'count' ? {} : { valuePath: '$.data.value' }),
    groupBy: { model: '$.data.model' },
  }),
);

const HEADERS = { 'content-type': 'application/cloudevents-batch+json' };
const HOUR_MS = 3_600_000;

/** Sends events in any order, twice, at once, and again long after; each is acknowledged at least once in the end. */
export class EventSender {
  readonly sent: SentEvent[] = [];

  constructor(
    private readonly options: {
      readonly client: PatientClient;
      readonly name: string;
      readonly random: (bound: number) => number;
      readonly customerIds: readonly string[];
      readonly skewMs: number;
    },
  ) {}

  async run(isOver: () => boolean): Promise<void> {
    const { client, random } = this.options;
    while (!isOver()) {
      const fresh = Array.from({ length: 1 + random(15) }, () => this.event());
      const old = fresh.filter(() => this.sent.length > 0 && random(4) === 0);
      const again = old.map(() => this.sent[random(this.sent.length)]!);
      const batch = [...fresh, ...again].map((event) => wire(event));
      const post = () => client.post('/v1/events', batch, { headers: HEADERS });
      await Promise.all(random(4) === 0 ? [post(), post()] : [post()]);
      this.sent.push(...fresh);
      await sleep(random(40));
    }
  }

  private event(): SentEvent {
    const { random, name, customerIds, skewMs } = this.options;
    const at = Date.now() + skewMs - random(6 * HOUR_MS);
    return {
      id: `${random(2 ** 30)}-${this.sent.length}`,
      source: `/${name}/${random(3)}`,
      customerId: customerIds[random(customerIds.length)]!,
      // At times on the edge of an hour, and some at the same instant.
      at: random(5) === 0 ? Math.floor(at / HOUR_MS) * HOUR_MS : at,
      value: random(50),
      model: ['', 'small', 'lärge'][random(3)]!,
    };
  }
}

const wire = ({ id, source, customerId: subject, at, value, model }: SentEvent) =>
  anEvent({
    id,
    source,
    subject,
    type: 'chaos',
    time: new Date(at).toISOString(),
    data: { value, model },
  });

/** What own meters must come to, by hour, customer and model: `<hour> <customer> <model> <meter> <quantity>`. */
export function countedEvents(events: readonly SentEvent[]): string[] {
  const groups = new Map<string, SentEvent[]>();
  for (const event of events) {
    const hour = new Date(Math.floor(event.at / HOUR_MS) * HOUR_MS).toISOString();
    const id = `${hour} ${event.customerId} ${event.model}`;
    groups.set(id, [...(groups.get(id) ?? []), event]);
  }
  return [...groups].flatMap(([id, group]) => {
    const values = group.map(({ value }) => value);
    const latest = group.toSorted(
      (a, b) =>
        a.at - b.at ||
        Buffer.compare(Buffer.from(a.source), Buffer.from(b.source)) ||
        Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)),
    );
    const quantities = {
      sum: values.reduce((sum, value) => sum + value, 0),
      count: group.length,
      max: Math.max(...values),
      'unique-count': new Set(values).size,
      latest: latest.at(-1)!.value,
    };
    return Object.entries(quantities).map(
      ([aggregation, quantity]) => `${id} chaos-${aggregation} ${scaled(String(quantity))}`,
    );
  });
}
