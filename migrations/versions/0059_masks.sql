-- What a fault shows of a value is masked, and still part of a document's number. It is sealed under
-- the file's own key, and so ends with the file. What stands there in the clear is taken out.
SET LOCAL ROLE cbi_owner;

-- The masked values of `faults`, in their order.
ALTER TABLE cbi.import_row ADD COLUMN masked bytea;

ALTER TABLE cbi.import_row DISABLE TRIGGER append_only_row;
ALTER TABLE cbi.import_row NO FORCE ROW LEVEL SECURITY;
UPDATE cbi.import_row AS r SET faults = (
    SELECT jsonb_agg(f.fault - 'value' ORDER BY f.place)
    FROM jsonb_array_elements(r.faults) WITH ORDINALITY AS f(fault, place))
WHERE jsonb_path_exists(r.faults, '$[*].value');
ALTER TABLE cbi.import_row FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.import_row ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE cbi.import_row ADD CONSTRAINT import_row_faults_without_values CHECK (
    NOT jsonb_path_exists(faults, '$[*].value'));

CREATE OR REPLACE VIEW cbi.import_row_standing WITH (security_invoker = true) AS
    SELECT r.import_id, r.row_no, r.partner_id, r.line, r.sheet, r.faults,
           coalesce(o.status, CASE WHEN r.sealed IS NULL THEN 'faulty' END, c.status, 'waiting')
               AS status,
           c.strength, coalesce(c.matches, 0) AS matches, c.why,
           o.household_id, coalesce(o.is_known, false) AS is_known,
           coalesce(o.is_changed, false) AS is_changed, o.refusal, r.masked
    FROM cbi.import_row AS r
    LEFT JOIN cbi.import_check AS c USING (import_id, row_no)
    LEFT JOIN cbi.import_outcome AS o USING (import_id, row_no);

RESET ROLE;
