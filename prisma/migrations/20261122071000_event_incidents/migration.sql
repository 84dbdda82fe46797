-- Incidents of events: a (source, id) that came again with other content. An incident has the columns of its kind and no others.
--
-- Old code can run beside it, but cannot list incidents once there is one of an event.

ALTER TABLE "incident"
  ALTER COLUMN "epoch" DROP NOT NULL,
  ALTER COLUMN "sequence" DROP NOT NULL,
  ADD COLUMN "source" TEXT,
  ADD COLUMN "event_id" TEXT,
  ADD COLUMN "event_identity" UUID;

-- The same other content of an event is one incident of its account, whichever gateway sends it. Batches have null here.
CREATE UNIQUE INDEX "incident_event_identity_other_hash_key" ON "incident"("event_identity", "other_hash");

ALTER TABLE incident
  DROP CONSTRAINT incident_kind_check,
  ADD CONSTRAINT incident_kind_check CHECK (CASE kind
    WHEN 'batch-conflict' THEN num_nulls(epoch, sequence) = 0 AND num_nonnulls(source, event_id, event_identity) = 0
    WHEN 'event-conflict' THEN num_nulls(source, event_id, event_identity) = 0 AND num_nonnulls(epoch, sequence) = 0
    ELSE false END);
