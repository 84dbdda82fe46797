import { atPointer, type FieldFault } from '@core/kernel';
import { acceptedTimes } from './accepted-times.js';
import { connectionContent, readConnections, type ConnectionEvents } from './connections.js';
import {
  correctionContent,
  isCorrection,
  OWN_EPOCHS,
  readCorrection,
  type SentCorrection,
} from './corrections.js';
import {
  decisionCountsContent,
  readDecisionCounts,
  type DecisionCount,
} from './decision-counts.js';
import { checkDecisionIds, DECISION_IDS_OF_BATCH_MAX } from './decision-ids.js';
import { FAULTS_MAX } from './errors.js';
import {
  instantMs,
  isObject,
  isPlainText,
  matchesId,
  METHOD_BYTES_MAX,
  PATH_BYTES_MAX,
  STAGE_BYTES_MAX,
} from './json-fields.js';
import {
  checkQuantities,
  quantitiesContent,
  refuse,
  shortName,
  type Quantities,
} from './quantities.js';
import { jsonText, type QuarantinedRecord, type QuarantineReason } from './quarantine.js';

/** Quantities of meters for (instant, key, api, stage, method, status class), as a gateway sent them. */
export interface UsageRecord {
  readonly at: string;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly statusClass: string;
  readonly quantities: Quantities;
  /** Decisions that it is made of, as ids or spans of them; absent when its gateway does not say. */
  readonly decisionIds?: readonly string[];
}

/** A numbered delivery of usage records. The number, not the content, is its identity. */
export interface UsageBatch {
  readonly epoch: string;
  /** From 0, contiguous within the epoch. */
  readonly sequence: number;
  /** Those that count. */
  readonly records: readonly UsageRecord[];
  /** The instant of each of them, in milliseconds. */
  readonly instants: Float64Array;
  /** Absent when all that were sent count. */
  readonly leftOut?: LeftOut;
  /** What it says of other records; absent when it says nothing. */
  readonly corrections?: readonly SentCorrection[];
  /** What it tells of connections. */
  readonly connections?: ConnectionEvents;
  /** How many calls its gateway allowed by itself; absent when it does not tell. */
  readonly decisions?: readonly DecisionCount[];
}

/** What is not in `records` of a batch, since it does not count. */
export interface LeftOut {
  /** The place of each of `records` among those that were sent. */
  readonly ordinals: Int32Array;
  /** In the order in which they were sent. */
  readonly quarantined: readonly QuarantinedRecord[];
}

/** How many records a batch had as it was sent. */
export const sentRecords = ({ records, leftOut, corrections }: UsageBatch): number =>
  records.length + (leftOut?.quarantined.length ?? 0) + (corrections?.length ?? 0);

export const RECORDS_MAX = 10_000;

/** The epoch, of each gateway, of batches that count records out of the quarantine. */
export const QUARANTINE_EPOCH = `${OWN_EPOCHS}quarantine`;

const BATCH_FIELDS: ReadonlySet<string> = new Set([
  'epoch',
  'sequence',
  'records',
  'connections',
  'decisions',
]);
const RECORD_FIELDS: ReadonlySet<string> = new Set([
  'at',
  'keyId',
  'apiId',
  'stage',
  'method',
  'resourcePath',
  'statusClass',
  'quantities',
  'decisionIds',
]);
const STATUS_CLASSES = new Set<unknown>(['1xx', '2xx', '3xx', '4xx', '5xx']);

/**
 * Reads a batch from untrusted JSON: either the batch, or what is wrong with its envelope. A record that is malformed is
 * quarantined and keeps back none of the others.
 *
 * It makes no object and no string for a good record; the records of a good batch are the parsed JSON itself.
 */
