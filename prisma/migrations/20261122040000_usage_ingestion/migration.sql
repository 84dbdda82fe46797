-- Usage at a high pace, and for long: records without a key that costs a random write each, days that are made late or
-- dropped when they are old, and incidents.
--
-- Old code can run beside it. An old api whose batch is on its way into the default partition at the moment in which
-- the worker gives that day a partition of its own answers 500 once, and takes the batch when it is sent again.
-- No rows are rewritten; writers wait while one small index is made anew, which reads the records once.

-- 1 Records. That each counts once is the work of usage_batch (gateway, epoch, sequence), in the same transaction; a
-- key of their own proved nothing more, and began with the customer, so that each record went to another page.

ALTER TABLE usage_record DROP CONSTRAINT usage_record_pkey;

-- New pages are noted at once, or a read by time looks through all that came since the last vacuum.
DROP INDEX usage_record_at_idx;
CREATE INDEX usage_record_at_idx ON usage_record USING brin (at) WITH (autosummarize = on);

-- 2 Partitions. What the default one took in because none was there is moved out when the day gets its own.

-- Makes the partition of a day (in UTC); false when it is there. Whoever writes to the default partition meanwhile
-- waits, and must send again what belongs to this day.
CREATE FUNCTION ensure_usage_partition(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  partition text := 'usage_record_' || to_char(day, 'YYYYMMDD');
  day_from timestamptz := day::timestamp AT TIME ZONE 'UTC';
  day_to timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ensure_usage_partitions'));
  IF to_regclass(partition) IS NOT NULL THEN
    RETURN false;
  END IF;
  LOCK TABLE usage_record_default IN ACCESS EXCLUSIVE MODE;
  -- Attached, not made as a partition: that would lock all of usage_record against readers and writers.
  EXECUTE format('CREATE TABLE %I (LIKE usage_record INCLUDING ALL)', partition);
  EXECUTE format('WITH moved AS (DELETE FROM usage_record_default WHERE received_at >= %L AND received_at < %L RETURNING *)
    INSERT INTO %I SELECT * FROM moved', day_from, day_to, partition);
  EXECUTE format('ALTER TABLE usage_record ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, day_from, day_to);
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION ensure_usage_partitions(first_day date, days int) RETURNS int LANGUAGE sql AS $$
  SELECT count(*) FILTER (WHERE ensure_usage_partition(first_day + n))::int FROM generate_series(0, days - 1) n
$$;

-- Why the records of a day must be kept: 'waiting' (not rolled up), 'unbilled' (a subscription will bill them), 'draft' (an
-- invoice over them is not final); null when nothing needs them. Reads the whole partition.
CREATE FUNCTION usage_partition_hold(day date) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  day_from timestamptz := day::timestamp AT TIME ZONE 'UTC';
  day_to timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
  hold text;
BEGIN
  IF EXISTS (SELECT FROM usage_batch WHERE rolled_up_at IS NULL AND received_at >= day_from AND received_at < day_to) THEN
    RETURN 'waiting';
  END IF;
  SELECT CASE WHEN i.id IS NULL THEN 'unbilled' ELSE 'draft' END INTO hold
  FROM (
    SELECT account_id, customer_id, usage_plan_id, min(at) AS earliest, max(at) AS latest
    FROM usage_record WHERE received_at >= day_from AND received_at < day_to
    GROUP BY 1, 2, 3
  ) used
  JOIN subscription s USING (account_id, customer_id, usage_plan_id)
  LEFT JOIN invoice i ON i.subscription_id = s.id AND i.status = 'draft'
    AND i.period_from <= used.latest AND i.period_to > used.earliest
  WHERE i.id IS NOT NULL OR (used.latest >= s.billed_to AND (s.ends_at IS NULL OR s.ends_at > s.billed_to))
  LIMIT 1;
  RETURN hold;
END $$;

-- Drops the partition of a day, or says what holds it (`usage_partition_hold`). Only the drop itself locks usage_record.
CREATE FUNCTION drop_usage_partition(day date) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  partition text := 'usage_record_' || to_char(day, 'YYYYMMDD');
  hold text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ensure_usage_partitions'));
  EXECUTE format('LOCK TABLE %I IN SHARE MODE', partition);
  hold := usage_partition_hold(day);
  IF hold IS NULL THEN
    -- The whole before its part, as readers take them.
    LOCK TABLE ONLY usage_record IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('DROP TABLE %I', partition);
  END IF;
  RETURN hold;
END $$;

-- 3 Incidents: what a person has to look at. The same again is the same incident.

CREATE TABLE "incident" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "gateway_id" TEXT NOT NULL,
    "epoch" TEXT NOT NULL,
    "sequence" BIGINT NOT NULL,
    "first_hash" BYTEA NOT NULL,
    "other_hash" BYTEA NOT NULL,
    "occurrences" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL,
    "acknowledged_at" TIMESTAMPTZ(3),
    "acknowledged_by" TEXT,
    "reason" TEXT,

    CONSTRAINT "incident_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "incident_gateway_id_epoch_sequence_kind_other_hash_key"
  ON "incident"("gateway_id", "epoch", "sequence", "kind", "other_hash");
CREATE INDEX "incident_account_id_created_at_id_idx" ON "incident"("account_id", "created_at", "id");

ALTER TABLE incident
  ADD FOREIGN KEY (account_id, gateway_id) REFERENCES gateway (account_id, id),
  ADD CHECK (kind IN ('batch-conflict')),
  ADD CHECK (sequence >= 0 AND occurrences >= 1),
  ADD CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL) AND (acknowledged_at IS NULL) = (reason IS NULL));
