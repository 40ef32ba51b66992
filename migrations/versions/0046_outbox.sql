-- Notices: what an organisation, or through it a person, should hear. A sweep writes each once for
-- a thing and a day; they go to the organisation's webhook at least once, under the same id. All of
-- it is history. Bodies hold ids, counts and dates, and for people the name of a text, no words.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.webhook (
    webhook_id uuid CONSTRAINT webhook_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT webhook_of_partner REFERENCES cbi.partner,
    url text NOT NULL CONSTRAINT webhook_url_form CHECK (
        url ~ '^https?://' AND length(url) <= 500),
    -- The secret that signs, wrapped by the key from outside.
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    added_by uuid NOT NULL,
    added_at timestamptz NOT NULL,
    CONSTRAINT webhook_partner_once UNIQUE (webhook_id, partner_id)
);
CREATE INDEX webhook_newest ON cbi.webhook (partner_id, webhook_id DESC);
CALL cbi.make_append_only('cbi.webhook');
CALL cbi.guard('cbi.webhook', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND added_by = cbi.actor_id()
      AND cbi.has_role('programme', 'admin')$$);

CREATE TABLE cbi.webhook_end (
    webhook_id uuid CONSTRAINT webhook_end_once PRIMARY KEY,
    partner_id uuid NOT NULL,
    because text NOT NULL CONSTRAINT webhook_end_because CHECK (
        because IN ('closed', 'replaced', 'gone')),
    ended_at timestamptz NOT NULL,
    CONSTRAINT webhook_end_of_webhook FOREIGN KEY (webhook_id, partner_id)
        REFERENCES cbi.webhook (webhook_id, partner_id)
);
CALL cbi.make_append_only('cbi.webhook_end');
-- An endpoint that answers "gone" ends itself.
CALL cbi.guard('cbi.webhook_end', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND because <> 'gone' AND cbi.has_role('programme', 'admin')
      OR because = 'gone' AND cbi.has_role('messenger')$$);

CREATE TABLE cbi.notice (
    notice_id uuid CONSTRAINT notice_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT notice_of_partner REFERENCES cbi.partner,
    kind text NOT NULL CONSTRAINT notice_kind_known CHECK (kind IN (
        'cases.waiting', 'appeals.waiting', 'appeals.unassigned', 'reversal.to_act',
        'person.appeal_taken', 'person.appeal_decided', 'person.appeal_delayed',
        'person.reversal')),
    -- What it is about; the organisation itself where it is about counts.
    about uuid NOT NULL,
    day date NOT NULL,
    body jsonb NOT NULL CONSTRAINT notice_body_form CHECK (jsonb_typeof(body) = 'object'),
    made_at timestamptz NOT NULL,
    CONSTRAINT notice_once UNIQUE (partner_id, kind, about, day),
    CONSTRAINT notice_partner_once UNIQUE (notice_id, partner_id)
);
CREATE INDEX notice_by_moment ON cbi.notice (made_at);
CALL cbi.make_append_only('cbi.notice');
CALL cbi.guard('cbi.notice', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$, 'false');

-- A try to deliver. Whoever has the row has the try, until the lease is over.
CREATE TABLE cbi.delivery (
    notice_id uuid NOT NULL,
    attempt_no smallint NOT NULL CONSTRAINT delivery_attempt_range CHECK (
        attempt_no BETWEEN 1 AND 20),
    previous smallint GENERATED ALWAYS AS (nullif(attempt_no - 1, 0)) STORED,
    partner_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    began_at timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    CONSTRAINT delivery_once PRIMARY KEY (notice_id, attempt_no),
    CONSTRAINT delivery_in_order FOREIGN KEY (notice_id, previous)
        REFERENCES cbi.delivery (notice_id, attempt_no),
    CONSTRAINT delivery_of_notice FOREIGN KEY (notice_id, partner_id)
        REFERENCES cbi.notice (notice_id, partner_id),
    CONSTRAINT delivery_to_own_webhook FOREIGN KEY (webhook_id, partner_id)
        REFERENCES cbi.webhook (webhook_id, partner_id)
);
CALL cbi.make_append_only('cbi.delivery');
CALL cbi.guard('cbi.delivery', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    'false');

