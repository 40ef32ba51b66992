-- Who may be enrolled by a programme's own rules. Their answer is kept with the version that gave
-- it; where a fact is missing, a person decides, and another one enrols.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.eligibility_override (
    override_id uuid CONSTRAINT eligibility_override_pkey PRIMARY KEY,
    programme_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    kind text GENERATED ALWAYS AS ('eligibility') STORED,
    rules_version integer NOT NULL,
    because text NOT NULL CONSTRAINT eligibility_override_because CHECK (
        length(because) BETWEEN 1 AND 500),
    -- The conditions that could not be answered.
    reasons jsonb NOT NULL,
    decided_by uuid NOT NULL,
    decided_at timestamptz NOT NULL,
    CONSTRAINT eligibility_override_once UNIQUE (programme_id, household_id, rules_version),
    CONSTRAINT eligibility_override_named UNIQUE (
        override_id, partner_id, programme_id, household_id, rules_version, decided_by),
    CONSTRAINT eligibility_override_of_rules FOREIGN KEY (programme_id, kind, rules_version)
        REFERENCES cbi.term_approval (programme_id, kind, version),
    CONSTRAINT eligibility_override_of_programme FOREIGN KEY (programme_id, partner_id)
        REFERENCES cbi.programme (programme_id, partner_id),
    CONSTRAINT eligibility_override_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
CALL cbi.make_append_only('cbi.eligibility_override');
CALL cbi.guard('cbi.eligibility_override', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id() AND decided_by = cbi.actor_id()$$);

-- The answer that an enrolment stands on; it comes first, in the same transaction.
CREATE TABLE cbi.eligibility_answer (
    enrolment_id uuid CONSTRAINT eligibility_answer_once PRIMARY KEY,
    programme_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    kind text GENERATED ALWAYS AS ('eligibility') STORED,
    rules_version integer NOT NULL,
    verdict text NOT NULL CONSTRAINT eligibility_answer_verdict CHECK (
        verdict IN ('yes', 'overridden')),
    asked_by uuid NOT NULL,
    asked_at timestamptz NOT NULL,
    override_id uuid,
    overridden_by uuid,
    CONSTRAINT eligibility_answer_overridden CHECK (
        num_nonnulls(override_id, overridden_by)
            = CASE verdict WHEN 'overridden' THEN 2 ELSE 0 END),
    CONSTRAINT eligibility_answer_another_person CHECK (overridden_by <> asked_by),
    CONSTRAINT eligibility_answer_of_rules FOREIGN KEY (programme_id, kind, rules_version)
        REFERENCES cbi.term_approval (programme_id, kind, version),
    CONSTRAINT eligibility_answer_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id),
    CONSTRAINT eligibility_answer_by_override FOREIGN KEY (
            override_id, partner_id, programme_id, household_id, rules_version, overridden_by)
        REFERENCES cbi.eligibility_override (
            override_id, partner_id, programme_id, household_id, rules_version, decided_by)
);
CALL cbi.make_append_only('cbi.eligibility_answer');
CALL cbi.guard('cbi.eligibility_answer', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id() AND asked_by = cbi.actor_id()$$);

-- Where a programme has rules, an enrolment stands on an answer of those that count that day.
CREATE FUNCTION cbi.check_enrolment_answers() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    this record;
    without uuid;
BEGIN
    FOR this IN
        SELECT p.programme_id, p.day, t.version
        FROM (SELECT DISTINCT n.programme_id,
                (n.enrolled_at AT TIME ZONE 'UTC' - interval '5 hours')::date AS day
              FROM new_enrolments AS n) AS p
        CROSS JOIN LATERAL cbi.term_in_force(p.programme_id, 'eligibility', p.day) AS t
    LOOP
        SELECT n.household_id INTO without FROM new_enrolments AS n
        WHERE n.programme_id = this.programme_id
            AND (n.enrolled_at AT TIME ZONE 'UTC' - interval '5 hours')::date = this.day
            AND NOT EXISTS (
                SELECT FROM cbi.eligibility_answer AS a WHERE a.enrolment_id = n.enrolment_id
                    AND a.programme_id = n.programme_id AND a.partner_id = n.partner_id
                    AND a.household_id = n.household_id AND a.rules_version = this.version)
        LIMIT 1;
        IF without IS NOT NULL THEN
            RAISE EXCEPTION 'household % has no answer of the rules', without
                USING ERRCODE = 'integrity_constraint_violation',
                    CONSTRAINT = 'enrolment_of_eligible';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER enrolment_answers_checked AFTER INSERT ON cbi.enrolment
    REFERENCING NEW TABLE AS new_enrolments
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_enrolment_answers();
ALTER TABLE cbi.enrolment ENABLE ALWAYS TRIGGER enrolment_answers_checked;

-- ---------------------------------------------------------------- scores

