-- Rules about usage, the crossings they saw, and usage by day, which they add up. Old code beside it rolls up hours without
-- days: what it sums after this migration is missing from the days, so that alerts of those days come late. Stop old
-- workers first.

CREATE TABLE "usage_day" (
    "customer_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "day" TIMESTAMPTZ(3) NOT NULL,
    "meter" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "quantity" DECIMAL(50,12) NOT NULL,

    CONSTRAINT "usage_day_pkey" PRIMARY KEY ("customer_id","key_id","day","meter","usage_plan_id")
);

CREATE TABLE "alert_rule" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "measure" TEXT NOT NULL,
    "meter" TEXT NOT NULL,
    "per" TEXT NOT NULL,
    "key_id" TEXT,
    "customer_id" TEXT,
    "usage_plan_id" TEXT,
    "period" TEXT,
    "offset" INTEGER,
    "thresholds" TEXT[],
    "emails" TEXT[],
    "enabled" BOOLEAN NOT NULL DEFAULT true,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "alert_rule_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "alert_crossing" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "rule_id" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "period_from" TIMESTAMPTZ(3) NOT NULL,
    "period_to" TIMESTAMPTZ(3) NOT NULL,
    "threshold" DECIMAL(38,12) NOT NULL,
    "occurrence" INTEGER NOT NULL,
    "quantity" DECIMAL(50,12) NOT NULL,
    "quota" BIGINT,
    "crossed_at" TIMESTAMPTZ(3) NOT NULL,
    "fell_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "alert_crossing_pkey" PRIMARY KEY ("rule_id","subject","period_from","threshold","occurrence")
);

CREATE TABLE "alert_due" (
    "id" BIGSERIAL NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "day" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "alert_due_pkey" PRIMARY KEY ("id")
);

CREATE INDEX "usage_day_account_id_day_idx" ON "usage_day"("account_id", "day");

CREATE INDEX "usage_day_usage_plan_id_day_idx" ON "usage_day"("usage_plan_id", "day");

CREATE INDEX "alert_rule_account_id_created_at_id_idx" ON "alert_rule"("account_id", "created_at", "id");

CREATE UNIQUE INDEX "alert_rule_account_id_id_key" ON "alert_rule"("account_id", "id");

CREATE UNIQUE INDEX "alert_crossing_id_key" ON "alert_crossing"("id");

CREATE INDEX "alert_crossing_rule_id_created_at_id_idx" ON "alert_crossing"("rule_id", "created_at", "id");

CREATE INDEX "alert_due_account_id_id_idx" ON "alert_due"("account_id", "id");

ALTER TABLE usage_day ADD CHECK (quantity >= 0 AND quantity < 1e38);
ALTER TABLE alert_rule
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD FOREIGN KEY (account_id, key_id) REFERENCES api_key (account_id, id) ON DELETE CASCADE,
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id) ON DELETE CASCADE,
  ADD FOREIGN KEY (account_id, usage_plan_id) REFERENCES usage_plan (account_id, id) ON DELETE CASCADE,
  ADD CHECK (measure IN ('quota-percent', 'usage')),
  ADD CHECK (per IN ('key', 'customer', 'usage-plan')),
  ADD CHECK (measure = 'usage' OR (per = 'key' AND meter = 'calls')),
  ADD CHECK ((measure = 'usage') = (period IS NOT NULL) AND (period IS NULL) = ("offset" IS NULL)),
  ADD CHECK (period IN ('DAY', 'WEEK', 'MONTH')),
  ADD CHECK ("offset" BETWEEN 0 AND CASE period WHEN 'DAY' THEN 0 WHEN 'WEEK' THEN 6 ELSE 27 END),
  ADD CHECK (cardinality(thresholds) > 0);
ALTER TABLE alert_crossing
  ADD FOREIGN KEY (account_id, rule_id) REFERENCES alert_rule (account_id, id) ON DELETE CASCADE,
  ADD CHECK (threshold > 0 AND threshold < 1e26),
  ADD CHECK (quantity >= 0 AND quantity < 1e38),
  ADD CHECK (occurrence > 0),
  ADD CHECK (period_from < period_to);

INSERT INTO usage_day (customer_id, key_id, day, meter, usage_plan_id, account_id, quantity)
SELECT customer_id, key_id, date_trunc('day', hour, 'UTC'), meter, usage_plan_id, account_id, sum(quantity)
FROM usage_hour GROUP BY 1, 2, 3, 4, 5, 6;

-- A quota that changes changes every percentage: those who used of it are looked at again, though they use nothing more.
CREATE FUNCTION look_at_quota_again() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed jsonb := to_jsonb(NEW);
BEGIN
  INSERT INTO alert_due (account_id, customer_id, key_id, usage_plan_id, day)
  SELECT d.account_id, d.customer_id, d.key_id, d.usage_plan_id, max(d.day)
  FROM usage_day d JOIN account a ON a.id = d.account_id
  WHERE d.usage_plan_id = changed ->> TG_ARGV[0] AND d.account_id = NEW.account_id
    AND d.key_id = coalesce(changed ->> TG_ARGV[1], d.key_id)
    AND d.day > now() + make_interval(secs => a.clock_offset_ms / 1000.0) - interval '32 days'
    AND EXISTS (SELECT FROM alert_rule r WHERE r.account_id = NEW.account_id AND r.enabled AND r.measure = 'quota-percent')
  GROUP BY 1, 2, 3, 4;
  RETURN NULL;
END $$;
CREATE TRIGGER look_again AFTER UPDATE OF quota_limit, quota_period, quota_offset ON usage_plan
  FOR EACH ROW WHEN (OLD.quota_limit IS DISTINCT FROM NEW.quota_limit OR OLD.quota_period IS DISTINCT FROM NEW.quota_period
    OR OLD.quota_offset IS DISTINCT FROM NEW.quota_offset)
  EXECUTE FUNCTION look_at_quota_again('id', '');
CREATE TRIGGER look_again AFTER UPDATE OF quota_limit ON usage_plan_key
  FOR EACH ROW WHEN (OLD.quota_limit IS DISTINCT FROM NEW.quota_limit)
  EXECUTE FUNCTION look_at_quota_again('usage_plan_id', 'key_id');
CREATE TRIGGER look_again AFTER INSERT ON quota_extension
  FOR EACH ROW EXECUTE FUNCTION look_at_quota_again('usage_plan_id', 'key_id');
