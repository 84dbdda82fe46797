-- Subscriptions over time: what holds from an instant on, where it is not what the subscription began with. Rows are only added. A change is
-- a revision; from its first instant on it takes the place of what earlier ones planned (docs/adr/0046).
--
-- Old code can run beside it as long as no subscription is changed: it knows the terms of the beginning only. Periods that were invoiced
-- before are not prorated when they are rated again (`prorated_from`).

CREATE TABLE "subscription_phase" (
    "subscription_id" TEXT NOT NULL,
    "revision" INTEGER NOT NULL,
    "starts_at" TIMESTAMPTZ(3) NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "rate_card_id" TEXT NOT NULL,
    "rate_card_version" INTEGER NOT NULL,
    "period_rule" JSONB NOT NULL,
    "price_overrides" JSONB NOT NULL,
    "add_ons" JSONB NOT NULL,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "subscription_phase_pkey" PRIMARY KEY ("subscription_id","revision","starts_at")
);
CREATE INDEX "subscription_phase_account_id_customer_id_idx" ON "subscription_phase"("account_id", "customer_id");
CREATE INDEX "subscription_phase_account_id_usage_plan_id_idx" ON "subscription_phase"("account_id", "usage_plan_id");

-- Keys that a pause or an end took out of a plan, to be put back when it is resumed.
CREATE TABLE "subscription_held_key" (
    "subscription_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,

    CONSTRAINT "subscription_held_key_pkey" PRIMARY KEY ("subscription_id","key_id")
);

ALTER TABLE "subscription"
  ADD COLUMN "prorated_from" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  ADD COLUMN "cancelled_at" TIMESTAMPTZ(3),
  ADD COLUMN "keys_plan_id" TEXT,
  ADD COLUMN "keys_due_at" TIMESTAMPTZ(3);
UPDATE subscription SET prorated_from = billed_to;
CREATE INDEX "subscription_account_id_keys_due_at_idx" ON "subscription"("account_id", "keys_due_at");

ALTER TABLE subscription_phase
  ADD FOREIGN KEY (account_id, customer_id, subscription_id) REFERENCES subscription (account_id, customer_id, id),
  ADD FOREIGN KEY (account_id, usage_plan_id) REFERENCES usage_plan (account_id, id),
  ADD FOREIGN KEY (account_id, rate_card_id, rate_card_version)
    REFERENCES rate_card_version (account_id, rate_card_id, version),
  ADD CHECK (kind IN ('trial', 'active', 'paused')),
  ADD CHECK (revision > 0);
ALTER TABLE subscription_held_key
  ADD FOREIGN KEY (account_id, customer_id, subscription_id) REFERENCES subscription (account_id, customer_id, id),
  ADD FOREIGN KEY (account_id, key_id) REFERENCES api_key (account_id, id);
ALTER TABLE subscription ADD FOREIGN KEY (account_id, keys_plan_id) REFERENCES usage_plan (account_id, id);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON subscription_phase FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON subscription_phase EXECUTE FUNCTION refuse_change();

-- What was invoiced is not changed any more.
CREATE FUNCTION refuse_phase_of_billed_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM subscription s WHERE s.id = NEW.subscription_id AND s.billed_to > NEW.starts_at) THEN
    RAISE EXCEPTION 'subscription % was invoiced after %', NEW.subscription_id, NEW.starts_at USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER not_billed BEFORE INSERT ON subscription_phase FOR EACH ROW EXECUTE FUNCTION refuse_phase_of_billed_period();

-- Which plan and prices a subscription has from when to when; `span_to` is null for what has no end.
CREATE VIEW subscription_span AS
SELECT account_id, customer_id, subscription_id, usage_plan_id, rate_card_id, rate_card_version, starts_at AS span_from,
  least(lead(starts_at) OVER (PARTITION BY account_id, customer_id, subscription_id ORDER BY starts_at), ends_at) AS span_to
