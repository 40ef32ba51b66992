-- Erasing a household destroys its key. What the same people left behind under other keys goes with
-- it: what is kept of them in a household that they parted from, a household that went on as this
-- one, and what was said in appeals. The database does it itself when the erasure is recorded.
SET LOCAL ROLE cbi_owner;

-- Who goes on as whom, when persons part from a household or their household joins another one.
CREATE TABLE cbi.person_succession (
    person_id uuid CONSTRAINT person_succession_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    successor_id uuid NOT NULL,
    CONSTRAINT person_succession_of_another CHECK (person_id <> successor_id),
    CONSTRAINT person_succession_of_person FOREIGN KEY (person_id, partner_id)
        REFERENCES cbi.person (person_id, partner_id),
    CONSTRAINT person_succession_of_successor FOREIGN KEY (successor_id, partner_id)
        REFERENCES cbi.person (person_id, partner_id)
);
COMMENT ON TABLE cbi.person_succession IS
    'Persons of a household of the same organisation who are registered under another id now.';
CREATE INDEX person_succession_by_successor ON cbi.person_succession (successor_id);
CALL cbi.make_append_only('cbi.person_succession');
CALL cbi.guard('cbi.person_succession', $$partner_id = (SELECT cbi.partner_id())$$,
    $$partner_id = cbi.partner_id()$$);

-- History stays as it was written, but for one column that the door empties for good. Nobody else
-- becomes cbi_door: the service can't.
CREATE FUNCTION cbi.refuse_change_but_empty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_user = 'cbi_door'
       AND to_jsonb(NEW) - TG_ARGV[0] = to_jsonb(OLD) - TG_ARGV[0]
       AND coalesce(to_jsonb(NEW) ->> TG_ARGV[0], '\x') = '\x' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'append_only';
END $$;
DO $$
DECLARE
    named text[];
