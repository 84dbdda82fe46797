-- Corrections and voids of usage records: each says of one record, by its place, what it counts instead. It waits until
-- that record is rolled up, whatever comes first, and is then counted as records that take the old quantities away and
-- add the new ones (docs/adr/0034).
--
-- Old code can run beside it: it quarantines a record that corrects another one as malformed, and rolls up what new code
-- made of corrections. No rows are rewritten.

CREATE TABLE "usage_correction" (
    "id" TEXT NOT NULL,
    "number" BIGSERIAL NOT NULL,
    "account_id" TEXT NOT NULL,
    "gateway_id" TEXT NOT NULL,
    "epoch" TEXT NOT NULL,
    "sequence" BIGINT NOT NULL,
    "ordinal" INTEGER NOT NULL,
    "target_epoch" TEXT NOT NULL,
    "target_sequence" BIGINT NOT NULL,
    "target_ordinal" INTEGER NOT NULL,
    "quantities" TEXT,
    "state" TEXT NOT NULL DEFAULT 'waiting',
    "refusal" TEXT,
    "reason" TEXT,
    "created_by" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "batch_id" BIGINT,
    "replaced" TEXT,
    "at" TIMESTAMPTZ(3),
    "customer_id" TEXT,
    "key_id" TEXT,
    "api_id" TEXT,
    "stage" TEXT,
    "usage_plan_id" TEXT,
    "method" TEXT,
    "resource_path" TEXT,
    "status_class" TEXT,
    "settled_at" TIMESTAMPTZ(3),
    "settled_by" TEXT,
    "note" TEXT,

    CONSTRAINT "usage_correction_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "usage_correction_number_key" ON "usage_correction"("number");
CREATE INDEX "usage_correction_account_id_created_at_id_idx" ON "usage_correction"("account_id", "created_at", "id");
CREATE INDEX "usage_correction_key_id_at_idx" ON "usage_correction"("key_id", "at");
CREATE UNIQUE INDEX "usage_correction_gateway_id_epoch_sequence_ordinal_key" ON "usage_correction"("gateway_id", "epoch", "sequence", "ordinal");

-- One record has one correction; one that was refused or dropped makes room for another.
CREATE UNIQUE INDEX usage_correction_target_key ON usage_correction (gateway_id, target_epoch, target_sequence, target_ordinal)
  WHERE state IN ('waiting', 'applied');
-- What is left to do: for roll-ups, metrics, and invoices that wait for it.
CREATE INDEX usage_correction_waiting_idx ON usage_correction (account_id, number) WHERE state = 'waiting';

ALTER TABLE usage_correction
  ADD FOREIGN KEY (account_id, gateway_id) REFERENCES gateway (account_id, id),
  ADD CHECK (state IN ('waiting', 'applied', 'refused', 'dropped')),
  ADD CHECK ((state = 'waiting') = (settled_at IS NULL)),
  ADD CHECK ((state = 'refused') = (refusal IS NOT NULL)),
  ADD CHECK ((state = 'dropped') = (note IS NOT NULL) AND (state = 'dropped') = (settled_by IS NOT NULL)),
  ADD CHECK ((created_by IS NULL) = (reason IS NULL)),
  ADD CHECK (num_nulls(batch_id, replaced, at, customer_id, key_id, api_id, stage, usage_plan_id, method, resource_path,
    status_class) = CASE WHEN state = 'applied' THEN 0 ELSE 11 END);

-- A record of a correction that takes away has a negative place, and no other may be negative. Its hour and day are not: it is rolled
-- up after what it takes away. A proposed row is checked before it meets the one that is there, so their rules go.
ALTER TABLE usage_record DROP CONSTRAINT usage_record_quantity_check;
ALTER TABLE usage_record ADD CONSTRAINT usage_record_quantity_check
  CHECK (abs(quantity) < 1e26 AND (quantity >= 0 OR meter = 'connection-minutes' OR ordinal < 0)) NOT VALID;
ALTER TABLE usage_hour DROP CONSTRAINT usage_hour_quantity_check;
ALTER TABLE usage_hour ADD CONSTRAINT usage_hour_quantity_check CHECK (abs(quantity) < 1e38 AND abs(quantity_15) < 1e38
  AND abs(quantity_30) < 1e38 AND abs(quantity_45) < 1e38) NOT VALID;
ALTER TABLE usage_day DROP CONSTRAINT usage_day_quantity_check;
ALTER TABLE usage_day ADD CONSTRAINT usage_day_quantity_check CHECK (abs(quantity) < 1e38) NOT VALID;
