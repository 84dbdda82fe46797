-- Values that a key had before its rotations. They pass until their overlap ends, are told apart from unknown ones after
-- it, and are never given out again. Old code runs beside it: it does not know the old values and refuses them.

CREATE TABLE "api_key_past_value" (
  "hash" BYTEA NOT NULL,
  "account_id" TEXT NOT NULL,
  "key_id" TEXT NOT NULL,
  "last_four" TEXT NOT NULL,
  "expires_at" TIMESTAMPTZ(3) NOT NULL,
  "replaced_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "api_key_past_value_pkey" PRIMARY KEY ("hash"),
  FOREIGN KEY ("account_id", "key_id") REFERENCES "api_key" ("account_id", "id")
);
CREATE INDEX "api_key_past_value_account_id_key_id_idx" ON "api_key_past_value"("account_id", "key_id");

CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON api_key_past_value
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', 'key_id', '');
