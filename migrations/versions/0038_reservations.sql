-- A family may be reserved for some days before it is enrolled: the first one holds it. A hold's
-- standing ends by itself, so an expired reservation keeps nobody away though nothing ran.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.reservation (
    reservation_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    programme_id uuid,
    assistance text NOT NULL CONSTRAINT reservation_assistance_known CHECK (assistance IN (
        'mpca', 'transit_grant', 'food', 'rent', 'health', 'protection', 'education',
        'livelihood')),
    months daterange NOT NULL CONSTRAINT reservation_months_whole CHECK (
        NOT isempty(months) AND NOT lower_inf(months) AND NOT upper_inf(months)
        AND extract(day FROM lower(months)) = 1 AND extract(day FROM upper(months)) = 1
        AND upper(months) <= lower(months) + 1100),
    reserved_at timestamptz NOT NULL,
    reserved_by uuid NOT NULL,
    expires_at timestamptz NOT NULL CONSTRAINT reservation_expires CHECK (
        expires_at > reserved_at AND expires_at <= reserved_at + interval '366 days'),
    CONSTRAINT reservation_pkey PRIMARY KEY (reservation_id),
    CONSTRAINT reservation_partner_once UNIQUE (reservation_id, partner_id),
    CONSTRAINT reservation_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id),
    CONSTRAINT reservation_for_programme FOREIGN KEY (programme_id, partner_id, assistance)
        REFERENCES cbi.programme (programme_id, partner_id, assistance_group)
);
COMMENT ON TABLE cbi.reservation IS 'Families that an organisation means to enrol, for some days.';
CALL cbi.make_append_only('cbi.reservation');
CALL cbi.guard('cbi.reservation', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND reserved_by = cbi.actor_id()$$);

-- What became of it: renewed, and in the end cancelled or enrolled; or it expired, which is no row.
CREATE TABLE cbi.reservation_event (
    reservation_id uuid NOT NULL,
    event_no smallint NOT NULL CONSTRAINT reservation_event_no CHECK (event_no >= 1),
    partner_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT reservation_event_known CHECK (
        kind IN ('renewed', 'cancelled', 'enrolled')),
    at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    expires_at timestamptz,
    enrolment_id uuid CONSTRAINT reservation_event_of_enrolment REFERENCES cbi.enrolment,
    CONSTRAINT reservation_event_once PRIMARY KEY (reservation_id, event_no),
    CONSTRAINT reservation_event_of_reservation FOREIGN KEY (reservation_id, partner_id)
        REFERENCES cbi.reservation (reservation_id, partner_id),
    CONSTRAINT reservation_event_whole CHECK (
        (kind = 'renewed') = (expires_at IS NOT NULL)
        AND (kind = 'enrolled') = (enrolment_id IS NOT NULL)),
    CONSTRAINT reservation_renewed_forward CHECK (
        expires_at > at AND expires_at <= at + interval '366 days')
);
CREATE UNIQUE INDEX reservation_ended_once ON cbi.reservation_event (reservation_id)
    WHERE kind <> 'renewed';
CALL cbi.make_append_only('cbi.reservation_event');
-- That one became an enrolment the database writes itself.
CALL cbi.guard('cbi.reservation_event', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id() AND kind <> 'enrolled'$$);
GRANT SELECT, INSERT ON cbi.reservation_event TO cbi_door;
CREATE POLICY door ON cbi.reservation_event TO cbi_door USING (true) WITH CHECK (true);

CREATE INDEX hold_of_reservations ON cbi.hold (partner_id) WHERE reservation_id IS NOT NULL;
ALTER TABLE cbi.hold ADD CONSTRAINT hold_of_reservation FOREIGN KEY (reservation_id, partner_id)
    REFERENCES cbi.reservation (reservation_id, partner_id);

CREATE FUNCTION cbi.hold_reserved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO cbi.hold (partner_id, household_id, beneficiary_id, assistance, promised, months,
                          standing, held_on, held_at, reservation_id)
    SELECT n.partner_id, n.household_id, b.beneficiary_id, n.assistance, n.months, n.months,
        tstzrange(n.reserved_at, n.expires_at), cbi.peru_day(n.reserved_at), n.reserved_at,
        n.reservation_id
    FROM new_reservations AS n
    CROSS JOIN LATERAL cbi.beneficiaries_of(ARRAY[n.household_id]) AS b
    ORDER BY b.beneficiary_id, n.reservation_id;
    RETURN NULL;
