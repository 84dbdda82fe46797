import { Injectable, Logger } from '@nestjs/common';
import { hasValidChecksum, looksLikeTollgateKey } from '@core/kernel';
import {
  compileStagePolicy,
  type KeyInPlanRef,
  type KeyPolicy,
  type PlanPolicy,
  type StageOfApiRef,
  type StagePolicy,
  type StageRules,
} from '@core/limits';
import { PolicyDetails, PolicySource, type AccountPolicy, type KeyInPlan } from '@io/limits';
import {
  Keyring,
  memoryKey,
  messageOf,
  NotFound,
  PolicyEvents,
  SystemClock,
  type PolicyChange,
} from '@io/platform';
import { boostEndsInMs, keyPolicy, type KeySource, type LoadedKey } from './key-policy.js';
import { KnownKeys } from './known-keys.js';
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

/** What is read once and kept until the account changes. */
interface OfAccount<T> {
  readonly accountId: string;
  readonly value: Promise<T>;
}

interface KnownStage {
  readonly accountId: string;
  readonly rules: StageRules;
  readonly policy: StagePolicy;
}

type ReadKey = () => Promise<KeyRow | null>;

/**
 * What keys may do, kept in memory: a decision finds it without asking Postgres. The database tells of every change
 * on commit, and what was being loaded meanwhile is not kept, so that a revoked key cannot come back. A key whose
 * checksum is wrong costs no look-up; one that nobody has is remembered for ten seconds.
 */
@Injectable()
export class PolicyCache extends PolicySource implements PolicyDetails {
  private readonly logger = new Logger('PolicyCache');
  private readonly keys = new KnownKeys();
  private readonly stages = new Map<string, OfAccount<KnownStage | null>>();
  private readonly plansOfStage = new Map<string, OfAccount<string | null>>();
  private readonly accounts = new Map<string, OfAccount<AccountPolicy>>();
  /** One text for each account: comparing those of two keys reads nothing of the second. */
  private readonly accountIds = new Map<string, string>();
  private readonly unknown = new Map<string, number>();
  private readonly loading = new Map<string, Promise<KeyPolicy | null>>();
  private readonly refreshing = new Set<string>();
  /** Of keys whose throttle is lifted for a while. */
  private readonly boosts = new Map<string, NodeJS.Timeout>();
  private refreshes: Promise<unknown> = Promise.resolve();
  private changes = 0;
  private readAtMs = Number.NEGATIVE_INFINITY;
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

  override find(
    apiKey: string,
    now = this.clock.monotonicMs(),
  ): KeyPolicy | null | Promise<KeyPolicy | null> {
    if (apiKey.length > VALUE_LENGTH_MAX) return null;
    const recent = this.keys.recently(apiKey);
    if (recent && now - recent.loadedAtMs < TTL_MS) return recent;
    const hash = memoryKey(apiKey);
    const key = this.keys.get(hash);
    if (key) {
      if (key !== recent) this.keys.sawValue(apiKey, key);
      if (now - key.loadedAtMs < TTL_MS) return key;
      return this.use(hash, key, () => this.readByValue(apiKey));
    }
    if (looksLikeTollgateKey(apiKey) && !hasValidChecksum(apiKey)) return null;
    return this.isUnknown(hash) ? null : this.load(hash, () => this.readByValue(apiKey));
  }

  async inPlan(accountId: string, { keyId, usagePlanId }: KeyInPlanRef): Promise<KeyInPlan | null> {
    const id = this.keys.idFor(keyId);
    const read = () => this.repository.keyById(keyId);
    const known = this.keys.get(id);
    if (!known && this.isUnknown(id)) return null;
    const key = await (known ? this.use(id, known, read) : this.load(id, read));
    if (key?.accountId !== accountId) return null;
    const plan = planOf(key, this.keys.get(id)?.source.stages ?? [], usagePlanId);
    return plan && { key, plan };
  }

