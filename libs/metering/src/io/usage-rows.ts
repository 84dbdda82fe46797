import { METERS, type UsageBatch } from '@core/metering';
import type { UsageOwner } from './usage-owners.repository.js';

/** The columns of a row, in the order of `usageRows`. */
export const USAGE_COLUMNS =
  'batch_id, account_id, received_at, customer_id, key_id, api_id, stage, usage_plan_id, ordinal, at, method, resource_path, status_class, meter, quantity';

const RECORDS_PER_CHUNK = 1_000;

/** What all rows of a batch have in common. */
export interface BatchRow {
  readonly id: string;
  readonly accountId: string;
  readonly receivedAt: string;
}

/**
 * The rows of a batch in the text format of COPY, a thousand records at a time, so that the database reads one
 * piece while the next is made. Texts have no control characters (`readUsageBatch`), so only `\` is escaped.
 */
export function* usageRows(
  row: BatchRow,
  batch: UsageBatch,
  owners: readonly UsageOwner[],
): Generator<Buffer> {
  const { records, instants } = batch;
  const heads = new Map<UsageOwner, string>();
  let lastMs = Number.NaN;
  let at = '';
  let text = '';
  for (let ordinal = 0; ordinal < records.length; ordinal += 1) {
    const record = records[ordinal];
    const owner = owners[ordinal];
    if (!record || !owner) throw new Error('each record of a batch has an owner');
    let head = heads.get(owner);
    if (head === undefined) {
      head = `${row.id}\t${row.accountId}\t${row.receivedAt}\t${owner.customerId}\t${owner.keyId}\t${owner.apiId}\t${escaped(owner.stage)}\t${owner.usagePlanId}\t`;
      heads.set(owner, head);
    }
    if (instants[ordinal] !== lastMs) {
      lastMs = instants[ordinal] ?? Number.NaN;
      at = new Date(lastMs).toISOString();
    }
    const start = `${head}${ordinal}\t${at}\t${escaped(record.method)}\t${escaped(record.resourcePath)}\t${record.statusClass}\t`;
    for (const meter of METERS) {
      const quantity = record.quantities[meter];
      if (quantity !== undefined) text += `${start}${meter}\t${quantity}\n`;
    }
    if (ordinal % RECORDS_PER_CHUNK === RECORDS_PER_CHUNK - 1) {
      yield Buffer.from(text);
      text = '';
    }
  }
  if (text !== '') yield Buffer.from(text);
}

const escaped = (text: string) => (text.includes('\\') ? text.replaceAll('\\', '\\\\') : text);
