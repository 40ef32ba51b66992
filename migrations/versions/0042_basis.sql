-- What a round was calculated on, said once with its first page: every later page, and whoever asks
-- years later, reads the same versions.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.calculation_basis (
    round_id uuid CONSTRAINT calculation_basis_once PRIMARY KEY,
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    value_versions integer[] NOT NULL
        CONSTRAINT calculation_basis_has_values CHECK (cardinality(value_versions) > 0),
    schedule_version integer,
    top_up_version integer,
    cap_nos bigint[] NOT NULL,
    uit_no bigint,
    CONSTRAINT calculation_basis_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id)
);
CALL cbi.make_append_only('cbi.calculation_basis');
CALL cbi.guard('cbi.calculation_basis',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);
-- Rounds that were calculated before have none.
ALTER TABLE cbi.calculation_page
    ADD COLUMN top_ups integer NOT NULL DEFAULT 0
        CONSTRAINT calculation_page_top_ups CHECK (top_ups BETWEEN 0 AND payments),
    ADD CONSTRAINT calculation_page_on_basis FOREIGN KEY (round_id)
        REFERENCES cbi.calculation_basis (round_id) NOT VALID;

-- Only what was approved, and of that what counts on the day the round pays.
CREATE FUNCTION cbi.check_calculation_basis() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this record;
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    SELECT o.programme_id, o.pays_on INTO this FROM cbi.round AS o WHERE o.round_id = NEW.round_id;
    IF NEW.value_versions IS DISTINCT FROM (
            SELECT array_agg(v.version ORDER BY v.version) FROM (
                SELECT DISTINCT ON (t.content ->> 'area') t.version FROM cbi.term AS t
                JOIN cbi.term_approval AS a USING (programme_id, kind, version)
                WHERE t.programme_id = this.programme_id AND t.kind = 'values'
                    AND t.effective_from <= this.pays_on
                ORDER BY t.content ->> 'area', t.effective_from DESC, t.version DESC) AS v)
       OR NEW.schedule_version IS DISTINCT FROM (
            SELECT t.version FROM cbi.term_in_force(this.programme_id, 'schedule', this.pays_on) AS t)
       OR NEW.top_up_version IS DISTINCT FROM (
            SELECT t.version FROM cbi.term_in_force(this.programme_id, 'top_up', this.pays_on) AS t)
    THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'calculation_basis_in_force');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER calculation_basis_checked AFTER INSERT ON cbi.calculation_basis
    FOR EACH ROW EXECUTE FUNCTION cbi.check_calculation_basis();
ALTER TABLE cbi.calculation_basis ENABLE ALWAYS TRIGGER calculation_basis_checked;

-- ---------------------------------------------------------------- instalments

-- For how many months of its round an entitlement pays; of one from before this, for all of them.
ALTER TABLE cbi.entitlement ADD COLUMN paid_months smallint
    CONSTRAINT entitlement_paid_months_range CHECK (paid_months BETWEEN 1 AND 12);

CREATE FUNCTION cbi.months_promised(enrolment uuid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
    SELECT coalesce(sum(coalesce(e.paid_months,
        (extract(year FROM upper(e.months)) - extract(year FROM lower(e.months))) * 12
        + extract(month FROM upper(e.months)) - extract(month FROM lower(e.months)))), 0)::bigint
    FROM cbi.entitlement AS e
    WHERE e.enrolment_id = enrolment AND e.kind = 'instalment' AND e.cancelled_at IS NULL
$$;

-- As before; and each entitlement is on the basis of its round, and with it the enrolment has no
-- more months than its instalments. Rounds of one programme are counted one after the other, so
-- that two at once can't give the last instalment twice.
CREATE OR REPLACE FUNCTION cbi.check_entitlements() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    wrong uuid;
    limited record;
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

    SELECT r.round_id INTO wrong
    FROM (SELECT DISTINCT n.round_id, n.kind, n.value_version FROM new_entitlements AS n) AS r
    WHERE NOT EXISTS (SELECT FROM cbi.calculation_basis AS b WHERE b.round_id = r.round_id
        AND CASE r.kind WHEN 'instalment' THEN r.value_version = ANY (b.value_versions)
            ELSE r.value_version = b.top_up_version END) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'an entitlement is not on the basis of round %', wrong
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'entitlement_on_basis';
    END IF;

    FOR limited IN
        SELECT r.round_id, o.programme_id, (t.content ->> 'instalments')::integer
            * (t.content ->> 'every_months')::integer AS months_max
        FROM (SELECT DISTINCT n.round_id FROM new_entitlements AS n) AS r
        JOIN cbi.calculation_basis AS b ON b.round_id = r.round_id
        JOIN cbi.round AS o ON o.round_id = r.round_id
        JOIN cbi.term AS t ON t.programme_id = o.programme_id AND t.kind = 'schedule'
            AND t.version = b.schedule_version
        WHERE t.content ->> 'instalments' IS NOT NULL
        ORDER BY o.programme_id
    LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('cbi.instalments ' || limited.programme_id, 0));
        SELECT n.enrolment_id INTO wrong FROM new_entitlements AS n
        WHERE n.round_id = limited.round_id AND n.kind = 'instalment'
            AND cbi.months_promised(n.enrolment_id) > limited.months_max LIMIT 1;
        IF wrong IS NOT NULL THEN
            RAISE EXCEPTION 'enrolment % has its instalments', wrong
                USING ERRCODE = 'integrity_constraint_violation',
                    CONSTRAINT = 'entitlement_within_instalments';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

RESET ROLE;
