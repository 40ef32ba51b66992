-- Whose turn it is on the waiting list is told once, to the organisation and, with its consent, to
-- the family. An entry tells whether it is its turn and until when, and nothing of when the family
-- got free. What is for a person goes out in the daytime, and so many a day at most.
SET LOCAL ROLE cbi_owner;

ALTER TABLE cbi.notice
    DROP CONSTRAINT notice_kind_known,
    ADD CONSTRAINT notice_kind_known CHECK (kind IN (
        'cases.waiting', 'appeals.waiting', 'appeals.unassigned', 'reservations.expiring',
        'reversal.to_act', 'waiting.turn', 'person.appeal_taken', 'person.appeal_decided',
        'person.appeal_delayed', 'person.reversal', 'person.turn'));

-- In which of our two languages a household may be written to; null unless it consents to that
-- today. Who has ended is not written to.
CREATE FUNCTION cbi.contact_language(household uuid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN c.language ~* '^en(-|$)' THEN 'en' ELSE 'es' END
    FROM (SELECT x.granted, x.withdrawn_on, x.language FROM cbi.consent AS x
          WHERE x.household_id = household AND x.kind = 'contact'
          ORDER BY x.recorded_at DESC LIMIT 1) AS c
    WHERE c.granted AND c.withdrawn_on IS NULL AND NOT EXISTS (
        SELECT FROM cbi.household AS h
        WHERE h.household_id = household AND h.ended_at IS NOT NULL OFFSET 0)
$$;
CREATE OR REPLACE FUNCTION cbi.may_contact(household uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT cbi.contact_language(household) IS NOT NULL
$$;

-- ---------------------------------------------------------------- turns

-- Whether an entry waits at a moment, and until when it is its turn, if it is. The family is free
-- since the last thing that kept the assistance away has ended; then whoever has waited longest,
-- whichever organisation it is, has some days, and after those the next one.
CREATE FUNCTION cbi.turn_of(entry cbi.waiting, moment timestamptz)
RETURNS TABLE (is_waiting boolean, free_until timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT entry.since <= moment AND NOT cbi.came_true(entry, moment)
            AND NOT EXISTS (SELECT FROM cbi.waiting_withdrawal AS d
                            WHERE d.waiting_id = entry.waiting_id OFFSET 0)
            AND entry.expires_at > CASE WHEN k.is_held THEN moment ELSE k.ended END
            AND (o.free_until IS NULL OR o.free_until > moment),
        o.free_until
    FROM cbi.beneficiaries_of(ARRAY[entry.household_id]) AS f
    CROSS JOIN LATERAL (
        SELECT d.document, make_interval(days => coalesce(
            (d.document -> 'waiting' ->> 'offer_days')::integer, 14)) AS offered
        FROM cbi.overlap_rules_on(cbi.peru_day(moment)) AS d) AS r
    CROSS JOIN LATERAL (
        SELECT bool_or(k.ends IS NULL OR k.ends > moment) AS is_held,
            greatest(entry.since, max(k.ends)) AS ended
        FROM (SELECT least(upper(h.standing),
                           upper(v.months)::timestamp AT TIME ZONE interval '-05:00') AS ends
              FROM cbi.holds_around(entry.household_id) AS h
              CROSS JOIN LATERAL cbi.overlap_windows(
                  h.assistance, h.months, h.held_on, r.document) AS v
              WHERE v.blocked = entry.assistance AND NOT isempty(h.standing)) AS k) AS k
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE WHEN d.at IS NULL THEN r.offered
                   ELSE least(r.offered, greatest(d.at - k.ended, interval '0 days')) END),
                   interval '0 days') AS before
        FROM (SELECT DISTINCT m.household_id FROM cbi.membership AS m
              WHERE m.beneficiary_id = f.beneficiary_id OFFSET 0) AS m
        CROSS JOIN LATERAL (
            SELECT w AS entry, w.waiting_id, w.since, w.expires_at FROM cbi.waiting AS w
            WHERE w.household_id = m.household_id AND w.assistance = entry.assistance
            OFFSET 0) AS q
        LEFT JOIN LATERAL (
            SELECT x.at FROM cbi.waiting_withdrawal AS x
            WHERE x.waiting_id = q.waiting_id OFFSET 0) AS d ON true
        WHERE (SELECT c.beneficiary_id FROM cbi.membership AS c
               WHERE c.household_id = m.household_id ORDER BY c.membership_no DESC LIMIT 1)
              = f.beneficiary_id
          AND (q.since, q.waiting_id) < (entry.since, entry.waiting_id)
          AND q.expires_at > k.ended AND NOT cbi.came_true(q.entry, moment)) AS p
    CROSS JOIN LATERAL (
        SELECT CASE WHEN k.is_held IS NOT TRUE AND k.ended + p.before <= moment
                    THEN k.ended + p.before + r.offered END AS free_until) AS o
$$;
REVOKE ALL ON FUNCTION cbi.contact_language(uuid), cbi.turn_of(cbi.waiting, timestamptz)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.contact_language(uuid), cbi.turn_of(cbi.waiting, timestamptz)
    TO cbi_door;

