-- Drafts gather usage for some hours and are then made final by the worker, unless the account wants each of them approved. An
-- account that is there already keeps deciding by itself: it wants approval, as before every invoice waited for a person. Drafts that
-- are there have no end of their collection and are never made final by themselves.
--
-- Old code can run beside it: it makes drafts without an end of their collection, and makes them final on demand only.

ALTER TABLE account
  ADD COLUMN "collection_hours" INTEGER NOT NULL DEFAULT 24,
  ADD COLUMN "requires_approval" BOOLEAN NOT NULL DEFAULT false,
  ADD CHECK (collection_hours BETWEEN 0 AND 720);
UPDATE account SET requires_approval = true;
ALTER TABLE issuer
  ADD COLUMN "collection_hours" INTEGER,
  ADD COLUMN "requires_approval" BOOLEAN,
  ADD CHECK (collection_hours BETWEEN 0 AND 720);

ALTER TABLE invoice
  ADD COLUMN "collects_until" TIMESTAMPTZ(3),
  ADD COLUMN "finalise_at" TIMESTAMPTZ(3),
  ADD COLUMN "held_for" TEXT,
  ADD COLUMN "approved_at" TIMESTAMPTZ(3),
  ADD COLUMN "approved_by" TEXT,
  ADD COLUMN "content_hash" BYTEA,
  ADD CHECK (finalise_at IS NULL OR status = 'draft'),
  ADD CHECK (held_for IS NULL OR status = 'draft'),
  ADD CHECK (held_for IN ('usage-gap', 'usage-quarantined', 'usage-correction-waiting')),
  ADD CHECK ((approved_at IS NULL) = (approved_by IS NULL));
-- What the worker makes final next.
CREATE INDEX invoice_to_finalise ON invoice (account_id, finalise_at, id) WHERE finalise_at IS NOT NULL;
