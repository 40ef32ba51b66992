SET LOCAL ROLE cbi_owner;

-- ---------------------------------------------------------------- offers

ALTER TABLE cbi.household_event
    ADD CONSTRAINT household_event_partner_once UNIQUE (event_id, partner_id);

-- A household offered to another organisation. Its id is the event's of the holder, and that alone
-- knows which household it is: whoever it is offered to sees the district and how many they are.
CREATE TABLE cbi.transfer_offer (
    offer_id uuid CONSTRAINT transfer_offer_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    to_partner_id uuid NOT NULL CONSTRAINT transfer_offer_to REFERENCES cbi.partner,
    ubigeo text NOT NULL,
    size smallint NOT NULL,
    -- The text that the family agreed to.
    text_version text NOT NULL,
    offered_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT transfer_offer_elsewhere CHECK (to_partner_id <> partner_id),
    CONSTRAINT transfer_offer_days CHECK (expires_at = offered_at + interval '336 hours'),
    CONSTRAINT transfer_offer_partners UNIQUE (offer_id, partner_id, to_partner_id),
    CONSTRAINT transfer_offer_of_event FOREIGN KEY (offer_id, partner_id)
        REFERENCES cbi.household_event (event_id, partner_id)
);
CREATE INDEX transfer_offer_by_partner ON cbi.transfer_offer (partner_id, offer_id);
CREATE INDEX transfer_offer_by_receiver ON cbi.transfer_offer (to_partner_id, offer_id);
CALL cbi.make_append_only('cbi.transfer_offer');
CALL cbi.guard('cbi.transfer_offer',
    $$(SELECT cbi.partner_id()) IN (partner_id, to_partner_id)
      OR (SELECT cbi.has_role('auditor'))$$,
    $$partner_id = cbi.partner_id()$$);

-- An offer is answered once: accepted or refused by whom it was made to, taken back by who made it.
CREATE TABLE cbi.transfer_answer (
    offer_id uuid CONSTRAINT transfer_answer_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    to_partner_id uuid NOT NULL,
    answer text NOT NULL CONSTRAINT transfer_answer_known CHECK (
        answer IN ('accepted', 'refused', 'taken_back')),
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    transaction_no bigint NOT NULL,
    CONSTRAINT transfer_answer_of_offer FOREIGN KEY (offer_id, partner_id, to_partner_id)
        REFERENCES cbi.transfer_offer (offer_id, partner_id, to_partner_id)
);
CALL cbi.make_append_only('cbi.transfer_answer');
-- Accepting is done through cbi.accept_offer only.
CALL cbi.guard('cbi.transfer_answer',
    $$(SELECT cbi.partner_id()) IN (partner_id, to_partner_id)
      OR (SELECT cbi.has_role('auditor'))$$,
    $$actor_id = cbi.actor_id() AND (
        answer = 'refused' AND to_partner_id = cbi.partner_id()
        OR answer = 'taken_back' AND partner_id = cbi.partner_id())$$);

-- The database fills in what the other organisation sees, and lets nothing be offered without the
-- family's standing word, or while another offer stands. The event locked the household.
CREATE FUNCTION cbi.check_offer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    refused text;
BEGIN
    SELECT h.ubigeo, h.size, c.text_version,
           CASE WHEN e.kind <> 'offered' THEN 'transfer_offer_of_event'
                WHEN h.ended_at IS NOT NULL THEN 'household_not_ended'
                WHEN c.granted IS NOT TRUE OR c.withdrawn_on IS NOT NULL
                    THEN 'transfer_by_consent'
                WHEN EXISTS (
                    SELECT FROM cbi.household_event AS x
                    JOIN cbi.transfer_offer AS o ON o.offer_id = x.event_id
                    WHERE x.household_id = e.household_id AND o.expires_at > NEW.offered_at
                      AND NOT EXISTS (SELECT FROM cbi.transfer_answer AS a
                                      WHERE a.offer_id = o.offer_id))
                    THEN 'transfer_offer_alone' END
    INTO NEW.ubigeo, NEW.size, NEW.text_version, refused
    FROM cbi.household_event AS e JOIN cbi.household AS h USING (household_id)
    LEFT JOIN LATERAL (
        SELECT x.granted, x.withdrawn_on, x.text_version FROM cbi.consent AS x
        WHERE x.household_id = e.household_id AND x.kind = 'referral'
        ORDER BY x.recorded_at DESC LIMIT 1) AS c ON true
    WHERE e.event_id = NEW.offer_id;
    IF refused IS NOT NULL OR NEW.size IS NULL THEN
        RAISE EXCEPTION 'offer % refused', NEW.offer_id
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = coalesce(refused, 'transfer_offer_of_event');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfer_offer_checked BEFORE INSERT ON cbi.transfer_offer
    FOR EACH ROW EXECUTE FUNCTION cbi.check_offer();
