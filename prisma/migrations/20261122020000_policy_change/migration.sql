-- Remembers changes of policy for a while, so that a gateway whose stream of events broke hears what it missed. What is
-- sent names the change the same way for every process. Old code beside it reads the news as before.

CREATE TABLE "policy_change" (
    "account_id" TEXT NOT NULL,
    "transaction_id" BIGINT NOT NULL,
    "key_id" TEXT NOT NULL DEFAULT '',
    "horizon" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "policy_change_pkey" PRIMARY KEY ("account_id","transaction_id","key_id")
);

CREATE INDEX "policy_change_transaction_id_idx" ON "policy_change"("transaction_id");

-- Whoever heard of a later change than the oldest row can be told what followed; the first row is older than any change.
INSERT INTO policy_change (account_id, transaction_id, horizon) VALUES ('', 0, 0);

-- The news of rules section 5, and its place among all others: `transaction` made it, and every transaction before
-- `horizon` had ended by then. What is committed later has a number from `horizon` on. One change is told once per
-- transaction, however many rows it touches. A change of a token is nobody's policy and is only sent.
CREATE OR REPLACE FUNCTION tell_policy_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed jsonb := to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END);
  news jsonb := jsonb_strip_nulls(jsonb_build_object(
    'accountId', changed ->> TG_ARGV[0], 'keyId', changed ->> TG_ARGV[1], 'tokenId', changed ->> TG_ARGV[2]));
  place policy_change%ROWTYPE;
BEGIN
  IF NOT news ? 'tokenId' THEN
    INSERT INTO policy_change (account_id, key_id, transaction_id, horizon)
    VALUES (news ->> 'accountId', coalesce(news ->> 'keyId', ''), pg_current_xact_id()::text::bigint,
      pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
    ON CONFLICT DO NOTHING RETURNING * INTO place;
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
    news := news || jsonb_build_object('transaction', place.transaction_id, 'horizon', place.horizon);
  END IF;
  PERFORM pg_notify('tollgate_policy', news::text);
  RETURN NULL;
END $$;
