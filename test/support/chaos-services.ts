import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect } from 'vitest';
import { afterFile } from './after-file.js';
import { controlPlane } from './control-plane.js';
import { DurablePostgres } from './durable-postgres.js';
import { PatientClient } from './patient-client.js';
import { AppProcess } from './processes.js';
import type { LedgerRecord } from './usage-ledger.js';

/** Whose usage a record is. */
export type Owner = Pick<LedgerRecord, 'customerId' | 'keyId' | 'apiId' | 'stage' | 'usagePlanId'>;

const PAUSE_MS_MAX = 900;
const VICTIMS = ['worker', 'api', 'postgres'] as const;

/** An api, a worker and a PostgreSQL of a test's own, which are killed one after the other. */
export class ChaosServices {
  private constructor(
    private readonly postgres: DurablePostgres,
    readonly api: AppProcess,
    readonly worker: AppProcess,
    private readonly db: pg.Pool,
  ) {}

  /** The test file stops them. */
  static async start(): Promise<ChaosServices> {
    const postgres = await DurablePostgres.start();
    afterFile(() => postgres.stop());
    const db = new pg.Pool({ connectionString: postgres.url, max: 1 });
    db.on('error', () => undefined);
    afterFile(() => db.end());
    // A zone of a server that no hour or quarter of UTC agrees with must not matter.
    await db.query(`ALTER DATABASE tollgate SET timezone = 'Asia/Kathmandu'`);
    const api = await AppProcess.start('api', postgres.url);
    afterFile(() => api.stop());
    const worker = await AppProcess.start('worker', postgres.url);
    afterFile(() => worker.stop());
    return new ChaosServices(postgres, api, worker, db);
  }

  /** A new gateway, and a client that speaks for it. */
  async gateway(name: string): Promise<{ id: string; token: string; client: PatientClient }> {
    const { id, token } = await controlPlane(this.api.http).gateway(name);
    return { id: String(id), token: String(token), client: this.client(String(token)) };
  }

  client(token: string): PatientClient {
    return new PatientClient(this.api.http.call, token);
  }

  /** Lines of a query that reads one column `line`, in order. */
  async lines(sql: string, values: unknown[] = []): Promise<string[]> {
    const { rows } = await this.db.query<{ line: string }>(sql, values);
    return rows.map(({ line }) => line).toSorted();
  }

  /** Kills -9 so many times and starts again: each of the three once, then whichever. */
  async killAtRandom(kills: number, random: (bound: number) => number): Promise<void> {
    for (let n = 0; n < kills; n += 1) {
      const victim = VICTIMS[n < 3 ? n : random(VICTIMS.length)];
      await sleep(200 + random(PAUSE_MS_MAX));
      if (victim === 'worker' && random(2) === 0) await this.forgetPartitions();
      if (victim === 'postgres') {
        await this.postgres.kill();
        await sleep(random(100));
        await this.postgres.restart();
      } else {
        const app = victim === 'api' ? this.api : this.worker;
        await app.kill();
        await app.start();
      }
      if (!this.api.isAlive || !this.worker.isAlive)
        throw new Error(`It died too:\n${this.api.said}${this.worker.said}`);
    }
  }

  /** Takes today's partition away and its records into the default one, as if no worker had run for a week. */
  private async forgetPartitions(): Promise<void> {
    await this.db.query(`
      DO $$
      DECLARE
        partition text := 'usage_record_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD');
      BEGIN
        IF to_regclass(partition) IS NULL THEN RETURN; END IF;
        LOCK TABLE ONLY usage_record IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('ALTER TABLE usage_record DETACH PARTITION %I', partition);
        EXECUTE format('INSERT INTO usage_record_default SELECT * FROM %I', partition);
        EXECUTE format('DROP TABLE %I', partition);
      END $$`);
  }
}

/** Customers with a key each in a plan of their own, of one stage; and the texts of these keys. */
export async function someOwners(
  { api }: ChaosServices,
  count: number,
): Promise<{ owners: Owner[]; apiKeys: string[] }> {
  const create = controlPlane(api.http);
  const apiStage = await create.apiStage();
  const made = Array.from({ length: count }, async () => {
    const plan = await create.usagePlan({ apiStages: [apiStage] });
    const { id, value, customerId } = await create.apiKey();
    const [usagePlanId, keyId] = [String(plan['id']), String(id)];
    const path = `/v1/usage-plans/${usagePlanId}/keys`;
    expect(await api.http.call('POST', path, { body: { keyId } })).toMatchObject({ status: 201 });
    const owner = { ...apiStage, customerId: String(customerId), keyId, usagePlanId };
    return { owner, apiKey: String(value) };
  });
  const all = await Promise.all(made);
  return { owners: all.map(({ owner }) => owner), apiKeys: all.map(({ apiKey }) => apiKey) };
}
