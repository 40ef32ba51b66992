-- Transfers, once more from the beginning: smaller, and what a batch of them may do is checked and
-- carried into the accounts by the database, whoever inserts it and however.
-- Who carries batches into accounts: it may do that and nothing else.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cbi_book') THEN
        CREATE ROLE cbi_book NOLOGIN;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT cbi_book TO %I', current_user);
    END IF;
END $$;
GRANT USAGE ON SCHEMA ledger TO cbi_book;

SET LOCAL ROLE cbi_owner;

-- The ids of payments' transfers are other ones now, and sealed rows can't be renamed. (Rows can't
-- be counted here: row-level security holds for their owner as well.)
DO $$ BEGIN
    IF pg_relation_size('ledger.transfer') > 0 THEN
        RAISE EXCEPTION 'this ledger was begun by a version before the first release'
            USING HINT = 'It can not be carried on: begin with an empty database.';
    END IF;
END $$;

DROP TABLE ledger.snapshot, ledger.delta, ledger.transfer;
DROP FUNCTION ledger.check_transfers(), ledger.check_snapshot();

-- One balanced movement: it can't be out of balance, and can't cross currencies or organisations.
CREATE TABLE ledger.transfer (
    amount_minor bigint NOT NULL CONSTRAINT transfer_amount_positive CHECK (amount_minor > 0)
        CONSTRAINT transfer_amount_bounded CHECK (amount_minor <= 1000000000000000),
    posted_at timestamptz NOT NULL CONSTRAINT transfer_posted_then CHECK (
        posted_at BETWEEN '1900-01-01 00:00:00+00' AND '9999-01-01 00:00:00+00'),
    -- The order of the seal: a transaction's id is final once it is below the horizon. A dump
    -- must therefore be restored into a cluster whose ids begin above these (pg_resetwal -x);
    -- otherwise new rows stand before sealed ones and `verify` says so.
    xid bigint NOT NULL DEFAULT ledger.xact_no(),
    attempt_no integer,
    effective_on date NOT NULL CONSTRAINT transfer_effective_then CHECK (
        effective_on BETWEEN '1900-01-01' AND '9998-12-31'),
    -- Only where the period of `effective_on` was closed: the first day of the open one.
    booked_on date,
    transfer_id uuid CONSTRAINT transfer_pkey PRIMARY KEY,
    entry_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL,
    payment_id uuid,
    reverses uuid,
    actor_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT transfer_kind_known CHECK (kind IN
        ('fund', 'reserve', 'post', 'void', 'reverse', 'fee', 'exchange', 'adjust', 'close')),
    currency text NOT NULL,
    CONSTRAINT transfer_two_accounts CHECK (debit_account <> credit_account),
    CONSTRAINT transfer_moves_a_payment CHECK (
        kind NOT IN ('reserve', 'post', 'void') OR payment_id IS NOT NULL),
    CONSTRAINT transfer_attempt_complete CHECK ((payment_id IS NULL) = (attempt_no IS NULL)),
    CONSTRAINT transfer_reverse_names_its_original
        CHECK ((kind = 'reverse') = (reverses IS NOT NULL)),
    CONSTRAINT transfer_late CHECK (booked_on > effective_on),
    -- A payment's transfers stand together: their ids begin as its does.
    CONSTRAINT transfer_beside_its_payment CHECK (payment_id IS NULL
        OR substring(uuid_send(transfer_id) FOR 8) = substring(uuid_send(payment_id) FOR 8)),
    -- What moves a payment is named after the move, whatever the caller believes, so the primary
    -- key is what lets it happen once.
    CONSTRAINT transfer_attempt_once CHECK (
        payment_id IS NULL OR kind NOT IN ('reserve', 'post', 'void')
        OR substring(uuid_send(transfer_id) FROM 9) = substring(sha256(uuid_send(payment_id)
            || int4send(attempt_no) || uuid_send(debit_account) || convert_to(kind, 'UTF8')) FOR 8))
);
CREATE INDEX transfer_in_seal_order ON ledger.transfer (xid);
CREATE UNIQUE INDEX transfer_exchange_once ON ledger.transfer (entry_id, currency)
    WHERE kind = 'exchange';
