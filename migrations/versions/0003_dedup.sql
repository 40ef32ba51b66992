-- Matching: keyed hashes to search by, cases of possible duplicates, what people judged.
-- No name, number or date stands here: keys are keyed hashes, evidence is levels and bits.
SET LOCAL ROLE cbi_owner;

CREATE TABLE dedup.key_entry (
    key bigint NOT NULL,
    person_id uuid NOT NULL,
    household_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    CONSTRAINT key_entry_pkey PRIMARY KEY (key, person_id)
);
COMMENT ON TABLE dedup.key_entry IS
    'Matching keys (HMAC, 64 bits) of every person; read only through dedup.candidates.';

-- The service adds keys and never reads them back: who shares a key with whom is told by the door.
GRANT INSERT ON dedup.key_entry TO cbi_app;
CALL cbi.guard('dedup.key_entry', 'false', 'partner_id = cbi.partner_id()');
GRANT SELECT (key, person_id, household_id, partner_id) ON dedup.key_entry TO cbi_door;
CREATE POLICY door ON dedup.key_entry FOR SELECT TO cbi_door USING (true);

-- "case" is a reserved word.
CREATE TABLE dedup.match_case (
    case_id uuid NOT NULL DEFAULT uuidv7(),
    household_a uuid NOT NULL,
    household_b uuid,
    partner_a uuid NOT NULL,
    partner_b uuid,
    reason text NOT NULL,
    why text,
    opened_at timestamptz NOT NULL,
    opened_by uuid NOT NULL,
    model_id text,
    strength_bits double precision,
    CONSTRAINT match_case_pkey PRIMARY KEY (case_id),
    CONSTRAINT match_case_reason CHECK (reason IN ('duplicate', 'unchecked')),
    CONSTRAINT match_case_why CHECK (why IN ('declined', 'unsearchable')),
    CONSTRAINT match_case_ordered CHECK (household_a < household_b),
    CONSTRAINT match_case_sides CHECK (
        CASE reason
            WHEN 'duplicate' THEN num_nulls(household_b, partner_b, model_id, strength_bits) = 0
                AND why IS NULL
            ELSE num_nonnulls(household_b, partner_b, model_id, strength_bits) = 0
                AND why IS NOT NULL
        END),
    -- One case per pair of households, and one for a household that could not be checked.
    CONSTRAINT match_case_one_per_pair UNIQUE NULLS NOT DISTINCT (household_a, household_b)
);
COMMENT ON TABLE dedup.match_case IS
    'Two households that may be one, or one household that could not be checked; a person decides.';
CREATE INDEX match_case_household_b ON dedup.match_case (household_b);
CREATE INDEX match_case_partner_a ON dedup.match_case (partner_a);
CREATE INDEX match_case_partner_b ON dedup.match_case (partner_b);
CALL cbi.make_append_only('dedup.match_case');
CALL cbi.guard('dedup.match_case',
    'cbi.partner_id() IN (partner_a, partner_b)
     OR cbi.has_role(''adjudicator'', ''coordinator'', ''auditor'')',
    'cbi.partner_id() IN (partner_a, partner_b) AND opened_by = cbi.actor_id()');

CREATE TABLE dedup.case_pair (
    case_id uuid NOT NULL CONSTRAINT case_pair_case REFERENCES dedup.match_case,
    person_a uuid NOT NULL,
    person_b uuid NOT NULL,
    model_id text NOT NULL,
    weight_bits double precision NOT NULL,
    probability double precision NOT NULL,
    evidence jsonb NOT NULL,
    CONSTRAINT case_pair_pkey PRIMARY KEY (case_id, person_a, person_b, model_id),
    CONSTRAINT case_pair_probability CHECK (probability BETWEEN 0 AND 1),
    CONSTRAINT case_pair_evidence CHECK (jsonb_typeof(evidence) = 'array')
);
COMMENT ON TABLE dedup.case_pair IS
    'Two persons of a case and why they may be one: levels and bits per field, never values.';
