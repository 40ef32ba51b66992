-- What overlap refused is kept for some months, so that rules which allow more can be tried on it;
-- and who tried which rules is kept for good.
SET LOCAL ROLE cbi_owner;

-- A household stands here as a keyed hash, whose key is outside the database: whoever reads the
-- table learns of nobody. The same attempt again on one day is one.
CREATE TABLE cbi.refused_attempt (
    partner_id uuid NOT NULL DEFAULT cbi.partner_id()
        CONSTRAINT refused_attempt_of_partner REFERENCES cbi.partner,
    household_key bytea NOT NULL CONSTRAINT refused_attempt_key CHECK (length(household_key) = 32),
    assistance text NOT NULL CONSTRAINT refused_attempt_known CHECK (assistance IN (
        'mpca', 'transit_grant', 'food', 'rent', 'health', 'protection', 'education',
        'livelihood')),
    months daterange NOT NULL CONSTRAINT refused_attempt_months CHECK (
        NOT isempty(months) AND NOT lower_inf(months)),
    rules_version integer NOT NULL CONSTRAINT refused_attempt_rules CHECK (rules_version >= 0),
    at timestamptz NOT NULL,
    CONSTRAINT refused_attempt_once_a_day
        EXCLUDE (partner_id WITH =, household_key WITH =, assistance WITH =, months WITH =,
            (cbi.peru_day(at)) WITH =)
);
CREATE INDEX refused_attempt_in_time ON cbi.refused_attempt (at);
-- Nobody reads it but the door that replays it; the worker drops what is old.
CALL cbi.guard('cbi.refused_attempt', $$cbi.has_role('worker')$$, $$partner_id = cbi.partner_id()$$);
GRANT INSERT, DELETE, SELECT (at) ON cbi.refused_attempt TO cbi_app;
CREATE POLICY dropping ON cbi.refused_attempt FOR DELETE TO cbi_app
    USING (cbi.has_role('worker') AND at < now() - interval '28 days');
GRANT SELECT ON cbi.refused_attempt TO cbi_door;
CREATE POLICY door ON cbi.refused_attempt FOR SELECT TO cbi_door USING (true);

CREATE TABLE cbi.simulation (
    simulation_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT simulation_pkey PRIMARY KEY,
    at timestamptz NOT NULL,
    -- Peru's, on which quotas begin anew.
    day date NOT NULL,
    actor_id uuid NOT NULL DEFAULT cbi.actor_id(),
    partner_id uuid NOT NULL DEFAULT cbi.partner_id(),
    request_id text NOT NULL DEFAULT coalesce(current_setting('app.request_id', true), ''),
    -- Those that are stored by their number; any by what they say.
    rules_version integer,
    sha256 bytea NOT NULL CONSTRAINT simulation_digest CHECK (length(sha256) = 32),
    months integer NOT NULL CONSTRAINT simulation_months CHECK (months BETWEEN 1 AND 24),
    is_exact boolean NOT NULL,
    -- Who is not coordination gets rounded figures, and of rules that somebody proposed.
    CONSTRAINT simulation_of_proposed CHECK (is_exact OR rules_version IS NOT NULL),
    CONSTRAINT simulation_of_rules FOREIGN KEY (rules_version)
        REFERENCES cbi.overlap_rules (version)
);
COMMENT ON TABLE cbi.simulation IS 'Which rules somebody tried on what was promised, and when.';
CREATE INDEX simulation_of_day ON cbi.simulation (partner_id, day);
CALL cbi.make_append_only('cbi.simulation');
CALL cbi.guard('cbi.simulation', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()
      AND (NOT is_exact OR cbi.has_role('coordinator'))$$);

-- ---------------------------------------------------------------- door

