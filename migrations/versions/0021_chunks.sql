-- A round of any size: calculated page by page, funded once with its control total, reserved chunk
-- by chunk, and released when the chunks are the whole list. Each page and each chunk is a
-- transaction of its own and stands when the next one fails; the release is a small one.
SET LOCAL ROLE cbi_owner;

-- The list of a round as it stands: how many payments, their sum, and the digest of ids and amounts
-- that signatures stand on (cbi.entitlement.list_digest in the program).
CREATE FUNCTION cbi.list_of(wanted uuid)
RETURNS TABLE (payments bigint, amount_minor bigint, list_digest bytea)
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT count(*), coalesce(sum(e.amount_minor), 0)::bigint, sha256(convert_to(coalesce(
        string_agg(e.entitlement_id || ' ' || e.amount_minor || E'\n', '' ORDER BY e.entitlement_id),
        ''), 'UTF8'))
    FROM cbi.entitlement AS e WHERE e.round_id = wanted AND e.cancelled_at IS NULL
$$;
CREATE INDEX entitlement_cancelled ON cbi.entitlement (round_id) WHERE cancelled_at IS NOT NULL;

-- ---------------------------------------------------------------- calculation

-- Who was enrolled and is not on the list, and why.
CREATE TABLE cbi.left_out (
    round_id uuid NOT NULL,
    enrolment_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    reasons text[] NOT NULL CONSTRAINT left_out_has_reasons CHECK (cardinality(reasons) > 0),
    CONSTRAINT left_out_pkey PRIMARY KEY (round_id, enrolment_id),
    CONSTRAINT left_out_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id)
);
CALL cbi.make_append_only('cbi.left_out');
CALL cbi.guard('cbi.left_out', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id()$$);

-- A page of the calculation: the enrolments after the page before and up to this one are each on
-- the list or left out.
CREATE TABLE cbi.calculation_page (
    round_id uuid NOT NULL,
    page_no integer NOT NULL CONSTRAINT calculation_page_no_positive CHECK (page_no >= 1),
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    upto_enrolment uuid NOT NULL,
    payments integer NOT NULL,
    amount_minor bigint NOT NULL,
    left_out integer NOT NULL,
    is_last boolean NOT NULL,
    -- How many were enrolled when the calculation began: its progress is told by this.
    expected integer NOT NULL,
    CONSTRAINT calculation_page_pkey PRIMARY KEY (round_id, page_no),
    CONSTRAINT calculation_page_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id)
);
CALL cbi.make_append_only('cbi.calculation_page');
CALL cbi.guard('cbi.calculation_page',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

CREATE FUNCTION cbi.refuse_in_round(round_id uuid, rule text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'round % is held to %', round_id, rule
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = rule;
END $$;

CREATE FUNCTION cbi.check_left_out() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this uuid;
BEGIN
    FOR this IN SELECT DISTINCT n.round_id FROM new_left_out AS n ORDER BY n.round_id LOOP
        PERFORM cbi.lock_round(this);
        IF EXISTS (SELECT FROM cbi.round_step AS s WHERE s.round_id = this) THEN
            PERFORM cbi.refuse_in_round(this, 'left_out_before_signatures');
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER left_out_checked AFTER INSERT ON cbi.left_out
    REFERENCING NEW TABLE AS new_left_out
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_left_out();
ALTER TABLE cbi.left_out ENABLE ALWAYS TRIGGER left_out_checked;

CREATE FUNCTION cbi.check_calculation_page() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    after uuid := '00000000-0000-0000-0000-000000000000';
    ended boolean := false;
    many bigint;
    minor bigint;
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    IF EXISTS (SELECT FROM cbi.round_step AS s WHERE s.round_id = NEW.round_id) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'calculation_page_before_signatures');
    END IF;
    IF NEW.page_no > 1 THEN
        SELECT p.upto_enrolment, p.is_last INTO after, ended FROM cbi.calculation_page AS p
        WHERE p.round_id = NEW.round_id AND p.page_no = NEW.page_no - 1;
    END IF;
    IF after IS NULL OR ended OR after >= NEW.upto_enrolment THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'calculation_page_in_order');
    END IF;
    SELECT count(*), coalesce(sum(e.amount_minor), 0) INTO many, minor FROM cbi.entitlement AS e
    WHERE e.round_id = NEW.round_id
        AND e.enrolment_id > after AND e.enrolment_id <= NEW.upto_enrolment;
    IF (many, minor) <> (NEW.payments, NEW.amount_minor) OR NEW.left_out <> (
        SELECT count(*) FROM cbi.left_out AS l WHERE l.round_id = NEW.round_id
            AND l.enrolment_id > after AND l.enrolment_id <= NEW.upto_enrolment) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'calculation_page_sums');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER calculation_page_checked AFTER INSERT ON cbi.calculation_page
    FOR EACH ROW EXECUTE FUNCTION cbi.check_calculation_page();
