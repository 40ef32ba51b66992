-- The terms of a programme are data: value tables by area, where and when it works, its
-- instalments, its top-ups, who is eligible. A term is never edited; the next version of its kind
-- replaces it from its date on, when another person than who entered it has approved it.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.term (
    programme_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT term_kind_known CHECK (
        kind IN ('values', 'scope', 'schedule', 'top_up', 'eligibility')),
    version integer NOT NULL CONSTRAINT term_version_range CHECK (version BETWEEN 1 AND 500),
    partner_id uuid NOT NULL,
    effective_from date NOT NULL,
    content jsonb NOT NULL CONSTRAINT term_content_size CHECK (
        jsonb_typeof(content) = 'object' AND octet_length(content::text) <= 40000),
    entered_by uuid NOT NULL,
    added_at timestamptz NOT NULL,
    CONSTRAINT term_pkey PRIMARY KEY (programme_id, kind, version),
    CONSTRAINT term_author_once UNIQUE (programme_id, kind, version, partner_id, entered_by),
    CONSTRAINT term_of_programme FOREIGN KEY (programme_id, partner_id)
        REFERENCES cbi.programme (programme_id, partner_id),
    -- Amounts by size 1 … N for an area (an INEI prefix); whoever is more than N gets N's.
    CONSTRAINT term_values_whole CHECK (kind <> 'values' OR coalesce(
        content ->> 'area' ~ '^([0-9]{2}){0,3}$'
        AND jsonb_array_length(content -> 'amounts_minor') BETWEEN 1 AND 30
        AND NOT content @? '$.amounts_minor[*] ? (@.type() != "number" || @ <= 0 || @ % 1 != 0)',
        false)),
    CONSTRAINT term_scope_whole CHECK (kind <> 'scope' OR coalesce(
        jsonb_typeof(content -> 'areas') = 'array'
        AND NOT content @? '$.areas[*] ? (@.type() != "string" || !(@ like_regex "^([0-9]{2}){1,3}$"))',
        false)),
    CONSTRAINT term_schedule_whole CHECK (kind <> 'schedule' OR coalesce(
        (content ->> 'every_months')::integer BETWEEN 1 AND 12
        AND content ? 'instalments'
        AND (content ->> 'instalments' IS NULL
             OR (content ->> 'instalments')::integer BETWEEN 1 AND 120)
        AND content ->> 'proration' IN ('full', 'by_days', 'none'), false))
);
CALL cbi.make_append_only('cbi.term');
CALL cbi.guard('cbi.term', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND entered_by = cbi.actor_id()$$);

CREATE TABLE cbi.term_approval (
    programme_id uuid NOT NULL,
    kind text NOT NULL,
    version integer NOT NULL,
    partner_id uuid NOT NULL,
    entered_by uuid NOT NULL,
    approved_by uuid NOT NULL,
    approved_at timestamptz NOT NULL,
    CONSTRAINT term_approval_once PRIMARY KEY (programme_id, kind, version),
    CONSTRAINT term_approval_two_people CHECK (approved_by <> entered_by),
    CONSTRAINT term_approval_of_term
        FOREIGN KEY (programme_id, kind, version, partner_id, entered_by)
        REFERENCES cbi.term (programme_id, kind, version, partner_id, entered_by)
);
CALL cbi.make_append_only('cbi.term_approval');
CALL cbi.guard('cbi.term_approval', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND approved_by = cbi.actor_id()$$);