FROM (
  SELECT s.account_id, s.customer_id, s.id AS subscription_id, s.usage_plan_id, s.rate_card_id, s.rate_card_version,
    s.starts_at, s.ends_at
  FROM subscription s
  WHERE NOT EXISTS (SELECT FROM subscription_phase p WHERE p.subscription_id = s.id AND p.starts_at <= s.starts_at)
  UNION ALL
  SELECT p.account_id, p.customer_id, p.subscription_id, p.usage_plan_id, p.rate_card_id, p.rate_card_version,
    p.starts_at, s.ends_at
  FROM subscription_phase p JOIN subscription s ON s.id = p.subscription_id
  WHERE NOT EXISTS (SELECT FROM subscription_phase l
    WHERE l.subscription_id = p.subscription_id AND l.revision > p.revision AND l.starts_at <= p.starts_at)
) each
WHERE ends_at IS NULL OR starts_at < ends_at;

-- A customer has at most one subscription to a usage plan at any instant, now over all phases. Asked when the row is written, so that the
-- view knows it; the lock orders two that come at once.
DROP TRIGGER one_at_a_time ON subscription;
CREATE OR REPLACE FUNCTION refuse_second_subscription() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  written jsonb := to_jsonb(NEW);
  subscription_of text := coalesce(written ->> 'subscription_id', written ->> 'id');
  is_taken boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('subscriptions of ' || NEW.customer_id, 0));
  IF NOT EXISTS (SELECT FROM subscription_phase p WHERE p.account_id = NEW.account_id AND p.customer_id = NEW.customer_id) THEN
    -- Nothing was ever changed: the rows say it all, and thousands are written at once.
    is_taken := EXISTS (
      SELECT FROM subscription own JOIN subscription other USING (account_id, customer_id, usage_plan_id)
      WHERE own.id = subscription_of AND other.id <> own.id
        AND own.account_id = NEW.account_id AND own.customer_id = NEW.customer_id
        AND tstzrange(other.starts_at, other.ends_at) && tstzrange(own.starts_at, own.ends_at));
  ELSE
    is_taken := EXISTS (
      SELECT FROM subscription_span own
      JOIN subscription_span other ON other.usage_plan_id = own.usage_plan_id AND other.subscription_id <> own.subscription_id
        AND tstzrange(other.span_from, other.span_to) && tstzrange(own.span_from, own.span_to)
      WHERE own.account_id = NEW.account_id AND own.customer_id = NEW.customer_id AND own.subscription_id = subscription_of
        AND other.account_id = NEW.account_id AND other.customer_id = NEW.customer_id);
  END IF;
  IF is_taken THEN
    RAISE EXCEPTION 'customer % has another subscription to a plan at that time', NEW.customer_id
      USING ERRCODE = 'unique_violation', CONSTRAINT = 'subscription_one_at_a_time';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER one_at_a_time AFTER INSERT OR UPDATE OF customer_id, usage_plan_id, starts_at, ends_at ON subscription
  FOR EACH ROW EXECUTE FUNCTION refuse_second_subscription();
CREATE TRIGGER one_at_a_time AFTER INSERT ON subscription_phase
  FOR EACH ROW EXECUTE FUNCTION refuse_second_subscription();

-- As before, for every plan that a subscription ever had: the records of a plan that it left are needed until its period is final.
CREATE OR REPLACE FUNCTION usage_partition_hold(day date) RETURNS text LANGUAGE plpgsql AS $$
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
  JOIN (
    SELECT account_id, customer_id, id, usage_plan_id FROM subscription
    UNION
    SELECT account_id, customer_id, subscription_id, usage_plan_id FROM subscription_phase
  ) plan USING (account_id, customer_id, usage_plan_id)
  JOIN subscription s ON s.id = plan.id
  LEFT JOIN invoice i ON i.subscription_id = s.id AND i.status = 'draft'
    AND i.period_from <= used.latest AND i.period_to > used.earliest
  WHERE i.id IS NOT NULL OR (used.latest >= s.billed_to AND (s.ends_at IS NULL OR s.ends_at > s.billed_to))
  LIMIT 1;
  RETURN hold;
END $$;
