-- Cases live on after their decision: new evidence opens them anew, an organisation may take its
-- word back, and families follow the decisions in force, both ways. Every table stays append-only.
SET LOCAL ROLE cbi_owner;

-- ---------------------------------------------------------------- the cases of a pair: a chain

-- A case that reopens another is of the same two households, an earlier case is reopened once,
-- and only after its decision: so of a pair's cases only the last can be undecided.
ALTER TABLE dedup.match_case
    ADD COLUMN reopens uuid,
    DROP CONSTRAINT match_case_one_per_pair,
    ADD CONSTRAINT match_case_of_pair UNIQUE (case_id, household_a, household_b),
    ADD CONSTRAINT match_case_reopens_same_pair FOREIGN KEY (reopens, household_a, household_b)
        REFERENCES dedup.match_case (case_id, household_a, household_b),
    ADD CONSTRAINT match_case_reopened_once UNIQUE (reopens),
    ADD CONSTRAINT match_case_reopens_pair CHECK (reopens IS NULL OR reason = 'duplicate');
CREATE UNIQUE INDEX match_case_first_of_pair ON dedup.match_case (household_a, household_b)
    NULLS NOT DISTINCT WHERE reopens IS NULL;
CREATE INDEX match_case_household_a ON dedup.match_case (household_a);

CREATE FUNCTION dedup.refuse_early_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM dedup.decision AS d WHERE d.case_id = NEW.reopens) THEN
        RAISE EXCEPTION 'case % is not decided', NEW.reopens
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'match_case_reopens_decided';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER match_case_reopens_decided BEFORE INSERT ON dedup.match_case
    FOR EACH ROW WHEN (NEW.reopens IS NOT NULL) EXECUTE FUNCTION dedup.refuse_early_reopening();
ALTER TABLE dedup.match_case ENABLE ALWAYS TRIGGER match_case_reopens_decided;

-- Whoever judges a case keeps others from it, and the batch run from all: a run would need more
-- single locks than the server has room for.
CREATE OR REPLACE FUNCTION dedup.lock_case(case_id uuid) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared(hashtextextended('dedup.match_case', 0));
    SELECT pg_advisory_xact_lock(hashtextextended('dedup.case ' || case_id::text, 0))
$$;
CREATE FUNCTION dedup.lock_all_cases() RETURNS void LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('dedup.match_case', 0));

-- The batch run is no organisation. Its role is told to the transaction by the program alone: a
-- key that people hold can't have it (cbi.api_key: api_key_roles_known).
ALTER POLICY reading ON dedup.match_case USING (
    cbi.partner_id() IN (partner_a, partner_b)
    OR cbi.has_role('adjudicator', 'coordinator', 'auditor', 'matcher'));
ALTER POLICY adding ON dedup.match_case WITH CHECK (
    (cbi.partner_id() IN (partner_a, partner_b) OR cbi.has_role('matcher'))
    AND opened_by = cbi.actor_id());
ALTER POLICY adding ON dedup.case_pair WITH CHECK (
    EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = case_pair.case_id
        AND (cbi.partner_id() IN (c.partner_a, c.partner_b) OR cbi.has_role('matcher'))));

-- A case scored under another model than the one it was opened or last scored under. The newest
-- row says under which model its pairs are shown; a model may come back.
CREATE TABLE dedup.scoring (
    scoring_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT scoring_pkey PRIMARY KEY,
    case_id uuid NOT NULL CONSTRAINT scoring_case REFERENCES dedup.match_case,
    model_id text NOT NULL,
    strength_bits double precision NOT NULL,
    scored_at timestamptz NOT NULL,
    scored_by uuid NOT NULL
);
COMMENT ON TABLE dedup.scoring IS 'Under which model a case was scored after it was opened.';
CREATE INDEX scoring_newest ON dedup.scoring (case_id, scoring_no DESC);
CALL cbi.make_append_only('dedup.scoring');
CALL cbi.guard('dedup.scoring',
    'EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = scoring.case_id)',
    'scored_by = cbi.actor_id()
     AND EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = scoring.case_id
        AND (cbi.partner_id() IN (c.partner_a, c.partner_b) OR cbi.has_role(''matcher'')))');

