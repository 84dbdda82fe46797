import type { Bench } from './bench.js';
import { AWAY_CASES } from './cases/away.js';
import { HEADER_CASES } from './cases/headers.js';
import { KEY_CASES } from './cases/keys.js';
import { LIMIT_CASES } from './cases/limits.js';
import { PATH_CASES } from './cases/paths.js';
import { REVOCATION_CASES } from './cases/revocation.js';
import { SPOOFING_CASES } from './cases/spoofing.js';
import { VERB_CASES } from './cases/verbs.js';

/** One row of the table: what every gateway must do. */
export interface ConformanceCase {
  readonly says: string;
  /** Throws an error that says what was wrong. */
  run(bench: Bench): Promise<void>;
}

/** The table. A driver may declare a row as one that its gateway cannot pass. */
export const CASES = {
  ...KEY_CASES,
  ...LIMIT_CASES,
  ...REVOCATION_CASES,
  ...HEADER_CASES,
  ...SPOOFING_CASES,
  ...VERB_CASES,
  ...PATH_CASES,
  ...AWAY_CASES,
} as const satisfies Record<string, ConformanceCase>;

/** The name of a row. */
export type CaseId = keyof typeof CASES;

/** The rows in their order. */
export const CASE_IDS = Object.keys(CASES) as readonly CaseId[];
