/** What is counted, in the order of the canonical form of a batch, which therefore only ever grows. */
export const METERS = [
  'calls',
  'bytes-out',
  'http-units',
  'messages',
  'connection-minutes',
  'cache-gb-hours',
] as const;

/** A known meter. */
export type Meter = (typeof METERS)[number];