-- What a decision was taken on stays what it was: more evidence is another case.
CREATE FUNCTION dedup.refuse_late_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added AS a JOIN dedup.decision AS d USING (case_id)) THEN
        RAISE EXCEPTION 'the case is decided'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'evidence_before_decision';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER evidence_before_decision AFTER INSERT ON dedup.case_pair
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION dedup.refuse_late_evidence();
CREATE TRIGGER evidence_before_decision AFTER INSERT ON dedup.scoring
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION dedup.refuse_late_evidence();
ALTER TABLE dedup.case_pair ENABLE ALWAYS TRIGGER evidence_before_decision;
ALTER TABLE dedup.scoring ENABLE ALWAYS TRIGGER evidence_before_decision;

-- ---------------------------------------------------------------- judgements: a word taken back

-- An organisation speaks once, and then instead of what it said last: its judgements of a case
-- are a chain too.
ALTER TABLE dedup.judgement
    ADD COLUMN supersedes uuid,
    DROP CONSTRAINT judgement_one_per_organisation,
    DROP CONSTRAINT judgement_one_per_actor,
    ADD CONSTRAINT judgement_of_organisation UNIQUE (judgement_id, case_id, partner_id),
    ADD CONSTRAINT judgement_supersedes_own FOREIGN KEY (supersedes, case_id, partner_id)
        REFERENCES dedup.judgement (judgement_id, case_id, partner_id),
    ADD CONSTRAINT judgement_superseded_once UNIQUE (supersedes);
CREATE UNIQUE INDEX judgement_one_per_organisation
    ON dedup.judgement (case_id, partner_id) WHERE supersedes IS NULL;
CREATE INDEX judgement_of_case ON dedup.judgement (case_id);

CREATE VIEW dedup.judgement_in_force WITH (security_invoker = true) AS
    SELECT j.* FROM dedup.judgement AS j
    WHERE NOT EXISTS (SELECT FROM dedup.judgement AS later WHERE later.supersedes = j.judgement_id);
GRANT SELECT ON dedup.judgement_in_force TO cbi_app;

-- ---------------------------------------------------------------- decisions: the last is in force

-- A decision stands on the pairs of one model, told by a digest of their levels.
ALTER TABLE dedup.decision
    ADD COLUMN decision_no bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN supersedes bigint,
    ADD COLUMN model_id text,
    ADD COLUMN evidence_digest bytea,
    DROP CONSTRAINT decision_pkey,
    ADD CONSTRAINT decision_pkey PRIMARY KEY (decision_no),
    ADD CONSTRAINT decision_of_case UNIQUE (decision_no, case_id),
    ADD CONSTRAINT decision_supersedes_same_case FOREIGN KEY (supersedes, case_id)
        REFERENCES dedup.decision (decision_no, case_id),
    ADD CONSTRAINT decision_superseded_once UNIQUE (supersedes),
    ADD CONSTRAINT decision_digest_length CHECK (length(evidence_digest) = 32);
CREATE UNIQUE INDEX decision_first_of_case ON dedup.decision (case_id) WHERE supersedes IS NULL;
CREATE INDEX decision_newest ON dedup.decision (case_id, decision_no DESC);

-- The decision that counts for two households: the last one of the last case that has one.
CREATE VIEW dedup.decision_in_force WITH (security_invoker = true) AS
    SELECT d.decision_no, d.case_id, c.household_a, c.household_b, d.verdict
    FROM dedup.decision AS d JOIN dedup.match_case AS c USING (case_id)
    WHERE NOT EXISTS (SELECT FROM dedup.decision AS later WHERE later.supersedes = d.decision_no)
      AND NOT EXISTS (SELECT FROM dedup.match_case AS again
                      JOIN dedup.decision AS anew ON anew.case_id = again.case_id
                      WHERE again.reopens = d.case_id);
