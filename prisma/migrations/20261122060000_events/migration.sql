-- Events of CloudEvents, and meters of an account's own that count them. New tables only: old code can run beside it.

CREATE TABLE "meter" (
    "account_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "definition" JSONB NOT NULL,
    "is_active" BOOLEAN NOT NULL DEFAULT true,
    "revision" BIGSERIAL NOT NULL,
    "used_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "meter_pkey" PRIMARY KEY ("account_id","name")
);
ALTER TABLE meter ADD FOREIGN KEY (account_id) REFERENCES account (id);

-- What a meter counts never changes once it counted something, and it stays known. A change makes a new revision.
CREATE FUNCTION keep_used_meter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.used_at IS NULL THEN
      RETURN OLD;
    END IF;
  ELSIF OLD.used_at IS NULL OR (NEW.definition = OLD.definition AND NEW.used_at IS NOT DISTINCT FROM OLD.used_at
      AND NEW.name = OLD.name AND NEW.account_id = OLD.account_id) THEN
    IF NEW.definition <> OLD.definition OR NEW.is_active <> OLD.is_active THEN
      NEW.revision := nextval('meter_revision_seq');
    END IF;
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'meter % has counted events and never changes', OLD.name USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER keep_used BEFORE UPDATE OR DELETE ON meter FOR EACH ROW EXECUTE FUNCTION keep_used_meter();

-- That an event was taken, for ever: 16 bytes of SHA-256 of (account, source, id), and 8 of what it said. The account is
-- in the hash, not in a column: this is the one table that only grows.
CREATE TABLE "event_identity" (
    "identity" UUID NOT NULL,
    "content" BIGINT NOT NULL,

    CONSTRAINT "event_identity_pkey" PRIMARY KEY ("identity")
);

-- An event that comes again with other content is an update, and takes the whole statement back.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON event_identity FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON event_identity EXECUTE FUNCTION refuse_change();

CREATE TABLE "event_batch" (
    "id" BIGSERIAL NOT NULL,
    "account_id" TEXT NOT NULL,
    "gateway_id" TEXT NOT NULL,
    "event_count" INTEGER NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL,
    "rolled_up_at" TIMESTAMPTZ(3),

    CONSTRAINT "event_batch_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "event_batch_account_id_received_at_idx" ON "event_batch"("account_id", "received_at");
CREATE INDEX event_batch_waiting ON event_batch (id) WHERE rolled_up_at IS NULL;
ALTER TABLE event_batch
  ADD FOREIGN KEY (account_id, gateway_id) REFERENCES gateway (account_id, id),
  ADD CHECK (event_count > 0);

-- What an event says for a meter; of one instant, the greater (source, event id) by bytes is the later one. That it counts once is its identity, in the same statement; so it has no key of its own.
CREATE TABLE "meter_reading" (
    "customer_id" TEXT NOT NULL,
    "batch_id" BIGINT NOT NULL,
    "meter" TEXT NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL,
    "account_id" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "source" TEXT COLLATE "C" NOT NULL,
    "event_id" TEXT COLLATE "C" NOT NULL,
    "key_id" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "stage" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "aggregation" TEXT NOT NULL,
    "dimensions" TEXT NOT NULL,
    "member" UUID NOT NULL,
    "quantity" DECIMAL(38,12) NOT NULL
) PARTITION BY RANGE ("received_at");
CREATE INDEX "meter_reading_batch_id_idx" ON "meter_reading"("batch_id");
CREATE INDEX "meter_reading_at_idx" ON "meter_reading" USING brin ("at") WITH (autosummarize = on);
ALTER TABLE meter_reading ADD CHECK (quantity >= 0 AND quantity < 1e26);

-- A month each, made ahead of time by the worker; the default one only catches what comes when no worker has run.
CREATE TABLE meter_reading_default PARTITION OF meter_reading DEFAULT;

CREATE FUNCTION ensure_reading_partitions(first_day date, days int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  month date;
  partition text;
  made int := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ensure_reading_partitions'));
  FOR month IN SELECT DISTINCT date_trunc('month', first_day + n)::date FROM generate_series(0, days - 1) n LOOP
    partition := 'meter_reading_' || to_char(month, 'YYYYMM');
    CONTINUE WHEN to_regclass(partition) IS NOT NULL;
    BEGIN
      EXECUTE format('CREATE TABLE %I PARTITION OF meter_reading FOR VALUES FROM (%L) TO (%L)', partition,
        month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
      made := made + 1;
    EXCEPTION WHEN check_violation THEN
      NULL; -- The default partition has readings of this month already, and keeps it.
    END;
  END LOOP;
  RETURN made;
END $$;

-- Readings by quarter of an hour, which every time zone's hours are made of. Of unique-count a row per member.
CREATE TABLE "meter_quarter" (
    "customer_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "quarter" TIMESTAMPTZ(3) NOT NULL,
    "meter" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "stage" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "dimensions" TEXT NOT NULL,
    "member" UUID NOT NULL,
    "account_id" TEXT NOT NULL,
    "aggregation" TEXT NOT NULL,
    "quantity" DECIMAL(50,12) NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "source" TEXT COLLATE "C" NOT NULL,
    "event_id" TEXT COLLATE "C" NOT NULL,

    CONSTRAINT "meter_quarter_pkey" PRIMARY KEY ("customer_id","key_id","quarter","meter","api_id","stage","usage_plan_id","dimensions","member")
);
CREATE INDEX "meter_quarter_account_id_quarter_idx" ON "meter_quarter"("account_id", "quarter");
ALTER TABLE meter_quarter
  ADD CHECK (aggregation IN ('sum', 'count', 'max', 'unique-count', 'latest')),
  ADD CHECK (quantity >= 0 AND quantity < 1e38);
