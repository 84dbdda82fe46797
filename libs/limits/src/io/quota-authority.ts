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
}

/** Where the truth about quotas is. A block is debited before it is handed out, so that a crash gives no call away. */
export abstract class QuotaAuthority {
  abstract debit(wishes: readonly BlockWish[]): Promise<BlockGrant[]>;
  abstract giveBack(returns: readonly BlockReturn[]): Promise<void>;
}
