-- A person who was refused may appeal, anywhere. The slip names nobody; its token is stored as a
-- keyed hash only. The review is by another organisation than the one that refused and than those
-- that judged the case beneath it. Every table is history: what happened is added, never changed.
SET LOCAL ROLE cbi_owner;

-- ---------------------------------------------------------------- slips

CREATE TABLE cbi.slip (
    slip_id uuid CONSTRAINT slip_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    -- What people read out: drawn at random, without signs that are taken for one another.
    reference text NOT NULL CONSTRAINT slip_reference_once UNIQUE
        CONSTRAINT slip_reference_form CHECK (
            reference ~ '^[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}$'),
    reason text NOT NULL CONSTRAINT slip_reason_known CHECK (reason IN (
        'family_assisted', 'overlap', 'open_case', 'duplicate_decision', 'already_enrolled',
        'not_eligible', 'left_out', 'consent_missing', 'no_instrument', 'no_funds')),
    -- What comes of comparing registrations: the refusals that can be wrong about who somebody is.
    is_block boolean NOT NULL GENERATED ALWAYS AS (reason IN (
        'family_assisted', 'overlap', 'open_case', 'duplicate_decision')) STORED,
    assistance_group text CONSTRAINT slip_group_known CHECK (assistance_group IN (
        'mpca', 'transit_grant', 'food', 'rent', 'health', 'protection', 'education',
        'livelihood')),
    case_id uuid CONSTRAINT slip_of_case REFERENCES dedup.match_case (case_id),
    enrolment_id uuid,
    round_id uuid,
    issued_by uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    -- Peru's days.
    issued_on date NOT NULL,
    appeal_until date NOT NULL,
    CONSTRAINT slip_until_later CHECK (appeal_until > issued_on),
    CONSTRAINT slip_facts_of_reason CHECK (
        (reason NOT IN ('open_case', 'duplicate_decision') OR case_id IS NOT NULL)
        AND (reason <> 'left_out' OR round_id IS NOT NULL)
        AND (round_id IS NULL OR enrolment_id IS NOT NULL)
        AND (enrolment_id IS NULL OR assistance_group IS NOT NULL)),
    CONSTRAINT slip_partner_once UNIQUE (slip_id, partner_id),
    -- The same refusal on the same day is the same slip, printed again.
    CONSTRAINT slip_once UNIQUE NULLS NOT DISTINCT (
        household_id, issued_on, reason, assistance_group, case_id, enrolment_id, round_id),
    CONSTRAINT slip_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id),
    CONSTRAINT slip_of_enrolment FOREIGN KEY (enrolment_id, partner_id, household_id, assistance_group)
        REFERENCES cbi.enrolment (enrolment_id, partner_id, household_id, assistance_group),
    CONSTRAINT slip_of_left_out FOREIGN KEY (round_id, enrolment_id)
        REFERENCES cbi.left_out (round_id, enrolment_id)
);
CREATE INDEX slip_by_day ON cbi.slip (issued_on);
CREATE INDEX slip_by_case ON cbi.slip (case_id) WHERE case_id IS NOT NULL;
CALL cbi.make_append_only('cbi.slip');
CALL cbi.guard('cbi.slip', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND issued_by = cbi.actor_id()$$);

CREATE FUNCTION cbi.check_slip_case() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.case_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM dedup.match_case AS c WHERE c.case_id = NEW.case_id
            AND NEW.household_id IN (c.household_a, c.household_b)) THEN
        RAISE EXCEPTION 'case % is of other households', NEW.case_id
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'slip_case_of_household';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER slip_case_of_household AFTER INSERT ON cbi.slip
    FOR EACH ROW EXECUTE FUNCTION cbi.check_slip_case();
ALTER TABLE cbi.slip ENABLE ALWAYS TRIGGER slip_case_of_household;

