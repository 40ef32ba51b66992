-- What assistance of one kind keeps from a family, and until when: rules that organisations agree
-- on, and holds, which are promises of months to a family. Whoever promises, and whoever asks at
-- the same moment, a promise that the rules don't allow is refused here.
SET LOCAL ROLE cbi_owner;

-- Peru keeps UTC-5 the whole year.
CREATE FUNCTION cbi.peru_day(moment timestamptz) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (moment AT TIME ZONE interval '-05:00')::date;

-- ---------------------------------------------------------------- rules

CREATE TABLE cbi.overlap_rules (
    version integer NOT NULL CONSTRAINT overlap_rules_version_positive CHECK (version >= 1),
    document jsonb NOT NULL,
    sha256 bytea NOT NULL CONSTRAINT overlap_rules_digest CHECK (length(sha256) = 32),
    effective_from date NOT NULL,
    partner_id uuid NOT NULL CONSTRAINT overlap_rules_of_partner REFERENCES cbi.partner,
    proposed_by uuid NOT NULL,
    proposed_at timestamptz NOT NULL,
    CONSTRAINT overlap_rules_pkey PRIMARY KEY (version),
    CONSTRAINT overlap_rules_proposer_once UNIQUE (version, proposed_by)
);
COMMENT ON TABLE cbi.overlap_rules IS
    'Which kinds of assistance keep which others from a family; in force once two organisations approve.';
CALL cbi.make_append_only('cbi.overlap_rules');
-- Whoever is refused by rules may read them.
CALL cbi.guard('cbi.overlap_rules', 'cbi.partner_id() IS NOT NULL',
    $$partner_id = cbi.partner_id() AND proposed_by = cbi.actor_id()
      AND cbi.has_role('adjudicator', 'coordinator')$$);

-- Rules need two organisations, each of which has one word, and nobody approves what they proposed.
CREATE TABLE cbi.overlap_approval (
    version integer NOT NULL,
    partner_id uuid NOT NULL CONSTRAINT overlap_approval_of_partner REFERENCES cbi.partner,
    actor_id uuid NOT NULL,
    proposed_by uuid NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT overlap_approval_once_per_partner PRIMARY KEY (version, partner_id),
    CONSTRAINT overlap_approval_once_per_person UNIQUE (version, actor_id),
    CONSTRAINT overlap_approval_of_rules FOREIGN KEY (version, proposed_by)
        REFERENCES cbi.overlap_rules (version, proposed_by),
    CONSTRAINT overlap_approval_not_proposer CHECK (actor_id <> proposed_by)
);
CALL cbi.make_append_only('cbi.overlap_approval');
CALL cbi.guard('cbi.overlap_approval', 'cbi.partner_id() IS NOT NULL',
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()
      AND cbi.has_role('adjudicator', 'coordinator')$$);

GRANT SELECT ON cbi.overlap_rules, cbi.overlap_approval TO cbi_door;
CREATE POLICY door ON cbi.overlap_rules FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.overlap_approval FOR SELECT TO cbi_door USING (true);

-- Since when each approved version is in force: its day, or that of the second approval if that
-- came later, so that what was in force on a day that is over never changes.
CREATE VIEW cbi.overlap_rules_since WITH (security_invoker = true) AS
    SELECT r.version, greatest(r.effective_from, cbi.peru_day(second.at)) AS since
    FROM cbi.overlap_rules AS r CROSS JOIN LATERAL (
        SELECT a.at FROM cbi.overlap_approval AS a WHERE a.version = r.version
        ORDER BY a.at, a.partner_id OFFSET 1 LIMIT 1) AS second;
GRANT SELECT ON cbi.overlap_rules_since TO cbi_app, cbi_door;

