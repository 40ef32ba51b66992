-- A conflict of promises is decided by two people, of two organisations that have neither promise:
-- one decides, another confirms, and only then it counts. The organisations with a promise see that
-- they have a conflict, and nothing of the other side.
SET LOCAL ROLE cbi_owner;

-- Reasons are words of a list: free text would name people.
ALTER TABLE cbi.conflict_decision
    ADD COLUMN reason text NOT NULL DEFAULT 'other' CONSTRAINT conflict_decision_reason CHECK (
        reason IN ('earlier_promise', 'greater_need', 'already_paid', 'nearly_over',
            'agreed_between', 'different_families', 'other')),
    -- Made before two people were asked for, and counting by itself.
    ADD COLUMN is_alone boolean NOT NULL DEFAULT true,
    DROP COLUMN note;
ALTER TABLE cbi.conflict_decision
    ALTER COLUMN reason DROP DEFAULT,
    ALTER COLUMN is_alone SET DEFAULT false,
    ADD CONSTRAINT conflict_decision_by UNIQUE (conflict_id, decision_no, actor_id);

CREATE TABLE cbi.conflict_confirmation (
    conflict_id uuid NOT NULL,
    decision_no smallint NOT NULL,
    decided_by uuid NOT NULL,
    partner_id uuid NOT NULL CONSTRAINT conflict_confirmation_partner REFERENCES cbi.partner,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT conflict_confirmation_once PRIMARY KEY (conflict_id, decision_no),
    CONSTRAINT conflict_confirmation_of FOREIGN KEY (conflict_id, decision_no, decided_by)
        REFERENCES cbi.conflict_decision (conflict_id, decision_no, actor_id),
    CONSTRAINT conflict_second_person CHECK (actor_id <> decided_by)
);
COMMENT ON TABLE cbi.conflict_confirmation IS
    'The second person''s word on a decision of a conflict: with it the decision counts.';
