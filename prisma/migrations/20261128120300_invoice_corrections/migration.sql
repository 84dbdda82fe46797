-- Lines that a person puts on a draft, and a second invoice for a period whose first one was made void.
--
-- Old code can run beside it: it makes first invoices only, as before, and leaves manual lines out when it rates a draft.

CREATE TABLE "manual_line" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "invoice_id" TEXT NOT NULL,
    "description" TEXT NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "reason" TEXT NOT NULL,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "manual_line_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "manual_line_invoice_id_idx" ON "manual_line"("invoice_id");

ALTER TABLE manual_line
  ADD FOREIGN KEY (account_id, customer_id, invoice_id) REFERENCES invoice (account_id, customer_id, id) ON DELETE CASCADE,
  ADD CHECK (amount_minor <> 0);
CREATE TRIGGER keep_finalised BEFORE INSERT OR UPDATE OR DELETE ON manual_line
  FOR EACH ROW EXECUTE FUNCTION keep_lines_of_finalised_invoice();

ALTER TABLE invoice ADD COLUMN "revision" INTEGER NOT NULL DEFAULT 1, ADD CHECK (revision >= 1);
CREATE UNIQUE INDEX "invoice_customer_id_subscription_id_period_from_revision_key"
  ON "invoice"("customer_id", "subscription_id", "period_from", "revision");
DROP INDEX "invoice_customer_id_subscription_id_period_from_key";
-- A period has one invoice that counts.
CREATE UNIQUE INDEX invoice_one_of_period ON invoice (customer_id, subscription_id, period_from) WHERE status <> 'void';
