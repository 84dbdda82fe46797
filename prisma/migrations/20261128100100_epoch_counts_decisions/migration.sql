-- Which processes of gateways tell how many calls they allowed by themselves, so that reconciliation names only those that do not.
--
-- Old code can run beside it: it refuses batches with such counts (400), so update all apis before gateways. No rows are rewritten.

ALTER TABLE usage_epoch ADD COLUMN "counts_decisions" BOOLEAN NOT NULL DEFAULT false;
