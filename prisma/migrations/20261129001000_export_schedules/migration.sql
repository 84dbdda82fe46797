-- Exports that are written by themselves: schedules of an account, and a run for each of their periods.
--
-- Old code can run beside it: it writes none.

CREATE TABLE "export_schedule" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "export_name" TEXT NOT NULL,
    "format" TEXT NOT NULL,
    "interval" TEXT NOT NULL,
    "timezone" TEXT NOT NULL,
    "delay_hours" INTEGER NOT NULL,
    "waits_for_invoices" BOOLEAN NOT NULL,
    "target" JSONB NOT NULL,
    "place" TEXT NOT NULL,
    "sealed_secret_key" BYTEA,
    "next_from" TIMESTAMPTZ(3) NOT NULL,
    "due_at" TIMESTAMPTZ(3) NOT NULL,
    "disabled_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "export_schedule_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "export_run" (
    "id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "schedule_id" TEXT NOT NULL,
    "period_from" TIMESTAMPTZ(3) NOT NULL,
    "period_to" TIMESTAMPTZ(3) NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'pending',
    "place" TEXT,
    "rows" BIGINT,
    "bytes" BIGINT,
    "sha256" TEXT,
    "fault" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "tries" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL,
    "running_until" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "started_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "export_run_pkey" PRIMARY KEY ("id")
);

CREATE UNIQUE INDEX "export_schedule_account_id_id_key" ON "export_schedule"("account_id", "id");
CREATE UNIQUE INDEX "export_schedule_account_id_place_export_name_format_interva_key" ON "export_schedule"("account_id", "place", "export_name", "format", "interval");
CREATE INDEX "export_schedule_account_id_created_at_id_idx" ON "export_schedule"("account_id", "created_at", "id");
CREATE UNIQUE INDEX "export_run_schedule_id_period_from_period_to_key" ON "export_run"("schedule_id", "period_from", "period_to");
CREATE UNIQUE INDEX "export_run_account_id_id_key" ON "export_run"("account_id", "id");
CREATE INDEX "export_run_schedule_id_created_at_id_idx" ON "export_run"("schedule_id", "created_at", "id");

ALTER TABLE export_schedule
  ADD FOREIGN KEY (account_id) REFERENCES account (id),
  ADD CHECK (format IN ('csv', 'parquet')),
  ADD CHECK ("interval" IN ('day', 'week', 'month', 'quarter', 'year')),
  ADD CHECK (delay_hours >= 0),
  ADD CHECK (due_at > next_from),
  ADD CHECK ((target->>'kind' = 's3') = (sealed_secret_key IS NOT NULL));
CREATE INDEX export_schedule_due ON export_schedule (due_at) WHERE disabled_at IS NULL;

ALTER TABLE export_run
  ADD FOREIGN KEY (account_id, schedule_id) REFERENCES export_schedule (account_id, id) ON DELETE CASCADE,
  ADD CHECK (period_to > period_from),
  ADD CHECK (status IN ('pending', 'running', 'failed', 'done', 'dead')),
  ADD CHECK ((status = 'running') = (running_until IS NOT NULL)),
  ADD CHECK (status <> 'done' OR (place IS NOT NULL AND rows IS NOT NULL AND bytes IS NOT NULL AND sha256 IS NOT NULL));
CREATE INDEX export_run_due ON export_run (next_attempt_at) WHERE status IN ('pending', 'running', 'failed');
