import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { AllowedCalls } from '@core/limits';
import { Database } from '@io/platform';

/** $1 names the process and $2 the flush: one that was stored and is sent again adds nothing. */
const ADD = `
  WITH turn AS (
    INSERT INTO decision_counter AS c (id, sequence) VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, flushed_at = now()
      WHERE c.sequence < excluded.sequence
    RETURNING 1
  )
  INSERT INTO decision_hour AS d (account_id, customer_id, key_id, api_id, stage, method, resource_path, hour, allowed)
  SELECT f.* FROM turn, unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::timestamptz[], $11::bigint[]) AS f (account_id, customer_id, key_id, api_id, stage, method, resource_path, hour, allowed)
  ORDER BY customer_id, key_id, hour, api_id, stage, method, resource_path
  ON CONFLICT (customer_id, key_id, hour, api_id, stage, method, resource_path)
    DO UPDATE SET allowed = d.allowed + excluded.allowed`;

/** Where counts of allowed calls are added up over all processes. */
@Injectable()
export class DecisionHoursRepository {
  /** Names this process. */
  private readonly self = `api/${randomUUID()}`;

  constructor(private readonly db: Database) {}

  /** Adds the counts of a flush, once however often it is sent. Rows are locked in the order of their key. */
  async add(sequence: number, rows: readonly AllowedCalls[]): Promise<void> {
    await this.db.pool.query({
      name: 'add-decision-hours',
      text: ADD,
      values: [
        this.self,
        sequence,
        rows.map((row) => row.accountId),
        rows.map((row) => row.customerId),
        rows.map((row) => row.keyId),
        rows.map((row) => row.apiId),
        rows.map((row) => row.stage),
        rows.map((row) => row.method),
        rows.map((row) => row.resourcePath),
        rows.map((row) => new Date(row.hourMs)),
        rows.map((row) => row.allowed),
      ],
    });
  }
}
