-- What was taken before its file came is provisional from the upload until it is compared with
-- everybody. Of the day on which that was the row says nothing where its form has errors.
SET LOCAL ROLE cbi_owner;

ALTER TABLE cbi.import_row ADD COLUMN taken_on date;
CREATE INDEX import_outcome_by_household ON cbi.import_outcome (household_id, at)
    WHERE household_id IS NOT NULL;

-- As it was, and since when a row is or was provisional. KoboToolbox and ODK collect on a device, so
-- that each of their submissions was taken before it came, if only by minutes; other files say the
-- day only.
CREATE OR REPLACE VIEW cbi.import_row_standing WITH (security_invoker = true) AS
    SELECT r.import_id, r.row_no, r.partner_id, r.line, r.sheet, r.faults,
           coalesce(o.status, CASE WHEN r.sealed IS NULL THEN 'faulty' END, c.status, 'waiting')
               AS status,
           c.strength, coalesce(c.matches, 0) AS matches, c.why,
           o.household_id, coalesce(o.is_known, false) AS is_known,
           coalesce(o.is_changed, false) AS is_changed, o.refusal, r.masked,
           r.taken_on,
           CASE WHEN r.taken_on IS NOT NULL AND (f.format = 'kobo'
               OR r.taken_on < (f.opened_at AT TIME ZONE 'America/Lima')::date)
               THEN f.opened_at END AS provisional_from,
           coalesce(CASE WHEN c.why IS DISTINCT FROM 'not_compared' THEN c.checked_at END, o.at)
               AS provisional_until
    FROM cbi.import_row AS r
    JOIN cbi.import_file AS f USING (import_id)
    LEFT JOIN cbi.import_check AS c USING (import_id, row_no)
    LEFT JOIN cbi.import_outcome AS o USING (import_id, row_no);

RESET ROLE;
