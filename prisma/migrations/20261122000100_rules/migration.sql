-- What must always hold and Prisma cannot say: references within one account, honest numbers, rows that never
-- change, and the news of every change of policy. Part of the first release; nothing runs beside it.

-- 1 References. Each carries account_id, so that no row can point into another account.

ALTER TABLE customer ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE gateway ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE access_key ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE idempotency_key ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE audit_event ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE token
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD FOREIGN KEY (account_id, gateway_id) REFERENCES gateway (account_id, id) ON DELETE CASCADE,
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id) ON DELETE CASCADE;

ALTER TABLE api ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE method ADD FOREIGN KEY (account_id, api_id) REFERENCES api (account_id, id) ON DELETE CASCADE;
ALTER TABLE stage ADD FOREIGN KEY (account_id, api_id) REFERENCES api (account_id, id);
ALTER TABLE stage_method_throttle
  ADD FOREIGN KEY (account_id, api_id, stage) REFERENCES stage (account_id, api_id, name) ON DELETE CASCADE;
ALTER TABLE usage_plan ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE usage_plan_stage
  ADD UNIQUE (account_id, usage_plan_id, api_id, stage),
  ADD FOREIGN KEY (account_id, usage_plan_id) REFERENCES usage_plan (account_id, id),
  ADD FOREIGN KEY (account_id, api_id, stage) REFERENCES stage (account_id, api_id, name);
ALTER TABLE usage_plan_method_throttle
  ADD FOREIGN KEY (account_id, usage_plan_id, api_id, stage)
    REFERENCES usage_plan_stage (account_id, usage_plan_id, api_id, stage) ON DELETE CASCADE;
ALTER TABLE api_key ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id);
ALTER TABLE usage_plan_key
  ADD UNIQUE (account_id, usage_plan_id, key_id),
  ADD FOREIGN KEY (account_id, usage_plan_id) REFERENCES usage_plan (account_id, id) ON DELETE CASCADE,
  ADD FOREIGN KEY (account_id, key_id) REFERENCES api_key (account_id, id);
ALTER TABLE usage_plan_key_stage
  ADD FOREIGN KEY (account_id, usage_plan_id, key_id)
    REFERENCES usage_plan_key (account_id, usage_plan_id, key_id) ON DELETE CASCADE,
  ADD FOREIGN KEY (account_id, usage_plan_id, api_id, stage)
    REFERENCES usage_plan_stage (account_id, usage_plan_id, api_id, stage) ON DELETE CASCADE;

ALTER TABLE usage_plan_key_stage_past ADD FOREIGN KEY (account_id, key_id) REFERENCES api_key (account_id, id);

ALTER TABLE quota_spend
  ADD FOREIGN KEY (account_id, customer_id, key_id) REFERENCES api_key (account_id, customer_id, id);

ALTER TABLE usage_batch ADD FOREIGN KEY (account_id, gateway_id) REFERENCES gateway (account_id, id);
ALTER TABLE usage_epoch ADD FOREIGN KEY (account_id, gateway_id) REFERENCES gateway (account_id, id);
-- usage_record and usage_hour carry no foreign keys: their ids are checked once when a batch comes in,
-- and keys and customers with usage are never deleted (tombstones).

ALTER TABLE rate_card ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE rate_card_version
  ADD UNIQUE (account_id, rate_card_id, version),
  ADD FOREIGN KEY (account_id, rate_card_id) REFERENCES rate_card (account_id, id);
ALTER TABLE subscription
  ADD FOREIGN KEY (account_id, customer_id) REFERENCES customer (account_id, id),
  ADD FOREIGN KEY (account_id, usage_plan_id) REFERENCES usage_plan (account_id, id),
  ADD FOREIGN KEY (account_id, rate_card_id, rate_card_version)
    REFERENCES rate_card_version (account_id, rate_card_id, version);
ALTER TABLE invoice
  ADD FOREIGN KEY (account_id, customer_id, subscription_id) REFERENCES subscription (account_id, customer_id, id);
ALTER TABLE invoice_line
  ADD FOREIGN KEY (account_id, customer_id, invoice_id) REFERENCES invoice (account_id, customer_id, id) ON DELETE CASCADE;
