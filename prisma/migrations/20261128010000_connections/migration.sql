-- WebSocket connections as their gateways tell of them, so that minutes outlive a killed gateway (docs/adr/0031).
--
-- Old code can run beside it: it refuses batches with connections (400), which a gateway with the new plugin must not be
-- sent to before all apis are new; batches without them are as before.

CREATE TABLE "connection_epoch" (
    "account_id" TEXT NOT NULL,
    "gateway_id" TEXT NOT NULL,
    "epoch" TEXT NOT NULL,
    "heartbeat_at" TIMESTAMPTZ(3) NOT NULL,
    "heard_at" TIMESTAMPTZ(3) NOT NULL,
    "swept_at" TIMESTAMPTZ(3),
    "batches" BIGINT NOT NULL DEFAULT 1,
    "counted_batches" BIGINT NOT NULL DEFAULT 0,
    "counted_at" TIMESTAMPTZ(3),

    CONSTRAINT "connection_epoch_pkey" PRIMARY KEY ("gateway_id","epoch")
);

CREATE TABLE "connection" (
    "gateway_id" TEXT NOT NULL,
    "epoch" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT,
    "key_id" TEXT,
    "api_id" TEXT,
    "stage" TEXT,
    "usage_plan_id" TEXT,
    "opened_at" TIMESTAMPTZ(3),
    "closed_at" TIMESTAMPTZ(3),
    "counted_minutes" INTEGER NOT NULL DEFAULT 0,
    "is_counted" BOOLEAN NOT NULL DEFAULT false,

    CONSTRAINT "connection_pkey" PRIMARY KEY ("gateway_id","epoch","id")
);

ALTER TABLE connection_epoch
  ADD FOREIGN KEY (account_id, gateway_id) REFERENCES gateway (account_id, id),
  ADD CHECK (batches >= 1 AND counted_batches BETWEEN 0 AND batches);

-- No foreign keys, as records have none: their ids are checked once when a batch comes in.
ALTER TABLE connection
  ADD CHECK (counted_minutes >= 0),
  ADD CHECK (NOT is_counted OR (closed_at IS NOT NULL AND opened_at IS NOT NULL)),
  ADD CHECK (num_nulls(customer_id, key_id, api_id, stage, usage_plan_id, opened_at) IN (0, 6));

-- What the worker looks for: who may have died, whose open connections are to be counted, which are closed and not
-- counted, which are open, and which were counted long ago. All small, but for the last.
CREATE INDEX connection_epoch_alive ON connection_epoch (heard_at) WHERE swept_at IS NULL;
CREATE INDEX connection_epoch_due ON connection_epoch (account_id) WHERE counted_batches < batches;
CREATE INDEX connection_uncounted ON connection (gateway_id, epoch, id)
  WHERE closed_at IS NOT NULL AND opened_at IS NOT NULL AND NOT is_counted;
CREATE INDEX connection_open ON connection (gateway_id, epoch, id) WHERE closed_at IS NULL;
CREATE INDEX connection_counted ON connection (closed_at) WHERE is_counted;

-- Minutes that were counted up to a heartbeat are taken back when the close that was missing says that they were too
-- many: a record of this meter may be negative, and so may, until the record before it is rolled up, its hour and day.
-- Other meters keep their rule. Not validated again: the old rules were narrower.
ALTER TABLE usage_record DROP CONSTRAINT usage_record_quantity_check;
ALTER TABLE usage_record ADD CONSTRAINT usage_record_quantity_check
  CHECK (abs(quantity) < 1e26 AND (quantity >= 0 OR meter = 'connection-minutes')) NOT VALID;

ALTER TABLE usage_hour
  DROP CONSTRAINT usage_hour_quantity_check,
  DROP CONSTRAINT usage_hour_quantity_15_check,
  DROP CONSTRAINT usage_hour_quantity_30_check,
  DROP CONSTRAINT usage_hour_quantity_45_check,
  DROP CONSTRAINT usage_hour_check;
ALTER TABLE usage_hour
  ADD CONSTRAINT usage_hour_quantity_check CHECK (abs(quantity) < 1e38 AND abs(quantity_15) < 1e38
    AND abs(quantity_30) < 1e38 AND abs(quantity_45) < 1e38 AND (meter = 'connection-minutes'
    OR (quantity_15 >= 0 AND quantity_30 >= 0 AND quantity_45 >= 0 AND quantity_15 + quantity_30 + quantity_45 <= quantity)))
  NOT VALID;

ALTER TABLE usage_day DROP CONSTRAINT usage_day_quantity_check;
ALTER TABLE usage_day ADD CONSTRAINT usage_day_quantity_check
  CHECK (abs(quantity) < 1e38 AND (quantity >= 0 OR meter = 'connection-minutes')) NOT VALID;
