/** How many ids, or spans of them, the service takes in a record. */
export const SPANS_MAX = 200;

/** The counter at the end of an id, in base 36. */
const COUNTER_LENGTH = 8;

/** Ids of decisions as texts of a record: those that follow each other in one, `first..last`. Their order does not matter. */
export function decisionSpans(ids: readonly string[]): string[] {
  const spans: { first: string; last: string }[] = [];
  // Counters have one length, so that texts sort as they do.
  for (const id of ids.toSorted()) {
    const span = spans.at(-1);
    if (span && follows(span.last, id)) span.last = id;
    else spans.push({ first: id, last: id });
  }
  return spans.map(({ first, last }) => (first === last ? first : `${first}..${last}`));
}

function follows(before: string, id: string): boolean {
  const at = id.length - COUNTER_LENGTH;
  if (at < 0 || before.length !== id.length || !before.startsWith(id.slice(0, at))) return false;
  return Number.parseInt(id.slice(at), 36) - Number.parseInt(before.slice(at), 36) === 1;
}
