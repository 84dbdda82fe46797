-- Records that came in a batch and are not counted: each is kept with the reason, within the transaction of its batch, once
-- by its place in it. The batch itself is stored, so one bad record keeps back none of the others.
--
-- Old code can run beside it: it refuses a batch with a bad record as before, and nothing of it is kept.

CREATE TABLE "usage_quarantine" (
    "id" TEXT NOT NULL,
    "number" BIGSERIAL NOT NULL,
    "account_id" TEXT NOT NULL,
    "gateway_id" TEXT NOT NULL,
    "epoch" TEXT NOT NULL,
    "sequence" BIGINT NOT NULL,
    "ordinal" INTEGER NOT NULL,
    "text" TEXT NOT NULL,
    "is_cut" BOOLEAN NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'open',
    "reason" TEXT NOT NULL,
    "faults" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3),
    "customer_id" TEXT,
    "counted_batch_id" BIGINT,
    "counted_ordinal" INTEGER,
    "settled_at" TIMESTAMPTZ(3),
    "settled_by" TEXT,
    "note" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "usage_quarantine_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "usage_quarantine_number_key" ON "usage_quarantine"("number");
CREATE INDEX "usage_quarantine_account_id_created_at_id_idx" ON "usage_quarantine"("account_id", "created_at", "id");
CREATE UNIQUE INDEX "usage_quarantine_gateway_id_epoch_sequence_ordinal_key" ON "usage_quarantine"("gateway_id", "epoch", "sequence", "ordinal");

-- What is left to do: for metrics, and for invoices that wait for it.
CREATE INDEX usage_quarantine_unsettled_idx ON usage_quarantine (account_id, number) WHERE settled_at IS NULL;

ALTER TABLE usage_quarantine
  ADD FOREIGN KEY (account_id, gateway_id) REFERENCES gateway (account_id, id),
  ADD CHECK (state IN ('open', 'counted', 'dropped')),
  ADD CHECK ((settled_at IS NULL) = (state = 'open')),
  ADD CHECK ((settled_at IS NULL) = (settled_by IS NULL)),
  ADD CHECK ((state = 'counted') = (counted_batch_id IS NOT NULL)),
  ADD CHECK ((counted_batch_id IS NULL) = (counted_ordinal IS NULL)),
  ADD CHECK ((state = 'dropped') = (note IS NOT NULL)),
  ADD CHECK (length(text) <= 16384);