END $$;
CREATE TRIGGER reservation_holds AFTER INSERT ON cbi.reservation
    REFERENCING NEW TABLE AS new_reservations
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.hold_reserved();
ALTER TABLE cbi.reservation ENABLE ALWAYS TRIGGER reservation_holds;

-- What is over is neither renewed nor cancelled, nor does it become an enrolment.
CREATE FUNCTION cbi.follow_reservation() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE cbi.hold AS h SET standing = tstzrange(h.held_at, coalesce(NEW.expires_at, NEW.at))
    WHERE h.reservation_id = NEW.reservation_id AND h.standing @> NEW.at;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'reservation % is over', NEW.reservation_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'reservation_standing';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER reservation_standing AFTER INSERT ON cbi.reservation_event
    FOR EACH ROW EXECUTE FUNCTION cbi.follow_reservation();
ALTER TABLE cbi.reservation_event ENABLE ALWAYS TRIGGER reservation_standing;

-- ---------------------------------------------------------------- waiting

CREATE TABLE cbi.waiting (
    waiting_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    assistance text NOT NULL CONSTRAINT waiting_assistance_known CHECK (assistance IN (
        'mpca', 'transit_grant', 'food', 'rent', 'health', 'protection', 'education',
        'livelihood')),
    since timestamptz NOT NULL,
    entered_by uuid NOT NULL,
    expires_at timestamptz NOT NULL CONSTRAINT waiting_expires CHECK (
        expires_at > since AND expires_at <= since + interval '366 days'),
    CONSTRAINT waiting_pkey PRIMARY KEY (waiting_id),
    CONSTRAINT waiting_partner_once UNIQUE (waiting_id, partner_id),
    CONSTRAINT waiting_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
COMMENT ON TABLE cbi.waiting IS 'Who waits for a family to be free for assistance, since when.';
CREATE INDEX waiting_by_household ON cbi.waiting (household_id);
CREATE INDEX waiting_by_partner ON cbi.waiting (partner_id, waiting_id);
CALL cbi.make_append_only('cbi.waiting');
CALL cbi.guard('cbi.waiting', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND entered_by = cbi.actor_id()$$);

CREATE TABLE cbi.waiting_withdrawal (
    waiting_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT waiting_withdrawal_once PRIMARY KEY (waiting_id),
    CONSTRAINT waiting_withdrawal_of_entry FOREIGN KEY (waiting_id, partner_id)
        REFERENCES cbi.waiting (waiting_id, partner_id)
);
CALL cbi.make_append_only('cbi.waiting_withdrawal');
CALL cbi.guard('cbi.waiting_withdrawal',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);
GRANT SELECT ON cbi.waiting, cbi.waiting_withdrawal TO cbi_door;
CREATE POLICY door ON cbi.waiting FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.waiting_withdrawal FOR SELECT TO cbi_door USING (true);

-- Whether what an entry waited for has come: its household is held for it.
CREATE FUNCTION cbi.came_true(entry cbi.waiting, moment timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM cbi.hold AS h
                   WHERE h.household_id = entry.household_id AND h.assistance = entry.assistance
                     AND h.held_at > entry.since AND h.held_at <= moment)
$$;

-- Who waits, and for whom the family is free. It is free since the last thing that kept the
-- assistance away has ended; then whoever has waited longest, whichever organisation it is, has some
-- days, and after those the next one. An organisation learns of its own entries only, and nothing
-- of how many others wait.
CREATE FUNCTION cbi.waiting_at(moment timestamptz, behind uuid, most integer)
RETURNS TABLE (waiting_id uuid, partner_id uuid, household_id uuid, assistance text,
               since timestamptz, expires_at timestamptz, free_since timestamptz,
               free_until timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.waiting_id, w.partner_id, w.household_id, w.assistance, w.since, w.expires_at,
        o.free_since, o.free_since + r.offered
    FROM cbi.waiting AS w
    JOIN cbi.household AS h ON h.household_id = w.household_id
        AND h.ubigeo LIKE cbi.area() || '%'
    CROSS JOIN LATERAL cbi.beneficiaries_of(ARRAY[w.household_id]) AS f
    CROSS JOIN LATERAL (
        SELECT d.document, make_interval(days => coalesce(
            (d.document -> 'waiting' ->> 'offer_days')::integer, 14)) AS offered
        FROM cbi.overlap_rules_on(cbi.peru_day(moment)) AS d) AS r
    CROSS JOIN LATERAL (
        SELECT bool_or(k.ends IS NULL OR k.ends > moment) AS is_held,
            greatest(w.since, max(k.ends)) AS ended
        FROM (SELECT least(upper(h.standing),
                           upper(v.months)::timestamp AT TIME ZONE interval '-05:00') AS ends
              FROM cbi.holds_around(w.household_id) AS h
              CROSS JOIN LATERAL cbi.overlap_windows(
                  h.assistance, h.months, h.held_on, r.document) AS v
              WHERE v.blocked = w.assistance AND NOT isempty(h.standing)) AS k) AS k
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE WHEN d.at IS NULL THEN r.offered
                   ELSE least(r.offered, greatest(d.at - k.ended, interval '0 days')) END),
                   interval '0 days') AS before
        FROM (SELECT DISTINCT m.household_id FROM cbi.membership AS m
              WHERE m.beneficiary_id = f.beneficiary_id OFFSET 0) AS m
        JOIN cbi.waiting AS q USING (household_id)
        LEFT JOIN cbi.waiting_withdrawal AS d USING (waiting_id)
        WHERE (SELECT c.beneficiary_id FROM cbi.membership AS c
               WHERE c.household_id = q.household_id ORDER BY c.membership_no DESC LIMIT 1)
              = f.beneficiary_id
          AND q.assistance = w.assistance AND (q.since, q.waiting_id) < (w.since, w.waiting_id)
          AND q.expires_at > k.ended AND NOT cbi.came_true(q, moment)) AS p
    CROSS JOIN LATERAL (
        SELECT CASE WHEN k.is_held IS NOT TRUE THEN k.ended + p.before END AS turn) AS t
    CROSS JOIN LATERAL (
        SELECT CASE WHEN t.turn <= moment THEN t.turn END AS free_since) AS o
    WHERE (w.partner_id = cbi.partner_id() OR cbi.has_role('auditor'))
      AND (behind IS NULL OR w.waiting_id > behind)
      AND w.since <= moment AND NOT cbi.came_true(w, moment)
      AND NOT EXISTS (SELECT FROM cbi.waiting_withdrawal AS d WHERE d.waiting_id = w.waiting_id)
      AND w.expires_at > CASE WHEN k.is_held THEN moment ELSE k.ended END
      AND (o.free_since IS NULL OR o.free_since + r.offered > moment)
    ORDER BY w.waiting_id LIMIT most