GRANT SELECT (programme_id) ON cbi.enrolment TO cbi_door;
GRANT SELECT (programme_id, currency) ON cbi.programme TO cbi_door;
GRANT SELECT (programme_id, kind, version, effective_from, content) ON cbi.term TO cbi_door;
GRANT SELECT (programme_id, kind, version) ON cbi.term_approval TO cbi_door;
CREATE POLICY door_of_values ON cbi.programme FOR SELECT TO cbi_door USING (true);
CREATE POLICY door_of_values ON cbi.term FOR SELECT TO cbi_door USING (kind = 'values');
CREATE POLICY door_of_values ON cbi.term_approval FOR SELECT TO cbi_door USING (kind = 'values');

-- What a household of a size is worth a month in a programme, by the value table that counts where
-- it lives on a day.
CREATE FUNCTION cbi.value_on(wanted uuid, day date, ubigeo text, size integer) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (n.amounts ->> (least(greatest(size, 1), jsonb_array_length(n.amounts)) - 1))::bigint
    FROM (
        SELECT t.content -> 'amounts_minor' AS amounts FROM cbi.term AS t
        WHERE t.programme_id = wanted AND t.kind = 'values' AND t.effective_from <= day
            AND starts_with(ubigeo, t.content ->> 'area')
            AND EXISTS (SELECT FROM cbi.term_approval AS a WHERE a.programme_id = t.programme_id
                        AND a.kind = t.kind AND a.version = t.version OFFSET 0)
        ORDER BY length(t.content ->> 'area') DESC, t.effective_from DESC, t.version DESC
        LIMIT 1) AS n
$$;

-- How many months a promise is for; one without an end counts up to the month of a day.
CREATE FUNCTION cbi.months_in(promised daterange, day date) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT greatest(1, (extract(year FROM u.after) - extract(year FROM lower(promised)))::integer
        * 12 + (extract(month FROM u.after) - extract(month FROM lower(promised)))::integer)
    FROM (SELECT coalesce(upper(promised), (day + interval '1 month')::date) AS after) AS u
$$;

RESET ROLE;
DROP FUNCTION cbi.promises_since(timestamptz, integer);
SET LOCAL ROLE cbi_owner;

-- Every promise to the families that were promised something since a moment, or refused it, and what
-- was refused to them. Families are numbers that mean nothing elsewhere. Whose a promise is, and how
-- much, is told of one's own, or to coordinators and auditors; the others only stand in the way, and
-- of others' refusals nothing is told. A promise is worth what entitlements gave; one that no round
-- has paid yet what its programme's values give, a reservation only while it stands.
CREATE FUNCTION cbi.promises_since(
    begun timestamptz, moment timestamptz, most integer, attempt_key bytea)
