-- Calls that api processes allowed, by key, method and hour, to be held against the calls that gateways metered.
--
-- Old code can run beside it; the calls it allows are not counted, so an hour in which it ran shows them as metered and
-- never allowed.

-- CreateTable
CREATE TABLE "decision_hour" (
    "customer_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "hour" TIMESTAMPTZ(3) NOT NULL,
    "api_id" TEXT NOT NULL,
    "stage" TEXT NOT NULL,
    "method" TEXT NOT NULL,
    "resource_path" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "allowed" BIGINT NOT NULL,

    CONSTRAINT "decision_hour_pkey" PRIMARY KEY ("customer_id","key_id","hour","api_id","stage","method","resource_path")
);

-- CreateTable
CREATE TABLE "decision_counter" (
    "id" TEXT NOT NULL,
    "sequence" BIGINT NOT NULL,
    "flushed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "decision_counter_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "decision_hour_account_id_hour_idx" ON "decision_hour"("account_id", "hour");

-- Like usage_hour it carries no foreign keys: its ids are those of the policy that decided, and a key that is deleted
-- meanwhile must not hold the counts of others up.
ALTER TABLE decision_hour ADD CHECK (allowed > 0), ADD CHECK (hour = date_trunc('hour', hour, 'UTC'));