ALTER TABLE cbi.calculation_page ENABLE ALWAYS TRIGGER calculation_page_checked;

-- ---------------------------------------------------------------- funding and chunks

-- A round is funded once: the control total of the list that was approved, set aside in one
-- transfer. What is reserved and what is taken off the list afterwards must add up to it.
CREATE TABLE cbi.funding (
    round_id uuid CONSTRAINT funding_once PRIMARY KEY,
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    payments integer NOT NULL CONSTRAINT funding_not_empty CHECK (payments > 0),
    amount_minor bigint NOT NULL,
    list_digest bytea NOT NULL,
    -- Taken off before: only what is taken off from here on lessens the control total.
    cancelled_payments integer NOT NULL,
    cancelled_minor bigint NOT NULL,
    approved smallint GENERATED ALWAYS AS (4) STORED,
    CONSTRAINT funding_of_list_once UNIQUE (round_id, list_digest),
    CONSTRAINT funding_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id),
    CONSTRAINT funding_after_approval FOREIGN KEY (round_id, approved)
        REFERENCES cbi.round_step (round_id, step)
);

-- A chunk: the payments after the chunk before and up to this one, reserved together. Its part of
-- the payment file is sealed beside it.
CREATE TABLE cbi.chunk (
    round_id uuid NOT NULL,
    list_digest bytea NOT NULL,
    chunk_no integer NOT NULL CONSTRAINT chunk_no_positive CHECK (chunk_no >= 1),
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    after_payment uuid NOT NULL,
    upto_payment uuid NOT NULL,
    payments integer NOT NULL CONSTRAINT chunk_size CHECK (payments BETWEEN 1 AND 10000),
    amount_minor bigint NOT NULL,
    CONSTRAINT chunk_once PRIMARY KEY (round_id, list_digest, chunk_no),
    CONSTRAINT chunk_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id),
    CONSTRAINT chunk_of_funding FOREIGN KEY (round_id, list_digest)
        REFERENCES cbi.funding (round_id, list_digest)
);

-- One part of the file for each chunk.
ALTER TABLE cbi.payment_file
    ADD COLUMN part_no integer NOT NULL DEFAULT 1
        CONSTRAINT payment_file_part_positive CHECK (part_no >= 1),
    DROP CONSTRAINT payment_file_pkey,
    ADD CONSTRAINT payment_file_pkey PRIMARY KEY (round_id, part_no);
ALTER TABLE cbi.payment_file ALTER COLUMN part_no DROP DEFAULT;
ALTER TABLE cbi.chunk ADD CONSTRAINT chunk_has_file FOREIGN KEY (round_id, chunk_no)
    REFERENCES cbi.payment_file (round_id, part_no);

-- What was released before this was funded and reserved at once, in one chunk.
ALTER TABLE cbi.round_step NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.entitlement NO FORCE ROW LEVEL SECURITY;
INSERT INTO cbi.funding (round_id, partner_id, actor_id, at, payments, amount_minor, list_digest,
    cancelled_payments, cancelled_minor)
SELECT s.round_id, s.partner_id, s.actor_id, s.at, s.payments, s.amount_minor, s.list_digest,
    count(e.*), coalesce(sum(e.amount_minor), 0)
FROM cbi.round_step AS s LEFT JOIN cbi.entitlement AS e
    ON e.round_id = s.round_id AND e.cancelled_at IS NOT NULL
WHERE s.step = 5 GROUP BY s.round_id, s.step;
INSERT INTO cbi.chunk (round_id, list_digest, chunk_no, partner_id, actor_id, at, after_payment,
    upto_payment, payments, amount_minor)
SELECT f.round_id, f.list_digest, 1, f.partner_id, f.actor_id, f.at,
    '00000000-0000-0000-0000-000000000000',
    (SELECT e.entitlement_id FROM cbi.entitlement AS e
     WHERE e.round_id = f.round_id ORDER BY e.entitlement_id DESC LIMIT 1),
    f.payments, f.amount_minor