-- Which documents the family shows, in four words, for the figures alone: the service adds them
-- and never reads them back. Nobody is opened for it: the clerk says it, or nobody does.
CREATE TABLE cbi.slip_group (
    slip_id uuid CONSTRAINT slip_group_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    document_group text NOT NULL CONSTRAINT slip_group_documents CHECK (
        document_group IN ('peruvian', 'venezuelan', 'other', 'none')),
    CONSTRAINT slip_group_of_slip FOREIGN KEY (slip_id, partner_id)
        REFERENCES cbi.slip (slip_id, partner_id)
);
CALL cbi.make_append_only('cbi.slip_group');
CALL cbi.guard('cbi.slip_group', 'false', $$partner_id = cbi.partner_id()$$);

-- A print is a fresh token; the newest one counts, and voids those before it.
CREATE TABLE cbi.slip_print (
    slip_id uuid NOT NULL,
    print_no smallint NOT NULL CONSTRAINT slip_print_no_range CHECK (print_no BETWEEN 1 AND 50),
    previous smallint GENERATED ALWAYS AS (nullif(print_no - 1, 0)) STORED,
    partner_id uuid NOT NULL,
    digest bytea NOT NULL CONSTRAINT slip_print_digest_once UNIQUE
        CONSTRAINT slip_print_digest_length CHECK (length(digest) = 32),
    printed_by uuid NOT NULL,
    printed_at timestamptz NOT NULL,
    CONSTRAINT slip_print_pkey PRIMARY KEY (slip_id, print_no),
    CONSTRAINT slip_print_of_slip FOREIGN KEY (slip_id, partner_id)
        REFERENCES cbi.slip (slip_id, partner_id),
    CONSTRAINT slip_print_in_order FOREIGN KEY (slip_id, previous)
        REFERENCES cbi.slip_print (slip_id, print_no)
);
CALL cbi.make_append_only('cbi.slip_print');
CALL cbi.guard('cbi.slip_print', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id() AND printed_by = cbi.actor_id()$$);

-- ---------------------------------------------------------------- appeals

-- The appeal whose token was shown in this transaction: its holder may ask for the answer anywhere.
CREATE FUNCTION cbi.appeal_shown() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.appeal_shown', true), '')::uuid;

-- partner_id is the organisation that refused, here and below.
CREATE TABLE cbi.appeal (
    appeal_id uuid CONSTRAINT appeal_pkey PRIMARY KEY,
    slip_id uuid NOT NULL CONSTRAINT appeal_once UNIQUE,
    partner_id uuid NOT NULL,
    intake_partner_id uuid NOT NULL CONSTRAINT appeal_of_intake REFERENCES cbi.partner,
    taken_by uuid NOT NULL,
    taken_at timestamptz NOT NULL,
    by_token boolean NOT NULL,
    language text NOT NULL CONSTRAINT appeal_language_known CHECK (language IN (
        'es', 'en', 'pt', 'fr', 'ht', 'qu', 'ay', 'wba', 'guc', 'other')),
    channel text NOT NULL CONSTRAINT appeal_channel_known CHECK (
        channel IN ('in_person', 'phone', 'online', 'paper')),
    -- Whether the person may be written to about this appeal.
    contact boolean NOT NULL,
    due_on date NOT NULL,
    -- What the person said, under a key of its own.
    sealed bytea NOT NULL CONSTRAINT appeal_sealed_length CHECK (length(sealed) <= 65536),
    CONSTRAINT appeal_partner_once UNIQUE (appeal_id, partner_id),
    -- Without its token a slip is known only to the organisation that gave it.
    CONSTRAINT appeal_without_slip CHECK (by_token OR intake_partner_id = partner_id),
    CONSTRAINT appeal_of_slip FOREIGN KEY (slip_id, partner_id)
        REFERENCES cbi.slip (slip_id, partner_id)
);
CREATE INDEX appeal_by_intake ON cbi.appeal (intake_partner_id);
CREATE INDEX appeal_by_partner ON cbi.appeal (partner_id);
CALL cbi.make_append_only('cbi.appeal');
-- Added through a door.
CALL cbi.guard('cbi.appeal', $$cbi.partner_id() IN (partner_id, intake_partner_id)
    OR appeal_id = cbi.appeal_shown()
    OR cbi.has_role('adjudicator', 'coordinator', 'auditor')$$, 'false');

