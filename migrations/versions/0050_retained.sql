-- Who withdraws, or is corrected into somebody else, while months promised to the household still
-- run stays findable until they are over: registered anew, it would be promised the same months
-- again. Which persons, and by which keys, stands here; nothing else of them is kept for it.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.retained (
    person_id uuid NOT NULL CONSTRAINT retained_pkey PRIMARY KEY,
    household_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    keys bigint[] NOT NULL CONSTRAINT retained_keys_some CHECK (cardinality(keys) > 0),
    -- Who of the household was told of like this, before an error was mended.
    stands_for uuid,
    since timestamptz NOT NULL,
    CONSTRAINT retained_of_person FOREIGN KEY (person_id, partner_id)
        REFERENCES cbi.person (person_id, partner_id),
    CONSTRAINT retained_for_person FOREIGN KEY (stands_for, partner_id)
        REFERENCES cbi.person (person_id, partner_id),
    CONSTRAINT retained_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
COMMENT ON TABLE cbi.retained IS
    'Persons who are found by matching only until the months promised to their household are over.';
CREATE INDEX retained_by_household ON cbi.retained (household_id);
CALL cbi.guard('cbi.retained', 'false', 'false');
GRANT SELECT, INSERT, DELETE, UPDATE (keys) ON cbi.retained TO cbi_door;
GRANT SELECT (partner_id) ON cbi.person TO cbi_door;
CREATE POLICY door ON cbi.retained TO cbi_door USING (true) WITH CHECK (true);

-- `replaced`: a person as the form had it before an error was mended, while months were promised.
ALTER TABLE cbi.person
    DROP CONSTRAINT person_gone_known,
    ADD CONSTRAINT person_gone_known CHECK (
        gone IN ('left', 'deceased', 'error', 'elsewhere', 'moved', 'replaced'));

-- The first day on which nothing that was promised to a household runs any more; null if nothing
-- runs, infinity while an enrolment without months is open. Promised is what was promised to it, to
-- those it goes on as or went on from, and to the family that it parted from before it did.
CREATE FUNCTION cbi.promises_end(wanted uuid, moment timestamptz) RETURNS date
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE one AS (
        SELECT wanted AS household_id
        UNION
        SELECT CASE s.household_a WHEN o.household_id THEN s.household_b ELSE s.household_a END
        FROM one AS o
        JOIN cbi.succession AS s ON o.household_id IN (s.household_a, s.household_b))
    SELECT max(p.ends) FROM one AS o CROSS JOIN LATERAL (
        SELECT coalesce(upper(h.months), 'infinity'::date) FROM cbi.hold AS h
        WHERE h.household_id = o.household_id AND h.standing && tstzrange(moment, NULL)
        UNION ALL
        SELECT upper(e.months) FROM cbi.entitlement AS e
        WHERE e.household_id = o.household_id AND e.cancelled_at IS NULL
        UNION ALL
        SELECT upper(s.months) FROM cbi.split_promise AS s
        JOIN cbi.entitlement AS e USING (entitlement_id)
        WHERE s.household_id = o.household_id AND e.cancelled_at IS NULL) AS p (ends)
    WHERE p.ends > cbi.peru_day(moment)
$$;

-- Whether somebody may be found only because the household agrees to it today.
CREATE FUNCTION cbi.agrees(wanted uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent AS c
                     WHERE c.household_id = wanted AND c.kind = 'duplicate_check'
                     ORDER BY c.recorded_at DESC LIMIT 1), false)
$$;

-- The day up to which one's own household has to stay findable, if it has.
CREATE FUNCTION cbi.retained_until(wanted uuid, moment timestamptz) RETURNS date
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT cbi.promises_end(h.household_id, moment) FROM cbi.household AS h
    WHERE h.household_id = wanted AND h.partner_id = cbi.partner_id()
      AND (cbi.agrees(h.household_id)
           OR EXISTS (SELECT FROM cbi.retained AS r WHERE r.household_id = h.household_id))
$$;

