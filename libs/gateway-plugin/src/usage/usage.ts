import { decisionSpans, SPANS_MAX } from './decision-spans.js';
import type { ToldConnections } from './connection-log.js';
import type { ToldDecisions } from './decision-log.js';

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
  /** Decisions that it is made of, as ids or spans of them. */
  readonly decisionIds?: readonly string[];
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
  /** Told only where it is to be kept with the record. */
  readonly decisionId?: string | undefined;
}

/** A message that passed over a WebSocket. */
export interface MeteredTraffic extends UsageOrigin {
  readonly protocol: 'WEBSOCKET';
  /** Units of 32 KiB, rounded per message. */
  readonly messages: number;
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
  readonly span: Span;
  readonly route: Route;
  calls: number;
  bytesOut: number;
  httpUnits: number;
  messages: number;
  /** Of its calls, those that are kept. */
  decisionIds: string[] | undefined;
}

/** What records of a span may have alike, and those of it by key. */
interface Route {
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly statusClass: StatusClass;
  readonly protocol: MeteredCall['protocol'] | MeteredTraffic['protocol'];
  readonly byKey: Map<string, OpenRecord>;
}

/** A minute or a quarter of an hour of business time. A path has few routes, which are looked at one by one. */
interface Span {
  readonly start: number;
  readonly byPath: Map<string, Route[]>;
  records: number;
}

/** How much an aggregator may hold. */
export interface AggregatorLimits {
  /** Past so many open records new ones are kept per quarter of an hour, the finest a billing zone can need. */
  readonly fineRecords: number;
  /** Past so many records nothing new fits. */
  readonly maxRecords: number;
}

const DEFAULT_LIMITS: AggregatorLimits = { fineRecords: 50_000, maxRecords: 200_000 };

/**
 * Sums usage into records until they are taken. Every call and every message is in exactly one record taken.
 *
 * A call finds its record by its span, path, route and key in turn, each of which is text or an object that is there
 * already: putting one text together for each call would cost more than all the rest.
 */
export class UsageAggregator {
  /** In the order in which they were opened. */
  private readonly open = new Set<OpenRecord>();
  private readonly spans = new Map<number, Span>();
  /** The span of the last call, which that of the next is as a rule. */
  private latest: Span | undefined;

  constructor(private readonly limits: AggregatorLimits = DEFAULT_LIMITS) {}

  /** How many records are open. */
  get size(): number {
    return this.open.size;
  }

  /** Adds usage. False when it needs a new record and there is no room: the caller must say so aloud. */
  add(usage: MeteredCall | MeteredTraffic): boolean {
    const { fineRecords, maxRecords } = this.limits;
    const record =
      this.recordOf(usage, MINUTE_MS, fineRecords) ??
      this.recordOf(usage, QUARTER_HOUR_MS, maxRecords);
    if (record === undefined) return false;
    if (usage.protocol === 'WEBSOCKET') {
      record.messages += usage.messages;
      return true;
    }
    record.calls += 1;
    record.bytesOut += usage.bytesOut;
    if (usage.protocol === 'HTTP') record.httpUnits += httpUnits(usage.bytesOut);
    if (usage.decisionId) this.noteDecision(record, usage.decisionId);
    return true;
  }

  /** Keeps a decision with its record. One that has all it may name takes no more calls: the next opens another. */
  private noteDecision(record: OpenRecord, id: string): void {
    const ids = (record.decisionIds ??= []);
    ids.push(id);
    if (ids.length === SPANS_MAX) record.route.byKey.delete(record.usage.keyId);
  }

  /** The open record of this usage in its span; a new one while fewer than `room` are open. */
  private recordOf(
    usage: MeteredCall | MeteredTraffic,
    spanMs: number,
    room: number,
  ): OpenRecord | undefined {
    const start = Math.floor(usage.at / spanMs) * spanMs;
    const span = this.latest?.start === start ? this.latest : this.spans.get(start);
    if (span) this.latest = span;
    const record = span && routeOf(span, usage)?.byKey.get(usage.keyId);
    if (record !== undefined || this.open.size >= room) return record;
    return this.openRecord(usage, span ?? this.openSpan(start));
  }