-- Who reviews: an organisation, or one person of it. The newest row counts. Nobody of the
-- organisation that refused has a say in it.
CREATE TABLE cbi.appeal_assignment (
    assignment_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT appeal_assignment_pkey PRIMARY KEY,
    appeal_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    reviewer_partner_id uuid NOT NULL CONSTRAINT appeal_assignment_known REFERENCES cbi.partner,
    reviewer_actor_id uuid,
    assigned_by uuid NOT NULL,
    assigned_at timestamptz NOT NULL,
    CONSTRAINT appeal_assignment_once UNIQUE (assignment_no, appeal_id, reviewer_partner_id),
    CONSTRAINT appeal_assignment_of_appeal FOREIGN KEY (appeal_id, partner_id)
        REFERENCES cbi.appeal (appeal_id, partner_id),
    CONSTRAINT appeal_reviewer_elsewhere CHECK (reviewer_partner_id <> partner_id)
);
CREATE INDEX appeal_assignment_newest ON cbi.appeal_assignment (appeal_id, assignment_no DESC);
CREATE INDEX appeal_assignment_by_reviewer ON cbi.appeal_assignment (reviewer_partner_id);
CALL cbi.make_append_only('cbi.appeal_assignment');
CALL cbi.guard('cbi.appeal_assignment',
    'EXISTS (SELECT FROM cbi.appeal AS a WHERE a.appeal_id = appeal_assignment.appeal_id OFFSET 0)',
    $$assigned_by = cbi.actor_id() AND partner_id <> cbi.partner_id()
      AND (cbi.has_role('coordinator')
           OR cbi.has_role('adjudicator') AND reviewer_partner_id = cbi.partner_id())$$);

CREATE TABLE cbi.appeal_outcome (
    appeal_id uuid CONSTRAINT appeal_outcome_once PRIMARY KEY,
    partner_id uuid NOT NULL,
    assignment_no bigint NOT NULL,
    reviewer_partner_id uuid NOT NULL,
    reviewer_actor_id uuid NOT NULL,
    outcome text NOT NULL,
    because text NOT NULL,
    reverses boolean NOT NULL GENERATED ALWAYS AS (
        outcome IN ('reversed', 'reversed_in_part')) STORED,
    decided_at timestamptz NOT NULL,
    CONSTRAINT appeal_outcome_reverses UNIQUE (appeal_id, reverses),
    CONSTRAINT appeal_outcome_elsewhere CHECK (reviewer_partner_id <> partner_id),
    CONSTRAINT appeal_outcome_because CHECK (CASE outcome
        WHEN 'upheld' THEN because IN ('refusal_correct', 'evidence_stands', 'rule_applies')
        WHEN 'reversed' THEN because IN ('another_family', 'evidence_mistaken', 'rule_misapplied',
            'circumstances_changed', 'procedure_flawed')
        WHEN 'reversed_in_part' THEN because IN ('another_family', 'evidence_mistaken',
            'rule_misapplied', 'circumstances_changed', 'procedure_flawed')
        WHEN 'withdrawn' THEN because IN ('person_withdrew', 'helped_otherwise')
        WHEN 'not_competent' THEN because IN ('not_a_refusal', 'decided_elsewhere')
        ELSE false END),
    CONSTRAINT appeal_outcome_of_appeal FOREIGN KEY (appeal_id, partner_id)
        REFERENCES cbi.appeal (appeal_id, partner_id),
    CONSTRAINT appeal_outcome_of_assignment FOREIGN KEY (assignment_no, appeal_id, reviewer_partner_id)
        REFERENCES cbi.appeal_assignment (assignment_no, appeal_id, reviewer_partner_id)
);
CREATE INDEX appeal_outcome_by_moment ON cbi.appeal_outcome (decided_at);
CALL cbi.make_append_only('cbi.appeal_outcome');
CALL cbi.guard('cbi.appeal_outcome',
    'EXISTS (SELECT FROM cbi.appeal AS a WHERE a.appeal_id = appeal_outcome.appeal_id OFFSET 0)',
    $$reviewer_partner_id = cbi.partner_id() AND reviewer_actor_id = cbi.actor_id()
      AND cbi.has_role('adjudicator', 'coordinator')$$);

