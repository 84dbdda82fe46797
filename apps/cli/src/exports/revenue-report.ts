const BAR_WIDTH = 30;
/** Digits that sums are kept to: as many as the currency with the most decimals has. */
const SCALE = 4;

/** A row of the export `revenue`. */
export type RevenueRow = Readonly<Record<string, string>>;

/**
 * Revenue as a table for each currency and month, by plan and meter, with a bar for what was billed. The widest bar is the
 * largest amount of the currency.
 */
export function revenueReport(rows: readonly RevenueRow[]): string {
  if (rows.length === 0) return 'No revenue in this span.';
  const currencies = new Map<string, RevenueRow[]>();
  for (const row of rows) {
    const currency = row['currency'] ?? '';
    currencies.set(currency, [...(currencies.get(currency) ?? []), row]);
  }
  return [...currencies].map(([currency, of]) => table(currency, of)).join('\n\n');
}

function table(currency: string, rows: readonly RevenueRow[]): string {
  const decimals = (rows[0]?.['billed'] ?? '').split('.')[1]?.length ?? 0;
  const largest = rows.reduce((most, row) => max(most, magnitude(scaled(row['billed']))), 0n);
  const lines = rows.map((row) => {
    const billed = scaled(row['billed']);
    return [
      row['month'] ?? '',
      row['usagePlanName'] || row['usagePlanId'] || '',
      row['meter'] || 'fees',
      row['billed'] ?? '',
      row['recognised'] ?? '',
      bar(billed, largest),
    ];
  });
  const sum = (column: string) =>
    plain(
      rows.reduce((all, row) => all + scaled(row[column]), 0n),
      decimals,
    );
  const head = ['month', 'plan', 'meter', 'billed', 'recognised', ''];
  const total = ['total', '', '', sum('billed'), sum('recognised'), ''];
  const all = [head, ...lines, total];
  const widths = head.map((_, index) => Math.max(...all.map((cells) => cells[index]?.length ?? 0)));
  const written = all.map((cells) =>
    cells
      .map((cell, index) =>
        index === 3 || index === 4
          ? cell.padStart(widths[index] ?? 0)
          : cell.padEnd(widths[index] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return [`Revenue in ${currency}`, ...written].join('\n');
}

function bar(amount: bigint, largest: bigint): string {
  if (largest === 0n) return '';
  const width = Number((magnitude(amount) * BigInt(BAR_WIDTH)) / largest);
  return (amount < 0n ? '-' : '#').repeat(width);
}

function scaled(amount = '0'): bigint {
  const [, sign, whole = '0', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(amount) ?? [];
  const value = BigInt(whole + fraction.padEnd(SCALE, '0').slice(0, SCALE));
  return sign === '-' ? -value : value;
}

function plain(value: bigint, decimals: number): string {
  const digits = magnitude(value)
    .toString()
    .padStart(SCALE + 1, '0');
  const [whole, fraction] = [digits.slice(0, -SCALE), digits.slice(-SCALE).slice(0, decimals)];
  return `${value < 0n ? '-' : ''}${whole}${decimals > 0 ? `.${fraction}` : ''}`;
}

const magnitude = (value: bigint): bigint => (value < 0n ? -value : value);
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
