-- Who holds how much of which quota, so that what a crashed holder had not spent can be given back. `holds` lies in the
-- row that a block is debited from, so that both change in one write. Old code beside it debits without saying for
-- whom: such units count as spent, as before.

ALTER TABLE "quota_spend" ADD COLUMN "holds" JSONB NOT NULL DEFAULT '{}';
ALTER TABLE "usage_epoch" ADD COLUMN "latest_at" TIMESTAMPTZ(3);

CREATE TABLE "quota_holder" (
    "id" TEXT NOT NULL,
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "quota_holder_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "quota_lost" (
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "period_from" TIMESTAMPTZ(3) NOT NULL,
    "period_to" TIMESTAMPTZ(3) NOT NULL,
    "units" BIGINT NOT NULL,
    "spent" BIGINT NOT NULL DEFAULT 0,
    "counted_at" TIMESTAMPTZ(3),
    "count_after" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "quota_lost_pkey" PRIMARY KEY ("customer_id","usage_plan_id","key_id","period_from")
);

ALTER TABLE quota_spend ADD CHECK (jsonb_typeof(holds) = 'object');
ALTER TABLE quota_lost
  ADD CHECK (units > 0),
  ADD FOREIGN KEY (account_id, customer_id, key_id) REFERENCES api_key (account_id, customer_id, id);
