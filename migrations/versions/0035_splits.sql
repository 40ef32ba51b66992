-- Persons who part from a household start as a family of their own. What their family was promised
-- before was promised for them as well: those months are not promised to the new family again, as
-- long as the promise isn't cancelled. So a split is no way to get a month twice.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.split_promise (
    household_id uuid NOT NULL,
    entitlement_id uuid NOT NULL
        CONSTRAINT split_promise_of_entitlement REFERENCES cbi.entitlement,
    partner_id uuid NOT NULL,
    assistance_group text NOT NULL,
    kind text NOT NULL,
    months daterange NOT NULL,
    CONSTRAINT split_promise_pkey PRIMARY KEY (household_id, entitlement_id),
    CONSTRAINT split_promise_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
COMMENT ON TABLE cbi.split_promise IS
    'Months that were promised, by anybody, to the family that a household parted from.';
CREATE INDEX split_promise_by_group ON cbi.split_promise (assistance_group);
CALL cbi.make_append_only('cbi.split_promise');
CALL cbi.guard('cbi.split_promise', $$partner_id = (SELECT cbi.partner_id())$$, 'false');
GRANT SELECT, INSERT ON cbi.split_promise TO cbi_door;
CREATE POLICY door ON cbi.split_promise FOR SELECT TO cbi_door USING (true);
CREATE POLICY door_adding ON cbi.split_promise FOR INSERT TO cbi_door WITH CHECK (true);
GRANT SELECT (entitlement_id, kind) ON cbi.entitlement TO cbi_door;

-- Let a household that parted in this transaction carry what its family was promised before.
CREATE FUNCTION cbi.carry_promises(parting uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    carried integer;
BEGIN
    PERFORM cbi.lock_families();
    INSERT INTO cbi.split_promise (household_id, entitlement_id, partner_id, assistance_group,
        kind, months)
    SELECT p.household_id, e.entitlement_id, p.partner_id, e.assistance_group, e.kind, e.months
    FROM cbi.household_event AS p
    CROSS JOIN LATERAL (
        SELECT n.entitlement_id FROM cbi.beneficiaries_of(ARRAY[p.other_household_id]) AS b,
            cbi.households_of(ARRAY[b.beneficiary_id]) AS h
            JOIN cbi.entitlement AS n ON n.household_id = h.household_id
        UNION
        SELECT s.entitlement_id FROM cbi.split_promise AS s
        WHERE s.household_id = p.other_household_id) AS before
    JOIN cbi.entitlement AS e ON e.entitlement_id = before.entitlement_id
    WHERE p.event_id = parting AND p.kind = 'split_off' AND p.partner_id = cbi.partner_id()
      AND p.transaction_no = pg_current_xact_id()::text::bigint AND e.cancelled_at IS NULL;
    GET DIAGNOSTICS carried = ROW_COUNT;
    RETURN carried;
END $$;

-- Whoever goes on as another household takes along what that one carried.
CREATE FUNCTION cbi.pass_promises() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO cbi.split_promise (household_id, entitlement_id, partner_id, assistance_group,
        kind, months)
    SELECT h.household_id, s.entitlement_id, h.partner_id, s.assistance_group, s.kind, s.months
    FROM (VALUES (NEW.household_a, NEW.household_b), (NEW.household_b, NEW.household_a))
        AS way (ended, successor)
    JOIN cbi.split_promise AS s ON s.household_id = way.ended
    JOIN cbi.household AS h ON h.household_id = way.successor
    -- What is its own it need not be told.
    WHERE NOT EXISTS (SELECT FROM cbi.entitlement AS e WHERE e.entitlement_id = s.entitlement_id
                      AND e.household_id = h.household_id)
    ON CONFLICT ON CONSTRAINT split_promise_pkey DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER promises_passed AFTER INSERT ON cbi.succession
    FOR EACH ROW EXECUTE FUNCTION cbi.pass_promises();
ALTER TABLE cbi.succession ENABLE ALWAYS TRIGGER promises_passed;

CREATE FUNCTION cbi.promise_stands(wanted uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM cbi.entitlement AS e
                   WHERE e.entitlement_id = wanted AND e.cancelled_at IS NULL)
$$;

-- Which of these families have a household that parted from another family and carries a promise
-- of this group in these months. What is of the same family again is seen without this.
CREATE FUNCTION cbi.promised_before_split(
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
$$;

-- The same once more where it can't be forgotten.
CREATE FUNCTION cbi.check_split() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT n.household_id INTO wrong FROM new_entitlements AS n
    WHERE EXISTS (
        SELECT FROM cbi.split_promise AS s
        WHERE s.household_id = n.household_id AND s.assistance_group = n.assistance_group
          AND s.kind = n.kind AND s.months && n.months
          AND cbi.promise_stands(s.entitlement_id) OFFSET 0) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'household % was promised these months before it parted', wrong
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'entitlement_after_split';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entitlement_after_split AFTER INSERT ON cbi.entitlement
    REFERENCING NEW TABLE AS new_entitlements
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_split();
ALTER TABLE cbi.entitlement ENABLE ALWAYS TRIGGER entitlement_after_split;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.carry_promises(uuid) OWNER TO cbi_door;
ALTER FUNCTION cbi.promise_stands(uuid) OWNER TO cbi_door;
ALTER FUNCTION cbi.promised_before_split(uuid[], text, daterange) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.carry_promises(uuid), cbi.promise_stands(uuid),
    cbi.promised_before_split(uuid[], text, daterange) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.carry_promises(uuid), cbi.promise_stands(uuid),
    cbi.promised_before_split(uuid[], text, daterange) TO cbi_app;
