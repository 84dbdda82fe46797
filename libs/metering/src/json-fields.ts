import { Temporal } from '@core/kernel';
import { utf8Bytes } from './utf8-bytes.js';

const ID = /^[A-Za-z0-9_.-]{1,64}$/;
const PLAIN_ASCII = /^[\x20-\x7e]+$/;
const CONTROL = /\p{Cc}/u;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;
const YEAR_2200_MS = Date.UTC(2200, 0, 1);

/** Bytes, not characters: with the other columns they must fit a row of the roll-up's index (2,704 bytes). */
export const STAGE_BYTES_MAX = 128;
export const METHOD_BYTES_MAX = 128;
export const PATH_BYTES_MAX = 1_536;

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether it has the form of an id that the service made. */
export const matchesId = (value: unknown): boolean => typeof value === 'string' && ID.test(value);

/** Whether it is a text of at most so many bytes in UTF-8 that Postgres takes and that no line can be forged with. */
export function isPlainText(value: unknown, bytesMax: number): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > bytesMax) return false;
  if (PLAIN_ASCII.test(value)) return true;
  return !CONTROL.test(value) && value.isWellFormed() && utf8Bytes(value) <= bytesMax;
}

/** Milliseconds since 1970 of an instant with offset, before 2200; NaN when it is none, such as 2026-02-30. */
export function instantMs(value: unknown): number {
  if (typeof value !== 'string' || value.length > 40 || !INSTANT.test(value)) return Number.NaN;
  try {
    const ms = Temporal.Instant.from(value).epochMilliseconds;
    return ms >= 0 && ms < YEAR_2200_MS ? ms : Number.NaN;
  } catch {
    return Number.NaN;
  }
}
