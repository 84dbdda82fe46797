-- Coupons: what takes something off the lines of invoices, and who redeemed them. What was taken off stands with the lines.
--
-- Old code can run beside it until a coupon is redeemed: it rates drafts without any.

CREATE TABLE "coupon" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "code" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "percent" DECIMAL(9,6),
    "amounts" JSONB,
    "periods" INTEGER,
    "meters" TEXT[],
    "usage_plan_ids" TEXT[],
    "price_ids" TEXT[],
    "redemptions_max" INTEGER,
    "valid_from" TIMESTAMPTZ(3) NOT NULL,
    "valid_until" TIMESTAMPTZ(3),
    "archived_at" TIMESTAMPTZ(3),
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "coupon_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "coupon_account_id_id_key" ON "coupon"("account_id", "id");
CREATE UNIQUE INDEX "coupon_account_id_code_key" ON "coupon"("account_id", "code");
CREATE INDEX "coupon_account_id_created_at_id_idx" ON "coupon"("account_id", "created_at", "id");

CREATE TABLE "coupon_redemption" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "coupon_id" TEXT NOT NULL,
    "subscription_id" TEXT,
    "redeemed_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "coupon_redemption_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "coupon_redemption_account_id_created_at_id_idx" ON "coupon_redemption"("account_id", "created_at", "id");
CREATE INDEX "coupon_redemption_account_id_customer_id_idx" ON "coupon_redemption"("account_id", "customer_id");
-- A coupon is redeemed once for a subscription, and once for all of a customer's.
CREATE UNIQUE INDEX coupon_redemption_once ON coupon_redemption (coupon_id, customer_id, coalesce(subscription_id, ''));

ALTER TABLE coupon
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD CHECK ((percent IS NULL) <> (amounts IS NULL)),
  ADD CHECK (percent > 0 AND percent <= 100),
  ADD CHECK (periods BETWEEN 1 AND 1000),
  ADD CHECK (redemptions_max > 0),
  ADD CHECK (valid_from < valid_until);
ALTER TABLE coupon_redemption
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id) ON DELETE CASCADE,
  ADD FOREIGN KEY (account_id, coupon_id) REFERENCES coupon (account_id, id),
  ADD FOREIGN KEY (account_id, customer_id, subscription_id) REFERENCES subscription (account_id, customer_id, id),
  ADD CHECK (redeemed_at <= ended_at);

-- What was promised with a code holds for those who redeemed it.
CREATE FUNCTION keep_coupon() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE may text[] := '{name,redemptions_max,valid_until,archived_at,updated_at}';
BEGIN
  IF to_jsonb(OLD) - may <> to_jsonb(NEW) - may OR NEW.archived_at IS DISTINCT FROM coalesce(OLD.archived_at, NEW.archived_at) THEN
    RAISE EXCEPTION 'coupon % keeps what it promises', OLD.id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE UPDATE ON coupon FOR EACH ROW EXECUTE FUNCTION keep_coupon();

CREATE FUNCTION keep_coupon_redemption() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF to_jsonb(OLD) - 'ended_at' <> to_jsonb(NEW) - 'ended_at' OR OLD.ended_at IS NOT NULL THEN
    RAISE EXCEPTION 'coupon redemption % only ends, once', OLD.id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE UPDATE ON coupon_redemption FOR EACH ROW EXECUTE FUNCTION keep_coupon_redemption();
