-- The tables of the first release, as `npm run db:diff` writes them from prisma/schema, but that usage_record is
-- partitioned. Nothing runs beside it: this is the first migration.

-- CreateTable
CREATE TABLE "rate_card" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "rate_card_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "rate_card_version" (
    "rate_card_id" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "account_id" TEXT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "items" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "rate_card_version_pkey" PRIMARY KEY ("rate_card_id","version")
);

-- CreateTable
CREATE TABLE "subscription" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "rate_card_id" TEXT NOT NULL,
    "rate_card_version" INTEGER NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "period_rule" JSONB NOT NULL,
    "net_terms_days" INTEGER NOT NULL DEFAULT 30,
    "starts_at" TIMESTAMPTZ(3) NOT NULL,
    "ends_at" TIMESTAMPTZ(3),
    "billed_to" TIMESTAMPTZ(3) NOT NULL,
    "closes_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "subscription_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "invoice" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "subscription_id" TEXT NOT NULL,
    "period_from" TIMESTAMPTZ(3) NOT NULL,
    "period_to" TIMESTAMPTZ(3) NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'draft',
    "number" TEXT,
    "currency" CHAR(3) NOT NULL,
    "timezone" TEXT NOT NULL,
    "subtotal_minor" BIGINT NOT NULL,
    "tax_minor" BIGINT NOT NULL,
    "total_minor" BIGINT NOT NULL,
    "issuer" JSONB NOT NULL,
    "recipient" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "issued_at" TIMESTAMPTZ(3),
    "due_at" TIMESTAMPTZ(3),

    CONSTRAINT "invoice_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "invoice_line" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "invoice_id" TEXT NOT NULL,
    "ordinal" INTEGER NOT NULL,
    "description" TEXT NOT NULL,
    "meter" TEXT,
    "quantity" DECIMAL(38,12) NOT NULL,
    "amount" DECIMAL(58,28) NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "snapshot" JSONB NOT NULL,

    CONSTRAINT "invoice_line_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "invoice_series" (
    "account_id" TEXT NOT NULL,
    "series" TEXT NOT NULL,
    "next_number" BIGINT NOT NULL,

    CONSTRAINT "invoice_series_pkey" PRIMARY KEY ("account_id","series")
);

-- CreateTable
CREATE TABLE "api" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "protocol" TEXT NOT NULL DEFAULT 'REST',
    "version" TEXT,
    "ambiguous_path" TEXT NOT NULL DEFAULT 'refuse',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "api_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "method" (
    "id" BIGSERIAL NOT NULL,
    "account_id" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "http_method" TEXT NOT NULL,
    "resource_path" TEXT NOT NULL,
    "operation_id" TEXT,
    "summary" TEXT,

    CONSTRAINT "method_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "stage" (
    "account_id" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "rate_limit" DOUBLE PRECISION,
    "burst_limit" INTEGER,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "stage_pkey" PRIMARY KEY ("api_id","name")
);

-- CreateTable
CREATE TABLE "stage_method_throttle" (
    "account_id" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "stage" TEXT NOT NULL,
    "http_method" TEXT NOT NULL,
    "resource_path" TEXT NOT NULL,
    "rate_limit" DOUBLE PRECISION NOT NULL,
    "burst_limit" INTEGER NOT NULL,

    CONSTRAINT "stage_method_throttle_pkey" PRIMARY KEY ("api_id","stage","http_method","resource_path")
);

-- CreateTable
CREATE TABLE "usage_plan" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "rate_limit" DOUBLE PRECISION,
    "burst_limit" INTEGER,
    "quota_limit" BIGINT,
    "quota_offset" INTEGER,
    "quota_period" TEXT,
    "product_code" TEXT,
    "on_failure" TEXT NOT NULL DEFAULT 'deny',
    "shadow" BOOLEAN NOT NULL DEFAULT false,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "usage_plan_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "usage_plan_stage" (
    "account_id" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "stage" TEXT NOT NULL,

    CONSTRAINT "usage_plan_stage_pkey" PRIMARY KEY ("usage_plan_id","api_id","stage")
);

-- CreateTable
CREATE TABLE "usage_plan_method_throttle" (
    "account_id" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "stage" TEXT NOT NULL,
    "http_method" TEXT NOT NULL,
    "resource_path" TEXT NOT NULL,
    "rate_limit" DOUBLE PRECISION NOT NULL,
    "burst_limit" INTEGER NOT NULL,

    CONSTRAINT "usage_plan_method_throttle_pkey" PRIMARY KEY ("usage_plan_id","api_id","stage","http_method","resource_path")
);

