-- Outbox and inbox: what a remote service is to be told, and what was heard from it. Each is a row with a natural key, so that
-- it is done once whatever dies in between, and nothing that fails is out of sight. The pace holds all processes together
-- within what the remote takes.
--
-- Old code can run beside it: nobody else reads these tables.

CREATE TABLE "exchange" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "direction" TEXT NOT NULL,
    "target" TEXT NOT NULL,
    "act" TEXT NOT NULL,
    "subject_id" TEXT NOT NULL,
    "customer_id" TEXT,
    "chain" TEXT NOT NULL,
    "position" BIGSERIAL NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'pending',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "tries" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL,
    "sending_until" TIMESTAMPTZ(3),
    "request_hash" BYTEA,
    "remote_id" TEXT,
    "amount_minor" BIGINT,
    "currency" CHAR(3),
    "detail" JSONB,
    "fault" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "resolved_by" TEXT,
    "resolved_reason" TEXT,

    CONSTRAINT "exchange_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "exchange_account_id_id_key" ON "exchange"("account_id", "id");
CREATE UNIQUE INDEX "exchange_account_id_target_act_subject_id_key" ON "exchange"("account_id", "target", "act", "subject_id");
CREATE INDEX "exchange_account_id_created_at_id_idx" ON "exchange"("account_id", "created_at", "id");

CREATE TABLE "exchange_attempt" (
    "account_id" TEXT NOT NULL,
    "exchange_id" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "latency_ms" INTEGER NOT NULL,
    "outcome" TEXT NOT NULL,
    "fault" TEXT,

    CONSTRAINT "exchange_attempt_pkey" PRIMARY KEY ("exchange_id","attempt")
);

CREATE TABLE "exchange_pace" (
    "account_id" TEXT NOT NULL,
    "target" TEXT NOT NULL,
    "next_call_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "exchange_pace_pkey" PRIMARY KEY ("account_id","target")
);

ALTER TABLE exchange
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id),
  ADD CHECK (direction IN ('out', 'in')),
  ADD CHECK (status IN ('pending', 'sending', 'sent', 'failed', 'dead', 'resolved')),
  ADD CHECK ((status = 'sending') = (sending_until IS NOT NULL)),
  ADD CHECK ((status IN ('sent', 'dead', 'resolved')) = (ended_at IS NOT NULL)),
  ADD CHECK ((status = 'resolved') = (resolved_by IS NOT NULL AND resolved_reason IS NOT NULL)),
  ADD CHECK ((amount_minor IS NULL) = (currency IS NULL));
ALTER TABLE exchange_attempt
  ADD FOREIGN KEY (account_id, exchange_id) REFERENCES exchange (account_id, id),
  ADD CHECK (outcome IN ('sent', 'failed', 'dead', 'needless'));
ALTER TABLE exchange_pace ADD FOREIGN KEY (account_id) REFERENCES account (id);

-- What is open is little and asked for every second; what is done is much and asked for by hand.
CREATE INDEX exchange_due ON exchange (target, position) WHERE status IN ('pending', 'sending', 'failed');
CREATE INDEX exchange_open_of_customer ON exchange (account_id, target, direction, customer_id, position)
  WHERE status IN ('pending', 'sending', 'failed');
CREATE INDEX exchange_open_in_chain ON exchange (account_id, target, direction, chain, position)
  WHERE status IN ('pending', 'sending', 'failed', 'dead');
CREATE INDEX exchange_open_of_account ON exchange (account_id, created_at, id)
  WHERE status IN ('pending', 'sending', 'failed', 'dead');

-- What was sent, and what a person settled, stays as it is.
CREATE FUNCTION keep_ended_exchange() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status IN ('sent', 'resolved') THEN
    RAISE EXCEPTION 'exchange % is over and never changes', OLD.id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep_ended BEFORE UPDATE ON exchange FOR EACH ROW EXECUTE FUNCTION keep_ended_exchange();
CREATE TRIGGER append_only BEFORE DELETE ON exchange FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON exchange_attempt FOR EACH ROW EXECUTE FUNCTION refuse_change();
