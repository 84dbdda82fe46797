-- Which decisions a usage record is made of, where its gateway says so: rows for ids, or spans of them, and none for
-- records without. They go with the records of their day.
--
-- Old code can run beside it: it quarantines a record that names decisions as malformed, so update all apis before gateways are told
-- to send them. No rows are rewritten.

CREATE TABLE "usage_decision" (
    "account_id" TEXT NOT NULL,
    "first" TEXT COLLATE "C" NOT NULL,
    "last" TEXT COLLATE "C" NOT NULL,
    "batch_id" BIGINT NOT NULL,
    "ordinal" INTEGER NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "usage_decision_pkey" PRIMARY KEY ("account_id","first","last","batch_id","ordinal")
);
CREATE INDEX "usage_decision_received_at_idx" ON "usage_decision" USING BRIN ("received_at");

ALTER TABLE usage_decision ADD CHECK (length(first) = length(last) AND first <= last);

-- As before, and with a day's records goes what they say of decisions.
CREATE OR REPLACE FUNCTION drop_usage_partition(day date) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  partition text := 'usage_record_' || to_char(day, 'YYYYMMDD');
  hold text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ensure_usage_partitions'));
  EXECUTE format('LOCK TABLE %I IN SHARE MODE', partition);
  hold := usage_partition_hold(day);
  IF hold IS NULL THEN
    DELETE FROM usage_decision
    WHERE received_at >= day::timestamp AT TIME ZONE 'UTC' AND received_at < (day + 1)::timestamp AT TIME ZONE 'UTC';
    -- The whole before its part, as readers take them.
    LOCK TABLE ONLY usage_record IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('DROP TABLE %I', partition);
  END IF;
  RETURN hold;
END $$;
