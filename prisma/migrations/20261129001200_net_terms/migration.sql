-- Within how many days invoices are to be paid, for an account, an issuer and a customer, where a subscription has no terms of its own.
-- The subscriptions that are there have those that they were made with; 30 was what they got when nothing was said, so those follow
-- their customer from now on, which is 30 until somebody says otherwise.
--
-- Old code can run beside it: it goes by the subscription alone, and what it makes has terms of its own.

ALTER TABLE account ADD COLUMN "net_terms_days" INTEGER NOT NULL DEFAULT 30, ADD CHECK (net_terms_days BETWEEN 0 AND 365);
ALTER TABLE issuer ADD COLUMN "net_terms_days" INTEGER, ADD CHECK (net_terms_days BETWEEN 0 AND 365);
ALTER TABLE customer ADD COLUMN "net_terms_days" INTEGER, ADD CHECK (net_terms_days BETWEEN 0 AND 365);
ALTER TABLE subscription ADD COLUMN "has_own_net_terms" BOOLEAN NOT NULL DEFAULT true;
UPDATE subscription SET has_own_net_terms = false WHERE net_terms_days = 30;
