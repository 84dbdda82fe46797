import type { FieldFault } from '@core/kernel';

/** What may be told to webhooks. A new type is a line here, and a row of docs/webhooks.md. */
export const EVENT_TYPES = [
  'marketplace.agreement.changed',
  'marketplace.metering.at-risk',
  'marketplace.record.dead',
  'credit.low',
  'customer.blocked',
  'customer.unblocked',
  'invoice.overdue',
  'usage.alert.crossed',
  'webhook-endpoint.disabled',
  'webhook-endpoint.test',
] as const;

/** A type of event. */
export type EventType = (typeof EVENT_TYPES)[number];

/** What is wrong with a list of types that an endpoint wants; empty when nothing is. */
export function eventTypeFaults(types: readonly string[]): FieldFault[] {
  const known = new Set<string>(EVENT_TYPES);
  return types.flatMap((type, index) =>
    known.has(type)
      ? []
      : [{ pointer: `/eventTypes/${index}`, detail: `must be one of: ${EVENT_TYPES.join(', ')}` }],
  );
}

/** Something that happened, as its owner tells it. */
export interface NewEvent {
  readonly accountId: string;
  readonly type: EventType;
  /** The id of what it is about: a second event of the type about the same is the same event, and not told again. */
  readonly subjectId: string;
  /** When, by the account's clock. */
  readonly at: Date;
  /** Ids and figures; no key, no secret, nothing personal. Decimals and money are strings. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** The body of an event, the same at every attempt, since the signature covers its bytes. */
export function eventBody(id: string, { accountId, type, at, data }: NewEvent): string {
  return JSON.stringify({ id, type, timestamp: at.toISOString(), accountId, data });
}
