/** What a person wants of a customer's credit in one currency. */
export interface WalletTerms {
  /** Tell when no more than that is left, in minor units; null: never. */
  readonly lowMinor: bigint | null;
  /** Refuse calls when nothing is left. */
  readonly isHardStop: boolean;
}

/** What the credit is, and what is spent of it that no invoice has taken yet, in minor units. */
export interface WalletSums {
  readonly balanceMinor: bigint;
  readonly spentMinor: bigint;
}

/** Whether a wallet was low when it was looked at last, and how often it has become so. */
export interface WalletMark {
  readonly isLow: boolean;
  readonly occurrence: number;
}

/** What follows from a look at a wallet. */
export interface WalletStanding {
  readonly leftMinor: bigint;
  readonly mark: WalletMark;
  /** It became low since the last look. */
  readonly isCrossed: boolean;
  readonly isBlocked: boolean;
}

/** Looks at a wallet: each fall to the threshold is told once, and again after it has been above. */
export function walletStanding(
  { lowMinor, isHardStop }: WalletTerms,
  { balanceMinor, spentMinor }: WalletSums,
  before: WalletMark,
): WalletStanding {
  const leftMinor = balanceMinor - spentMinor;
  const isLow = lowMinor !== null && leftMinor <= lowMinor;
  const isCrossed = isLow && !before.isLow;
  const occurrence = before.occurrence + (isCrossed ? 1 : 0);
  const isBlocked = isHardStop && leftMinor <= 0n;
  return { leftMinor, mark: { isLow, occurrence }, isCrossed, isBlocked };
}
