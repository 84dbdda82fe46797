-- Taxes: rules that say how lines are taxed, and what became of them, kept with each invoice and line.
--
-- Old code can run beside it: it knows no rules and writes invoices without tax, as before.

CREATE TABLE "tax_rule" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT,
    "usage_plan_id" TEXT,
    "meter" TEXT,
    "name" TEXT NOT NULL,
    "category" TEXT NOT NULL,
    "rate_percent" DECIMAL(9,6) NOT NULL,
    "is_inclusive" BOOLEAN NOT NULL,
    "reason" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tax_rule_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "tax_rule_account_id_id_key" ON "tax_rule"("account_id", "id");
CREATE INDEX "tax_rule_account_id_created_at_id_idx" ON "tax_rule"("account_id", "created_at", "id");

-- NULL is a value here: a rule that is for all is there once.
CREATE UNIQUE INDEX tax_rule_once ON tax_rule
  (account_id, coalesce(customer_id, ''), coalesce(usage_plan_id, ''), coalesce(meter, ''));

ALTER TABLE tax_rule
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id) ON DELETE CASCADE,
  ADD FOREIGN KEY (account_id, usage_plan_id) REFERENCES usage_plan (account_id, id) ON DELETE CASCADE,
  ADD CHECK (category IN ('standard', 'zero-rated', 'exempt', 'reverse-charge', 'out-of-scope')),
  ADD CHECK (rate_percent >= 0 AND rate_percent <= 100),
  ADD CHECK (category = 'standard' OR rate_percent = 0),
  ADD CHECK (category IN ('standard', 'zero-rated') OR reason IS NOT NULL);

ALTER TABLE invoice ADD COLUMN "taxes" JSONB NOT NULL DEFAULT '[]';
ALTER TABLE invoice_line ADD COLUMN "tax" JSONB;
