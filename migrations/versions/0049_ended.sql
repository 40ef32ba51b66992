-- A household that has ended is not enrolled any more, so what it reserved would keep its family
-- from others for nothing, and what it waits for will not come. Ended by this organisation or by a
-- door (a transfer that was accepted), the database itself gives both up.
SET LOCAL ROLE cbi_owner;

CREATE INDEX reservation_by_household ON cbi.reservation (household_id);
GRANT SELECT ON cbi.reservation TO cbi_door;
GRANT INSERT ON cbi.waiting_withdrawal TO cbi_door;
CREATE POLICY door ON cbi.reservation FOR SELECT TO cbi_door USING (true);
CREATE POLICY door_adding ON cbi.waiting_withdrawal FOR INSERT TO cbi_door WITH CHECK (true);

CREATE FUNCTION cbi.give_up_ended() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO cbi.reservation_event (reservation_id, event_no, partner_id, kind, at, actor_id)
    SELECT r.reservation_id, x.events + 1, r.partner_id, 'cancelled', NEW.ended_at, cbi.actor_id()
    FROM cbi.reservation AS r CROSS JOIN LATERAL (
        SELECT count(*) AS events, coalesce(max(e.expires_at), r.expires_at) AS expires_at,
            coalesce(bool_or(e.kind <> 'renewed'), false) AS is_over
        FROM cbi.reservation_event AS e WHERE e.reservation_id = r.reservation_id) AS x
    WHERE r.household_id = NEW.household_id AND NOT x.is_over AND x.expires_at > NEW.ended_at
      -- A decision may have ended it before.
      AND EXISTS (SELECT FROM cbi.hold AS h WHERE h.reservation_id = r.reservation_id
                  AND h.standing @> NEW.ended_at)
    ORDER BY r.reservation_id;
    INSERT INTO cbi.waiting_withdrawal (waiting_id, partner_id, actor_id, at)
    SELECT w.waiting_id, w.partner_id, cbi.actor_id(), NEW.ended_at
    FROM cbi.waiting AS w
    WHERE w.household_id = NEW.household_id AND w.expires_at > NEW.ended_at
      AND NOT EXISTS (
          SELECT FROM cbi.waiting_withdrawal AS d WHERE d.waiting_id = w.waiting_id)
    ORDER BY w.waiting_id;
    RETURN NULL;
END $$;
CREATE TRIGGER household_gives_up AFTER UPDATE OF ended_at ON cbi.household
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL)
    EXECUTE FUNCTION cbi.give_up_ended();
ALTER TABLE cbi.household ENABLE ALWAYS TRIGGER household_gives_up;

-- Nor does it reserve or wait anew: refusals would tell for good what its family gets elsewhere.
CREATE TRIGGER household_not_ended BEFORE INSERT ON cbi.reservation
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_ended();
CREATE TRIGGER household_not_ended BEFORE INSERT ON cbi.waiting
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_ended();
ALTER TABLE cbi.reservation ENABLE ALWAYS TRIGGER household_not_ended;
ALTER TABLE cbi.waiting ENABLE ALWAYS TRIGGER household_not_ended;

-- Reservations that expire within three days are told like cases that wait.
ALTER TABLE cbi.notice
    DROP CONSTRAINT notice_kind_known,
    ADD CONSTRAINT notice_kind_known CHECK (kind IN (
        'cases.waiting', 'appeals.waiting', 'appeals.unassigned', 'reservations.expiring',
        'reversal.to_act', 'person.appeal_taken', 'person.appeal_decided',
        'person.appeal_delayed', 'person.reversal'));

CREATE FUNCTION cbi.notices_of_reservations(today date)
RETURNS TABLE (partner_id uuid, kind text, about uuid, day date, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.partner_id, 'reservations.expiring', r.partner_id, today,
        jsonb_build_object('expiring', count(*))
    FROM cbi.reservation AS r CROSS JOIN LATERAL (
        SELECT coalesce(max(e.expires_at), r.expires_at) AS expires_at,
            coalesce(bool_or(e.kind <> 'renewed'), false) AS is_over
        FROM cbi.reservation_event AS e WHERE e.reservation_id = r.reservation_id) AS x
    WHERE NOT x.is_over AND cbi.peru_day(x.expires_at) BETWEEN today AND today + 3
    GROUP BY r.partner_id
$$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.give_up_ended() OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.give_up_ended(), cbi.notices_of_reservations(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.notices_of_reservations(date) TO cbi_door;

CREATE OR REPLACE FUNCTION cbi.make_notices(today date, at timestamptz, cases_before timestamptz)
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
          UNION ALL SELECT * FROM cbi.notices_to_people(make_notices.today)) AS n
    ON CONFLICT ON CONSTRAINT notice_once DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    RETURN made;
END $$;
