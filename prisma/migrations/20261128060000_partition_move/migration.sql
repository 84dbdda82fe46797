-- The move of records from the default partition into that of their day hides none from a statement that was planned
-- before it: such a statement knew the old partitions and saw the new rows, so a roll-up that met the move marked its
-- batches and counted nothing.
--
-- Old code can run beside it; it calls the same function. No rows are rewritten.

-- Makes the partition of a day (in UTC); false when it is there. Whoever writes to the default partition meanwhile
-- waits, and must send again what belongs to this day. Only while records move do all others of usage_record wait.
CREATE OR REPLACE FUNCTION ensure_usage_partition(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  partition text := 'usage_record_' || to_char(day, 'YYYYMMDD');
  day_from timestamptz := day::timestamp AT TIME ZONE 'UTC';
  day_to timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
  -- Attached, not made as a partition: that would lock all of usage_record against readers and writers.
  make text := format('CREATE TABLE %I (LIKE usage_record INCLUDING ALL)', partition);
  attach text := format('ALTER TABLE usage_record ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, day_from, day_to);
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ensure_usage_partitions'));
  IF to_regclass(partition) IS NOT NULL THEN
    RETURN false;
  END IF;
  BEGIN
    LOCK TABLE usage_record_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE make;
    EXECUTE attach;
    RETURN true;
  EXCEPTION WHEN check_violation THEN
    NULL; -- The default partition has records of this day. Its lock is given back: the whole is locked before its part.
  END;
  LOCK TABLE ONLY usage_record IN ACCESS EXCLUSIVE MODE;
  LOCK TABLE usage_record_default IN ACCESS EXCLUSIVE MODE;
  EXECUTE make;
  EXECUTE format('WITH moved AS (DELETE FROM usage_record_default WHERE received_at >= %L AND received_at < %L RETURNING *)
    INSERT INTO %I SELECT * FROM moved', day_from, day_to, partition);
  EXECUTE attach;
  RETURN true;
END $$;
