-- Whether new lines are of a draft is asked once for each invoice of a statement, not for each line: a month's end writes thousands at once. Lines that
-- change or go are asked about one by one, as before. Code of before runs beside it.
--
-- The look-up is a subquery with a limit, so that no plan of a connection that met the tables almost empty reads all invoices.

CREATE FUNCTION refuse_new_lines_of_finalised_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  final_id text;
BEGIN
  SELECT added.invoice_id INTO final_id
  FROM (SELECT DISTINCT invoice_id FROM added) AS added
  WHERE (SELECT i.status FROM invoice i WHERE i.id = added.invoice_id LIMIT 1) <> 'draft'
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'the lines of invoice % never change', final_id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;

DROP TRIGGER keep_finalised ON invoice_line;
CREATE TRIGGER keep_finalised BEFORE UPDATE OR DELETE ON invoice_line FOR EACH ROW EXECUTE FUNCTION keep_lines_of_finalised_invoice();
CREATE TRIGGER keep_finalised_new AFTER INSERT ON invoice_line REFERENCING NEW TABLE AS added FOR EACH STATEMENT
  EXECUTE FUNCTION refuse_new_lines_of_finalised_invoice();
