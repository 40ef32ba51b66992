-- What else organisations should hear: conflicts to decide, imports that ended, checks of rounds
-- that grow old, appeals near their day. And what a household should hear, if it agreed to be
-- contacted: that it was registered, that something of it waits or failed, or was decided.
SET LOCAL ROLE cbi_owner;

ALTER TABLE cbi.notice
    DROP CONSTRAINT notice_kind_known,
    ADD CONSTRAINT notice_kind_known CHECK (kind IN (
        'cases.waiting', 'appeals.waiting', 'appeals.unassigned', 'appeals.due',
        'reservations.expiring', 'reversal.to_act', 'waiting.turn', 'conflicts.waiting',
        'import.ended', 'round.check_old', 'person.appeal_taken', 'person.appeal_decided',
        'person.appeal_delayed', 'person.reversal', 'person.registered', 'person.reservation',
        'person.turn', 'person.payment_ready', 'person.payment_failed', 'person.review'));

-- Pages of a released list whose households were told: a list may be long, and is told once.
CREATE TABLE cbi.notice_page (
    list_id uuid NOT NULL,
    page_no integer NOT NULL CONSTRAINT notice_page_positive CHECK (page_no >= 1),
    partner_id uuid NOT NULL CONSTRAINT notice_page_of_partner REFERENCES cbi.partner,
    made_at timestamptz NOT NULL,
    CONSTRAINT notice_page_once PRIMARY KEY (list_id, page_no)
);
CALL cbi.make_append_only('cbi.notice_page');
CALL cbi.guard('cbi.notice_page', 'false', 'false');

-- What happened lately is found by its moment, however much happened before.
CREATE INDEX consent_to_contact ON cbi.consent (recorded_at) WHERE kind = 'contact' AND granted;
CREATE INDEX outcome_void_by_moment ON ledger.outcome (decided_at) WHERE outcome = 'void';
CREATE INDEX giveback_by_moment ON ledger.giveback (recorded_at);
CREATE INDEX decision_by_moment ON dedup.decision (decided_at);
CREATE INDEX job_end_by_moment ON cbi.job_end (ended_at);

GRANT SELECT, INSERT ON cbi.notice_page TO cbi_door;
GRANT SELECT (registered_at) ON cbi.household TO cbi_door;
GRANT SELECT (decided_at) ON dedup.decision TO cbi_door;
GRANT SELECT (cancelled_at, partner_id) ON cbi.entitlement TO cbi_door;
GRANT SELECT (job_id, kind, subject_id, partner_id) ON cbi.job TO cbi_door;
GRANT SELECT (job_id, state, ended_at) ON cbi.job_end TO cbi_door;
GRANT SELECT (round_id, pays_on) ON cbi.round TO cbi_door;
GRANT SELECT (round_id, step, partner_id, at, list_digest) ON cbi.round_step TO cbi_door;
GRANT SELECT (round_id, check_no, is_last, begun_at) ON cbi.round_check_page TO cbi_door;
GRANT SELECT (round_id, list_digest, chunk_no, after_payment, upto_payment) ON cbi.chunk
    TO cbi_door;
GRANT SELECT (followup_id, pays_on) ON cbi.followup TO cbi_door;
GRANT SELECT (followup_id, step, partner_id, at) ON cbi.followup_step TO cbi_door;
GRANT SELECT (followup_id, payment_id, household_id) ON cbi.followup_payment TO cbi_door;
GRANT SELECT (payment_id, attempt_no) ON ledger.attempt TO cbi_door;
GRANT SELECT (payment_id, attempt_no, outcome, decided_at) ON ledger.outcome TO cbi_door;
GRANT SELECT (payment_id, attempt_no, recorded_at) ON ledger.giveback TO cbi_door;
DO $$
DECLARE
    named text;
BEGIN
    FOREACH named IN ARRAY ARRAY['cbi.notice_page', 'cbi.job', 'cbi.job_end', 'cbi.round',
        'cbi.round_step', 'cbi.round_check_page', 'cbi.chunk', 'cbi.followup', 'cbi.followup_step',
        'cbi.followup_payment', 'ledger.attempt', 'ledger.outcome', 'ledger.giveback'] LOOP
        EXECUTE format(
            'CREATE POLICY door_telling ON %s FOR SELECT TO cbi_door USING (true)', named);
    END LOOP;
END $$;
CREATE POLICY door_adding ON cbi.notice_page FOR INSERT TO cbi_door WITH CHECK (true);

-- ---------------------------------------------------------------- to organisations

-- Conflicts are for organisations that have a coordinator: counts, once a day.
CREATE FUNCTION cbi.notices_of_work(today date, at timestamptz, cases_before timestamptz,
                                    check_hours integer)
