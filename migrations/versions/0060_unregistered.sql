-- Who was turned away before being registered is refused too: at the desk, as a row of a file, or by
-- what a check of a list said. A slip may be given for that. It names nobody and hangs on nothing;
-- whoever holds it appeals like others. A reversal is a right, of which the organisation that
-- refused is told and which it says it met.
SET LOCAL ROLE cbi_owner;

ALTER TABLE cbi.slip
    DROP CONSTRAINT slip_reason_known,
    DROP CONSTRAINT slip_once,
    ALTER COLUMN household_id DROP NOT NULL,
    ALTER COLUMN is_block SET EXPRESSION AS (reason IN (
        'family_assisted', 'overlap', 'open_case', 'duplicate_decision', 'check_review',
        'check_blocked')),
    -- The household, or else the slip itself: two who are not registered are two.
    ADD COLUMN of_whom uuid GENERATED ALWAYS AS (coalesce(household_id, slip_id)) STORED;
ALTER TABLE cbi.slip
    ADD CONSTRAINT slip_reason_known CHECK (reason IN (
        'family_assisted', 'overlap', 'open_case', 'duplicate_decision', 'already_enrolled',
        'not_eligible', 'left_out', 'consent_missing', 'no_instrument', 'no_funds',
        'not_registered', 'row_refused', 'check_review', 'check_blocked')),
    ADD CONSTRAINT slip_of_unregistered CHECK (
        (household_id IS NULL) = (reason IN (
            'not_registered', 'row_refused', 'check_review', 'check_blocked'))
        AND (household_id IS NOT NULL OR num_nonnulls(case_id, enrolment_id, round_id) = 0)),
    ADD CONSTRAINT slip_once UNIQUE NULLS NOT DISTINCT (
        of_whom, issued_on, reason, assistance_group, case_id, enrolment_id, round_id);

-- A slip that hangs on nothing could be given without end.
CREATE FUNCTION cbi.refuse_many_slips() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('cbi.slips ' || NEW.partner_id::text, 0));
    IF (SELECT count(*) FROM cbi.slip AS s WHERE s.partner_id = NEW.partner_id
            AND s.issued_on = NEW.issued_on AND s.household_id IS NULL) >= 500 THEN
        RAISE EXCEPTION 'organisation % gave too many slips', NEW.partner_id
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'slip_of_unregistered_max';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER slip_of_unregistered_max BEFORE INSERT ON cbi.slip
    FOR EACH ROW WHEN (NEW.household_id IS NULL) EXECUTE FUNCTION cbi.refuse_many_slips();
ALTER TABLE cbi.slip ENABLE ALWAYS TRIGGER slip_of_unregistered_max;

ALTER TABLE cbi.appeal_effect ADD COLUMN entitles_to text CONSTRAINT appeal_effect_right CHECK (
    entitles_to IS NULL
    OR entitles_to IN ('registration', 'another_look') AND kind = 'must_act');
ALTER TABLE cbi.appeal_done
    DROP CONSTRAINT appeal_done_what,
    ADD COLUMN household_id uuid,
    ADD CONSTRAINT appeal_done_what CHECK (what IN (
        'enrolled', 'put_on_list', 'paid', 'looked_at_again', 'no_longer_wanted', 'registered')),
    -- Who appealed is known from then on, and so the erasure of the household reaches the appeal.
    ADD CONSTRAINT appeal_done_registered CHECK ((what = 'registered') = (household_id IS NOT NULL)),
    ADD CONSTRAINT appeal_done_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id);

RESET ROLE;
CREATE OR REPLACE FUNCTION cbi.reverse_appealed(reversed uuid, new_case uuid, last_day date, at timestamptz)
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
        INSERT INTO cbi.appeal_effect (appeal_id, partner_id, kind, case_id, act_by, begun_at,
            entitles_to)
        SELECT a.appeal_id, a.partner_id,
            CASE WHEN opened IS NULL THEN 'must_act' ELSE 'case_reopened' END, opened,
            CASE WHEN opened IS NULL THEN last_day END, reverse_appealed.at,
            CASE WHEN s.reason IN ('not_registered', 'row_refused') THEN 'registration'
                 WHEN s.reason IN ('check_review', 'check_blocked') THEN 'another_look' END
        FROM cbi.appeal AS a JOIN cbi.slip AS s USING (slip_id) WHERE a.appeal_id = reversed
        RETURNING appeal_effect.kind, appeal_effect.case_id, appeal_effect.act_by;
END $$;
CREATE OR REPLACE FUNCTION cbi.erase_elsewhere() RETURNS trigger
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
        LEFT JOIN cbi.appeal_done AS d USING (appeal_id)
    WHERE k.appeal_id = a.appeal_id
      AND (s.of_whom = ANY (erased) OR d.household_id = ANY (erased));
    RETURN NULL;
END $$;
