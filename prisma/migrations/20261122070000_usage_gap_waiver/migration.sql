-- Missing batch numbers that a person says will not come. Kept for ever: what comes after all counts, and the waiver
-- stays as history.
--
-- Old code can run beside it; it lists waived gaps as open ones, and finalises whatever is open.

CREATE TABLE "usage_gap_waiver" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "gateway_id" TEXT NOT NULL,
    "epoch" TEXT NOT NULL,
    "first" BIGINT NOT NULL,
    "last" BIGINT NOT NULL,
    "reason" TEXT NOT NULL,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "usage_gap_waiver_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "usage_gap_waiver_gateway_id_epoch_first_key" ON "usage_gap_waiver"("gateway_id", "epoch", "first");
CREATE INDEX "usage_gap_waiver_account_id_created_at_id_idx" ON "usage_gap_waiver"("account_id", "created_at", "id");

ALTER TABLE usage_gap_waiver
  ADD FOREIGN KEY (account_id, gateway_id) REFERENCES gateway (account_id, id),
  ADD CHECK (first >= 0 AND last >= first);