-- CreateTable
CREATE TABLE "api_key" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "name" TEXT,
    "description" TEXT,
    "enabled" BOOLEAN NOT NULL DEFAULT true,
    "expires_at" TIMESTAMPTZ(3),
    "ip_policy" JSONB,
    "hash" BYTEA NOT NULL,
    "pepper_id" TEXT NOT NULL,
    "last_four" TEXT NOT NULL,
    "sealed" BYTEA,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "api_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "usage_plan_key" (
    "account_id" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "usage_plan_key_pkey" PRIMARY KEY ("usage_plan_id","key_id")
);

-- CreateTable
CREATE TABLE "usage_plan_key_stage_past" (
    "account_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "stage" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "left_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "usage_plan_key_stage_past_pkey" PRIMARY KEY ("key_id","api_id","stage")
);

-- CreateTable
CREATE TABLE "usage_plan_key_stage" (
    "account_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "stage" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,

    CONSTRAINT "usage_plan_key_stage_pkey" PRIMARY KEY ("key_id","api_id","stage")
);

-- CreateTable
CREATE TABLE "account" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "mode" TEXT NOT NULL,
    "is_default" BOOLEAN NOT NULL DEFAULT false,
    "clock_offset_ms" BIGINT NOT NULL DEFAULT 0,
    "rate_limit" DOUBLE PRECISION NOT NULL DEFAULT 10000,
    "burst_limit" INTEGER NOT NULL DEFAULT 5000,
    "keeps_key_values" BOOLEAN NOT NULL DEFAULT true,
    "legal_name" TEXT,
    "address" TEXT,
    "tax_id" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "account_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "customer" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "email" TEXT,
    "legal_name" TEXT,
    "address" TEXT,
    "tax_id" TEXT,
    "currency" CHAR(3) NOT NULL DEFAULT 'USD',
    "timezone" TEXT NOT NULL DEFAULT 'UTC',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "customer_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "gateway" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "disabled_at" TIMESTAMPTZ(3),

    CONSTRAINT "gateway_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "token" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "role" TEXT,
    "gateway_id" TEXT,
    "customer_id" TEXT,
    "name" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,
    "pepper_id" TEXT NOT NULL,
    "last_four" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "token_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "access_key" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "secret" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "access_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "quota_spend" (
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "period_from" TIMESTAMPTZ(3) NOT NULL,
    "period_to" TIMESTAMPTZ(3) NOT NULL,
    "debited" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "quota_spend_pkey" PRIMARY KEY ("customer_id","usage_plan_id","key_id","period_from")
);

-- CreateTable
CREATE TABLE "usage_batch" (
    "id" BIGSERIAL NOT NULL,
    "account_id" TEXT NOT NULL,
    "gateway_id" TEXT NOT NULL,
    "epoch" TEXT NOT NULL,
    "sequence" BIGINT NOT NULL,
    "content_hash" BYTEA NOT NULL,
    "record_count" INTEGER NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL,
    "rolled_up_at" TIMESTAMPTZ(3),

    CONSTRAINT "usage_batch_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "usage_epoch" (
    "account_id" TEXT NOT NULL,
    "gateway_id" TEXT NOT NULL,
    "epoch" TEXT NOT NULL,
    "highest" BIGINT NOT NULL,
    "batches" BIGINT NOT NULL,
    "first_seen_at" TIMESTAMPTZ(3) NOT NULL,
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "usage_epoch_pkey" PRIMARY KEY ("gateway_id","epoch")
);

-- CreateTable
CREATE TABLE "usage_record" (
    "customer_id" TEXT NOT NULL,
    "batch_id" BIGINT NOT NULL,
    "ordinal" INTEGER NOT NULL,
    "meter" TEXT NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL,
    "account_id" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "key_id" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "stage" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "method" TEXT NOT NULL,
    "resource_path" TEXT NOT NULL,
    "status_class" TEXT NOT NULL,
    "quantity" DECIMAL(38,12) NOT NULL,

    CONSTRAINT "usage_record_pkey" PRIMARY KEY ("customer_id","batch_id","ordinal","meter","received_at")
) PARTITION BY RANGE ("received_at");

-- CreateTable
CREATE TABLE "usage_hour" (
    "customer_id" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "hour" TIMESTAMPTZ(3) NOT NULL,
    "meter" TEXT NOT NULL,
    "api_id" TEXT NOT NULL,
    "stage" TEXT NOT NULL,
    "usage_plan_id" TEXT NOT NULL,
    "method" TEXT NOT NULL,
    "resource_path" TEXT NOT NULL,
    "status_class" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "quantity" DECIMAL(50,12) NOT NULL,

    CONSTRAINT "usage_hour_pkey" PRIMARY KEY ("customer_id","key_id","hour","meter","api_id","stage","usage_plan_id","method","resource_path","status_class")
);

-- CreateTable
CREATE TABLE "idempotency_key" (
    "account_id" TEXT NOT NULL,
    "principal_id" TEXT NOT NULL,
    "route" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "body_hash" BYTEA NOT NULL,
    "status" INTEGER,
    "response" BYTEA,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "idempotency_key_pkey" PRIMARY KEY ("account_id","principal_id","route","key")
);

