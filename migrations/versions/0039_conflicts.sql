-- When two households are found to be one family, what was promised to both may overlap. Nothing is
-- taken away by that: it is written down here, and a person decides.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.conflict (
    conflict_id uuid NOT NULL DEFAULT uuidv7(),
    earlier_hold uuid NOT NULL CONSTRAINT conflict_earlier REFERENCES cbi.hold,
    later_hold uuid NOT NULL CONSTRAINT conflict_later REFERENCES cbi.hold,
    earlier_partner uuid NOT NULL,
    later_partner uuid NOT NULL,
    case_id uuid NOT NULL,
    opened_at timestamptz NOT NULL,
    CONSTRAINT conflict_pkey PRIMARY KEY (conflict_id),
    CONSTRAINT conflict_once UNIQUE (earlier_hold, later_hold),
    CONSTRAINT conflict_of_two CHECK (earlier_hold <> later_hold)
);
COMMENT ON TABLE cbi.conflict IS
    'Two holds that the rules do not allow together, of households that were found to be one family.';
CREATE INDEX conflict_of_later ON cbi.conflict (later_hold);
CALL cbi.make_append_only('cbi.conflict');
CALL cbi.guard('cbi.conflict', $$cbi.has_role('coordinator', 'auditor')$$, 'false');
REVOKE INSERT ON cbi.conflict FROM cbi_app;

