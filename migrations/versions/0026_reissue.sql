-- What failed is paid again: another attempt after one that was voided, or whose money came back.
-- Follow-ups of a round do it, under four signatures of their own; and what nobody collected is
-- ended by two people.
SET LOCAL ROLE cbi_owner;

-- ---------------------------------------------------------------- the ledger

-- Attempt n+1 stands on what ended attempt n: its void outcome, or the return of what it delivered.
ALTER TABLE ledger.giveback
    ADD CONSTRAINT giveback_partner_once UNIQUE (payment_id, attempt_no, partner_id);
ALTER TABLE ledger.attempt
    ADD COLUMN after_return boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT attempt_first_after_nothing CHECK (attempt_no > 1 OR NOT after_return);
ALTER TABLE ledger.attempt ALTER COLUMN previous_outcome SET EXPRESSION AS
    (CASE WHEN attempt_no > 1 AND NOT after_return THEN 'void' END);
ALTER TABLE ledger.attempt
    ADD COLUMN returned_no integer GENERATED ALWAYS AS
        (CASE WHEN after_return THEN attempt_no - 1 END) STORED,
    ADD CONSTRAINT attempt_after_return FOREIGN KEY (payment_id, returned_no, partner_id)
        REFERENCES ledger.giveback (payment_id, attempt_no, partner_id);
GRANT SELECT (after_return) ON ledger.attempt TO cbi_book;

RESET ROLE;
GRANT CREATE ON SCHEMA ledger TO cbi_book;
SET LOCAL ROLE cbi_book;

-- As before, and another attempt is reserved also when what the one before delivered came back.
CREATE OR REPLACE FUNCTION ledger.book() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
        WHERE t.kind = 'reserve' AND t.attempt_no > 1 AND CASE WHEN (
            SELECT a.after_return FROM ledger.attempt AS a
            WHERE a.payment_id = t.payment_id AND a.attempt_no = t.attempt_no)
        -- What was delivered and came back is taken back, and then freed.
        THEN (
            SELECT count(DISTINCT v.kind) FROM ledger.transfer AS v
            WHERE v.payment_id = t.payment_id AND v.attempt_no = t.attempt_no - 1
                AND v.kind IN ('reverse', 'adjust') AND v.transfer_id BETWEEN
                    (left(t.payment_id::text, 18) || '-0000-000000000000')::uuid
                    AND (left(t.payment_id::text, 18) || '-ffff-ffffffffffff')::uuid) < 2
        ELSE NOT EXISTS (
            SELECT FROM ledger.transfer AS v
            WHERE v.payment_id = t.payment_id AND v.attempt_no = t.attempt_no - 1
                AND v.kind = 'void' AND v.transfer_id BETWEEN
                    (left(t.payment_id::text, 18) || '-0000-000000000000')::uuid
                    AND (left(t.payment_id::text, 18) || '-ffff-ffffffffffff')::uuid OFFSET 0) END) THEN
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

RESET ROLE;
REVOKE CREATE ON SCHEMA ledger FROM cbi_book;

SET LOCAL ROLE cbi_owner;

-- ---------------------------------------------------------------- follow-ups

-- Another try at what failed in a released round. The newest follow-up of a round counts: one that
-- was opened before it and not released can't be signed any more.
CREATE TABLE cbi.followup (
    followup_id uuid CONSTRAINT followup_pkey PRIMARY KEY,
    round_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    followup_no integer NOT NULL CONSTRAINT followup_no_positive CHECK (followup_no >= 1),
    pays_on date NOT NULL,
    -- Payments that failed too and were not looked at: a list has an end.
    waiting integer NOT NULL CONSTRAINT followup_waiting_counted CHECK (waiting >= 0),
    opened_by uuid NOT NULL,
    opened_at timestamptz NOT NULL,
    released smallint GENERATED ALWAYS AS (5) STORED,
    CONSTRAINT followup_no_once UNIQUE (round_id, followup_no),
    CONSTRAINT followup_round_once UNIQUE (followup_id, round_id, partner_id),
    CONSTRAINT followup_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id),
    CONSTRAINT followup_after_release FOREIGN KEY (round_id, released)
        REFERENCES cbi.round_step (round_id, step)
);