  async stageUnderPlan(
    accountId: string,
    ref: StageOfApiRef & { readonly usagePlanId: string },
  ): Promise<StageRules | null> {
    const known = await this.stage(accountId, ref);
    return known?.accountId === accountId ? known.rules : null;
  }

  async stageOfApi(accountId: string, { apiId, stage }: StageOfApiRef): Promise<StageRules | null> {
    const id = `${accountId}/${apiId}/${stage}`;
    const read = () => this.repository.planOfStage(accountId, apiId, stage);
    const usagePlanId = await remember(this.plansOfStage, id, accountId, read);
    return usagePlanId === null
      ? null
      : this.stageUnderPlan(accountId, { usagePlanId, apiId, stage });
  }

  account(accountId: string): Promise<AccountPolicy> {
    return remember(this.accounts, accountId, accountId, async () => {
      const row = await this.repository.account(accountId);
      if (!row) throw new NotFound('account', accountId);
      const { rateLimit, burstLimit, clockOffsetMs } = row;
      return { throttle: { rateLimit, burstLimit }, clockOffsetMs: Number(clockOffsetMs) };
    });
  }

  /** What is known, as long as it is young enough. */
  private use(id: string, key: LoadedKey, read: ReadKey): KeyPolicy | Promise<KeyPolicy | null> {
    const ageMs = this.clock.monotonicMs() - key.loadedAtMs;
    if (ageMs >= TTL_MS) this.refresh(id, read);
    return ageMs < 2 * TTL_MS ? key : this.load(id, read);
  }

  private isUnknown(id: string): boolean {
    const until = this.unknown.get(id);
    return until !== undefined && this.clock.monotonicMs() < until;
  }

  private readByValue(apiKey: string): Promise<KeyRow | null> {
    return this.repository.keyByHash(this.keyring.hashes('key-pepper', apiKey));
  }

  /** How many keys are known, and how many values are known to be nobody's. */
  stats(): { readonly keys: number; readonly unknown: number; readonly isFailing: boolean } {
    return { keys: this.keys.size, unknown: this.unknown.size, isFailing: this.failing };
  }

  /** Whether there are keys that can be decided about though Postgres may be away: it was not so long ago that it answered. */
  get isUsable(): boolean {
    return this.keys.size > 0 && this.clock.monotonicMs() - this.readAtMs < STALE_MS_MAX;
  }

  /** Reads a policy again that is in use meanwhile, one after the other, so that many at once are no burst. */
  private refresh(id: string, read: ReadKey): void {
    if (this.loading.has(id) || this.refreshing.has(id)) return;
    this.refreshing.add(id);
    this.refreshes = this.refreshes
      .then(() => this.load(id, read))
      .then(undefined, () => null)
      .finally(() => this.refreshing.delete(id));
  }

  private load(id: string, read: ReadKey): Promise<KeyPolicy | null> {
    const running = this.loading.get(id);
    if (running) return running;
    const load = this.reload(id, read).finally(() => this.loading.delete(id));
    this.loading.set(id, load);
    return load;
  }

