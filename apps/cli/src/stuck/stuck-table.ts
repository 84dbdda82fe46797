/** Something that a remote service has not been told, or that was heard from it and is not acted on. */
export interface OpenExchange {
  readonly id: string;
  readonly direction: string;
  readonly target: string;
  readonly act: string;
  readonly subjectId: string;
  readonly status: string;
  readonly amount: { readonly amount: string; readonly currency: string } | null;
  readonly fault: string | null;
  readonly ageSeconds: number;
}

/** An hour that a marketplace has not taken. */
export interface OpenRecord {
  readonly id: string;
  readonly agreementId: string;
  readonly dimension: string;
  readonly hour: string;
  readonly quantity: number;
  readonly usd: string | null;
  readonly state: string;
  readonly cause: string | null;
  readonly reason: string | null;
  readonly createdAt: string;
}

interface Row {
  readonly ageSeconds: number;
  readonly status: string;
  readonly amount: string;
  readonly what: string;
  readonly id: string;
  readonly why: string;
}

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;
const NO_AMOUNT = '-';

/** What is open, the oldest first, each with its age, the money in it, and why it is open. */
export function stuckTable(
  { exchanges, records }: { exchanges: readonly OpenExchange[]; records: readonly OpenRecord[] },
  now: Date,
): string {
  const rows = [
    ...exchanges.map(
      ({ id, target, direction, act, subjectId, status, amount, fault, ageSeconds }): Row => ({
        ageSeconds,
        status,
        amount: amount ? `${amount.amount} ${amount.currency}` : NO_AMOUNT,
        what: `${target} ${direction} ${act} ${subjectId}`,
        id,
        why: fault ?? '',
      }),
    ),
    ...records.map(
      ({
        id,
        agreementId,
        dimension,
        hour,
        quantity,
        usd,
        state,
        cause,
        reason,
        createdAt,
      }): Row => ({
        ageSeconds: Math.max(0, (now.getTime() - Date.parse(createdAt)) / 1_000),
        status: state,
        amount: usd === null ? NO_AMOUNT : `${usd} USD`,
        what: `marketplace ${quantity} ${dimension} of ${hour} for ${agreementId}`,
        id,
        why: reason ?? cause ?? '',
      }),
    ),
  ].toSorted((a, b) => b.ageSeconds - a.ageSeconds);
  if (rows.length === 0) return 'Nothing is open.';
  const cells = rows.map(({ ageSeconds, status, amount, what, id, why }) => [
    ageOf(ageSeconds),
    status,
    amount,
    id,
    what,
    why,
  ]);
  const widths =
    cells[0]?.map((_, n) => Math.max(...cells.map((row) => row[n]?.length ?? 0))) ?? [];
  return cells
    .map((row) =>
      row
        .map((cell, n) => cell.padEnd(widths[n] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function ageOf(seconds: number): string {
  const [days, hours, minutes] = [DAY, HOUR, MINUTE].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d`;
  return hours ? `${hours} h` : `${minutes} min`;
}