-- The newest decision of a conflict counts. `ends` is the first day that the later one is not for.
CREATE TABLE cbi.conflict_decision (
    conflict_id uuid NOT NULL CONSTRAINT conflict_decision_of REFERENCES cbi.conflict,
    decision_no smallint NOT NULL CONSTRAINT conflict_decision_no CHECK (decision_no >= 1),
    decision text NOT NULL CONSTRAINT conflict_decision_known CHECK (
        decision IN ('keep_both', 'end_later', 'no_overlap')),
    ends date CONSTRAINT conflict_decision_month CHECK (extract(day FROM ends) = 1),
    note text NOT NULL CONSTRAINT conflict_decision_note CHECK (length(note) <= 2000),
    partner_id uuid NOT NULL CONSTRAINT conflict_decision_partner REFERENCES cbi.partner,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT conflict_decision_once PRIMARY KEY (conflict_id, decision_no),
    CONSTRAINT conflict_decision_whole CHECK ((decision = 'no_overlap') = (ends IS NULL))
);
CALL cbi.make_append_only('cbi.conflict_decision');
CALL cbi.guard('cbi.conflict_decision', $$cbi.has_role('coordinator', 'auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()
      AND cbi.has_role('coordinator')$$);

GRANT SELECT, INSERT ON cbi.conflict TO cbi_door;
GRANT SELECT ON cbi.conflict_decision TO cbi_door;
GRANT SELECT (enrolment_id) ON cbi.enrolment TO cbi_door;
GRANT SELECT (amount_minor, currency) ON cbi.entitlement TO cbi_door;
CREATE POLICY door ON cbi.conflict TO cbi_door USING (true) WITH CHECK (true);
CREATE POLICY door ON cbi.conflict_decision FOR SELECT TO cbi_door USING (true);

-- Two holds of one family that the rules of a day don't allow together, and that are not over.
CREATE FUNCTION cbi.clashing(one cbi.hold, other cbi.hold, moment timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT one.standing && tstzrange(moment, NULL) AND other.standing && tstzrange(moment, NULL)
       AND EXISTS (
        SELECT FROM cbi.overlap_rules_on(cbi.peru_day(moment)) AS r
        CROSS JOIN LATERAL cbi.overlap_windows(
            one.assistance, one.months, one.held_on, r.document) AS a
        CROSS JOIN LATERAL cbi.overlap_windows(
            other.assistance, other.months, other.held_on, r.document) AS b
        WHERE a.blocked = other.assistance AND b.blocked = one.assistance
          AND NOT isempty(a.months * b.months * daterange(cbi.peru_day(moment), NULL)))
$$;

-- Families are joined: what overlaps from now on is noticed with them, whoever joined them.
CREATE FUNCTION cbi.note_conflicts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO cbi.conflict (earlier_hold, later_hold, earlier_partner, later_partner, case_id,
                              opened_at)
    SELECT a.hold_id, b.hold_id, a.partner_id, b.partner_id, NEW.case_id, NEW.since
    FROM cbi.holds_around(NEW.household_id) AS a
    JOIN cbi.holds_around(NEW.household_id) AS b
        ON (a.held_at, a.hold_id) < (b.held_at, b.hold_id) AND a.household_id <> b.household_id
    WHERE NEW.household_id IN (a.household_id, b.household_id)
      AND cbi.clashing(a, b, NEW.since)
    ORDER BY a.hold_id, b.hold_id
    ON CONFLICT ON CONSTRAINT conflict_once DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER membership_conflicts AFTER INSERT ON cbi.membership
    FOR EACH ROW WHEN (NEW.case_id IS NOT NULL) EXECUTE FUNCTION cbi.note_conflicts();
ALTER TABLE cbi.membership ENABLE ALWAYS TRIGGER membership_conflicts;

-- What is left of a hold: of its promise, up to where its enrolment was closed or a decision ends
-- it; but never less than what its entitlements have promised.
CREATE FUNCTION cbi.settle_hold(wanted uuid, moment timestamptz) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held cbi.hold;
    ending date;
    has_left daterange;
BEGIN
    SELECT * INTO held FROM cbi.hold AS h WHERE h.hold_id = wanted;
    -- The lock is on the family of today, which stays so for as long as this one is shared.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('cbi.families', 0));
    PERFORM cbi.lock_holds(ARRAY(
        SELECT f.beneficiary_id FROM cbi.beneficiaries_of(ARRAY[held.household_id]) AS f));
    SELECT * INTO held FROM cbi.hold AS h WHERE h.hold_id = wanted;
    SELECT min(d.ends) INTO ending FROM cbi.conflict AS c CROSS JOIN LATERAL (
        SELECT v.ends FROM cbi.conflict_decision AS v WHERE v.conflict_id = c.conflict_id
        ORDER BY v.decision_no DESC LIMIT 1) AS d
    WHERE c.later_hold = wanted;
    has_left := held.promised;
    IF EXISTS (SELECT FROM cbi.enrolment AS e
               WHERE e.enrolment_id = held.enrolment_id AND e.closed_at IS NOT NULL) THEN
        has_left := cbi.months_left(held.enrolment_id, held.promised);
    END IF;
    IF ending IS NOT NULL THEN
        has_left := has_left * daterange(NULL, greatest(ending, (
            SELECT max(upper(e.months)) FROM cbi.entitlement AS e
            WHERE e.enrolment_id = held.enrolment_id AND e.cancelled_at IS NULL)));
    END IF;
    IF has_left IS NULL OR isempty(has_left) THEN
        UPDATE cbi.hold AS h
        SET standing = h.standing * tstzrange(NULL, greatest(h.held_at, moment))
        WHERE h.hold_id = wanted;
    ELSE
        UPDATE cbi.hold AS h SET months = has_left, standing = CASE
            WHEN h.enrolment_id IS NULL THEN h.standing ELSE tstzrange(h.held_at, NULL) END
        WHERE h.hold_id = wanted;
        -- What is taken back may have been promised to others meanwhile; what it is in conflict
        -- with is no news.
        IF NOT (held.months @> has_left AND (upper_inf(held.standing)
                OR held.reservation_id IS NOT NULL)) AND EXISTS (
            SELECT FROM cbi.hold AS h
            CROSS JOIN LATERAL cbi.holds_around(h.household_id) AS o
            WHERE h.hold_id = wanted AND o.hold_id <> wanted AND cbi.clashing(h, o, moment)
              AND NOT EXISTS (SELECT FROM cbi.conflict AS c
                              WHERE (c.earlier_hold, c.later_hold) = (o.hold_id, wanted)
                                 OR (c.earlier_hold, c.later_hold) = (wanted, o.hold_id))) THEN
            RAISE EXCEPTION 'hold % was promised to others', wanted
                USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'hold_no_overlap';
        END IF;
    END IF;
END $$;

CREATE FUNCTION cbi.follow_decision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cbi.settle_hold(c.later_hold, NEW.at) FROM cbi.conflict AS c
    WHERE c.conflict_id = NEW.conflict_id;
    RETURN NULL;
END $$;
CREATE TRIGGER conflict_decided AFTER INSERT ON cbi.conflict_decision
    FOR EACH ROW EXECUTE FUNCTION cbi.follow_decision();
ALTER TABLE cbi.conflict_decision ENABLE ALWAYS TRIGGER conflict_decided;

-- What a closed enrolment promised and nobody will pay holds nothing.
CREATE FUNCTION cbi.release_cancelled() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cbi.settle_hold(h.hold_id, NEW.cancelled_at) FROM cbi.hold AS h
    WHERE h.enrolment_id = NEW.enrolment_id
      AND (SELECT e.closed_at IS NOT NULL FROM cbi.enrolment AS e
           WHERE e.enrolment_id = NEW.enrolment_id);
    RETURN NULL;
END $$;
CREATE TRIGGER entitlement_releases AFTER UPDATE ON cbi.entitlement
    FOR EACH ROW WHEN (OLD.cancelled_at IS NULL AND NEW.cancelled_at IS NOT NULL)
    EXECUTE FUNCTION cbi.release_cancelled();
ALTER TABLE cbi.entitlement ENABLE ALWAYS TRIGGER entitlement_releases;

-- Nothing is paid for months that are not promised any more.
CREATE FUNCTION cbi.check_promised() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT n.enrolment_id INTO wrong FROM new_entitlements AS n
    WHERE (SELECT upper_inf(h.standing)
              AND coalesce(upper(h.months) >= upper(n.months), true)
           FROM cbi.hold AS h WHERE h.enrolment_id = n.enrolment_id OFFSET 0) IS NOT true LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'enrolment % is not for these months', wrong
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'entitlement_promised';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entitlement_promised AFTER INSERT ON cbi.entitlement
    REFERENCING NEW TABLE AS new_entitlements
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_promised();
ALTER TABLE cbi.entitlement ENABLE ALWAYS TRIGGER entitlement_promised;

-- ---------------------------------------------------------------- doors

-- The conflicts, to coordinators and auditors: kinds and months, never of whom.
CREATE FUNCTION cbi.conflicts_at(moment timestamptz, behind uuid, most integer)
RETURNS TABLE (conflict_id uuid, opened_at timestamptz, earlier_partner uuid, later_partner uuid,
               earlier_assistance text, later_assistance text, earlier_months daterange,
               later_months daterange, is_over boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.conflict_id, c.opened_at, c.earlier_partner, c.later_partner, a.assistance,
        b.assistance, a.months, b.months, NOT cbi.clashing(a, b, moment) OR (
            SELECT count(DISTINCT f.beneficiary_id) > 1
            FROM cbi.beneficiaries_of(ARRAY[a.household_id, b.household_id]) AS f)
    FROM cbi.conflict AS c
    JOIN cbi.hold AS a ON a.hold_id = c.earlier_hold
    JOIN cbi.hold AS b ON b.hold_id = c.later_hold
    WHERE (behind IS NULL OR c.conflict_id > behind) AND cbi.has_role('coordinator', 'auditor')
    ORDER BY c.conflict_id LIMIT most
$$;

-- What was promised since a moment, and what before it may still have counted then, to try rules
-- on. Families are numbers that mean nothing elsewhere. Who looks over all is told whose each is;
-- an organisation which are its own, and of the others only what its own families got.
CREATE FUNCTION cbi.promises_since(begun timestamptz, most integer)
RETURNS TABLE (family integer, partner_id uuid, assistance text, months daterange, held_on date,
               held_at timestamptz, stands_until timestamptz, amount_minor bigint, currency text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH ours AS MATERIALIZED (
        SELECT DISTINCT f.beneficiary_id FROM cbi.hold AS h CROSS JOIN LATERAL (
            SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = h.household_id
            ORDER BY m.membership_no DESC LIMIT 1) AS f
        WHERE h.enrolment_id IS NOT NULL AND h.held_at >= begun
          AND (cbi.has_role('coordinator', 'auditor') OR h.partner_id = cbi.partner_id())
        LIMIT most
    ), numbered AS (
        SELECT o.beneficiary_id, row_number() OVER (ORDER BY o.beneficiary_id)::integer AS family
        FROM ours AS o
    )
    SELECT n.family, CASE WHEN t.is_told THEN k.partner_id END, k.assistance, k.months, k.held_on,
        k.held_at, upper(k.standing), e.amount_minor, e.currency
    FROM numbered AS n
    CROSS JOIN LATERAL (
        SELECT DISTINCT m.household_id FROM cbi.membership AS m
        WHERE m.beneficiary_id = n.beneficiary_id OFFSET 0) AS m
    CROSS JOIN LATERAL (
        SELECT h.* FROM cbi.hold AS h WHERE h.household_id = m.household_id
            AND h.enrolment_id IS NOT NULL AND NOT isempty(h.standing) OFFSET 0) AS k
    CROSS JOIN LATERAL (SELECT cbi.has_role('coordinator', 'auditor')
        OR k.partner_id = cbi.partner_id() AS is_told) AS t
    CROSS JOIN LATERAL (
        SELECT sum(e.amount_minor)::bigint AS amount_minor, max(e.currency) AS currency
        FROM cbi.entitlement AS e
        WHERE t.is_told AND e.enrolment_id = k.enrolment_id AND e.cancelled_at IS NULL) AS e
    WHERE (SELECT c.beneficiary_id FROM cbi.membership AS c WHERE c.household_id = m.household_id
           ORDER BY c.membership_no DESC LIMIT 1) = n.beneficiary_id
    ORDER BY k.held_at, k.hold_id LIMIT most
$$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.note_conflicts() OWNER TO cbi_door;
ALTER FUNCTION cbi.follow_decision() OWNER TO cbi_door;
ALTER FUNCTION cbi.check_promised() OWNER TO cbi_door;
ALTER FUNCTION cbi.release_cancelled() OWNER TO cbi_door;
ALTER FUNCTION cbi.conflicts_at(timestamptz, uuid, integer) OWNER TO cbi_door;
ALTER FUNCTION cbi.promises_since(timestamptz, integer) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.note_conflicts(), cbi.follow_decision(), cbi.check_promised(),
    cbi.release_cancelled(), cbi.conflicts_at(timestamptz, uuid, integer), cbi.promises_since(timestamptz, integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.conflicts_at(timestamptz, uuid, integer),
    cbi.promises_since(timestamptz, integer) TO cbi_app;

-- A closed enrolment's hold is settled like one that a decision ends.
CREATE OR REPLACE FUNCTION cbi.release_closed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cbi.settle_hold(h.hold_id, NEW.closed_at) FROM cbi.hold AS h
    WHERE h.enrolment_id = NEW.enrolment_id;
    RETURN NULL;
END $$;

-- Holds say more: which kind, and until when.
DROP FUNCTION cbi.family_enrolled(uuid, text);