-- The approved term that counts on a day: the newest that is effective.
CREATE FUNCTION cbi.term_in_force(wanted uuid, wanted_kind text, day date)
RETURNS TABLE (version integer, content jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.version, t.content FROM cbi.term AS t
    WHERE t.programme_id = wanted AND t.kind = wanted_kind AND t.effective_from <= day
        AND EXISTS (SELECT FROM cbi.term_approval AS a WHERE a.programme_id = t.programme_id
                    AND a.kind = t.kind AND a.version = t.version OFFSET 0)
    ORDER BY t.effective_from DESC, t.version DESC LIMIT 1
$$;

-- Value tables were rows for each size, and the one who entered them stood as their approver. They
-- go on as terms; before the next calculation another person approves the newest, once.
ALTER TABLE cbi.transfer_value NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.term NO FORCE ROW LEVEL SECURITY;
INSERT INTO cbi.term (programme_id, kind, version, partner_id, effective_from, content, entered_by,
    added_at)
SELECT v.programme_id, 'values', v.version, v.partner_id, v.effective_from,
    jsonb_build_object('area', '', 'amounts_minor',
        jsonb_agg(v.amount_minor ORDER BY v.household_size)), v.approved_by, v.added_at
FROM cbi.transfer_value AS v
GROUP BY v.programme_id, v.version, v.partner_id, v.effective_from, v.approved_by, v.added_at;
ALTER TABLE cbi.term FORCE ROW LEVEL SECURITY;
DROP TABLE cbi.transfer_value;

-- ---------------------------------------------------------------- where and when

-- A round is for months of its programme, and for whole instalments, as is in force on the day it
-- pays.
CREATE FUNCTION cbi.check_round_terms() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    scope jsonb;
    schedule jsonb;
    many integer := (extract(year FROM upper(NEW.months)) - extract(year FROM lower(NEW.months)))
        * 12 + extract(month FROM upper(NEW.months)) - extract(month FROM lower(NEW.months));
BEGIN
    SELECT t.content INTO scope
    FROM cbi.term_in_force(NEW.programme_id, 'scope', NEW.pays_on) AS t;
    IF lower(NEW.months) < (scope ->> 'first_month')::date
       OR upper(NEW.months) > (scope ->> 'last_month')::date + interval '1 month' THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_within_programme');
    END IF;
    SELECT t.content INTO schedule
    FROM cbi.term_in_force(NEW.programme_id, 'schedule', NEW.pays_on) AS t;
    IF many % (schedule ->> 'every_months')::integer <> 0 THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_of_whole_instalments');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER round_terms_checked AFTER INSERT ON cbi.round
    FOR EACH ROW EXECUTE FUNCTION cbi.check_round_terms();
ALTER TABLE cbi.round ENABLE ALWAYS TRIGGER round_terms_checked;

-- Who lives outside the programme's area is not enrolled. Asked of a statement's programmes, of
-- which most have no area: then nobody's home is looked up.
CREATE FUNCTION cbi.check_enrolment_terms() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    this record;
    outside uuid;
BEGIN
    FOR this IN
        SELECT p.programme_id, p.day, t.content -> 'areas' AS areas
        FROM (SELECT DISTINCT n.programme_id,
                (n.enrolled_at AT TIME ZONE 'UTC' - interval '5 hours')::date AS day
              FROM new_enrolments AS n) AS p
        CROSS JOIN LATERAL cbi.term_in_force(p.programme_id, 'scope', p.day) AS t
        WHERE jsonb_array_length(t.content -> 'areas') > 0
    LOOP
        SELECT n.household_id INTO outside FROM new_enrolments AS n
        WHERE n.programme_id = this.programme_id
            AND (n.enrolled_at AT TIME ZONE 'UTC' - interval '5 hours')::date = this.day
            AND NOT EXISTS (
                SELECT FROM cbi.household AS h, jsonb_array_elements_text(this.areas) AS a(prefix)
                WHERE h.household_id = n.household_id AND starts_with(h.ubigeo, a.prefix))
        LIMIT 1;
        IF outside IS NOT NULL THEN
            RAISE EXCEPTION 'household % lives outside the area', outside
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'enrolment_in_area';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER enrolment_terms_checked AFTER INSERT ON cbi.enrolment
    REFERENCING NEW TABLE AS new_enrolments
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_enrolment_terms();
ALTER TABLE cbi.enrolment ENABLE ALWAYS TRIGGER enrolment_terms_checked;

RESET ROLE;