-- The rules in force on a day; version 0 with nothing in them before there were any.
CREATE FUNCTION cbi.overlap_rules_on(day date) RETURNS TABLE (version integer, document jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(newest.version, 0), coalesce(r.document, '{}'::jsonb)
    FROM (SELECT (SELECT s.version FROM cbi.overlap_rules_since AS s WHERE s.since <= day
                  ORDER BY s.since DESC, s.version DESC LIMIT 1) AS version) AS newest
    LEFT JOIN cbi.overlap_rules AS r ON r.version = newest.version
$$;

-- What a promise keeps from its family: kinds of assistance and from when until when, under some
-- rules. `pair` is the two kinds. Nothing of one kind overlaps, whatever the rules say; a one-off
-- grant keeps away its own kind, for some days from the day on which it can be paid.
CREATE FUNCTION cbi.overlap_windows(held text, promised daterange, held_on date, rules jsonb)
RETURNS TABLE (pair text, blocked text, months daterange)
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT least(held COLLATE "C", o.kind) || ' ' || greatest(held COLLATE "C", o.kind), o.kind,
        CASE WHEN g.days IS NOT NULL THEN daterange(
                greatest(lower(promised), held_on), greatest(lower(promised), held_on) + g.days)
            ELSE daterange(lower(promised), (upper(promised) + make_interval(months => coalesce((
                SELECT (b ->> 'cooldown_months')::integer
                FROM jsonb_array_elements(rules -> 'blocks') AS b
                WHERE b ->> 'first' = held AND b ->> 'then' = o.kind), 0)))::date) END
    FROM (SELECT held AS kind UNION
          SELECT CASE held WHEN b ->> 'first' THEN b ->> 'then' ELSE b ->> 'first' END
          FROM jsonb_array_elements(rules -> 'blocks') AS b
          WHERE held IN (b ->> 'first', b ->> 'then')) AS o
    CROSS JOIN (SELECT (
        SELECT (w ->> 'window_days')::integer FROM jsonb_array_elements(rules -> 'one_off') AS w
        WHERE w ->> 'type' = held) AS days) AS g
    ORDER BY 1
$$;

-- ---------------------------------------------------------------- holds

-- The months that an enrolment promises; without, all from its own on until it is closed.
ALTER TABLE cbi.enrolment ADD COLUMN months daterange CONSTRAINT enrolment_months_whole CHECK (
    NOT isempty(months) AND NOT lower_inf(months) AND NOT upper_inf(months)
    AND extract(day FROM lower(months)) = 1 AND extract(day FROM upper(months)) = 1
    AND upper(months) <= lower(months) + 1100);

-- Two open enrolments of one kind were refused whatever their months; with months, their holds say.
DROP INDEX cbi.enrolment_one_open_per_beneficiary;
DROP INDEX cbi.enrolment_one_open_per_household;
CREATE UNIQUE INDEX enrolment_one_open_per_beneficiary
    ON cbi.enrolment (beneficiary_id, assistance_group) WHERE closed_at IS NULL AND months IS NULL;
CREATE UNIQUE INDEX enrolment_one_open_per_household
    ON cbi.enrolment (household_id, assistance_group) WHERE closed_at IS NULL AND months IS NULL;
-- Who is enrolled is looked up by household, too.
CREATE INDEX enrolment_of_household ON cbi.enrolment (household_id) WHERE closed_at IS NULL;

-- A promise of months to a family. `standing` says from when until when it counts: a reservation's
-- ends by itself, and what has ended keeps nobody from anything, though nobody touched it.
CREATE TABLE cbi.hold (
    hold_id uuid NOT NULL DEFAULT uuidv7(),
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    assistance text NOT NULL,
    -- As it was promised, and what is left of that.
    promised daterange NOT NULL,
    months daterange NOT NULL CONSTRAINT hold_months_whole CHECK (
        NOT isempty(months) AND NOT lower_inf(months)),
    standing tstzrange NOT NULL,
    held_on date NOT NULL,
    held_at timestamptz NOT NULL,
    enrolment_id uuid,
    reservation_id uuid,
    CONSTRAINT hold_pkey PRIMARY KEY (hold_id),
    CONSTRAINT hold_source CHECK (num_nonnulls(enrolment_id, reservation_id) = 1),
    CONSTRAINT hold_within_promise CHECK (promised @> months),
    CONSTRAINT hold_once_per_enrolment UNIQUE (enrolment_id),
    CONSTRAINT hold_once_per_reservation UNIQUE (reservation_id),
    CONSTRAINT hold_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id),
    CONSTRAINT hold_of_enrolment FOREIGN KEY (enrolment_id, partner_id, household_id, assistance)
        REFERENCES cbi.enrolment (enrolment_id, partner_id, household_id, assistance_group)
);
COMMENT ON TABLE cbi.hold IS 'Months promised to families, by enrolments and reservations.';
CREATE INDEX hold_by_household ON cbi.hold (household_id);
CALL cbi.guard('cbi.hold', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$, 'false');
GRANT SELECT ON cbi.hold TO cbi_app;

