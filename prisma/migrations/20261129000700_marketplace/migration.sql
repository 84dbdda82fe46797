-- AWS Marketplace: products, agreements of buyers, and the ledger of metering records, each sent with what was frozen when its
-- hour was sealed.
--
-- Old code can run beside it: it knows nothing of these tables.

CREATE TABLE "marketplace_product" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "product_code" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "region" TEXT NOT NULL,
    "dimensions" JSONB NOT NULL,
    "window_hours" INTEGER NOT NULL DEFAULT 24,
    "seal_lag_minutes" INTEGER NOT NULL DEFAULT 60,
    "sends_zero" BOOLEAN NOT NULL DEFAULT false,
    "allocate_by" TEXT[],
    "topic_arns" TEXT[],
    "plan_ids" TEXT[],
    "usage_plan_id" TEXT,
    "looked_at" TIMESTAMPTZ(3),
    "resumed_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "marketplace_product_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "marketplace_product_product_code_key" ON "marketplace_product"("product_code");
CREATE UNIQUE INDEX "marketplace_product_account_id_id_key" ON "marketplace_product"("account_id", "id");
CREATE INDEX "marketplace_product_account_id_created_at_id_idx" ON "marketplace_product"("account_id", "created_at", "id");

CREATE TABLE "marketplace_agreement" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT,
    "product_id" TEXT NOT NULL,
    "customer_identifier" TEXT,
    "customer_aws_account_id" TEXT,
    "license_arn" TEXT,
    "state" TEXT NOT NULL DEFAULT 'pending',
    "offer_id" TEXT,
    "is_free_trial" BOOLEAN NOT NULL DEFAULT false,
    "active_at" TIMESTAMPTZ(3),
    "ending_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),
    "notice_at" TIMESTAMPTZ(3),
    "sealed_to" TIMESTAMPTZ(3),
    "looked_back_on" DATE,
    "claim_hash" BYTEA,
    "claim_expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "marketplace_agreement_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "marketplace_agreement_account_id_id_key" ON "marketplace_agreement"("account_id", "id");
CREATE INDEX "marketplace_agreement_account_id_created_at_id_idx" ON "marketplace_agreement"("account_id", "created_at", "id");
CREATE INDEX "marketplace_agreement_product_id_customer_identifier_idx" ON "marketplace_agreement"("product_id", "customer_identifier");
CREATE INDEX "marketplace_agreement_product_id_customer_aws_account_id_idx" ON "marketplace_agreement"("product_id", "customer_aws_account_id");
CREATE INDEX "marketplace_agreement_account_id_customer_id_idx" ON "marketplace_agreement"("account_id", "customer_id");

CREATE TABLE "marketplace_key" (
    "account_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "from_at" TIMESTAMPTZ(3) NOT NULL,
    "agreement_id" TEXT NOT NULL,

    CONSTRAINT "marketplace_key_pkey" PRIMARY KEY ("account_id", "key_id", "from_at")
);
CREATE INDEX "marketplace_key_agreement_id_idx" ON "marketplace_key"("agreement_id");

CREATE TABLE "marketplace_balance" (
    "agreement_id" TEXT NOT NULL,
    "dimension" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "metered" DECIMAL(60,18) NOT NULL,
    "recorded" DECIMAL(30,0) NOT NULL,

    CONSTRAINT "marketplace_balance_pkey" PRIMARY KEY ("agreement_id", "dimension")
);


CREATE TABLE "marketplace_counted" (
    "agreement_id" TEXT NOT NULL,
    "dimension" TEXT NOT NULL,
    "bucket" TIMESTAMPTZ(3) NOT NULL,
    "account_id" TEXT NOT NULL,
    "quantity" DECIMAL(60,18) NOT NULL,

    CONSTRAINT "marketplace_counted_pkey" PRIMARY KEY ("agreement_id", "dimension", "bucket")
);


CREATE TABLE "marketplace_record" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "agreement_id" TEXT NOT NULL,
    "product_id" TEXT NOT NULL,
    "dimension" TEXT NOT NULL,
    "hour" TIMESTAMPTZ(3) NOT NULL,
    "region" TEXT NOT NULL,
    "quantity" INTEGER NOT NULL,
    "payload" TEXT NOT NULL,
    "batch_key" TEXT NOT NULL,
    "usd" DECIMAL(40,12),
    "deadline_at" TIMESTAMPTZ(3) NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'pending',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "may_be_taken" BOOLEAN NOT NULL DEFAULT false,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL,
    "sending_until" TIMESTAMPTZ(3),
    "cause" TEXT,
    "reason" TEXT,
    "metering_record_id" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "settled_at" TIMESTAMPTZ(3),
    "settled_by" TEXT,
    "note" TEXT,

    CONSTRAINT "marketplace_record_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "marketplace_record_agreement_id_dimension_hour_region_key" ON "marketplace_record"("agreement_id", "dimension", "hour", "region");
CREATE INDEX "marketplace_record_account_id_created_at_id_idx" ON "marketplace_record"("account_id", "created_at", "id");

CREATE TABLE "marketplace_pace" (
    "region" TEXT NOT NULL,
    "next_call_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "marketplace_pace_pkey" PRIMARY KEY ("region")
);