-- Who is on the list: a payment of the round, the attempt it gets, and what ended the one before.
CREATE TABLE cbi.followup_payment (
    followup_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    round_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    attempt_no integer NOT NULL CONSTRAINT followup_payment_again CHECK (attempt_no > 1),
    after_return boolean NOT NULL,
    amount_minor bigint NOT NULL,
    voided_no integer GENERATED ALWAYS AS
        (CASE WHEN NOT after_return THEN attempt_no - 1 END) STORED,
    voided text GENERATED ALWAYS AS ('void') STORED,
    returned_no integer GENERATED ALWAYS AS
        (CASE WHEN after_return THEN attempt_no - 1 END) STORED,
    CONSTRAINT followup_payment_pkey PRIMARY KEY (followup_id, payment_id),
    CONSTRAINT followup_payment_of_followup FOREIGN KEY (followup_id, round_id, partner_id)
        REFERENCES cbi.followup (followup_id, round_id, partner_id),
    CONSTRAINT followup_payment_after_void FOREIGN KEY (payment_id, voided_no, voided, partner_id)
        REFERENCES ledger.outcome (payment_id, attempt_no, outcome, partner_id),
    CONSTRAINT followup_payment_after_return FOREIGN KEY (payment_id, returned_no, partner_id)
        REFERENCES ledger.giveback (payment_id, attempt_no, partner_id)
);
CREATE INDEX followup_payment_by_payment ON cbi.followup_payment (payment_id, attempt_no);

-- Whose payment failed and is not on the list, and why.
CREATE TABLE cbi.followup_left_out (
    followup_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    round_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    reasons text[] NOT NULL
        CONSTRAINT followup_left_out_has_reasons CHECK (cardinality(reasons) > 0),
    CONSTRAINT followup_left_out_pkey PRIMARY KEY (followup_id, payment_id),
    CONSTRAINT followup_left_out_of_followup FOREIGN KEY (followup_id, round_id, partner_id)
        REFERENCES cbi.followup (followup_id, round_id, partner_id)
);

-- As for rounds: 1 calculated, 2 prepared, 3 reviewed, 4 approved, 5 released.
CREATE TABLE cbi.followup_step (
    followup_id uuid NOT NULL,
    step smallint NOT NULL CONSTRAINT followup_step_known CHECK (step BETWEEN 1 AND 5),
    previous smallint GENERATED ALWAYS AS (nullif(step - 1, 0)) STORED,
    round_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    payments integer NOT NULL,
    amount_minor bigint NOT NULL,
    list_digest bytea NOT NULL,
    CONSTRAINT followup_step_once PRIMARY KEY (followup_id, step),
    CONSTRAINT followup_step_of_followup FOREIGN KEY (followup_id, round_id, partner_id)
        REFERENCES cbi.followup (followup_id, round_id, partner_id),
    CONSTRAINT followup_step_in_order FOREIGN KEY (followup_id, previous)
        REFERENCES cbi.followup_step (followup_id, step)
);
CREATE UNIQUE INDEX followup_step_four_people
    ON cbi.followup_step (followup_id, actor_id) WHERE step >= 2;

-- The exact bytes that went to the provider, sealed, with their digest.
CREATE TABLE cbi.followup_file (
    followup_id uuid CONSTRAINT followup_file_pkey PRIMARY KEY,
    round_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    message_id text NOT NULL CONSTRAINT followup_file_message_once UNIQUE,
    sha256 bytea NOT NULL CONSTRAINT followup_file_digest_length CHECK (length(sha256) = 32),
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    sealed bytea NOT NULL,
    written_at timestamptz NOT NULL,
    CONSTRAINT followup_file_of_followup FOREIGN KEY (followup_id, round_id, partner_id)
        REFERENCES cbi.followup (followup_id, round_id, partner_id)
);

DO $$
DECLARE
    target text;
    reading text := 'partner_id = cbi.partner_id() OR cbi.has_role(''auditor'')';
BEGIN
    FOREACH target IN ARRAY ARRAY['followup', 'followup_payment', 'followup_left_out',
            'followup_step', 'followup_file'] LOOP
        CALL cbi.make_append_only(('cbi.' || target)::regclass);
    END LOOP;
    CALL cbi.guard('cbi.followup', reading,
        'partner_id = cbi.partner_id() AND opened_by = cbi.actor_id()');
    CALL cbi.guard('cbi.followup_payment', reading, 'partner_id = cbi.partner_id()');
    CALL cbi.guard('cbi.followup_left_out', reading, 'partner_id = cbi.partner_id()');
    CALL cbi.guard('cbi.followup_step', reading,
        'partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()');
    CALL cbi.guard('cbi.followup_file', $rule$partner_id = cbi.partner_id()
        AND cbi.has_role('finance') AND EXISTS (SELECT FROM cbi.followup_step AS s
            WHERE s.followup_id = followup_file.followup_id AND s.step = 5)$rule$,
        'partner_id = cbi.partner_id()');
END $$;

-- The list of a follow-up: how many payments, their sum, and the digest of ids, attempts and
-- amounts that signatures stand on.
CREATE FUNCTION cbi.followup_list(wanted uuid)
RETURNS TABLE (payments bigint, amount_minor bigint, list_digest bytea)
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT count(*), coalesce(sum(p.amount_minor), 0)::bigint, sha256(convert_to(coalesce(
        string_agg(p.payment_id || ' ' || p.attempt_no || ' ' || p.amount_minor || E'\n', ''
            ORDER BY p.payment_id), ''), 'UTF8'))
    FROM cbi.followup_payment AS p WHERE p.followup_id = wanted