CREATE TABLE cbi.delivery_end (
    notice_id uuid NOT NULL,
    attempt_no smallint NOT NULL,
    partner_id uuid NOT NULL,
    why text NOT NULL CONSTRAINT delivery_end_why CHECK (why IN ('delivered', 'gone', 'status',
        'redirect', 'timeout', 'unreachable', 'unresolved', 'address', 'unreadable')),
    status smallint,
    ended_at timestamptz NOT NULL,
    -- When it is tried again; never, once it was delivered or tried for a day.
    again_at timestamptz CONSTRAINT delivery_end_again CHECK (
        again_at IS NULL OR why NOT IN ('delivered', 'gone')),
    CONSTRAINT delivery_end_once PRIMARY KEY (notice_id, attempt_no),
    CONSTRAINT delivery_end_of_delivery FOREIGN KEY (notice_id, attempt_no)
        REFERENCES cbi.delivery (notice_id, attempt_no),
    CONSTRAINT delivery_end_of_notice FOREIGN KEY (notice_id, partner_id)
        REFERENCES cbi.notice (notice_id, partner_id)
);
CALL cbi.make_append_only('cbi.delivery_end');
CALL cbi.guard('cbi.delivery_end', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$cbi.has_role('messenger')$$);

-- ---------------------------------------------------------------- the sweep

GRANT SELECT, INSERT ON cbi.notice, cbi.delivery TO cbi_door;
-- Locked while it is claimed, never changed: the table is append-only.
GRANT UPDATE (notice_id) ON cbi.notice TO cbi_door;
GRANT SELECT ON cbi.webhook, cbi.webhook_end, cbi.delivery_end TO cbi_door;
DO $$
DECLARE
    named text;
BEGIN
    FOREACH named IN ARRAY ARRAY['cbi.notice', 'cbi.delivery', 'cbi.webhook', 'cbi.webhook_end',
        'cbi.delivery_end'] LOOP
        EXECUTE format('CREATE POLICY door ON %s FOR SELECT TO cbi_door USING (true)', named);
    END LOOP;
    FOREACH named IN ARRAY ARRAY['cbi.notice', 'cbi.delivery'] LOOP
        EXECUTE format(
            'CREATE POLICY door_adding ON %s FOR INSERT TO cbi_door WITH CHECK (true)', named);
    END LOOP;
END $$;
CREATE POLICY door_locking ON cbi.notice FOR UPDATE TO cbi_door USING (true) WITH CHECK (false);