ALTER TABLE cbi.transfer_offer ENABLE ALWAYS TRIGGER transfer_offer_checked;

CREATE FUNCTION cbi.check_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM cbi.transfer_offer AS o
                   WHERE o.offer_id = NEW.offer_id AND o.expires_at > NEW.at) THEN
        RAISE EXCEPTION 'offer % has expired', NEW.offer_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'transfer_answer_in_time';
    END IF;
    NEW.transaction_no := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER transfer_answer_in_time BEFORE INSERT ON cbi.transfer_answer
    FOR EACH ROW EXECUTE FUNCTION cbi.check_answer();
ALTER TABLE cbi.transfer_answer ENABLE ALWAYS TRIGGER transfer_answer_in_time;

-- ---------------------------------------------------------------- one household after another

-- Of two households one goes on as the other: they are one family for good, as if decided first.
CREATE TABLE cbi.succession (
    event_id uuid CONSTRAINT succession_pkey PRIMARY KEY,
    household_a uuid NOT NULL,
    household_b uuid NOT NULL,
    CONSTRAINT succession_ordered CHECK (household_a < household_b),
    CONSTRAINT succession_of_event FOREIGN KEY (event_id) REFERENCES cbi.household_event
);
COMMENT ON TABLE cbi.succession IS
    'Households that go on as another one; read by what places families, and by nobody else.';
CREATE INDEX succession_a ON cbi.succession (household_a);
CREATE INDEX succession_b ON cbi.succession (household_b);
CALL cbi.make_append_only('cbi.succession');
CALL cbi.guard('cbi.succession', 'false', 'false');

GRANT SELECT (household_a, household_b, event_id), INSERT ON cbi.succession TO cbi_door;
CREATE POLICY door ON cbi.succession FOR SELECT TO cbi_door USING (true);
CREATE POLICY door_adding ON cbi.succession FOR INSERT TO cbi_door WITH CHECK (true);
GRANT SELECT ON cbi.transfer_offer TO cbi_door;
GRANT SELECT (offer_id, answer, to_partner_id, transaction_no), INSERT
    ON cbi.transfer_answer TO cbi_door;
CREATE POLICY door ON cbi.transfer_offer FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.transfer_answer FOR SELECT TO cbi_door USING (true);
CREATE POLICY door_adding ON cbi.transfer_answer FOR INSERT TO cbi_door WITH CHECK (true);
GRANT SELECT (event_id, kind, other_household_id), INSERT ON cbi.household_event TO cbi_door;
CREATE POLICY door_adding ON cbi.household_event FOR INSERT TO cbi_door WITH CHECK (true);
GRANT SELECT (version, ended_at, sealed, population_type), UPDATE (version, ended_at)
    ON cbi.household TO cbi_door;
CREATE POLICY door_ending ON cbi.household FOR UPDATE TO cbi_door USING (true);
GRANT SELECT (ordinal), UPDATE (gone, version) ON cbi.person TO cbi_door;
CREATE POLICY door_moving ON cbi.person FOR UPDATE TO cbi_door USING (true);
GRANT INSERT ON cbi.household_version, cbi.person_version TO cbi_door;
CREATE POLICY door_adding ON cbi.household_version FOR INSERT TO cbi_door WITH CHECK (true);
CREATE POLICY door_adding ON cbi.person_version FOR INSERT TO cbi_door WITH CHECK (true);
GRANT UPDATE (closed_at) ON cbi.enrolment TO cbi_door;
CREATE POLICY door_closing ON cbi.enrolment FOR UPDATE TO cbi_door USING (true);

CREATE OR REPLACE VIEW cbi.family_tie WITH (security_invoker = true) AS
    SELECT d.decision_no, d.case_id, d.household_a, d.household_b,
           d.verdict IN ('same_household', 'same_person') AS joins
    FROM dedup.decision_in_force AS d
    WHERE d.verdict IN ('same_household', 'different', 'household_split', 'relative')
       -- One person alone in both is one household, whichever word was chosen.
       OR d.verdict = 'same_person' AND (
           SELECT count(*) = 2 AND max(h.size) = 1 FROM cbi.household AS h
           WHERE h.household_id IN (d.household_a, d.household_b))
    UNION ALL
    SELECT 0, s.event_id, s.household_a, s.household_b, true FROM cbi.succession AS s;

