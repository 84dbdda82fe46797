/** A sum with a local date: an act. Dates are `YYYY-MM-DD`. */
export interface DatedSum {
  readonly on: string;
  readonly minor: bigint;
}

/** A line of an invoice, as finance thinks of it: local days, and no time zone. */
export interface ServedLine {
  readonly amount: bigint;
  readonly issuedOn: string;
  /** When the first invoice of the period was issued. */
  readonly knownOn: string;
  readonly voidedOn: string | null;
  readonly credits: readonly DatedSum[];
  /** Days of service, the last of each not included. */
  readonly spans: readonly (readonly [string, string])[];
}

/** What became of some lines in a month, in minor units. */
export interface MonthSums {
  readonly month: string;
  readonly opening: bigint;
  readonly invoiced: bigint;
  readonly credited: bigint;
  readonly recognised: bigint;
  readonly accrued: bigint;
  readonly closing: bigint;
  readonly unbilled: bigint;
}

const DAY_MS = 86_400_000;

/** Day by day: what was invoiced, credited and earned of lines in each month, from the first to the last in which anything happens. */
export function recognisedByMonth(lines: readonly ServedLine[]): MonthSums[] {
  const months = lines.flatMap(monthsOf).toSorted();
  const [first, last] = [months.at(0), months.at(-1)];
  if (first === undefined || last === undefined) return [];
  const rows: MonthSums[] = [];
  let before = standingAt(lines, '0000-00');
  for (let month = first; month <= last; month = monthAfter(month)) {
    const now = standingAt(lines, month);
    const moved = (of: keyof Standing) => now[of] - before[of];
    rows.push({
      month,
      opening: before.deferred,
      invoiced: moved('invoiced'),
      credited: moved('credited'),
      recognised: moved('earned'),
      accrued: moved('unbilled'),
      closing: now.deferred,
      unbilled: now.unbilled,
    });
    before = now;
  }
  return rows;
}

type Standing = Readonly<
  Record<'invoiced' | 'credited' | 'earned' | 'deferred' | 'unbilled', bigint>
>;

/** How lines stand at the end of a month. */
function standingAt(lines: readonly ServedLine[], month: string): Standing {
  const sums = { invoiced: 0n, credited: 0n, earned: 0n, deferred: 0n, unbilled: 0n };
  for (const line of lines) {
    const known = monthOf(line.knownOn);
    const invoiced = invoicedBy(line, month);
    const credited = creditedBy(line, month);
    const asked = month < known ? known : month;
    const net = invoicedBy(line, asked) - creditedBy(line, asked);
    const days = line.spans.flatMap(([from, to]) => daysOf(from, to));
    const served = days.filter((day) => monthOf(day) <= month).length;
    const earned = rounded(net * BigInt(served), BigInt(days.length));
    const ahead = invoiced - credited - earned;
    const isDeferred = ahead > 0n === line.amount > 0n;
    sums.invoiced += invoiced;
    sums.credited += credited;
    sums.earned += earned;
    if (isDeferred) sums.deferred += ahead;
    else sums.unbilled -= ahead;
  }
  return sums;
}

const invoicedBy = ({ amount, issuedOn }: ServedLine, month: string) =>
  monthOf(issuedOn) <= month ? amount : 0n;

function creditedBy({ amount, voidedOn, credits }: ServedLine, month: string): bigint {
  if (voidedOn !== null) return monthOf(voidedOn) <= month ? amount : 0n;
  return credits.reduce((sum, { on, minor }) => (monthOf(on) <= month ? sum + minor : sum), 0n);
}

const monthOf = (day: string) => day.slice(0, 7);

function monthAfter(month: string): string {
  const [year = 0, number = 0] = month.split('-').map(Number);
  return new Date(Date.UTC(year, number, 1)).toISOString().slice(0, 7);
}

function monthsOf({ issuedOn, voidedOn, credits, spans }: ServedLine): string[] {
  const days = spans.flatMap(([from, to]) => daysOf(from, to));
  const acts = [issuedOn, ...(voidedOn === null ? [] : [voidedOn]), ...credits.map(({ on }) => on)];
  return [...days, ...acts].map(monthOf);
}

function daysOf(from: string, to: string): string[] {
  const days: string[] = [];
  for (let at = Date.parse(from); at < Date.parse(to); at += DAY_MS)
    days.push(new Date(at).toISOString().slice(0, 10));
  return days;
}

/** Half away from zero. */
function rounded(part: bigint, of: bigint): bigint {
  const twice = (part < 0n ? -part : part) * 2n;
  const up = (twice + of) / (2n * of);
  return part < 0n ? -up : up;
}