CREATE INDEX transfer_closings ON ledger.transfer (debit_account) WHERE kind = 'close';
CREATE INDEX transfer_reversals ON ledger.transfer (reverses) WHERE reverses IS NOT NULL;

-- What one batch did to one account, by the days it counts for. A balance is the sum of these, so
-- no row is ever contended; a batch is named after one of its transfers.
CREATE TABLE ledger.delta (
    account_id uuid NOT NULL,
    batch_id uuid NOT NULL,
    booked_on date NOT NULL,
    effective_on date NOT NULL,
    partner_id uuid NOT NULL,
    debit_minor bigint NOT NULL,
    credit_minor bigint NOT NULL,
    posted_at timestamptz NOT NULL,
    xid bigint NOT NULL DEFAULT ledger.xact_no(),
    CONSTRAINT delta_pkey PRIMARY KEY (account_id, batch_id, booked_on, effective_on)
);
CREATE INDEX delta_in_order ON ledger.delta (account_id, xid);

-- The sums of an account's deltas of all transactions below one; the newest is what balances use.
-- Without it an account that a million transfers touched would be summed anew for the next. Made
-- when each of these transactions has ended, so none can come later.
CREATE TABLE ledger.snapshot (
    account_id uuid NOT NULL,
    below bigint NOT NULL,
    partner_id uuid NOT NULL,
    debit_minor bigint NOT NULL,
    credit_minor bigint NOT NULL,
    CONSTRAINT snapshot_pkey PRIMARY KEY (account_id, below)
);

DO $$
DECLARE
    target text;
    reading text := $rule$partner_id = (SELECT cbi.partner_id())
        OR (SELECT cbi.has_role('auditor'))$rule$;
BEGIN
    FOREACH target IN ARRAY ARRAY['delta', 'snapshot'] LOOP
        CALL cbi.make_append_only(('ledger.' || target)::regclass);
        CALL cbi.guard(('ledger.' || target)::regclass, reading, 'false');
    END LOOP;
    CALL cbi.make_append_only('ledger.transfer');
    -- A sealer that saw only some transfers would leave the others out of the log for good.
    CALL cbi.guard('ledger.transfer',
        $rule$partner_id = (SELECT cbi.partner_id())
            OR (SELECT cbi.has_role('auditor', 'sealer'))$rule$,
        $rule$partner_id = (SELECT cbi.partner_id())$rule$);
    -- Who asks, and as what, is looked up once for a statement and not for each of a million rows.
    FOREACH target IN ARRAY ARRAY['account', 'attempt', 'outcome', 'giveback', 'statement',
            'statement_line', 'rejected_line', 'allocation'] LOOP
        EXECUTE format('ALTER POLICY reading ON ledger.%I USING (%s)', target, reading);
    END LOOP;
END $$;

-- The service can't choose the transaction id of its rows: an old one would stand in a range that
-- is sealed already. And only a batch moves accounts.
REVOKE INSERT ON ledger.transfer, ledger.delta, ledger.snapshot FROM cbi_app;
GRANT INSERT (transfer_id, entry_id, partner_id, kind, debit_account, credit_account, currency,
    amount_minor, payment_id, attempt_no, reverses, effective_on, booked_on, posted_at, actor_id)
    ON ledger.transfer TO cbi_app;

GRANT SELECT ON ledger.account, ledger.transfer, ledger.exchange, ledger.delta, ledger.snapshot
    TO cbi_book;
GRANT SELECT (payment_id, attempt_no, partner_id, amount_minor, currency) ON ledger.attempt
    TO cbi_book;