FROM cbi.funding AS f;
ALTER TABLE cbi.round_step FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.entitlement FORCE ROW LEVEL SECURITY;

CALL cbi.make_append_only('cbi.funding');
CALL cbi.guard('cbi.funding', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);
CALL cbi.make_append_only('cbi.chunk');
CALL cbi.guard('cbi.chunk', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

-- Before the release nobody is handed a file, also not a part that is ready.
DROP POLICY reading ON cbi.payment_file;
CREATE POLICY reading ON cbi.payment_file FOR SELECT TO cbi_app
    USING (partner_id = cbi.partner_id() AND cbi.has_role('finance') AND EXISTS (
        SELECT FROM cbi.round_step AS s WHERE s.round_id = payment_file.round_id AND s.step = 5));

CREATE FUNCTION cbi.check_funding() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    list record;
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    -- Preparing, reviewing, approving and setting the money aside take four people; and who took a
    -- family off the list does not set aside for the rest.
    IF EXISTS (SELECT FROM cbi.round_step AS s WHERE s.round_id = NEW.round_id
               AND s.step >= 2 AND s.actor_id = NEW.actor_id)
       OR EXISTS (SELECT FROM cbi.entitlement AS e WHERE e.round_id = NEW.round_id
                  AND e.cancelled_at IS NOT NULL AND e.cancelled_by = NEW.actor_id) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'funding_fourth_person');
    END IF;
    SELECT * INTO list FROM cbi.list_of(NEW.round_id);
    IF (NEW.payments, NEW.amount_minor, NEW.list_digest)
            IS DISTINCT FROM (list.payments, list.amount_minor, list.list_digest)
       OR NOT EXISTS (
            SELECT FROM cbi.entitlement AS e
            WHERE e.round_id = NEW.round_id AND e.cancelled_at IS NOT NULL
            HAVING count(*) = NEW.cancelled_payments
                AND coalesce(sum(e.amount_minor), 0) = NEW.cancelled_minor) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'funding_of_list');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER funding_checked AFTER INSERT ON cbi.funding
    FOR EACH ROW EXECUTE FUNCTION cbi.check_funding();
ALTER TABLE cbi.funding ENABLE ALWAYS TRIGGER funding_checked;

-- A chunk is all that stands on the list between its two ends, each with an attempt of the same
-- amount.
CREATE FUNCTION cbi.check_chunk() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    after uuid := '00000000-0000-0000-0000-000000000000';
    many bigint;
    minor bigint;
    attempted bigint;
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    IF EXISTS (SELECT FROM cbi.round_step AS s WHERE s.round_id = NEW.round_id AND s.step = 5) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'chunk_before_release');
    END IF;
    IF NEW.chunk_no > 1 THEN
        SELECT c.upto_payment INTO after FROM cbi.chunk AS c
        WHERE c.round_id = NEW.round_id AND c.chunk_no = NEW.chunk_no - 1;
    END IF;
    IF after IS DISTINCT FROM NEW.after_payment OR NEW.upto_payment <= NEW.after_payment THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'chunk_in_order');
    END IF;
    -- What is cancelled is filtered late: asked for earlier it brings in indexes that serve nothing.
    SELECT count(*) FILTER (WHERE e.cancelled_at IS NULL),
        coalesce(sum(e.amount_minor) FILTER (WHERE e.cancelled_at IS NULL), 0),
        count(a.payment_id) FILTER (WHERE e.cancelled_at IS NULL)
    INTO many, minor, attempted
    FROM cbi.entitlement AS e LEFT JOIN ledger.attempt AS a
        ON a.payment_id = e.entitlement_id AND a.attempt_no = 1
        AND a.amount_minor = e.amount_minor AND a.currency = e.currency
    WHERE e.round_id = NEW.round_id AND e.entitlement_id > NEW.after_payment
        AND e.entitlement_id <= NEW.upto_payment;
    IF (many, minor) <> (NEW.payments, NEW.amount_minor) OR attempted <> many THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'chunk_of_payments');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER chunk_checked AFTER INSERT ON cbi.chunk
    FOR EACH ROW EXECUTE FUNCTION cbi.check_chunk();
ALTER TABLE cbi.chunk ENABLE ALWAYS TRIGGER chunk_checked;

CREATE FUNCTION cbi.check_payment_file() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    IF EXISTS (SELECT FROM cbi.round_step AS s WHERE s.round_id = NEW.round_id AND s.step = 5) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'payment_file_before_release');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER payment_file_checked AFTER INSERT ON cbi.payment_file
    FOR EACH ROW EXECUTE FUNCTION cbi.check_payment_file();
