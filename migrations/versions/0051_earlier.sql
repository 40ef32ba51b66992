-- An enrolment without months holds its family from its own month on, and a round may pay it for
-- earlier months. Those are held as well, by each entitlement for itself: so what the rules keep
-- apart between kinds is refused for them by the same constraint, whoever comes first.
SET LOCAL ROLE cbi_owner;

ALTER TABLE cbi.hold
    ADD COLUMN entitlement_id uuid CONSTRAINT hold_of_entitlement REFERENCES cbi.entitlement,
    -- The hold of the enrolment that the entitlement is of: the two keep nothing from one another.
    ADD COLUMN before_hold uuid CONSTRAINT hold_before REFERENCES cbi.hold,
    ADD CONSTRAINT hold_once_per_entitlement UNIQUE (entitlement_id),
    DROP CONSTRAINT hold_source,
    ADD CONSTRAINT hold_source CHECK (
        num_nonnulls(enrolment_id, reservation_id, entitlement_id) = 1
        AND (entitlement_id IS NULL) = (before_hold IS NULL));
CREATE INDEX hold_by_before ON cbi.hold (before_hold) WHERE before_hold IS NOT NULL;

CREATE OR REPLACE FUNCTION cbi.came_true(entry cbi.waiting, moment timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM cbi.hold AS h
                   WHERE h.before_hold IS NULL
                     AND h.household_id = entry.household_id AND h.assistance = entry.assistance
                     AND h.held_at > entry.since AND h.held_at <= moment)
$$;

CREATE OR REPLACE FUNCTION cbi.clashing(one cbi.hold, other cbi.hold, moment timestamptz)
RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(one.before_hold, one.hold_id) <> coalesce(other.before_hold, other.hold_id)
       AND one.standing && tstzrange(moment, NULL) AND other.standing && tstzrange(moment, NULL)
       AND EXISTS (
        SELECT FROM cbi.overlap_rules_on(cbi.peru_day(moment)) AS r
        CROSS JOIN LATERAL cbi.overlap_windows(
            one.assistance, one.months, one.held_on, r.document) AS a
        CROSS JOIN LATERAL cbi.overlap_windows(
            other.assistance, other.months, other.held_on, r.document) AS b
        WHERE a.blocked = other.assistance AND b.blocked = one.assistance
          AND NOT isempty(a.months * b.months * daterange(cbi.peru_day(moment), NULL)))
$$;


CREATE FUNCTION cbi.hold_earlier() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO cbi.hold (partner_id, household_id, beneficiary_id, assistance, promised, months,
                          standing, held_on, held_at, entitlement_id, before_hold)
    SELECT n.partner_id, n.household_id, n.beneficiary_id, n.assistance_group, m.months, m.months,
        tstzrange(n.computed_at, NULL), cbi.peru_day(n.computed_at), n.computed_at,
        n.entitlement_id, h.hold_id
    FROM new_entitlements AS n
    CROSS JOIN LATERAL (
        SELECT c.hold_id, c.promised FROM cbi.hold AS c
        WHERE c.enrolment_id = n.enrolment_id OFFSET 0) AS h
    CROSS JOIN LATERAL (
        SELECT n.months * daterange(NULL, lower(h.promised)) AS months OFFSET 0) AS m
    WHERE NOT isempty(m.months)
    ORDER BY n.beneficiary_id, n.entitlement_id;
    RETURN NULL;
END $$;
CREATE TRIGGER entitlement_holds_earlier AFTER INSERT ON cbi.entitlement
    REFERENCING NEW TABLE AS new_entitlements
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.hold_earlier();
ALTER TABLE cbi.entitlement ENABLE ALWAYS TRIGGER entitlement_holds_earlier;

CREATE FUNCTION cbi.release_earlier() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE cbi.hold AS h
    SET standing = tstzrange(h.held_at, greatest(h.held_at, NEW.cancelled_at))
    WHERE h.entitlement_id = NEW.entitlement_id;
    RETURN NULL;
END $$;
CREATE TRIGGER entitlement_releases_earlier AFTER UPDATE ON cbi.entitlement
    FOR EACH ROW WHEN (OLD.cancelled_at IS NULL AND NEW.cancelled_at IS NOT NULL)
    EXECUTE FUNCTION cbi.release_earlier();
ALTER TABLE cbi.entitlement ENABLE ALWAYS TRIGGER entitlement_releases_earlier;

-- Which of one's own households a round of a programme can't pay for months before their own: the
-- rules keep them away, for what was promised to the family before. A calculation asks of a moment;
-- without one, reservations don't count: a list is calculated, and promised already.
CREATE FUNCTION cbi.earlier_held(
    wanted uuid[], wanted_programme uuid, wanted_months daterange, moment timestamptz)
