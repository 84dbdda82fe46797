import { NotRunnable, type Bench } from './bench.js';
import { CASES, type CaseId, type ConformanceCase } from './cases.js';

/** What became of one row of the table. */
export type Outcome =
  | { readonly kind: 'passed' }
  | { readonly kind: 'failed'; readonly why: string }
  /** It fails, as its driver says that it must. */
  | { readonly kind: 'declared'; readonly why: string }
  /** Only where a user's own gateway is tried, which the suite cannot start in another way. */
  | { readonly kind: 'not-run'; readonly why: string };

/** Runs one row against a gateway whose driver declares what it cannot pass. */
export async function runCase(
  id: CaseId,
  bench: Bench,
  declared: Partial<Record<CaseId, string>> = {},
): Promise<Outcome> {
  const row: ConformanceCase = CASES[id];
  const reason = declared[id];
  try {
    await row.run(bench);
  } catch (error) {
    if (error instanceof NotRunnable) return { kind: 'not-run', why: error.message };
    if (reason !== undefined) return { kind: 'declared', why: reason };
    return { kind: 'failed', why: error instanceof Error ? error.message : String(error) };
  }
  return reason === undefined
    ? { kind: 'passed' }
    : { kind: 'failed', why: `it passes, although it is declared: ${reason}` };
}
