import type { FieldFault } from '@core/kernel';
import { FAULTS_MAX } from './errors.js';
import {
  instantMs,
  isObject,
  isPlainText,
  matchesId,
  METHOD_BYTES_MAX,
  PATH_BYTES_MAX,
  STAGE_BYTES_MAX,
} from './json-fields.js';

/** How many calls of one key and method a gateway allowed by itself in an hour of UTC. */
export interface DecisionCount {
  /** The hour's first instant, in milliseconds. */
  readonly at: number;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly allowed: number;
}

/** How many counts one batch tells. */
export const DECISION_COUNTS_MAX = 10_000;

const HOUR_MS = 3_600_000;
const FIELDS: ReadonlySet<string> = new Set([
  'hour',
  'keyId',
  'apiId',
  'stage',
  'method',
  'resourcePath',
  'allowed',
]);

/** Reads the `decisions` of a batch from untrusted JSON, and notes what is wrong with them; undefined when something is. */
export function readDecisionCounts(
  json: unknown,
  faults: FieldFault[],
): DecisionCount[] | undefined {
  const before = faults.length;
  const note = (place: string, detail: string): void => {
    if (faults.length < FAULTS_MAX) faults.push({ pointer: `/decisions${place}`, detail });
  };
  if (!Array.isArray(json) || json.length > DECISION_COUNTS_MAX) {
    note('', `must be a list of at most ${DECISION_COUNTS_MAX} counts`);
    return undefined;
  }
  const counts = json.map((item: unknown, index) => readCount(item, `/${index}`, note));
  return faults.length > before ? undefined : counts;
}

function readCount(
  item: unknown,
  place: string,
  note: (place: string, detail: string) => void,
): DecisionCount {
  const fields = isObject(item) ? item : {};
  if (!isObject(item)) note(place, 'must be a JSON object');
  const { hour, keyId, apiId, stage, method, resourcePath, allowed } = fields;
  const at = instantMs(hour);
  if (!(at % HOUR_MS === 0))
    note(`${place}/hour`, 'must be an hour of UTC such as 2026-11-22T07:00:00Z');
  if (!matchesId(keyId)) note(`${place}/keyId`, 'must be the id of an API key');
  if (!matchesId(apiId)) note(`${place}/apiId`, 'must be the id of an api');
  if (!isPlainText(stage, STAGE_BYTES_MAX)) note(`${place}/stage`, 'must be the name of a stage');
  if (!isPlainText(method, METHOD_BYTES_MAX)) note(`${place}/method`, 'must be a verb');
  if (!isPlainText(resourcePath, PATH_BYTES_MAX))
    note(`${place}/resourcePath`, 'must be a resource path');
  if (!Number.isSafeInteger(allowed) || (allowed as number) < 1)
    note(`${place}/allowed`, 'must be a whole number from 1 to 9007199254740991');
  for (const name in fields)
    if (!FIELDS.has(name)) note(`${place}/${name.slice(0, 100)}`, 'is not a field here');
  return { at, ...(fields as Omit<DecisionCount, 'at'>) };
}

/** Counts of decisions as text, the same for the same facts; their order counts. */
export const decisionCountsContent = (counts: readonly DecisionCount[]): string =>
  counts
    .map(
      ({ at, keyId, apiId, stage, method, resourcePath, allowed }) =>
        `decided\t${at}\t${keyId}\t${apiId}\t${stage}\t${method}\t${resourcePath}\t${allowed}\n`,
    )
    .join('');
