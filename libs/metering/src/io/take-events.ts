/** What becomes of a statement that meets an event which was taken before. */
const ON_KNOWN = {
  /** It fails with `unique_violation`. */
  fail: '',
  /** It leaves the event as it is. With other content it would be updated, which the table refuses: `restrict_violation`. */
  pass: `ON CONFLICT (identity) DO UPDATE SET content = excluded.content WHERE e.content <> excluded.content`,
} as const;

/**
 * Takes events in one statement, all or none, and answers which of them are new. To pass over known ones, each is looked for
 * before it is written and marked after, which takes twice as long.
 *
 * - `current`: the meters are those that the readings were made by. If not, nothing is written.
 * - `claimed`: meters that count for the first time, locked by name; a change or deletion at the same moment waits, or
 *   made them other meters, and then nothing is written.
 * - `fresh`: identities are written in their order, so that no two requests wait in a circle.
 * - `taken` and `readings`: what the new ones say, with the batch that the roll-up finds them by.
 *
 * $1 account, $2 gateway, $3 received at, $4 count and $5 sum of revisions of all its meters, $6 names and $7 revisions of
 * meters that were unused so far; events: $8 identities, $9 contents; meters: $10 names, $11 aggregations; payers: $12
 * customers, $13 keys, $14 apis, $15 stages, $16 plans; readings: $17 event, $18 meter, $19 payer (all from 1), $20 instants,
 * $21 sources, $22 event ids, $23 dimensions, $24 members, $25 quantities.
 */
const takeEvents = (onKnown: string) => `
  WITH current AS (
    SELECT count(*) = $4::int AND coalesce(sum(revision), 0) = $5::numeric AS holds FROM meter WHERE account_id = $1
  ), claimed AS (
    UPDATE meter SET used_at = coalesce(used_at, $3::timestamptz)
    WHERE account_id = $1 AND name IN (
      SELECT m.name FROM meter m JOIN unnest($6::text[], $7::bigint[]) AS u (name, revision) USING (name, revision)
      WHERE m.account_id = $1 ORDER BY m.name FOR NO KEY UPDATE OF m)
    RETURNING 1
  ), may AS (
    SELECT holds AND (SELECT count(*) FROM claimed) = cardinality($6::text[]) AS take FROM current
  ), sent AS (
    SELECT identity, content, n FROM unnest($8::uuid[], $9::bigint[]) WITH ORDINALITY AS s (identity, content, n)
  ), fresh AS (
    INSERT INTO event_identity AS e (identity, content)
    SELECT identity, content FROM sent WHERE (SELECT take FROM may) ORDER BY identity
    ${onKnown}
    RETURNING identity
  ), new AS (
    SELECT s.n FROM sent s JOIN fresh USING (identity)
  ), taken AS (
    INSERT INTO event_batch (account_id, gateway_id, event_count, received_at)
    SELECT $1, $2, count(*), $3::timestamptz FROM new HAVING count(*) > 0
    RETURNING id
  ), readings AS (
    INSERT INTO meter_reading (customer_id, batch_id, meter, received_at, account_id, at, source, event_id, key_id,
      api_id, stage, usage_plan_id, aggregation, dimensions, member, quantity)
    SELECT p.customer_id, t.id, m.name, $3::timestamptz, $1, r.at, r.source, r.event_id, p.key_id,
      p.api_id, p.stage, p.usage_plan_id, m.aggregation, r.dimensions, r.member, r.quantity
    FROM unnest($17::int[], $18::int[], $19::int[], $20::timestamptz[], $21::text[], $22::text[], $23::text[],
      $24::uuid[], $25::numeric[]) AS r (n, meter_n, payer_n, at, source, event_id, dimensions, member, quantity)
    JOIN new USING (n)
    JOIN unnest($10::text[], $11::text[]) WITH ORDINALITY AS m (name, aggregation, n) ON m.n = r.meter_n
    JOIN unnest($12::text[], $13::text[], $14::text[], $15::text[], $16::text[]) WITH ORDINALITY
      AS p (customer_id, key_id, api_id, stage, usage_plan_id, n) ON p.n = r.payer_n
    CROSS JOIN taken t
  )
  SELECT (SELECT take FROM may) AS take, ARRAY(SELECT n::int FROM new) AS fresh`;

/** By what becomes of it when an event is known. */
export const TAKE_EVENTS = {
  fail: takeEvents(ON_KNOWN.fail),
  pass: takeEvents(ON_KNOWN.pass),
} as const;