ALTER TABLE invoice_series ADD FOREIGN KEY (account_id) REFERENCES account (id);

-- 2 Honest values. Postgres' numeric takes NaN and Infinity, and both are greater than any bound.

ALTER TABLE account
  ADD CHECK (mode IN ('live', 'test')),
  ADD CHECK (mode = 'test' OR clock_offset_ms = 0),
  ADD CHECK (rate_limit >= 0 AND rate_limit <= 1e9 AND burst_limit >= 0);
CREATE UNIQUE INDEX account_one_default ON account (is_default) WHERE is_default;
ALTER TABLE token
  ADD CHECK (kind IN ('operator', 'gateway', 'customer')),
  ADD CHECK ((kind = 'operator') = (role IS NOT NULL)),
  ADD CHECK ((kind = 'gateway') = (gateway_id IS NOT NULL)),
  ADD CHECK ((kind = 'customer') = (customer_id IS NOT NULL)),
  ADD CHECK (role IN ('owner', 'admin', 'finance', 'support', 'read-only'));
ALTER TABLE api
  ADD CHECK (protocol IN ('REST', 'HTTP', 'WEBSOCKET')),
  ADD CHECK (ambiguous_path IN ('refuse', 'strictest', 'normalise'));
ALTER TABLE stage
  ADD CHECK ((rate_limit IS NULL) = (burst_limit IS NULL)),
  ADD CHECK (rate_limit >= 0 AND rate_limit <= 1e9 AND burst_limit >= 0);
ALTER TABLE stage_method_throttle ADD CHECK (rate_limit >= 0 AND rate_limit <= 1e9 AND burst_limit >= 0);
ALTER TABLE usage_plan_method_throttle ADD CHECK (rate_limit >= 0 AND rate_limit <= 1e9 AND burst_limit >= 0);
ALTER TABLE usage_plan
  ADD CHECK ((rate_limit IS NULL) = (burst_limit IS NULL)),
  ADD CHECK (rate_limit >= 0 AND rate_limit <= 1e9 AND burst_limit >= 0),
  ADD CHECK ((quota_limit IS NULL) = (quota_period IS NULL) AND (quota_limit IS NULL) = (quota_offset IS NULL)),
  ADD CHECK (quota_limit >= 0),
  ADD CHECK (quota_period IN ('DAY', 'WEEK', 'MONTH')),
  ADD CHECK (quota_offset BETWEEN 0 AND CASE quota_period WHEN 'DAY' THEN 0 WHEN 'WEEK' THEN 6 ELSE 27 END),
  ADD CHECK (on_failure IN ('deny', 'allow'));
ALTER TABLE quota_spend ADD CHECK (debited >= 0), ADD CHECK (period_from < period_to);
ALTER TABLE usage_batch ADD CHECK (sequence >= 0), ADD CHECK (record_count >= 0);
ALTER TABLE usage_epoch ADD CHECK (highest >= 0 AND batches BETWEEN 1 AND highest + 1);
ALTER TABLE usage_record ADD CHECK (quantity >= 0 AND quantity < 1e26);
ALTER TABLE usage_hour ADD CHECK (quantity >= 0 AND quantity < 1e38);
ALTER TABLE subscription
  ADD CHECK (starts_at <= billed_to),
  ADD CHECK (ends_at IS NULL OR ends_at > starts_at),
  ADD CHECK (ends_at IS NULL OR ends_at >= billed_to),
  ADD CHECK (closes_at > billed_to),
  ADD CHECK (closes_at IS NOT NULL OR ends_at = billed_to),
  ADD CHECK (net_terms_days BETWEEN 0 AND 365);
ALTER TABLE invoice
  ADD CHECK (status IN ('draft', 'finalised', 'paid', 'void', 'uncollectible')),
  ADD CHECK ((status = 'draft') = (number IS NULL)),
  ADD CHECK ((status = 'draft') = (issued_at IS NULL)),
  ADD CHECK (period_from < period_to),
  ADD CHECK (total_minor = subtotal_minor + tax_minor);