RETURNS TABLE (family integer, partner_id uuid, assistance text, months daterange, held_on date,
               held_at timestamptz, stands_until timestamptz, amount_minor bigint, currency text,
               is_promise boolean, is_counted boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- Attempts and households are met by a hash, however few the planner believes there are.
SET enable_nestloop = off AS $$
    WITH attempted AS MATERIALIZED (
        SELECT a.partner_id, a.assistance, a.months, a.at, f.beneficiary_id
        FROM cbi.refused_attempt AS a
        JOIN cbi.household AS h ON h.partner_id = a.partner_id
            AND sha256(attempt_key || uuid_send(h.household_id)) = a.household_key
        CROSS JOIN LATERAL (
            SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = h.household_id
            ORDER BY m.membership_no DESC LIMIT 1) AS f
        WHERE a.at >= begun AND a.at <= moment
          AND (cbi.has_role('coordinator', 'auditor') OR a.partner_id = cbi.partner_id())
        LIMIT most
    ), ours AS MATERIALIZED (
        SELECT t.beneficiary_id FROM (
            SELECT f.beneficiary_id FROM cbi.hold AS h CROSS JOIN LATERAL (
                SELECT m.beneficiary_id FROM cbi.membership AS m
                WHERE m.household_id = h.household_id
                ORDER BY m.membership_no DESC LIMIT 1) AS f
            WHERE h.held_at >= begun
              AND (cbi.has_role('coordinator', 'auditor') OR h.partner_id = cbi.partner_id())
            UNION SELECT a.beneficiary_id FROM attempted AS a) AS t
        LIMIT most
    ), numbered AS (
        SELECT o.beneficiary_id, row_number() OVER (ORDER BY o.beneficiary_id)::integer AS family
        FROM ours AS o
    ), promised AS (
        SELECT n.family, t.is_told, k.*, e.amount_minor AS paid_minor, e.currency AS paid_currency,
            g.programme_id, w.ubigeo, w.size, r.became
        FROM numbered AS n
        CROSS JOIN LATERAL (
            SELECT DISTINCT m.household_id FROM cbi.membership AS m
            WHERE m.beneficiary_id = n.beneficiary_id OFFSET 0) AS m
        CROSS JOIN LATERAL (
            SELECT h.* FROM cbi.hold AS h WHERE h.household_id = m.household_id
                AND NOT isempty(h.standing) OFFSET 0) AS k
        CROSS JOIN LATERAL (
            SELECT h.ubigeo, h.size FROM cbi.household AS h
            WHERE h.household_id = m.household_id OFFSET 0) AS w
        CROSS JOIN LATERAL (SELECT cbi.has_role('coordinator', 'auditor')
            OR k.partner_id = cbi.partner_id() AS is_told) AS t
        CROSS JOIN LATERAL (
            SELECT sum(e.amount_minor)::bigint AS amount_minor, max(e.currency) AS currency
            FROM cbi.entitlement AS e
            WHERE t.is_told AND e.enrolment_id = k.enrolment_id AND e.cancelled_at IS NULL) AS e
        CROSS JOIN LATERAL (
            SELECT k.reservation_id IS NOT NULL AND EXISTS (
                SELECT FROM cbi.reservation_event AS v WHERE v.reservation_id = k.reservation_id
                    AND v.kind = 'enrolled') AS became) AS r
        CROSS JOIN LATERAL (
            SELECT CASE WHEN NOT t.is_told OR e.amount_minor IS NOT NULL THEN NULL
                WHEN k.enrolment_id IS NOT NULL THEN (SELECT x.programme_id FROM cbi.enrolment AS x
                    WHERE x.enrolment_id = k.enrolment_id)
                WHEN k.standing @> moment THEN (SELECT x.programme_id FROM cbi.reservation AS x
                    WHERE x.reservation_id = k.reservation_id) END AS programme_id) AS g
        WHERE (SELECT c.beneficiary_id FROM cbi.membership AS c
               WHERE c.household_id = m.household_id
               ORDER BY c.membership_no DESC LIMIT 1) = n.beneficiary_id
          AND k.held_at <= moment
    )
    SELECT p.family, CASE WHEN p.is_told THEN p.partner_id END, p.assistance, p.months, p.held_on,
        p.held_at, upper(p.standing),
        coalesce(p.paid_minor, v.monthly * cbi.months_in(p.months, cbi.peru_day(moment))),
        coalesce(p.paid_currency, v.currency), true,
        p.is_told AND p.held_at >= begun AND NOT p.became
    FROM promised AS p
    LEFT JOIN LATERAL (
        SELECT cbi.value_on(p.programme_id, cbi.peru_day(moment), p.ubigeo, p.size) AS monthly,
            x.currency FROM cbi.programme AS x WHERE x.programme_id = p.programme_id) AS v
        ON v.monthly IS NOT NULL
    UNION ALL
    SELECT n.family, a.partner_id, a.assistance, a.months, cbi.peru_day(a.at), a.at, NULL, NULL,
        NULL, false, true
    FROM attempted AS a JOIN numbered AS n USING (beneficiary_id)
    ORDER BY 6, 10, 1 LIMIT most
$$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.promises_since(timestamptz, timestamptz, integer, bytea) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.promises_since(timestamptz, timestamptz, integer, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.promises_since(timestamptz, timestamptz, integer, bytea) TO cbi_app;