GRANT SELECT (payment_id, attempt_no, outcome, part_minor) ON ledger.outcome TO cbi_book;
GRANT SELECT (payment_id, attempt_no, partner_id) ON ledger.giveback TO cbi_book;
GRANT SELECT (partner_id, until) ON ledger.period TO cbi_book;
GRANT INSERT ON ledger.delta, ledger.snapshot TO cbi_book;
DO $$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['account', 'transfer', 'attempt', 'outcome', 'giveback', 'exchange',
            'period', 'delta', 'snapshot'] LOOP
        EXECUTE format('CREATE POLICY book ON ledger.%I FOR SELECT TO cbi_book USING (true)', target);
    END LOOP;
END $$;
CREATE POLICY book_adding ON ledger.delta FOR INSERT TO cbi_book WITH CHECK (true);
CREATE POLICY book_adding ON ledger.snapshot FOR INSERT TO cbi_book WITH CHECK (true);

-- So many deltas since its last snapshot, and an account gets the next.
CREATE FUNCTION ledger.deltas_max() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 100;

-- Says what is wrong with the reversals of these transfers, if anything: each mirrors its original,
-- and together they take back no more than it moved.
CREATE FUNCTION ledger.wrong_reversal(partner_id uuid, originals uuid[]) RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    -- An organisation's reversals come one after the other; a lock for each original would exhaust
    -- the server's. What was committed meanwhile is seen by the next statement.
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.reversals ' || partner_id::text, 0));
    IF EXISTS (
        SELECT FROM unnest(originals) AS u(transfer_id)
        JOIN ledger.transfer AS r ON r.reverses = u.transfer_id
        WHERE NOT EXISTS (
            SELECT FROM ledger.transfer AS o WHERE o.transfer_id = r.reverses
                AND o.debit_account = r.credit_account AND o.credit_account = r.debit_account
                AND o.currency = r.currency AND o.partner_id = r.partner_id
                AND o.payment_id IS NOT DISTINCT FROM r.payment_id
                AND o.attempt_no IS NOT DISTINCT FROM r.attempt_no OFFSET 0)) THEN
        RETURN 'transfer_reverse_mirrors';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(originals) AS u(transfer_id)
        JOIN ledger.transfer AS o ON o.transfer_id = u.transfer_id
        WHERE o.amount_minor < (SELECT sum(r.amount_minor) FROM ledger.transfer AS r
                                WHERE r.reverses = u.transfer_id)) THEN
        RETURN 'transfer_reversed_within';
    END IF;
    -- What a family got is taken back only beside the fact that it came back.
    IF EXISTS (
        SELECT FROM unnest(originals) AS u(transfer_id)
        JOIN ledger.transfer AS o ON o.transfer_id = u.transfer_id
        WHERE o.kind = 'post' AND NOT EXISTS (
            SELECT FROM ledger.giveback AS g WHERE g.payment_id = o.payment_id
                AND g.attempt_no = o.attempt_no AND g.partner_id = o.partner_id OFFSET 0)) THEN
        RETURN 'transfer_of_giveback';
    END IF;
    RETURN NULL;
END $$;

-- Checks all new rows at once, adds up what they do to each account, and refuses what would leave
-- one below its floor. It looks past row-level security, so each question names the partner. Everything is found by an index, on plans that are made once: a batch costs the same
-- however many came before it.
CREATE FUNCTION ledger.book() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
SET enable_bitmapscan = off AS $$
DECLARE
    batch record;
    wrong text;
    told text := '{}';
    account record;
