-- What a UIT is worth and what an instrument may be paid is entered by one person of coordination and
-- approved by another; nothing else counts. What was entered before is approved once, too.
SET LOCAL ROLE cbi_owner;

ALTER TABLE cbi.uit_value ADD CONSTRAINT uit_value_author_once UNIQUE (uit_no, entered_by);
ALTER TABLE cbi.instrument_cap ADD CONSTRAINT instrument_cap_author_once UNIQUE (cap_no, entered_by);

CREATE TABLE cbi.uit_approval (
    uit_no bigint CONSTRAINT uit_approval_once PRIMARY KEY,
    entered_by uuid NOT NULL,
    partner_id uuid NOT NULL CONSTRAINT uit_approval_of_partner REFERENCES cbi.partner,
    approved_by uuid NOT NULL,
    approved_at timestamptz NOT NULL,
    CONSTRAINT uit_approval_two_people CHECK (approved_by <> entered_by),
    CONSTRAINT uit_approval_of_value FOREIGN KEY (uit_no, entered_by)
        REFERENCES cbi.uit_value (uit_no, entered_by)
);
CALL cbi.make_append_only('cbi.uit_approval');
CALL cbi.guard('cbi.uit_approval', 'true', $$partner_id = cbi.partner_id()
    AND approved_by = cbi.actor_id() AND cbi.has_role('coordinator')$$);

CREATE TABLE cbi.cap_approval (
    cap_no bigint CONSTRAINT cap_approval_once PRIMARY KEY,
    entered_by uuid NOT NULL,
    partner_id uuid NOT NULL CONSTRAINT cap_approval_of_partner REFERENCES cbi.partner,
    approved_by uuid NOT NULL,
    approved_at timestamptz NOT NULL,
    CONSTRAINT cap_approval_two_people CHECK (approved_by <> entered_by),
    CONSTRAINT cap_approval_of_cap FOREIGN KEY (cap_no, entered_by)
        REFERENCES cbi.instrument_cap (cap_no, entered_by)
);
CALL cbi.make_append_only('cbi.cap_approval');
CALL cbi.guard('cbi.cap_approval', 'true', $$partner_id = cbi.partner_id()
    AND approved_by = cbi.actor_id() AND cbi.has_role('coordinator')$$);

-- A cap in UIT counts from a day on which an approved value counts. When it is entered there need be
-- none yet.
DROP TRIGGER instrument_cap_checked ON cbi.instrument_cap;
DROP FUNCTION cbi.check_instrument_cap();
CREATE FUNCTION cbi.check_cap_approval() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM cbi.instrument_cap AS c WHERE c.cap_no = NEW.cap_no
               AND c.unit = 'uit_thousandths' AND NOT EXISTS (
                   SELECT FROM cbi.uit_value AS u JOIN cbi.uit_approval AS a USING (uit_no)
                   WHERE u.effective_from <= c.effective_from)) THEN
        RAISE EXCEPTION 'no UIT is known for the first day of cap %', NEW.cap_no
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'cap_approval_has_uit';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER cap_approval_checked AFTER INSERT ON cbi.cap_approval
    FOR EACH ROW EXECUTE FUNCTION cbi.check_cap_approval();
ALTER TABLE cbi.cap_approval ENABLE ALWAYS TRIGGER cap_approval_checked;

-- A round is calculated on nothing that only one person has seen.
CREATE FUNCTION cbi.check_basis_caps() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(NEW.cap_nos) AS n(cap_no) WHERE NOT EXISTS (
                   SELECT FROM cbi.cap_approval AS a WHERE a.cap_no = n.cap_no))
       OR NEW.uit_no IS NOT NULL AND NOT EXISTS (
                   SELECT FROM cbi.uit_approval AS a WHERE a.uit_no = NEW.uit_no) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'calculation_basis_of_approved_caps');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER calculation_basis_caps_checked AFTER INSERT ON cbi.calculation_basis
    FOR EACH ROW EXECUTE FUNCTION cbi.check_basis_caps();
ALTER TABLE cbi.calculation_basis ENABLE ALWAYS TRIGGER calculation_basis_caps_checked;

RESET ROLE;
