-- Stripe: the key of an account, sealed, which customer is which there, and which invoice is which.
--
-- Old code can run beside it: nobody else reads these tables.

-- A remote that repeats a failure under the same idempotency key is asked under another one.
ALTER TABLE exchange ADD COLUMN "keys_used_up" INTEGER NOT NULL DEFAULT 0;

CREATE TABLE "stripe_connection" (
    "account_id" TEXT NOT NULL,
    "stripe_account_id" TEXT NOT NULL,
    "is_live" BOOLEAN NOT NULL,
    "sealed_key" BYTEA NOT NULL,
    "key_last_four" TEXT NOT NULL,
    "sealed_webhook_secret" BYTEA,
    "sealed_webhook_secret_before" BYTEA,
    "pushes_from" TIMESTAMPTZ(3),
    "calls_per_second" INTEGER NOT NULL DEFAULT 20,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "stripe_connection_pkey" PRIMARY KEY ("account_id")
);

CREATE TABLE "stripe_customer" (
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "stripe_customer_id" TEXT,
    "collection" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "stripe_customer_pkey" PRIMARY KEY ("account_id","customer_id")
);
CREATE UNIQUE INDEX "stripe_customer_account_id_stripe_customer_id_key" ON "stripe_customer"("account_id", "stripe_customer_id");

CREATE TABLE "stripe_invoice" (
    "account_id" TEXT NOT NULL,
    "invoice_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "stripe_invoice_id" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "hosted_url" TEXT,
    "payment_fault" TEXT,
    "payment_failed_at" TIMESTAMPTZ(3),
    "disputed_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "stripe_invoice_pkey" PRIMARY KEY ("account_id","invoice_id")
);
CREATE UNIQUE INDEX "stripe_invoice_account_id_stripe_invoice_id_key" ON "stripe_invoice"("account_id", "stripe_invoice_id");

ALTER TABLE stripe_connection
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD CHECK (calls_per_second BETWEEN 1 AND 100);
ALTER TABLE stripe_customer
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id),
  ADD CHECK (collection IN ('charge-automatically', 'send-invoice'));
ALTER TABLE stripe_invoice
  ADD FOREIGN KEY (account_id, customer_id, invoice_id) REFERENCES invoice (account_id, customer_id, id),
  ADD CHECK (status IN ('open', 'paid', 'void', 'uncollectible'));

-- Invoices that are final and not settled are little; they are asked for every few seconds.
CREATE INDEX invoice_finalised ON invoice (account_id, issued_at) WHERE status = 'finalised';