-- What an organisation should hear today. Cases count once a day, for all organisations at once.
CREATE FUNCTION cbi.notices_to_partners(today date, cases_before timestamptz)
RETURNS TABLE (partner_id uuid, kind text, about uuid, day date, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.partner_id, 'cases.waiting', w.partner_id, today,
        jsonb_build_object('waiting', count(*), 'overdue',
            count(*) FILTER (WHERE w.opened_at < cases_before))
    FROM (
        SELECT side.partner_id, c.opened_at
        FROM dedup.match_case AS c
        CROSS JOIN LATERAL (SELECT c.partner_a AS partner_id
                            UNION SELECT c.partner_b WHERE c.partner_b IS NOT NULL) AS side
        WHERE NOT EXISTS (SELECT FROM cbi.notice AS n
                          WHERE n.day = today AND n.kind = 'cases.waiting')
          AND NOT EXISTS (SELECT FROM dedup.decision AS d WHERE d.case_id = c.case_id)
          AND NOT EXISTS (SELECT FROM dedup.judgement AS j WHERE j.case_id = c.case_id
                          AND j.partner_id = side.partner_id)) AS w
    GROUP BY w.partner_id
    UNION ALL
    SELECT s.reviewer_partner_id, 'appeals.waiting', s.reviewer_partner_id, today,
        jsonb_build_object('waiting', count(*), 'overdue', count(*) FILTER (WHERE a.due_on < today))
    FROM cbi.appeal AS a CROSS JOIN LATERAL (
        SELECT x.reviewer_partner_id FROM cbi.appeal_assignment AS x
        WHERE x.appeal_id = a.appeal_id ORDER BY x.assignment_no DESC LIMIT 1) AS s
    WHERE NOT EXISTS (SELECT FROM cbi.appeal_outcome AS o WHERE o.appeal_id = a.appeal_id)
    GROUP BY s.reviewer_partner_id
    UNION ALL
    -- To whoever has somebody that could review them.
    SELECT p.partner_id, 'appeals.unassigned', p.partner_id, today,
        jsonb_build_object('waiting', count(*), 'overdue', count(*) FILTER (WHERE a.due_on < today))
    FROM (SELECT DISTINCT x.partner_id FROM cbi.api_key AS k JOIN cbi.actor AS x USING (actor_id)
          WHERE k.roles && ARRAY['adjudicator', 'coordinator'] AND k.revoked_at IS NULL
            AND k.expires_at > now()) AS p
    JOIN cbi.appeal AS a ON a.partner_id <> p.partner_id
    WHERE NOT EXISTS (SELECT FROM cbi.appeal_assignment AS x WHERE x.appeal_id = a.appeal_id)
    GROUP BY p.partner_id
    UNION ALL
    SELECT e.partner_id, 'reversal.to_act', e.appeal_id, today,
        jsonb_build_object('appeal_id', e.appeal_id, 'act_by', e.act_by,
            'overdue', e.act_by < today)
    FROM cbi.appeal_effect AS e
    WHERE e.kind = 'must_act'
      AND NOT EXISTS (SELECT FROM cbi.appeal_done AS d WHERE d.appeal_id = e.appeal_id)
$$;

-- Whether this household agreed to be contacted, and does still.
CREATE FUNCTION cbi.may_contact(household uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent AS c
        WHERE c.household_id = household AND c.kind = 'contact'
        ORDER BY c.recorded_at DESC LIMIT 1), false)
$$;

-- What a person should hear, once: the day is that of what happened. Somebody who appealed hears
-- from the organisation that took the appeal in, and only who said they may be written to; a
-- household from its own organisation, and only with its consent. What is older than a week is not
-- told any more.
CREATE FUNCTION cbi.notices_to_people(today date)
RETURNS TABLE (partner_id uuid, kind text, about uuid, day date, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.intake_partner_id, t.kind, a.appeal_id, t.day,
        jsonb_build_object('appeal_id', a.appeal_id, 'reference', s.reference,
            'language', a.language, 'due_on', a.due_on)
    FROM cbi.appeal AS a JOIN cbi.slip AS s USING (slip_id)
    LEFT JOIN cbi.appeal_outcome AS o USING (appeal_id)
    CROSS JOIN LATERAL (VALUES
        ('person.appeal_taken', (a.taken_at AT TIME ZONE INTERVAL '-05:00')::date, true),
        ('person.appeal_decided', (o.decided_at AT TIME ZONE INTERVAL '-05:00')::date, true),
        ('person.appeal_delayed', a.due_on, a.due_on < today AND o.appeal_id IS NULL)
    ) AS t(kind, day, is_so)
    WHERE a.contact AND t.is_so AND t.day BETWEEN today - 7 AND today
    UNION ALL
    SELECT e.partner_id, 'person.reversal', e.appeal_id,
        (e.begun_at AT TIME ZONE INTERVAL '-05:00')::date,
        jsonb_build_object('appeal_id', e.appeal_id, 'household_id', s.household_id,
            'reference', s.reference, 'language', a.language)
    FROM cbi.appeal_effect AS e JOIN cbi.appeal AS a USING (appeal_id)
    JOIN cbi.slip AS s USING (slip_id)
    WHERE cbi.may_contact(s.household_id)
      AND (e.begun_at AT TIME ZONE INTERVAL '-05:00')::date BETWEEN today - 7 AND today
$$;

-- Write the notices of a day that are not written yet; returns how many.
CREATE FUNCTION cbi.make_notices(today date, at timestamptz, cases_before timestamptz)
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
          UNION ALL SELECT * FROM cbi.notices_to_people(make_notices.today)) AS n
    ON CONFLICT ON CONSTRAINT notice_once DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    RETURN made;