BEGIN
    PERFORM ledger.must_see_now();
    -- Many rows, few ways between two accounts: one pass over the rows, and each account is looked
    -- up once.
    WITH way AS (
        SELECT t.debit_account, t.credit_account, t.currency, t.partner_id, t.effective_on,
            coalesce(t.booked_on, t.effective_on) AS booked_on, t.posted_at,
            t.booked_on AS late_on, sum(t.amount_minor) AS amount_minor,
            bool_or(t.kind IN ('reserve', 'post', 'void')) AS moves,
            bool_or(t.kind = 'reserve' AND t.attempt_no > 1) AS repeats,
            bool_or(t.reverses IS NOT NULL) AS reverses, bool_or(t.kind = 'exchange') AS exchanges
        FROM new_transfers AS t
        GROUP BY t.debit_account, t.credit_account, t.currency, t.partner_id, t.effective_on,
            t.booked_on, t.posted_at
    ), whole AS (
        SELECT (SELECT t.transfer_id FROM new_transfers AS t LIMIT 1) AS batch_id,
            min(w.booked_on) AS booked_on,
            min(w.partner_id::text)::uuid AS partner_id, count(DISTINCT w.partner_id) AS partners,
            count(DISTINCT w.posted_at) AS moments, min(w.late_on) AS late_first,
            max(w.late_on) AS late_last, bool_or(w.moves) AS moves, bool_or(w.repeats) AS repeats,
            bool_or(w.reverses) AS reverses, bool_or(w.exchanges) AS exchanges
        FROM way AS w
    ), side AS (
        SELECT w.debit_account AS account_id, true AS is_debit, w.* FROM way AS w
        UNION ALL SELECT w.credit_account, false, w.* FROM way AS w
    ), added AS (
        INSERT INTO ledger.delta (account_id, batch_id, partner_id, booked_on, effective_on,
            debit_minor, credit_minor, posted_at)
        SELECT s.account_id, whole.batch_id, s.partner_id, s.booked_on, s.effective_on,
            coalesce(sum(s.amount_minor) FILTER (WHERE s.is_debit), 0),
            coalesce(sum(s.amount_minor) FILTER (WHERE NOT s.is_debit), 0), min(s.posted_at)
        FROM side AS s CROSS JOIN whole
        GROUP BY s.account_id, whole.batch_id, s.partner_id, s.booked_on, s.effective_on
    ), asked AS (
        SELECT s.account_id, bool_or(a.account_id IS NULL) AS is_strange,
            bool_and(s.is_debit) AS is_debit,
            sum(CASE WHEN s.is_debit = (a.normal = 'debit') THEN s.amount_minor
                     ELSE -s.amount_minor END) < 0 AND min(a.floor_minor) IS NOT NULL AS falls,
            sum(s.amount_minor) > 10000000000000 AS is_large
        FROM side AS s LEFT JOIN ledger.account AS a ON a.account_id = s.account_id
            AND a.currency = s.currency AND a.partner_id = s.partner_id
        GROUP BY s.account_id
    )
    SELECT whole.*, f.falling, f.large, f.strange, f.is_debit INTO batch
    FROM whole CROSS JOIN (
        SELECT array_agg(a.account_id ORDER BY a.account_id) FILTER (WHERE a.falls) AS falling,
            array_agg(a.account_id) FILTER (WHERE a.is_large) AS large,
            (array_agg(a.account_id ORDER BY a.is_debit DESC)
                FILTER (WHERE a.is_strange))[1] AS strange,
            bool_or(a.is_debit) FILTER (WHERE a.is_strange) AS is_debit
        FROM asked AS a) AS f;
    IF batch.batch_id IS NULL THEN
        RETURN NULL;
    END IF;
    IF batch.strange IS NOT NULL THEN
        wrong := CASE WHEN batch.is_debit THEN 'transfer_debit_account'
                      ELSE 'transfer_credit_account' END;
        told := json_build_object('account_id', batch.strange);
    ELSIF batch.partners > 1 THEN
        wrong := 'transfer_one_partner';
    ELSIF batch.moments > 1 THEN
        wrong := 'transfer_one_moment';
    -- So that no sum ever outgrows its column: only large amounts could bring one near it.
    ELSIF batch.large IS NOT NULL AND EXISTS (
        SELECT FROM unnest(batch.large) AS l(account_id) WHERE (
            SELECT greatest(sum(d.debit_minor), sum(d.credit_minor)) > 1000000000000000000
            FROM ledger.delta AS d WHERE d.account_id = l.account_id)) THEN
        wrong := 'transfer_sum_bounded';
    END IF;

    PERFORM pg_advisory_xact_lock_shared(ledger.period_lock(batch.partner_id));
    IF wrong IS NULL AND EXISTS (
        SELECT FROM ledger.period AS p
        WHERE p.partner_id = batch.partner_id AND p.until >= batch.booked_on) THEN
        wrong := 'transfer_in_open_period';
    END IF;
    -- Late is what its own period is closed for, and it is booked on the first open day.
    IF wrong IS NULL AND batch.late_first IS NOT NULL AND (
        SELECT max(p.until) + 1 = batch.late_first AND batch.late_first = batch.late_last
            AND (SELECT max(t.effective_on) FROM new_transfers AS t
                 WHERE t.booked_on IS NOT NULL) < batch.late_first
        FROM ledger.period AS p WHERE p.partner_id = batch.partner_id) IS NOT true THEN
        wrong := 'transfer_late_in_open_period';
    END IF;

    -- A payment is reserved for its attempt; what was delivered of it is posted, what was not is
    -- voided: beside that very outcome, and no more. (OFFSET 0: each row asks by itself, by
    -- the index of payments: a plan that joins, or takes the one of partners, because the table was
    -- empty when it was made, would read all attempts for each row.)
    IF batch.moves AND wrong IS NULL AND EXISTS (
        SELECT FROM new_transfers AS t
        WHERE t.kind = 'reserve' AND NOT EXISTS (
            SELECT FROM ledger.attempt AS a
            WHERE a.payment_id = t.payment_id AND a.attempt_no = t.attempt_no
                AND CASE WHEN a.partner_id = t.partner_id AND a.currency = t.currency
                    THEN a.amount_minor = t.amount_minor END OFFSET 0)) THEN
        wrong := 'transfer_of_outcome';
    END IF;
    IF batch.moves AND wrong IS NULL AND EXISTS (
        SELECT FROM new_transfers AS t
        WHERE t.kind IN ('post', 'void') AND NOT EXISTS (
            SELECT FROM ledger.attempt AS a JOIN ledger.outcome AS o
                ON o.payment_id = a.payment_id AND o.attempt_no = a.attempt_no
            CROSS JOIN LATERAL (SELECT CASE o.outcome WHEN 'void' THEN 0
                ELSE coalesce(o.part_minor, a.amount_minor) END AS delivered_minor) AS d
            WHERE a.payment_id = t.payment_id AND a.attempt_no = t.attempt_no
                AND CASE WHEN a.partner_id = t.partner_id AND a.currency = t.currency
                    THEN t.amount_minor = CASE t.kind WHEN 'post' THEN d.delivered_minor
                        ELSE a.amount_minor - d.delivered_minor END END OFFSET 0)) THEN
        wrong := 'transfer_of_outcome';
    END IF;
    -- Another attempt is reserved when the money of the one before is free again.
    IF batch.repeats AND wrong IS NULL AND EXISTS (
        SELECT FROM new_transfers AS t
        WHERE t.kind = 'reserve' AND t.attempt_no > 1 AND NOT EXISTS (
            SELECT FROM ledger.transfer AS v
            WHERE v.payment_id = t.payment_id AND v.attempt_no = t.attempt_no - 1
                AND v.kind = 'void' AND v.transfer_id BETWEEN
                    (left(t.payment_id::text, 18) || '-0000-000000000000')::uuid
                    AND (left(t.payment_id::text, 18) || '-ffff-ffffffffffff')::uuid OFFSET 0)) THEN
        wrong := 'transfer_after_void';
    END IF;

    IF batch.reverses AND wrong IS NULL THEN
        wrong := ledger.wrong_reversal(batch.partner_id, array_agg(DISTINCT t.reverses))
            FROM new_transfers AS t WHERE t.reverses IS NOT NULL;
    END IF;

    -- The two legs of an exchange come together, and are what it says.
    IF batch.exchanges AND wrong IS NULL AND EXISTS (
        SELECT FROM (SELECT DISTINCT t.entry_id FROM new_transfers AS t
                     WHERE t.kind = 'exchange') AS e
        LEFT JOIN ledger.exchange AS x
            ON x.entry_id = e.entry_id AND x.partner_id = batch.partner_id
        WHERE (SELECT count(*) FILTER (WHERE (t.currency, t.amount_minor)
                      IN ((x.sold_currency, x.sold_minor), (x.bought_currency, x.bought_minor))) = 2
                   AND count(*) = 2 AND count(DISTINCT t.currency) = 2
               FROM new_transfers AS t
               WHERE t.entry_id = e.entry_id AND t.kind = 'exchange') IS NOT true) THEN
        wrong := 'transfer_exchange_whole';
    END IF;

    IF wrong IS NULL AND batch.falling IS NOT NULL THEN
        -- In the order of ids, so that two batches wait for each other and never in a circle. What
        -- was committed meanwhile is seen by the next statement.
        PERFORM pg_advisory_xact_lock(hashtextextended('ledger.account ' || f.account_id::text, 0))
        FROM unnest(batch.falling) AS f(account_id);
        FOR account IN
            SELECT b.*, a.code, a.currency, a.floor_minor, a.partner_id
            FROM ledger.account AS a CROSS JOIN LATERAL ledger.balance_of(a.account_id) AS b
            WHERE a.account_id = ANY (batch.falling) ORDER BY a.code COLLATE "C"
        LOOP
            IF account.is_ahead THEN
                -- A restored dump in a younger cluster: what comes now would not be counted.
                wrong := 'snapshot_ended';
                EXIT;
            ELSIF account.balance_minor < account.floor_minor THEN
                wrong := 'account_floor';
                SELECT json_build_object('account_code', account.code, 'currency', account.currency,
                    'available_minor', account.balance_minor - account.floor_minor + falls.minor,
                    'wanted_minor', falls.minor) INTO told
                FROM (SELECT sum(CASE WHEN (t.debit_account = account.account_id)
                                      = (account.normal = 'debit') THEN -t.amount_minor
                                      ELSE t.amount_minor END)::bigint AS minor
                      FROM new_transfers AS t
                      WHERE account.account_id IN (t.debit_account, t.credit_account)) AS falls;
                EXIT;
            ELSIF account.ended >= ledger.deltas_max() THEN
                -- Whoever draws on a busy account sums it up for those who follow.
                INSERT INTO ledger.snapshot (account_id, below, partner_id, debit_minor, credit_minor)
                VALUES (account.account_id, account.below, account.partner_id,
                    account.ended_debit, account.ended_credit)
                ON CONFLICT DO NOTHING;
            END IF;
        END LOOP;
    END IF;

    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'a transfer is refused' USING ERRCODE = 'integrity_constraint_violation',
            CONSTRAINT = wrong, DETAIL = told;
    END IF;
    RETURN NULL;
