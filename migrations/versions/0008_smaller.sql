-- Two registrations look like one family when half of the smaller one matches. How many live in the
-- smaller one is told to those who judge, and which of the two that is, isn't.
SET LOCAL ROLE cbi_owner;

CREATE FUNCTION cbi.smaller_sizes(wanted uuid[]) RETURNS TABLE (case_id uuid, size integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.case_id, least(a.size, b.size)::integer
    FROM dedup.match_case AS c
    JOIN cbi.household AS a ON a.household_id = c.household_a
    JOIN cbi.household AS b ON b.household_id = c.household_b
    WHERE c.case_id = ANY (wanted)
      AND cbi.has_role('adjudicator', 'coordinator', 'auditor')
$$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.smaller_sizes(uuid[]) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.smaller_sizes(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.smaller_sizes(uuid[]) TO cbi_app;
