-- Who registers many households at once keeps everybody else from adding keys until its transaction
-- ends (dedup.add shares this lock), so that it sees whoever came before, and whoever comes later
-- sees it. Keep such a transaction short.
SET LOCAL ROLE cbi_owner;
CREATE FUNCTION dedup.lock_all_keys() RETURNS void LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('dedup.key_entry', 0));
RESET ROLE;
