-- Figures on refusals are published: whoever asks gets them, without a key. The doors hand out counts
-- of a quarter; the program leaves out what is small. Slips say their language, so that the rate of
-- wrongful blocks is told by it; and beside refusals with a slip, all that are known are counted.
SET LOCAL ROLE cbi_owner;

ALTER TABLE cbi.slip_group
    ALTER COLUMN document_group DROP NOT NULL,
    ADD COLUMN language text CONSTRAINT slip_group_language CHECK (language IN (
        'es', 'en', 'pt', 'fr', 'ht', 'qu', 'ay', 'wba', 'guc', 'other')),
    ADD CONSTRAINT slip_group_says_something CHECK (
        num_nonnulls(document_group, language) > 0);
GRANT SELECT (language) ON cbi.slip_group TO cbi_door;
GRANT SELECT (household_id, decided_at) ON cbi.eligibility_override TO cbi_door;
GRANT SELECT (decided_at) ON dedup.decision TO cbi_door;
CREATE POLICY door ON cbi.eligibility_override FOR SELECT TO cbi_door USING (true);

-- The language in which a household said yes to its registration: of its first answer, which stays.
CREATE FUNCTION cbi.language_of(wanted uuid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN x.language IN ('es', 'en', 'pt', 'fr', 'ht', 'qu', 'ay', 'wba', 'guc')
                THEN x.language ELSE 'other' END
    FROM (SELECT lower(split_part(c.language, '-', 1)) AS language FROM cbi.consent AS c
          WHERE c.household_id = wanted AND c.kind = 'registration'
          ORDER BY c.recorded_at LIMIT 1) AS x
$$;
GRANT EXECUTE ON FUNCTION cbi.language_of(uuid) TO cbi_door;

-- Households that something stopped in these days of Peru, and those that went on, by nothing and by
-- language. Stopped: a case was opened with somebody registered before, the rules of a programme
-- did not say yes and a person did, or a slip was given that hangs on no case. Lifted: people
-- decided for the first time that the two of a case are apart, a person said yes where rules did
-- not, or an appeal reversed what hangs on no case.
CREATE FUNCTION cbi.stop_counts(first_day date, next_day date)
RETURNS TABLE (by text, value text, stopped bigint, lifted bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH quarter AS (
        SELECT first_day::timestamp AT TIME ZONE INTERVAL '-05:00' AS since,
            next_day::timestamp AT TIME ZONE INTERVAL '-05:00' AS until
    ), happened AS (
        -- The later of two registrations is the one that waits; ids follow time.
        SELECT c.household_b AS household_id, NULL::uuid AS slip_id, true AS is_stop
        FROM quarter AS q, dedup.match_case AS c
        WHERE c.reason = 'duplicate' AND c.reopens IS NULL
          AND c.opened_at >= q.since AND c.opened_at < q.until
        UNION ALL
        SELECT c.household_b, NULL, false
        FROM quarter AS q, dedup.decision AS d JOIN dedup.match_case AS c USING (case_id)
        WHERE d.decided_at >= q.since AND d.decided_at < q.until AND c.reason = 'duplicate'
          AND d.verdict NOT IN ('same_person', 'same_household')
          AND NOT EXISTS (
              SELECT FROM dedup.match_case AS o JOIN dedup.decision AS e USING (case_id)
              WHERE o.household_a = c.household_a AND o.household_b = c.household_b
                AND e.decision_no < d.decision_no
                AND e.verdict NOT IN ('same_person', 'same_household'))
        UNION ALL
        SELECT o.household_id, NULL, w.is_stop
        FROM quarter AS q, cbi.eligibility_override AS o, (VALUES (true), (false)) AS w(is_stop)
        WHERE o.decided_at >= q.since AND o.decided_at < q.until
          -- One for which a slip was given is counted by the slip.
          AND NOT (w.is_stop AND EXISTS (
              SELECT FROM cbi.slip AS s WHERE s.of_whom = o.household_id
                AND s.reason = 'not_eligible' AND s.issued_at <= o.decided_at))
        UNION ALL
        SELECT n.household_id, n.slip_id, true
        FROM (SELECT DISTINCT ON (s.of_whom, s.reason, s.assistance_group, s.enrolment_id,
                  s.round_id) s.household_id, s.slip_id
              FROM cbi.slip AS s
              WHERE s.issued_on >= first_day AND s.issued_on < next_day AND s.case_id IS NULL
              ORDER BY s.of_whom, s.reason, s.assistance_group, s.enrolment_id, s.round_id,
                  s.slip_id) AS n
        UNION ALL
        SELECT s.household_id, s.slip_id, false
        FROM quarter AS q, cbi.appeal_outcome AS o JOIN cbi.appeal AS a USING (appeal_id)
        JOIN cbi.slip AS s USING (slip_id)
        WHERE o.decided_at >= q.since AND o.decided_at < q.until AND o.reverses
          AND s.case_id IS NULL
    ), told AS (
        SELECT h.is_stop, coalesce(cbi.language_of(h.household_id), g.language, 'unknown') AS language
        FROM happened AS h LEFT JOIN cbi.slip_group AS g USING (slip_id))
    SELECT CASE WHEN grouping(t.language) = 0 THEN 'language' ELSE 'all' END,
        coalesce(t.language, ''), count(*) FILTER (WHERE t.is_stop),
        count(*) FILTER (WHERE NOT t.is_stop)
    FROM told AS t GROUP BY GROUPING SETS ((), (t.language)) ORDER BY 1, 2
$$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.stop_counts(date, date) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.stop_counts(date, date), cbi.language_of(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.stop_counts(date, date) TO cbi_app;
CREATE OR REPLACE FUNCTION cbi.appeal_counts(first_day date, next_day date)
RETURNS TABLE (kind text, by text, value text, slips bigint, decided bigint, reversed bigint,
               median_days integer, ninth_days integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH ended AS MATERIALIZED (
        SELECT s.is_block, a.language, coalesce(g.document_group, 'unknown') AS document_group,
            o.reverses,
            (o.decided_at AT TIME ZONE INTERVAL '-05:00')::date
                - (a.taken_at AT TIME ZONE INTERVAL '-05:00')::date AS days
        FROM cbi.appeal_outcome AS o JOIN cbi.appeal AS a USING (appeal_id)
        JOIN cbi.slip AS s USING (slip_id) LEFT JOIN cbi.slip_group AS g USING (slip_id)
        WHERE o.decided_at >= (first_day::timestamp AT TIME ZONE INTERVAL '-05:00')
          AND o.decided_at < (next_day::timestamp AT TIME ZONE INTERVAL '-05:00')
          -- Withdrawn, or not a matter for review: nothing was decided about the refusal.
          AND o.outcome IN ('upheld', 'reversed', 'reversed_in_part')
    ), decided AS (
        SELECT e.is_block,
            CASE WHEN grouping(e.language) = 0 THEN 'language'
                 WHEN grouping(e.document_group) = 0 THEN 'document_group' ELSE 'all' END AS by,
            coalesce(e.language, e.document_group, '') AS value,
            count(*) AS decided, count(*) FILTER (WHERE e.reverses) AS reversed,
            percentile_disc(0.5) WITHIN GROUP (ORDER BY e.days) AS median_days,
            percentile_disc(0.9) WITHIN GROUP (ORDER BY e.days) AS ninth_days
        FROM ended AS e
        GROUP BY GROUPING SETS ((e.is_block), (e.is_block, e.language),
            (e.is_block, e.document_group))
    ), given AS (
        SELECT n.is_block,
            CASE WHEN grouping(n.language) = 0 THEN 'language'
                 WHEN grouping(n.document_group) = 0 THEN 'document_group' ELSE 'all' END AS by,
            coalesce(n.language, n.document_group, '') AS value, count(*) AS slips
        FROM (SELECT DISTINCT ON (s.of_whom, s.reason, s.assistance_group, s.case_id,
                  s.enrolment_id, s.round_id)
                  s.is_block, coalesce(g.language, 'unknown') AS language,
                  coalesce(g.document_group, 'unknown') AS document_group
              FROM cbi.slip AS s LEFT JOIN cbi.slip_group AS g USING (slip_id)
              WHERE s.issued_on >= first_day AND s.issued_on < next_day
              ORDER BY s.of_whom, s.reason, s.assistance_group, s.case_id, s.enrolment_id,
                  s.round_id, s.slip_id) AS n
        GROUP BY GROUPING SETS ((n.is_block), (n.is_block, n.language),
            (n.is_block, n.document_group))
    )
    SELECT CASE WHEN is_block THEN 'block' ELSE 'other' END, by, value,
        coalesce(g.slips, 0), coalesce(d.decided, 0), coalesce(d.reversed, 0),
        d.median_days, d.ninth_days
    FROM decided AS d FULL JOIN given AS g USING (is_block, by, value)
    ORDER BY 1 DESC, 2, 3
$$;