-- Keep persons of a household findable, by those of these keys that they are found by now, if
-- months promised to the household run. By an event of this transaction, which would have taken
-- them out; `owners` and `keys` run in parallel, an owner being a place in `person_ids`, and in
-- `stand_for`, which says of whoever was replaced by whom.
CREATE FUNCTION cbi.retain(person_ids uuid[], stand_for uuid[], owners integer[], keys bigint[],
                           moment timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM unnest(person_ids) AS w(person_id)
        WHERE NOT EXISTS (
            SELECT FROM cbi.person AS p JOIN cbi.household_event AS e USING (household_id)
            WHERE p.person_id = w.person_id AND e.partner_id = cbi.partner_id()
              AND e.transaction_no = pg_current_xact_id()::text::bigint)) THEN
        RAISE EXCEPTION 'persons are retained by an event of the household'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'keys_by_event';
    END IF;
    INSERT INTO cbi.retained AS r (person_id, household_id, partner_id, keys, stands_for, since)
    SELECT p.person_id, p.household_id, p.partner_id, array_agg(k.key ORDER BY k.key),
        (SELECT m.person_id FROM cbi.person AS m
         WHERE m.person_id = stand_for[q.owner] AND m.household_id = p.household_id), moment
    FROM unnest(owners, keys) AS q(owner, key)
    JOIN cbi.person AS p ON p.person_id = person_ids[q.owner]
    CROSS JOIN LATERAL (
        SELECT d.key FROM dedup.key_entry AS d
        WHERE d.key = q.key AND d.person_id = p.person_id OFFSET 0) AS k
    WHERE cbi.promises_end(p.household_id, moment) IS NOT NULL
    GROUP BY p.person_id, p.household_id, p.partner_id, q.owner
    ORDER BY p.person_id
    ON CONFLICT ON CONSTRAINT retained_pkey DO UPDATE SET keys = ARRAY(
        SELECT DISTINCT u.key FROM unnest(r.keys || EXCLUDED.keys) AS u(key) ORDER BY 1);
END $$;