END $$;

-- ---------------------------------------------------------------- delivering

-- Claim notices that are due, each for one try, with where they go and the wrapped secret. What
-- another claims at this moment is passed over; a try whose lease ended untold is tried again.
CREATE FUNCTION cbi.claim_notices(at timestamptz, most integer)
RETURNS TABLE (notice_id uuid, attempt_no smallint, partner_id uuid, kind text, body jsonb,
               made_at timestamptz, webhook_id uuid, url text, kek_id text, wrapped bytea)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH due AS MATERIALIZED (
        SELECT n.notice_id, n.partner_id, n.kind, n.body, n.made_at,
            (coalesce(d.attempt_no, 0) + 1)::smallint AS attempt_no, w.webhook_id, w.url, w.kek_id,
            w.wrapped
        FROM cbi.notice AS n
        CROSS JOIN LATERAL (
            SELECT x.webhook_id, x.url, x.kek_id, x.wrapped FROM cbi.webhook AS x
            WHERE x.partner_id = n.partner_id AND NOT EXISTS (
                SELECT FROM cbi.webhook_end AS o WHERE o.webhook_id = x.webhook_id)
            ORDER BY x.webhook_id DESC LIMIT 1) AS w
        LEFT JOIN LATERAL (
            SELECT x.attempt_no, x.lease_until, e.why, e.again_at FROM cbi.delivery AS x
            LEFT JOIN cbi.delivery_end AS e USING (notice_id, attempt_no)
            WHERE x.notice_id = n.notice_id ORDER BY x.attempt_no DESC LIMIT 1) AS d ON true
        WHERE cbi.has_role('messenger')
          AND n.made_at BETWEEN claim_notices.at - interval '1 day' AND claim_notices.at
          AND (d.attempt_no IS NULL
               OR d.why IS NULL AND d.lease_until <= claim_notices.at
               OR d.again_at <= claim_notices.at)
          AND coalesce(d.attempt_no, 0) < 20
          AND (n.kind <> 'person.reversal'
               OR cbi.may_contact((n.body ->> 'household_id')::uuid))
        ORDER BY n.made_at, n.notice_id LIMIT claim_notices.most
        FOR UPDATE OF n SKIP LOCKED
    ), claimed AS (
        INSERT INTO cbi.delivery (notice_id, attempt_no, partner_id, webhook_id, began_at,
            lease_until)
        SELECT d.notice_id, d.attempt_no, d.partner_id, d.webhook_id, claim_notices.at,
            claim_notices.at + interval '1 minute' FROM due AS d
        ON CONFLICT ON CONSTRAINT delivery_once DO NOTHING
        RETURNING notice_id
    )
    SELECT d.notice_id, d.attempt_no, d.partner_id, d.kind, d.body, d.made_at, d.webhook_id, d.url,
        d.kek_id, d.wrapped
    FROM due AS d JOIN claimed USING (notice_id)
$$;

REVOKE ALL ON FUNCTION cbi.notices_to_partners(date, timestamptz), cbi.notices_to_people(date),
    cbi.may_contact(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.notices_to_partners(date, timestamptz), cbi.notices_to_people(date),
    cbi.may_contact(uuid) TO cbi_door;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.make_notices(date, timestamptz, timestamptz) OWNER TO cbi_door;
ALTER FUNCTION cbi.claim_notices(timestamptz, integer) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.make_notices(date, timestamptz, timestamptz),
    cbi.claim_notices(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.make_notices(date, timestamptz, timestamptz),
    cbi.claim_notices(timestamptz, integer) TO cbi_app;
