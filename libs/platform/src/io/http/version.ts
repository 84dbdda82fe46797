import { VersionMismatch } from '../problem/errors.js';

/** The entity tags of `If-Match` (RFC 9110 section 13.1.1); null when the caller asks for no check. */
export type IfMatch = readonly string[] | null;

/** A row whose every change moves `updatedAt`. */
interface Versioned {
  readonly updatedAt: Date;
}

/** The version of a row as its entity tag. */
export function etagOf({ updatedAt }: Versioned): string {
  return `"${updatedAt.getTime().toString(36)}"`;
}

/** Refuses when the row is not the one that the caller read. To be called with the row locked. */
export function checkVersion(ifMatch: IfMatch, row: Versioned): void {
  if (ifMatch !== null && !ifMatch.includes(etagOf(row))) throw new VersionMismatch();
}

/** When a row changes: now, and always later than before, so that two changes in one millisecond are two versions. */
export function nextVersion(before: Versioned, now: Date): Date {
  return new Date(Math.max(now.getTime(), before.updatedAt.getTime() + 1));
}
