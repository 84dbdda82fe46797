-- What is asked for the first period of a subscription in advance is invoiced at its start: an invoice whose period is that instant, beside
-- the one of the first period. Code of before runs beside it: it makes no such invoice, and finds those of periods as it did.

ALTER TABLE subscription DROP CONSTRAINT subscription_check3;
ALTER TABLE subscription ADD CONSTRAINT subscription_closes_after CHECK (closes_at > billed_to OR closes_at = starts_at AND billed_to = starts_at);

ALTER TABLE invoice DROP CONSTRAINT invoice_check2;
ALTER TABLE invoice ADD CONSTRAINT invoice_period CHECK (period_from <= period_to);

DROP INDEX "invoice_customer_id_subscription_id_period_from_revision_key";
CREATE UNIQUE INDEX "invoice_customer_id_subscription_id_period_from_period_to_r_key"
  ON "invoice"("customer_id", "subscription_id", "period_from", "period_to", "revision");
DROP INDEX invoice_one_of_period;
CREATE UNIQUE INDEX invoice_one_of_period ON invoice (customer_id, subscription_id, period_from, (period_to = period_from)) WHERE status <> 'void';