-- What a hold keeps from its family: a row for each other kind that the rules name, and one for its
-- own. Of one kind with itself every hold is a side of its own; of two kinds each is a side. So two
-- on different sides in overlapping months are what may not be.
CREATE TABLE cbi.hold_pair (
    hold_id uuid NOT NULL CONSTRAINT hold_pair_of_hold REFERENCES cbi.hold,
    pair text NOT NULL,
    side text NOT NULL COLLATE "C",
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    months daterange NOT NULL,
    standing tstzrange NOT NULL,
    rules_version integer NOT NULL,
    CONSTRAINT hold_pair_pkey PRIMARY KEY (hold_id, pair),
    CONSTRAINT hold_no_overlap EXCLUDE USING gist (
        cbi.claim_of(beneficiary_id, pair, 'hold') WITH =, side WITH <>, months WITH &&,
        standing WITH &&),
    CONSTRAINT hold_no_overlap_of_household EXCLUDE USING gist (
        cbi.claim_of(household_id, pair, 'hold') WITH =, side WITH <>, months WITH &&,
        standing WITH &&)
);
CALL cbi.guard('cbi.hold_pair', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    'false');
GRANT SELECT ON cbi.hold_pair TO cbi_app;

-- Holds are the database's own: it takes them when something is promised.
GRANT SELECT, INSERT, UPDATE (months, standing) ON cbi.hold TO cbi_door;
GRANT SELECT, INSERT, DELETE, UPDATE (months, standing) ON cbi.hold_pair TO cbi_door;
GRANT SELECT (enrolment_id) ON cbi.entitlement TO cbi_door;
CREATE POLICY door ON cbi.hold TO cbi_door USING (true) WITH CHECK (true);
CREATE POLICY door ON cbi.hold_pair TO cbi_door USING (true) WITH CHECK (true);

-- Every hold of a household's family of today, under whatever family it was taken.
CREATE FUNCTION cbi.holds_around(wanted uuid) RETURNS SETOF cbi.hold
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
    SELECT o.*
    FROM (SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = wanted
          ORDER BY m.membership_no DESC LIMIT 1) AS f
    CROSS JOIN LATERAL (
        SELECT DISTINCT m.household_id FROM cbi.membership AS m
        WHERE m.beneficiary_id = f.beneficiary_id OFFSET 0) AS h
    CROSS JOIN LATERAL (
        SELECT c.* FROM cbi.hold AS c WHERE c.household_id = h.household_id OFFSET 0) AS o
    WHERE (SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = h.household_id
           ORDER BY m.membership_no DESC LIMIT 1) = f.beneficiary_id
$$;

-- Of all that is promised to one family at one moment, somebody is first: the others wait for that
-- one's commit, and then see it. Above a thousand families the lock is on all: the server's table
-- of locks is small.
CREATE FUNCTION cbi.lock_holds(families uuid[]) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'what is promised after waiting is decided on what is, not on what was'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('cbi.families', 0));
    IF cardinality(families) > 1000 THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('cbi.hold', 0));
    ELSE
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('cbi.hold', 0));
        PERFORM pg_advisory_xact_lock(hashtextextended('cbi.hold ' || f.family, 0))
        FROM (SELECT DISTINCT u.family FROM unnest(families) AS u(family) ORDER BY 1 OFFSET 0) AS f;
    END IF;
END $$;

