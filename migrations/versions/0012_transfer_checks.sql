-- The transfers of a batch are checked together: each account is one of the row's own currency and
-- partner, each reversal the exact mirror of what it takes back. Foreign keys said the same row by
-- row, and the index that mirroring needed was a quarter of the table. Accounts and transfers are
-- append-only, so what is true when a row comes stays true; the trigger holds for everybody,
-- whatever the session's replication role, and verification asks again.
SET LOCAL ROLE cbi_owner;

ALTER TABLE ledger.transfer
    DROP CONSTRAINT transfer_debit_account,
    DROP CONSTRAINT transfer_credit_account,
    DROP CONSTRAINT transfer_reverse_mirrors,
    DROP CONSTRAINT transfer_mirror_once,
    DROP CONSTRAINT transfer_reversed_once;
-- Nobody ever asked by entry.
DROP INDEX ledger.transfer_by_entry;
CREATE UNIQUE INDEX transfer_reversed_once ON ledger.transfer (reverses) WHERE reverses IS NOT NULL;
-- Also refuses what the one before it let through: two of a kind into one account from two others.
DROP INDEX ledger.transfer_attempt_once;
CREATE UNIQUE INDEX transfer_attempt_once
    ON ledger.transfer (payment_id, attempt_no, debit_account, kind)
    WHERE kind IN ('reserve', 'post', 'void') AND payment_id IS NOT NULL;

-- Reversals are looked up by id: to hash all transfers for a batch would take longer with every one
-- there is.
CREATE FUNCTION ledger.check_transfers() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    wrong text;
BEGIN
    -- Few accounts, many rows: each account is looked up once.
    SELECT CASE WHEN side.is_debit THEN 'transfer_debit_account' ELSE 'transfer_credit_account' END
    INTO wrong
    FROM (SELECT DISTINCT debit_account AS account_id, currency, partner_id, true AS is_debit
          FROM new_transfers
          UNION ALL
          SELECT DISTINCT credit_account, currency, partner_id, false FROM new_transfers) AS side
    WHERE NOT EXISTS (SELECT FROM ledger.account AS a
        WHERE a.account_id = side.account_id AND a.currency = side.currency
            AND a.partner_id = side.partner_id)
    LIMIT 1;
    IF wrong IS NULL AND EXISTS (
        SELECT FROM new_transfers AS r WHERE r.reverses IS NOT NULL AND NOT EXISTS (
            SELECT FROM ledger.transfer AS o WHERE o.transfer_id = r.reverses
                AND o.debit_account = r.credit_account AND o.credit_account = r.debit_account
                AND o.currency = r.currency AND o.amount_minor = r.amount_minor)) THEN
        wrong := 'transfer_reverse_mirrors';
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'a transfer is refused'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = wrong;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER transfer_checked AFTER INSERT ON ledger.transfer
    REFERENCING NEW TABLE AS new_transfers
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_transfers();
ALTER TABLE ledger.transfer ENABLE ALWAYS TRIGGER transfer_checked;

RESET ROLE;