-- Nobody finds them any more, but who is found by a consent that stands stays found.
CREATE FUNCTION cbi.let_go(wanted uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM dedup.key_entry AS k
    USING (SELECT r.person_id, u.key FROM cbi.retained AS r
           JOIN cbi.person AS p USING (person_id) CROSS JOIN unnest(r.keys) AS u(key)
           WHERE r.household_id = wanted
             AND NOT ((p.gone IS NULL OR p.gone IN ('left', 'deceased')) AND cbi.agrees(wanted))
           OFFSET 0) AS q
    WHERE k.key = q.key AND k.person_id = q.person_id;
    DELETE FROM cbi.retained AS r WHERE r.household_id = wanted;
END $$;

-- The worker's duty: the next households of whom nothing promised runs any more. Returns the last
-- one that was looked at; null when there was none after `behind`.
CREATE FUNCTION cbi.release_retained(moment timestamptz, behind uuid, most integer) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one uuid;
    last uuid;
BEGIN
    IF NOT cbi.has_role('worker') THEN
        RETURN NULL;
    END IF;
    FOR one IN SELECT DISTINCT r.household_id FROM cbi.retained AS r
        WHERE behind IS NULL OR r.household_id > behind ORDER BY 1 LIMIT most
    LOOP
        IF cbi.promises_end(one, moment) IS NULL THEN
            PERFORM cbi.let_go(one);
        END IF;
        last := one;
    END LOOP;
    RETURN last;
END $$;

-- An ended household is erased by an event of this transaction, and nothing of it is found then.
CREATE FUNCTION cbi.let_go_erased(wanted uuid, moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
            SELECT FROM cbi.household_event AS e
            WHERE e.household_id = wanted AND e.kind = 'erased' AND e.partner_id = cbi.partner_id()
              AND e.transaction_no = pg_current_xact_id()::text::bigint)
       OR EXISTS (SELECT FROM cbi.retained AS r WHERE r.household_id = wanted)
           AND cbi.promises_end(wanted, moment) IS NOT NULL THEN
        RAISE EXCEPTION 'household % is promised months', wanted
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'keys_by_event';
    END IF;
    PERFORM cbi.let_go(wanted);
END $$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.retained_until(uuid, timestamptz) OWNER TO cbi_door;
ALTER FUNCTION cbi.retain(uuid[], uuid[], integer[], bigint[], timestamptz) OWNER TO cbi_door;
ALTER FUNCTION cbi.release_retained(timestamptz, uuid, integer) OWNER TO cbi_door;
ALTER FUNCTION cbi.let_go_erased(uuid, timestamptz) OWNER TO cbi_door;
REVOKE ALL ON FUNCTION cbi.retained_until(uuid, timestamptz), cbi.promises_end(uuid, timestamptz),
    cbi.retain(uuid[], uuid[], integer[], bigint[], timestamptz), cbi.agrees(uuid), cbi.let_go(uuid),
    cbi.release_retained(timestamptz, uuid, integer), cbi.let_go_erased(uuid, timestamptz)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.retained_until(uuid, timestamptz),
    cbi.retain(uuid[], uuid[], integer[], bigint[], timestamptz),
    cbi.release_retained(timestamptz, uuid, integer), cbi.let_go_erased(uuid, timestamptz)
    TO cbi_app;
GRANT EXECUTE ON FUNCTION cbi.promises_end(uuid, timestamptz), cbi.agrees(uuid), cbi.let_go(uuid)
    TO cbi_door;

-- What is retained is dropped by the duty only.
CREATE OR REPLACE FUNCTION dedup.drop(person_ids uuid[], owners integer[], keys bigint[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM unnest(person_ids) AS w(person_id)
        WHERE NOT EXISTS (
            SELECT FROM cbi.person AS p JOIN cbi.household_event AS e USING (household_id)
            WHERE p.person_id = w.person_id
              AND e.transaction_no = pg_current_xact_id()::text::bigint)) THEN
        RAISE EXCEPTION 'keys are dropped by an event of the household'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'keys_by_event';
    END IF;
    DELETE FROM dedup.key_entry AS k USING unnest(owners, keys) AS q(owner, key)
    WHERE k.key = q.key AND k.person_id = person_ids[q.owner]
      AND NOT EXISTS (SELECT FROM cbi.retained AS r
                      WHERE r.person_id = k.person_id AND k.key = ANY (r.keys));
END $$;

-- The doors for sealed records hand out who is retained as well, and say so: found by others, but
-- nobody searches for somebody who is only retained. Of who was erased nothing is left to compare.
DROP FUNCTION cbi.sealed_persons(uuid[]);
DROP FUNCTION cbi.sealed_households(uuid[]);
CREATE FUNCTION cbi.sealed_persons(wanted uuid[])
RETURNS TABLE (person_id uuid, household_id uuid, ubigeo text, sealed bytea, kek_id text,
               wrapped bytea, stands_for uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
    SELECT p.person_id, h.household_id, h.ubigeo, p.sealed, d.kek_id, d.wrapped, r.stands_for
    FROM unnest(wanted[1:5000]) AS w(person_id)
    JOIN cbi.person p USING (person_id) JOIN cbi.household h USING (household_id)
    JOIN cbi.data_key d USING (household_id)
    LEFT JOIN LATERAL (
        SELECT r.stands_for, true AS is_retained FROM cbi.retained AS r
        WHERE r.person_id = p.person_id OFFSET 0) AS r ON true
    WHERE p.sealed <> ''
      AND ((p.gone IS NULL OR p.gone IN ('left', 'deceased'))
           AND (SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent c
                WHERE c.household_id = h.household_id AND c.kind = 'duplicate_check'
                ORDER BY c.recorded_at DESC LIMIT 1)
           OR r.is_retained)
    ORDER BY p.person_id
$$;
CREATE FUNCTION cbi.sealed_households(wanted uuid[])
RETURNS TABLE (person_id uuid, household_id uuid, partner_id uuid, ubigeo text, sealed bytea,
               kek_id text, wrapped bytea, stands_for uuid, is_retained boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
    SELECT p.person_id, h.household_id, h.partner_id, h.ubigeo, p.sealed, d.kek_id, d.wrapped,
        r.stands_for, NOT a.agrees
    FROM unnest(wanted[1:5000]) AS w(household_id)
    JOIN cbi.household h USING (household_id) JOIN cbi.person p USING (household_id)
    JOIN cbi.data_key d USING (household_id)
    CROSS JOIN LATERAL (
        SELECT (p.gone IS NULL OR p.gone IN ('left', 'deceased')) AND coalesce((
            SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent c
            WHERE c.household_id = h.household_id AND c.kind = 'duplicate_check'
            ORDER BY c.recorded_at DESC LIMIT 1), false) AS agrees OFFSET 0) AS a
    LEFT JOIN LATERAL (
        SELECT r.stands_for, true AS is_retained FROM cbi.retained AS r
        WHERE r.person_id = p.person_id OFFSET 0) AS r ON true
    WHERE p.sealed <> '' AND (a.agrees OR r.is_retained)
    ORDER BY h.household_id, p.person_id
$$;
ALTER FUNCTION cbi.sealed_persons(uuid[]) OWNER TO cbi_door;
ALTER FUNCTION cbi.sealed_households(uuid[]) OWNER TO cbi_door;
REVOKE ALL ON FUNCTION cbi.sealed_persons(uuid[]), cbi.sealed_households(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.sealed_persons(uuid[]), cbi.sealed_households(uuid[]) TO cbi_app;

-- What a household's family is held for is told to its own organisation, and to who looks over all.
CREATE OR REPLACE FUNCTION cbi.held(wanted uuid[], moment timestamptz DEFAULT now())
RETURNS TABLE (household_id uuid, assistance text, months daterange)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.household_id, v.blocked, v.months
    FROM (SELECT DISTINCT u.household_id FROM unnest(wanted[1:5000]) AS u(household_id)) AS w
    JOIN cbi.household AS own ON own.household_id = w.household_id
        AND (own.partner_id = (SELECT cbi.partner_id())
             OR (SELECT cbi.has_role('coordinator', 'auditor')))
    CROSS JOIN LATERAL cbi.holds_around(w.household_id) AS o
    CROSS JOIN cbi.overlap_rules_on(cbi.peru_day(moment)) AS r
    CROSS JOIN LATERAL cbi.overlap_windows(o.assistance, o.months, o.held_on, r.document) AS v
    WHERE o.standing && tstzrange(moment, NULL)
      AND (upper_inf(v.months) OR upper(v.months) > cbi.peru_day(moment))
    ORDER BY w.household_id, v.blocked, v.months
$$;

-- A family is one's own if it has a household of one's own today.
CREATE OR REPLACE FUNCTION cbi.promised_before_split(
    wanted uuid[], wanted_group text, wanted_months daterange)
RETURNS TABLE (beneficiary_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH carried AS MATERIALIZED (
        SELECT s.household_id, e.household_id AS promised_to
        FROM cbi.split_promise AS s JOIN cbi.entitlement AS e USING (entitlement_id)
        WHERE s.assistance_group = wanted_group AND s.months && wanted_months
          AND e.cancelled_at IS NULL)
    SELECT DISTINCT mine.beneficiary_id FROM carried AS c
    CROSS JOIN LATERAL (
        SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = c.household_id
        ORDER BY m.membership_no DESC LIMIT 1) AS mine
    CROSS JOIN LATERAL (
        SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = c.promised_to
        ORDER BY m.membership_no DESC LIMIT 1) AS theirs
    WHERE mine.beneficiary_id = ANY (wanted) AND mine.beneficiary_id <> theirs.beneficiary_id
      AND ((SELECT cbi.has_role('coordinator', 'auditor')) OR EXISTS (
        SELECT FROM cbi.membership AS m
        WHERE m.beneficiary_id = mine.beneficiary_id AND m.partner_id = (SELECT cbi.partner_id())
          AND mine.beneficiary_id = (
            SELECT n.beneficiary_id FROM cbi.membership AS n
            WHERE n.household_id = m.household_id ORDER BY n.membership_no DESC LIMIT 1)))
$$;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