BEGIN
    FOREACH named SLICE 1 IN ARRAY ARRAY[['person_version', 'sealed'],
        ['specific_need', 'sealed'], ['household_event', 'note']] LOOP
        EXECUTE format('DROP TRIGGER append_only_row ON cbi.%I', named[1]);
        EXECUTE format('CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON cbi.%I
            FOR EACH ROW EXECUTE FUNCTION cbi.refuse_change_but_empty(%L)', named[1], named[2]);
        EXECUTE format('ALTER TABLE cbi.%I ENABLE ALWAYS TRIGGER append_only_row', named[1]);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION cbi.keep_person() RETURNS trigger LANGUAGE plpgsql AS $$
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
        ELSIF TG_OP = 'UPDATE' AND current_user = 'cbi_door' AND NEW.sealed = ''
              AND to_jsonb(NEW) - 'sealed' = to_jsonb(OLD) - 'sealed' THEN
            -- Erased, where the person is registered now.
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'a person changes by an event of the household: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'person_by_event';
END $$;

GRANT SELECT (person_id, successor_id) ON cbi.person_succession TO cbi_door;
GRANT UPDATE (sealed) ON cbi.person, cbi.person_version, cbi.specific_need TO cbi_door;
GRANT SELECT (person_id) ON cbi.person_version, cbi.specific_need TO cbi_door;
GRANT UPDATE (note) ON cbi.household_event TO cbi_door;
GRANT DELETE ON cbi.data_key, cbi.appeal_key TO cbi_door;
GRANT SELECT (appeal_id) ON cbi.appeal_key TO cbi_door;
CREATE POLICY door ON cbi.person_succession FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.person_version FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.specific_need FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.appeal_key FOR SELECT TO cbi_door USING (true);
CREATE POLICY door_erasing ON cbi.person_version FOR UPDATE TO cbi_door USING (true);
CREATE POLICY door_erasing ON cbi.specific_need FOR UPDATE TO cbi_door USING (true);
CREATE POLICY door_erasing ON cbi.household_event FOR UPDATE TO cbi_door USING (true);
CREATE POLICY door_erasing ON cbi.data_key FOR DELETE TO cbi_door USING (true);
CREATE POLICY door_erasing ON cbi.appeal_key FOR DELETE TO cbi_door USING (true);
-- Nobody deleted these keys: only doors do.
DROP POLICY erasing ON cbi.appeal_key;
REVOKE DELETE ON cbi.appeal_key FROM cbi_app;

CREATE INDEX household_event_by_other ON cbi.household_event (other_household_id)
    WHERE kind IN ('split', 'merged_into');

-- A household and those that went on as it, one into another, of one organisation.
CREATE FUNCTION cbi.gone_on_as(wanted uuid) RETURNS SETOF uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE gone_on (household_id) AS (
        SELECT wanted
        UNION
        SELECT e.household_id FROM gone_on AS g JOIN cbi.household_event AS e
            ON e.other_household_id = g.household_id AND e.kind = 'merged_into')
    SELECT g.household_id FROM gone_on AS g
$$;
GRANT EXECUTE ON FUNCTION cbi.gone_on_as(uuid) TO cbi_app, cbi_door;

CREATE FUNCTION cbi.erase_elsewhere() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    erased uuid[];
    persons uuid[];
BEGIN
    IF NOT EXISTS (SELECT FROM cbi.household AS h
                   WHERE h.household_id = NEW.household_id AND h.ended_at IS NOT NULL) THEN
        RAISE EXCEPTION 'household % has not ended', NEW.household_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'erased_after_end';
    END IF;
    SELECT array_agg(g) INTO erased FROM cbi.gone_on_as(NEW.household_id) AS g;
    WITH RECURSIVE before (person_id) AS (
        SELECT s.person_id FROM cbi.person AS p
        JOIN cbi.person_succession AS s ON s.successor_id = p.person_id
        WHERE p.household_id = ANY (erased)
        UNION
        SELECT s.person_id FROM before AS b
        JOIN cbi.person_succession AS s ON s.successor_id = b.person_id)
    SELECT coalesce(array_agg(b.person_id), '{}') INTO persons FROM before AS b;
    UPDATE cbi.person SET sealed = '' WHERE person_id = ANY (persons);
    UPDATE cbi.person_version SET sealed = '' WHERE person_id = ANY (persons);
    UPDATE cbi.specific_need SET sealed = '' WHERE person_id = ANY (persons);
    -- What was noted when they parted.
    UPDATE cbi.household_event SET note = NULL
    WHERE other_household_id = ANY (erased) AND kind = 'split';
    DELETE FROM cbi.data_key
    WHERE household_id = ANY (erased) AND household_id <> NEW.household_id;
    DELETE FROM cbi.appeal_key AS k USING cbi.appeal AS a JOIN cbi.slip AS s USING (slip_id)
    WHERE k.appeal_id = a.appeal_id AND s.household_id = ANY (erased);
    RETURN NULL;
END $$;
CREATE TRIGGER household_erased_elsewhere AFTER INSERT ON cbi.household_event
    FOR EACH ROW WHEN (NEW.kind = 'erased') EXECUTE FUNCTION cbi.erase_elsewhere();
ALTER TABLE cbi.household_event ENABLE ALWAYS TRIGGER household_erased_elsewhere;

-- What people said in appeals that were decided before a moment: by the worker, who reads nothing.
CREATE FUNCTION cbi.erase_decided_appeals(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    erased bigint;
BEGIN
    IF NOT cbi.has_role('worker') THEN
        RETURN 0;
    END IF;
    DELETE FROM cbi.appeal_key AS k USING cbi.appeal_outcome AS o
    WHERE o.appeal_id = k.appeal_id AND o.decided_at < before;
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END $$;

-- ---------------------------------------------------------------- words instead of free text

-- What people wrote about a family in the clear would outlive its key: a word of a list stays. What
-- was written so far is gone with this.
ALTER TABLE cbi.eligibility_override
    DROP CONSTRAINT eligibility_override_because,
    ALTER COLUMN because TYPE text USING 'other',
    ADD CONSTRAINT eligibility_override_because CHECK (because IN (
        'documents_seen', 'home_visit', 'interview', 'confirmed_elsewhere', 'record_mended',
        'other'));
ALTER TABLE cbi.entitlement
    ALTER COLUMN cancelled_because TYPE text
        USING CASE WHEN cancelled_because IS NOT NULL THEN 'other' END,
    ADD CONSTRAINT entitlement_cancelled_because CHECK (cancelled_because IN (
        'family_asked', 'moved_away', 'deceased', 'helped_elsewhere', 'duplicate', 'wrong_payee',
        'wrong_amount', 'other'));

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.erase_elsewhere() OWNER TO cbi_door;
ALTER FUNCTION cbi.erase_decided_appeals(timestamptz) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.erase_elsewhere(), cbi.erase_decided_appeals(timestamptz),
    cbi.gone_on_as(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.erase_decided_appeals(timestamptz) TO cbi_app;