ALTER TABLE invoice_line
  ADD CHECK (quantity >= 0 AND quantity < 1e26),
  ADD CHECK (amount > -1e30 AND amount < 1e30);
ALTER TABLE invoice_series ADD CHECK (next_number > 0);

-- 3 A key at most once per stage. usage_plan_key_stage lists every (key, stage) that a plan covers, and its
-- primary key refuses the second. Locking the plan's row orders a new key against a new stage of the same plan.
-- Rows are taken in the order (stage, key), so that two plans that grow at once wait for each other in one direction.

CREATE FUNCTION cover_stages_of_plan_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM usage_plan WHERE id = NEW.usage_plan_id FOR NO KEY UPDATE;
  INSERT INTO usage_plan_key_stage (account_id, key_id, api_id, stage, usage_plan_id)
  SELECT NEW.account_id, NEW.key_id, s.api_id, s.stage, NEW.usage_plan_id
  FROM usage_plan_stage s WHERE s.usage_plan_id = NEW.usage_plan_id
  ORDER BY s.api_id, s.stage;
  RETURN NULL;
END $$;
CREATE TRIGGER cover_stages AFTER INSERT ON usage_plan_key
  FOR EACH ROW EXECUTE FUNCTION cover_stages_of_plan_key();

CREATE FUNCTION cover_keys_of_plan_stage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM usage_plan WHERE id = NEW.usage_plan_id FOR NO KEY UPDATE;
  INSERT INTO usage_plan_key_stage (account_id, key_id, api_id, stage, usage_plan_id)
  SELECT NEW.account_id, k.key_id, NEW.api_id, NEW.stage, NEW.usage_plan_id
  FROM usage_plan_key k WHERE k.usage_plan_id = NEW.usage_plan_id
  ORDER BY k.key_id;
  RETURN NULL;
END $$;
CREATE TRIGGER cover_keys AFTER INSERT ON usage_plan_stage
  FOR EACH ROW EXECUTE FUNCTION cover_keys_of_plan_stage();

-- A key's last usage comes in after it has left its plan, and counts for the plan that it had left then.
CREATE FUNCTION remember_left_stage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO usage_plan_key_stage_past (account_id, key_id, api_id, stage, usage_plan_id)
  VALUES (OLD.account_id, OLD.key_id, OLD.api_id, OLD.stage, OLD.usage_plan_id)
  ON CONFLICT (key_id, api_id, stage) DO UPDATE
  SET usage_plan_id = excluded.usage_plan_id, left_at = excluded.left_at;
  RETURN NULL;
END $$;
CREATE TRIGGER remember AFTER DELETE ON usage_plan_key_stage
  FOR EACH ROW EXECUTE FUNCTION remember_left_stage();

-- 4 Rows that never change. A row trigger does not see TRUNCATE, so each table has both.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: its rows never change', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audit_event EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON rate_card_version FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON rate_card_version EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON invoice EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON invoice_line EXECUTE FUNCTION refuse_change();

-- From finalised on, only the status of an invoice moves, and only forward.
CREATE FUNCTION keep_finalised_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status = 'draft' THEN
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  END IF;
  IF TG_OP = 'DELETE' OR to_jsonb(OLD) - 'status' <> to_jsonb(NEW) - 'status'
     OR NOT (OLD.status, NEW.status) IN (
       ('finalised', 'finalised'), ('finalised', 'paid'), ('finalised', 'void'), ('finalised', 'uncollectible'),
       ('uncollectible', 'paid'), ('uncollectible', 'void')) THEN
    RAISE EXCEPTION 'invoice % is finalised and never changes', OLD.id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep_finalised BEFORE UPDATE OR DELETE ON invoice
  FOR EACH ROW EXECUTE FUNCTION keep_finalised_invoice();

CREATE FUNCTION keep_lines_of_finalised_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  -- A line that moves leaves one invoice and comes into another.
  invoices text[] := CASE TG_OP
    WHEN 'INSERT' THEN ARRAY[NEW.invoice_id] WHEN 'DELETE' THEN ARRAY[OLD.invoice_id]
    ELSE ARRAY[OLD.invoice_id, NEW.invoice_id] END;