-- Scores are made elsewhere. No door leads here, and no role sees another organisation's.
CREATE TABLE cbi.score (
    score_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT score_pkey PRIMARY KEY,
    household_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    model text NOT NULL CONSTRAINT score_model_form CHECK (model ~ '^[a-z][a-z0-9._-]{0,39}$'),
    model_version text NOT NULL
        CONSTRAINT score_version_form CHECK (model_version ~ '^[a-z0-9][a-z0-9._-]{0,39}$'),
    score double precision NOT NULL CONSTRAINT score_range CHECK (score BETWEEN -1e9 AND 1e9),
    components jsonb NOT NULL CONSTRAINT score_components CHECK (
        jsonb_typeof(components) = 'object' AND octet_length(components::text) <= 8000
        AND NOT components @? '$.* ? (@.type() != "number")'),
    scored_by uuid NOT NULL,
    scored_at timestamptz NOT NULL,
    CONSTRAINT score_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
CREATE INDEX score_newest ON cbi.score (household_id, model, model_version, score_no DESC);
CALL cbi.make_append_only('cbi.score');
CALL cbi.guard('cbi.score', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id() AND scored_by = cbi.actor_id()$$);

-- ---------------------------------------------------------------- caps of instruments

-- What a payment by an instrument may be at most, by law or by its provider's contract. Of the
-- platform, not of an organisation; a later date replaces an earlier one.
CREATE TABLE cbi.uit_value (
    uit_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT uit_value_pkey PRIMARY KEY,
    effective_from date NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT uit_value_positive CHECK (amount_minor > 0),
    source text NOT NULL CONSTRAINT uit_value_source CHECK (length(source) BETWEEN 1 AND 500),
    is_example boolean NOT NULL,
    partner_id uuid NOT NULL CONSTRAINT uit_value_of_partner REFERENCES cbi.partner (partner_id),
    entered_by uuid NOT NULL,
    entered_at timestamptz NOT NULL
);
CALL cbi.make_append_only('cbi.uit_value');
CALL cbi.guard('cbi.uit_value', 'true', $$partner_id = cbi.partner_id()
    AND entered_by = cbi.actor_id() AND cbi.has_role('coordinator')$$);

CREATE TABLE cbi.instrument_cap (
    cap_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT instrument_cap_pkey PRIMARY KEY,
    instrument_kind text NOT NULL CONSTRAINT instrument_cap_kind_known CHECK (
        instrument_kind IN ('bank_account', 'mobile_wallet', 'otc_cash')),
    currency text NOT NULL,
    effective_from date NOT NULL,
    -- Minor units of the currency, or thousandths of a UIT.
    unit text NOT NULL CONSTRAINT instrument_cap_unit_known CHECK (
        unit IN ('minor', 'uit_thousandths')),
    per_transaction bigint CONSTRAINT instrument_cap_transaction CHECK (per_transaction > 0),
    per_month bigint CONSTRAINT instrument_cap_month CHECK (per_month > 0),
    balance bigint CONSTRAINT instrument_cap_balance CHECK (balance > 0),
    source text NOT NULL CONSTRAINT instrument_cap_source CHECK (length(source) BETWEEN 1 AND 500),
    is_example boolean NOT NULL,
    partner_id uuid NOT NULL
        CONSTRAINT instrument_cap_of_partner REFERENCES cbi.partner (partner_id),
    entered_by uuid NOT NULL,
    entered_at timestamptz NOT NULL,
    CONSTRAINT instrument_cap_uit_in_soles CHECK (unit <> 'uit_thousandths' OR currency = 'PEN')
);
CALL cbi.make_append_only('cbi.instrument_cap');
CALL cbi.guard('cbi.instrument_cap', 'true', $$partner_id = cbi.partner_id()
    AND entered_by = cbi.actor_id() AND cbi.has_role('coordinator')$$);

-- A cap in UIT has a value from its first day on.
CREATE FUNCTION cbi.check_instrument_cap() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.unit = 'uit_thousandths' AND NOT EXISTS (
            SELECT FROM cbi.uit_value AS u WHERE u.effective_from <= NEW.effective_from) THEN
        RAISE EXCEPTION 'no UIT is known for that day'
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'instrument_cap_has_uit';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER instrument_cap_checked AFTER INSERT ON cbi.instrument_cap
    FOR EACH ROW EXECUTE FUNCTION cbi.check_instrument_cap();
ALTER TABLE cbi.instrument_cap ENABLE ALWAYS TRIGGER instrument_cap_checked;

-- What an enrolment's other promises come to that are paid in the month of a day.
CREATE FUNCTION cbi.paid_in_month(enrolment uuid, day date, outside uuid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
    SELECT coalesce(sum(e.amount_minor), 0)::bigint
    FROM cbi.entitlement AS e JOIN cbi.round AS o USING (round_id)
    WHERE e.household_id = (SELECT n.household_id FROM cbi.enrolment AS n
                            WHERE n.enrolment_id = enrolment)
        AND e.cancelled_at IS NULL AND e.round_id <> outside
        AND date_trunc('month', o.pays_on) = date_trunc('month', day)
$$;

RESET ROLE;