$$;

CREATE FUNCTION cbi.refuse_in_followup(followup_id uuid, rule text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'follow-up % is held to %', followup_id, rule
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = rule;
END $$;

CREATE FUNCTION cbi.check_followup() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    IF NEW.followup_no <> (SELECT count(*) FROM cbi.followup AS f
                           WHERE f.round_id = NEW.round_id AND f.partner_id = NEW.partner_id) THEN
        PERFORM cbi.refuse_in_followup(NEW.followup_id, 'followup_no_next');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER followup_checked AFTER INSERT ON cbi.followup
    FOR EACH ROW EXECUTE FUNCTION cbi.check_followup();
ALTER TABLE cbi.followup ENABLE ALWAYS TRIGGER followup_checked;

-- The list is whole before the first step; each stands for a payment of that round which is not
-- cancelled, with its whole amount, and it is the next attempt.
CREATE FUNCTION cbi.check_followup_payments() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    this record;
BEGIN
    FOR this IN SELECT DISTINCT n.followup_id, n.round_id FROM new_payments AS n
                ORDER BY n.round_id, n.followup_id LOOP
        PERFORM cbi.lock_round(this.round_id);
        IF EXISTS (SELECT FROM cbi.followup_step AS s WHERE s.followup_id = this.followup_id) THEN
            PERFORM cbi.refuse_in_followup(this.followup_id, 'followup_payment_before_signatures');
        END IF;
    END LOOP;
    FOR this IN
        SELECT n.followup_id FROM new_payments AS n WHERE NOT EXISTS (
            SELECT FROM cbi.entitlement AS e WHERE e.entitlement_id = n.payment_id
                AND e.round_id = n.round_id AND e.partner_id = n.partner_id
                AND e.household_id = n.household_id AND e.amount_minor = n.amount_minor
                AND e.cancelled_at IS NULL OFFSET 0)
            OR EXISTS (SELECT FROM ledger.attempt AS a WHERE a.payment_id = n.payment_id
                AND a.attempt_no >= n.attempt_no OFFSET 0) LIMIT 1 LOOP
        PERFORM cbi.refuse_in_followup(this.followup_id, 'followup_payment_of_round');
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER followup_payment_checked AFTER INSERT ON cbi.followup_payment
    REFERENCING NEW TABLE AS new_payments
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_followup_payments();
ALTER TABLE cbi.followup_payment ENABLE ALWAYS TRIGGER followup_payment_checked;

-- Who is left out is said before the first step as well, and files are written before the last.
CREATE FUNCTION cbi.check_followup_left_out() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this record;
BEGIN
    FOR this IN SELECT DISTINCT n.followup_id, n.round_id FROM new_left_out AS n
                ORDER BY n.round_id, n.followup_id LOOP
        PERFORM cbi.lock_round(this.round_id);
        IF EXISTS (SELECT FROM cbi.followup_step AS s WHERE s.followup_id = this.followup_id) THEN
            PERFORM cbi.refuse_in_followup(this.followup_id, 'followup_left_out_before_signatures');
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER followup_left_out_checked AFTER INSERT ON cbi.followup_left_out
    REFERENCING NEW TABLE AS new_left_out
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_followup_left_out();
ALTER TABLE cbi.followup_left_out ENABLE ALWAYS TRIGGER followup_left_out_checked;

CREATE FUNCTION cbi.check_followup_file() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    IF EXISTS (SELECT FROM cbi.followup_step AS s
               WHERE s.followup_id = NEW.followup_id AND s.step = 5) THEN
        PERFORM cbi.refuse_in_followup(NEW.followup_id, 'followup_file_before_release');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER followup_file_checked AFTER INSERT ON cbi.followup_file
    FOR EACH ROW EXECUTE FUNCTION cbi.check_followup_file();
ALTER TABLE cbi.followup_file ENABLE ALWAYS TRIGGER followup_file_checked;

-- A signature stands on the list as it is, of the round's newest follow-up. The last one comes when
-- each payment has its attempt, which is reserved, the file is there, and nothing that is promised
-- is not the provider's to pay.
CREATE FUNCTION cbi.check_followup_step() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    list record;
    booked bigint;
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    IF EXISTS (SELECT FROM cbi.followup AS f JOIN cbi.followup AS newer
                   ON newer.round_id = f.round_id AND newer.followup_no > f.followup_no
               WHERE f.followup_id = NEW.followup_id) THEN
        PERFORM cbi.refuse_in_followup(NEW.followup_id, 'followup_step_of_newest');
    END IF;
    SELECT * INTO list FROM cbi.followup_list(NEW.followup_id);
    IF list.payments = 0 OR (NEW.payments, NEW.amount_minor, NEW.list_digest)
            IS DISTINCT FROM (list.payments, list.amount_minor, list.list_digest) THEN
        PERFORM cbi.refuse_in_followup(NEW.followup_id, 'followup_step_of_list');
    END IF;
    IF NEW.step < 5 THEN
        RETURN NULL;
    END IF;
    SELECT count(*) INTO booked FROM cbi.followup_payment AS p
    WHERE p.followup_id = NEW.followup_id AND EXISTS (
        SELECT FROM ledger.attempt AS a JOIN ledger.transfer AS t ON t.payment_id = a.payment_id
            AND t.attempt_no = a.attempt_no AND t.kind = 'reserve' AND t.transfer_id BETWEEN
                (left(p.payment_id::text, 18) || '-0000-000000000000')::uuid
                AND (left(p.payment_id::text, 18) || '-ffff-ffffffffffff')::uuid
        WHERE a.payment_id = p.payment_id AND a.attempt_no = p.attempt_no
            AND a.amount_minor = p.amount_minor AND a.after_return = p.after_return OFFSET 0);
    IF booked <> NEW.payments OR NOT EXISTS (SELECT FROM cbi.followup_file AS f
                                             WHERE f.followup_id = NEW.followup_id)
       OR (SELECT sum(b.balance_minor) FROM ledger.account AS a
           CROSS JOIN LATERAL ledger.balance_of(a.account_id) AS b
           WHERE a.partner_id = NEW.partner_id
               AND a.code = 'round:' || NEW.round_id || ':committed') IS DISTINCT FROM 0 THEN
        PERFORM cbi.refuse_in_followup(NEW.followup_id, 'followup_step_booked');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER followup_step_checked AFTER INSERT ON cbi.followup_step
    FOR EACH ROW EXECUTE FUNCTION cbi.check_followup_step();
ALTER TABLE cbi.followup_step ENABLE ALWAYS TRIGGER followup_step_checked;

-- ---------------------------------------------------------------- expiry

-- Somebody says that the provider confirmed: this was not collected, and will not be.
CREATE TABLE cbi.expiry (
    payment_id uuid NOT NULL,
    attempt_no integer NOT NULL,
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    because text NOT NULL CONSTRAINT expiry_because_length CHECK (length(because) BETWEEN 1 AND 500),
    -- As the provider's profile had it.
    claim_days integer NOT NULL CONSTRAINT expiry_claim_days_range CHECK (claim_days BETWEEN 1 AND 366),
    CONSTRAINT expiry_pkey PRIMARY KEY (payment_id, attempt_no),
    CONSTRAINT expiry_actor_once UNIQUE (payment_id, attempt_no, actor_id, partner_id),
    CONSTRAINT expiry_of_attempt FOREIGN KEY (payment_id, attempt_no, partner_id)
        REFERENCES ledger.attempt (payment_id, attempt_no, partner_id)
);
CALL cbi.make_append_only('cbi.expiry');
CALL cbi.guard('cbi.expiry', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

-- And somebody else says it too.
CREATE TABLE cbi.expiry_confirmation (
    payment_id uuid NOT NULL,
    attempt_no integer NOT NULL,
    partner_id uuid NOT NULL,
    proposed_by uuid NOT NULL,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT expiry_confirmation_pkey PRIMARY KEY (payment_id, attempt_no),
    CONSTRAINT expiry_confirmation_two_people CHECK (actor_id <> proposed_by),
    CONSTRAINT expiry_confirmation_of_expiry
        FOREIGN KEY (payment_id, attempt_no, proposed_by, partner_id)
        REFERENCES cbi.expiry (payment_id, attempt_no, actor_id, partner_id)
);
CALL cbi.make_append_only('cbi.expiry_confirmation');
CALL cbi.guard('cbi.expiry_confirmation',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

-- Nothing is expired before its time: silence of so many days is the least that is asked for.
CREATE FUNCTION cbi.check_expiry() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.attempt AS a
                   WHERE a.payment_id = NEW.payment_id AND a.attempt_no = NEW.attempt_no
                     AND a.opened_at + make_interval(days => NEW.claim_days) < NEW.at) THEN
        RAISE EXCEPTION 'payment % can still be collected', NEW.payment_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'expiry_after_claim_days';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER expiry_checked AFTER INSERT ON cbi.expiry
    FOR EACH ROW EXECUTE FUNCTION cbi.check_expiry();
ALTER TABLE cbi.expiry ENABLE ALWAYS TRIGGER expiry_checked;

RESET ROLE;
