-- When a queue was last read, and why it could not be: one that nobody can read is no empty one.
--
-- Old code can run beside it: it does not read the columns, which may be null.

ALTER TABLE "marketplace_queue" ADD COLUMN "read_at" TIMESTAMPTZ(3),
ADD COLUMN "fault" TEXT;
