-- cbi.household and cbi.person stay what is so today, for everybody who reads them. They change
-- only by an event, which turns the page: the database itself keeps the row that stood before and
-- counts the version up, and no row changes without an event of the same transaction.
SET LOCAL ROLE cbi_owner;

ALTER TABLE cbi.household
    ADD COLUMN version integer NOT NULL DEFAULT 1
        CONSTRAINT household_version_range CHECK (version >= 1),
    -- Registered no more: withdrawn, handed over, joined to another, or nobody of it lives.
    ADD COLUMN ended_at timestamptz;
-- The version of the household in which the row began, and why the person is not in it any more.
-- Who left or died stays findable. `elsewhere`: registered in another household now. `moved`: with
-- the whole household, which was handed over or joined to another; what was promised to it before
-- still reaches its collector.
ALTER TABLE cbi.person
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN gone text CONSTRAINT person_gone_known CHECK (
        gone IN ('left', 'deceased', 'error', 'elsewhere', 'moved'));
-- The newest row of a person counts.
ALTER TABLE cbi.specific_need
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    DROP CONSTRAINT specific_need_pkey,
    ADD CONSTRAINT specific_need_pkey PRIMARY KEY (person_id, version);

CREATE TABLE cbi.household_event (
    event_id uuid CONSTRAINT household_event_pkey PRIMARY KEY,
    household_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    -- The version that the household has since; the registration itself is version 1.
    version integer NOT NULL CONSTRAINT household_event_version CHECK (version >= 2),
    kind text NOT NULL CONSTRAINT household_event_kind CHECK (kind IN (
        'corrected', 'updated', 'joined', 'left', 'deceased', 'consent_withdrawn', 'withdrawn',
        'erased', 'offered', 'transferred', 'received', 'split', 'split_off', 'merged',
        'merged_into')),
    reason text NOT NULL CONSTRAINT household_event_reason CHECK (reason IN (
        'data_error', 'changed', 'born', 'arrived', 'moved_out', 'separated', 'died',
        'family_asked', 'same_household', 'referred', 'other')),
    -- Which consent, where the event is about one.
    consent text,
    happened_on date NOT NULL,
    persons_in smallint NOT NULL DEFAULT 0,
    persons_out smallint NOT NULL DEFAULT 0,
    -- A household of the same organisation that the event is about as well.
    other_household_id uuid,
    note bytea,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    transaction_no bigint NOT NULL,
    CONSTRAINT household_event_turn UNIQUE (household_id, version),
    CONSTRAINT household_event_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id),
    CONSTRAINT household_event_of_other FOREIGN KEY (other_household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT household_event_counts CHECK (least(persons_in, persons_out) >= 0),
    CONSTRAINT household_event_after CHECK (happened_on <= (at AT TIME ZONE 'America/Lima')::date)
);
COMMENT ON TABLE cbi.household_event IS
    'What happened to a household since its registration: each its next version.';