-- Let a household go on as another one of the caller's organisation: by an event of this
-- transaction that ended it. Everybody of either family takes the id of the one known first.
CREATE FUNCTION cbi.succeed(ending uuid, successor uuid, as_of timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended uuid;
    joined uuid[];
    members uuid[];
    kept uuid;
BEGIN
    PERFORM cbi.lock_families();
    SELECT e.household_id INTO ended FROM cbi.household_event AS e
    WHERE e.event_id = ending AND e.kind IN ('transferred', 'merged_into')
      AND coalesce(e.other_household_id, successor) = successor
      AND e.transaction_no = pg_current_xact_id()::text::bigint
      AND EXISTS (SELECT FROM cbi.household AS h WHERE h.household_id = successor
                  AND h.partner_id = cbi.partner_id() AND h.ended_at IS NULL);
    IF ended IS NULL THEN
        RAISE EXCEPTION 'a household goes on as another by an event'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'succession_of_event';
    END IF;
    INSERT INTO cbi.succession (event_id, household_a, household_b)
    VALUES (ending, least(ended, successor), greatest(ended, successor));
    SELECT array_agg(DISTINCT b.beneficiary_id) INTO joined
    FROM cbi.beneficiaries_of(ARRAY[ended, successor]) AS b;
    SELECT array_agg(h.household_id) INTO members FROM cbi.households_of(joined) AS h;
    IF cardinality(members) > 20 OR EXISTS (
        SELECT FROM cbi.family_tie AS t WHERE NOT t.joins
        AND t.household_a = ANY (members) AND t.household_b = ANY (members)) THEN
        RAISE EXCEPTION 'families follow the decisions in force'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'families_of_decisions';
    END IF;
    SELECT m.beneficiary_id INTO kept FROM cbi.membership AS m
    WHERE m.beneficiary_id = ANY (joined) ORDER BY m.membership_no LIMIT 1;
    INSERT INTO cbi.membership (household_id, partner_id, beneficiary_id, since, case_id)
    SELECT b.household_id, h.partner_id, kept, as_of, ending
    FROM cbi.beneficiaries_of(members) AS b JOIN cbi.household AS h USING (household_id)
    WHERE b.beneficiary_id <> kept ORDER BY b.household_id;
END $$;

-- Accept an offer to one's organisation, while it stands. The household stays locked, for it ends.
CREATE FUNCTION cbi.accept_offer(wanted uuid, as_of timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moved uuid;
    holder uuid;
BEGIN
    SELECT e.household_id, e.partner_id INTO moved, holder FROM cbi.household_event AS e
    WHERE e.event_id = wanted;
    PERFORM FROM cbi.household AS h WHERE h.household_id = moved FOR NO KEY UPDATE;
    IF NOT EXISTS (
        SELECT FROM cbi.transfer_offer AS o
        JOIN cbi.household AS h ON h.household_id = moved
        JOIN cbi.data_key AS k ON k.household_id = h.household_id
        WHERE o.offer_id = wanted AND o.to_partner_id = cbi.partner_id()
          AND cbi.has_role('registrar') AND o.expires_at > as_of AND h.ended_at IS NULL
          AND NOT EXISTS (SELECT FROM cbi.transfer_answer AS a WHERE a.offer_id = o.offer_id)
          AND (SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent AS c
               WHERE c.household_id = h.household_id AND c.kind = 'referral'
               ORDER BY c.recorded_at DESC LIMIT 1)) THEN
        RAISE EXCEPTION 'offer % does not stand', wanted
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'transfer_offer_stands';
    END IF;
    INSERT INTO cbi.transfer_answer (offer_id, partner_id, to_partner_id, answer, actor_id, at,
        transaction_no)
    VALUES (wanted, holder, cbi.partner_id(), 'accepted', cbi.actor_id(), as_of, 0);
END $$;

-- What whoever accepted in this transaction receives: nobody looks and then declines. Specific
-- needs are not among it: they never leave who recorded them.
CREATE FUNCTION cbi.offered(wanted uuid)
RETURNS TABLE (household_id uuid, ubigeo text, population_type text, sealed bytea, kek_id text,
               wrapped bytea, person_ids uuid[], gone text[], persons bytea[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.household_id, h.ubigeo, h.population_type, h.sealed, k.kek_id, k.wrapped,
           p.person_ids, p.gone, p.persons
    FROM cbi.transfer_answer AS a JOIN cbi.household_event AS e ON e.event_id = a.offer_id
    JOIN cbi.household AS h ON h.household_id = e.household_id
    JOIN cbi.data_key AS k ON k.household_id = h.household_id
    CROSS JOIN LATERAL (
        SELECT array_agg(m.person_id ORDER BY m.ordinal) AS person_ids,
               array_agg(m.gone ORDER BY m.ordinal) AS gone,
               array_agg(m.sealed ORDER BY m.ordinal) AS persons
        FROM cbi.person AS m WHERE m.household_id = h.household_id
          AND (m.gone IS NULL OR m.gone IN ('left', 'deceased'))) AS p
    WHERE a.offer_id = wanted AND a.answer = 'accepted' AND a.to_partner_id = cbi.partner_id()
      AND a.transaction_no = pg_current_xact_id()::text::bigint AND h.ended_at IS NULL
$$;

-- The family's answers that go along: asked once, they hold for whoever registers it.
CREATE FUNCTION cbi.offered_consents(wanted uuid)
RETURNS TABLE (kind text, granted boolean, text_version text, language text, channel text,
               given_on date, withdrawn_on date)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (c.kind) c.kind, c.granted, c.text_version, c.language, c.channel,
           c.given_on, c.withdrawn_on
    FROM cbi.offered(wanted) AS o JOIN cbi.consent AS c USING (household_id)
    WHERE c.kind IN ('registration', 'duplicate_check', 'referral')
    ORDER BY c.kind, c.recorded_at DESC
$$;

-- End a household at who offered it, because the caller accepted it in this transaction: one event,
-- its persons moved, its enrolments closed. What was promised stays promised.
CREATE FUNCTION cbi.hand_over(wanted uuid, ending uuid, on_day date, as_of timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moved uuid;
    holder uuid;
    standing integer;
BEGIN
    SELECT h.household_id, h.partner_id, h.version INTO moved, holder, standing
    FROM cbi.offered(wanted) AS o JOIN cbi.household AS h USING (household_id);
    IF moved IS NULL THEN
        RAISE EXCEPTION 'offer % was not accepted now', wanted
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'transfer_offer_stands';
    END IF;
    INSERT INTO cbi.household_event (event_id, household_id, partner_id, version, kind, reason,
        happened_on, persons_out, actor_id, at, transaction_no)
    SELECT ending, moved, holder, standing + 1, 'transferred', 'referred', on_day,
        (SELECT count(*) FROM cbi.person AS p WHERE p.household_id = moved AND p.gone IS NULL),
        cbi.actor_id(), as_of, 0;
    UPDATE cbi.person AS p SET version = standing + 1,
        gone = CASE WHEN p.gone IS NULL THEN 'moved' ELSE 'elsewhere' END
    WHERE p.household_id = moved AND (p.gone IS NULL OR p.gone IN ('left', 'deceased'));
    UPDATE cbi.household AS h SET ended_at = as_of WHERE h.household_id = moved;
    UPDATE cbi.enrolment AS n SET closed_at = as_of
    WHERE n.household_id = moved AND n.closed_at IS NULL;
END $$;

RESET ROLE;
-- A case between two households that have become one is for nobody to wait for.
CREATE OR REPLACE FUNCTION dedup.open_cases(household_ids uuid[])
RETURNS TABLE (household_id uuid, case_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.household_id, c.case_id
    FROM (SELECT DISTINCT unnest(household_ids)) AS h(household_id)
    CROSS JOIN LATERAL (
        SELECT a.case_id, a.household_a, a.household_b FROM dedup.match_case AS a
        WHERE a.household_a = h.household_id
        UNION
        SELECT b.case_id, b.household_a, b.household_b FROM dedup.match_case AS b
        WHERE b.household_b = h.household_id
    ) AS c
    WHERE NOT EXISTS (SELECT FROM dedup.decision AS d WHERE d.case_id = c.case_id)
      AND NOT EXISTS (SELECT FROM cbi.succession AS s WHERE s.household_a = c.household_a
                      AND s.household_b = c.household_b)
    ORDER BY h.household_id, c.case_id
$$;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.succeed(uuid, uuid, timestamptz) OWNER TO cbi_door;
ALTER FUNCTION cbi.accept_offer(uuid, timestamptz) OWNER TO cbi_door;
ALTER FUNCTION cbi.offered(uuid) OWNER TO cbi_door;
ALTER FUNCTION cbi.offered_consents(uuid) OWNER TO cbi_door;
ALTER FUNCTION cbi.hand_over(uuid, uuid, date, timestamptz) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.succeed(uuid, uuid, timestamptz),
    cbi.accept_offer(uuid, timestamptz), cbi.offered(uuid), cbi.offered_consents(uuid),
    cbi.hand_over(uuid, uuid, date, timestamptz)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.succeed(uuid, uuid, timestamptz),
    cbi.accept_offer(uuid, timestamptz), cbi.offered(uuid), cbi.offered_consents(uuid),
    cbi.hand_over(uuid, uuid, date, timestamptz)
    TO cbi_app;
