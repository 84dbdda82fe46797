import { EVENT_SPAN, type PlainEvents, type Reading } from '@core/metering';
import {
  COPY_END,
  COPY_START,
  textField,
  writeInstant,
  writeInt32,
  writeMicros,
  writeQuantity,
  writeText,
} from './copy-format.js';
import type { CountingMeter } from './custom-meters.repository.js';
import type { EventPayer } from './event-payers.repository.js';
import { memberId, type EventIdentity } from './event-identity.js';

/** What one of plain events says for one meter. */
export interface PlainReading extends Reading {
  /** Which event. */
  readonly index: number;
  readonly atMicros: number;
  readonly meter: CountingMeter;
  readonly payer: EventPayer;
}

/** What all rows of a batch of events have in common. */
export interface EventBatchRow {
  readonly id: string;
  readonly accountId: string;
  readonly receivedAt: Date;
}

export const IDENTITY_COLUMNS = 'identity, content';
/** In the order of `readingRows`. */
export const READING_COLUMNS =
  'customer_id, batch_id, meter, received_at, account_id, key_id, api_id, stage, usage_plan_id, aggregation, at, source, event_id, dimensions, member, quantity';
const COLUMN_COUNT = READING_COLUMNS.split(', ').length;

/** Two columns of 16 and 8 bytes, with their number and lengths. */
const IDENTITY_ROW = 2 + 4 + 16 + 4 + 8;
/** Of a row of readings, more than what is no text: instant, member and quantity, with all lengths. */
const REST_BYTES = 128;
const MEMBER_BYTES = 16;

/** Bytes that are used again for the next rows: new ones for each request would keep the collector of garbage busy. */
export class RowBuffer {
  bytes = Buffer.allocUnsafe(256 * 1024);

  /** Room for so many bytes behind `end`; what stands before it stays. */
  reserve(end: number, size: number): Buffer {
    if (this.bytes.length - end < size) {
      const larger = Buffer.allocUnsafe(2 * (end + size));
      this.bytes.copy(larger, 0, 0, end);
      this.bytes = larger;
    }
    return this.bytes;
  }
}

/** Rows of `event_identity` for a binary COPY, in their order, so that no two requests wait in a circle. */
export function identityRows(events: readonly EventIdentity[], buffer: RowBuffer): Buffer {
  const size = COPY_START.length + events.length * IDENTITY_ROW + COPY_END.length;
  const target = buffer.reserve(0, size);
  let end = COPY_START.copy(target);
  for (const { identity, content } of events.toSorted((a, b) =>
    a.identity < b.identity ? -1 : 1,
  )) {
    target[end] = 0;
    target[end + 1] = 2;
    end = writeInt32(target, end + 2, 16);
    end += target.write(identity, end, 'hex');
    end = writeInt32(target, end, 8);
    end = target.writeBigInt64BE(BigInt(content), end);
  }
  end += COPY_END.copy(target, end);
  return target.subarray(0, end);
}

/** Rows of `meter_reading` for a binary COPY. */
export function readingRows(
  batch: EventBatchRow,
  { bytes, spans }: PlainEvents,
  readings: readonly PlainReading[],
  buffer: RowBuffer,
): Buffer {
  const heads = new Map<CountingMeter, Map<EventPayer, Buffer>>();
  let target = buffer.reserve(0, COPY_START.length);
  let end = COPY_START.copy(target);
  let dimensionsText = '';
  let dimensions = textField('');
  for (const reading of readings) {
    const { index, atMicros, meter, payer, member, quantity } = reading;
    if (reading.dimensions !== dimensionsText) {
      dimensionsText = reading.dimensions;
      dimensions = textField(dimensionsText);
    }
    const ofMeter = heads.get(meter) ?? new Map<EventPayer, Buffer>();
    const head = ofMeter.get(payer) ?? headField(batch, meter, payer);
    ofMeter.set(payer, head);
    heads.set(meter, ofMeter);
    const base = index * EVENT_SPAN.size;
    const sourceFrom = spans[base + EVENT_SPAN.source] ?? 0;
    const sourceTo = spans[base + EVENT_SPAN.source + 1] ?? 0;
    const idFrom = spans[base + EVENT_SPAN.id] ?? 0;
    const idTo = spans[base + EVENT_SPAN.id + 1] ?? 0;
    const texts = head.length + sourceTo - sourceFrom + idTo - idFrom + dimensions.length;
    target = buffer.reserve(end, texts + REST_BYTES);
    target.set(head, end);
    end = writeMicros(target, end + head.length, atMicros);
    end = writeText(target, end, bytes, sourceFrom, sourceTo);
    end = writeText(target, end, bytes, idFrom, idTo);
    target.set(dimensions, end);
    end = writeInt32(target, end + dimensions.length, MEMBER_BYTES);
    if (member === null) target.fill(0, end, end + MEMBER_BYTES);
    else target.write(memberId(member), end, 'hex');
    end = writeQuantity(target, end + MEMBER_BYTES, quantity);
  }
  target = buffer.reserve(end, COPY_END.length);
  end += COPY_END.copy(target, end);
  return target.subarray(0, end);
}

/** The columns up to the aggregation, behind the number of all columns. */
function headField(
  { id, accountId, receivedAt }: EventBatchRow,
  { name, aggregation }: CountingMeter,
  { customerId, keyId, apiId, stage, usagePlanId }: EventPayer,
): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(COLUMN_COUNT);
  const batchId = Buffer.alloc(4 + 8);
  batchId.writeInt32BE(8);
  batchId.writeBigInt64BE(BigInt(id), 4);
  const received = Buffer.alloc(4 + 8);
  writeInstant(received, 0, receivedAt.getTime());
  return Buffer.concat([
    count,
    textField(customerId),
    batchId,
    textField(name),
    received,
    ...[accountId, keyId, apiId, stage, usagePlanId, aggregation].map(textField),
  ]);
}