-- CreateTable
CREATE TABLE "audit_event" (
    "account_id" TEXT NOT NULL,
    "sequence" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "principal_id" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "before" JSONB,
    "after" JSONB,
    "previous_hash" BYTEA NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_event_pkey" PRIMARY KEY ("account_id","sequence")
);

-- CreateIndex
CREATE INDEX "rate_card_account_id_created_at_id_idx" ON "rate_card"("account_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "rate_card_account_id_id_key" ON "rate_card"("account_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "rate_card_account_id_name_key" ON "rate_card"("account_id", "name");

-- CreateIndex
CREATE INDEX "subscription_account_id_closes_at_idx" ON "subscription"("account_id", "closes_at");

-- CreateIndex
CREATE INDEX "subscription_account_id_created_at_id_idx" ON "subscription"("account_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "subscription_account_id_id_key" ON "subscription"("account_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "subscription_account_id_customer_id_id_key" ON "subscription"("account_id", "customer_id", "id");

-- CreateIndex
CREATE INDEX "invoice_account_id_created_at_id_idx" ON "invoice"("account_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "invoice_account_id_issued_at_id_idx" ON "invoice"("account_id", "issued_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "invoice_customer_id_subscription_id_period_from_key" ON "invoice"("customer_id", "subscription_id", "period_from");

-- CreateIndex
CREATE UNIQUE INDEX "invoice_account_id_number_key" ON "invoice"("account_id", "number");

-- CreateIndex
CREATE UNIQUE INDEX "invoice_account_id_customer_id_id_key" ON "invoice"("account_id", "customer_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "invoice_line_invoice_id_ordinal_key" ON "invoice_line"("invoice_id", "ordinal");

-- CreateIndex
CREATE INDEX "api_account_id_created_at_id_idx" ON "api"("account_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "api_account_id_id_key" ON "api"("account_id", "id");

-- CreateIndex
CREATE INDEX "method_account_id_api_id_idx" ON "method"("account_id", "api_id");

-- CreateIndex
CREATE UNIQUE INDEX "method_api_id_http_method_resource_path_key" ON "method"("api_id", "http_method", "resource_path");

-- CreateIndex
CREATE UNIQUE INDEX "stage_account_id_api_id_name_key" ON "stage"("account_id", "api_id", "name");

-- CreateIndex
CREATE INDEX "usage_plan_account_id_created_at_id_idx" ON "usage_plan"("account_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "usage_plan_account_id_id_key" ON "usage_plan"("account_id", "id");

-- CreateIndex
CREATE INDEX "usage_plan_stage_account_id_api_id_stage_idx" ON "usage_plan_stage"("account_id", "api_id", "stage");

-- CreateIndex
CREATE UNIQUE INDEX "api_key_hash_key" ON "api_key"("hash");

-- CreateIndex
CREATE INDEX "api_key_account_id_created_at_id_idx" ON "api_key"("account_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "api_key_account_id_id_key" ON "api_key"("account_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "api_key_account_id_customer_id_id_key" ON "api_key"("account_id", "customer_id", "id");

-- CreateIndex
CREATE INDEX "usage_plan_key_key_id_idx" ON "usage_plan_key"("key_id");

-- CreateIndex
CREATE INDEX "usage_plan_key_stage_usage_plan_id_idx" ON "usage_plan_key_stage"("usage_plan_id");

-- CreateIndex
CREATE INDEX "customer_account_id_created_at_id_idx" ON "customer"("account_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "customer_account_id_id_key" ON "customer"("account_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "gateway_account_id_id_key" ON "gateway"("account_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "gateway_account_id_name_key" ON "gateway"("account_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "token_hash_key" ON "token"("hash");

-- CreateIndex
CREATE INDEX "token_account_id_gateway_id_idx" ON "token"("account_id", "gateway_id");

-- CreateIndex
CREATE INDEX "token_account_id_customer_id_idx" ON "token"("account_id", "customer_id");

-- CreateIndex
CREATE UNIQUE INDEX "token_account_id_id_key" ON "token"("account_id", "id");

-- CreateIndex
CREATE INDEX "usage_batch_account_id_received_at_idx" ON "usage_batch"("account_id", "received_at");

-- CreateIndex
CREATE UNIQUE INDEX "usage_batch_gateway_id_epoch_sequence_key" ON "usage_batch"("gateway_id", "epoch", "sequence");

-- CreateIndex
CREATE INDEX "usage_record_batch_id_idx" ON "usage_record"("batch_id");

-- CreateIndex
CREATE INDEX "usage_record_at_idx" ON "usage_record" USING BRIN ("at");

-- CreateIndex
CREATE INDEX "usage_hour_account_id_hour_idx" ON "usage_hour"("account_id", "hour");

-- CreateIndex
CREATE INDEX "idempotency_key_created_at_idx" ON "idempotency_key"("created_at");