-- What a reversal does: the decided case is judged anew, or the organisation that refused must act
-- by a day.
CREATE TABLE cbi.appeal_effect (
    appeal_id uuid CONSTRAINT appeal_effect_once PRIMARY KEY,
    partner_id uuid NOT NULL,
    reverses boolean NOT NULL GENERATED ALWAYS AS (true) STORED,
    kind text NOT NULL CONSTRAINT appeal_effect_kind CHECK (kind IN ('case_reopened', 'must_act')),
    case_id uuid CONSTRAINT appeal_effect_of_case REFERENCES dedup.match_case (case_id),
    act_by date,
    begun_at timestamptz NOT NULL,
    CONSTRAINT appeal_effect_facts CHECK (
        (kind = 'case_reopened') = (case_id IS NOT NULL)
        AND (kind = 'must_act') = (act_by IS NOT NULL)),
    CONSTRAINT appeal_effect_of_kind UNIQUE (appeal_id, partner_id, kind),
    CONSTRAINT appeal_effect_of_appeal FOREIGN KEY (appeal_id, partner_id)
        REFERENCES cbi.appeal (appeal_id, partner_id),
    CONSTRAINT appeal_effect_of_reversal FOREIGN KEY (appeal_id, reverses)
        REFERENCES cbi.appeal_outcome (appeal_id, reverses)
);
CALL cbi.make_append_only('cbi.appeal_effect');
CALL cbi.guard('cbi.appeal_effect',
    'EXISTS (SELECT FROM cbi.appeal AS a WHERE a.appeal_id = appeal_effect.appeal_id OFFSET 0)',
    'false');

CREATE TABLE cbi.appeal_done (
    appeal_id uuid CONSTRAINT appeal_done_once PRIMARY KEY,
    partner_id uuid NOT NULL,
    kind text NOT NULL GENERATED ALWAYS AS ('must_act') STORED,
    what text NOT NULL CONSTRAINT appeal_done_what CHECK (what IN (
        'enrolled', 'put_on_list', 'paid', 'looked_at_again', 'no_longer_wanted')),
    actor_id uuid NOT NULL,
    done_at timestamptz NOT NULL,
    CONSTRAINT appeal_done_of_effect FOREIGN KEY (appeal_id, partner_id, kind)
        REFERENCES cbi.appeal_effect (appeal_id, partner_id, kind)
);
CALL cbi.make_append_only('cbi.appeal_done');
CALL cbi.guard('cbi.appeal_done',
    'EXISTS (SELECT FROM cbi.appeal AS a WHERE a.appeal_id = appeal_done.appeal_id OFFSET 0)',
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id() AND cbi.has_role('programme')$$);

-- The key of what the person said. Deleting the row erases it for good. Only the organisation that
-- was asked last to review reads it.
CREATE TABLE cbi.appeal_key (
    appeal_id uuid CONSTRAINT appeal_key_pkey PRIMARY KEY
        CONSTRAINT appeal_key_of_appeal REFERENCES cbi.appeal (appeal_id),
    kek_id text NOT NULL,
    wrapped bytea NOT NULL
);
CALL cbi.guard('cbi.appeal_key', $$cbi.has_role('adjudicator', 'coordinator')
    AND cbi.partner_id() = (
        SELECT s.reviewer_partner_id FROM cbi.appeal_assignment AS s
        WHERE s.appeal_id = appeal_key.appeal_id ORDER BY s.assignment_no DESC LIMIT 1)$$, 'false');
