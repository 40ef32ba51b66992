-- What belongs to a case may be read by whoever may read the case. Without OFFSET 0 the planner
-- answers that by reading all cases into a hash table, which takes longer with every case there is;
-- with it, it looks up the one.
SET LOCAL ROLE cbi_owner;

DO $$
DECLARE
    belonging text;
BEGIN
    FOREACH belonging IN ARRAY ARRAY['case_pair', 'scoring', 'judgement', 'decision', 'assignment'] LOOP
        EXECUTE format('ALTER POLICY reading ON dedup.%1$I USING (EXISTS ('
            'SELECT FROM dedup.match_case AS c WHERE c.case_id = %1$I.case_id OFFSET 0))', belonging);
    END LOOP;
END $$;

RESET ROLE;