  private openSpan(start: number): Span {
    const span = { start, byPath: new Map<string, Route[]>(), records: 0 };
    this.spans.set(start, span);
    return span;
  }

  private openRecord(usage: MeteredCall | MeteredTraffic, span: Span): OpenRecord {
    const route = routeOf(span, usage) ?? openRoute(span, usage);
    const record = { usage, span, route, ...NOTHING };
    route.byKey.set(usage.keyId, record);
    span.records += 1;
    this.open.add(record);
    return record;
  }

  /** Takes the oldest records out, at most `maxRecords`. What is not taken stays open. */
  take(maxRecords: number): UsageRecord[] {
    const taken: UsageRecord[] = [];
    let ids = 0;
    for (const record of this.open) {
      ids += record.decisionIds?.length ?? 0;
      if (taken.length === maxRecords || ids > BATCH_DECISIONS_MAX) break;
      taken.push(toRecord(record));
      this.remove(record);
    }
    return taken;
  }

  private remove(record: OpenRecord): void {
    const { span, route, usage } = record;
    this.open.delete(record);
    if (route.byKey.get(usage.keyId) === record) route.byKey.delete(usage.keyId);
    span.records -= 1;
    if (span.records > 0) return;
    this.spans.delete(span.start);
    if (this.latest === span) this.latest = undefined;
  }
}

function routeOf(span: Span, usage: MeteredCall | MeteredTraffic): Route | undefined {
  const routes = span.byPath.get(usage.resourcePath);
  if (routes === undefined) return undefined;
  const status = statusClass(usage.status);
  for (const route of routes) {
    if (
      route.statusClass === status &&
      route.method === usage.method &&
      route.protocol === usage.protocol &&
      route.stage === usage.stage &&
      route.apiId === usage.apiId
    )
      return route;
  }
  return undefined;
}

function openRoute(span: Span, usage: MeteredCall | MeteredTraffic): Route {
  const { apiId, stage, method, protocol, resourcePath } = usage;
  const byKey = new Map<string, OpenRecord>();
  const route = { apiId, stage, method, statusClass: statusClass(usage.status), protocol, byKey };
  const routes = span.byPath.get(resourcePath);
  if (routes === undefined) span.byPath.set(resourcePath, [route]);
  else routes.push(route);
  return route;
}

const NOTHING = { calls: 0, bytesOut: 0, httpUnits: 0, messages: 0, decisionIds: undefined };

function toRecord(record: OpenRecord): UsageRecord {
  const { usage, span } = record;
  return {
    at: new Date(span.start).toISOString().replace('.000Z', 'Z'),
    keyId: usage.keyId,
    apiId: usage.apiId,
    stage: usage.stage,
    method: usage.method,
    resourcePath: usage.resourcePath,
    statusClass: statusClass(usage.status),
    quantities: quantitiesOf(record),
    ...(record.decisionIds && { decisionIds: decisionSpans(record.decisionIds) }),
  };
}

function quantitiesOf(record: OpenRecord): Record<string, string> {
  const { calls, bytesOut, httpUnits, messages } = record;
  if (record.usage.protocol === 'WEBSOCKET') return { messages: String(messages) };
  return {
    calls: String(calls),
    'bytes-out': String(bytesOut),
    ...(record.usage.protocol === 'HTTP' ? { 'http-units': String(httpUnits) } : {}),
  };
}

/** The most records that one batch carries: half of what the service takes, some 1.5 MB of JSON. */
export const BATCH_RECORDS_MAX = 5_000;
/** The most decisions that one batch names, which is what the service takes. */
const BATCH_DECISIONS_MAX = 50_000;

/** The bytes of a batch. They are made once: a repeat must be the same to the byte. */
export function batchBody(
  epoch: string,
  sequence: number,
  records: readonly UsageRecord[],
  told: {
    readonly connections?: ToldConnections | undefined;
    readonly decisions?: readonly ToldDecisions[] | undefined;
  } = {},
): string {
  const { connections, decisions } = told;
  return JSON.stringify({ epoch, sequence, records, connections, decisions });
}
