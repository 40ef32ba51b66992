-- Models as they were learned, which of them weighs, and runs over everybody registered.
SET LOCAL ROLE cbi_owner;

-- ---------------------------------------------------------------- models

-- The text as it was written down: its digest is the id, so it is kept to the letter. It counts
-- words and rates and names nobody, so whoever may ask for anything may read it.
CREATE TABLE dedup.model (
    model_id text NOT NULL,
    content text NOT NULL,
    added_at timestamptz NOT NULL,
    added_by uuid NOT NULL,
    CONSTRAINT model_pkey PRIMARY KEY (model_id),
    CONSTRAINT model_content CHECK (content IS JSON OBJECT)
);
COMMENT ON TABLE dedup.model IS
    'What each level of agreement weighs, by the id that stands on every score.';
CALL cbi.make_append_only('dedup.model');
CALL cbi.guard('dedup.model', 'true',
    $$added_by = cbi.actor_id() AND cbi.has_role('matcher', 'coordinator', 'admin')$$);

-- The newest row names the model in use; without a row it is the one that comes with the program.
CREATE TABLE dedup.model_activation (
    activation_no bigint GENERATED ALWAYS AS IDENTITY,
    model_id text NOT NULL CONSTRAINT model_activation_of_model REFERENCES dedup.model,
    since timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    reason text NOT NULL,
    CONSTRAINT model_activation_pkey PRIMARY KEY (activation_no),
    CONSTRAINT model_activation_reason CHECK (length(trim(reason)) BETWEEN 1 AND 2000)
);
CALL cbi.make_append_only('dedup.model_activation');
CALL cbi.guard('dedup.model_activation', 'true',
    $$actor_id = cbi.actor_id() AND cbi.has_role('coordinator', 'admin')$$);

-- ---------------------------------------------------------------- runs

CREATE TABLE dedup.run (
    run_id uuid NOT NULL,
    model_id text NOT NULL CONSTRAINT run_of_model REFERENCES dedup.model,
    engine text NOT NULL,
    -- Only pairs of which one side is registered by one of these; empty: all pairs.
    partners uuid[] NOT NULL,
    started_at timestamptz NOT NULL,
    started_by uuid NOT NULL,
    CONSTRAINT run_pkey PRIMARY KEY (run_id),
    CONSTRAINT run_engine CHECK (engine IN ('local', 'spark'))
);
COMMENT ON TABLE dedup.run IS 'Comparing everybody with everybody, once.';
CALL cbi.make_append_only('dedup.run');
CALL cbi.guard('dedup.run', $$cbi.has_role('matcher', 'coordinator', 'auditor', 'admin')$$,
    $$cbi.has_role('matcher') AND started_by = cbi.actor_id()$$);

-- How far a run has come: `done` of `total` households read, or of pairs taken to people.
CREATE TABLE dedup.run_step (
    step_no bigint GENERATED ALWAYS AS IDENTITY,
    run_id uuid NOT NULL CONSTRAINT run_step_of_run REFERENCES dedup.run,
    phase text NOT NULL,
    done integer NOT NULL,
    total integer NOT NULL,
    -- Numbers and the kind of a fault, never of whom.
    counts jsonb NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT run_step_pkey PRIMARY KEY (step_no),
    CONSTRAINT run_step_phase CHECK (
        phase IN ('reading', 'matching', 'opening', 'finished', 'failed')),
    CONSTRAINT run_step_done CHECK (done BETWEEN 0 AND total)
);
CREATE INDEX run_step_of_run ON dedup.run_step (run_id, step_no DESC);
-- A finished run is over; a failed or killed one may go on.
CREATE UNIQUE INDEX run_step_finished_once ON dedup.run_step (run_id) WHERE phase = 'finished';
CALL cbi.make_append_only('dedup.run_step');
CALL cbi.guard('dedup.run_step', $$cbi.has_role('matcher', 'coordinator', 'auditor', 'admin')$$,
    $$cbi.has_role('matcher')$$);

-- Whoever runs holds this lock of the session, so there is one run at a time, and a killed one
-- is known by nobody holding it.
CREATE FUNCTION dedup.run_lock() RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN hashtextextended('dedup.run', 0);
CREATE FUNCTION dedup.is_running() RETURNS boolean LANGUAGE sql STABLE
    RETURN EXISTS (
        SELECT FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
        WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objsubid = 1
          AND l.classid = ((dedup.run_lock() >> 32) & 4294967295)::oid
          AND l.objid = (dedup.run_lock() & 4294967295)::oid AND l.granted);

-- ---------------------------------------------------------------- reading everybody

