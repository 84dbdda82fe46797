-- Whose a quarantined record seems to be is a customer of the same account, where it is known at all.
--
-- Old code can run beside it: it takes customers from keys of the account.

ALTER TABLE usage_quarantine
  ADD CONSTRAINT usage_quarantine_customer_fkey FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id) NOT VALID;
ALTER TABLE usage_quarantine VALIDATE CONSTRAINT usage_quarantine_customer_fkey;
