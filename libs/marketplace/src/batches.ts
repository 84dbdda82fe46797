/** A record that waits to be sent, with its size as JSON. */
export interface Sendable {
  readonly id: string;
  /** Records of one batch agree in it: one product, or its licences, in one Region. */
  readonly batchKey: string;
  readonly bytes: number;
}

/** Of AWS, for one request. The SDK checks neither. */
export const BATCH_LIMITS = { records: 25, bytes: 1_000_000 } as const;

/** What a request has around its records. */
const ENVELOPE_BYTES = 200;

/** Puts records into as few batches as their order lets, each of one key and within the limits of a request. */
export function batchesOf<T extends Sendable>(records: readonly T[]): T[][] {
  const open = new Map<string, { batch: T[]; bytes: number }>();
  const batches: T[][] = [];
  for (const record of records) {
    const bytes = record.bytes + 1;
    const last = open.get(record.batchKey);
    const hasRoom =
      last !== undefined &&
      last.batch.length < BATCH_LIMITS.records &&
      last.bytes + bytes <= BATCH_LIMITS.bytes;
    if (hasRoom) {
      last.batch.push(record);
      last.bytes += bytes;
      continue;
    }
    const batch = [record];
    open.set(record.batchKey, { batch, bytes: ENVELOPE_BYTES + bytes });
    batches.push(batch);
  }
  return batches;
}

/** Both halves of a batch that was refused as a whole. One record alone has none: it is the culprit. */
export function halvesOf<T>(batch: readonly T[]): readonly T[][] {
  if (batch.length < 2) return [];
  const middle = Math.ceil(batch.length / 2);
  return [batch.slice(0, middle), batch.slice(middle)];
}
