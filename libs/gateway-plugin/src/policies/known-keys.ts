import {
  Memo,
  addressCheck,
  compileStagePolicy,
  type StagePolicy,
  type StageRules,
} from '@core/limits';
import type { KeyAnswer } from './policy-answer.js';

/** Where policies come from. Both reject when it cannot be asked. */
export interface PolicySource {
  keyPolicy(apiKey: string): Promise<KeyAnswer | null>;
  stagePolicy(usagePlanId: string): Promise<StageRules | null>;
}

/** A key that the gateway knows, and what it may do on the gateway's stage. */
export class KnownKey {
  /** What a decision found for the key's methods, so that it builds no text the next time. */
  readonly memo = new Memo();
  readonly allowsAddress: (sourceIp: string | null) => boolean;

  constructor(
    readonly answer: KeyAnswer,
    /** Null when no plan of the key covers the stage. */
    readonly stage: StagePolicy | null,
    public loadedAtMs: number,
  ) {
    this.allowsAddress = addressCheck(answer.ipPolicy);
  }
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
 * A key that news has forgotten stays `Forgotten` until its policy is here again, so that many of them are asked for in
 * one question; the service is asked to decide for strangers only.
 */
export class KnownKeys {
  private readonly known = new Map<string, KnownKey | typeof FORGOTTEN>();
  private readonly textsOfKey = new Map<string, Set<string>>();
  private readonly stages = new Map<string, LoadedStage>();
  /** What each stage was compiled from. */
  private readonly stageTexts = new WeakMap<StagePolicy, string>();
  private readonly unknown = new Map<string, number>();
  private readonly loading = new Map<string, Promise<KnownKey | null>>();
  private changes: Change[] = [];
  private changeNumber = 0;
  private refreshNotBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly source: PolicySource,
    private readonly hasNews: () => boolean,
    private readonly ages: PolicyAges = POLICY_AGES,
  ) {}

  get size(): number {
    return this.known.size;
  }

  /**
   * What is known of a key: null that the account has no such key, `undefined` when it has to be asked for.
   * An old policy is used while a new one is asked for.
   */
  find(apiKey: string, now: number): KnownKey | null | undefined {
    const known = this.known.get(apiKey);
    if (known === undefined || known === FORGOTTEN) {
      const until = this.unknown.get(apiKey);
      return until !== undefined && now < until ? null : undefined;
    }
    const ageMs = now - known.loadedAtMs;
    const { ttlMs, ttlWithNewsMs, staleMsMax } = this.ages;
    if (ageMs < ttlMs || (ageMs < ttlWithNewsMs && this.hasNews())) return known;
    if (ageMs >= staleMsMax) return undefined;
    this.refresh(apiKey, now);
    return known;
  }

  /** Whether the policy was here, and only news has forgotten it. */
  isForgotten(apiKey: string): boolean {
    return this.known.get(apiKey) === FORGOTTEN;
  }

  /** Asks for the policy of a key; null when the account has no such key. Rejects when the service cannot be asked. */
  load(apiKey: string): Promise<KnownKey | null> {
    const running = this.loading.get(apiKey);
    if (running !== undefined) return running;
    const load = this.loadUntilQuiet(apiKey).finally(() => {
      this.loading.delete(apiKey);
      if (this.loading.size === 0) this.changes = [];
    });
    this.loading.set(apiKey, load);
    return load;
  }

  /** Drops what nobody asked for in so long that it cannot be used any more. */
  sweep(now: number): void {
    for (const [text, known] of this.known) {
      if (known !== FORGOTTEN && now - known.loadedAtMs < this.ages.staleMsMax) continue;
      this.known.delete(text);
      if (known === FORGOTTEN) continue;
      this.textsOfKey.delete(known.answer.keyId);
    }
  }

  /** Forgets one key by its id, or all keys and stages. Returns what was known of them. */
  forget(keyId: string | null): KnownKey[] {
    this.changeNumber += 1;
    if (this.loading.size > 0) this.changes.push({ number: this.changeNumber, keyId });
    this.unknown.clear();
    if (keyId !== null) return this.forgetTexts(this.textsOfKey.get(keyId) ?? []);
    this.stages.clear();
    return this.forgetTexts(this.known.keys());
  }

  private forgetTexts(texts: Iterable<string>): KnownKey[] {
    const forgotten: KnownKey[] = [];
    for (const text of texts) {
      const known = this.known.get(text);
      if (known === undefined || known === FORGOTTEN) continue;
      forgotten.push(known);
      this.known.set(text, FORGOTTEN);
    }
    return forgotten;
  }

  private async loadUntilQuiet(apiKey: string): Promise<KnownKey | null> {
    for (;;) {
      const since = this.changeNumber;
      const answer = await this.source.keyPolicy(apiKey);
      const stage = answer?.usagePlanId == null ? null : await this.stage(answer.usagePlanId);
      const isOld = this.changes.some(
        ({ number, keyId }) => number > since && (keyId === null || keyId === answer?.keyId),
      );
      if (isOld) continue;
      if (answer !== null) return this.keep(apiKey, answer, stage);
      this.known.delete(apiKey);
      if (this.unknown.size >= this.ages.unknownMax) this.unknown.clear();
      this.unknown.set(apiKey, performance.now() + this.ages.unknownTtlMs);
      return null;
    }
  }

  private refresh(apiKey: string, now: number): void {
    if (now < this.refreshNotBeforeMs) return;
    this.load(apiKey).catch(() => {
      this.refreshNotBeforeMs = performance.now() + REFRESH_PAUSE_MS;
    });
  }

  /** The same again is the same policy: what was found for it stays. */
  private keep(apiKey: string, answer: KeyAnswer, stage: StagePolicy | null): KnownKey {
    const now = performance.now();
    const before = this.known.get(apiKey);
    if (
      before instanceof KnownKey &&
      before.stage === stage &&
      JSON.stringify(before.answer) === JSON.stringify(answer)
    ) {
      before.loadedAtMs = now;
      return before;
    }
    const key = new KnownKey(answer, stage, now);
    this.known.set(apiKey, key);
    // A key that is being rotated has two values.
    const texts = this.textsOfKey.get(answer.keyId);
    if (texts === undefined) this.textsOfKey.set(answer.keyId, new Set([apiKey]));
    else texts.add(apiKey);
    return key;
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

const FORGOTTEN = Symbol('forgotten');