CALL cbi.make_append_only('cbi.conflict_confirmation');
CALL cbi.guard('cbi.conflict_confirmation', $$cbi.has_role('coordinator', 'auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()
      AND cbi.has_role('coordinator')$$);
GRANT SELECT ON cbi.conflict_confirmation TO cbi_door;
CREATE POLICY door ON cbi.conflict_confirmation FOR SELECT TO cbi_door USING (true);

-- The newest decision of a conflict that counts.
CREATE FUNCTION cbi.conflict_decided(wanted uuid)
RETURNS TABLE (decision text, ends date)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.decision, d.ends FROM cbi.conflict_decision AS d
    WHERE d.conflict_id = wanted AND (d.is_alone OR EXISTS (
        SELECT FROM cbi.conflict_confirmation AS c
        WHERE c.conflict_id = d.conflict_id AND c.decision_no = d.decision_no))
    ORDER BY d.decision_no DESC LIMIT 1
$$;

-- How many of the two must be of organisations that have neither promise: both, or as many as there
-- are organisations with a coordinator's key that is in force. Whoever acts has one.
CREATE FUNCTION cbi.check_conflict_people() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sides uuid[];
    working uuid[];
    outside integer;
    first uuid;
BEGIN
    SELECT ARRAY[c.earlier_partner, c.later_partner] INTO sides FROM cbi.conflict AS c
    WHERE c.conflict_id = NEW.conflict_id;
    SELECT array_agg(DISTINCT w.partner_id) INTO working FROM (
        SELECT a.partner_id FROM cbi.api_key AS k JOIN cbi.actor AS a USING (actor_id)
        WHERE 'coordinator' = ANY (k.roles) AND k.revoked_at IS NULL AND k.expires_at > NEW.at
        UNION SELECT NEW.partner_id) AS w;
    SELECT count(*) INTO outside FROM unnest(working) AS w(partner_id)
    WHERE w.partner_id <> ALL (sides);
    IF TG_TABLE_NAME = 'conflict_decision' THEN
        IF NEW.is_alone THEN
            RAISE EXCEPTION 'nobody decides conflict % alone', NEW.conflict_id
                USING ERRCODE = 'integrity_constraint_violation',
                    CONSTRAINT = 'conflict_two_organisations';
        END IF;
    ELSE
        SELECT d.partner_id INTO first FROM cbi.conflict_decision AS d
        WHERE d.conflict_id = NEW.conflict_id ORDER BY d.decision_no DESC LIMIT 1;
        IF NEW.decision_no <> (SELECT max(d.decision_no) FROM cbi.conflict_decision AS d
                               WHERE d.conflict_id = NEW.conflict_id) THEN
            RAISE EXCEPTION 'conflict % has a later decision', NEW.conflict_id
                USING ERRCODE = 'integrity_constraint_violation',
                    CONSTRAINT = 'conflict_confirmation_newest';
        END IF;
        IF first = NEW.partner_id AND cardinality(working) > 1 THEN
            RAISE EXCEPTION 'conflict % needs two organisations', NEW.conflict_id
                USING ERRCODE = 'integrity_constraint_violation',
                    CONSTRAINT = 'conflict_two_organisations';
        END IF;
    END IF;
    IF NEW.partner_id = ANY (sides)
       AND (outside >= 2 OR outside = 1 AND first = ANY (sides)) THEN
        RAISE EXCEPTION 'conflict % is decided by others', NEW.conflict_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'conflict_of_others';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER conflict_people BEFORE INSERT ON cbi.conflict_decision
    FOR EACH ROW EXECUTE FUNCTION cbi.check_conflict_people();
CREATE TRIGGER conflict_people BEFORE INSERT ON cbi.conflict_confirmation
    FOR EACH ROW EXECUTE FUNCTION cbi.check_conflict_people();
ALTER TABLE cbi.conflict_decision ENABLE ALWAYS TRIGGER conflict_people;
ALTER TABLE cbi.conflict_confirmation ENABLE ALWAYS TRIGGER conflict_people;

DROP TRIGGER conflict_decided ON cbi.conflict_decision;

-- One's own promises that are in a conflict: that they are, since when, and whether it is decided
-- or over. Nothing of the other side.
CREATE FUNCTION cbi.own_conflicts(moment timestamptz, behind uuid, most integer)
RETURNS TABLE (conflict_id uuid, opened_at timestamptz, is_decided boolean, is_over boolean,
               household_ids uuid[], assistance text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.conflict_id, c.opened_at, EXISTS (SELECT FROM cbi.conflict_decided(c.conflict_id)),
        NOT cbi.clashing(a, b, moment) OR (
            SELECT count(DISTINCT f.beneficiary_id) > 1
            FROM cbi.beneficiaries_of(ARRAY[a.household_id, b.household_id]) AS f),
        own.household_ids, own.assistance
    FROM cbi.conflict AS c
    JOIN cbi.hold AS a ON a.hold_id = c.earlier_hold
    JOIN cbi.hold AS b ON b.hold_id = c.later_hold
    CROSS JOIN LATERAL (
        SELECT array_agg(h.household_id ORDER BY h.household_id) AS household_ids,
            array_agg(h.assistance ORDER BY h.household_id) AS assistance
        FROM cbi.hold AS h JOIN cbi.household AS w USING (household_id)
        WHERE h.hold_id IN (a.hold_id, b.hold_id) AND h.partner_id = cbi.partner_id()
          AND w.ubigeo LIKE cbi.area() || '%' OFFSET 0) AS own
    WHERE (behind IS NULL OR c.conflict_id > behind)
      AND cbi.partner_id() IN (c.earlier_partner, c.later_partner)
      AND own.household_ids IS NOT NULL
    ORDER BY c.conflict_id LIMIT most
$$;
CREATE INDEX conflict_by_earlier_partner ON cbi.conflict (earlier_partner, conflict_id);
CREATE INDEX conflict_by_later_partner ON cbi.conflict (later_partner, conflict_id);

-- What is left of a hold: of its promise, up to where its enrolment was closed or a decision ends
-- it; but never less than what its entitlements have promised.
CREATE OR REPLACE FUNCTION cbi.settle_hold(wanted uuid, moment timestamptz) RETURNS void
LANGUAGE plpgsql
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
    SELECT min(d.ends) INTO ending
    FROM cbi.conflict AS c CROSS JOIN LATERAL cbi.conflict_decided(c.conflict_id) AS d
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

RESET ROLE;
-- The function is the doors', so its trigger is made by who may everything.
CREATE TRIGGER conflict_decided AFTER INSERT ON cbi.conflict_confirmation
    FOR EACH ROW EXECUTE FUNCTION cbi.follow_decision();
ALTER TABLE cbi.conflict_confirmation ENABLE ALWAYS TRIGGER conflict_decided;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.check_conflict_people() OWNER TO cbi_door;
ALTER FUNCTION cbi.own_conflicts(timestamptz, uuid, integer) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.check_conflict_people(), cbi.conflict_decided(uuid),
    cbi.own_conflicts(timestamptz, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.conflict_decided(uuid) TO cbi_door, cbi_app;
GRANT EXECUTE ON FUNCTION cbi.own_conflicts(timestamptz, uuid, integer) TO cbi_app;
