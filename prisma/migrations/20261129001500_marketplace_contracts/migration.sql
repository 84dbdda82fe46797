-- Contracts of AWS Marketplace: what was bought, and the plan that it brings; and the queues that notifications come by, with the
-- messages that could not be followed.
--
-- Old code can run beside it: what is new is not read by it, and columns have defaults.

ALTER TABLE "marketplace_product" ADD COLUMN "entitled_plans" JSONB NOT NULL DEFAULT '[]',
ADD COLUMN "queue_url" TEXT;

ALTER TABLE "marketplace_agreement" ADD COLUMN "entitlements_at" TIMESTAMPTZ(3),
ADD COLUMN "entitlements_due_at" TIMESTAMPTZ(3),
ADD COLUMN "entitlements_fault" TEXT,
ADD COLUMN "entitlements_tries" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN "lapsed_at" TIMESTAMPTZ(3);

CREATE TABLE "marketplace_entitlement" (
    "agreement_id" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "account_id" TEXT NOT NULL,
    "dimension" TEXT NOT NULL,
    "value" TEXT NOT NULL,
    "units" DECIMAL(60,18),
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "marketplace_entitlement_pkey" PRIMARY KEY ("agreement_id", "position")
);

CREATE TABLE "marketplace_queue" (
    "queue_url" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "marketplace_queue_pkey" PRIMARY KEY ("queue_url")
);
CREATE UNIQUE INDEX "marketplace_queue_account_id_queue_url_key" ON "marketplace_queue"("account_id", "queue_url");

CREATE TABLE "marketplace_queue_message" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "queue_url" TEXT NOT NULL,
    "message_id" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "sent_at" TIMESTAMPTZ(3) NOT NULL,
    "fault" TEXT NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'open',
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "settled_at" TIMESTAMPTZ(3),
    "settled_by" TEXT,
    "note" TEXT,

    CONSTRAINT "marketplace_queue_message_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "marketplace_queue_message_queue_url_message_id_key" ON "marketplace_queue_message"("queue_url", "message_id");
CREATE INDEX "marketplace_queue_message_account_id_created_at_id_idx" ON "marketplace_queue_message"("account_id", "created_at", "id");

ALTER TABLE marketplace_entitlement
  ADD FOREIGN KEY (account_id, agreement_id) REFERENCES marketplace_agreement (account_id, id),
  ADD CHECK (units <> 'NaN');
ALTER TABLE marketplace_queue
  ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE marketplace_product
  ADD FOREIGN KEY (account_id, queue_url) REFERENCES marketplace_queue (account_id, queue_url);
ALTER TABLE marketplace_queue_message
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD CHECK (state IN ('open', 'followed', 'dismissed'));
CREATE INDEX marketplace_queue_message_open ON marketplace_queue_message (account_id) WHERE state = 'open';
