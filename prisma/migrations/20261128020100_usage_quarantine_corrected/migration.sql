-- What was counted in the place of a quarantined record, when a person corrected it. What came stays as it is.
--
-- Old code can run beside it: it settles nothing.

ALTER TABLE usage_quarantine
  ADD COLUMN "corrected" TEXT,
  ADD CHECK (corrected IS NULL OR (state = 'counted' AND length(corrected) <= 16384));