GRANT SELECT ON dedup.decision_in_force TO cbi_app, cbi_door;

-- ---------------------------------------------------------------- assignments

-- Who is asked to judge: an organisation, or one person of it. The newest row counts; it obliges
-- and excludes nobody.
CREATE TABLE dedup.assignment (
    assignment_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT assignment_pkey PRIMARY KEY,
    case_id uuid NOT NULL CONSTRAINT assignment_case REFERENCES dedup.match_case,
    partner_id uuid NOT NULL,
    actor_id uuid,
    assigned_by uuid NOT NULL,
    assigned_at timestamptz NOT NULL
);
COMMENT ON TABLE dedup.assignment IS 'Who is asked to judge a case; the newest row counts.';
CREATE INDEX assignment_newest ON dedup.assignment (case_id, assignment_no DESC);
CALL cbi.make_append_only('dedup.assignment');
CALL cbi.guard('dedup.assignment',
    'EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = assignment.case_id)',
    'assigned_by = cbi.actor_id()
     AND (cbi.has_role(''coordinator'')
          OR cbi.has_role(''adjudicator'') AND partner_id = cbi.partner_id())
     AND EXISTS (SELECT FROM dedup.match_case AS c WHERE c.case_id = assignment.case_id)');

-- ---------------------------------------------------------------- where a case stands

-- A decision stands while two organisations stand by it; when one takes its word back, others are
-- asked. It stays in force until two agree on another.
CREATE VIEW dedup.case_standing WITH (security_invoker = true) AS
    SELECT c.case_id,
           CASE WHEN d.decision_no IS NOT NULL AND v.agreeing >= 2 THEN 'decided'
                WHEN d.decision_no IS NOT NULL OR v.voices > 1 THEN 'disputed'
                WHEN v.voices = 1 THEN 'second_review'
                WHEN a.partner_id IS NOT NULL THEN 'assigned'
                ELSE 'open' END AS state,
           CASE WHEN d.decision_no IS NULL THEN c.opened_at ELSE v.judged_at END AS waiting_since,
           coalesce(s.model_id, c.model_id) AS model_id,
           coalesce(s.strength_bits, c.strength_bits) AS strength_bits,
           a.partner_id AS assigned_partner_id,
           a.actor_id AS assigned_actor_id,
           a.assigned_at,
           (SELECT again.case_id FROM dedup.match_case AS again WHERE again.reopens = c.case_id)
               AS reopened_as
    FROM dedup.match_case AS c
    LEFT JOIN LATERAL (
        SELECT x.decision_no, x.verdict FROM dedup.decision AS x WHERE x.case_id = c.case_id
        ORDER BY x.decision_no DESC LIMIT 1
    ) AS d ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS voices, count(*) FILTER (WHERE j.verdict = d.verdict) AS agreeing,
               max(j.judged_at) AS judged_at
        FROM dedup.judgement_in_force AS j WHERE j.case_id = c.case_id
    ) AS v
    LEFT JOIN LATERAL (
        SELECT x.model_id, x.strength_bits FROM dedup.scoring AS x WHERE x.case_id = c.case_id
        ORDER BY x.scoring_no DESC LIMIT 1
    ) AS s ON true
    LEFT JOIN LATERAL (
        SELECT x.partner_id, x.actor_id, x.assigned_at FROM dedup.assignment AS x
        WHERE x.case_id = c.case_id ORDER BY x.assignment_no DESC LIMIT 1
    ) AS a ON true;
GRANT SELECT ON dedup.case_standing TO cbi_app;

