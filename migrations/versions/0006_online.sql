-- The index to search by: a key and a person, nothing else. It is the largest table there is (some
-- sixteen rows a person), and searching reads its primary key's index alone. Whose person it is, is
-- told by the sealed record that the key leads to.
SET LOCAL ROLE cbi_owner;

-- The old policy reads partner_id, and would be in the way. The service adds through dedup.add only.
DROP POLICY adding ON dedup.key_entry;
CREATE POLICY adding ON dedup.key_entry FOR INSERT TO cbi_app WITH CHECK (false);
REVOKE INSERT ON dedup.key_entry FROM cbi_app;
DROP FUNCTION dedup.candidates(uuid[], bigint[], integer);
ALTER TABLE dedup.key_entry DROP COLUMN household_id, DROP COLUMN partner_id;
GRANT SELECT, INSERT ON dedup.key_entry TO cbi_door;
CREATE POLICY door_adding ON dedup.key_entry FOR INSERT TO cbi_door WITH CHECK (true);
-- Written anew, without the bytes of the columns that went.
CLUSTER dedup.key_entry USING key_entry_pkey;
COMMENT ON TABLE dedup.key_entry IS
    'Matching keys (HMAC, 64 bits) of every person; added to by dedup.add, read through dedup.sharing.';

-- Make persons findable; adding one twice changes nothing. `owners` and `keys` run in parallel, an
-- owner being a place in `person_ids`.
-- It waits for whoever is adding one of these keys, so that of two registrations of one person at
-- the same moment the later, searching after this, sees the earlier. Locks are taken in order, so
-- that two who share several keys never wait for each other crosswise; above `keys_locked_max`
-- (the server's lock table is small) the whole index is locked at once.
CREATE FUNCTION dedup.add(person_ids uuid[], owners integer[], keys bigint[],
                          keys_locked_max integer)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF cbi.partner_id() IS NULL THEN
        RAISE EXCEPTION 'nobody adds keys for no partner' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF cardinality(keys) > keys_locked_max THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('dedup.key_entry', 0));
    ELSE
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('dedup.key_entry', 0));
        PERFORM pg_advisory_xact_lock(s.key)
        FROM (SELECT q.key FROM unnest(keys) AS q(key) ORDER BY q.key OFFSET 0) AS s;
    END IF;
    INSERT INTO dedup.key_entry (key, person_id)
        SELECT q.key, person_ids[q.owner] FROM unnest(owners, keys) AS q(owner, key)
        ORDER BY 1, 2
        ON CONFLICT ON CONSTRAINT key_entry_pkey DO NOTHING;
END $$;

-- Who shares these keys: for each that somebody has, the persons in the order of their ids, one more
-- than its limit at most (`keys` and `limits` run in parallel): then there is a crowd.
CREATE FUNCTION dedup.sharing(keys bigint[], limits integer[])
RETURNS TABLE (key bigint, person_ids uuid[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
    SELECT q.key, found.person_ids
    FROM unnest(keys, limits) AS q(key, key_limit)
    CROSS JOIN LATERAL (SELECT ARRAY(
        SELECT e.person_id FROM dedup.key_entry AS e WHERE e.key = q.key
        ORDER BY e.person_id LIMIT q.key_limit + 1)) AS found(person_ids)
    WHERE cardinality(found.person_ids) > 0
$$;

REVOKE EXECUTE ON FUNCTION dedup.add(uuid[], integer[], bigint[], integer),
    dedup.sharing(bigint[], integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dedup.add(uuid[], integer[], bigint[], integer),
    dedup.sharing(bigint[], integer[]) TO cbi_app;
-- A function's new owner must be able to create in its schema, at that moment only.
GRANT CREATE ON SCHEMA dedup TO cbi_door;
RESET ROLE;
ALTER FUNCTION dedup.add(uuid[], integer[], bigint[], integer) OWNER TO cbi_door;
ALTER FUNCTION dedup.sharing(bigint[], integer[]) OWNER TO cbi_door;
SET LOCAL ROLE cbi_owner;
REVOKE CREATE ON SCHEMA dedup FROM cbi_door;

-- "crowded": searched, but somebody who may be the same person is lost in a crowd that shares a
-- document's number with this one.
ALTER TABLE dedup.match_case DROP CONSTRAINT match_case_why;
ALTER TABLE dedup.match_case ADD CONSTRAINT match_case_why
    CHECK (why IN ('declined', 'unsearchable', 'crowded'));

-- The households of candidates whole, whose they are and the sealed records of everybody, under the
-- same condition: a pair weighs more when others of the two households match as well.
CREATE FUNCTION cbi.sealed_households(wanted uuid[])
RETURNS TABLE (person_id uuid, household_id uuid, partner_id uuid, ubigeo text, sealed bytea,
               kek_id text, wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
    SELECT p.person_id, h.household_id, h.partner_id, h.ubigeo, p.sealed, d.kek_id, d.wrapped
    FROM unnest(wanted[1:5000]) AS w(household_id)
    JOIN cbi.household h USING (household_id) JOIN cbi.person p USING (household_id)
    JOIN cbi.data_key d USING (household_id)
    WHERE (SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent c
           WHERE c.household_id = h.household_id AND c.kind = 'duplicate_check'
           ORDER BY c.recorded_at DESC LIMIT 1)
    ORDER BY h.household_id, p.person_id
$$;
REVOKE EXECUTE ON FUNCTION cbi.sealed_households(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.sealed_households(uuid[]) TO cbi_app;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
RESET ROLE;
ALTER FUNCTION cbi.sealed_households(uuid[]) OWNER TO cbi_door;
-- Planning takes longer than finding a few rows by their keys, and the plan is the same however
-- many they are: the doors of a check keep one.
ALTER FUNCTION cbi.sealed_persons(uuid[]) SET plan_cache_mode = force_generic_plan;
SET LOCAL ROLE cbi_owner;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;

-- Every check of people whom nobody registered by it: who asked, when, what for, how many, and
-- how it ended. Nothing of the people. It is also what the quota of an organisation is counted by.
CREATE TABLE cbi.duplicate_check (
    check_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT duplicate_check_pkey PRIMARY KEY,
    at timestamptz NOT NULL,
    -- Peru's, on which quotas begin anew.
    day date NOT NULL,
    actor_id uuid NOT NULL DEFAULT cbi.actor_id(),
    partner_id uuid NOT NULL DEFAULT cbi.partner_id(),
    request_id text NOT NULL DEFAULT coalesce(current_setting('app.request_id', true), ''),
    purpose text NOT NULL CONSTRAINT duplicate_check_purpose CHECK (
        purpose IN ('before_registration', 'before_enrolment', 'before_payment')),
    persons integer NOT NULL CONSTRAINT duplicate_check_persons CHECK (persons >= 0),
    clear integer NOT NULL,
    review integer NOT NULL,
    unsearchable integer NOT NULL,
    CONSTRAINT duplicate_check_outcomes CHECK (least(clear, review, unsearchable) >= 0)
);
CREATE INDEX duplicate_check_of_day ON cbi.duplicate_check (partner_id, day);
CALL cbi.make_append_only('cbi.duplicate_check');
CALL cbi.guard('cbi.duplicate_check', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);
RESET ROLE;
