import { Injectable, Logger } from '@nestjs/common';
import { hasValidChecksum, looksLikeTollgateKey } from '@core/kernel';
import { compileStagePolicy, type KeyPolicy, type StagePolicy } from '@core/limits';
import { PolicySource } from '@io/limits';
import {
  Keyring,
  memoryKey,
  messageOf,
  PolicyEvents,
  SystemClock,
  type PolicyChange,
} from '@io/platform';
import { boostEndsInMs, keyPolicy } from './key-policy.js';
import { PolicyRepository, type KeyRow, type StageRef } from './policy.repository.js';
import { stageRules } from './stage-rules.js';

/** The net, should the news of a change be lost: after so long a policy is read again, behind the decisions. */
const TTL_MS = 30_000;
/** How long a policy is used when Postgres cannot be asked for a newer one. */
const STALE_MS_MAX = 300_000;
const UNKNOWN_TTL_MS = 10_000;
const UNKNOWN_MAX = 100_000;
const VALUE_LENGTH_MAX = 256;
/** The longest wait of a timer. */
const TIMER_MS_MAX = 2 ** 31 - 1;

interface Entry {
  policy: KeyPolicy;
  /** What it was made of; the same again is the same policy. */
  readonly source: Source;
  loadedAtMs: number;
}

interface Source {
  readonly row: string;
  readonly stages: readonly (StagePolicy | null)[];
}

/**
 * What keys may do, kept in memory: a decision finds it without asking Postgres. The database tells of every change
 * on commit, and what was being loaded meanwhile is not kept, so that a revoked key cannot come back. A key whose
 * checksum is wrong costs no look-up; one that nobody has is remembered for ten seconds.
 */
@Injectable()
export class PolicyCache extends PolicySource {
  private readonly logger = new Logger('PolicyCache');
  private readonly entries = new Map<string, Entry>();
  private readonly hashesOfKey = new Map<string, string>();
  private readonly stages = new Map<
    string,
    { readonly accountId: string; readonly policy: Promise<StagePolicy | null> }
  >();
  private readonly unknown = new Map<string, number>();
  private readonly loading = new Map<string, Promise<KeyPolicy | null>>();
  private readonly refreshing = new Set<string>();
  /** By key id, of keys whose throttle is lifted for a while. */
  private readonly boosts = new Map<string, NodeJS.Timeout>();
  private refreshes: Promise<unknown> = Promise.resolve();
  private changes = 0;
  private failing = false;

  constructor(
    private readonly repository: PolicyRepository,
    private readonly keyring: Keyring,
    private readonly clock: SystemClock,
    events: PolicyEvents,
  ) {
    super();
    events.subscribe((change) => this.forget(change));
  }

  override find(apiKey: string): KeyPolicy | null | Promise<KeyPolicy | null> {
    if (apiKey.length > VALUE_LENGTH_MAX) return null;
    const hash = memoryKey(apiKey);
    const entry = this.entries.get(hash);
    const now = this.clock.monotonicMs();
    if (entry) {
      const ageMs = now - entry.loadedAtMs;
      if (ageMs >= TTL_MS) this.refresh(apiKey, hash);
      if (ageMs < 2 * TTL_MS) return entry.policy;
    } else {
      if (looksLikeTollgateKey(apiKey) && !hasValidChecksum(apiKey)) return null;
      const unknownUntil = this.unknown.get(hash);
      if (unknownUntil !== undefined && now < unknownUntil) return null;
    }
    return this.load(apiKey, hash);
  }

  /** Reads a policy again that is in use meanwhile, one after the other, so that many at once are no burst. */
  private refresh(apiKey: string, hash: string): void {
    if (this.loading.has(hash) || this.refreshing.has(hash)) return;
    this.refreshing.add(hash);
    this.refreshes = this.refreshes
      .then(() => this.load(apiKey, hash))
      .then(undefined, () => null)
      .finally(() => this.refreshing.delete(hash));
  }

  private load(apiKey: string, hash: string): Promise<KeyPolicy | null> {
    const running = this.loading.get(hash);
    if (running) return running;
    const load = this.reload(apiKey, hash).finally(() => this.loading.delete(hash));
    this.loading.set(hash, load);
    return load;
  }