-- A new hold stands if nothing of the family's of today does against it, under the rules of today.
-- What the family's other holds keep away follows those rules and that family, too.
CREATE FUNCTION cbi.check_holds() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong uuid;
    held record;
    rules record;
BEGIN
    PERFORM cbi.lock_holds(ARRAY(SELECT n.beneficiary_id FROM new_holds AS n));
    SELECT n.household_id INTO wrong FROM new_holds AS n
    WHERE n.beneficiary_id IS DISTINCT FROM (
        SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = n.household_id
        ORDER BY m.membership_no DESC LIMIT 1) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'household % is of another family', wrong
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'family_of_today';
    END IF;
    FOR held IN SELECT n.*, o.others FROM new_holds AS n CROSS JOIN LATERAL (
            SELECT count(*) AS others FROM cbi.holds_around(n.household_id) AS o
            WHERE o.hold_id <> n.hold_id AND o.standing && n.standing) AS o
        WHERE o.others > 0 ORDER BY n.beneficiary_id, n.hold_id
    LOOP
        SELECT * INTO rules FROM cbi.overlap_rules_on(held.held_on);
        IF EXISTS (
            SELECT FROM cbi.holds_around(held.household_id) AS o
            CROSS JOIN LATERAL cbi.overlap_windows(
                o.assistance, o.months, o.held_on, rules.document) AS theirs
            JOIN cbi.overlap_windows(
                held.assistance, held.months, held.held_on, rules.document) AS mine
                ON mine.months && theirs.months
            WHERE o.hold_id <> held.hold_id AND o.standing && held.standing
              AND theirs.blocked = held.assistance AND mine.blocked = o.assistance) THEN
            RAISE EXCEPTION 'household % is held', held.household_id
                USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'hold_no_overlap';
        END IF;
        DELETE FROM cbi.hold_pair AS p USING cbi.holds_around(held.household_id) AS o
        WHERE p.hold_id = o.hold_id AND o.standing && held.standing
          AND (p.rules_version, p.beneficiary_id) <> (rules.version, held.beneficiary_id);
        INSERT INTO cbi.hold_pair (hold_id, pair, side, partner_id, household_id, beneficiary_id,
                                   months, standing, rules_version)
        SELECT o.hold_id, w.pair, CASE w.blocked WHEN o.assistance THEN o.hold_id::text
                ELSE o.assistance END, o.partner_id, o.household_id, held.beneficiary_id,
            w.months, o.standing, rules.version
        FROM cbi.holds_around(held.household_id) AS o
        CROSS JOIN LATERAL cbi.overlap_windows(
            o.assistance, o.months, o.held_on, rules.document) AS w
        WHERE o.hold_id <> held.hold_id AND o.standing && held.standing
        ORDER BY o.held_at, o.hold_id, w.pair
        -- Of two that overlap already the earlier one's stands; a person decides about them.
        ON CONFLICT DO NOTHING;
    END LOOP;
    INSERT INTO cbi.hold_pair (hold_id, pair, side, partner_id, household_id, beneficiary_id,
                               months, standing, rules_version)
    SELECT n.hold_id, w.pair, CASE w.blocked WHEN n.assistance THEN n.hold_id::text
            ELSE n.assistance END, n.partner_id, n.household_id, n.beneficiary_id,
        w.months, n.standing, r.version
    FROM new_holds AS n
    JOIN (SELECT d.held_on, o.* FROM (SELECT DISTINCT n.held_on FROM new_holds AS n) AS d
          CROSS JOIN LATERAL cbi.overlap_rules_on(d.held_on) AS o) AS r USING (held_on)
    CROSS JOIN LATERAL cbi.overlap_windows(n.assistance, n.months, n.held_on, r.document) AS w
    ORDER BY n.beneficiary_id, n.hold_id, w.pair;
    RETURN NULL;
END $$;
CREATE TRIGGER hold_checked AFTER INSERT ON cbi.hold REFERENCING NEW TABLE AS new_holds
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_holds();
ALTER TABLE cbi.hold ENABLE ALWAYS TRIGGER hold_checked;

