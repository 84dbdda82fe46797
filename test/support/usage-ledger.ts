/** A record of usage as its sender knows it, with all that it is rolled up by. */
export interface LedgerRecord {
  readonly customerId: string;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly usagePlanId: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly statusClass: string;
  /** In milliseconds. */
  readonly at: number;
  /** Plain decimals, by meter. */
  readonly quantities: Readonly<Record<string, string>>;
}

const HOUR_MS = 3_600_000;
const SCALE = 12;

/** A decimal as a whole number of its twelfth digit. */
export function scaled(quantity: string): bigint {
  const [whole = '', fraction = ''] = quantity.split('.');
  return BigInt(whole + fraction.padEnd(SCALE, '0'));
}

/** Counts by hand what roll-ups must come to; shares no code with the product. */
export class UsageLedger {
  private readonly sums = new Map<string, bigint[]>();

  add(record: LedgerRecord): void {
    const { customerId, keyId, apiId, stage, usagePlanId, method, resourcePath } = record;
    const hour = Math.floor(record.at / HOUR_MS) * HOUR_MS;
    const quarter = Math.floor(((record.at - hour) * 4) / HOUR_MS);
    for (const [meter, quantity] of Object.entries(record.quantities)) {
      const path = [apiId, stage, usagePlanId, method, resourcePath, record.statusClass];
      const id = [customerId, keyId, new Date(hour).toISOString(), meter, ...path].join(' ');
      const sums = this.sums.get(id) ?? [0n, 0n, 0n, 0n];
      sums[0] = (sums[0] ?? 0n) + scaled(quantity);
      if (quarter > 0) sums[quarter] = (sums[quarter] ?? 0n) + scaled(quantity);
      this.sums.set(id, sums);
    }
  }

  /** Lines as `ROLLED_UP` reads them, in no order. */
  lines(): string[] {
    return [...this.sums].flatMap(([id, sums]) =>
      sums[0] === 0n ? [] : [`${id} ${sums.join(' ')}`],
    );
  }
}

const asScaled = (column: string) => `(${column} * 1000000000000)::numeric(70, 0)`;

/** The rows of `usage_hour`, as lines of a ledger. What was counted and taken back again leaves a row of nothing. */
export const ROLLED_UP = `
  SELECT concat_ws(' ', customer_id, key_id, to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), meter,
    api_id, stage, usage_plan_id, method, resource_path, status_class,
    ${['quantity', 'quantity_15', 'quantity_30', 'quantity_45'].map(asScaled).join(', ')}) AS line
  FROM usage_hour WHERE quantity <> 0`;

/** The rows of `usage_record` that some gateways sent, each as the line of one record's meter. */
export const RECORDS = `
  SELECT concat_ws(' ', b.gateway_id, b.epoch, b.sequence, r.ordinal, (1000 * extract(epoch FROM r.at))::bigint,
    r.customer_id, r.key_id, r.api_id, r.stage, r.usage_plan_id, r.method, r.resource_path, r.status_class, r.meter,
    ${asScaled('r.quantity')}) AS line
  FROM usage_record r LEFT JOIN usage_batch b ON b.id = r.batch_id
  WHERE b.gateway_id IS NULL OR b.gateway_id = ANY ($1::text[]) AND NOT starts_with(b.epoch, 'tollgate:')`;

/** Days that are not the sum of their hours, each as a line. */
export const DAYS_UNLIKE_HOURS = `
  SELECT concat_ws(' ', 'day', day, key_id, meter, d.quantity, h.quantity)
  FROM usage_day d FULL JOIN (
    SELECT customer_id, key_id, date_trunc('day', hour, 'UTC') AS day, meter, usage_plan_id, sum(quantity) AS quantity
    FROM usage_hour GROUP BY 1, 2, 3, 4, 5
  ) h USING (customer_id, key_id, day, meter, usage_plan_id)
  WHERE d.quantity IS DISTINCT FROM h.quantity`;

/**
 * What breaks a promise: a batch without all of its records, a record twice, a day that is not its hours. What corrections are counted by
 * takes away as well, and is checked by its rows.
 */
export const UNTRUE = `
  SELECT concat_ws(' ', 'batch', b.id, b.epoch) AS line
  FROM usage_batch b LEFT JOIN (
    SELECT batch_id, count(DISTINCT ordinal) AS records, count(*) AS rows, count(DISTINCT (ordinal, meter)) AS distinct_rows
    FROM usage_record GROUP BY 1
  ) r ON r.batch_id = b.id LEFT JOIN (
    SELECT gateway_id, epoch, sequence, count(*) AS records FROM usage_quarantine GROUP BY 1, 2, 3
  ) q USING (gateway_id, epoch, sequence) LEFT JOIN (
    SELECT gateway_id, epoch, sequence, count(*) AS records FROM usage_correction GROUP BY 1, 2, 3
  ) c USING (gateway_id, epoch, sequence)
  WHERE r.rows IS DISTINCT FROM r.distinct_rows OR b.row_count <> coalesce(r.rows, 0) OR b.epoch <> 'tollgate:corrected'
    AND b.record_count <> coalesce(r.records, 0) + coalesce(q.records, 0) + coalesce(c.records, 0)
  UNION ALL
  ${DAYS_UNLIKE_HOURS}`;

/** The lines that `RECORDS` must read of a record. */
export function recordLines(place: string, record: LedgerRecord): string[] {
  const { at, customerId, keyId, apiId, stage, usagePlanId } = record;
  const { method, resourcePath, statusClass } = record;
  const columns = [at, customerId, keyId, apiId, stage, usagePlanId, method, resourcePath];
  return Object.entries(record.quantities).map(([meter, quantity]) =>
    [place, ...columns, statusClass, meter, scaled(quantity)].join(' '),
  );
}
