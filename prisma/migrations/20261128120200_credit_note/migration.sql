-- Credit notes: what is taken back of a finalised invoice, line by line, with numbers of their own. They never change, and
-- never credit more of a line than it is.
--
-- Old code can run beside it, as long as no credit note is issued: it would not see what is credited.

CREATE TABLE "credit_note" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "invoice_id" TEXT NOT NULL,
    "number" TEXT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "timezone" TEXT NOT NULL,
    "subtotal_minor" BIGINT NOT NULL,
    "tax_minor" BIGINT NOT NULL,
    "total_minor" BIGINT NOT NULL,
    "taxes" JSONB NOT NULL,
    "issuer" JSONB NOT NULL,
    "recipient" JSONB NOT NULL,
    "reason" TEXT NOT NULL,
    "rest_to" TEXT NOT NULL,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "credit_note_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "credit_note_account_id_number_key" ON "credit_note"("account_id", "number");
CREATE UNIQUE INDEX "credit_note_account_id_customer_id_id_key" ON "credit_note"("account_id", "customer_id", "id");
CREATE INDEX "credit_note_account_id_created_at_id_idx" ON "credit_note"("account_id", "created_at", "id");
CREATE INDEX "credit_note_invoice_id_idx" ON "credit_note"("invoice_id");

CREATE TABLE "credit_note_line" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "credit_note_id" TEXT NOT NULL,
    "invoice_line_id" TEXT NOT NULL,
    "ordinal" INTEGER NOT NULL,
    "description" TEXT NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "tax" JSONB,

    CONSTRAINT "credit_note_line_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "credit_note_line_credit_note_id_ordinal_key" ON "credit_note_line"("credit_note_id", "ordinal");
CREATE INDEX "credit_note_line_invoice_line_id_idx" ON "credit_note_line"("invoice_line_id");

ALTER TABLE credit_note
  ADD FOREIGN KEY (account_id, customer_id, invoice_id) REFERENCES invoice (account_id, customer_id, id),
  ADD CHECK (total_minor = subtotal_minor + tax_minor),
  ADD CHECK (total_minor > 0),
  ADD CHECK (rest_to IN ('customer-credit', 'cash'));
ALTER TABLE credit_note_line
  ADD FOREIGN KEY (account_id, customer_id, credit_note_id) REFERENCES credit_note (account_id, customer_id, id),
  ADD CHECK (amount_minor <> 0);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON credit_note FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON credit_note EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON credit_note_line FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON credit_note_line EXECUTE FUNCTION refuse_change();

-- Whoever credits has the invoice locked, so that the sum is whole.
CREATE FUNCTION refuse_credit_over_line() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  line bigint := (
    SELECT l.amount_minor FROM invoice_line l JOIN credit_note c ON c.invoice_id = l.invoice_id AND c.account_id = l.account_id
    WHERE l.id = NEW.invoice_line_id AND c.id = NEW.credit_note_id);
  credited bigint := (SELECT sum(amount_minor) FROM credit_note_line WHERE invoice_line_id = NEW.invoice_line_id);
BEGIN
  IF line IS NULL OR credited NOT BETWEEN least(line, 0) AND greatest(line, 0) THEN
    RAISE EXCEPTION 'line % of the invoice cannot be credited with % in all', NEW.invoice_line_id, credited
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER within_line AFTER INSERT ON credit_note_line
  FOR EACH ROW EXECUTE FUNCTION refuse_credit_over_line();
