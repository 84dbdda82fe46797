import { Decimal, type FieldFault } from '@core/kernel';
import { isObject, isPlainText } from './json-fields.js';
import { METERS, type Meter } from './meters.js';
import {
  checkQuantities,
  quantitiesContent,
  refuse,
  shortName,
  type Quantities,
} from './quantities.js';
import { FAULTS_OF_RECORD_MAX } from './quarantine.js';

/** Where a record is, as its gateway sent it: the number of its batch, and its place in that. */
export interface RecordPlace {
  readonly epoch: string;
  readonly sequence: number;
  readonly index: number;
}

/** What is said of a record that came, or will: it counts other quantities, or with null nothing. */
export interface Correction {
  readonly target: RecordPlace;
  readonly quantities: Quantities | null;
}

/** A correction that is itself a record of a batch, and can be corrected like one. */
export interface SentCorrection extends Correction {
  /** Its place in the batch as it was sent. */
  readonly ordinal: number;
}

/** How epochs begin that the service numbers its own batches in. */
export const OWN_EPOCHS = 'tollgate:';
/** The epoch, of each gateway, that corrections by a person are numbered in. */
export const CORRECTIONS_EPOCH = `${OWN_EPOCHS}corrections`;
/** The epoch, of each gateway, of batches that corrections are counted by. */
export const CORRECTED_EPOCH = `${OWN_EPOCHS}corrected`;

/** The largest index of a record that a batch can have. */
export const INDEX_MAX = 9_999;

/** Why a correction can never be applied. */
export const CORRECTION_REFUSALS = [
  'no-such-record',
  'target-dropped',
  'target-refused',
  'records-gone',
] as const;
export type CorrectionRefusal = (typeof CORRECTION_REFUSALS)[number];

const CORRECTING_FIELDS: ReadonlySet<string> = new Set(['corrects', 'quantities']);
const VOIDING_FIELDS: ReadonlySet<string> = new Set(['voids']);
const PLACE_FIELDS: ReadonlySet<string> = new Set(['epoch', 'sequence', 'index']);

/** Whether a record of a batch is meant to correct or to void another one. */
export const isCorrection = (record: Record<string, unknown>): boolean =>
  'corrects' in record || 'voids' in record;

/** Reads a correction from untrusted JSON, and notes what is wrong with it; undefined when something is. */
export function readCorrection(
  record: Record<string, unknown>,
  at: RecordPlace,
  faults: FieldFault[],
): SentCorrection | undefined {
  const name = 'voids' in record ? 'voids' : 'corrects';
  const fields = name === 'voids' ? VOIDING_FIELDS : CORRECTING_FIELDS;
  const target = readPlace(record[name], name, faults);
  if (target && samePlace(target, at)) refuse(faults, name, 'must name another record');
  if (name === 'corrects') checkQuantities(record['quantities'], faults);
  for (const field in record) {
    if (!fields.has(field)) refuse(faults, shortName(field), `is not a field beside \`${name}\``);
    if (faults.length >= FAULTS_OF_RECORD_MAX) break;
  }
  if (!target || faults.length > 0) return undefined;
  const quantities = name === 'voids' ? null : (record['quantities'] as Quantities);
  return { ordinal: at.index, target, quantities };
}

function readPlace(json: unknown, name: string, faults: FieldFault[]): RecordPlace | undefined {
  const before = faults.length;
  if (!isObject(json)) {
    refuse(faults, name, 'must be an object of `epoch`, `sequence` and `index`');
    return undefined;
  }
  const { epoch, sequence, index } = json;
  if (!isPlainText(epoch, 64) || epoch.startsWith(OWN_EPOCHS))
    refuse(faults, `${name}/epoch`, 'must be the epoch of a batch of this gateway');
  if (!isWhole(sequence, Number.MAX_SAFE_INTEGER))
    refuse(faults, `${name}/sequence`, 'must be the number of a batch of this gateway');
  if (!isWhole(index, INDEX_MAX))
    refuse(faults, `${name}/index`, 'must be the place of a record in its batch, from 0');
  for (const field in json) {
    if (!PLACE_FIELDS.has(field))
      refuse(faults, `${name}/${shortName(field)}`, 'is not a field here');
    if (faults.length >= FAULTS_OF_RECORD_MAX) break;
  }
  if (faults.length > before) return undefined;
  return { epoch: epoch as string, sequence: sequence as number, index: index as number };
}

