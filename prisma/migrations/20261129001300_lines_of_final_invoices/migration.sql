-- Lines of final invoices are refused as before, but each line looks its invoice up by its key. `= ANY` over an array was planned as a
-- scan of the whole table where it was small when a connection met it first, and kept so: 1,250 lines took 1.2 seconds over 4,000 invoices.
-- Old code runs beside it: what is refused is the same.

CREATE OR REPLACE FUNCTION keep_lines_of_finalised_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  -- A line that moves leaves one invoice and comes into another.
  left_id text := CASE TG_OP WHEN 'INSERT' THEN NEW.invoice_id ELSE OLD.invoice_id END;
  joined_id text := CASE TG_OP WHEN 'DELETE' THEN OLD.invoice_id ELSE NEW.invoice_id END;
BEGIN
  IF EXISTS (SELECT FROM invoice i WHERE i.id = left_id AND i.status <> 'draft')
    OR (joined_id <> left_id AND EXISTS (SELECT FROM invoice i WHERE i.id = joined_id AND i.status <> 'draft')) THEN
    RAISE EXCEPTION 'the lines of invoice % never change', left_id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
