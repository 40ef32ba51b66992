-- Figures on appeals: counts over all organisations for a quarter that is over, by one property at
-- a time. No id of anything leaves the door, and the program leaves out what is small.
SET LOCAL ROLE cbi_owner;

GRANT SELECT (slip_id, document_group) ON cbi.slip_group TO cbi_door;
CREATE POLICY door ON cbi.slip_group FOR SELECT TO cbi_door USING (true);

-- Counts by kind of refusal ('block' comes of comparing registrations), and within it by nothing
-- (`by` is 'all'), by language, and by the group of documents ('unknown' when nobody said it).
-- What is counted happened in these days of Peru: refusals that slips were given for (once, however
-- many slips), appeals decided, those that reversed; with the days from intake to decision that
-- half, and nine of ten, took at most.
CREATE FUNCTION cbi.appeal_counts(first_day date, next_day date)
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
            CASE WHEN grouping(n.document_group) = 0 THEN 'document_group' ELSE 'all' END AS by,
            coalesce(n.document_group, '') AS value, count(*) AS slips
        FROM (SELECT DISTINCT ON (s.household_id, s.reason, s.assistance_group, s.case_id,
                  s.enrolment_id, s.round_id)
                  s.is_block, coalesce(g.document_group, 'unknown') AS document_group
              FROM cbi.slip AS s LEFT JOIN cbi.slip_group AS g USING (slip_id)
              WHERE s.issued_on >= first_day AND s.issued_on < next_day
              ORDER BY s.household_id, s.reason, s.assistance_group, s.case_id, s.enrolment_id,
                  s.round_id, s.slip_id) AS n
        GROUP BY GROUPING SETS ((n.is_block), (n.is_block, n.document_group))
    )
    SELECT CASE WHEN is_block THEN 'block' ELSE 'other' END, by, value,
        coalesce(g.slips, 0), coalesce(d.decided, 0), coalesce(d.reversed, 0),
        d.median_days, d.ninth_days
    FROM decided AS d FULL JOIN given AS g USING (is_block, by, value)
    WHERE cbi.actor_id() IS NOT NULL
    ORDER BY 1 DESC, 2, 3
$$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.appeal_counts(date, date) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.appeal_counts(date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.appeal_counts(date, date) TO cbi_app;
