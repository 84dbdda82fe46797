import { METERS, type Meter, type UsageBatch } from '@core/metering';
import {
  COPY_END as END,
  COPY_START as START,
  textField,
  writeInstant,
  writeQuantity,
} from './copy-format.js';
import type { UsageOwner } from './usage-owners.repository.js';

/** The columns of a row, in the order of `usageRows`. */
export const USAGE_COLUMNS =
  'batch_id, account_id, received_at, customer_id, key_id, api_id, stage, usage_plan_id, ordinal, at, method, resource_path, status_class, meter, quantity';

const COLUMN_COUNT = USAGE_COLUMNS.split(', ').length;
export const CHUNK_BYTES = 256 * 1024;
/** More than what a row has behind its head: 15 lengths, a method and a path of the largest, and the rest. */
export const TAIL_BYTES_MAX = 2_048;
/** What all rows of a batch have in common. */
export interface BatchRow {
  readonly id: string;
  readonly accountId: string;
  readonly receivedAt: string;
}

/**
 * The rows of a batch in the binary format of COPY, a piece at a time, so that the database reads one while the next
 * is made. The database takes a quarter less time for it than for text, which it has to take apart.
 */
export function* usageRows(
  row: BatchRow,
  batch: UsageBatch,
  owners: readonly UsageOwner[],
): Generator<Buffer> {
  const { records, instants } = batch;
  const ordinals = batch.leftOut?.ordinals;
  const heads = new Map<UsageOwner, Buffer>();
  const texts = new Map<string, Buffer>();
  let chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let end = START.copy(chunk);
  for (let index = 0; index < records.length; index += 1) {
    const record = records[index];
    const owner = owners[index];
    if (!record || !owner) throw new Error('each record of a batch has an owner');
    const head = kept(heads, owner, () => headField(row, owner));
    if (chunk.length - end < METERS.length * (head.length + TAIL_BYTES_MAX)) {
      yield chunk.subarray(0, end);
      chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      end = 0;
    }
    const start = end;
    chunk.set(head, end);
    end = chunk.writeInt32BE(4, end + head.length);
    end = chunk.writeInt32BE(ordinals?.[index] ?? index, end);
    end = writeInstant(chunk, end, instants[index] ?? Number.NaN);
    const method = kept(texts, record.method, () => textField(record.method));
    chunk.set(method, end);
    end += method.length;
    const pathBytes = chunk.write(record.resourcePath, end + 4);
    end = chunk.writeInt32BE(pathBytes, end) + pathBytes;
    const statusClass = kept(texts, record.statusClass, () => textField(record.statusClass));
    chunk.set(statusClass, end);
    end += statusClass.length;
    // The rows of a record differ by meter and quantity.
    const common = end - start;
    let isFirst = true;
    for (const meter of METERS) {
      const quantity = record.quantities[meter];
      if (quantity === undefined) continue;
      if (!isFirst) {
        chunk.copyWithin(end, start, start + common);
        end += common;
      }
      isFirst = false;
      const name = METER_FIELDS[meter];
      chunk.set(name, end);
      end = writeQuantity(chunk, end + name.length, quantity);
    }
  }
  yield chunk.subarray(0, end);
  yield END;
}

function kept<K>(fields: Map<K, Buffer>, key: K, make: () => Buffer): Buffer {
  let field = fields.get(key);
  if (field === undefined) {
    field = make();
    fields.set(key, field);
  }
  return field;
}

/** The columns up to the plan, behind the number of all columns. */
export function headField({ id, accountId, receivedAt }: BatchRow, owner: UsageOwner): Buffer {
  const start = Buffer.alloc(2 + 4 + 8);
  start.writeInt16BE(COLUMN_COUNT, 0);
  start.writeInt32BE(8, 2);
  start.writeBigInt64BE(BigInt(id), 6);
  const received = Buffer.alloc(4 + 8);
  writeInstant(received, 0, Date.parse(receivedAt));
  const { customerId, keyId, apiId, stage, usagePlanId } = owner;
  const owned = [customerId, keyId, apiId, stage, usagePlanId].map(textField);
  return Buffer.concat([start, textField(accountId), received, ...owned]);
}

/** The column of each meter. */
export const METER_FIELDS = Object.fromEntries(
  METERS.map((meter) => [meter, textField(meter)]),
) as Record<Meter, Buffer>;