RETURNS TABLE (partner_id uuid, kind text, about uuid, day date, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.partner_id, 'conflicts.waiting', p.partner_id, today,
        jsonb_build_object('waiting', c.waiting, 'overdue', c.overdue)
    FROM (SELECT count(*) AS waiting,
              count(*) FILTER (WHERE x.opened_at < cases_before) AS overdue
          FROM cbi.conflict AS x
          JOIN cbi.hold AS a ON a.hold_id = x.earlier_hold
          JOIN cbi.hold AS b ON b.hold_id = x.later_hold
          WHERE NOT EXISTS (SELECT FROM cbi.conflict_decision AS d
                            WHERE d.conflict_id = x.conflict_id OFFSET 0)
            AND cbi.clashing(a, b, notices_of_work.at)
            AND (SELECT count(DISTINCT f.beneficiary_id) = 1
                 FROM cbi.beneficiaries_of(ARRAY[a.household_id, b.household_id]) AS f)) AS c
    CROSS JOIN (
        SELECT DISTINCT x.partner_id FROM cbi.api_key AS k JOIN cbi.actor AS x USING (actor_id)
        WHERE 'coordinator' = ANY (k.roles) AND k.revoked_at IS NULL
          AND k.expires_at > notices_of_work.at) AS p
    WHERE c.waiting > 0
    UNION ALL
    SELECT s.reviewer_partner_id, 'appeals.due', a.appeal_id, today,
        jsonb_build_object('appeal_id', a.appeal_id, 'due_on', a.due_on)
    FROM cbi.appeal AS a CROSS JOIN LATERAL (
        SELECT x.reviewer_partner_id FROM cbi.appeal_assignment AS x
        WHERE x.appeal_id = a.appeal_id ORDER BY x.assignment_no DESC LIMIT 1) AS s
    WHERE a.due_on BETWEEN today AND today + 2
      AND NOT EXISTS (SELECT FROM cbi.appeal_outcome AS o WHERE o.appeal_id = a.appeal_id OFFSET 0)
    UNION ALL
    SELECT j.partner_id, 'import.ended', j.job_id, cbi.peru_day(e.ended_at),
        jsonb_build_object('import_id', j.subject_id, 'job_id', j.job_id, 'work', j.kind,
            'state', e.state)
    FROM (SELECT x.job_id, x.state, x.ended_at FROM cbi.job_end AS x
          WHERE x.ended_at BETWEEN notices_of_work.at - interval '2 days' AND notices_of_work.at OFFSET 0) AS e
    CROSS JOIN LATERAL (
        SELECT x.job_id, x.partner_id, x.subject_id, x.kind FROM cbi.job AS x
        WHERE x.job_id = e.job_id OFFSET 0) AS j
    WHERE j.kind IN ('import-staging', 'import-acceptance')
    UNION ALL
    -- Six hours before a check of a list that waits for its signatures counts no more, and for
    -- three days after that.
    SELECT s.partner_id, 'round.check_old', s.round_id, today,
        jsonb_build_object('round_id', s.round_id, 'counts_until', c.until)
    FROM cbi.round_step AS s
    CROSS JOIN LATERAL (
        SELECT x.begun_at + make_interval(hours => check_hours) AS until
        FROM cbi.round_check_page AS x WHERE x.round_id = s.round_id AND x.is_last
        ORDER BY x.check_no DESC LIMIT 1) AS c
    WHERE s.step = 2 AND c.until BETWEEN notices_of_work.at - interval '3 days' AND notices_of_work.at + interval '6 hours'
      AND NOT EXISTS (SELECT FROM cbi.round_step AS x
                      WHERE x.round_id = s.round_id AND x.step = 4 OFFSET 0)
$$;

-- ---------------------------------------------------------------- to households

-- What a household should hear from its own organisation, once: of yesterday and today. A
-- registration's review is over for it when no case of it is open; a case that was found later was
-- no review that it waits for.
CREATE FUNCTION cbi.notices_to_households(today date, at timestamptz)
RETURNS TABLE (partner_id uuid, kind text, about uuid, day date, household_id uuid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.partner_id, 'person.registered', h.household_id, cbi.peru_day(h.registered_at),
        h.household_id
    FROM (SELECT DISTINCT x.household_id FROM cbi.consent AS x
          WHERE x.kind = 'contact' AND x.granted
            AND x.recorded_at BETWEEN notices_to_households.at - interval '2 days' AND notices_to_households.at OFFSET 0) AS c
    CROSS JOIN LATERAL (
        SELECT x.* FROM (SELECT y.household_id, y.partner_id, y.registered_at
                         FROM cbi.household AS y WHERE y.household_id = c.household_id OFFSET 0) AS x
        WHERE x.registered_at > notices_to_households.at - interval '2 days') AS h
    -- One that came of another by a split or a transfer is no registration; whoever parted from it
    -- may still share its telephone.
    WHERE NOT EXISTS (
        SELECT FROM cbi.household_event AS x
        WHERE x.household_id = h.household_id AND x.kind IN ('split_off', 'received') OFFSET 0)
    UNION ALL
    SELECT r.partner_id, 'person.reservation', r.reservation_id, cbi.peru_day(x.expires_at),
        r.household_id
    FROM cbi.reservation AS r CROSS JOIN LATERAL (
        SELECT coalesce(max(e.expires_at), r.expires_at) AS expires_at,
            coalesce(bool_or(e.kind <> 'renewed'), false) AS is_over
        FROM cbi.reservation_event AS e WHERE e.reservation_id = r.reservation_id) AS x
    WHERE NOT x.is_over AND cbi.peru_day(x.expires_at) BETWEEN today AND today + 3
    UNION ALL
    SELECT e.partner_id, 'person.payment_failed', f.payment_id, cbi.peru_day(f.at), e.household_id
    FROM (SELECT o.payment_id, o.attempt_no, o.decided_at AS at FROM ledger.outcome AS o
          WHERE o.outcome = 'void'
            AND o.decided_at BETWEEN notices_to_households.at - interval '2 days'
                AND notices_to_households.at
          UNION
          SELECT g.payment_id, g.attempt_no, g.recorded_at FROM ledger.giveback AS g
          WHERE g.recorded_at BETWEEN notices_to_households.at - interval '2 days'
                AND notices_to_households.at) AS f
    CROSS JOIN LATERAL (
        SELECT x.partner_id, x.household_id FROM cbi.entitlement AS x
        WHERE x.entitlement_id = f.payment_id AND x.cancelled_at IS NULL OFFSET 0) AS e
    WHERE NOT EXISTS (SELECT FROM ledger.attempt AS a WHERE a.payment_id = f.payment_id
                      AND a.attempt_no > f.attempt_no OFFSET 0)
    UNION ALL
    SELECT l.partner_id, 'person.review', d.case_id, cbi.peru_day(d.decided_at), l.household_id
    FROM (SELECT x.case_id, x.decided_at FROM dedup.decision AS x
          WHERE x.supersedes IS NULL
            AND x.decided_at BETWEEN notices_to_households.at - interval '2 days' AND notices_to_households.at OFFSET 0) AS d
    CROSS JOIN LATERAL (
        SELECT x.household_a, x.household_b, x.opened_at FROM dedup.match_case AS x
        WHERE x.case_id = d.case_id AND x.reopens IS NULL OFFSET 0) AS c
    CROSS JOIN LATERAL (
        SELECT x.household_id, x.partner_id, x.registered_at FROM cbi.household AS x
        WHERE x.household_id IN (c.household_a, c.household_b)
        ORDER BY x.registered_at DESC, x.household_id DESC LIMIT 1) AS l
    WHERE c.opened_at < l.registered_at + interval '1 day'
      AND NOT EXISTS (
          SELECT FROM (SELECT x.case_id FROM dedup.match_case AS x
                       WHERE x.household_a = l.household_id
                       UNION ALL SELECT x.case_id FROM dedup.match_case AS x
                       WHERE x.household_b = l.household_id OFFSET 0) AS o
          WHERE NOT EXISTS (SELECT FROM dedup.decision AS x WHERE x.case_id = o.case_id OFFSET 0))
$$;
REVOKE ALL ON FUNCTION cbi.notices_of_work(date, timestamptz, timestamptz, integer),
    cbi.notices_to_households(date, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.notices_of_work(date, timestamptz, timestamptz, integer),
    cbi.notices_to_households(date, timestamptz) TO cbi_door;

RESET ROLE;
DROP FUNCTION cbi.make_notices(date, timestamptz, timestamptz);

-- Write the notices of a day that are not written yet; returns how many.
CREATE FUNCTION cbi.make_notices(today date, at timestamptz, cases_before timestamptz,
                                 check_hours integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made integer;
BEGIN
    IF NOT cbi.has_role('messenger') THEN
        RETURN 0;
    END IF;
    INSERT INTO cbi.notice (notice_id, partner_id, kind, about, day, body, made_at)
    SELECT uuidv7(), n.partner_id, n.kind, n.about, n.day, n.body, make_notices.at
    FROM (SELECT * FROM cbi.notices_to_partners(make_notices.today, make_notices.cases_before)
          UNION ALL SELECT * FROM cbi.notices_of_reservations(make_notices.today)
          UNION ALL SELECT * FROM cbi.notices_of_work(make_notices.today, make_notices.at,
              make_notices.cases_before, make_notices.check_hours)
          UNION ALL SELECT * FROM cbi.notices_to_people(make_notices.today)
          UNION ALL SELECT x.partner_id, x.kind, x.about, x.day,
              jsonb_build_object('household_id', x.household_id, 'language', c.said)
          FROM cbi.notices_to_households(make_notices.today, make_notices.at) AS x
          CROSS JOIN LATERAL cbi.contact_language(x.household_id) AS c(said)
          WHERE c.said IS NOT NULL) AS n
    ON CONFLICT ON CONSTRAINT notice_once DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    -- What could not be told in its time is looked at no more.
    DELETE FROM cbi.notice_due AS q WHERE q.due_at < make_notices.at - interval '3 days';
    RETURN made;
END $$;

-- Tell the households of one page of a list that was released and whose day has come, within three
-- days of it; false when there is no page left. What failed meanwhile is not told as ready.
CREATE FUNCTION cbi.make_payment_notices(today date, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    page record;
BEGIN
    IF NOT cbi.has_role('messenger') THEN
        RETURN false;
    END IF;
    SELECT p.* INTO page FROM (
        SELECT s.round_id AS list_id, c.chunk_no AS page_no, s.partner_id, true AS is_round,
            greatest(cbi.peru_day(s.at), r.pays_on) AS day, c.after_payment, c.upto_payment
        FROM cbi.round_step AS s JOIN cbi.round AS r USING (round_id)
        CROSS JOIN LATERAL (
            SELECT x.chunk_no, x.after_payment, x.upto_payment FROM cbi.chunk AS x
            WHERE x.round_id = s.round_id AND x.list_digest = s.list_digest OFFSET 0) AS c
        WHERE s.step = 5
        UNION ALL
        SELECT s.followup_id, 1, s.partner_id, false, greatest(cbi.peru_day(s.at), f.pays_on),
            NULL, NULL
        FROM cbi.followup_step AS s JOIN cbi.followup AS f USING (followup_id)
        WHERE s.step = 5) AS p
    WHERE p.day BETWEEN today - 2 AND today AND NOT EXISTS (
        SELECT FROM cbi.notice_page AS x
        WHERE x.list_id = p.list_id AND x.page_no = p.page_no OFFSET 0)
    ORDER BY p.list_id, p.page_no LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO cbi.notice_page (list_id, page_no, partner_id, made_at)
    VALUES (page.list_id, page.page_no, page.partner_id, make_payment_notices.at)
    ON CONFLICT ON CONSTRAINT notice_page_once DO NOTHING;
    IF NOT FOUND THEN
        -- Another messenger tells this page.
        RETURN true;
    END IF;
    INSERT INTO cbi.notice (notice_id, partner_id, kind, about, day, body, made_at)
    SELECT uuidv7(), page.partner_id, 'person.payment_ready', e.payment_id, page.day,
        jsonb_build_object('household_id', e.household_id, 'language', c.said),
        make_payment_notices.at
    FROM (SELECT x.entitlement_id AS payment_id, x.household_id FROM cbi.entitlement AS x
          WHERE page.is_round AND x.round_id = page.list_id AND x.cancelled_at IS NULL
            AND x.entitlement_id > page.after_payment AND x.entitlement_id <= page.upto_payment
          UNION ALL
          SELECT x.payment_id, x.household_id FROM cbi.followup_payment AS x
          WHERE NOT page.is_round AND x.followup_id = page.list_id) AS e
    CROSS JOIN LATERAL cbi.contact_language(e.household_id) AS c(said)
    CROSS JOIN LATERAL (
        SELECT x.attempt_no FROM ledger.attempt AS x WHERE x.payment_id = e.payment_id
        ORDER BY x.attempt_no DESC LIMIT 1) AS a
    WHERE c.said IS NOT NULL AND NOT EXISTS (
        SELECT FROM ledger.outcome AS o WHERE o.payment_id = e.payment_id
            AND o.attempt_no = a.attempt_no AND o.outcome = 'void' OFFSET 0)
    ON CONFLICT ON CONSTRAINT notice_once DO NOTHING;
    RETURN true;
END $$;

GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.make_notices(date, timestamptz, timestamptz, integer) OWNER TO cbi_door;
ALTER FUNCTION cbi.make_payment_notices(date, timestamptz) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.make_notices(date, timestamptz, timestamptz, integer),
    cbi.make_payment_notices(date, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.make_notices(date, timestamptz, timestamptz, integer),
    cbi.make_payment_notices(date, timestamptz) TO cbi_app;
