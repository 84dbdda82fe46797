-- Several issuers of one account: companies in whose name invoices are issued, each with a series of numbers of its own. A
-- subscription without one is invoiced by the account, in the series that it has.
--
-- Old code can run beside it as long as no subscription names an issuer: it would invoice in the account's name.

CREATE TABLE "issuer" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "series" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "legal_name" TEXT,
    "address" TEXT,
    "tax_id" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "issuer_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "issuer_account_id_id_key" ON "issuer"("account_id", "id");
CREATE UNIQUE INDEX "issuer_account_id_series_key" ON "issuer"("account_id", "series");
CREATE INDEX "issuer_account_id_created_at_id_idx" ON "issuer"("account_id", "created_at", "id");

ALTER TABLE subscription ADD COLUMN "issuer_id" TEXT;

ALTER TABLE issuer
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  -- Credit notes are numbered in the series with CN behind it; TG and CN are the account's own.
  ADD CHECK (series ~ '^[A-Z][A-Z0-9]{0,7}$' AND series !~ 'CN$' AND series <> 'TG');
ALTER TABLE subscription ADD FOREIGN KEY (account_id, issuer_id) REFERENCES issuer (account_id, id);
