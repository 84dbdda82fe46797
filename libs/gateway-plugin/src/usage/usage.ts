/** What a gateway reports: sums of meters for one minute, key, api, stage, method, path and status class. */
export interface UsageRecord {
  /** The start of the minute, ISO 8601 in UTC, in the account's business time. */
  readonly at: string;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly statusClass: StatusClass;
  /** Whole numbers as strings, by meter. */
  readonly quantities: Readonly<Record<string, string>>;
}

/** The class of a response's status. */
export type StatusClass = '1xx' | '2xx' | '3xx' | '4xx' | '5xx';

/** REST calls are metered one by one, HTTP calls also in units of 512 KiB. */
export type MeteredProtocol = 'REST' | 'HTTP';

/** Whose and what usage is, apart from how much. */
interface UsageOrigin {
  /** When it was allowed, in milliseconds of business time. */
  readonly at: number;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly status: number;
}

/** One call that passed, as a gateway saw it end. */
export interface MeteredCall extends UsageOrigin {
  /** Bytes of the response's body as sent, after content encoding. */
  readonly bytesOut: number;
  readonly protocol: MeteredProtocol;
}

/** What passed over a WebSocket: a message, or the life of a connection that closed. */
export interface MeteredTraffic extends UsageOrigin {
  readonly protocol: 'WEBSOCKET';
  /** Units of 32 KiB, rounded per message. */
  readonly messages: number;
  /** Whole minutes, rounded per connection. */
  readonly connectionMinutes: number;
}

const MINUTE_MS = 60_000;
const QUARTER_HOUR_MS = 15 * MINUTE_MS;
const HTTP_UNIT_BYTES = 512 * 1024;
const MESSAGE_UNIT_BYTES = 32 * 1024;

/** Units of an HTTP call. Rounded up per call, before anything is summed; an empty answer is one unit. */
export function httpUnits(bytesOut: number): number {
  return Math.max(1, Math.ceil(bytesOut / HTTP_UNIT_BYTES));
}

/** Units of a WebSocket message in one direction. Rounded up per message; an empty one is one unit. */
export function messageUnits(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / MESSAGE_UNIT_BYTES));
}

/**
 * Minutes of a connection over its whole life, each started one whole. At least one: it was open, if for less than the
 * clock tells, or while the clock was set back.
 */
export function connectionMinutes(openedAtMs: number, closedAtMs: number): number {
  return Math.max(1, Math.ceil((closedAtMs - openedAtMs) / MINUTE_MS));
}

/** The class of a status; what is no HTTP status counts as a server's fault. */
export function statusClass(status: number): StatusClass {
  if (status >= 100 && status < 200) return '1xx';
  if (status >= 200 && status < 300) return '2xx';
  if (status >= 300 && status < 400) return '3xx';
  if (status >= 400 && status < 500) return '4xx';
  return '5xx';
}

interface OpenRecord {
  readonly usage: MeteredCall | MeteredTraffic;
  readonly periodStart: number;
  calls: number;
  bytesOut: number;
  httpUnits: number;
  messages: number;
  connectionMinutes: number;
}

/** How much an aggregator may hold. */
export interface AggregatorLimits {
  /** Past so many open records new ones are kept per quarter of an hour, the finest a billing zone can need. */
  readonly fineRecords: number;
  /** Past so many records nothing new fits. */
  readonly maxRecords: number;
}

const DEFAULT_LIMITS: AggregatorLimits = { fineRecords: 50_000, maxRecords: 200_000 };

/** Sums usage into records until they are taken. Every call and every message is in exactly one record taken. */
export class UsageAggregator {
  private readonly open = new Map<string, OpenRecord>();

  constructor(private readonly limits: AggregatorLimits = DEFAULT_LIMITS) {}

  /** How many records are open. */
  get size(): number {
    return this.open.size;
  }

  /** Adds usage. False when it needs a new record and there is no room: the caller must say so aloud. */
  add(usage: MeteredCall | MeteredTraffic): boolean {
    const key = [
      usage.keyId,
      usage.apiId,
      usage.stage,
      usage.method,
      usage.resourcePath,
      statusClass(usage.status),
      usage.protocol,
    ].join('\0');
    return this.addTo(key, usage, MINUTE_MS) ?? this.addTo(key, usage, QUARTER_HOUR_MS) ?? false;
  }

  private addTo(
    key: string,
    usage: MeteredCall | MeteredTraffic,
    spanMs: number,
  ): boolean | undefined {
    const periodStart = Math.floor(usage.at / spanMs) * spanMs;
    const recordKey = `${periodStart}\0${key}`;
    let record = this.open.get(recordKey);
    if (record === undefined) {
      const room = spanMs === MINUTE_MS ? this.limits.fineRecords : this.limits.maxRecords;
      if (this.open.size >= room) return undefined;
      record = { usage, periodStart, ...NOTHING };
      this.open.set(recordKey, record);
    }
    if (usage.protocol === 'WEBSOCKET') {
      record.messages += usage.messages;
      record.connectionMinutes += usage.connectionMinutes;
      return true;
    }
    record.calls += 1;
    record.bytesOut += usage.bytesOut;
    if (usage.protocol === 'HTTP') record.httpUnits += httpUnits(usage.bytesOut);
    return true;
  }

  /** Takes the oldest records out, at most `maxRecords`. What is not taken stays open. */
  take(maxRecords: number): UsageRecord[] {
    const taken: UsageRecord[] = [];
    for (const [key, record] of this.open) {
      if (taken.length === maxRecords) break;
      taken.push(toRecord(record));
      this.open.delete(key);
    }
    return taken;
  }
}

const NOTHING = { calls: 0, bytesOut: 0, httpUnits: 0, messages: 0, connectionMinutes: 0 };

function toRecord(record: OpenRecord): UsageRecord {
  const { usage, periodStart } = record;
  return {
    at: new Date(periodStart).toISOString().replace('.000Z', 'Z'),
    keyId: usage.keyId,
    apiId: usage.apiId,
    stage: usage.stage,
    method: usage.method,
    resourcePath: usage.resourcePath,
    statusClass: statusClass(usage.status),
    quantities: quantitiesOf(record),
  };
}

function quantitiesOf(record: OpenRecord): Record<string, string> {
  const { calls, bytesOut, httpUnits, messages, connectionMinutes } = record;
  if (record.usage.protocol === 'WEBSOCKET') {
    return {
      ...(messages > 0 ? { messages: String(messages) } : {}),
      ...(connectionMinutes > 0 ? { 'connection-minutes': String(connectionMinutes) } : {}),
    };
  }
  return {
    calls: String(calls),
    'bytes-out': String(bytesOut),
    ...(record.usage.protocol === 'HTTP' ? { 'http-units': String(httpUnits) } : {}),
  };
}

/** The most records that one batch carries: half of what the service takes, some 1.5 MB of JSON. */
export const BATCH_RECORDS_MAX = 5_000;

/** The bytes of a batch. They are made once: a repeat must be the same to the byte. */
export function batchBody(
  epoch: string,
  sequence: number,
  records: readonly UsageRecord[],
): string {
  return JSON.stringify({ epoch, sequence, records });
}
