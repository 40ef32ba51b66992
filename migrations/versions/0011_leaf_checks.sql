-- The leaves of a seal are checked together: they follow the ones before without a gap, and each
-- stands for a transfer. Foreign keys said the same row by row and took most of the time. As they
-- did, the trigger holds for everybody, whatever the session's replication role.
SET LOCAL ROLE cbi_owner;

ALTER TABLE ledger.leaf
    DROP CONSTRAINT leaf_follows,
    DROP CONSTRAINT leaf_of_transfer,
    DROP COLUMN previous_no;

-- Looked up by id: to hash all transfers for each seal would take longer with every one there is.
CREATE FUNCTION ledger.check_leaves() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    lowest bigint;
    highest bigint;
    many bigint;
BEGIN
    SELECT min(leaf_no), max(leaf_no), count(*) INTO lowest, highest, many FROM new_leaves;
    IF many = 0 THEN
        RETURN NULL;
    END IF;
    IF highest - lowest + 1 <> many
        OR lowest > 0 AND NOT EXISTS (SELECT FROM ledger.leaf WHERE leaf_no = lowest - 1) THEN
        RAISE EXCEPTION 'leaves % to % leave a gap', lowest, highest
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'leaf_follows';
    END IF;
    IF (SELECT count(*) FROM new_leaves JOIN ledger.transfer USING (transfer_id)) <> many THEN
        RAISE EXCEPTION 'a leaf stands for no transfer'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'leaf_of_transfer';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER leaf_checked AFTER INSERT ON ledger.leaf REFERENCING NEW TABLE AS new_leaves
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_leaves();
ALTER TABLE ledger.leaf ENABLE ALWAYS TRIGGER leaf_checked;

RESET ROLE;
