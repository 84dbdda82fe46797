import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import type { FieldFault } from '@core/kernel';
import {
  BatchConflict,
  canonicalContent,
  readPlainBatch,
  readUsageBatch,
  RECORD_LIMITS,
  sentRecords,
  timeReasons,
  UnusableConnections,
  type QuarantinedRecord,
  type UsageBatch,
} from '@core/metering';
import { BusinessClock, InvalidRequest, SystemClock } from '@io/platform';
import { connectionOwners } from './connection-owners.js';
import { IncidentsRepository } from './incidents.repository.js';
import { QuarantineRepository } from './quarantine.repository.js';
import { resolveUsage } from './resolve-usage.js';
import { knownDecisions } from './store-decisions.js';
import { RollUpWakeUp } from './roll-up-wake-up.js';
import {
  UsageBatchesRepository,
  type BatchSource,
  type StoredBatch,
} from './usage-batches.repository.js';
import { UsageOwnersRepository, type UsageOwner } from './usage-owners.repository.js';

/** What a gateway is told of its batch. */
export interface Acknowledgement {
  /** How many it had. */
  readonly records: number;
  /** The batch was received before, with the same content. It counts once. */
  readonly duplicate: boolean;
  /** How many of them are in the quarantine, and not counted yet; absent when none is. */
  readonly quarantined?: number;
  /** Why, by their place in the batch: the first faults. Absent when none is. */
  readonly errors?: readonly FieldFault[];
}

/** A batch as it came. */
export interface SentBatch {
  readonly bytes: Uint8Array;
  /** What it says; throws when it is no JSON. */
  readonly json: () => unknown;
}

/** How many faults are told; the quarantine has all. */
const FAULTS_TOLD_MAX = 20;

/** Takes batches of usage records from gateways. What it acknowledges is committed and counts exactly once. */
@Injectable()
export class UsageIngestionService {
  private readonly logger = new Logger('UsageIngestion');

  constructor(
    private readonly clock: BusinessClock,
    private readonly owners: UsageOwnersRepository,
    private readonly batches: UsageBatchesRepository,
    private readonly quarantine: QuarantineRepository,
    private readonly incidents: IncidentsRepository,
    private readonly system: SystemClock,
    private readonly rollUp: RollUpWakeUp,
  ) {}

  /** The account's business time, which gateways stamp their records with. */
  now(accountId: string): Promise<Date> {
    return this.clock.now(accountId);
  }

  /**
   * Stores a batch: what can be counted as usage, the rest in the quarantine. The same number with the same content is
   * acknowledged any number of times; with other content it is a `BatchConflict` and an incident. Throws `InvalidRequest` for
   * what is no batch, `UnusableConnections` for connections that cannot be counted.
   */
  async receive(source: BatchSource, sent: SentBatch, now: Date): Promise<Acknowledgement> {
    return (
      (await this.receivePlain(source, sent.bytes, now)) ??
      this.receiveAny(source, sent.json(), now)
    );
  }

  /** The same of a batch of which every record can be counted, which most are; null, and nothing is done, of any other. */
  private async receivePlain(
    source: BatchSource,
    bytes: Uint8Array,
    now: Date,
  ): Promise<Acknowledgement | null> {
    const hash = createHash('sha256');
    const batch = isUtf8(bytes) ? readPlainBatch(bytes, (content) => hash.update(content)) : null;
    if (!batch || timeReasons(batch.instants, { now, ...RECORD_LIMITS }).size > 0) return null;
    const found = await this.owners.owners(source.accountId, batch.places);
    const owners = found.filter((owner): owner is UsageOwner => !('unknown' in owner));
    if (owners.length < found.length) return null;
    if (this.isOfSeveralPlans(owners, batch.instants, now)) return null;
    const contentHash = hash.digest();
    const decided = await knownDecisions(this.owners, source, {
      counts: batch.decisions ?? [],
      now,
    });
    const stored = await this.batches.store(
      source,
      { ...batch, ...(batch.decisions && { decisions: decided.decisions }) },
      [...owners, ...decided.owners],
      contentHash,
    );
    return this.acknowledge(source, batch, stored, {
      contentHash,
      records: batch.instants.length,
    });
  }

  /** Whether some of it was used before a key came to another plan: then each record is told apart by its time. */
  private isOfSeveralPlans(
    owners: readonly UsageOwner[],
    instants: Float64Array,
    now: Date,
  ): boolean {
    const moved = owners.filter(({ left }) => left !== undefined);
    if (moved.length === 0) return false;
    const earliestMs = instants.reduce((least, ms) => Math.min(least, ms), Infinity);
    return moved.some((owner) => this.owners.ownerAt(owner, earliestMs, now) !== owner);
  }

  private async receiveAny(
    source: BatchSource,
    json: unknown,
    now: Date,
  ): Promise<Acknowledgement> {
    const read = readUsageBatch(json);
    if ('faults' in read) throw new InvalidRequest(read.faults);
    const contentHash = createHash('sha256').update(canonicalContent(read)).digest();
    const usage = await resolveUsage(this.owners, source.accountId, { read, now });
    const decided = await knownDecisions(this.owners, source, {
      counts: read.decisions ?? [],
      now,
    });
    const batch = { ...usage.batch, ...(read.decisions && { decisions: decided.decisions }) };
    const opened = await connectionOwners(this.owners, source, { told: batch.connections, now });
    // A batch that was acknowledged stays so, also when its connections could not come in any more.
    const stored =
      opened.faults.length === 0
        ? await this.batches.store(
            source,
            batch,
            [...usage.owners, ...opened.owners, ...decided.owners],
            contentHash,
          )
        : { isNew: false as const, contentHash: await this.batches.find(source, batch) };
    if (!stored.isNew && stored.contentHash === null) throw new UnusableConnections(opened.faults);
    return this.acknowledge(source, batch, stored as StoredBatch, {
      contentHash,
      records: sentRecords(batch),
    });
  }

  private async acknowledge(
    source: BatchSource,
    { epoch, sequence }: Pick<UsageBatch, 'epoch' | 'sequence'>,
    stored: StoredBatch,
    sent: { readonly contentHash: Buffer; readonly records: number },
  ): Promise<Acknowledgement> {
    const { contentHash, records } = sent;
    if (stored.isNew) {
      this.rollUp.wake();
      return { records, duplicate: false, ...told(stored.quarantined) };
    }
    if (stored.contentHash.equals(contentHash)) {
      const quarantined = await this.quarantine.ofBatch(source, { epoch, sequence });
      return { records, duplicate: true, ...told(quarantined) };
    }
    const contents = { epoch, sequence, firstHash: stored.contentHash, otherHash: contentHash };
    await this.incidents.noteConflict(source, contents, this.system.now());
    this.logger.warn(
      `Gateway ${source.gatewayId} sent batch ${sequence} of epoch ${JSON.stringify(epoch)} again with other content`,
    );
    throw new BatchConflict(epoch, sequence);
  }
}

/** What a gateway is told of the records that are not counted; nothing when all of them are. */
function told(quarantined: readonly Pick<QuarantinedRecord, 'ordinal' | 'faults'>[]) {
  if (quarantined.length === 0) return {};
  const errors = quarantined.flatMap(({ ordinal, faults }) =>
    faults.map(({ pointer, detail }) => ({ pointer: `/records/${ordinal}${pointer}`, detail })),
  );
  return { quarantined: quarantined.length, errors: errors.slice(0, FAULTS_TOLD_MAX) };
}