const isWhole = (value: unknown, max: number) =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;

const samePlace = (a: RecordPlace, b: RecordPlace) =>
  a.epoch === b.epoch && a.sequence === b.sequence && a.index === b.index;

/** A correction as text, the same for the same facts. */
export function correctionContent({ ordinal, target, quantities }: SentCorrection): string {
  const { epoch, sequence, index } = target;
  const says = quantities === null ? 'voids' : `corrects${quantitiesContent(quantities)}`;
  return `\0${ordinal}\t${says}\t${epoch}\t${sequence}\t${index}\n`;
}

/** One meter of a record that a correction changes. */
export interface CorrectedMeter {
  readonly meter: Meter;
  /** What counted so far, and what counts from now on; null: the meter was or is not in the record. */
  readonly before: string | null;
  readonly after: string | null;
}

/** What a correction changes of what its target says, in the order of meters. */
export function correctedMeters(before: Quantities, after: Quantities | null): CorrectedMeter[] {
  return METERS.flatMap((meter): CorrectedMeter[] => {
    const [was, is] = [before[meter] ?? null, after?.[meter] ?? null];
    return was === null && is === null ? [] : [{ meter, before: was, after: is }];
  });
}

/** A correction as a person asks for it: either quantities or a void. */
export interface AskedCorrection extends RecordPlace {
  readonly quantities?: unknown;
  readonly void?: boolean | undefined;
}

/** What is wrong with a correction that a person asks for. They may name corrections of persons too, which are numbered by the service. */
export function askedFaults({ epoch, quantities, void: isVoid }: AskedCorrection): FieldFault[] {
  const faults: FieldFault[] = [];
  if (!isPlainText(epoch, 64) || (epoch.startsWith(OWN_EPOCHS) && epoch !== CORRECTIONS_EPOCH))
    refuse(faults, 'epoch', 'must be the epoch that a gateway sent the record in');
  if ((isVoid === true) === (quantities !== undefined))
    refuse(faults, null, 'must have either `quantities` or `"void": true`');
  else if (quantities !== undefined) checkQuantities(quantities, faults);
  return faults;
}

/** What corrections change of one meter of a key in an hour. */
export interface UsageChange {
  readonly customerId: string;
  readonly keyId: string;
  readonly hour: Date;
  readonly meter: Meter;
  readonly removed: string;
  readonly added: string;
  /** Added less removed. */
  readonly difference: string;
}

/** What corrections change in all, in the order of customers, keys, hours and meters. */
export function usageChanges(
  corrected: readonly {
    readonly customerId: string;
    readonly keyId: string;
    readonly at: Date;
    readonly before: Quantities;
    readonly after: Quantities | null;
  }[],
): UsageChange[] {
  const sums = new Map<string, Omit<UsageChange, 'difference'>>();
  for (const { customerId, keyId, at, before: was, after: is } of corrected) {
    const hour = new Date(at.getTime() - (at.getTime() % HOUR_MS));
    for (const { meter, before, after } of correctedMeters(was, is)) {
      const place = [customerId, keyId, hour.toISOString(), METERS.indexOf(meter)].join('\n');
      const sum = sums.get(place);
      sums.set(place, {
        customerId,
        keyId,
        hour,
        meter,
        removed: new Decimal(sum?.removed ?? 0).plus(before ?? 0).toFixed(),
        added: new Decimal(sum?.added ?? 0).plus(after ?? 0).toFixed(),
      });
    }
  }
  return [...sums]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, sum]) => ({
      ...sum,
      difference: new Decimal(sum.added).minus(sum.removed).toFixed(),
    }));
}

const HOUR_MS = 3_600_000;
