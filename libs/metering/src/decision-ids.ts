import type { FieldFault } from '@core/kernel';
import { refuse } from './quantities.js';

/** Ids of decisions that follow each other, both ends included: alike but for their last eight characters. */
export interface DecisionSpan {
  readonly first: string;
  readonly last: string;
}

/** How many ids, or spans of them, one record names. */
export const DECISION_IDS_MAX = 200;
/** How many all records of a batch name. */
export const DECISION_IDS_OF_BATCH_MAX = 50_000;

const ID = /^dec_[A-Za-z0-9]{1,44}$/;
/** Counted in base 36, which sorts as text does. */
const COUNTER_LENGTH = 8;

/** What all ids of a span begin with. */
export const commonPart = (id: string): string =>
  id.slice(0, Math.max(4, id.length - COUNTER_LENGTH));

/** Whether a text has the form of a decision's id. */
export const isDecisionId = (text: string): boolean => ID.test(text);

/** Notes what is wrong with the `decisionIds` of a record. */
export function checkDecisionIds(ids: unknown, faults: FieldFault[]): void {
  if (!Array.isArray(ids) || ids.length === 0 || ids.length > DECISION_IDS_MAX) {
    refuse(
      faults,
      'decisionIds',
      `must be a list of 1 to ${DECISION_IDS_MAX} ids, or spans of them`,
    );
    return;
  }
  const bad = ids.findIndex((text: unknown) => typeof text !== 'string' || spanOf(text) === null);
  if (bad !== -1) refuse(faults, `decisionIds/${bad}`, idSays);
}

const idSays =
  'must be the id of a decision, or two that differ in their last eight characters at most, such as dec_a1b2c3d4e5f600000001..dec_a1b2c3d4e5f600000009';

/** What a text of a record's `decisionIds` says; null when it is none. */
export function spanOf(text: string): DecisionSpan | null {
  const [first = '', last = first, ...rest] = text.split('..', 3);
  const isSpan =
    rest.length === 0 &&
    isDecisionId(first) &&
    isDecisionId(last) &&
    first.length === last.length &&
    commonPart(first) === commonPart(last) &&
    first <= last;
  return isSpan ? { first, last } : null;
}