  /** Reads until no change came while it was reading; then what was read is what holds. */
  private async reload(id: string, readKey: ReadKey): Promise<KeyPolicy | null> {
    for (;;) {
      const changesBefore = this.changes;
      let found: { row: KeyRow; stages: (StagePolicy | null)[] } | null;
      try {
        found = await this.read(readKey);
        this.readAtMs = this.clock.monotonicMs();
        this.tell(null);
      } catch (error) {
        this.tell(error);
        const stale = this.keys.get(id);
        if (stale && this.clock.monotonicMs() - stale.loadedAtMs < STALE_MS_MAX) return stale;
        throw error;
      }
      if (changesBefore !== this.changes) continue;
      const now = this.clock.monotonicMs();
      if (found) return this.keep(id, found, Math.floor(now));
      this.keys.forgetOne(id);
      if (this.unknown.size >= UNKNOWN_MAX) this.unknown.clear();
      this.unknown.set(id, now + UNKNOWN_TTL_MS);
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
    const known = this.keys.get(hash);
    if (known && isSameSource(known.source, source)) {
      known.loadedAtMs = now;
      return known;
    }
    const loaded = { source, loadedAtMs: now };
    const key = keyPolicy(this.withSharedId(row), loaded, this.clock.nowMs());
    this.keys.set(hash, key, !row.isPast);
    this.endBoost(hash, key, row);
    return key;
  }

  private withSharedId(row: KeyRow): KeyRow {
    const known = this.accountIds.get(row.accountId);
    if (known === undefined) this.accountIds.set(row.accountId, row.accountId);
    return known === undefined ? row : { ...row, accountId: known };
  }

  /** Ends a boost when its time is over: here also without Postgres, elsewhere, in gateways too, by the news of it. */
  private endBoost(hash: string, key: LoadedKey, row: KeyRow): void {
    const { id: keyId, accountId } = row;
    clearTimeout(this.boosts.get(hash));
    this.boosts.delete(hash);
    const endsInMs = boostEndsInMs(row, this.clock.nowMs());
    if (endsInMs === null) return;
    const timer = setTimeout(
      () => {
        this.boosts.delete(hash);
        if (this.keys.get(hash) !== key) return;
        const fresh = keyPolicy(this.withSharedId(row), key, this.clock.nowMs());
        this.keys.set(hash, fresh, !row.isPast);
        this.endBoost(hash, fresh, row);
        this.repository.tell({ accountId, keyId }).catch((error: unknown) => this.tell(error));
      },
      Math.min(endsInMs, TIMER_MS_MAX),
    );
    this.boosts.set(hash, timer.unref());
  }

  private async read(
    readKey: ReadKey,
  ): Promise<{ row: KeyRow; stages: (StagePolicy | null)[] } | null> {
    const row = await readKey();
    if (!row) return null;
    const known = await Promise.all(row.stages.map((ref) => this.stage(row.accountId, ref)));
    return { row, stages: known.map((stage) => stage?.policy ?? null) };
  }

  private stage(accountId: string, ref: StageRef): Promise<KnownStage | null> {
    const id = `${accountId}/${ref.usagePlanId}/${ref.apiId}/${ref.stage}`;
    return remember(this.stages, id, accountId, async () => {
      const row = await this.repository.stage(ref);
      if (!row) return null;
      const rules = stageRules(row);
      return { accountId: row.accountId, rules, policy: compileStagePolicy(rules) };
    });
  }

  private forget(change: PolicyChange): void {
    if (change?.tokenId !== undefined) return;
    this.changes += 1;
    this.unknown.clear();
    if (change?.keyId !== undefined) {
      this.keys.forgetKey(change.keyId);
      return;
    }
    this.keys.forgetAll(change?.accountId ?? null);
    for (const known of [this.stages, this.plansOfStage, this.accounts]) {
      for (const [id, { accountId }] of known) {
        if (change === null || accountId === change.accountId) known.delete(id);
      }
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

/** Reads once for all who ask, and keeps it until it is taken out of the map; not when it could not be read. */
function remember<T>(
  known: Map<string, OfAccount<T>>,
  id: string,
  accountId: string,
  read: () => Promise<T>,
): Promise<T> {
  const before = known.get(id);
  if (before) return before.value;
  const entry = { accountId, value: read() };
  known.set(id, entry);
  const forget = () => {
    if (known.get(id) === entry) known.delete(id);
  };
  // What is not there is not kept: anyone can ask for it under any name.
  entry.value.then((value) => value === null && forget(), forget);
  return entry.value;
}

/** A key's plan with its overrides, which hold on each of the plan's stages. */
function planOf(
  key: KeyPolicy,
  stages: readonly (StagePolicy | null)[],
  usagePlanId: string,
): PlanPolicy | null {
  const covered = stages.find((stage) => stage?.plan.id === usagePlanId);
  return (covered && key.stage(covered.apiId, covered.stage)?.plan) ?? null;
}

const isSameSource = (a: KeySource, b: KeySource) =>
  a.row === b.row &&
  a.stages.length === b.stages.length &&
  a.stages.every((stage, i) => stage === b.stages[i]);
