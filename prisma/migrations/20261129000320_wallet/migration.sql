-- What is wanted of a customer's credit in one currency: to be told when it runs low, and to be stopped when it is used up.
--
-- Old code can run beside it: it looks at no wallet.

CREATE TABLE "wallet" (
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "low_minor" BIGINT,
    "is_hard_stop" BOOLEAN NOT NULL,
    "is_low" BOOLEAN NOT NULL DEFAULT false,
    "occurrence" INTEGER NOT NULL DEFAULT 0,
    "left_minor" BIGINT,
    "looked_at" TIMESTAMPTZ(3),

    CONSTRAINT "wallet_pkey" PRIMARY KEY ("customer_id","currency")
);
CREATE INDEX "wallet_account_id_customer_id_idx" ON "wallet"("account_id", "customer_id");

ALTER TABLE wallet
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id) ON DELETE CASCADE,
  ADD CHECK (low_minor >= 0),
  ADD CHECK (occurrence >= 0);