export function readUsageBatch(json: unknown): UsageBatch | { readonly faults: FieldFault[] } {
  const faults: FieldFault[] = [];
  if (!isObject(json)) return { faults: [{ pointer: '', detail: 'must be a JSON object' }] };
  const { epoch, sequence, records, connections, decisions } = json;
  for (const name of Object.keys(json)) {
    if (!BATCH_FIELDS.has(name))
      faults.push({ pointer: atPointer('', name), detail: 'is not a field of this request' });
  }
  if (!isPlainText(epoch, 64))
    faults.push({
      pointer: '/epoch',
      detail: 'must be a string of 1 to 64 bytes without control characters',
    });
  else if (epoch.startsWith(OWN_EPOCHS))
    faults.push({
      pointer: '/epoch',
      detail: `must not begin with "${OWN_EPOCHS}", which the service keeps for itself`,
    });
  if (!Number.isSafeInteger(sequence) || (sequence as number) < 0)
    faults.push({
      pointer: '/sequence',
      detail: 'must be a whole number from 0 to 9007199254740991',
    });
  const told = connections === undefined ? undefined : readConnections(connections, faults);
  const counts = decisions === undefined ? undefined : readDecisionCounts(decisions, faults);
  const recordsMin = connections === undefined && decisions === undefined ? 1 : 0;
  if (!Array.isArray(records) || records.length < recordsMin || records.length > RECORDS_MAX)
    faults.push({
      pointer: '/records',
      detail: `must be a list of ${recordsMin} to ${RECORDS_MAX} records`,
    });
  if (faults.length > 0) return { faults: faults.slice(0, FAULTS_MAX) };
  const batch = readRecords(epoch as string, sequence as number, records as unknown[]);
  if ('faults' in batch || (told === undefined && counts === undefined)) return batch;
  return { ...batch, ...(told && { connections: told }), ...(counts && { decisions: counts }) };
}

/** Checks each record, and keeps what is wrong with it. */
function readRecords(
  epoch: string,
  sequence: number,
  records: readonly unknown[],
): UsageBatch | { readonly faults: FieldFault[] } {
  const instants = new Float64Array(records.length);
  const leftOut = new Map<number, Reason | null>();
  const corrections: SentCorrection[] = [];
  let faults: FieldFault[] = [];
  let decisionIds = 0;
  let lastAt: unknown;
  let lastMs = Number.NaN;
  for (let index = 0; index < records.length; index += 1) {
    const record = records[index];
    if (isObject(record)) {
      // A gateway sends sums per minute, so most records have the instant of the one before.
      if (record['at'] !== lastAt) {
        lastAt = record['at'];
        lastMs = instantMs(lastAt);
      }
      instants[index] = lastMs;
      readRecord(record, lastMs, faults);
      const ids = record['decisionIds'];
      if (Array.isArray(ids)) decisionIds += ids.length;
    } else {
      instants[index] = Number.NaN;
      refuse(faults, null, 'must be a JSON object');
    }
    if (faults.length > 0) {
      // One that says something of another record is none by itself, which costs the others nothing to find out.
      if (isObject(record) && isCorrection(record)) {
        faults = [];
        const correction = readCorrection(record, { epoch, sequence, index }, faults);
        if (correction) corrections.push(correction);
      }
      const malformed = { reason: 'malformed', faults, customerId: null } as const;
      leftOut.set(index, faults.length > 0 ? malformed : null);
      faults = [];
    }
  }
  if (decisionIds > DECISION_IDS_OF_BATCH_MAX)
    return {
      faults: [
        {
          pointer: '/records',
          detail: `must name at most ${DECISION_IDS_OF_BATCH_MAX} decisions in all`,
        },
      ],
    };
  const batch = { epoch, sequence, records: records as UsageRecord[], instants };
  return quarantining(corrections.length > 0 ? { ...batch, corrections } : batch, leftOut);
}

/** Notes what is wrong with a record, whose instant was read already. */
function readRecord(record: Record<string, unknown>, ms: number, faults: FieldFault[]): void {
  if (Number.isNaN(ms)) refuse(faults, 'at', 'must be an instant such as 2026-11-22T07:31:00Z');
  if (!matchesId(record['keyId'])) refuse(faults, 'keyId', 'must be the id of an API key');
  if (!matchesId(record['apiId'])) refuse(faults, 'apiId', 'must be the id of an api');
  if (!isPlainText(record['stage'], STAGE_BYTES_MAX))
    refuse(faults, 'stage', 'must be the name of a stage');
  if (!isPlainText(record['method'], METHOD_BYTES_MAX)) refuse(faults, 'method', methodSays);
  if (!isPlainText(record['resourcePath'], PATH_BYTES_MAX))
    refuse(faults, 'resourcePath', pathSays);
  if (!STATUS_CLASSES.has(record['statusClass']))
    refuse(faults, 'statusClass', 'must be one of: 1xx, 2xx, 3xx, 4xx, 5xx');
  checkQuantities(record['quantities'], faults);
  if (record['decisionIds'] !== undefined) checkDecisionIds(record['decisionIds'], faults);
  for (const name in record) {
    if (!RECORD_FIELDS.has(name)) refuse(faults, shortName(name), 'is not a field of a record');
  }
}

