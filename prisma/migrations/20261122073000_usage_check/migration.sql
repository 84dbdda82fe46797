-- What the nightly comparison of roll-ups with their records found, by account and day. Old code can run beside it.

CREATE TABLE "usage_check" (
    "account_id" TEXT NOT NULL,
    "day" DATE NOT NULL,
    "checked_at" TIMESTAMPTZ(3) NOT NULL,
    "differences" INTEGER NOT NULL,

    CONSTRAINT "usage_check_pkey" PRIMARY KEY ("account_id","day")
);

ALTER TABLE usage_check
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD CHECK (differences >= 0);