$$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.hold_reserved() OWNER TO cbi_door;
ALTER FUNCTION cbi.follow_reservation() OWNER TO cbi_door;
ALTER FUNCTION cbi.waiting_at(timestamptz, uuid, integer) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.hold_reserved(), cbi.follow_reservation(),
    cbi.waiting_at(timestamptz, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.waiting_at(timestamptz, uuid, integer) TO cbi_app;

-- An enrolment takes the place of its organisation's own reservation for the family.
CREATE OR REPLACE FUNCTION cbi.hold_enrolled() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO cbi.reservation_event (reservation_id, event_no, partner_id, kind, at, actor_id,
                                       enrolment_id)
    SELECT o.reservation_id, 1 + (SELECT count(*) FROM cbi.reservation_event AS v
            WHERE v.reservation_id = o.reservation_id),
        o.partner_id, 'enrolled', n.enrolled_at, n.enrolled_by, n.enrolment_id
    FROM new_enrolments AS n CROSS JOIN LATERAL cbi.holds_around(n.household_id) AS o
    WHERE o.reservation_id IS NOT NULL AND o.partner_id = n.partner_id
      AND o.assistance = n.assistance_group AND o.standing @> n.enrolled_at
      AND o.months && coalesce(n.months, daterange(
          date_trunc('month', cbi.peru_day(n.enrolled_at)::timestamp)::date, NULL))
    ORDER BY o.reservation_id;
    INSERT INTO cbi.hold (partner_id, household_id, beneficiary_id, assistance, promised, months,
                          standing, held_on, held_at, enrolment_id)
    SELECT n.partner_id, n.household_id, n.beneficiary_id, n.assistance_group, m.months, m.months,
        tstzrange(n.enrolled_at, NULL), cbi.peru_day(n.enrolled_at), n.enrolled_at, n.enrolment_id
    FROM new_enrolments AS n CROSS JOIN LATERAL (SELECT coalesce(n.months, daterange(
        date_trunc('month', cbi.peru_day(n.enrolled_at)::timestamp)::date, NULL)) AS months) AS m
    ORDER BY n.beneficiary_id, n.enrolment_id;
    RETURN NULL;
END $$;