interface Reason {
  readonly reason: QuarantineReason;
  readonly faults: readonly FieldFault[];
  readonly customerId: string | null;
}

/** Why records of a batch do not count, by their place in `records`. */
export type Reasons = Map<number, Reason>;

/**
 * The batch without these records, which are quarantined; those without a reason are kept elsewhere. Refused is only one that is nested too
 * deeply to be kept.
 */
export function quarantining(
  batch: UsageBatch,
  reasons: ReadonlyMap<number, Reason | null>,
): UsageBatch | { readonly faults: FieldFault[] } {
  if (reasons.size === 0) return batch;
  const countable = batch.records.length - reasons.size;
  const records: UsageRecord[] = [];
  const instants = new Float64Array(countable);
  const ordinals = new Int32Array(countable);
  const quarantined = [...(batch.leftOut?.quarantined ?? [])];
  for (const [index, record] of batch.records.entries()) {
    const ordinal = batch.leftOut?.ordinals[index] ?? index;
    const ms = batch.instants[index] ?? Number.NaN;
    const reason = reasons.get(index);
    if (reason === undefined) {
      instants[records.length] = ms;
      ordinals[records.length] = ordinal;
      records.push(record);
      continue;
    }
    if (reason === null) continue;
    const text = jsonText(record);
    if (text === null)
      return { faults: [{ pointer: `/records/${ordinal}`, detail: 'is nested too deeply' }] };
    const at = Number.isNaN(ms) ? null : new Date(ms);
    quarantined.push({ ordinal, at, text, ...reason });
  }
  quarantined.sort((a, b) => a.ordinal - b.ordinal);
  return { ...batch, records, instants, leftOut: { ordinals, quarantined } };
}

const methodSays = `must be a verb or route key of at most ${METHOD_BYTES_MAX} bytes without control characters`;
const pathSays = `must be a resource path of at most ${PATH_BYTES_MAX} bytes without control characters`;

/**
 * The content of a batch as text, the same for the same facts: whatever the order of keys, the spelling of an
 * instant (`Z` or `+00:00`) or of a quantity (`1.50`). The order of records counts. Asked before it is known whose each
 * record is, since that may change.
 */
export function canonicalContent(batch: UsageBatch): string {
  const { records, instants, leftOut, corrections, connections, decisions } = batch;
  let content = '';
  for (const [index, record] of records.entries()) {
    const { keyId, apiId, stage, method, resourcePath, statusClass, quantities } = record;
    content += `${instants[index]}\t${keyId}\t${apiId}\t${stage}\t${method}\t${resourcePath}\t${statusClass}`;
    const ids = record.decisionIds;
    content += `${quantitiesContent(quantities)}${ids ? `\tdecided ${ids.join(' ')}` : ''}\n`;
  }
  // No good record begins with a control character.
  for (const { ordinal, text } of leftOut?.quarantined ?? []) content += `\0${ordinal}\t${text}\n`;
  for (const correction of corrections ?? []) content += correctionContent(correction);
  if (connections) content += connectionContent(connections);
  if (decisions) content += decisionCountsContent(decisions);
  return content;
}

/** Which records of a well-formed batch have times that are not counted: clocks of gateways are not trusted. */
export function timeReasons(
  instants: Float64Array,
  accepted: { now: Date; futureMs: number; pastMonths: number },
): Reasons {
  const { earliestMs, latestMs, tooEarly, tooLate } = acceptedTimes(accepted);
  const reasons: Reasons = new Map();
  const note = (index: number, reason: QuarantineReason, detail: string) =>
    reasons.set(index, { reason, faults: [{ pointer: '/at', detail }], customerId: null });
  for (let index = 0; index < instants.length; index += 1) {
    const at = instants[index] ?? Number.NaN;
    if (at > latestMs) note(index, 'in-future', tooLate);
    if (at < earliestMs) note(index, 'too-old', tooEarly);
  }
  return reasons;
}
