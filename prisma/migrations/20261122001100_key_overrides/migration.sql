-- What one key has in one plan instead of what the plan says, and what it was given on top. Old code runs beside it and
-- goes by the plan alone.

ALTER TABLE "usage_plan_key"
  ADD COLUMN "rate_limit" DOUBLE PRECISION,
  ADD COLUMN "burst_limit" INTEGER,
  ADD COLUMN "quota_limit" BIGINT,
  ADD COLUMN "boost_rate_limit" DOUBLE PRECISION,
  ADD COLUMN "boost_burst_limit" INTEGER,
  ADD COLUMN "boost_until" TIMESTAMPTZ(3),
  ADD COLUMN "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  ADD CHECK ((rate_limit IS NULL) = (burst_limit IS NULL)),
  ADD CHECK (rate_limit >= 0 AND rate_limit <= 1e9 AND burst_limit >= 0),
  ADD CHECK (quota_limit >= 0),
  ADD CHECK ((boost_rate_limit IS NULL) = (boost_until IS NULL) AND (boost_burst_limit IS NULL) = (boost_until IS NULL)),
  ADD CHECK (boost_rate_limit >= 0 AND boost_rate_limit <= 1e9 AND boost_burst_limit >= 0);

CREATE TABLE "quota_extension" (
  "id" TEXT NOT NULL,
  "account_id" TEXT NOT NULL,
  "usage_plan_id" TEXT NOT NULL,
  "key_id" TEXT NOT NULL,
  "units" BIGINT NOT NULL,
  "reason" TEXT NOT NULL,
  "granted_by" TEXT NOT NULL,
  "period_from" TIMESTAMPTZ(3) NOT NULL,
  "period_to" TIMESTAMPTZ(3) NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "quota_extension_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "quota_extension_key_id_usage_plan_id_period_to_idx" ON "quota_extension" ("key_id", "usage_plan_id", "period_to");

ALTER TABLE quota_extension
  ADD FOREIGN KEY (account_id, usage_plan_id, key_id)
    REFERENCES usage_plan_key (account_id, usage_plan_id, key_id) ON DELETE CASCADE,
  ADD CHECK (units > 0),
  ADD CHECK (period_from < period_to);
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON quota_extension
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', 'key_id', '');