-- One row for a page of households that were opened: all with ids behind `after_household` and up
-- to `upto_household` that were there at that moment, but those in `left_out`. Who opened a given
-- household is answered exactly, without a row for each of a million persons.
CREATE TABLE cbi.bulk_access (
    bulk_access_no bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    actor_id uuid NOT NULL DEFAULT cbi.actor_id(),
    request_id text NOT NULL DEFAULT coalesce(current_setting('app.request_id', true), ''),
    purpose text NOT NULL,
    after_household uuid NOT NULL,
    upto_household uuid NOT NULL,
    households integer NOT NULL,
    left_out uuid[] NOT NULL,
    CONSTRAINT bulk_access_pkey PRIMARY KEY (bulk_access_no),
    CONSTRAINT bulk_access_purpose CHECK (purpose IN ('duplicate check', 'model training')),
    CONSTRAINT bulk_access_forward CHECK (after_household < upto_household)
);
COMMENT ON TABLE cbi.bulk_access IS
    'Pages of households whose sealed records were handed out to matching as a whole.';
CALL cbi.make_append_only('cbi.bulk_access');
CALL cbi.guard('cbi.bulk_access', $$cbi.has_role('auditor')$$,
    $$cbi.has_role('matcher') AND actor_id = cbi.actor_id()$$);
GRANT INSERT ON cbi.bulk_access TO cbi_door;
CREATE POLICY door_adding ON cbi.bulk_access FOR INSERT TO cbi_door WITH CHECK (true);

-- Where pages of at most so many households end, and how many each holds.
CREATE FUNCTION cbi.household_pages(per_page integer)
RETURNS TABLE (upto uuid, households integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT max(n.household_id::text COLLATE "C")::uuid, count(*)::integer
    FROM (SELECT h.household_id, (row_number() OVER (ORDER BY h.household_id) - 1) / per_page AS page
          FROM cbi.household h WHERE cbi.has_role('matcher')) AS n
    GROUP BY n.page ORDER BY n.page
$$;

-- The sealed records of a page of households that agreed to the duplicate check, one row for each
-- household. The reading is written down by this very statement, so that none goes without.
CREATE FUNCTION cbi.sealed_population(after uuid, upto uuid, wanted_for text)
RETURNS TABLE (household_id uuid, partner_id uuid, ubigeo text, kek_id text, wrapped bytea,
               person_ids uuid[], sealed bytea[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    agreed uuid[];
    others uuid[];
BEGIN
    IF NOT cbi.has_role('matcher') THEN
        RAISE EXCEPTION 'only matching reads everybody' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT coalesce(array_agg(page.household_id) FILTER (WHERE page.agrees), '{}'),
           coalesce(array_agg(page.household_id) FILTER (WHERE NOT page.agrees), '{}')
    INTO agreed, others
    FROM (SELECT h.household_id, d.household_id IS NOT NULL AND coalesce((
              SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent c
              WHERE c.household_id = h.household_id AND c.kind = 'duplicate_check'
              ORDER BY c.recorded_at DESC LIMIT 1), false) AS agrees
          FROM cbi.household h LEFT JOIN cbi.data_key d USING (household_id)
          WHERE h.household_id > after AND h.household_id <= upto
          ORDER BY h.household_id) AS page;
    IF cardinality(agreed) + cardinality(others) > 5000 THEN
        RAISE EXCEPTION 'a page of over 5,000 households' USING ERRCODE = 'program_limit_exceeded';
    END IF;
    INSERT INTO cbi.bulk_access (purpose, after_household, upto_household, households, left_out)
    VALUES (wanted_for, after, upto, cardinality(agreed), others);
    RETURN QUERY
        SELECT h.household_id, h.partner_id, h.ubigeo, d.kek_id, d.wrapped,
               p.person_ids, p.sealed
        FROM unnest(agreed) AS a(household_id)
        JOIN cbi.household h USING (household_id) JOIN cbi.data_key d USING (household_id)
        CROSS JOIN LATERAL (
            SELECT array_agg(m.person_id ORDER BY m.person_id) AS person_ids,
                   array_agg(m.sealed ORDER BY m.person_id) AS sealed
            FROM cbi.person m WHERE m.household_id = h.household_id) AS p
        ORDER BY h.household_id;
END $$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.household_pages(integer) OWNER TO cbi_door;
ALTER FUNCTION cbi.sealed_population(uuid, uuid, text) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.household_pages(integer), cbi.sealed_population(uuid, uuid, text)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.household_pages(integer), cbi.sealed_population(uuid, uuid, text)
    TO cbi_app;
