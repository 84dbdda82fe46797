import { decimalsOf, magnitude, plain, scaled } from './money-text.js';
import { fitted, widthOf, type Terminal } from './terminal.js';

/** A row of an export, by its columns. */
export type ReportRow = Readonly<Record<string, string>>;

/** How an export is shown: columns of text and of money, and what bars are drawn of. */
interface Report {
  readonly export: string;
  readonly title: string;
  readonly text: readonly (readonly [head: string, cell: (row: ReportRow) => string])[];
  readonly money: readonly string[];
  /** Those of which a sum says something. */
  readonly summed: readonly string[];
  /** Bars of these columns, of each value of a column or of the whole. */
  readonly chart: { readonly by: string | null; readonly of: readonly string[] };
}

/** What `tollgate report` can show. */
export const REPORTS = {
  revenue: {
    export: 'revenue',
    title: 'Revenue',
    text: [
      ['month', (row) => row['month'] ?? ''],
      ['plan', (row) => row['usagePlanName'] || row['usagePlanId'] || ''],
      ['meter', (row) => row['meter'] || 'fees'],
    ],
    money: ['billed', 'recognised'],
    summed: ['billed', 'recognised'],
    chart: { by: 'month', of: ['billed', 'recognised'] },
  },
  deferred: {
    export: 'deferred-revenue',
    title: 'Deferred revenue',
    text: [
      ['month', (row) => row['month'] ?? ''],
      ['issuer', (row) => row['issuerName'] ?? ''],
    ],
    money: ['opening', 'invoiced', 'credited', 'recognised', 'accrued', 'closing', 'unbilled'],
    summed: ['invoiced', 'credited', 'recognised', 'accrued'],
    chart: { by: 'month', of: ['closing', 'unbilled'] },
  },
  ageing: {
    export: 'receivables-ageing',
    title: 'Receivables',
    text: [['customer', (row) => row['customerName'] || row['customerId'] || '']],
    money: ['total', 'notDue', 'days1To30', 'days31To60', 'days61To90', 'daysOver90'],
    summed: ['total', 'notDue', 'days1To30', 'days31To60', 'days61To90', 'daysOver90'],
    chart: { by: null, of: ['notDue', 'days1To30', 'days31To60', 'days61To90', 'daysOver90'] },
  },
} as const satisfies Record<string, Report>;
export type ReportName = keyof typeof REPORTS;

const GAP = '  ';
const BAR_MAX = 60;
/** Text is not cut shorter than that, however narrow the terminal is. */
const TEXT_MIN = 8;
const [BOLD, GREEN, RED, RESET] = ['\u001b[1m', '\u001b[32m', '\u001b[31m', '\u001b[0m'];

/** A report as a table for each currency, with the sums, and bars below. As wide as the terminal; money is never cut. */
export function reportText(
  name: ReportName,
  rows: readonly ReportRow[],
  terminal: Terminal,
): string {
  const report: Report = REPORTS[name];
  if (rows.length === 0) return `${report.title}: nothing in this span.`;
  const currencies = new Map<string, ReportRow[]>();
  for (const row of rows) {
    const currency = row['currency'] ?? '';
    currencies.set(currency, [...(currencies.get(currency) ?? []), row]);
  }
  return [...currencies]
    .map(([currency, of]) =>
      [
        bold(`${report.title} in ${currency}`, terminal),
        ...table(report, of, terminal),
        '',
        ...chart(report, of, terminal),
      ].join('\n'),
    )
    .join('\n\n');
}

function table(
  { text, money, summed }: Report,
  rows: readonly ReportRow[],
  terminal: Terminal,
): string[] {
  const decimals = decimalsOf(rows[0]?.[money[0] ?? '']);
  const heads = [...text.map(([head]) => head), ...money];
  const cells = rows.map((row) => [
    ...text.map(([, cell]) => cell(row)),
    ...money.map((column) => row[column] ?? ''),
  ]);
  const total = [
    ...text.map((_, index) => (index === 0 ? 'total' : '')),
    ...money.map((column) => (summed.includes(column) ? plain(sumOf(rows, column), decimals) : '')),
  ];
  const widths = heads.map((head, index) =>
    Math.max(...[head, total[index] ?? '', ...cells.map((row) => row[index] ?? '')].map(widthOf)),
  );
  shrink(widths, text.length, terminal.width);
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return index < text.length ? fitted(cell, width) : cell.padStart(width);
      })
      .join(GAP)
      .trimEnd();
  return [bold(line(heads), terminal), ...cells.map(line), bold(line(total), terminal)];
}

/** Makes the widest columns of text narrower until all fits, or none can be. */
function shrink(widths: number[], texts: number, width: number): void {
  const tooWide = () =>
    widths.reduce((sum, each) => sum + each, GAP.length * (widths.length - 1)) - width;
  while (tooWide() > 0) {
    const widest = widths
      .slice(0, texts)
      .reduce((at, each, index) => (each > (widths[at] ?? 0) ? index : at), 0);
    const before = widths[widest] ?? 0;
    if (before <= TEXT_MIN) return;
    widths[widest] = before - 1;
  }
}

function chart(
  { chart: { by, of }, money }: Report,
  rows: readonly ReportRow[],
  terminal: Terminal,
): string[] {
  const decimals = decimalsOf(rows[0]?.[money[0] ?? '']);
  const groups = new Map<string, ReportRow[]>();
  for (const row of rows) {
    const group = by === null ? '' : (row[by] ?? '');
    groups.set(group, [...(groups.get(group) ?? []), row]);
  }
  const bars = [...groups].flatMap(([group, ofGroup]) =>
    of.map((column, index) => ({
      label: [index === 0 ? group : '', column],
      sum: sumOf(ofGroup, column),
    })),
  );
  const heads = [0, 1].map((at) => Math.max(...bars.map(({ label }) => label[at]?.length ?? 0)));
  const sums = bars.map(({ sum }) => plain(sum, decimals));
  const sumWidth = Math.max(...sums.map((sum) => sum.length));
  const labels = bars.map(({ label }, index) =>
    [
      ...(by === null ? [] : [label[0]?.padEnd(heads[0] ?? 0)]),
      label[1]?.padEnd(heads[1] ?? 0),
      sums[index]?.padStart(sumWidth),
    ].join(GAP),
  );
  const room = terminal.width - (labels[0]?.length ?? 0) - GAP.length;
  const width = BigInt(Math.max(0, Math.min(BAR_MAX, room)));
  const largest = bars.reduce(
    (most, { sum }) => (magnitude(sum) > most ? magnitude(sum) : most),
    1n,
  );
  return bars.map(({ sum }, index) => {
    const length = Number((magnitude(sum) * width) / largest);
    const bar = (sum < 0n ? '-' : '#').repeat(length);
    return `${labels[index]}${length === 0 ? '' : GAP + coloured(bar, sum < 0n ? RED : GREEN, terminal)}`;
  });
}

const sumOf = (rows: readonly ReportRow[], column: string) =>
  rows.reduce((all, row) => all + scaled(row[column]), 0n);

const coloured = (text: string, colour: string, { hasColour }: Terminal) =>
  hasColour ? `${colour}${text}${RESET}` : text;
const bold = (text: string, terminal: Terminal) => coloured(text, BOLD, terminal);
