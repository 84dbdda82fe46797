import type { FieldFault } from '@core/kernel';

/** Why a record is not counted. */
export const QUARANTINE_REASONS = [
  'malformed',
  'unknown-key',
  'unknown-api',
  'unknown-stage',
  'in-future',
  'too-old',
  'already-corrected',
] as const;
export type QuarantineReason = (typeof QUARANTINE_REASONS)[number];

/** So many faults of one record are told and kept; reading it stops there. */
export const FAULTS_OF_RECORD_MAX = 8;

/** So much of a record's text is kept; the largest that can be counted is a third of it. */
export const TEXT_KEPT_MAX = 16 * 1024;

/** A record that came in a batch and is not counted: what it says, and why. */
export interface QuarantinedRecord {
  /** Its place in the batch as it was sent. */
  readonly ordinal: number;
  /** The record as JSON, whole. */
  readonly text: string;
  readonly reason: QuarantineReason;
  /** Pointers into the record. */
  readonly faults: readonly FieldFault[];
  /** When it says that it was; null when that cannot be read. */
  readonly at: Date | null;
  /** Whose usage it would be; null when that is not known. */
  readonly customerId: string | null;
}

/** A value as JSON; null when it is nested deeper than can be written. */
export function jsonText(value: unknown): string | null {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