RETURNS TABLE (household_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
    SELECT e.household_id
    FROM unnest(wanted) AS w(household_id)
    CROSS JOIN LATERAL (
        SELECT n.household_id, c.hold_id, c.assistance, earlier.months
        FROM cbi.enrolment AS n
        CROSS JOIN LATERAL (
            SELECT o.* FROM cbi.hold AS o WHERE o.enrolment_id = n.enrolment_id OFFSET 0) AS c
        CROSS JOIN LATERAL (
            SELECT wanted_months * daterange(NULL, lower(c.promised)) AS months) AS earlier
        WHERE n.household_id = w.household_id AND n.programme_id = wanted_programme
          AND n.partner_id = cbi.partner_id() AND n.closed_at IS NULL
          AND NOT isempty(earlier.months) OFFSET 0) AS e
    LEFT JOIN LATERAL (
        SELECT o.held_at, o.hold_id FROM cbi.hold AS o
        WHERE o.before_hold = e.hold_id AND o.months && e.months AND upper_inf(o.standing)
        ORDER BY o.held_at, o.hold_id LIMIT 1) AS own ON true
    CROSS JOIN cbi.overlap_rules_on(cbi.peru_day(coalesce(moment, now()))) AS r
    WHERE EXISTS (
        SELECT FROM cbi.holds_around(e.household_id) AS o
        CROSS JOIN LATERAL cbi.overlap_windows(
            o.assistance, o.months, o.held_on, r.document) AS theirs
        JOIN cbi.overlap_windows(e.assistance, e.months,
            cbi.peru_day(coalesce(moment, own.held_at, now())), r.document) AS mine
            ON mine.months && theirs.months
        WHERE coalesce(o.before_hold, o.hold_id) <> e.hold_id
          AND (upper_inf(o.standing) OR o.standing @> moment)
          AND theirs.blocked = e.assistance AND mine.blocked = o.assistance
          AND (own.hold_id IS NULL OR (o.held_at, o.hold_id) < (own.held_at, own.hold_id)))
$$;

GRANT SELECT (programme_id, partner_id) ON cbi.enrolment TO cbi_door;

-- What was paid for earlier months before this: of two that overlap the earlier one's stands.
ALTER TABLE cbi.hold DISABLE TRIGGER hold_checked;
ALTER TABLE cbi.hold NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.hold_pair NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.entitlement NO FORCE ROW LEVEL SECURITY;
INSERT INTO cbi.hold (partner_id, household_id, beneficiary_id, assistance, promised, months,
                      standing, held_on, held_at, entitlement_id, before_hold)
SELECT e.partner_id, e.household_id, e.beneficiary_id, e.assistance_group, m.months, m.months,
    tstzrange(e.computed_at, NULL), cbi.peru_day(e.computed_at), e.computed_at, e.entitlement_id,
    h.hold_id
FROM cbi.entitlement AS e JOIN cbi.hold AS h ON h.enrolment_id = e.enrolment_id
CROSS JOIN LATERAL (SELECT e.months * daterange(NULL, lower(h.promised)) AS months) AS m
WHERE e.cancelled_at IS NULL AND NOT isempty(m.months);
INSERT INTO cbi.hold_pair (hold_id, pair, side, partner_id, household_id, beneficiary_id, months,
                           standing, rules_version)
SELECT h.hold_id, w.pair, CASE w.blocked WHEN h.assistance THEN h.before_hold::text
        ELSE h.assistance END, h.partner_id, h.household_id, h.beneficiary_id, w.months,
    h.standing, r.version
FROM cbi.hold AS h CROSS JOIN cbi.overlap_rules_on(cbi.peru_day(now())) AS r
CROSS JOIN LATERAL cbi.overlap_windows(h.assistance, h.months, h.held_on, r.document) AS w
WHERE h.before_hold IS NOT NULL
ORDER BY h.held_at, h.hold_id
ON CONFLICT DO NOTHING;
ALTER TABLE cbi.hold FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.hold_pair FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.entitlement FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.hold ENABLE ALWAYS TRIGGER hold_checked;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.hold_earlier() OWNER TO cbi_door;
ALTER FUNCTION cbi.release_earlier() OWNER TO cbi_door;
ALTER FUNCTION cbi.earlier_held(uuid[], uuid, daterange, timestamptz) OWNER TO cbi_door;
REVOKE ALL ON FUNCTION cbi.hold_earlier(), cbi.release_earlier(),
    cbi.earlier_held(uuid[], uuid, daterange, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.earlier_held(uuid[], uuid, daterange, timestamptz) TO cbi_app;

-- As before, but for the holds of one enrolment, which keep nothing from one another.
CREATE OR REPLACE FUNCTION cbi.check_holds() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong uuid;
    held record;
    rules record;
BEGIN
    PERFORM cbi.lock_holds(ARRAY(SELECT n.beneficiary_id FROM new_holds AS n));
    SELECT n.household_id INTO wrong FROM new_holds AS n
    WHERE n.beneficiary_id IS DISTINCT FROM (
        SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = n.household_id
        ORDER BY m.membership_no DESC LIMIT 1) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'household % is of another family', wrong
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'family_of_today';
    END IF;
    FOR held IN SELECT n.*, o.others FROM new_holds AS n CROSS JOIN LATERAL (
            SELECT count(*) AS others FROM cbi.holds_around(n.household_id) AS o
            WHERE coalesce(o.before_hold, o.hold_id) <> coalesce(n.before_hold, n.hold_id)
              AND o.standing && n.standing) AS o
        WHERE o.others > 0 ORDER BY n.beneficiary_id, n.hold_id
    LOOP
        SELECT * INTO rules FROM cbi.overlap_rules_on(held.held_on);
        IF EXISTS (
            SELECT FROM cbi.holds_around(held.household_id) AS o
            CROSS JOIN LATERAL cbi.overlap_windows(
                o.assistance, o.months, o.held_on, rules.document) AS theirs
            JOIN cbi.overlap_windows(
                held.assistance, held.months, held.held_on, rules.document) AS mine
                ON mine.months && theirs.months
            WHERE coalesce(o.before_hold, o.hold_id) <> coalesce(held.before_hold, held.hold_id)
              AND o.standing && held.standing
              AND theirs.blocked = held.assistance AND mine.blocked = o.assistance) THEN
            RAISE EXCEPTION 'household % is held', held.household_id
                USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'hold_no_overlap';
        END IF;
        DELETE FROM cbi.hold_pair AS p USING cbi.holds_around(held.household_id) AS o
        WHERE p.hold_id = o.hold_id AND o.standing && held.standing
          AND (p.rules_version, p.beneficiary_id) <> (rules.version, held.beneficiary_id);
        INSERT INTO cbi.hold_pair (hold_id, pair, side, partner_id, household_id, beneficiary_id,
                                   months, standing, rules_version)
        SELECT o.hold_id, w.pair, CASE w.blocked WHEN o.assistance
                THEN coalesce(o.before_hold, o.hold_id)::text ELSE o.assistance END,
            o.partner_id, o.household_id, held.beneficiary_id,
            w.months, o.standing, rules.version
        FROM cbi.holds_around(held.household_id) AS o
        CROSS JOIN LATERAL cbi.overlap_windows(
            o.assistance, o.months, o.held_on, rules.document) AS w
        WHERE o.hold_id <> held.hold_id AND o.standing && held.standing
        ORDER BY o.held_at, o.hold_id, w.pair
        -- Of two that overlap already the earlier one's stands; a person decides about them.
        ON CONFLICT DO NOTHING;
    END LOOP;
    INSERT INTO cbi.hold_pair (hold_id, pair, side, partner_id, household_id, beneficiary_id,
                               months, standing, rules_version)
    SELECT n.hold_id, w.pair, CASE w.blocked WHEN n.assistance
            THEN coalesce(n.before_hold, n.hold_id)::text ELSE n.assistance END,
        n.partner_id, n.household_id, n.beneficiary_id,
        w.months, n.standing, r.version
    FROM new_holds AS n
    JOIN (SELECT d.held_on, o.* FROM (SELECT DISTINCT n.held_on FROM new_holds AS n) AS d
          CROSS JOIN LATERAL cbi.overlap_rules_on(d.held_on) AS o) AS r USING (held_on)
    CROSS JOIN LATERAL cbi.overlap_windows(n.assistance, n.months, n.held_on, r.document) AS w
    ORDER BY n.beneficiary_id, n.hold_id, w.pair;
    RETURN NULL;
END $$;

-- A past month is no conflict of what goes on.
CREATE OR REPLACE FUNCTION cbi.note_conflicts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO cbi.conflict (earlier_hold, later_hold, earlier_partner, later_partner, case_id,
                              opened_at)
    SELECT a.hold_id, b.hold_id, a.partner_id, b.partner_id, NEW.case_id, NEW.since
    FROM cbi.holds_around(NEW.household_id) AS a
    JOIN cbi.holds_around(NEW.household_id) AS b
        ON (a.held_at, a.hold_id) < (b.held_at, b.hold_id) AND a.household_id <> b.household_id
    WHERE NEW.household_id IN (a.household_id, b.household_id)
      AND num_nonnulls(a.before_hold, b.before_hold) = 0 AND cbi.clashing(a, b, NEW.since)
    ORDER BY a.hold_id, b.hold_id
    ON CONFLICT ON CONSTRAINT conflict_once DO NOTHING;
    RETURN NULL;
END $$;

-- And an enrolment for months is not paid before them.
CREATE OR REPLACE FUNCTION cbi.check_promised() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT n.enrolment_id INTO wrong FROM new_entitlements AS n
    WHERE (SELECT upper_inf(h.standing)
              AND coalesce(upper(h.months) >= upper(n.months), true)
              AND (upper_inf(h.promised) OR lower(h.promised) <= lower(n.months))
           FROM cbi.hold AS h WHERE h.enrolment_id = n.enrolment_id OFFSET 0) IS NOT true LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'enrolment % is not for these months', wrong
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'entitlement_promised';
    END IF;
    RETURN NULL;
END $$;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
