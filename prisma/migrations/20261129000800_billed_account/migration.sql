-- Two levels of billing: a subscription of the default account may charge the traffic of another account, the API owner's,
-- beside what its own plan was used for.
--
-- Old code can run beside it as long as no subscription names an account: it would not charge that traffic.

ALTER TABLE subscription ADD COLUMN "billed_account_id" TEXT;
ALTER TABLE subscription
  ADD FOREIGN KEY (billed_account_id) REFERENCES account (id),
  ADD CHECK (billed_account_id <> account_id);
CREATE INDEX subscription_billed_account ON subscription (billed_account_id) WHERE billed_account_id IS NOT NULL;

-- The traffic of an account is charged once: at most one subscription charges it at any instant, as at most one is to the
-- same usage plan. The lock orders two that come at once, since neither sees the other.
CREATE FUNCTION refuse_second_billing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('billed account ' || NEW.billed_account_id, 0));
  IF EXISTS (
    SELECT FROM subscription s
    WHERE s.billed_account_id = NEW.billed_account_id AND s.id <> NEW.id
      AND tstzrange(s.starts_at, s.ends_at) && tstzrange(NEW.starts_at, NEW.ends_at)
  ) THEN
    RAISE EXCEPTION 'account % is charged by another subscription at that time', NEW.billed_account_id
      USING ERRCODE = 'unique_violation', CONSTRAINT = 'account_billed_once';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER billed_once BEFORE INSERT OR UPDATE OF billed_account_id, starts_at, ends_at ON subscription
  FOR EACH ROW WHEN (NEW.billed_account_id IS NOT NULL) EXECUTE FUNCTION refuse_second_billing();
