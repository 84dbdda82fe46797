-- What is told to the outside: webhook endpoints with their secrets, events, deliveries with their attempts, and e-mail.
-- New tables; old code beside it does not look.

CREATE TABLE "webhook_endpoint" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "description" TEXT,
    "event_types" TEXT[],
    "disabled_at" TIMESTAMPTZ(3),
    "disabled_reason" TEXT,
    "failing_since" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_endpoint_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "webhook_secret" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "endpoint_id" TEXT NOT NULL,
    "sealed" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "webhook_secret_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "webhook_event" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "subject_id" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "webhook_event_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "webhook_delivery" (
    "account_id" TEXT NOT NULL,
    "endpoint_id" TEXT NOT NULL,
    "event_id" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'pending',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "tries" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL,
    "sending_until" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "webhook_delivery_pkey" PRIMARY KEY ("endpoint_id","event_id")
);

CREATE TABLE "webhook_attempt" (
    "account_id" TEXT NOT NULL,
    "endpoint_id" TEXT NOT NULL,
    "event_id" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "status" INTEGER,
    "fault" TEXT,
    "latency_ms" INTEGER NOT NULL,
    "excerpt" TEXT,

    CONSTRAINT "webhook_attempt_pkey" PRIMARY KEY ("endpoint_id","event_id","attempt")
);

CREATE TABLE "email_message" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "cause" TEXT NOT NULL,
    "recipient" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "text" TEXT NOT NULL,
    "html" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'pending',
    "tries" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL,
    "sending_until" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "email_message_pkey" PRIMARY KEY ("id")
);

CREATE INDEX "webhook_endpoint_account_id_created_at_id_idx" ON "webhook_endpoint"("account_id", "created_at", "id");

CREATE UNIQUE INDEX "webhook_endpoint_account_id_id_key" ON "webhook_endpoint"("account_id", "id");

CREATE INDEX "webhook_secret_endpoint_id_idx" ON "webhook_secret"("endpoint_id");

CREATE INDEX "webhook_event_account_id_created_at_id_idx" ON "webhook_event"("account_id", "created_at", "id");

CREATE INDEX "webhook_event_created_at_idx" ON "webhook_event"("created_at");

CREATE UNIQUE INDEX "webhook_event_account_id_id_key" ON "webhook_event"("account_id", "id");

CREATE UNIQUE INDEX "webhook_event_account_id_type_subject_id_key" ON "webhook_event"("account_id", "type", "subject_id");

CREATE INDEX "webhook_delivery_endpoint_id_created_at_event_id_idx" ON "webhook_delivery"("endpoint_id", "created_at", "event_id");

CREATE INDEX "webhook_delivery_event_id_idx" ON "webhook_delivery"("event_id");

CREATE UNIQUE INDEX "webhook_delivery_account_id_endpoint_id_event_id_key" ON "webhook_delivery"("account_id", "endpoint_id", "event_id");

CREATE INDEX "email_message_created_at_idx" ON "email_message"("created_at");

CREATE UNIQUE INDEX "email_message_account_id_cause_recipient_key" ON "email_message"("account_id", "cause", "recipient");

ALTER TABLE webhook_endpoint
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
  ADD CHECK (disabled_reason IN ('by-hand', 'gone', 'failing'));
ALTER TABLE webhook_secret
  ADD FOREIGN KEY (account_id, endpoint_id) REFERENCES webhook_endpoint (account_id, id) ON DELETE CASCADE;
ALTER TABLE webhook_event ADD FOREIGN KEY (account_id) REFERENCES account (id);
ALTER TABLE webhook_delivery
  ADD FOREIGN KEY (account_id, endpoint_id) REFERENCES webhook_endpoint (account_id, id) ON DELETE CASCADE,
  ADD FOREIGN KEY (account_id, event_id) REFERENCES webhook_event (account_id, id) ON DELETE CASCADE,
  ADD CHECK (status IN ('pending', 'delivered', 'dead')),
  ADD CHECK ((status = 'pending') = (ended_at IS NULL)),
  ADD CHECK (tries >= 0 AND attempts >= tries);
ALTER TABLE webhook_attempt
  ADD FOREIGN KEY (account_id, endpoint_id, event_id)
    REFERENCES webhook_delivery (account_id, endpoint_id, event_id) ON DELETE CASCADE,
  ADD CHECK ((status IS NULL) <> (fault IS NULL));
ALTER TABLE email_message
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD CHECK (status IN ('pending', 'sent', 'dead')),
  ADD CHECK ((status = 'pending') = (ended_at IS NULL)),
  ADD CHECK (recipient !~ '[[:cntrl:]]' AND subject !~ '[[:cntrl:]]');

-- What waits to be sent.
CREATE INDEX webhook_delivery_waiting ON webhook_delivery (next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_delivery_of_endpoint ON webhook_delivery (endpoint_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX email_message_waiting ON email_message (next_attempt_at) WHERE status = 'pending';
