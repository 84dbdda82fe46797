-- The limit that a counter of a quota was last decided by: of a period that is over it is what held, whatever the plan says today.
--
-- Old code can run beside it: blocks that an old api debits leave it as it was. It is null in counters of before.

ALTER TABLE "quota_spend" ADD COLUMN "applied_limit" BIGINT;
ALTER TABLE quota_spend ADD CHECK (applied_limit >= 0);
