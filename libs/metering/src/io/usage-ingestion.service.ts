import { createHash } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { atPointer, type FieldFault } from '@core/kernel';
import {
  BatchConflict,
  canonicalContent,
  readUsageBatch,
  RECORD_LIMITS,
  timeFaults,
  UnusableUsage,
  type UsageBatch,
} from '@core/metering';
import { BusinessClock, InvalidRequest, SystemClock } from '@io/platform';
import { IncidentsRepository } from './incidents.repository.js';
import { RollUpWakeUp } from './roll-up-wake-up.js';
import { UsageBatchesRepository, type BatchSource } from './usage-batches.repository.js';
import { UsageOwnersRepository, type UsageOwner } from './usage-owners.repository.js';

/** What a gateway is told of its batch. */
export interface Acknowledgement {
  readonly records: number;
  /** The batch was received before, with the same content. It counts once. */
  readonly duplicate: boolean;
}

const FAULTS_MAX = 20;

/** Takes batches of usage records from gateways. What it acknowledges is committed and counts exactly once. */
@Injectable()
export class UsageIngestionService {
  private readonly logger = new Logger('UsageIngestion');

  constructor(
    private readonly clock: BusinessClock,
    private readonly owners: UsageOwnersRepository,
    private readonly batches: UsageBatchesRepository,
    private readonly incidents: IncidentsRepository,
    private readonly system: SystemClock,
    private readonly rollUp: RollUpWakeUp,
  ) {}

  /** The account's business time, which gateways stamp their records with. */
  now(accountId: string): Promise<Date> {
    return this.clock.now(accountId);
  }

  /**
   * Stores a batch as a whole, or refuses it as a whole with the pointers of what is wrong. The same number with the
   * same content is acknowledged any number of times; with other content it is a `BatchConflict` and an incident.
   */
  async receive(source: BatchSource, json: unknown, now: Date): Promise<Acknowledgement> {
    const batch = readUsageBatch(json);
    if ('faults' in batch) throw new InvalidRequest(batch.faults);
    const contentHash = createHash('sha256').update(canonicalContent(batch)).digest();
    const { owners, faults } = await this.resolve(source, batch, now);
    // A batch that was acknowledged stays so, also when it could not come in any more.
    const stored =
      faults.length === 0
        ? await this.batches.store(source, batch, owners, contentHash)
        : { isNew: false as const, contentHash: await this.batches.find(source, batch) };
    const { length: records } = batch.records;
    if (stored.isNew) {
      this.rollUp.wake();
      return { records, duplicate: false };
    }
    if (!stored.contentHash) throw new UnusableUsage(faults);
    if (stored.contentHash.equals(contentHash)) return { records, duplicate: true };
    const { epoch, sequence } = batch;
    const contents = { epoch, sequence, firstHash: stored.contentHash, otherHash: contentHash };
    await this.incidents.noteConflict(source, contents, this.system.now());
    this.logger.warn(
      `Gateway ${source.gatewayId} sent batch ${sequence} of epoch ${JSON.stringify(epoch)} again with other content`,
    );
    throw new BatchConflict(epoch, sequence);
  }

  /** Whose each record is, or why the batch cannot be counted. */
  private async resolve(
    { accountId }: BatchSource,
    batch: UsageBatch,
    now: Date,
  ): Promise<{ owners: UsageOwner[]; faults: FieldFault[] }> {
    const faults = timeFaults(batch.instants, { now, ...RECORD_LIMITS });
    const owners: UsageOwner[] = [];
    for (const [index, found] of (await this.owners.owners(accountId, batch.records)).entries()) {
      if (!('unknown' in found)) owners.push(found);
      else if (faults.length < FAULTS_MAX)
        faults.push({
          pointer: atPointer(`/records/${index}`, found.unknown),
          detail: UNKNOWN[found.unknown],
        });
    }
    return { owners, faults };
  }
}

const UNKNOWN = {
  keyId: 'is not an API key of this account',
  apiId: 'is not an api of this account',
  stage: 'is not a stage of this api',
} as const;
