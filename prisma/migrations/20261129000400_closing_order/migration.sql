-- Due subscriptions are closed in slices, in the order of their ends and ids: with the id in the index, a slice is read without
-- sorting all that end at the same moment. Old code can run beside it.

CREATE INDEX "subscription_account_id_closes_at_id_idx" ON "subscription"("account_id", "closes_at", "id");
DROP INDEX "subscription_account_id_closes_at_idx";