BEGIN
  IF EXISTS (SELECT FROM invoice i WHERE i.id = ANY (invoices) AND i.status <> 'draft') THEN
    RAISE EXCEPTION 'the lines of invoice % never change', invoices[1] USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER keep_finalised BEFORE INSERT OR UPDATE OR DELETE ON invoice_line
  FOR EACH ROW EXECUTE FUNCTION keep_lines_of_finalised_invoice();

-- A customer has at most one subscription to a usage plan at any instant. An exclusion constraint would say so, but
-- needs the extension btree_gist; the lock orders two that come at once, since neither sees the other.
CREATE FUNCTION refuse_second_subscription() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('subscription ' || NEW.customer_id || ' ' || NEW.usage_plan_id, 0));
  IF EXISTS (
    SELECT FROM subscription s
    WHERE s.account_id = NEW.account_id AND s.customer_id = NEW.customer_id AND s.usage_plan_id = NEW.usage_plan_id
      AND s.id <> NEW.id
      AND tstzrange(s.starts_at, s.ends_at) && tstzrange(NEW.starts_at, NEW.ends_at)
  ) THEN
    RAISE EXCEPTION 'customer % has a subscription to % at that time', NEW.customer_id, NEW.usage_plan_id
      USING ERRCODE = 'unique_violation', CONSTRAINT = 'subscription_one_at_a_time';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER one_at_a_time BEFORE INSERT OR UPDATE OF customer_id, usage_plan_id, starts_at, ends_at ON subscription
  FOR EACH ROW EXECUTE FUNCTION refuse_second_subscription();

-- 5 News of a change of policy, sent on commit, whoever made the change. A payload with keyId is about one key,
-- with tokenId about one token, otherwise about the whole account.

CREATE FUNCTION tell_policy_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed jsonb := to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END);
BEGIN
  PERFORM pg_notify('tollgate_policy', jsonb_strip_nulls(jsonb_build_object(
    'accountId', changed ->> TG_ARGV[0],
    'keyId', changed ->> TG_ARGV[1],
    'tokenId', changed ->> TG_ARGV[2]))::text);
  RETURN NULL;
END $$;

CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON api_key
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', 'id', '');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON usage_plan_key
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', 'key_id', '');
CREATE TRIGGER tell AFTER UPDATE OR DELETE ON token
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', '', 'id');
CREATE TRIGGER tell AFTER UPDATE OR DELETE ON account
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('id', '', '');
CREATE TRIGGER tell AFTER UPDATE OR DELETE ON gateway
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', '', '');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON api
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', '', '');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON method
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', '', '');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON stage
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', '', '');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON stage_method_throttle
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', '', '');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON usage_plan
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', '', '');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON usage_plan_stage
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', '', '');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON usage_plan_method_throttle
  FOR EACH ROW EXECUTE FUNCTION tell_policy_change('account_id', '', '');

-- 6 Partitions of usage_record, a day each, made ahead of time by the worker. The default one only catches what
-- comes when no worker has run for a week.

CREATE TABLE usage_record_default PARTITION OF usage_record DEFAULT;

CREATE FUNCTION ensure_usage_partitions(first_day date, days int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  day date;
  made int := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ensure_usage_partitions'));
  FOR day IN SELECT first_day + n FROM generate_series(0, days - 1) n LOOP
    CONTINUE WHEN to_regclass(format('usage_record_%s', to_char(day, 'YYYYMMDD'))) IS NOT NULL;
    BEGIN
      EXECUTE format('CREATE TABLE %I PARTITION OF usage_record FOR VALUES FROM (%L) TO (%L)',
        'usage_record_' || to_char(day, 'YYYYMMDD'), day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
      made := made + 1;
    EXCEPTION WHEN check_violation THEN
      NULL; -- The default partition has records of this day already, and keeps it.
    END;
  END LOOP;
  RETURN made;
END $$;

-- Batches that wait for the roll-up.
CREATE INDEX usage_batch_waiting ON usage_batch (id) WHERE rolled_up_at IS NULL;