-- ---------------------------------------------------------------- in the daytime, so many a day

-- What is for a person waits for the morning, so it lives longer.
CREATE FUNCTION cbi.notice_life(kind text) RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN kind LIKE 'person.%' THEN interval '3 days' ELSE interval '1 day' END;
CREATE FUNCTION cbi.is_quiet(moment timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN extract(hour FROM moment AT TIME ZONE interval '-05:00') NOT BETWEEN 7 AND 19;

-- A household hears from an organisation twice a day at most, retries of a message included. It may
-- be another organisation's: whoever took its appeal in does not learn which.
CREATE TABLE cbi.delivery_slot (
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    day date NOT NULL,
    slot_no smallint NOT NULL CONSTRAINT delivery_slot_within_day CHECK (slot_no BETWEEN 1 AND 2),
    notice_id uuid NOT NULL,
    CONSTRAINT delivery_slot_pkey PRIMARY KEY (partner_id, household_id, day, slot_no),
    CONSTRAINT delivery_slot_once UNIQUE (notice_id, day),
    CONSTRAINT delivery_slot_of_notice FOREIGN KEY (notice_id, partner_id)
        REFERENCES cbi.notice (notice_id, partner_id)
);
CALL cbi.make_append_only('cbi.delivery_slot');
CALL cbi.guard('cbi.delivery_slot', 'false', 'false');
GRANT SELECT, INSERT ON cbi.delivery_slot TO cbi_door;
CREATE POLICY door ON cbi.delivery_slot FOR SELECT TO cbi_door USING (true);
CREATE POLICY door_adding ON cbi.delivery_slot FOR INSERT TO cbi_door WITH CHECK (true);

-- The household that a message is for; null for what is an organisation's.
CREATE FUNCTION cbi.recipient_of(told cbi.notice) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN told.kind LIKE 'person.%' THEN coalesce(
        (told.body ->> 'household_id')::uuid,
        (SELECT s.household_id FROM cbi.appeal AS a JOIN cbi.slip AS s USING (slip_id)
         WHERE a.appeal_id = told.about)) END
$$;
-- Whether a notice may go out at a moment, as far as its household goes: with its consent, by day,
-- and within the number of the day.
CREATE FUNCTION cbi.may_send(told cbi.notice, household uuid, moment timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT household IS NULL OR NOT cbi.is_quiet(moment)
        AND (NOT told.body ? 'household_id' OR cbi.may_contact(household))
        AND (SELECT count(*) < 2 OR bool_or(s.notice_id = told.notice_id)
             FROM cbi.delivery_slot AS s WHERE s.partner_id = told.partner_id
                 AND s.household_id = household AND s.day = cbi.peru_day(moment))
$$;
REVOKE ALL ON FUNCTION cbi.recipient_of(cbi.notice),
    cbi.may_send(cbi.notice, uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.recipient_of(cbi.notice),
    cbi.may_send(cbi.notice, uuid, timestamptz) TO cbi_door;

RESET ROLE;
DROP FUNCTION cbi.waiting_at(timestamptz, uuid, integer);

-- Who waits, and whose turn it is: an organisation's own entries only, and nothing of how many
-- others wait.
CREATE FUNCTION cbi.waiting_at(moment timestamptz, behind uuid, most integer)
RETURNS TABLE (waiting_id uuid, partner_id uuid, household_id uuid, assistance text,
               since timestamptz, expires_at timestamptz, is_free boolean, free_until timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.waiting_id, w.partner_id, w.household_id, w.assistance, w.since, w.expires_at,
        t.free_until IS NOT NULL, t.free_until
    FROM cbi.waiting AS w
    JOIN cbi.household AS h ON h.household_id = w.household_id
        AND h.ubigeo LIKE cbi.area() || '%'
    CROSS JOIN LATERAL cbi.turn_of(w, moment) AS t
    WHERE (w.partner_id = cbi.partner_id() OR cbi.has_role('auditor'))
      AND (behind IS NULL OR w.waiting_id > behind) AND t.is_waiting
    ORDER BY w.waiting_id LIMIT most
$$;

-- Tell whose turn came among the next so many entries, as `messenger`; returns the last entry that
-- was looked at. The turn's last day makes it one turn, which is told once.
CREATE FUNCTION cbi.make_turn_notices(at timestamptz, behind uuid, most integer) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    looked_at uuid;
BEGIN
    IF NOT cbi.has_role('messenger') THEN
        RETURN NULL;
    END IF;
    SELECT w.waiting_id INTO looked_at FROM (
        SELECT x.waiting_id FROM cbi.waiting AS x
        WHERE behind IS NULL OR x.waiting_id > behind
        ORDER BY x.waiting_id LIMIT most) AS w
    ORDER BY w.waiting_id DESC LIMIT 1;
    INSERT INTO cbi.notice (notice_id, partner_id, kind, about, day, body, made_at)
    SELECT uuidv7(), w.partner_id, k.kind, w.waiting_id, cbi.peru_day(t.free_until), k.body,
        make_turn_notices.at
    FROM cbi.waiting AS w
    CROSS JOIN LATERAL cbi.turn_of(w, make_turn_notices.at) AS t
    CROSS JOIN LATERAL (
        SELECT 'waiting.turn' AS kind, jsonb_build_object('waiting_id', w.waiting_id,
            'household_id', w.household_id, 'free_until', t.free_until) AS body
        UNION ALL
        SELECT 'person.turn', jsonb_build_object('household_id', w.household_id, 'language', c.said)
        FROM cbi.contact_language(w.household_id) AS c(said) WHERE c.said IS NOT NULL) AS k
    WHERE (behind IS NULL OR w.waiting_id > behind) AND w.waiting_id <= looked_at
      -- Who waited before for as long as anybody may has had their turn.
      AND w.expires_at > make_turn_notices.at - interval '366 days'
      AND t.is_waiting AND t.free_until IS NOT NULL
    ON CONFLICT ON CONSTRAINT notice_once DO NOTHING;
    RETURN looked_at;
END $$;

-- Claim notices that are due, each for one try, with where they go and the wrapped secret. What
-- another claims at this moment is passed over; a try whose lease ended untold is tried again. A
-- message takes one of its household's places of the day, whoever claims it.
CREATE OR REPLACE FUNCTION cbi.claim_notices(at timestamptz, most integer)
RETURNS TABLE (notice_id uuid, attempt_no smallint, partner_id uuid, kind text, body jsonb,
               made_at timestamptz, webhook_id uuid, url text, kek_id text, wrapped bytea)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH due AS MATERIALIZED (
        SELECT n.notice_id, n.partner_id, n.kind, n.body, n.made_at, r.household_id,
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
        CROSS JOIN LATERAL (SELECT cbi.recipient_of(n) AS household_id) AS r
        WHERE cbi.has_role('messenger')
          AND n.made_at BETWEEN claim_notices.at - interval '3 days' AND claim_notices.at
          AND n.made_at >= claim_notices.at - cbi.notice_life(n.kind)
          AND (d.attempt_no IS NULL
               OR d.why IS NULL AND d.lease_until <= claim_notices.at
               OR d.again_at <= claim_notices.at)
          AND coalesce(d.attempt_no, 0) < 20
          AND cbi.may_send(n, r.household_id, claim_notices.at)
        ORDER BY n.made_at, n.notice_id LIMIT claim_notices.most
        FOR UPDATE OF n SKIP LOCKED
    ), standing AS (
        SELECT s.notice_id FROM due AS d
        JOIN cbi.delivery_slot AS s ON s.notice_id = d.notice_id
            AND s.day = cbi.peru_day(claim_notices.at)
    ), placed AS (
        INSERT INTO cbi.delivery_slot (partner_id, household_id, day, slot_no, notice_id)
        SELECT p.partner_id, p.household_id, cbi.peru_day(claim_notices.at), p.slot_no, p.notice_id
        FROM (SELECT d.partner_id, d.household_id, d.notice_id,
                  (SELECT count(*) FROM cbi.delivery_slot AS s
                   WHERE s.partner_id = d.partner_id AND s.household_id = d.household_id
                     AND s.day = cbi.peru_day(claim_notices.at))
                  + row_number() OVER (
                      PARTITION BY d.partner_id, d.household_id ORDER BY d.made_at, d.notice_id)
                  AS slot_no
              FROM due AS d
              WHERE d.household_id IS NOT NULL
                AND NOT EXISTS (SELECT FROM standing AS s WHERE s.notice_id = d.notice_id)) AS p
        WHERE p.slot_no <= 2
        ON CONFLICT DO NOTHING
        RETURNING notice_id
    ), claimed AS (
        INSERT INTO cbi.delivery (notice_id, attempt_no, partner_id, webhook_id, began_at,
            lease_until)
        SELECT d.notice_id, d.attempt_no, d.partner_id, d.webhook_id, claim_notices.at,
            claim_notices.at + interval '1 minute' FROM due AS d
        WHERE d.household_id IS NULL
           OR EXISTS (SELECT FROM standing AS s WHERE s.notice_id = d.notice_id)
           OR EXISTS (SELECT FROM placed AS p WHERE p.notice_id = d.notice_id)
        ON CONFLICT ON CONSTRAINT delivery_once DO NOTHING
        RETURNING notice_id
    )
    SELECT d.notice_id, d.attempt_no, d.partner_id, d.kind, d.body, d.made_at, d.webhook_id, d.url,
        d.kek_id, d.wrapped
    FROM due AS d JOIN claimed USING (notice_id)
$$;

GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.waiting_at(timestamptz, uuid, integer) OWNER TO cbi_door;
ALTER FUNCTION cbi.make_turn_notices(timestamptz, uuid, integer) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.waiting_at(timestamptz, uuid, integer),
    cbi.make_turn_notices(timestamptz, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.waiting_at(timestamptz, uuid, integer),
    cbi.make_turn_notices(timestamptz, uuid, integer) TO cbi_app;