END $$;

-- An account's balance now, in its normal direction: the newest snapshot and the deltas since. Of
-- these, `ended` are of transactions below which nothing comes any more; the sums up to there are
-- what the next snapshot holds.
CREATE FUNCTION ledger.balance_of(wanted uuid)
RETURNS TABLE (account_id uuid, normal text, balance_minor bigint, ended bigint, below bigint,
    ended_debit bigint, ended_credit bigint, is_ahead boolean)
LANGUAGE sql STABLE AS $$
    SELECT a.account_id, a.normal,
        ((s.debit_minor + d.debit - s.credit_minor - d.credit)
            * CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END)::bigint,
        d.ended, d.below, (s.debit_minor + d.ended_debit)::bigint,
        (s.credit_minor + d.ended_credit)::bigint, s.below > d.below
    FROM ledger.account AS a
    CROSS JOIN LATERAL (
        (SELECT n.below, n.debit_minor, n.credit_minor FROM ledger.snapshot AS n
         WHERE n.account_id = a.account_id ORDER BY n.below DESC LIMIT 1)
        UNION ALL SELECT 0, 0, 0
        ORDER BY below DESC LIMIT 1) AS s
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(m.debit_minor), 0) AS debit, coalesce(sum(m.credit_minor), 0) AS credit,
            count(*) FILTER (WHERE m.xid < h.below) AS ended, min(h.below) AS below,
            coalesce(sum(m.debit_minor) FILTER (WHERE m.xid < h.below), 0) AS ended_debit,
            coalesce(sum(m.credit_minor) FILTER (WHERE m.xid < h.below), 0) AS ended_credit
        FROM (SELECT ledger.ended_below() AS below) AS h
        LEFT JOIN ledger.delta AS m ON m.account_id = a.account_id AND m.xid >= s.below) AS d
    WHERE a.account_id = wanted