CREATE TABLE "marketplace_notice" (
    "account_id" TEXT NOT NULL,
    "notice_id" TEXT NOT NULL,
    "agreement_id" TEXT,
    "product_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "body" TEXT NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL,
    "outcome" TEXT NOT NULL,

    CONSTRAINT "marketplace_notice_pkey" PRIMARY KEY ("account_id", "notice_id")
);
CREATE INDEX "marketplace_notice_account_id_received_at_idx" ON "marketplace_notice"("account_id", "received_at");

ALTER TABLE marketplace_product
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD FOREIGN KEY (account_id, usage_plan_id) REFERENCES usage_plan (account_id, id) ON DELETE SET NULL (usage_plan_id),
  ADD CHECK (window_hours BETWEEN 1 AND 24),
  ADD CHECK (seal_lag_minutes BETWEEN 0 AND 300),
  ADD CHECK (cardinality(allocate_by) <= 5);
ALTER TABLE marketplace_agreement
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id),
  ADD FOREIGN KEY (account_id, product_id) REFERENCES marketplace_product (account_id, id),
  ADD CHECK (state IN ('pending', 'active', 'ending', 'ended', 'failed')),
  -- A licence goes with the account's id and never with the older id: AWS would bill both forms.
  ADD CHECK (license_arn IS NULL OR (customer_aws_account_id IS NOT NULL AND customer_identifier IS NULL)),
  ADD CHECK (customer_identifier IS NOT NULL OR customer_aws_account_id IS NOT NULL);
-- One agreement for each licence; of the older form one for each buyer.
CREATE UNIQUE INDEX marketplace_agreement_licence_key ON marketplace_agreement (product_id, license_arn) WHERE license_arn IS NOT NULL;
CREATE UNIQUE INDEX marketplace_agreement_buyer_key ON marketplace_agreement (product_id, coalesce(customer_identifier, customer_aws_account_id)) WHERE license_arn IS NULL;
CREATE UNIQUE INDEX marketplace_agreement_claim_key ON marketplace_agreement (claim_hash) WHERE claim_hash IS NOT NULL;
ALTER TABLE marketplace_key
  ADD FOREIGN KEY (account_id, key_id) REFERENCES api_key (account_id, id),
  ADD FOREIGN KEY (account_id, agreement_id) REFERENCES marketplace_agreement (account_id, id);
ALTER TABLE marketplace_balance
  ADD FOREIGN KEY (account_id, agreement_id) REFERENCES marketplace_agreement (account_id, id),
  ADD CHECK (metered <> 'NaN'),
  ADD CHECK (recorded >= 0 AND recorded <> 'NaN');
ALTER TABLE marketplace_counted
  ADD FOREIGN KEY (account_id, agreement_id) REFERENCES marketplace_agreement (account_id, id),
  ADD CHECK (quantity <> 'NaN');
ALTER TABLE marketplace_record
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id),
  ADD FOREIGN KEY (account_id, agreement_id) REFERENCES marketplace_agreement (account_id, id),
  ADD FOREIGN KEY (account_id, product_id) REFERENCES marketplace_product (account_id, id),
  ADD CHECK (quantity >= 0),
  ADD CHECK (usd <> 'NaN'),
  ADD CHECK (state IN ('pending', 'accepted', 'dead', 'carried', 'written-off')),
  ADD CHECK (hour = date_trunc('hour', hour, 'UTC'));
-- What a sender looks for, and what is told of to people.
CREATE INDEX marketplace_record_pending ON marketplace_record (next_attempt_at) WHERE state = 'pending';
CREATE INDEX marketplace_record_dead ON marketplace_record (account_id, created_at) WHERE state = 'dead';
CREATE INDEX marketplace_agreement_metered ON marketplace_agreement (sealed_to) WHERE sealed_to IS NOT NULL;
ALTER TABLE marketplace_notice
  ADD FOREIGN KEY (account_id, agreement_id) REFERENCES marketplace_agreement (account_id, id),
  ADD FOREIGN KEY (account_id, product_id) REFERENCES marketplace_product (account_id, id),
  ADD CHECK (outcome IN ('followed', 'late', 'unknown'));

-- What a record says is sent any number of times, so it never changes; once AWS has it, nothing about it does.
CREATE FUNCTION refuse_change_of_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR TG_OP = 'TRUNCATE' THEN
    RAISE EXCEPTION 'rows of % are never deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
  END IF;
  IF (NEW.id, NEW.account_id, NEW.customer_id, NEW.agreement_id, NEW.product_id, NEW.dimension, NEW.hour, NEW.region, NEW.quantity,
      NEW.payload, NEW.batch_key, NEW.deadline_at, NEW.created_at)
    IS DISTINCT FROM (OLD.id, OLD.account_id, OLD.customer_id, OLD.agreement_id, OLD.product_id, OLD.dimension, OLD.hour, OLD.region,
      OLD.quantity, OLD.payload, OLD.batch_key, OLD.deadline_at, OLD.created_at)
    OR OLD.state IN ('accepted', 'carried', 'written-off')
  THEN
    RAISE EXCEPTION 'the metering record % is sealed', OLD.id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER sealed BEFORE UPDATE OR DELETE ON marketplace_record FOR EACH ROW EXECUTE FUNCTION refuse_change_of_sealed();
CREATE TRIGGER sealed_truncate BEFORE TRUNCATE ON marketplace_record EXECUTE FUNCTION refuse_change_of_sealed();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON marketplace_notice FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON marketplace_notice EXECUTE FUNCTION refuse_change();
