import { createHash, hash as oneShotHash } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { hasValidChecksum, ipAllowed, looksLikeTollgateKey, parseIpPolicy } from '@core/catalog';
import type { KeyPolicy, StagePolicy } from '@core/limits';
import { PolicySource } from '@io/limits';
import { Keyring, messageOf, PolicyEvents, SystemClock, type PolicyChange } from '@io/platform';
import { PolicyRepository, type KeyRow, type StageRef } from './policy.repository.js';
import { compileStagePolicy } from './stage-policy.js';

/** The net, should the news of a change be lost. */
const TTL_MS = 30_000;
/** How long a policy is used when Postgres cannot be asked for a newer one. */
const STALE_MS_MAX = 300_000;
const UNKNOWN_TTL_MS = 10_000;
const UNKNOWN_MAX = 100_000;
const VALUE_LENGTH_MAX = 256;

interface Entry {
  readonly policy: KeyPolicy;
  readonly loadedAtMs: number;
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
    const hash = cacheKey(apiKey);
    const entry = this.entries.get(hash);
    const now = this.clock.monotonicMs();
    if (entry && now - entry.loadedAtMs < TTL_MS) return entry.policy;
    if (!entry) {
      if (looksLikeTollgateKey(apiKey) && !hasValidChecksum(apiKey)) return null;
      const unknownUntil = this.unknown.get(hash);
      if (unknownUntil !== undefined && now < unknownUntil) return null;
    }
    return this.load(apiKey, hash);
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
      let policy: KeyPolicy | null;
      try {
        policy = await this.read(apiKey);
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
      if (policy) {
        this.entries.set(hash, { policy, loadedAtMs: now });
        this.hashesOfKey.set(policy.keyId, hash);
      } else {
        this.entries.delete(hash);
        if (this.unknown.size >= UNKNOWN_MAX) this.unknown.clear();
        this.unknown.set(hash, now + UNKNOWN_TTL_MS);
      }
      return policy;
    }
  }

  private async read(apiKey: string): Promise<KeyPolicy | null> {
    const row = await this.repository.keyByHash(this.keyring.hashes('key-pepper', apiKey));
    if (!row) return null;
    const stages = new Map<string, StagePolicy>();
    for (const ref of row.stages) {
      const policy = await this.stage(row.accountId, ref);
      if (policy) stages.set(`${ref.apiId}/${ref.stage}`, policy);
    }
    return keyPolicy(row, stages);
  }

  private stage(accountId: string, ref: StageRef): Promise<StagePolicy | null> {
    const id = `${ref.usagePlanId}/${ref.apiId}/${ref.stage}`;
    const known = this.stages.get(id);
    if (known) return known.policy;
    const policy = this.repository.stage(ref).then((row) => row && compileStagePolicy(row));
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

function keyPolicy(row: KeyRow, stages: ReadonlyMap<string, StagePolicy>): KeyPolicy {
  const ips = row.ipPolicy && parseIpPolicy(row.ipPolicy);
  const byApi = new Map<string, Map<string, StagePolicy>>();
  for (const policy of stages.values()) {
    const ofApi = byApi.get(policy.apiId) ?? new Map<string, StagePolicy>();
    byApi.set(policy.apiId, ofApi.set(policy.stage, policy));
  }
  return {
    keyId: row.id,
    customerId: row.customerId,
    accountId: row.accountId,
    enabled: row.enabled,
    expiresAtMs: row.expiresAt?.getTime() ?? null,
    clockOffsetMs: Number(row.clockOffsetMs),
    accountThrottle: { rateLimit: row.rateLimit, burstLimit: row.burstLimit },
    allowsAddress: (sourceIp) => !ips || ipAllowed(ips, sourceIp ?? ''),
    stage: (apiId, stage) => byApi.get(apiId)?.get(stage) ?? null,
  };
}

/** Keeps the key itself out of memory. `crypto.hash` is three times faster where Node has it (20.12). */
const cacheKey: (value: string) => string = oneShotHash
  ? (value) => oneShotHash('sha256', value, 'base64')
  : (value) => createHash('sha256').update(value).digest('base64');