$$;

CREATE TRIGGER transfer_booked AFTER INSERT ON ledger.transfer
    REFERENCING NEW TABLE AS new_transfers FOR EACH STATEMENT EXECUTE FUNCTION ledger.book();
ALTER TABLE ledger.transfer ENABLE ALWAYS TRIGGER transfer_booked;

-- The log holds transfers and digests; who makes one under the other's id stops nobody.
ALTER TABLE ledger.leaf RENAME COLUMN transfer_id TO sealed_id;
ALTER TABLE ledger.leaf ADD COLUMN is_digest boolean NOT NULL DEFAULT false;
ALTER TABLE ledger.leaf DROP CONSTRAINT leaf_transfer_once;
ALTER TABLE ledger.leaf ADD CONSTRAINT leaf_sealed_once UNIQUE (sealed_id, is_digest);
-- Salts are what hides a transfer from who holds its leaf's hash: one's own only. The hashes are for
-- all, they are what proofs are made of.
ALTER POLICY reading ON ledger.leaf USING ((SELECT cbi.has_role('auditor', 'sealer'))
    OR NOT is_digest AND EXISTS (SELECT FROM ledger.transfer AS t WHERE t.transfer_id = sealed_id)
    OR is_digest AND EXISTS (SELECT FROM ledger.digest AS d WHERE d.digest_id = sealed_id));
