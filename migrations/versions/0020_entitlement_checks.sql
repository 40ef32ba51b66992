-- The entitlements of a page are checked together: the round is not calculated yet, the family is
-- the household's of today, round and enrolment are the row's own. Triggers for each row and
-- foreign keys said the same, and took half of a calculation. As they did, this one holds for
-- everybody, whatever the session's replication role.
SET LOCAL ROLE cbi_owner;

-- Foreign keys also kept what they point to. Rounds are append-only; an enrolment only closes, and
-- now for the table's owner as well.
CREATE FUNCTION cbi.refuse_enrolment_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.enrolment_id, NEW.programme_id, NEW.partner_id, NEW.household_id,
            NEW.beneficiary_id, NEW.assistance_group) IS NOT DISTINCT FROM
           (OLD.enrolment_id, OLD.programme_id, OLD.partner_id, OLD.household_id,
            OLD.beneficiary_id, OLD.assistance_group) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'an enrolment only closes: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'enrolment_kept';
END $$;
CREATE TRIGGER enrolment_kept BEFORE UPDATE OR DELETE ON cbi.enrolment
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_enrolment_change();
CREATE TRIGGER enrolment_table_kept BEFORE TRUNCATE ON cbi.enrolment
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.refuse_enrolment_change();
ALTER TABLE cbi.enrolment ENABLE ALWAYS TRIGGER enrolment_kept;
ALTER TABLE cbi.enrolment ENABLE ALWAYS TRIGGER enrolment_table_kept;
-- The pages of a calculation follow one another in this order.
CREATE INDEX enrolment_in_order ON cbi.enrolment (programme_id, enrolment_id)
    WHERE closed_at IS NULL;

DROP TRIGGER family_of_today ON cbi.entitlement;
DROP TRIGGER entitlement_before_signatures ON cbi.entitlement;
DROP FUNCTION cbi.refuse_late_entitlement();
ALTER TABLE cbi.entitlement
    DROP CONSTRAINT entitlement_of_round,
    DROP CONSTRAINT entitlement_of_enrolment;

-- The locks come before the looking, and are held until commit: a signature or a decision that was
-- made meanwhile is seen, and one that comes later waits. Rows are looked up by id, for a planner
-- that has not heard of a table's growth would walk or hash all of it for each page.
CREATE FUNCTION cbi.check_entitlements() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    wrong uuid;
BEGIN
    PERFORM cbi.lock_round(r.round_id)
    FROM (SELECT DISTINCT n.round_id FROM new_entitlements AS n ORDER BY n.round_id) AS r;
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('cbi.families', 0));

    SELECT r.round_id INTO wrong FROM (SELECT DISTINCT n.round_id FROM new_entitlements AS n) AS r
    WHERE EXISTS (SELECT FROM cbi.round_step AS s WHERE s.round_id = r.round_id) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'round % is calculated', wrong
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'entitlement_before_signatures';
    END IF;

    SELECT n.household_id INTO wrong FROM new_entitlements AS n
    WHERE n.beneficiary_id IS DISTINCT FROM (
        SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = n.household_id
        ORDER BY m.membership_no DESC LIMIT 1) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'household % is of another family', wrong
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'family_of_today';
    END IF;

    SELECT r.round_id INTO wrong
    FROM (SELECT DISTINCT n.round_id, n.partner_id, n.months FROM new_entitlements AS n) AS r
    WHERE NOT EXISTS (SELECT FROM cbi.round AS o WHERE o.round_id = r.round_id
        AND o.partner_id = r.partner_id AND o.months = r.months) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'an entitlement is not of round %', wrong
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'entitlement_of_round';
    END IF;

    SELECT n.enrolment_id INTO wrong FROM new_entitlements AS n
    WHERE NOT EXISTS (SELECT FROM cbi.enrolment AS e WHERE e.enrolment_id = n.enrolment_id
        AND e.partner_id = n.partner_id AND e.household_id = n.household_id
        AND e.assistance_group = n.assistance_group) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'an entitlement is not of enrolment %', wrong
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'entitlement_of_enrolment';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entitlement_checked AFTER INSERT ON cbi.entitlement
    REFERENCING NEW TABLE AS new_entitlements
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_entitlements();
ALTER TABLE cbi.entitlement ENABLE ALWAYS TRIGGER entitlement_checked;

-- The two rules against paying a month twice stay exclusion constraints. Four columns made their
-- indexes the dearest part of a calculation; one number for what must be equal has a third of the
-- price. What is equal has equal numbers, so nothing that was refused gets through; that two
-- different ones among millions share a number and are refused has a chance of some in 10^8.
CREATE FUNCTION cbi.claim_of(who uuid, assistance_group text, kind text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN uuid_hash_extended(who, hashtextextended(assistance_group || ' ' || kind, 0));
ALTER TABLE cbi.entitlement
    DROP CONSTRAINT entitlement_no_overlap,
    DROP CONSTRAINT entitlement_no_overlap_of_household,
    ADD CONSTRAINT entitlement_no_overlap EXCLUDE USING gist (
        cbi.claim_of(beneficiary_id, assistance_group, kind) WITH =, months WITH &&)
        WHERE (cancelled_at IS NULL),
    ADD CONSTRAINT entitlement_no_overlap_of_household EXCLUDE USING gist (
        cbi.claim_of(household_id, assistance_group, kind) WITH =, months WITH &&)
        WHERE (cancelled_at IS NULL);

RESET ROLE;
-- Which of these families have assistance of this group in these months, outside this round. Asked
-- of a page of families, of which hardly one has: so promises are looked for first, and whose
-- family the household is today only where there is one. Written so that the household's is the
-- one index that serves: on a small table any other looks as good, and plans outlive the smallness.
CREATE OR REPLACE FUNCTION cbi.assisted(
    wanted uuid[], wanted_group text, wanted_months daterange, outside uuid)
RETURNS TABLE (beneficiary_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off AS $$
    WITH promised AS MATERIALIZED (
        SELECT DISTINCT m.household_id, m.beneficiary_id
        FROM unnest(wanted) AS w(beneficiary_id) JOIN cbi.membership AS m USING (beneficiary_id)
        WHERE (SELECT bool_or(e.assistance_group = wanted_group AND e.months && wanted_months
                    AND e.cancelled_at IS NULL AND e.round_id <> outside)
               FROM cbi.entitlement AS e WHERE e.household_id = m.household_id))
    SELECT DISTINCT p.beneficiary_id FROM promised AS p
    WHERE p.beneficiary_id = (
        SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = p.household_id
        ORDER BY m.membership_no DESC LIMIT 1)
$$;
