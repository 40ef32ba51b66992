-- A balance is the newest snapshot and the deltas since: without one, an account that a million
-- transfers touched would be summed anew for the next. A snapshot holds the deltas of all
-- transactions below an id, and is made when every one of these has ended, so none can come later.
SET LOCAL ROLE cbi_owner;

-- A plain number: under row-level security only comparisons that are known to leak nothing may use
-- an index, and those of xid8 are not.
CREATE FUNCTION ledger.xact_no() RETURNS bigint LANGUAGE sql
    RETURN pg_current_xact_id()::text::bigint;
CREATE FUNCTION ledger.ended_below() RETURNS bigint LANGUAGE sql STABLE
    RETURN pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
ALTER TABLE ledger.delta ADD COLUMN xid bigint NOT NULL DEFAULT ledger.xact_no();
CREATE INDEX delta_in_order ON ledger.delta (account_id, xid);
-- As with transfers: nobody chooses the transaction of a row.
REVOKE INSERT ON ledger.delta FROM cbi_app;
GRANT INSERT (account_id, batch_id, partner_id, debit_minor, credit_minor)
    ON ledger.delta TO cbi_app;

CREATE TABLE ledger.snapshot (
    account_id uuid NOT NULL CONSTRAINT snapshot_of_account REFERENCES ledger.account,
    below bigint NOT NULL,
    partner_id uuid NOT NULL,
    debit_minor bigint NOT NULL CONSTRAINT snapshot_debit_not_negative CHECK (debit_minor >= 0),
    credit_minor bigint NOT NULL CONSTRAINT snapshot_credit_not_negative CHECK (credit_minor >= 0),
    CONSTRAINT snapshot_pkey PRIMARY KEY (account_id, below)
);
COMMENT ON TABLE ledger.snapshot IS
    'Sums of an account''s deltas of all transactions below one; the newest is what balances use.';
CALL cbi.make_append_only('ledger.snapshot');
CALL cbi.guard('ledger.snapshot',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$, $$partner_id = cbi.partner_id()$$);

-- A snapshot says what the deltas say, whoever writes it.
CREATE FUNCTION ledger.check_snapshot() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before record;
    debit bigint;
    credit bigint;
BEGIN
    IF NEW.below > ledger.ended_below() THEN
        RAISE EXCEPTION 'some of these transactions have not ended'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'snapshot_ended';
    END IF;
    SELECT s.below, s.debit_minor, s.credit_minor INTO before FROM ledger.snapshot AS s
    WHERE s.account_id = NEW.account_id AND s.below < NEW.below
    UNION ALL SELECT 0, 0, 0
    ORDER BY below DESC LIMIT 1;
    SELECT coalesce(sum(d.debit_minor), 0), coalesce(sum(d.credit_minor), 0) INTO debit, credit
    FROM ledger.delta AS d
    WHERE d.account_id = NEW.account_id AND d.xid >= before.below AND d.xid < NEW.below;
    IF NEW.debit_minor <> debit + before.debit_minor
        OR NEW.credit_minor <> credit + before.credit_minor THEN
        RAISE EXCEPTION 'a snapshot is not what its deltas say'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'snapshot_of_deltas';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER snapshot_checked BEFORE INSERT ON ledger.snapshot
    FOR EACH ROW EXECUTE FUNCTION ledger.check_snapshot();
ALTER TABLE ledger.snapshot ENABLE ALWAYS TRIGGER snapshot_checked;

RESET ROLE;