GRANT SELECT (leaf_no, leaf_hash) ON ledger.leaf TO cbi_door;
CREATE POLICY door ON ledger.leaf FOR SELECT TO cbi_door USING (true);
CREATE FUNCTION ledger.leaf_hashes(first bigint, behind bigint) RETURNS TABLE (leaf_hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT l.leaf_hash FROM ledger.leaf AS l
    WHERE l.leaf_no >= first AND l.leaf_no < behind ORDER BY l.leaf_no
$$;
CREATE OR REPLACE FUNCTION ledger.check_leaves() RETURNS trigger LANGUAGE plpgsql
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
    IF (SELECT count(*) FROM new_leaves AS n JOIN ledger.transfer AS t ON t.transfer_id = n.sealed_id
        WHERE NOT n.is_digest)
        + (SELECT count(*) FROM new_leaves AS n JOIN ledger.digest AS d ON d.digest_id = n.sealed_id
           WHERE n.is_digest) <> many THEN
        RAISE EXCEPTION 'a leaf stands for nothing'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'leaf_of_transfer';
    END IF;
    RETURN NULL;
END $$;

RESET ROLE;
GRANT CREATE ON SCHEMA ledger TO cbi_book, cbi_door;
ALTER FUNCTION ledger.book() OWNER TO cbi_book;
ALTER FUNCTION ledger.leaf_hashes(bigint, bigint) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA ledger FROM cbi_book, cbi_door;
REVOKE ALL ON FUNCTION ledger.book(), ledger.leaf_hashes(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.leaf_hashes(bigint, bigint) TO cbi_app;
