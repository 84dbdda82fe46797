-- A double-entry journal: each act on an invoice posts one transaction, once, whose legs sum to zero per currency. Payments
-- are rows of their own. What was done before is posted here, so that balances are sums of postings from the first day on.
--
-- Old code must not run beside it: it would finalise, mark as paid and void without a posting.

CREATE TABLE "payment" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "invoice_id" TEXT NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "method" TEXT NOT NULL,
    "reference" TEXT NOT NULL,
    "paid_at" TIMESTAMPTZ(3) NOT NULL,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "payment_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "payment_invoice_id_reference_key" ON "payment"("invoice_id", "reference");
CREATE INDEX "payment_account_id_customer_id_created_at_id_idx" ON "payment"("account_id", "customer_id", "created_at", "id");

CREATE TABLE "ledger_transaction" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "invoice_id" TEXT,
    "act" TEXT NOT NULL,
    "subject_id" TEXT NOT NULL,
    "occurred_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "ledger_transaction_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "ledger_transaction_account_id_act_subject_id_key" ON "ledger_transaction"("account_id", "act", "subject_id");
CREATE UNIQUE INDEX "ledger_transaction_account_id_customer_id_id_key" ON "ledger_transaction"("account_id", "customer_id", "id");
CREATE INDEX "ledger_transaction_account_id_created_at_id_idx" ON "ledger_transaction"("account_id", "created_at", "id");
CREATE INDEX "ledger_transaction_account_id_customer_id_created_at_id_idx" ON "ledger_transaction"("account_id", "customer_id", "created_at", "id");
CREATE INDEX "ledger_transaction_invoice_id_idx" ON "ledger_transaction"("invoice_id");

CREATE TABLE "posting" (
    "transaction_id" TEXT NOT NULL,
    "ordinal" INTEGER NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "ledger_account" TEXT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "amount_minor" BIGINT NOT NULL,

    CONSTRAINT "posting_pkey" PRIMARY KEY ("transaction_id","ordinal")
);
CREATE INDEX "posting_account_id_customer_id_ledger_account_currency_idx" ON "posting"("account_id", "customer_id", "ledger_account", "currency");

ALTER TABLE payment
  ADD FOREIGN KEY (account_id, customer_id, invoice_id) REFERENCES invoice (account_id, customer_id, id),
  ADD CHECK (amount_minor > 0),
  ADD CHECK (method IN ('bank-transfer', 'card', 'cash', 'customer-credit', 'unspecified'));
ALTER TABLE ledger_transaction
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id),
  ADD FOREIGN KEY (account_id, customer_id, invoice_id) REFERENCES invoice (account_id, customer_id, id);
ALTER TABLE posting
  ADD FOREIGN KEY (account_id, customer_id, transaction_id) REFERENCES ledger_transaction (account_id, customer_id, id),
  ADD CHECK (amount_minor <> 0),
  ADD CHECK (ledger_account IN ('receivable', 'revenue', 'tax-payable', 'cash', 'customer-credit', 'bad-debt'));

-- Deferred to the commit, since a transaction is not whole before.
CREATE FUNCTION refuse_unbalanced_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM posting p WHERE p.transaction_id = NEW.transaction_id GROUP BY p.currency HAVING sum(p.amount_minor) <> 0
  ) THEN
    RAISE EXCEPTION 'the postings of transaction % do not sum to zero', NEW.transaction_id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON posting
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced_postings();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payment FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON payment EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_transaction FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON ledger_transaction EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON posting FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON posting EXECUTE FUNCTION refuse_change();

-- What was done before. When an invoice was paid or made void was not kept: it is posted at the day of issue.

INSERT INTO payment (id, account_id, customer_id, invoice_id, amount_minor, currency, method, reference, paid_at, created_by, created_at)
SELECT 'pay_' || substr(id, 5), account_id, customer_id, id, total_minor, currency, 'unspecified', 'marked as paid', issued_at, 'migration', issued_at
FROM invoice WHERE status = 'paid' AND total_minor > 0;

CREATE TEMP TABLE posted AS
SELECT i.*, act, CASE act WHEN 'record-payment' THEN 'pay_' || substr(i.id, 5) ELSE i.id END AS subject_id
FROM invoice i
CROSS JOIN unnest(ARRAY['finalise-invoice', 'record-payment', 'void-invoice']) AS act
WHERE i.status <> 'draft' AND i.total_minor > 0
  AND (act = 'finalise-invoice' OR (act, i.status) IN (('record-payment', 'paid'), ('void-invoice', 'void')));

INSERT INTO ledger_transaction (id, account_id, customer_id, invoice_id, act, subject_id, occurred_at)
SELECT 'txn_' || act || '_' || substr(id, 5), account_id, customer_id, id, act, subject_id, issued_at FROM posted;

INSERT INTO posting (transaction_id, ordinal, account_id, customer_id, ledger_account, currency, amount_minor)
SELECT 'txn_' || act || '_' || substr(id, 5), ordinal, account_id, customer_id, ledger_account, currency, minor
FROM posted, LATERAL (VALUES
  ('finalise-invoice', 0, 'receivable', total_minor),
  ('finalise-invoice', 1, 'revenue', -subtotal_minor),
  ('finalise-invoice', 2, 'tax-payable', -tax_minor),
  ('record-payment', 0, 'cash', total_minor),
  ('record-payment', 1, 'receivable', -total_minor),
  ('void-invoice', 0, 'receivable', -total_minor),
  ('void-invoice', 1, 'revenue', subtotal_minor),
  ('void-invoice', 2, 'tax-payable', tax_minor)
) AS legs (of_act, ordinal, ledger_account, minor)
WHERE of_act = act AND minor <> 0;

DROP TABLE posted;
