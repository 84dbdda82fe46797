import {
  addressCheck,
  compileStagePolicy,
  type Engine,
  type StagePolicy,
  type StageRules,
} from '@core/limits';
import type { KeyAnswer } from './policy-answer.js';

/** Where policies come from. Both reject when it cannot be asked. */
export interface PolicySource {
  keyPolicy(apiKey: string): Promise<KeyAnswer | null>;
  stagePolicy(usagePlanId: string): Promise<StageRules | null>;
}

/** How old a policy may be, and how many strangers are remembered; for tests. */
export interface PolicyAges {
  /** After so long it is asked for again, behind the calls: without a stream of news, and with one. */
  readonly ttlMs: number;
  readonly ttlWithNewsMs: number;
  /** For so long it is used while the service cannot be asked. */
  readonly staleMsMax: number;
  readonly unknownTtlMs: number;
  readonly unknownMax: number;
}

export const POLICY_AGES: PolicyAges = {
  ttlMs: 30_000,
  ttlWithNewsMs: 150_000,
  staleMsMax: 300_000,
  unknownTtlMs: 10_000,
  unknownMax: 100_000,
};

interface LoadedStage {
  readonly policy: Promise<StagePolicy | null>;
  readonly atMs: number;
}

/** After a failure, old policies are not asked for again before so long. */
const REFRESH_PAUSE_MS = 1_000;

/** A change that came while policies were being asked for. Null is all of them. */
interface Change {
  readonly number: number;
  readonly keyId: string | null;
}

/**
 * The policies that this process decides by. News forgets them; what was being asked for meanwhile is asked for again,
 * so that a revoked key cannot come back with an answer that was under way.
 *
 * The engine keeps them. It knows which keys news has forgotten, so that many of them are asked for in one question; the
 * service is asked to decide for strangers only.
 */
export class KnownKeys {
  private readonly stages = new Map<string, LoadedStage>();
  /** What each stage was compiled from. */
  private readonly stageTexts = new WeakMap<StagePolicy, string>();
  private readonly unknown = new Map<string, number>();
  private readonly loading = new Map<string, Promise<KeyAnswer | null>>();
  private changes: Change[] = [];
  private changeNumber = 0;
  private refreshNotBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly source: PolicySource,
    private readonly engine: Engine,
    private readonly hasNews: () => boolean,
    private readonly ages: PolicyAges = POLICY_AGES,
  ) {
    engine.policyFreshMs = ages.ttlMs;
    engine.policyAgeMsMax = ages.staleMsMax;
  }

  get size(): number {
    return this.engine.keys.size;
  }

  /** Whether the account had no such key when it was asked for, a moment ago. */
  isUnknown(apiKey: string, now: number): boolean {
    const until = this.unknown.get(apiKey);
    return until !== undefined && now < until;
  }

  /** The policy of a key is old, and used meanwhile: asks for it behind the calls, unless news would have told. */
  refresh(apiKey: string, ageMs: number, now: number): void {
    const isFresh = ageMs < this.ages.ttlWithNewsMs && this.hasNews();
    if (isFresh || now < this.refreshNotBeforeMs || this.loading.has(apiKey)) return;
    this.load(apiKey).catch(() => {
      this.refreshNotBeforeMs = performance.now() + REFRESH_PAUSE_MS;
    });
  }

  /** Asks for the policy of a key; null when the account has no such key. Rejects when the service cannot be asked. */
  load(apiKey: string): Promise<KeyAnswer | null> {
    const running = this.loading.get(apiKey);
    if (running !== undefined) return running;
    const load = this.loadUntilQuiet(apiKey).finally(() => {
      this.loading.delete(apiKey);
      if (this.loading.size === 0) this.changes = [];
    });
    this.loading.set(apiKey, load);
    return load;
  }

  /** Forgets one key by its id, or all keys and stages; what is in hand of rates is void, of quotas goes back. */
  forget(keyId: string | null): void {
    this.changeNumber += 1;
    if (this.loading.size > 0) this.changes.push({ number: this.changeNumber, keyId });
    this.unknown.clear();
    if (keyId === null) this.stages.clear();
    this.engine.forget(keyId);
  }

  private async loadUntilQuiet(apiKey: string): Promise<KeyAnswer | null> {
    for (;;) {
      const since = this.changeNumber;
      const answer = await this.source.keyPolicy(apiKey);
      const stage = answer?.usagePlanId == null ? null : await this.stage(answer.usagePlanId);
      const isOld = this.changes.some(
        ({ number, keyId }) => number > since && (keyId === null || keyId === answer?.keyId),
      );
      if (isOld) continue;
      if (answer !== null) {
        this.keep(apiKey, answer, stage);
        return answer;
      }
      this.engine.unlearn(apiKey);
      if (this.unknown.size >= this.ages.unknownMax) this.unknown.clear();
      this.unknown.set(apiKey, performance.now() + this.ages.unknownTtlMs);
      return null;
    }
  }

  private keep(apiKey: string, answer: KeyAnswer, stage: StagePolicy | null): void {
    const { ipPolicy, accountThrottle, ...facts } = answer;
    const allowsAddress = ipPolicy && addressCheck(ipPolicy);
    const now = performance.now();
    this.engine.learn(apiKey, { ...facts, allowsAddress, stage }, now);
    this.engine.learnAccount(accountThrottle, now);
  }

  private stage(usagePlanId: string): Promise<StagePolicy | null> {
    const now = performance.now();
    const known = this.stages.get(usagePlanId);
    if (known !== undefined && now - known.atMs < this.ages.ttlMs) return known.policy;
    const entry = { atMs: now, policy: this.loadStage(usagePlanId, known) };
    this.stages.set(usagePlanId, entry);
    entry.policy.catch(() => {
      if (this.stages.get(usagePlanId) === entry) this.stages.delete(usagePlanId);
    });
    return entry.policy;
  }

  private async loadStage(
    usagePlanId: string,
    before: LoadedStage | undefined,
  ): Promise<StagePolicy | null> {
    const rules = await this.source.stagePolicy(usagePlanId);
    if (rules === null) return null;
    const old = before && (await before.policy);
    const text = JSON.stringify(rules);
    if (old && this.stageTexts.get(old) === text) return old;
    const policy = compileStagePolicy(rules);
    this.stageTexts.set(policy, text);
    return policy;
  }
}