CREATE POLICY erasing ON cbi.appeal_key FOR DELETE TO cbi_app USING (cbi.has_role('admin'));
GRANT SELECT, DELETE ON cbi.appeal_key TO cbi_app;

-- Every reading of what a person said.
CREATE TABLE cbi.appeal_reading (
    reading_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT appeal_reading_pkey PRIMARY KEY,
    appeal_id uuid NOT NULL CONSTRAINT appeal_reading_of_appeal REFERENCES cbi.appeal (appeal_id),
    actor_id uuid NOT NULL DEFAULT cbi.actor_id(),
    partner_id uuid NOT NULL DEFAULT cbi.partner_id(),
    request_id text NOT NULL DEFAULT coalesce(current_setting('app.request_id', true), ''),
    at timestamptz NOT NULL
);
CALL cbi.make_append_only('cbi.appeal_reading');
CALL cbi.guard('cbi.appeal_reading', $$cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

-- Tokens that were tried, so that an organisation can't try without end. The token is not kept.
CREATE TABLE cbi.appeal_try (
    try_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT appeal_try_pkey PRIMARY KEY,
    partner_id uuid NOT NULL DEFAULT cbi.partner_id(),
    actor_id uuid NOT NULL DEFAULT cbi.actor_id(),
    request_id text NOT NULL DEFAULT coalesce(current_setting('app.request_id', true), ''),
    at timestamptz NOT NULL,
    day date NOT NULL
);
CREATE INDEX appeal_try_of_day ON cbi.appeal_try (partner_id, day);
CALL cbi.make_append_only('cbi.appeal_try');
CALL cbi.guard('cbi.appeal_try', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

-- ---------------------------------------------------------------- rules that look across

CREATE FUNCTION cbi.refuse_appeal(appeal_id uuid, rule text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'appeal % is held to %', appeal_id, rule
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = rule;
END $$;

-- Nobody reviews who took part in what is appealed: not the person who refused, and neither a
-- person nor an organisation that has judged a case of the same two registrations.
CREATE FUNCTION cbi.check_appeal_reviewer() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('cbi.appeal ' || NEW.appeal_id::text, 0));
    IF TG_TABLE_NAME = 'appeal_assignment' THEN
        IF EXISTS (SELECT FROM cbi.appeal_outcome AS o WHERE o.appeal_id = NEW.appeal_id) THEN
            PERFORM cbi.refuse_appeal(NEW.appeal_id, 'appeal_outcome_once');
        END IF;
    ELSE
        SELECT s.assignment_no, s.reviewer_actor_id INTO last FROM cbi.appeal_assignment AS s
        WHERE s.appeal_id = NEW.appeal_id ORDER BY s.assignment_no DESC LIMIT 1;
        IF last.assignment_no IS DISTINCT FROM NEW.assignment_no
           OR coalesce(last.reviewer_actor_id, NEW.reviewer_actor_id) <> NEW.reviewer_actor_id THEN
            PERFORM cbi.refuse_appeal(NEW.appeal_id, 'appeal_outcome_by_reviewer');
        END IF;
    END IF;
    IF EXISTS (SELECT FROM cbi.appeal AS a JOIN cbi.slip AS p USING (slip_id)
               WHERE a.appeal_id = NEW.appeal_id AND p.issued_by = NEW.reviewer_actor_id)
       OR EXISTS (
        -- Whose registration is the other side of the case has a stake in it.
        SELECT FROM cbi.appeal AS a JOIN cbi.slip AS p USING (slip_id)
        JOIN dedup.match_case AS c ON c.case_id = p.case_id
        WHERE a.appeal_id = NEW.appeal_id
          AND NEW.reviewer_partner_id IN (c.partner_a, c.partner_b))
       OR EXISTS (
        SELECT FROM cbi.appeal AS a JOIN cbi.slip AS p USING (slip_id)
        JOIN dedup.match_case AS c ON c.case_id = p.case_id
        CROSS JOIN LATERAL (
            SELECT x.case_id FROM dedup.match_case AS x
            WHERE x.household_a = c.household_a AND x.household_b IS NOT DISTINCT FROM c.household_b
            OFFSET 0) AS pair
        JOIN dedup.judgement AS j ON j.case_id = pair.case_id
        WHERE a.appeal_id = NEW.appeal_id AND (j.partner_id = NEW.reviewer_partner_id
            OR j.actor_id = NEW.reviewer_actor_id)) THEN
        PERFORM cbi.refuse_appeal(NEW.appeal_id, 'appeal_reviewer_took_part');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER appeal_reviewer_apart BEFORE INSERT ON cbi.appeal_assignment
    FOR EACH ROW EXECUTE FUNCTION cbi.check_appeal_reviewer();
CREATE TRIGGER appeal_reviewer_apart BEFORE INSERT ON cbi.appeal_outcome
    FOR EACH ROW EXECUTE FUNCTION cbi.check_appeal_reviewer();
ALTER TABLE cbi.appeal_assignment ENABLE ALWAYS TRIGGER appeal_reviewer_apart;
ALTER TABLE cbi.appeal_outcome ENABLE ALWAYS TRIGGER appeal_reviewer_apart;

-- A reversal that does nothing is none.
CREATE FUNCTION cbi.check_reversal() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.reverses AND NOT EXISTS (
        SELECT FROM cbi.appeal_effect AS e WHERE e.appeal_id = NEW.appeal_id) THEN
        PERFORM cbi.refuse_appeal(NEW.appeal_id, 'appeal_reversal_has_effect');
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER appeal_reversal_has_effect AFTER INSERT ON cbi.appeal_outcome
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cbi.check_reversal();
ALTER TABLE cbi.appeal_outcome ENABLE ALWAYS TRIGGER appeal_reversal_has_effect;

-- ---------------------------------------------------------------- doors

-- Those that look things up do it by indexes, whatever the planner believed while tables were small.

-- Take in an appeal: by the token of a slip that is in force, or, without it, by one's own slip.
-- A slip is appealed once: asked again, the first appeal is told. No row: there is no such slip,
-- its token was replaced, or its time is over, and which of these is not said.
CREATE FUNCTION cbi.lodge_appeal(token_digest bytea, own_slip uuid, on_day date, new_appeal uuid,
    at timestamptz, language text, channel text, contact boolean, due_on date, sealed bytea,
    kek_id text, wrapped bytea)
RETURNS TABLE (appeal_id uuid, is_new boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    slip_found record;
BEGIN
    IF cbi.actor_id() IS NULL OR cbi.partner_id() IS NULL
       OR NOT cbi.has_role('registrar', 'programme', 'adjudicator', 'coordinator') THEN
        RETURN;
    END IF;
    IF lodge_appeal.token_digest IS NOT NULL THEN
        SELECT s.slip_id, s.partner_id, s.appeal_until, a.appeal_id INTO slip_found
        FROM cbi.slip_print AS p JOIN cbi.slip AS s USING (slip_id)
        LEFT JOIN cbi.appeal AS a USING (slip_id)
        WHERE p.digest = lodge_appeal.token_digest AND NOT EXISTS (
            SELECT FROM cbi.slip_print AS later
            WHERE later.slip_id = p.slip_id AND later.print_no > p.print_no);
    ELSE
        SELECT s.slip_id, s.partner_id, s.appeal_until, a.appeal_id INTO slip_found
        FROM cbi.slip AS s LEFT JOIN cbi.appeal AS a USING (slip_id)
        WHERE s.slip_id = lodge_appeal.own_slip AND s.partner_id = cbi.partner_id();
    END IF;
    IF slip_found.appeal_id IS NOT NULL THEN
        PERFORM set_config('app.appeal_shown', slip_found.appeal_id::text, true);
        RETURN QUERY SELECT slip_found.appeal_id, false;
        RETURN;
    END IF;
    IF slip_found.slip_id IS NULL OR slip_found.appeal_until < lodge_appeal.on_day THEN
        RETURN;
    END IF;
    INSERT INTO cbi.appeal (appeal_id, slip_id, partner_id, intake_partner_id, taken_by, taken_at,
        by_token, language, channel, contact, due_on, sealed)
    VALUES (lodge_appeal.new_appeal, slip_found.slip_id, slip_found.partner_id, cbi.partner_id(),
        cbi.actor_id(), lodge_appeal.at, lodge_appeal.token_digest IS NOT NULL,
        lodge_appeal.language, lodge_appeal.channel, lodge_appeal.contact, lodge_appeal.due_on,
        lodge_appeal.sealed)
    ON CONFLICT ON CONSTRAINT appeal_once DO NOTHING;
    IF FOUND THEN
        INSERT INTO cbi.appeal_key (appeal_id, kek_id, wrapped)
        VALUES (lodge_appeal.new_appeal, lodge_appeal.kek_id, lodge_appeal.wrapped);
    END IF;
    RETURN QUERY SELECT a.appeal_id, a.appeal_id = lodge_appeal.new_appeal FROM cbi.appeal AS a,
            set_config('app.appeal_shown', a.appeal_id::text, true)
        WHERE a.slip_id = slip_found.slip_id;
END $$;

-- What was refused, to who reviews and who refused; to who took the appeal in, its reference only.
CREATE FUNCTION cbi.appealed(wanted uuid[])
RETURNS TABLE (appeal_id uuid, reference text, issued_at timestamptz, reason text,
               assistance_group text, case_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.appeal_id, s.reference, f.issued_at, f.reason, f.assistance_group, f.case_id
    FROM unnest(wanted[1:201]) AS w(appeal_id)
    JOIN cbi.appeal AS a USING (appeal_id) JOIN cbi.slip AS s USING (slip_id)
    LEFT JOIN LATERAL (SELECT s.issued_at, s.reason, s.assistance_group, s.case_id
        WHERE a.partner_id = cbi.partner_id()
            OR cbi.has_role('adjudicator', 'coordinator', 'auditor')) AS f ON true
    WHERE cbi.partner_id() IN (a.partner_id, a.intake_partner_id)
       OR a.appeal_id = cbi.appeal_shown()
       OR cbi.has_role('adjudicator', 'coordinator', 'auditor')
$$;

-- Let a reversal that stands in this appeal have its effect: the decided case beneath it is opened
-- anew with its evidence, when it is the last of its pair; otherwise the organisation that refused
-- must act by the day.
CREATE FUNCTION cbi.reverse_appealed(reversed uuid, new_case uuid, last_day date, at timestamptz)
RETURNS TABLE (kind text, case_id uuid, act_by date)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    old uuid;
    opened uuid;
BEGIN
    IF NOT EXISTS (SELECT FROM cbi.appeal_outcome AS o WHERE o.appeal_id = reversed AND o.reverses
                   AND o.reviewer_actor_id = cbi.actor_id()) THEN
        RETURN;
    END IF;
    SELECT s.case_id INTO old FROM cbi.appeal AS a JOIN cbi.slip AS s USING (slip_id)
    WHERE a.appeal_id = reversed;
    IF old IS NOT NULL THEN
        PERFORM dedup.lock_case(old);
        INSERT INTO dedup.match_case (case_id, household_a, household_b, partner_a, partner_b,
            reason, opened_at, opened_by, model_id, strength_bits, reopens)
        SELECT new_case, c.household_a, c.household_b, c.partner_a, c.partner_b, c.reason,
            reverse_appealed.at, cbi.actor_id(), coalesce(m.model_id, c.model_id),
            coalesce(m.strength_bits, c.strength_bits), c.case_id
        FROM dedup.match_case AS c
        LEFT JOIN LATERAL (
            SELECT x.model_id, x.strength_bits FROM dedup.scoring AS x WHERE x.case_id = c.case_id
            ORDER BY x.scoring_no DESC LIMIT 1) AS m ON true
        WHERE c.case_id = old AND c.reason = 'duplicate'
          AND EXISTS (SELECT FROM dedup.decision AS d WHERE d.case_id = c.case_id)
        ON CONFLICT ON CONSTRAINT match_case_reopened_once DO NOTHING
        RETURNING match_case.case_id INTO opened;
        INSERT INTO dedup.case_pair (case_id, person_a, person_b, model_id, weight_bits,
            probability, evidence)
        SELECT opened, p.person_a, p.person_b, p.model_id, p.weight_bits, p.probability, p.evidence
        FROM dedup.case_pair AS p JOIN dedup.match_case AS c ON c.case_id = opened
        WHERE p.case_id = old AND p.model_id = c.model_id;
    END IF;
    RETURN QUERY
        INSERT INTO cbi.appeal_effect (appeal_id, partner_id, kind, case_id, act_by, begun_at)
        SELECT a.appeal_id, a.partner_id,
            CASE WHEN opened IS NULL THEN 'must_act' ELSE 'case_reopened' END, opened,
            CASE WHEN opened IS NULL THEN last_day END, reverse_appealed.at
        FROM cbi.appeal AS a WHERE a.appeal_id = reversed
        RETURNING appeal_effect.kind, appeal_effect.case_id, appeal_effect.act_by;
END $$;

GRANT SELECT ON cbi.slip, cbi.slip_print, cbi.appeal, cbi.appeal_assignment, cbi.appeal_outcome,
    cbi.appeal_effect, cbi.appeal_done TO cbi_door;
GRANT SELECT, INSERT ON cbi.appeal, cbi.appeal_effect TO cbi_door;
GRANT INSERT ON cbi.appeal_key TO cbi_door;
GRANT SELECT, INSERT ON dedup.match_case, dedup.case_pair TO cbi_door;
GRANT SELECT (scoring_no, case_id, model_id, strength_bits) ON dedup.scoring TO cbi_door;
GRANT SELECT (judgement_id, case_id, partner_id, actor_id, supersedes) ON dedup.judgement
    TO cbi_door;
DO $$
DECLARE
    named text;
BEGIN
    FOREACH named IN ARRAY ARRAY['cbi.slip', 'cbi.slip_print', 'cbi.appeal',
        'cbi.appeal_assignment', 'cbi.appeal_outcome', 'cbi.appeal_effect', 'cbi.appeal_done',
        'dedup.scoring', 'dedup.judgement'] LOOP
        EXECUTE format('CREATE POLICY door ON %s FOR SELECT TO cbi_door USING (true)', named);
    END LOOP;
    FOREACH named IN ARRAY ARRAY['cbi.appeal', 'cbi.appeal_key', 'cbi.appeal_effect',
        'dedup.match_case', 'dedup.case_pair'] LOOP
        EXECUTE format(
            'CREATE POLICY door_adding ON %s FOR INSERT TO cbi_door WITH CHECK (true)', named);
    END LOOP;
END $$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.check_appeal_reviewer() OWNER TO cbi_door;
ALTER FUNCTION cbi.check_reversal() OWNER TO cbi_door;
ALTER FUNCTION cbi.lodge_appeal(bytea, uuid, date, uuid, timestamptz, text, text, boolean, date,
    bytea, text, bytea) OWNER TO cbi_door;
ALTER FUNCTION cbi.appealed(uuid[]) OWNER TO cbi_door;
ALTER FUNCTION cbi.reverse_appealed(uuid, uuid, date, timestamptz) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.check_appeal_reviewer(), cbi.check_reversal(),
    cbi.lodge_appeal(bytea, uuid, date, uuid, timestamptz, text, text, boolean, date, bytea, text,
        bytea),
    cbi.appealed(uuid[]), cbi.reverse_appealed(uuid, uuid, date, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    cbi.lodge_appeal(bytea, uuid, date, uuid, timestamptz, text, text, boolean, date, bytea, text,
        bytea),
    cbi.appealed(uuid[]), cbi.reverse_appealed(uuid, uuid, date, timestamptz) TO cbi_app;