CALL cbi.make_append_only('cbi.household_event');
CALL cbi.guard('cbi.household_event',
    $$partner_id = (SELECT cbi.partner_id()) OR (SELECT cbi.has_role('auditor'))$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

CREATE TABLE cbi.household_version (
    household_id uuid NOT NULL,
    version integer NOT NULL,
    partner_id uuid NOT NULL,
    content_key bytea NOT NULL,
    ubigeo text NOT NULL,
    population_type text NOT NULL,
    size smallint NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT household_version_pkey PRIMARY KEY (household_id, version),
    CONSTRAINT household_version_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
COMMENT ON TABLE cbi.household_version IS 'Households as they stood before an event.';
CREATE TABLE cbi.person_version (
    person_id uuid NOT NULL,
    version integer NOT NULL,
    partner_id uuid NOT NULL,
    sealed bytea NOT NULL,
    gone text,
    CONSTRAINT person_version_pkey PRIMARY KEY (person_id, version),
    CONSTRAINT person_version_of_person FOREIGN KEY (person_id, partner_id)
        REFERENCES cbi.person (person_id, partner_id)
);
COMMENT ON TABLE cbi.person_version IS
    'Persons as they stood before an event, by the version of the household in which that began.';
CALL cbi.make_append_only('cbi.household_version');
CALL cbi.make_append_only('cbi.person_version');
CALL cbi.guard('cbi.household_version', $$partner_id = (SELECT cbi.partner_id())$$,
    $$partner_id = cbi.partner_id()$$);
CALL cbi.guard('cbi.person_version', $$partner_id = (SELECT cbi.partner_id())$$,
    $$partner_id = cbi.partner_id()$$);

-- Only another trigger writes versions: nobody invents a past.
CREATE FUNCTION cbi.refuse_told_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'versions are kept by the database'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'version_kept';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER version_kept BEFORE INSERT ON cbi.household_version
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_told_version();
CREATE TRIGGER version_kept BEFORE INSERT ON cbi.person_version
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_told_version();
ALTER TABLE cbi.household_version ENABLE ALWAYS TRIGGER version_kept;
ALTER TABLE cbi.person_version ENABLE ALWAYS TRIGGER version_kept;

-- Whether the household's version is the work of this transaction.
CREATE FUNCTION cbi.is_turned(wanted uuid, wanted_version integer) RETURNS boolean
LANGUAGE sql STABLE
    RETURN EXISTS (
        SELECT FROM cbi.household_event AS e
        WHERE e.household_id = wanted AND e.version = wanted_version
          AND e.transaction_no = pg_current_xact_id()::text::bigint);

-- One event after another. The household's row stays locked, so that two who change it follow one
-- another, and the second is refused if it took the first one's version for today's.
CREATE FUNCTION cbi.take_turn() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    standing integer;
BEGIN
    SELECT h.version INTO standing FROM cbi.household AS h
    WHERE h.household_id = NEW.household_id FOR NO KEY UPDATE;
    IF standing IS DISTINCT FROM NEW.version - 1 THEN
        RAISE EXCEPTION 'household % has another version', NEW.household_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'household_event_turn';
    END IF;
    NEW.transaction_no := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER household_event_turn BEFORE INSERT ON cbi.household_event
    FOR EACH ROW EXECUTE FUNCTION cbi.take_turn();
ALTER TABLE cbi.household_event ENABLE ALWAYS TRIGGER household_event_turn;

CREATE FUNCTION cbi.turn_page() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cbi.household SET version = NEW.version WHERE household_id = NEW.household_id;
    RETURN NULL;
END $$;
CREATE TRIGGER household_event_turned AFTER INSERT ON cbi.household_event
    FOR EACH ROW EXECUTE FUNCTION cbi.turn_page();
ALTER TABLE cbi.household_event ENABLE ALWAYS TRIGGER household_event_turned;

CREATE FUNCTION cbi.keep_household() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE'
       OR (NEW.household_id, NEW.partner_id, NEW.reference_key, NEW.registered_at,
           NEW.registered_by) IS DISTINCT FROM
          (OLD.household_id, OLD.partner_id, OLD.reference_key, OLD.registered_at,
           OLD.registered_by)
       OR NEW.version - OLD.version NOT IN (0, 1)
       OR OLD.ended_at <> NEW.ended_at OR OLD.ended_at IS NOT NULL AND NEW.ended_at IS NULL
       OR NOT cbi.is_turned(NEW.household_id, NEW.version) THEN
        RAISE EXCEPTION 'a household changes by an event: % refused', TG_OP
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'household_by_event';
    END IF;
    IF NEW.version > OLD.version THEN
        INSERT INTO cbi.household_version (household_id, version, partner_id, content_key, ubigeo,
            population_type, size, sealed)
        VALUES (OLD.household_id, OLD.version, OLD.partner_id, OLD.content_key, OLD.ubigeo,
            OLD.population_type, OLD.size, OLD.sealed);
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER append_only_row ON cbi.household;
CREATE TRIGGER household_by_event BEFORE UPDATE OR DELETE ON cbi.household
    FOR EACH ROW EXECUTE FUNCTION cbi.keep_household();
ALTER TABLE cbi.household ENABLE ALWAYS TRIGGER household_by_event;

CREATE FUNCTION cbi.keep_person() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    standing integer;
BEGIN
    IF TG_OP <> 'DELETE' THEN
        SELECT h.version INTO standing FROM cbi.household AS h
        WHERE h.household_id = NEW.household_id;
        IF cbi.is_turned(NEW.household_id, standing) AND NEW.version = standing THEN
            IF TG_OP = 'INSERT' THEN
                RETURN NULL;
            ELSIF (NEW.person_id, NEW.household_id, NEW.partner_id, NEW.ordinal) =
                  (OLD.person_id, OLD.household_id, OLD.partner_id, OLD.ordinal) THEN
                IF OLD.version < standing THEN
                    INSERT INTO cbi.person_version (person_id, version, partner_id, sealed, gone)
                    VALUES (OLD.person_id, OLD.version, OLD.partner_id, OLD.sealed, OLD.gone);
                END IF;
                RETURN NEW;
            END IF;
        END IF;
    END IF;
    RAISE EXCEPTION 'a person changes by an event of the household: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'person_by_event';
END $$;
DROP TRIGGER append_only_row ON cbi.person;
CREATE TRIGGER person_by_event BEFORE UPDATE OR DELETE ON cbi.person
    FOR EACH ROW EXECUTE FUNCTION cbi.keep_person();
CREATE TRIGGER person_joins_by_event AFTER INSERT ON cbi.person
    FOR EACH ROW WHEN (NEW.version > 1) EXECUTE FUNCTION cbi.keep_person();
ALTER TABLE cbi.person ENABLE ALWAYS TRIGGER person_by_event;
ALTER TABLE cbi.person ENABLE ALWAYS TRIGGER person_joins_by_event;

CREATE POLICY changing ON cbi.household FOR UPDATE TO cbi_app
    USING (partner_id = cbi.partner_id() AND ubigeo LIKE cbi.area() || '%')
    WITH CHECK (partner_id = cbi.partner_id() AND ubigeo LIKE cbi.area() || '%');
CREATE POLICY changing ON cbi.person FOR UPDATE TO cbi_app
    USING (partner_id = cbi.partner_id()) WITH CHECK (partner_id = cbi.partner_id());
GRANT UPDATE (content_key, ubigeo, population_type, size, sealed, version, ended_at)
    ON cbi.household TO cbi_app;
GRANT UPDATE (sealed, version, gone) ON cbi.person TO cbi_app;

-- An ended household is not enrolled, and whoever ends it waits for who is enrolling it.
CREATE FUNCTION cbi.refuse_ended() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ended timestamptz;
BEGIN
    SELECT h.ended_at INTO ended FROM cbi.household AS h
    WHERE h.household_id = NEW.household_id FOR SHARE;
    IF ended IS NOT NULL THEN
        RAISE EXCEPTION 'household % has ended', NEW.household_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'household_not_ended';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER household_not_ended BEFORE INSERT ON cbi.enrolment
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_ended();
ALTER TABLE cbi.enrolment ENABLE ALWAYS TRIGGER household_not_ended;

-- ---------------------------------------------------------------- matching

GRANT SELECT (household_id, partner_id, version, transaction_no) ON cbi.household_event TO cbi_door;
CREATE POLICY door ON cbi.household_event FOR SELECT TO cbi_door USING (true);
GRANT SELECT (gone) ON cbi.person TO cbi_door;
GRANT DELETE ON dedup.key_entry TO cbi_door;
CREATE POLICY door_dropping ON dedup.key_entry FOR DELETE TO cbi_door USING (true);
GRANT SELECT (case_id, person_a, person_b) ON dedup.case_pair TO cbi_door;
GRANT SELECT (partner_a, partner_b) ON dedup.match_case TO cbi_door;
CREATE POLICY door ON dedup.case_pair FOR SELECT TO cbi_door USING (true);

-- Take keys from persons of a household that an event of this transaction changes; `owners` and
-- `keys` run in parallel, an owner being a place in `person_ids`.
CREATE FUNCTION dedup.drop(person_ids uuid[], owners integer[], keys bigint[]) RETURNS void
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
    WHERE k.key = q.key AND k.person_id = person_ids[q.owner];
END $$;

-- Which persons of these cases left or died, as far as their household's organisation recorded it:
-- told to the two organisations of a case, and to those who judge.
CREATE FUNCTION cbi.gone_of(wanted uuid[]) RETURNS TABLE (case_id uuid, person_id uuid, gone text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT c.case_id, p.person_id, p.gone
    FROM unnest(wanted[1:5000]) AS w(case_id)
    JOIN dedup.match_case AS c USING (case_id) JOIN dedup.case_pair AS x USING (case_id)
    JOIN cbi.person AS p ON p.person_id IN (x.person_a, x.person_b)
    WHERE p.gone IN ('left', 'deceased')
      AND (cbi.partner_id() IN (c.partner_a, c.partner_b)
           OR cbi.has_role('adjudicator', 'coordinator', 'auditor'))
    ORDER BY 1, 2
$$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi, dedup TO cbi_door;
ALTER FUNCTION dedup.drop(uuid[], integer[], bigint[]) OWNER TO cbi_door;
ALTER FUNCTION cbi.gone_of(uuid[]) OWNER TO cbi_door;
-- Whoever was entered by mistake, or is registered in another household now, is not found in this
-- one. The doors are as they were but for that.
CREATE OR REPLACE FUNCTION cbi.sealed_persons(wanted uuid[])
RETURNS TABLE (person_id uuid, household_id uuid, ubigeo text, sealed bytea, kek_id text,
               wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
    SELECT p.person_id, h.household_id, h.ubigeo, p.sealed, d.kek_id, d.wrapped
    FROM unnest(wanted[1:5000]) AS w(person_id)
    JOIN cbi.person p USING (person_id) JOIN cbi.household h USING (household_id)
    JOIN cbi.data_key d USING (household_id)
    WHERE (p.gone IS NULL OR p.gone IN ('left', 'deceased'))
      AND (SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent c
           WHERE c.household_id = h.household_id AND c.kind = 'duplicate_check'
           ORDER BY c.recorded_at DESC LIMIT 1)
    ORDER BY p.person_id
$$;
CREATE OR REPLACE FUNCTION cbi.sealed_households(wanted uuid[])
RETURNS TABLE (person_id uuid, household_id uuid, partner_id uuid, ubigeo text, sealed bytea,
               kek_id text, wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
    SELECT p.person_id, h.household_id, h.partner_id, h.ubigeo, p.sealed, d.kek_id, d.wrapped
    FROM unnest(wanted[1:5000]) AS w(household_id)
    JOIN cbi.household h USING (household_id) JOIN cbi.person p USING (household_id)
    JOIN cbi.data_key d USING (household_id)
    WHERE (p.gone IS NULL OR p.gone IN ('left', 'deceased'))
      AND (SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent c
           WHERE c.household_id = h.household_id AND c.kind = 'duplicate_check'
           ORDER BY c.recorded_at DESC LIMIT 1)
    ORDER BY h.household_id, p.person_id
$$;
CREATE OR REPLACE FUNCTION cbi.sealed_population(after uuid, upto uuid, wanted_for text)
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
            SELECT coalesce(array_agg(m.person_id ORDER BY m.person_id), '{}') AS person_ids,
                   coalesce(array_agg(m.sealed ORDER BY m.person_id), '{}') AS sealed
            FROM cbi.person m WHERE m.household_id = h.household_id
              AND (m.gone IS NULL OR m.gone IN ('left', 'deceased'))) AS p
        ORDER BY h.household_id;
END $$;
REVOKE CREATE ON SCHEMA cbi, dedup FROM cbi_door;
REVOKE ALL ON FUNCTION dedup.drop(uuid[], integer[], bigint[]), cbi.gone_of(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dedup.drop(uuid[], integer[], bigint[]), cbi.gone_of(uuid[]) TO cbi_app;
