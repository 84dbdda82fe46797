import { setTimeout as pause } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import {
  BATCH_LIMITS,
  batchesOf,
  halvesOf,
  hasCulprit,
  outcomesOf,
  retryPauseMs,
  type RecordOutcome,
} from '@core/marketplace';
import { Config, SystemClock } from '@io/platform';
import { MarketplaceClient } from './marketplace-client.js';
import { RecordsRepository, type ClaimedRecord } from './records.repository.js';

/** The queue, and the job, that sends metering records. */
export const SEND_METERING_RECORDS = 'send-metering-records';

/** So many requests are under way at once. */
const CALLS = 10;
/** After that of a claim's minute nothing new is begun. */
const BEGIN_MS_MAX = 40_000;

/**
 * Sends records to the marketplace. The ledger says what is due, so a lost job or a killed worker only costs time: the same
 * record is sent again.
 *
 *     pending ──Success, or DuplicateRecord of our own──▶ accepted
 *        │ ▲
 *        │ └──────retry──────┐
 *        └─refused, expired─▶ dead ──▶ carried | written-off
 */
@Injectable()
export class MeteringSenderService {
  constructor(
    private readonly records: RecordsRepository,
    private readonly marketplace: MarketplaceClient,
    private readonly config: Config,
    private readonly clock: SystemClock,
  ) {}

  /** Sends until nothing is due, and returns how many records were sent. Runs in any number of workers. */
  async sendDue(): Promise<number> {
    const includesTests = this.config.awsMarketplace.endpoint !== null;
    while ((await this.records.expire(this.clock.now())) > 0);
    let sent = 0;
    for (;;) {
      const claim = { limit: CALLS * BATCH_LIMITS.records, includesTests };
      const claimed = await this.records.claim(this.clock.now(), claim);
      if (claimed.length === 0) return sent;
      const claimedMs = this.clock.monotonicMs();
      await Promise.all(batchesOf(claimed).map((batch) => this.sendBatch(batch, claimedMs)));
      sent += claimed.length;
    }
  }

  private async sendBatch(batch: readonly ClaimedRecord[], claimedMs: number): Promise<void> {
    const [first] = batch;
    if (!first) return;
    await this.waitForTurn(first.region);
    if (this.clock.monotonicMs() - claimedMs > BEGIN_MS_MAX)
      return this.write(batch, () => NOT_SENT);
    const bodies = batch.map(({ body }) => body);
    const answer = await this.marketplace.meter(first.region, first.productCode, bodies);
    if (hasCulprit(answer) && batch.length > 1) {
      for (const half of halvesOf(batch)) await this.sendBatch(half, claimedMs);
      return;
    }
    const outcomes = outcomesOf(batch, answer);
    await this.write(batch, ({ id }) => outcomes.get(id));
  }

  private async write(
    batch: readonly ClaimedRecord[],
    outcomeOf: (record: ClaimedRecord) => RecordOutcome | typeof NOT_SENT | undefined,
  ): Promise<void> {
    const now = this.clock.now();
    const outcomes = batch.flatMap((record) => {
      const outcome = outcomeOf(record);
      if (outcome === undefined) return [];
      const pauseMs = outcome.kind === 'not-sent' ? 0 : retryPauseMs(record.attempt, Math.random());
      const { mayBeTaken } = record;
      return [
        {
          record,
          outcome: outcome.kind === 'not-sent' ? waiting(mayBeTaken) : outcome,
          nextAttemptAt: new Date(now.getTime() + pauseMs),
        },
      ];
    });
    await this.records.recordOutcomes(outcomes, now);
  }

  /** Waits until a request may leave: all workers together keep to what AWS takes in a second. */
  private async waitForTurn(region: string): Promise<void> {
    const at = await this.records.pace(region, 1, this.clock.now());
    const waitMs = at.getTime() - this.clock.nowMs();
    if (waitMs > 0) await pause(waitMs);
  }
}

const NOT_SENT = { kind: 'not-sent' } as const;

const waiting = (mayBeTaken: boolean): RecordOutcome => ({
  kind: 'again',
  cause: 'NotSent',
  mayBeTaken,
});