CALL cbi.make_append_only('dedup.case_pair');
-- The subquery is itself under match_case''s policy: what may be read there may be read here.
CALL cbi.guard('dedup.case_pair',
    'EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = case_pair.case_id)',
    'EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = case_pair.case_id
        AND cbi.partner_id() IN (c.partner_a, c.partner_b))');

CREATE TABLE dedup.judgement (
    judgement_id uuid NOT NULL DEFAULT uuidv7(),
    case_id uuid NOT NULL CONSTRAINT judgement_case REFERENCES dedup.match_case,
    verdict text NOT NULL,
    actor_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    reason text NOT NULL,
    judged_at timestamptz NOT NULL,
    CONSTRAINT judgement_pkey PRIMARY KEY (judgement_id),
    CONSTRAINT judgement_verdict CHECK (verdict IN ('same_person', 'same_household',
        'household_split', 'relative', 'data_error', 'unresolved', 'different')),
    CONSTRAINT judgement_reason CHECK (length(reason) <= 2000),
    CONSTRAINT judgement_one_per_organisation UNIQUE (case_id, partner_id),
    CONSTRAINT judgement_one_per_actor UNIQUE (case_id, actor_id)
);
COMMENT ON TABLE dedup.judgement IS 'What one organisation said about a case; never changed.';
CALL cbi.make_append_only('dedup.judgement');
CALL cbi.guard('dedup.judgement',
    'EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = judgement.case_id)',
    'cbi.has_role(''adjudicator'', ''coordinator'')
     AND partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()
     AND EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = judgement.case_id)');

CREATE TABLE dedup.decision (
    case_id uuid NOT NULL CONSTRAINT decision_case REFERENCES dedup.match_case,
    verdict text NOT NULL,
    decided_at timestamptz NOT NULL,
    CONSTRAINT decision_pkey PRIMARY KEY (case_id),
    -- "unresolved" decides nothing: such a case stays open for another reviewer.
    CONSTRAINT decision_verdict CHECK (verdict IN ('same_person', 'same_household',
        'household_split', 'relative', 'data_error', 'different'))
);
COMMENT ON TABLE dedup.decision IS
    'Two organisations agreed on a case. A case without a row here is open.';
CALL cbi.make_append_only('dedup.decision');
CALL cbi.guard('dedup.decision',
    'EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = decision.case_id)',
    'cbi.has_role(''adjudicator'', ''coordinator'')
     AND EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = decision.case_id)');

-- Whoever judges or decides a case holds this lock until commit, so that two reviewers who judge
-- at the same moment see each other, one after the other.
CREATE FUNCTION dedup.lock_case(case_id uuid) RETURNS void LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('dedup.case ' || case_id::text, 0));

CREATE FUNCTION dedup.refuse_late_judgement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dedup.lock_case(NEW.case_id);
    IF EXISTS (SELECT FROM dedup.decision AS d WHERE d.case_id = NEW.case_id) THEN
        RAISE EXCEPTION 'case % is decided', NEW.case_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'judgement_before_decision';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER judgement_before_decision BEFORE INSERT ON dedup.judgement
    FOR EACH ROW EXECUTE FUNCTION dedup.refuse_late_judgement();
ALTER TABLE dedup.judgement ENABLE ALWAYS TRIGGER judgement_before_decision;

-- No one decides alone, whatever the program does.
CREATE FUNCTION dedup.refuse_lone_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(DISTINCT j.partner_id) FROM dedup.judgement AS j
        WHERE j.case_id = NEW.case_id AND j.verdict = NEW.verdict) < 2 THEN
        RAISE EXCEPTION 'case % needs two organisations that agree', NEW.case_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'decision_two_organisations';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER decision_two_organisations AFTER INSERT ON dedup.decision
    FOR EACH ROW EXECUTE FUNCTION dedup.refuse_lone_decision();
