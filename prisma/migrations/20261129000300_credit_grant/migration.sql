-- Credit that pays invoices before tax: what a customer paid ahead, or was given. A grant's entries say what became of it, and
-- what is left of it is their sum, which a trigger keeps and a check keeps from going below zero, whatever races.
--
-- Old code can run beside it: it applies no credit.

CREATE TABLE "credit_grant" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "left_minor" BIGINT NOT NULL DEFAULT 0,
    "priority" INTEGER NOT NULL,
    "meters" TEXT[],
    "usage_plan_ids" TEXT[],
    "effective_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "reference" TEXT NOT NULL,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "credit_grant_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "credit_grant_account_id_customer_id_id_key" ON "credit_grant"("account_id", "customer_id", "id");
CREATE UNIQUE INDEX "credit_grant_customer_id_reference_key" ON "credit_grant"("customer_id", "reference");
CREATE INDEX "credit_grant_account_id_created_at_id_idx" ON "credit_grant"("account_id", "created_at", "id");
-- Of what is left to burn, and to expire.
CREATE INDEX credit_grant_open ON credit_grant (customer_id, currency) WHERE left_minor > 0;
CREATE INDEX credit_grant_expiring ON credit_grant (expires_at) WHERE left_minor > 0;

CREATE TABLE "credit_entry" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "grant_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "invoice_id" TEXT,
    "subject_id" TEXT NOT NULL,
    "occurred_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "credit_entry_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "credit_entry_grant_id_kind_subject_id_key" ON "credit_entry"("grant_id", "kind", "subject_id");
CREATE INDEX "credit_entry_account_id_created_at_id_idx" ON "credit_entry"("account_id", "created_at", "id");
CREATE INDEX "credit_entry_invoice_id_idx" ON "credit_entry"("invoice_id");

ALTER TABLE credit_grant
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id),
  ADD CHECK (kind IN ('paid', 'promotional')),
  ADD CHECK (amount_minor > 0),
  ADD CHECK (left_minor BETWEEN 0 AND amount_minor),
  ADD CHECK (priority BETWEEN 1 AND 100),
  ADD CHECK (effective_at < expires_at);
ALTER TABLE credit_entry
  ADD FOREIGN KEY (account_id, customer_id, grant_id) REFERENCES credit_grant (account_id, customer_id, id),
  ADD FOREIGN KEY (account_id, customer_id, invoice_id) REFERENCES invoice (account_id, customer_id, id),
  ADD CHECK (CASE WHEN kind IN ('granted', 'returned') THEN amount_minor > 0 ELSE amount_minor < 0 END),
  ADD CHECK (kind IN ('granted', 'applied', 'returned', 'expired', 'voided')),
  ADD CHECK ((kind IN ('applied', 'returned')) = (invoice_id IS NOT NULL));

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON credit_entry FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON credit_entry EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE DELETE ON credit_grant FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON credit_grant EXECUTE FUNCTION refuse_change();

-- What is left moves with entries only; nothing else of a grant changes.
CREATE FUNCTION keep_credit_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF pg_trigger_depth() < 2 OR to_jsonb(OLD) - 'left_minor' <> to_jsonb(NEW) - 'left_minor' THEN
    RAISE EXCEPTION 'credit grant % changes by its entries only', OLD.id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE UPDATE ON credit_grant FOR EACH ROW EXECUTE FUNCTION keep_credit_grant();

CREATE FUNCTION add_credit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE credit_grant SET left_minor = left_minor + NEW.amount_minor WHERE id = NEW.grant_id;
  RETURN NULL;
END $$;
CREATE TRIGGER add AFTER INSERT ON credit_entry FOR EACH ROW EXECUTE FUNCTION add_credit_entry();

-- The journal knows what customers paid ahead, and what of it was never used.
ALTER TABLE posting
  DROP CONSTRAINT posting_ledger_account_check,
  ADD CHECK (ledger_account IN ('receivable', 'revenue', 'tax-payable', 'cash', 'customer-credit', 'bad-debt',
    'prepaid-credit', 'breakage'));

-- A credit note over what credit had paid gives back credit, and no money.
ALTER TABLE credit_note DROP CONSTRAINT credit_note_total_minor_check, ADD CHECK (total_minor >= 0);
