-- How many rows of usage_record a batch has, so that a roll-up that does not find all of them fails and marks nothing, whatever hid them.
--
-- Old code can run beside it: it leaves the number out, and such a batch is rolled up as before. No rows are rewritten.

ALTER TABLE usage_batch ADD COLUMN "row_count" INTEGER;