ALTER TABLE dedup.decision ENABLE ALWAYS TRIGGER decision_two_organisations;

-- The doors. Each hands out ids only, and only to a question that names what it asks about.
GRANT SELECT (case_id, household_a, household_b) ON dedup.match_case TO cbi_door;
CREATE POLICY door ON dedup.match_case FOR SELECT TO cbi_door USING (true);
GRANT SELECT (case_id, verdict) ON dedup.decision TO cbi_door;
CREATE POLICY door ON dedup.decision FOR SELECT TO cbi_door USING (true);

-- Who shares keys with whom. `askers` and `keys` run in parallel. A key whose block is larger than
-- `per_key` is not searched at all, for a part of a crowd is no answer; the asker gets one row
-- without a person, saying how many of its keys were passed over.
CREATE FUNCTION dedup.candidates(askers uuid[], keys bigint[], per_key integer)
RETURNS TABLE (asker uuid, person_id uuid, household_id uuid, partner_id uuid,
               keys_shared integer, keys_passed_over integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 100 AS $$
    WITH asked AS MATERIALIZED (
        SELECT DISTINCT q.asker, q.key FROM unnest(askers, keys) AS q(asker, key)
    ), block AS MATERIALIZED (
        SELECT one.key, found.person_id, found.household_id, found.partner_id,
               count(*) OVER (PARTITION BY one.key) > per_key AS is_crowd
        FROM (SELECT DISTINCT a.key FROM asked AS a) AS one
        CROSS JOIN LATERAL (
            SELECT e.person_id, e.household_id, e.partner_id FROM dedup.key_entry AS e
            WHERE e.key = one.key LIMIT per_key + 1
        ) AS found
    )
    SELECT a.asker, b.person_id, b.household_id, b.partner_id, count(*)::integer, 0
    FROM asked AS a JOIN block AS b ON b.key = a.key AND NOT b.is_crowd
    WHERE b.person_id <> a.asker
    GROUP BY a.asker, b.person_id, b.household_id, b.partner_id
    UNION ALL
    SELECT a.asker, NULL, NULL, NULL, 0, count(DISTINCT a.key)::integer
    FROM asked AS a JOIN block AS b ON b.key = a.key AND b.is_crowd
    GROUP BY a.asker
    ORDER BY 1, 2
$$;

-- The gate: is any of these households part of an undecided case? Nothing else is told.
CREATE FUNCTION dedup.open_cases(household_ids uuid[])
RETURNS TABLE (household_id uuid, case_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.household_id, c.case_id
    FROM (SELECT DISTINCT unnest(household_ids)) AS h(household_id)
    CROSS JOIN LATERAL (
        SELECT a.case_id FROM dedup.match_case AS a WHERE a.household_a = h.household_id
        UNION
        SELECT b.case_id FROM dedup.match_case AS b WHERE b.household_b = h.household_id
    ) AS c
    WHERE NOT EXISTS (SELECT FROM dedup.decision AS d WHERE d.case_id = c.case_id)
    ORDER BY h.household_id, c.case_id
$$;

REVOKE EXECUTE ON FUNCTION dedup.candidates(uuid[], bigint[], integer),
    dedup.open_cases(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dedup.candidates(uuid[], bigint[], integer),
    dedup.open_cases(uuid[]) TO cbi_app;
-- A function's new owner must be able to create in its schema, at that moment only.
GRANT CREATE ON SCHEMA dedup TO cbi_door;
RESET ROLE;

ALTER FUNCTION dedup.candidates(uuid[], bigint[], integer) OWNER TO cbi_door;
ALTER FUNCTION dedup.open_cases(uuid[]) OWNER TO cbi_door;

SET LOCAL ROLE cbi_owner;
REVOKE CREATE ON SCHEMA dedup FROM cbi_door;
RESET ROLE;
