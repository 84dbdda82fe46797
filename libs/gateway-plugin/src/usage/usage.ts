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

/** One call that passed, as a gateway saw it end. */
export interface MeteredCall {
  /** When it was allowed, in milliseconds of business time. */
  readonly at: number;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly status: number;
  /** Bytes of the response's body as sent, after content encoding. */
  readonly bytesOut: number;
  readonly protocol: MeteredProtocol;
}

const MINUTE_MS = 60_000;
const QUARTER_HOUR_MS = 15 * MINUTE_MS;
const HTTP_UNIT_BYTES = 512 * 1024;

/** Units of an HTTP call. Rounded up per call, before anything is summed; an empty answer is one unit. */
export function httpUnits(bytesOut: number): number {
  return Math.max(1, Math.ceil(bytesOut / HTTP_UNIT_BYTES));
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
  readonly call: MeteredCall;
  readonly periodStart: number;
  calls: number;
  bytesOut: number;
  httpUnits: number;
}

/** How much an aggregator may hold. */
export interface AggregatorLimits {
  /** Past so many open records new ones are kept per quarter of an hour, the finest a billing zone can need. */
  readonly fineRecords: number;
  /** Past so many records nothing new fits. */
  readonly maxRecords: number;
}

const DEFAULT_LIMITS: AggregatorLimits = { fineRecords: 50_000, maxRecords: 200_000 };

/** Sums calls into usage records until they are taken. Every call is in exactly one record taken. */
export class UsageAggregator {
  private readonly open = new Map<string, OpenRecord>();

  constructor(private readonly limits: AggregatorLimits = DEFAULT_LIMITS) {}

  /** How many records are open. */
  get size(): number {
    return this.open.size;
  }

  /** Adds a call. False when it needs a new record and there is no room: the caller must say so aloud. */
  add(call: MeteredCall): boolean {
    const key = [
      call.keyId,
      call.apiId,
      call.stage,
      call.method,
      call.resourcePath,
      statusClass(call.status),
      call.protocol,
    ].join('\0');
    return this.addTo(key, call, MINUTE_MS) ?? this.addTo(key, call, QUARTER_HOUR_MS) ?? false;
  }

  private addTo(key: string, call: MeteredCall, spanMs: number): boolean | undefined {
    const periodStart = Math.floor(call.at / spanMs) * spanMs;
    const recordKey = `${periodStart}\0${key}`;
    let record = this.open.get(recordKey);
    if (record === undefined) {
      const room = spanMs === MINUTE_MS ? this.limits.fineRecords : this.limits.maxRecords;
      if (this.open.size >= room) return undefined;
      record = { call, periodStart, calls: 0, bytesOut: 0, httpUnits: 0 };
      this.open.set(recordKey, record);
    }
    record.calls += 1;
    record.bytesOut += call.bytesOut;
    if (call.protocol === 'HTTP') record.httpUnits += httpUnits(call.bytesOut);
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

function toRecord({ call, periodStart, calls, bytesOut, httpUnits }: OpenRecord): UsageRecord {
  return {
    at: new Date(periodStart).toISOString().replace('.000Z', 'Z'),
    keyId: call.keyId,
    apiId: call.apiId,
    stage: call.stage,
    method: call.method,
    resourcePath: call.resourcePath,
    statusClass: statusClass(call.status),
    quantities: {
      calls: String(calls),
      'bytes-out': String(bytesOut),
      ...(call.protocol === 'HTTP' ? { 'http-units': String(httpUnits) } : {}),
    },
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
