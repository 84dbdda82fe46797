-- News of a key that no row was changed for: a throttle that was lifted for a while ends by itself. Remembered as every
-- other change is. Old code beside it sends the news without it.

CREATE FUNCTION tell_policy_of(account text, key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  place policy_change%ROWTYPE;
BEGIN
  INSERT INTO policy_change (account_id, key_id, transaction_id, horizon)
  VALUES (account, key, pg_current_xact_id()::text::bigint, pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
  ON CONFLICT DO NOTHING RETURNING * INTO place;
  IF FOUND THEN
    PERFORM pg_notify('tollgate_policy', jsonb_strip_nulls(jsonb_build_object('accountId', account,
      'keyId', nullif(key, ''), 'transaction', place.transaction_id, 'horizon', place.horizon))::text);
  END IF;
END $$;

CREATE OR REPLACE FUNCTION tell_policy_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed jsonb := to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END);
  account text := changed ->> TG_ARGV[0];
  token text := changed ->> TG_ARGV[2];
BEGIN
  IF token IS NULL THEN
    PERFORM tell_policy_of(account, coalesce(changed ->> TG_ARGV[1], ''));
  ELSE
    PERFORM pg_notify('tollgate_policy', jsonb_build_object('accountId', account, 'tokenId', token)::text);
  END IF;
  RETURN NULL;
END $$;