-- A decided case is judged no more, except by who takes its own word back; and of a pair's cases
-- only the last is judged. One person speaks for one organisation.
CREATE OR REPLACE FUNCTION dedup.refuse_late_judgement() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    refused text;
BEGIN
    PERFORM dedup.lock_case(NEW.case_id);
    SELECT CASE WHEN s.reopened_as IS NOT NULL THEN 'judgement_of_last_case'
                WHEN s.state = 'decided' AND NEW.supersedes IS NULL
                    THEN 'judgement_before_decision' END
    INTO refused FROM dedup.case_standing AS s WHERE s.case_id = NEW.case_id;
    IF refused IS NULL AND EXISTS (
        SELECT FROM dedup.judgement AS j WHERE j.case_id = NEW.case_id
        AND j.actor_id = NEW.actor_id AND j.partner_id <> NEW.partner_id) THEN
        refused := 'judgement_one_per_actor';
    END IF;
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION 'case % takes no such judgement', NEW.case_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = refused;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION dedup.refuse_late_assignment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dedup.lock_case(NEW.case_id);
    IF EXISTS (SELECT FROM dedup.case_standing AS s
               WHERE s.case_id = NEW.case_id AND s.state = 'decided') THEN
        RAISE EXCEPTION 'case % is decided', NEW.case_id
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'assignment_before_decision';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER assignment_before_decision BEFORE INSERT ON dedup.assignment
    FOR EACH ROW EXECUTE FUNCTION dedup.refuse_late_assignment();
ALTER TABLE dedup.assignment ENABLE ALWAYS TRIGGER assignment_before_decision;

-- No one decides alone, and words that were taken back count for nothing.
CREATE OR REPLACE FUNCTION dedup.refuse_lone_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(DISTINCT j.partner_id) FROM dedup.judgement_in_force AS j
        WHERE j.case_id = NEW.case_id AND j.verdict = NEW.verdict) < 2 THEN
        RAISE EXCEPTION 'case % needs two organisations that agree', NEW.case_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'decision_two_organisations';
    END IF;
    RETURN NULL;
END $$;

-- ---------------------------------------------------------------- families

-- Whoever places families holds this lock alone, and whoever promises a family something shares
-- it, so that no promise is made to a family while it changes.
CREATE FUNCTION cbi.lock_families() RETURNS void LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('cbi.families', 0));

CREATE OR REPLACE FUNCTION cbi.refuse_strange_family() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('cbi.families', 0));
    IF NEW.beneficiary_id IS DISTINCT FROM (
        SELECT m.beneficiary_id FROM cbi.membership m WHERE m.household_id = NEW.household_id
        ORDER BY m.membership_no DESC LIMIT 1) THEN
        RAISE EXCEPTION 'household % is of another family', NEW.household_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'family_of_today';
    END IF;
    RETURN NEW;
END $$;

-- A registration keeps what it has when its family changes, under whatever id: it is not enrolled
-- twice for one kind of assistance, and not paid twice for one month.
CREATE UNIQUE INDEX enrolment_one_open_per_household
    ON cbi.enrolment (household_id, assistance_group) WHERE closed_at IS NULL;
ALTER TABLE cbi.entitlement ADD CONSTRAINT entitlement_no_overlap_of_household EXCLUDE USING gist (
    household_id WITH =, assistance_group WITH =, kind WITH =, months WITH &&)
    WHERE (cancelled_at IS NULL);

GRANT SELECT (reopens) ON dedup.match_case TO cbi_door;
GRANT SELECT (decision_no, supersedes) ON dedup.decision TO cbi_door;

-- What a decision in force says of two families: that they are one, or that they are not. The
-- other verdicts say neither.
CREATE VIEW cbi.family_tie WITH (security_invoker = true) AS
    SELECT d.decision_no, d.case_id, d.household_a, d.household_b,
           d.verdict IN ('same_household', 'same_person') AS joins
    FROM dedup.decision_in_force AS d
    WHERE d.verdict IN ('same_household', 'different', 'household_split', 'relative')
       -- One person alone in both is one household, whichever word was chosen.
       OR d.verdict = 'same_person' AND (
           SELECT count(*) = 2 AND max(h.size) = 1 FROM cbi.household AS h
           WHERE h.household_id IN (d.household_a, d.household_b));
GRANT SELECT ON cbi.family_tie TO cbi_door;

