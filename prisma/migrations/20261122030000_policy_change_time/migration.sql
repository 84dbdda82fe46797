-- The news of a change also says when it was made, so that a process can tell how long the news took. Old code beside it
-- passes the time on with the change, and nobody reads it.

CREATE OR REPLACE FUNCTION tell_policy_of(account text, key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  place policy_change%ROWTYPE;
BEGIN
  INSERT INTO policy_change (account_id, key_id, transaction_id, horizon)
  VALUES (account, key, pg_current_xact_id()::text::bigint, pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
  ON CONFLICT DO NOTHING RETURNING * INTO place;
  IF FOUND THEN
    PERFORM pg_notify('tollgate_policy', jsonb_strip_nulls(jsonb_build_object('accountId', account,
      'keyId', nullif(key, ''), 'transaction', place.transaction_id, 'horizon', place.horizon,
      'sentAtMs', floor(extract(epoch FROM clock_timestamp()) * 1000)))::text);
  END IF;
END $$;
