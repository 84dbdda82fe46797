import { METERS, SPAN, type PlainBatch } from '@core/metering';
import type { UsageOwner } from './usage-owners.repository.js';
import {
  COPY_END as END,
  COPY_START as START,
  INSTANT_BYTES,
  writeDecimal,
  writeInstant,
  writeInt32,
  writeText,
} from './copy-format.js';
import {
  CHUNK_BYTES,
  headField,
  METER_FIELDS,
  TAIL_BYTES_MAX,
  type BatchRow,
} from './usage-rows.js';

const FIELDS = METERS.map((meter) => METER_FIELDS[meter]);

/**
 * The same rows as `usageRows` makes, from the bytes of a batch; the owners are those of its places. Each piece but the last
 * is a part of the one buffer, and stands there until the next is asked for.
 */
export function* plainRows(
  row: BatchRow,
  batch: PlainBatch,
  owners: readonly UsageOwner[],
  chunk: Buffer = Buffer.allocUnsafe(CHUNK_BYTES),
): Generator<Buffer> {
  const { bytes, instants, placeOf, spans } = batch;
  const heads = owners.map((owner) => headField(row, owner));
  const instant = Buffer.alloc(INSTANT_BYTES);
  let instantMs = Number.NaN;
  let end = START.copy(chunk);
  for (let index = 0; index < instants.length; index += 1) {
    const head = heads[placeOf[index] ?? 0] ?? END;
    if (chunk.length - end < METERS.length * (head.length + TAIL_BYTES_MAX)) {
      yield chunk.subarray(0, end);
      end = 0;
    }
    const ms = instants[index] ?? Number.NaN;
    if (ms !== instantMs) {
      instantMs = ms;
      writeInstant(instant, 0, ms);
    }
    const start = end;
    chunk.set(head, end);
    end = writeInt32(chunk, end + head.length, 4);
    end = writeInt32(chunk, end, index);
    chunk.set(instant, end);
    end += INSTANT_BYTES;
    const base = index * SPAN.size;
    end = writeText(
      chunk,
      end,
      bytes,
      spans[base + SPAN.method] ?? 0,
      spans[base + SPAN.method + 1] ?? 0,
    );
    end = writeText(
      chunk,
      end,
      bytes,
      spans[base + SPAN.path] ?? 0,
      spans[base + SPAN.path + 1] ?? 0,
    );
    const status = spans[base + SPAN.statusClass] ?? 0;
    end = writeText(chunk, end, bytes, status, status + 3);
    // The rows of a record differ by meter and quantity.
    const common = end - start;
    let isFirst = true;
    for (let meter = 0; meter < FIELDS.length; meter += 1) {
      const span = base + SPAN.quantities + 2 * meter;
      const from = spans[span] ?? 0;
      if (from === 0) continue;
      if (!isFirst) {
        chunk.copyWithin(end, start, start + common);
        end += common;
      }
      isFirst = false;
      const name = FIELDS[meter] ?? END;
      chunk.set(name, end);
      end = writeDecimal(chunk, end + name.length, bytes, from, spans[span + 1] ?? 0);
    }
  }
  yield chunk.subarray(0, end);
  yield END;
}
