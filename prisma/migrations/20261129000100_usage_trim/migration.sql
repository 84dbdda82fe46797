-- From when on the counts of allowed calls of an account are kept: older ones are dropped, and must not look like calls
-- that nobody allowed.
--
-- Old code can run beside it: an old worker drops nothing, and an old api shows hours whose counts are dropped as metered and never
-- allowed.

-- CreateTable
CREATE TABLE "decision_trim" (
    "account_id" TEXT NOT NULL,
    "kept_from" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "decision_trim_pkey" PRIMARY KEY ("account_id")
);

ALTER TABLE decision_trim ADD FOREIGN KEY (account_id) REFERENCES account (id);