ALTER TABLE cbi.payment_file ENABLE ALWAYS TRIGGER payment_file_checked;

-- A payment whose chunk is in is history like a released one: its file is written.
CREATE OR REPLACE FUNCTION cbi.refuse_late_cancelling() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cbi.lock_round(OLD.round_id);
    IF OLD.cancelled_at IS NOT NULL
       OR EXISTS (SELECT FROM cbi.round_step WHERE round_id = OLD.round_id AND step = 5)
       OR EXISTS (SELECT FROM cbi.chunk
                  WHERE round_id = OLD.round_id AND upto_payment >= OLD.entitlement_id) THEN
        RAISE EXCEPTION 'entitlement % is settled', OLD.entitlement_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'entitlement_settled';
    END IF;
    RETURN NEW;
END $$;

-- ---------------------------------------------------------------- signatures

-- A signature stands on the list as it is. The first comes when every page is in; the last when
-- the chunks are the whole list, and they and what was taken off since make the control total.
CREATE FUNCTION cbi.check_round_step() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    list record;
    funded record;
    off record;
    ended uuid;
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    IF NEW.step = 1 AND NOT EXISTS (SELECT FROM cbi.calculation_page AS p
                                    WHERE p.round_id = NEW.round_id AND p.is_last) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_step_of_pages');
    END IF;
    IF NEW.step < 5 THEN
        SELECT * INTO list FROM cbi.list_of(NEW.round_id);
        IF (NEW.payments, NEW.amount_minor, NEW.list_digest)
                IS DISTINCT FROM (list.payments, list.amount_minor, list.list_digest) THEN
            PERFORM cbi.refuse_in_round(NEW.round_id, 'round_step_of_list');
        END IF;
        RETURN NULL;
    END IF;

    SELECT * INTO funded FROM cbi.funding AS f WHERE f.round_id = NEW.round_id;
    IF funded.round_id IS NULL THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_step_funded');
    END IF;
    SELECT coalesce(sum(c.payments), 0) AS payments, coalesce(sum(c.amount_minor), 0) AS amount_minor
    INTO list FROM cbi.chunk AS c WHERE c.round_id = NEW.round_id;
    SELECT c.upto_payment INTO ended FROM cbi.chunk AS c WHERE c.round_id = NEW.round_id
    ORDER BY c.chunk_no DESC LIMIT 1;
    -- Nothing is cancelled of a chunk that is in, so what it says is true still; and after the last
    -- stands nobody who is not cancelled.
    IF (NEW.payments, NEW.amount_minor) IS DISTINCT FROM (list.payments, list.amount_minor)
       OR (SELECT bool_or(e.cancelled_at IS NULL) FROM cbi.entitlement AS e
           WHERE e.round_id = NEW.round_id
             AND e.entitlement_id > coalesce(ended, '00000000-0000-0000-0000-000000000000')) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_step_of_chunks');
    END IF;
    SELECT count(*) - funded.cancelled_payments AS payments,
        coalesce(sum(e.amount_minor), 0) - funded.cancelled_minor AS amount_minor
    INTO off FROM cbi.entitlement AS e
    WHERE e.round_id = NEW.round_id AND e.cancelled_at IS NOT NULL;
    IF (NEW.payments + off.payments, NEW.amount_minor + off.amount_minor)
            IS DISTINCT FROM (funded.payments::bigint, funded.amount_minor::numeric)
       OR NEW.list_digest IS DISTINCT FROM (
            CASE WHEN off.payments = 0 THEN funded.list_digest
            ELSE (SELECT l.list_digest FROM cbi.list_of(NEW.round_id) AS l) END) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_step_control_total');
    END IF;
    -- The books say the same: all of it is the provider's to pay.
    IF NEW.amount_minor IS DISTINCT FROM coalesce((
        SELECT sum(b.balance_minor) FROM ledger.account AS a
        CROSS JOIN LATERAL ledger.balance_of(a.account_id) AS b
        WHERE a.partner_id = NEW.partner_id AND a.code = 'round:' || NEW.round_id || ':payable'), 0)
    THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_step_booked');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER round_step_checked AFTER INSERT ON cbi.round_step
    FOR EACH ROW EXECUTE FUNCTION cbi.check_round_step();
ALTER TABLE cbi.round_step ENABLE ALWAYS TRIGGER round_step_checked;

RESET ROLE;
