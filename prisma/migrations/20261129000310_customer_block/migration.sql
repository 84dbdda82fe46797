-- Customers whose calls are refused: by a person, because an invoice is long overdue, or because their credit is used up. Each
-- reason is a row, and a customer is blocked while there is any. News of it goes to all who decide, as that of a key does.
-- Dunning: what is done after an invoice was due, when, and what was done.
--
-- Old code can run beside it: it does not see blocks, and lets blocked customers pass.

CREATE TABLE "customer_block" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "subject_id" TEXT NOT NULL,
    "note" TEXT,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "customer_block_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "customer_block_customer_id_reason_subject_id_key" ON "customer_block"("customer_id", "reason", "subject_id");
CREATE INDEX "customer_block_account_id_created_at_id_idx" ON "customer_block"("account_id", "created_at", "id");

CREATE TABLE "dunning_schedule" (
    "account_id" TEXT NOT NULL,
    "steps" JSONB NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "dunning_schedule_pkey" PRIMARY KEY ("account_id")
);

CREATE TABLE "dunning_step" (
    "invoice_id" TEXT NOT NULL,
    "after_days" INTEGER NOT NULL,
    "action" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "customer_id" TEXT NOT NULL,
    "done_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "dunning_step_pkey" PRIMARY KEY ("invoice_id","after_days","action")
);

ALTER TABLE customer_block
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id) ON DELETE CASCADE,
  ADD CHECK (reason IN ('by-hand', 'overdue-invoice', 'credit-used-up'));
ALTER TABLE dunning_schedule ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE dunning_step
  ADD FOREIGN KEY (account_id, customer_id, invoice_id) REFERENCES invoice (account_id, customer_id, id),
  ADD CHECK (after_days BETWEEN 0 AND 365),
  ADD CHECK (action IN ('remind', 'block'));
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON dunning_step FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON dunning_step EXECUTE FUNCTION refuse_change();

-- Of whom dunning looks at each time.
CREATE INDEX invoice_overdue ON invoice (account_id, due_at) WHERE status = 'finalised';

-- News of each key of the customer; of all keys of the account, which is told once, where it would be many.
CREATE FUNCTION tell_customer_block() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  block customer_block%ROWTYPE := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  keys text[] := ARRAY(
    SELECT id FROM api_key WHERE account_id = block.account_id AND customer_id = block.customer_id AND deleted_at IS NULL LIMIT 101);
BEGIN
  IF cardinality(keys) > 100 THEN
    PERFORM tell_policy_of(block.account_id, '');
  ELSE
    PERFORM tell_policy_of(block.account_id, key) FROM unnest(keys) AS key ORDER BY key;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR DELETE ON customer_block FOR EACH ROW EXECUTE FUNCTION tell_customer_block();
