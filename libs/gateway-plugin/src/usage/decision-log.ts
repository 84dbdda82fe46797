import { AllowedCount, DecisionTally } from '@core/limits';

/** How many calls of a key and method this process allowed by itself in an hour of UTC, as a batch tells it. */
export interface ToldDecisions {
  readonly hour: string;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly allowed: number;
}

/** An allowed call. */
interface AllowedCall {
  /** In milliseconds of business time. */
  readonly at: number;
  readonly keyId: string;
  readonly method: string;
  readonly resourcePath: string;
}

/** How often counts are told while calls come. */
export const TELL_MS = 5_000;
/** How many one batch tells. */
const TOLD_MAX = 5_000;
/** So many names are counted at a time; calls of more show as metered and never allowed. */
const NAMES_MAX = 200_000;

/**
 * Counts the calls that this process allowed by itself, apart from the ones that it meters, so that the two can be held against each
 * other. A call finds its count by path, verb and key in turn, each of which is text that is there already.
 */
export class DecisionLog {
  private readonly tally = new DecisionTally();
  private readonly byPath = new Map<string, Map<string, Map<string, AllowedCount>>>();
  private names = 0;
  private isAny = false;
  private waiting: ToldDecisions[] = [];
  private toldAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly place: { readonly apiId: string; readonly stage: string },
    private readonly monotonicMs: () => number,
  ) {}

  /** Whether there is something that was not told. */
  get hasUntold(): boolean {
    return this.isAny || this.waiting.length > 0;
  }

  /** Counts an allowed call. */
  add(call: AllowedCall): void {
    const count = this.byPath.get(call.resourcePath)?.get(call.method)?.get(call.keyId);
    const found = count ?? this.open(call);
    if (found === undefined) return;
    this.isAny = true;
    this.tally.add(found, call.at);
  }

  /** What is told next is told at once. */
  hurry(): void {
    this.toldAt = Number.NEGATIVE_INFINITY;
  }

  /** Takes what waits, at most `TOLD_MAX`, once in a while; undefined when there is nothing to tell. */
  take(): ToldDecisions[] | undefined {
    const now = this.monotonicMs();
    if (!this.hasUntold || now - this.toldAt < TELL_MS) return undefined;
    if (this.isAny) {
      const { apiId, stage } = this.place;
      for (const { hourMs, keyId, method, resourcePath, allowed } of this.tally.take()) {
        const hour = new Date(hourMs).toISOString();
        this.waiting.push({ hour, keyId, apiId, stage, method, resourcePath, allowed });
      }
      this.isAny = false;
      // All counts stand at 0: whoever calls again is counted anew.
      this.byPath.clear();
      this.names = 0;
    }
    const told = this.waiting.slice(0, TOLD_MAX);
    this.waiting = this.waiting.slice(TOLD_MAX);
    if (this.waiting.length === 0) this.toldAt = now;
    return told;
  }

  private open({ keyId, method, resourcePath }: AllowedCall): AllowedCount | undefined {
    if (this.names >= NAMES_MAX) return undefined;
    const byMethod = this.byPath.get(resourcePath) ?? new Map<string, Map<string, AllowedCount>>();
    const byKey = byMethod.get(method) ?? new Map<string, AllowedCount>();
    const name = { accountId: '', customerId: '', ...this.place, keyId, method, resourcePath };
    const count = new AllowedCount(name);
    byKey.set(keyId, count);
    byMethod.set(method, byKey);
    this.byPath.set(resourcePath, byMethod);
    this.names += 1;
    return count;
  }
}