  /** Reads until no change came while it was reading; then what was read is what holds. */
  private async reload(apiKey: string, hash: string): Promise<KeyPolicy | null> {
    for (;;) {
      const changesBefore = this.changes;
      let found: { row: KeyRow; stages: (StagePolicy | null)[] } | null;
      try {
        found = await this.read(apiKey);
        this.tell(null);
      } catch (error) {
        this.tell(error);
        const stale = this.entries.get(hash);
        if (stale && this.clock.monotonicMs() - stale.loadedAtMs < STALE_MS_MAX)
          return stale.policy;
        throw error;
      }
      if (changesBefore !== this.changes) continue;
      const now = this.clock.monotonicMs();
      if (found) return this.keep(hash, found, now);
      this.entries.delete(hash);
      if (this.unknown.size >= UNKNOWN_MAX) this.unknown.clear();
      this.unknown.set(hash, now + UNKNOWN_TTL_MS);
      return null;
    }
  }

  /** Keeps what was read; what did not change stays the same object, with all that is remembered of it. */
  private keep(
    hash: string,
    { row, stages }: { row: KeyRow; stages: (StagePolicy | null)[] },
    now: number,
  ): KeyPolicy {
    const source = { row: JSON.stringify(row), stages };
    const known = this.entries.get(hash);
    if (known && isSameSource(known.source, source)) {
      known.loadedAtMs = now;
      return known.policy;
    }
    const policy = keyPolicy(row, stages, this.clock.nowMs());
    const entry = { policy, source, loadedAtMs: now };
    this.entries.set(hash, entry);
    this.hashesOfKey.set(policy.keyId, hash);
    this.endBoost(hash, entry, row);
    return policy;
  }

  /** Ends a boost when its time is over: here also without Postgres, elsewhere, in gateways too, by the news of it. */
  private endBoost(hash: string, entry: Entry, row: KeyRow): void {
    const { id: keyId, accountId } = row;
    clearTimeout(this.boosts.get(keyId));
    this.boosts.delete(keyId);
    const endsInMs = boostEndsInMs(row, this.clock.nowMs());
    if (endsInMs === null) return;
    const timer = setTimeout(
      () => {
        this.boosts.delete(keyId);
        if (this.entries.get(hash) !== entry) return;
        entry.policy = keyPolicy(row, entry.source.stages, this.clock.nowMs());
        this.endBoost(hash, entry, row);
        this.repository.tell({ accountId, keyId }).catch((error: unknown) => this.tell(error));
      },
      Math.min(endsInMs, TIMER_MS_MAX),
    );
    this.boosts.set(keyId, timer.unref());
  }

  private async read(
    apiKey: string,
  ): Promise<{ row: KeyRow; stages: (StagePolicy | null)[] } | null> {
    const row = await this.repository.keyByHash(this.keyring.hashes('key-pepper', apiKey));
    if (!row) return null;
    const stages = await Promise.all(row.stages.map((ref) => this.stage(row.accountId, ref)));
    return { row, stages };
  }

  private stage(accountId: string, ref: StageRef): Promise<StagePolicy | null> {
    const id = `${ref.usagePlanId}/${ref.apiId}/${ref.stage}`;
    const known = this.stages.get(id);
    if (known) return known.policy;
    const policy = this.repository
      .stage(ref)
      .then((row) => row && compileStagePolicy(stageRules(row)));
    this.stages.set(id, { accountId, policy });
    policy.catch(() => this.stages.delete(id));
    return policy;
  }

  private forget(change: PolicyChange): void {
    if (change?.tokenId !== undefined) return;
    this.changes += 1;
    this.unknown.clear();
    if (change?.keyId !== undefined) {
      const hash = this.hashesOfKey.get(change.keyId);
      if (hash !== undefined) this.entries.delete(hash);
      this.hashesOfKey.delete(change.keyId);
      return;
    }
    for (const [hash, { policy }] of this.entries) {
      if (change !== null && policy.accountId !== change.accountId) continue;
      this.entries.delete(hash);
      this.hashesOfKey.delete(policy.keyId);
    }
    for (const [id, { accountId }] of this.stages) {
      if (change === null || accountId === change.accountId) this.stages.delete(id);
    }
  }

  /** One log line per change of state, not per call. */
  private tell(error: unknown): void {
    if (this.failing === (error !== null)) return;
    this.failing = error !== null;
    if (error === null) this.logger.log('Policies can be read again.');
    else this.logger.error(`Policies cannot be read: ${messageOf(error)}`);
  }
}

const isSameSource = (a: Source, b: Source) =>
  a.row === b.row &&
  a.stages.length === b.stages.length &&
  a.stages.every((stage, i) => stage === b.stages[i]);