-- All that a decision can move: what hangs together with its two households, by decisions that
-- join or because it is one family today.
CREATE FUNCTION cbi.households_around(decided uuid)
RETURNS TABLE (household_id uuid, beneficiary_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE around (household_id) AS (
        SELECT unnest(ARRAY[c.household_a, c.household_b]) FROM dedup.match_case AS c
        WHERE c.case_id = decided AND c.household_b IS NOT NULL
        UNION
        SELECT next.household_id FROM around AS a CROSS JOIN LATERAL (
            SELECT t.household_b AS household_id FROM cbi.family_tie AS t
            WHERE t.joins AND t.household_a = a.household_id
            UNION ALL
            SELECT t.household_a FROM cbi.family_tie AS t
            WHERE t.joins AND t.household_b = a.household_id
            UNION ALL
            SELECT h.household_id FROM cbi.beneficiaries_of(ARRAY[a.household_id]) AS b,
                cbi.households_of(ARRAY[b.beneficiary_id]) AS h
        ) AS next
    )
    SELECT b.household_id, b.beneficiary_id
    FROM cbi.beneficiaries_of(ARRAY(SELECT a.household_id FROM around AS a)) AS b
    WHERE cbi.has_role('adjudicator', 'coordinator')
$$;

-- What the decisions in force say between these households.
CREATE FUNCTION cbi.ties_between(wanted uuid[])
RETURNS TABLE (case_id uuid, household_a uuid, household_b uuid, joins boolean, decision_no bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.case_id, t.household_a, t.household_b, t.joins, t.decision_no
    FROM cbi.family_tie AS t
    WHERE t.household_a = ANY (wanted) AND t.household_b = ANY (wanted)
      AND cbi.has_role('adjudicator', 'coordinator')
    ORDER BY t.decision_no
$$;

-- Decisions that two registrations are one family and that others contradict: not carried out.
CREATE FUNCTION cbi.cases_not_joined(after uuid, most integer) RETURNS TABLE (case_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.case_id FROM cbi.family_tie AS t
    WHERE t.joins AND (after IS NULL OR t.case_id > after)
      AND cbi.has_role('adjudicator', 'coordinator')
      AND (SELECT count(DISTINCT b.beneficiary_id)
           FROM cbi.beneficiaries_of(ARRAY[t.household_a, t.household_b]) AS b) = 2
    ORDER BY t.case_id LIMIT most
$$;

-- Place the registrations around a decision into families (`households` and `families` run in
-- parallel, a family being any number). The caller chooses among what decisions allow, and this
-- holds it to that: nobody is joined without decisions that join, nobody who was found to be of
-- another family, and nobody is parted whom a decision joins unless another contradicts it or the
-- family would be larger than 20. The id of a family known before stays, the oldest of several;
-- the parts of a family that falls apart all get fresh ones, for under the old id one part may
-- have been promised what another would then be refused.
CREATE FUNCTION cbi.place_families(decided uuid, households uuid[], families integer[],
                                   at timestamptz, OUT joined integer, OUT parted integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    allowed boolean;
BEGIN
    PERFORM cbi.lock_families();
    WITH RECURSIVE placed AS MATERIALIZED (
        SELECT p.household_id, p.family FROM unnest(households, families) AS p(household_id, family)
    ), tie AS MATERIALIZED (
        SELECT t.joins, t.household_a, t.household_b, a.family AS family_a, b.family AS family_b
        FROM cbi.ties_between(households) AS t
        JOIN placed AS a ON a.household_id = t.household_a
        JOIN placed AS b ON b.household_id = t.household_b
    ), size AS (
        SELECT p.family, count(*) AS size FROM placed AS p GROUP BY p.family
    ), linked (household_id) AS (
        SELECT first.household_id FROM (
            SELECT DISTINCT ON (p.family) p.household_id FROM placed AS p
            ORDER BY p.family, p.household_id) AS first
        UNION
        SELECT CASE l.household_id WHEN t.household_a THEN t.household_b ELSE t.household_a END
        FROM linked AS l JOIN tie AS t ON l.household_id IN (t.household_a, t.household_b)
            AND t.joins AND t.family_a = t.family_b
    )
    SELECT (SELECT array_agg(a.household_id ORDER BY a.household_id)
            FROM cbi.households_around(decided) AS a)
           = (SELECT array_agg(p.household_id ORDER BY p.household_id) FROM placed AS p)
       AND (SELECT count(*) FROM linked) = (SELECT count(*) FROM placed)
       AND NOT EXISTS (SELECT FROM tie AS t WHERE NOT t.joins AND t.family_a = t.family_b)
       AND NOT EXISTS (SELECT FROM size AS s WHERE s.size > 20)
       AND NOT EXISTS (
           SELECT FROM tie AS t
           JOIN size AS a ON a.family = t.family_a JOIN size AS b ON b.family = t.family_b
           WHERE t.joins AND t.family_a <> t.family_b AND a.size + b.size <= 20
             AND NOT EXISTS (
                 SELECT FROM tie AS against WHERE NOT against.joins
                 AND (against.family_a, against.family_b)
                     IN ((t.family_a, t.family_b), (t.family_b, t.family_a))))
    INTO allowed;
    IF allowed IS DISTINCT FROM true THEN
        RAISE EXCEPTION 'families follow the decisions in force'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'families_of_decisions';
    END IF;
    WITH placed AS MATERIALIZED (
        SELECT p.household_id, p.family, b.beneficiary_id
        FROM unnest(households, families) AS p(household_id, family)
        JOIN cbi.beneficiaries_of(households) AS b USING (household_id)
    ), whole AS (
        SELECT p.beneficiary_id, min(p.family) AS family,
               (SELECT min(m.membership_no) FROM cbi.membership AS m
                WHERE m.beneficiary_id = p.beneficiary_id) AS known_from
        FROM placed AS p GROUP BY p.beneficiary_id HAVING min(p.family) = max(p.family)
    ), kept AS (
        SELECT DISTINCT ON (w.family) w.family, w.beneficiary_id FROM whole AS w
        ORDER BY w.family, w.known_from
    ), named AS MATERIALIZED (
        SELECT f.family, k.beneficiary_id IS NULL AS is_fresh,
               coalesce(k.beneficiary_id, uuidv7()) AS beneficiary_id
        FROM (SELECT DISTINCT p.family FROM placed AS p) AS f LEFT JOIN kept AS k USING (family)
    ), moved AS (
        INSERT INTO cbi.membership (household_id, partner_id, beneficiary_id, since, case_id)
        SELECT p.household_id, h.partner_id, n.beneficiary_id, at, decided
        FROM placed AS p JOIN named AS n USING (family) JOIN cbi.household AS h USING (household_id)
        WHERE p.beneficiary_id <> n.beneficiary_id
        ORDER BY p.household_id
        RETURNING beneficiary_id
    )
    SELECT count(*) FILTER (WHERE NOT n.is_fresh), count(*) FILTER (WHERE n.is_fresh)
    INTO joined, parted FROM moved AS m JOIN named AS n USING (beneficiary_id);
END $$;

DROP FUNCTION cbi.join_families(uuid, timestamptz);

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.households_around(uuid) OWNER TO cbi_door;
ALTER FUNCTION cbi.ties_between(uuid[]) OWNER TO cbi_door;
ALTER FUNCTION cbi.cases_not_joined(uuid, integer) OWNER TO cbi_door;
ALTER FUNCTION cbi.place_families(uuid, uuid[], integer[], timestamptz) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.households_around(uuid), cbi.ties_between(uuid[]),
    cbi.cases_not_joined(uuid, integer),
    cbi.place_families(uuid, uuid[], integer[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.households_around(uuid), cbi.ties_between(uuid[]),
    cbi.cases_not_joined(uuid, integer),
    cbi.place_families(uuid, uuid[], integer[], timestamptz) TO cbi_app;
