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

-- ---------------------------------------------------------------- what is still to be told

-- A row while a notice is neither delivered nor given up, and from when it may be tried: claiming
-- looks at these only, however much was told before.
CREATE TABLE cbi.notice_due (
    notice_id uuid CONSTRAINT notice_due_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    CONSTRAINT notice_due_of_notice FOREIGN KEY (notice_id, partner_id)
        REFERENCES cbi.notice (notice_id, partner_id)
);
CREATE INDEX notice_due_in_order ON cbi.notice_due (partner_id, due_at, notice_id);
CALL cbi.guard('cbi.notice_due', 'false', 'false');
GRANT SELECT, INSERT, DELETE, UPDATE (due_at) ON cbi.notice_due TO cbi_door;
CREATE POLICY door ON cbi.notice_due TO cbi_door USING (true) WITH CHECK (true);

-- What is made at night for a person is due in the morning.
CREATE FUNCTION cbi.due_from(kind text, moment timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN kind LIKE 'person.%' AND cbi.is_quiet(moment)
        THEN (cbi.peru_day(moment + interval '4 hours') + time '07:00') AT TIME ZONE interval '-05:00'
        ELSE moment END;

CREATE FUNCTION cbi.queue_notices() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO cbi.notice_due (notice_id, partner_id, due_at)
    SELECT n.notice_id, n.partner_id, cbi.due_from(n.kind, n.made_at) FROM added AS n
    ORDER BY n.notice_id;
    RETURN NULL;
END $$;
CREATE TRIGGER notice_queued AFTER INSERT ON cbi.notice REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.queue_notices();
ALTER TABLE cbi.notice ENABLE ALWAYS TRIGGER notice_queued;

-- A try that ended in vain says when the next one is, unless another is on its way already.
CREATE FUNCTION cbi.follow_delivery() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.why NOT IN ('delivered', 'gone') AND EXISTS (
            SELECT FROM cbi.delivery AS d WHERE d.notice_id = NEW.notice_id
                AND d.attempt_no > NEW.attempt_no OFFSET 0) THEN
        RETURN NULL;
    END IF;
    IF NEW.again_at IS NULL THEN
        DELETE FROM cbi.notice_due AS q WHERE q.notice_id = NEW.notice_id;
    ELSE
        UPDATE cbi.notice_due AS q SET due_at = NEW.again_at WHERE q.notice_id = NEW.notice_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER notice_followed AFTER INSERT ON cbi.delivery_end
    FOR EACH ROW EXECUTE FUNCTION cbi.follow_delivery();
ALTER TABLE cbi.delivery_end ENABLE ALWAYS TRIGGER notice_followed;

-- These were for claiming from all that was ever told.
DROP INDEX cbi.notice_by_moment;
DROP POLICY door_locking ON cbi.notice;
REVOKE UPDATE (notice_id) ON cbi.notice FROM cbi_door;

ALTER TABLE cbi.notice_due NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.notice NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.delivery NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.delivery_end NO FORCE ROW LEVEL SECURITY;
INSERT INTO cbi.notice_due (notice_id, partner_id, due_at)
SELECT n.notice_id, n.partner_id, coalesce(d.again_at, d.lease_until, n.made_at)
FROM cbi.notice AS n
LEFT JOIN LATERAL (
    SELECT x.lease_until, e.why, e.again_at FROM cbi.delivery AS x
    LEFT JOIN cbi.delivery_end AS e USING (notice_id, attempt_no)
    WHERE x.notice_id = n.notice_id ORDER BY x.attempt_no DESC LIMIT 1) AS d ON true
WHERE n.made_at > now() - interval '3 days' AND (d.why IS NULL OR d.again_at IS NOT NULL);
ALTER TABLE cbi.notice_due FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.notice FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.delivery FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.delivery_end FORCE ROW LEVEL SECURITY;

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
      AND NOT EXISTS (SELECT FROM cbi.waiting_withdrawal AS d
                      WHERE d.waiting_id = w.waiting_id OFFSET 0)
      AND t.is_waiting AND t.free_until IS NOT NULL
    ON CONFLICT ON CONSTRAINT notice_once DO NOTHING;
    RETURN looked_at;
END $$;

-- Claim notices that are due, each for one try, with where they go and the wrapped secret. What
-- another claims at this moment is passed over; a try whose lease ended untold is tried again. Each
-- organisation's first comes before anybody's second. A message takes one of its household's places
-- of the day, whoever claims it.
CREATE OR REPLACE FUNCTION cbi.claim_notices(at timestamptz, most integer)
RETURNS TABLE (notice_id uuid, attempt_no smallint, partner_id uuid, kind text, body jsonb,
               made_at timestamptz, webhook_id uuid, url text, kek_id text, wrapped bytea)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH first AS MATERIALIZED (
        SELECT n.notice_id, n.partner_id, n.kind, n.body, n.made_at, n.household_id,
            (coalesce(d.attempt_no, 0) + 1)::smallint AS attempt_no, w.webhook_id, w.url, w.kek_id,
            w.wrapped, row_number() OVER (
                PARTITION BY n.partner_id ORDER BY n.due_at, n.notice_id) AS place
        FROM (
            SELECT DISTINCT ON (x.partner_id) x.partner_id, x.webhook_id, x.url, x.kek_id, x.wrapped
            FROM cbi.webhook AS x
            WHERE cbi.has_role('messenger') AND NOT EXISTS (
                SELECT FROM cbi.webhook_end AS o WHERE o.webhook_id = x.webhook_id)
            ORDER BY x.partner_id, x.webhook_id DESC) AS w
        CROSS JOIN LATERAL (
            SELECT m.notice_id, m.partner_id, m.kind, m.body, m.made_at, r.household_id, q.due_at
            FROM cbi.notice_due AS q
            CROSS JOIN LATERAL (
                SELECT x AS told, x.* FROM cbi.notice AS x
                WHERE x.notice_id = q.notice_id OFFSET 0) AS m
            CROSS JOIN LATERAL (SELECT cbi.recipient_of(m.told) AS household_id) AS r
            WHERE q.partner_id = w.partner_id AND q.due_at <= claim_notices.at
              AND m.made_at BETWEEN claim_notices.at - cbi.notice_life(m.kind) AND claim_notices.at
              AND cbi.may_send(m.told, r.household_id, claim_notices.at)
            ORDER BY q.due_at, q.notice_id LIMIT claim_notices.most) AS n
        LEFT JOIN LATERAL (
            SELECT x.attempt_no FROM cbi.delivery AS x
            WHERE x.notice_id = n.notice_id ORDER BY x.attempt_no DESC LIMIT 1) AS d ON true
        WHERE coalesce(d.attempt_no, 0) < 20
        ORDER BY place, n.due_at, n.notice_id LIMIT claim_notices.most
    ), due AS MATERIALIZED (
        SELECT f.* FROM first AS f JOIN cbi.notice_due AS q USING (notice_id)
        WHERE q.due_at <= claim_notices.at
        FOR UPDATE OF q SKIP LOCKED
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
        RETURNING notice_id, lease_until
    ), leased AS (
        UPDATE cbi.notice_due AS q SET due_at = c.lease_until FROM claimed AS c
        WHERE q.notice_id = c.notice_id
    )
    SELECT d.notice_id, d.attempt_no, d.partner_id, d.kind, d.body, d.made_at, d.webhook_id, d.url,
        d.kek_id, d.wrapped
    FROM due AS d JOIN claimed USING (notice_id)
$$;

GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.waiting_at(timestamptz, uuid, integer) OWNER TO cbi_door;
ALTER FUNCTION cbi.make_turn_notices(timestamptz, uuid, integer) OWNER TO cbi_door;
ALTER FUNCTION cbi.queue_notices() OWNER TO cbi_door;
ALTER FUNCTION cbi.follow_delivery() OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.queue_notices(), cbi.follow_delivery(),
    cbi.waiting_at(timestamptz, uuid, integer),
    cbi.make_turn_notices(timestamptz, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.waiting_at(timestamptz, uuid, integer),
    cbi.make_turn_notices(timestamptz, uuid, integer) TO cbi_app;