-- What a hold keeps away follows its own months and its standing.
CREATE FUNCTION cbi.follow_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cbi.lock_holds(ARRAY[NEW.beneficiary_id]);
    UPDATE cbi.hold_pair AS p SET months = w.months, standing = NEW.standing
    FROM cbi.hold_pair AS q
    LEFT JOIN cbi.overlap_rules AS r ON r.version = q.rules_version
    CROSS JOIN LATERAL cbi.overlap_windows(
        NEW.assistance, NEW.months, NEW.held_on, coalesce(r.document, '{}'::jsonb)) AS w
    WHERE q.hold_id = NEW.hold_id AND p.hold_id = q.hold_id AND p.pair = q.pair
      AND w.pair = q.pair;
    RETURN NULL;
END $$;
CREATE TRIGGER hold_followed AFTER UPDATE ON cbi.hold
    FOR EACH ROW EXECUTE FUNCTION cbi.follow_hold();
ALTER TABLE cbi.hold ENABLE ALWAYS TRIGGER hold_followed;

-- ---------------------------------------------------------------- enrolments hold

-- Every enrolment holds its months, whoever writes it and however.
CREATE FUNCTION cbi.hold_enrolled() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO cbi.hold (partner_id, household_id, beneficiary_id, assistance, promised, months,
                          standing, held_on, held_at, enrolment_id)
    SELECT n.partner_id, n.household_id, n.beneficiary_id, n.assistance_group, m.months, m.months,
        tstzrange(n.enrolled_at, NULL), cbi.peru_day(n.enrolled_at), n.enrolled_at, n.enrolment_id
    FROM new_enrolments AS n CROSS JOIN LATERAL (SELECT coalesce(n.months, daterange(
        date_trunc('month', cbi.peru_day(n.enrolled_at)::timestamp)::date, NULL)) AS months) AS m
    ORDER BY n.beneficiary_id, n.enrolment_id;
    RETURN NULL;
END $$;
CREATE TRIGGER enrolment_holds AFTER INSERT ON cbi.enrolment
    REFERENCING NEW TABLE AS new_enrolments
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.hold_enrolled();
ALTER TABLE cbi.enrolment ENABLE ALWAYS TRIGGER enrolment_holds;

-- A closed enrolment holds what it has promised and no more: up to its last entitlement's months,
-- though never less than the month it began in; nothing if there is none.
CREATE FUNCTION cbi.months_left(wanted uuid, held daterange) RETURNS daterange
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT daterange(lower(held), least(upper(held), greatest(
        max(upper(e.months)), (lower(held) + interval '1 month')::date)))
    FROM cbi.entitlement AS e WHERE e.enrolment_id = wanted AND e.cancelled_at IS NULL
    HAVING count(*) > 0
$$;
CREATE FUNCTION cbi.release_closed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    has_left daterange;
BEGIN
    SELECT cbi.months_left(NEW.enrolment_id, h.months) INTO has_left FROM cbi.hold AS h
    WHERE h.enrolment_id = NEW.enrolment_id;
    UPDATE cbi.hold AS h SET months = coalesce(has_left, h.months),
        standing = CASE WHEN has_left IS NULL
            THEN tstzrange(h.held_at, greatest(h.held_at, NEW.closed_at)) ELSE h.standing END
    WHERE h.enrolment_id = NEW.enrolment_id;
    RETURN NULL;
END $$;
CREATE TRIGGER enrolment_releases AFTER UPDATE ON cbi.enrolment
    FOR EACH ROW WHEN (OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL)
    EXECUTE FUNCTION cbi.release_closed();
ALTER TABLE cbi.enrolment ENABLE ALWAYS TRIGGER enrolment_releases;

-- An enrolment only closes: its months are kept like the rest of it.
CREATE OR REPLACE FUNCTION cbi.refuse_enrolment_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.enrolment_id, NEW.programme_id, NEW.partner_id, NEW.household_id,
            NEW.beneficiary_id, NEW.assistance_group, NEW.months) IS NOT DISTINCT FROM
           (OLD.enrolment_id, OLD.programme_id, OLD.partner_id, OLD.household_id,
            OLD.beneficiary_id, OLD.assistance_group, OLD.months) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'an enrolment only closes: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'enrolment_kept';
