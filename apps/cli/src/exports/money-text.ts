/** Digits that sums are kept to: as many as the currency with the most decimals has. */
const SCALE = 4;

/** A sum of money in ten-thousandths of its unit, exactly. Nothing is zero. */
export function scaled(amount = '0'): bigint {
  const [, sign, whole = '0', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(amount) ?? [];
  const value = BigInt(whole + fraction.padEnd(SCALE, '0').slice(0, SCALE));
  return sign === '-' ? -value : value;
}

/** The same with so many decimals. */
export function plain(value: bigint, decimals: number): string {
  const digits = magnitude(value)
    .toString()
    .padStart(SCALE + 1, '0');
  const [whole, fraction] = [digits.slice(0, -SCALE), digits.slice(-SCALE).slice(0, decimals)];
  return `${value < 0n ? '-' : ''}${whole}${decimals > 0 ? `.${fraction}` : ''}`;
}

export const decimalsOf = (amount = ''): number => amount.split('.')[1]?.length ?? 0;
export const magnitude = (value: bigint): bigint => (value < 0n ? -value : value);
