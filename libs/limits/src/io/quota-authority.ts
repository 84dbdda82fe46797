/** Names one counter: what a key has spent of a plan in a period. */
export interface QuotaCounter {
  readonly accountId: string;
  readonly customerId: string;
  readonly usagePlanId: string;
  readonly keyId: string;
  readonly periodFrom: Date;
  readonly periodTo: Date;
}

/** A block that a process wants. */
export interface BlockWish {
  readonly counter: QuotaCounter;
  /** The quota's limit as the plan says it now. */
  readonly limit: number;
  /** What waiting calls need; granted as far as it is left. */
  readonly asked: number;
  /** What the process would like to have ahead; granted only while it is a small share of what is left. */
  readonly wanted: number;
  /** What the holder has spent of earlier blocks since it last told; told once, whatever becomes of the wish. */
  readonly spent?: number;
}

/** What became of a wish, in the order of the wishes. */
export interface BlockGrant {
  readonly granted: number;
  /** Left at the authority after it. */
  readonly remaining: number;
}

/** Units of a counter that go back, since nobody spent them. */
export interface BlockReturn {
  readonly counter: QuotaCounter;
  readonly units: number;
  /** As of a wish. */
  readonly spent?: number;
}

/**
 * Where the truth about quotas is. A block is debited before it is handed out, so that a crash gives no call away. A
 * holder is this process, or the one that is named. One that was silent for `VOID_MS` may spend nothing any more.
 */
export abstract class QuotaAuthority {
  abstract debit(wishes: readonly BlockWish[], holder?: string): Promise<BlockGrant[]>;
  /** Takes back no more than the authority still counts as held. */
  abstract giveBack(returns: readonly BlockReturn[], holder?: string): Promise<void>;
  /** Says that a holder lives; before its first debit, and at least every `BEAT_MS` while it holds anything. */
  async beat(_holder?: string): Promise<void> {}
}

export const BEAT_MS = 10_000;
/** A holder counts as dead after 60 s; what it holds is void well before. */
export const VOID_MS = 45_000;