END $$;

-- What was promised before there were holds. Families were joined and parted meanwhile, so some of
-- these may overlap: then the earlier one stands, and the later is its household's own.
ALTER TABLE cbi.hold DISABLE TRIGGER hold_checked;
ALTER TABLE cbi.hold NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.hold_pair NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.enrolment NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.entitlement NO FORCE ROW LEVEL SECURITY;
INSERT INTO cbi.hold (partner_id, household_id, beneficiary_id, assistance, promised, months,
                      standing, held_on, held_at, enrolment_id)
SELECT e.partner_id, e.household_id, e.beneficiary_id, e.assistance_group, m.months,
    CASE WHEN e.closed_at IS NULL THEN m.months
        ELSE coalesce(cbi.months_left(e.enrolment_id, m.months), m.months) END,
    CASE WHEN e.closed_at IS NULL OR cbi.months_left(e.enrolment_id, m.months) IS NOT NULL
        THEN tstzrange(e.enrolled_at, NULL)
        ELSE tstzrange(e.enrolled_at, greatest(e.enrolled_at, e.closed_at)) END,
    cbi.peru_day(e.enrolled_at), e.enrolled_at, e.enrolment_id
FROM cbi.enrolment AS e CROSS JOIN LATERAL (SELECT daterange(
    date_trunc('month', cbi.peru_day(e.enrolled_at)::timestamp)::date, NULL) AS months) AS m;
INSERT INTO cbi.hold_pair (hold_id, pair, side, partner_id, household_id, beneficiary_id, months,
                           standing, rules_version)
SELECT h.hold_id, w.pair, h.hold_id::text, h.partner_id, h.household_id, h.beneficiary_id, w.months,
    h.standing, 0
FROM cbi.hold AS h
CROSS JOIN LATERAL cbi.overlap_windows(h.assistance, h.months, h.held_on, '{}'::jsonb) AS w
ORDER BY h.held_at, h.hold_id
ON CONFLICT DO NOTHING;
ALTER TABLE cbi.hold FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.hold_pair FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.enrolment FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.entitlement FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.hold ENABLE ALWAYS TRIGGER hold_checked;

-- ---------------------------------------------------------------- door

-- What the families of these households can't be promised, and in which months, at a moment: the
-- kind of assistance and the months, with their cool-down, of everything that stands and is not
-- over. Never by whom, nor what it is that keeps it away.
CREATE FUNCTION cbi.held(wanted uuid[], moment timestamptz DEFAULT now())
RETURNS TABLE (household_id uuid, assistance text, months daterange)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.household_id, v.blocked, v.months
    FROM (SELECT DISTINCT u.household_id FROM unnest(wanted[1:5000]) AS u(household_id)) AS w
    CROSS JOIN LATERAL cbi.holds_around(w.household_id) AS o
    CROSS JOIN cbi.overlap_rules_on(cbi.peru_day(moment)) AS r
    CROSS JOIN LATERAL cbi.overlap_windows(o.assistance, o.months, o.held_on, r.document) AS v
    WHERE o.standing && tstzrange(moment, NULL)
      AND (upper_inf(v.months) OR upper(v.months) > cbi.peru_day(moment))
    ORDER BY w.household_id, v.blocked, v.months
$$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.held(uuid[], timestamptz) OWNER TO cbi_door;
ALTER FUNCTION cbi.check_holds() OWNER TO cbi_door;
ALTER FUNCTION cbi.follow_hold() OWNER TO cbi_door;
ALTER FUNCTION cbi.hold_enrolled() OWNER TO cbi_door;
ALTER FUNCTION cbi.release_closed() OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.held(uuid[], timestamptz), cbi.check_holds(), cbi.follow_hold(),
    cbi.hold_enrolled(), cbi.release_closed() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.held(uuid[], timestamptz) TO cbi_app;
