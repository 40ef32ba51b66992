-- Matching that can be taken back and shared out; differences that are kept with their history; and
-- reconciliations whose results are sealed.
SET LOCAL ROLE cbi_owner;

-- ---------------------------------------------------------------- allocations

-- (Rows can't be counted here: row-level security holds for their owner as well.)
DO $$ BEGIN
    IF pg_relation_size('ledger.allocation') > 0 THEN
        RAISE EXCEPTION 'what was matched by a version before the first release can not be carried on'
            USING HINT = 'Begin with an empty database.';
    END IF;
END $$;
DROP TABLE ledger.allocation;

-- So much of a line is this step of this payment's attempt. A line may be shared out among several
-- payments (a batch booked as one); what was unmatched is history, and what is matched after it has
-- the next number.
CREATE TABLE ledger.allocation (
    line_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    attempt_no integer NOT NULL,
    nth smallint NOT NULL DEFAULT 1 CONSTRAINT allocation_nth_positive CHECK (nth >= 1),
    partner_id uuid NOT NULL,
    claim text NOT NULL CONSTRAINT allocation_claim_known CHECK (claim IN ('status', 'rejection',
        'unclaimed', 'notification', 'statement', 'return_notice', 'return_notification', 'return')),
    amount_minor bigint CONSTRAINT allocation_amount_positive CHECK (amount_minor > 0),
    currency text,
    rule text NOT NULL,
    evidence jsonb NOT NULL,
    allocated_at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    CONSTRAINT allocation_pkey PRIMARY KEY (line_id, payment_id, attempt_no, nth),
    -- A report says how a payment stands; only money has an amount.
    CONSTRAINT allocation_amount_of_money CHECK (
        (claim IN ('status', 'rejection', 'unclaimed')) = (amount_minor IS NULL)
        AND (amount_minor IS NULL) = (currency IS NULL)),
    CONSTRAINT allocation_of_line FOREIGN KEY (line_id, partner_id)
        REFERENCES ledger.statement_line (line_id, partner_id),
    CONSTRAINT allocation_of_attempt FOREIGN KEY (payment_id, attempt_no, partner_id)
        REFERENCES ledger.attempt (payment_id, attempt_no, partner_id)
);
CREATE INDEX allocation_by_payment ON ledger.allocation (payment_id, attempt_no, claim);

-- A person took back all that a line was matched to.
CREATE TABLE ledger.unmatching (
    line_id uuid NOT NULL,
    nth smallint NOT NULL,
    partner_id uuid NOT NULL,
    because text NOT NULL CONSTRAINT unmatching_because_length
        CHECK (length(because) BETWEEN 1 AND 500),
    unmatched_at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    CONSTRAINT unmatching_once PRIMARY KEY (line_id, nth),
    CONSTRAINT unmatching_of_line FOREIGN KEY (line_id, partner_id)
        REFERENCES ledger.statement_line (line_id, partner_id)
);

CREATE VIEW ledger.allocation_in_force WITH (security_invoker = true) AS
    SELECT a.* FROM ledger.allocation AS a
    WHERE NOT EXISTS (SELECT FROM ledger.unmatching AS u
                      WHERE u.line_id = a.line_id AND u.nth = a.nth);
GRANT SELECT ON ledger.allocation_in_force TO cbi_app;

-- Who matches holds this until commit: sums are added up on what is committed.
CREATE FUNCTION ledger.lock_matching(partner_id uuid) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.must_see_now();
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.matching ' || partner_id::text, 0));
END $$;

CREATE FUNCTION ledger.refuse(rule text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'refused by %', rule
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = rule;
END $$;

-- No line proves more than it moved, no payment is proved more than once, and never across
-- currencies. (OFFSET 0 and the settings: each row asks by an index, whatever the tables were when
-- the plan was made.)
CREATE FUNCTION ledger.check_allocations() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
SET enable_bitmapscan = off AS $$
BEGIN
    PERFORM ledger.lock_matching(n.partner_id)
    FROM (SELECT DISTINCT a.partner_id FROM new_allocations AS a) AS n ORDER BY n.partner_id;
    IF EXISTS (SELECT FROM new_allocations AS n WHERE n.nth <> 1 + (
            SELECT count(*) FROM ledger.unmatching AS u WHERE u.line_id = n.line_id)) THEN
        PERFORM ledger.refuse('allocation_in_order');
    END IF;
    IF EXISTS (SELECT FROM new_allocations AS n WHERE n.amount_minor IS NOT NULL AND NOT EXISTS (
            SELECT FROM ledger.statement_line AS l WHERE l.line_id = n.line_id
                AND CASE WHEN l.currency = n.currency
                    AND (l.direction = 'debit') = (n.claim IN ('notification', 'statement'))
                    THEN l.amount_minor >= (SELECT sum(a.amount_minor) FROM ledger.allocation AS a
                        WHERE a.line_id = l.line_id AND a.nth = n.nth) END OFFSET 0)) THEN
        PERFORM ledger.refuse('allocation_within_line');
    END IF;
    IF EXISTS (SELECT FROM new_allocations AS n WHERE NOT EXISTS (
            SELECT FROM ledger.attempt AS t
            CROSS JOIN LATERAL (
                SELECT sum(a.amount_minor) AS minor, count(*) AS many FROM ledger.allocation AS a
                WHERE a.payment_id = t.payment_id AND a.attempt_no = t.attempt_no
                    AND a.claim = n.claim AND NOT EXISTS (SELECT FROM ledger.unmatching AS u
                        WHERE u.line_id = a.line_id AND u.nth = a.nth OFFSET 0)) AS s
            WHERE t.payment_id = n.payment_id AND t.attempt_no = n.attempt_no
                AND CASE WHEN n.amount_minor IS NULL THEN s.many = 1
                    ELSE t.currency = n.currency AND t.amount_minor >= s.minor END OFFSET 0)) THEN
        PERFORM ledger.refuse('allocation_claim_once');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER allocation_checked AFTER INSERT ON ledger.allocation
    REFERENCING NEW TABLE AS new_allocations
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_allocations();
ALTER TABLE ledger.allocation ENABLE ALWAYS TRIGGER allocation_checked;

CREATE FUNCTION ledger.check_unmatching() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.lock_matching(NEW.partner_id);
    IF NOT EXISTS (SELECT FROM ledger.allocation AS a
                   WHERE a.line_id = NEW.line_id AND a.nth = NEW.nth) THEN
        PERFORM ledger.refuse('unmatching_of_match');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER unmatching_checked AFTER INSERT ON ledger.unmatching
    FOR EACH ROW EXECUTE FUNCTION ledger.check_unmatching();
ALTER TABLE ledger.unmatching ENABLE ALWAYS TRIGGER unmatching_checked;

-- The account that an attempt is to be paid to, as a keyed hash: who else got the money shows.
CREATE TABLE ledger.payee (
    payment_id uuid NOT NULL,
    attempt_no integer NOT NULL,
    partner_id uuid NOT NULL,
    account_token text NOT NULL CONSTRAINT payee_token_length
        CHECK (length(account_token) BETWEEN 1 AND 64),
    CONSTRAINT payee_pkey PRIMARY KEY (payment_id, attempt_no),
    CONSTRAINT payee_of_attempt FOREIGN KEY (payment_id, attempt_no, partner_id)
        REFERENCES ledger.attempt (payment_id, attempt_no, partner_id)
);
CREATE INDEX payee_by_token ON ledger.payee (partner_id, account_token);

-- ---------------------------------------------------------------- reconciliations

ALTER TABLE ledger.digest DROP CONSTRAINT digest_subject_known;
ALTER TABLE ledger.digest ADD CONSTRAINT digest_subject_known
    CHECK (subject IN ('period', 'reconciliation'));

-- A reconciliation is a row of pages, each a transaction of its own, and its end: what it was made
-- of, by which rules, and the digest of what came out, which is sealed.
CREATE TABLE ledger.reconciliation (
    run_id uuid CONSTRAINT reconciliation_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    as_of date NOT NULL,
    rules text NOT NULL,
    inputs bytea NOT NULL CONSTRAINT reconciliation_inputs_length CHECK (length(inputs) = 32),
    attempts bigint NOT NULL,
    begun_at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    CONSTRAINT reconciliation_partner_once UNIQUE (run_id, partner_id)
);
CREATE TABLE ledger.reconciliation_page (
    run_id uuid NOT NULL,
    page_no integer NOT NULL CONSTRAINT reconciliation_page_positive CHECK (page_no >= 1),
    partner_id uuid NOT NULL,
    upto text NOT NULL,
    looked_at integer NOT NULL,
    matched integer NOT NULL,
    delivered integer NOT NULL,
    rejected integer NOT NULL,
    returned integer NOT NULL,
    result bytea NOT NULL CONSTRAINT reconciliation_page_result_length CHECK (length(result) = 32),
    is_last boolean NOT NULL,
    CONSTRAINT reconciliation_page_pkey PRIMARY KEY (run_id, page_no),
    CONSTRAINT reconciliation_page_of_run FOREIGN KEY (run_id, partner_id)
        REFERENCES ledger.reconciliation (run_id, partner_id)
);
CREATE TABLE ledger.reconciliation_end (
    run_id uuid CONSTRAINT reconciliation_end_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    breaks integer NOT NULL,
    digest_id uuid NOT NULL,
    ended_at timestamptz NOT NULL,
    CONSTRAINT reconciliation_end_of_run FOREIGN KEY (run_id, partner_id)
        REFERENCES ledger.reconciliation (run_id, partner_id),
    CONSTRAINT reconciliation_end_sealed FOREIGN KEY (digest_id, partner_id)
        REFERENCES ledger.digest (digest_id, partner_id)
);

-- A line that does not carry the id of an attempt, and names one all the same: by another id that
-- the bank gave the payment, or because nothing else can be meant.
CREATE TABLE ledger.naming (
    line_id uuid CONSTRAINT naming_once PRIMARY KEY,
    partner_id uuid NOT NULL,
    end_to_end_id text NOT NULL,
    rule text NOT NULL,
    run_id uuid NOT NULL,
    CONSTRAINT naming_of_line FOREIGN KEY (line_id, partner_id)
        REFERENCES ledger.statement_line (line_id, partner_id),
    CONSTRAINT naming_of_attempt FOREIGN KEY (end_to_end_id)
        REFERENCES ledger.attempt (end_to_end_id),
    CONSTRAINT naming_of_run FOREIGN KEY (run_id, partner_id)
        REFERENCES ledger.reconciliation (run_id, partner_id)
);
CREATE INDEX naming_by_end_to_end_id ON ledger.naming (partner_id, end_to_end_id);
CREATE INDEX statement_line_by_uetr ON ledger.statement_line (partner_id, uetr) WHERE uetr <> '';
CREATE INDEX statement_line_by_provider_id ON ledger.statement_line (partner_id, provider_id)
    WHERE provider_id <> '';
CREATE INDEX statement_line_by_batch_id ON ledger.statement_line (partner_id, batch_id)
    WHERE batch_id <> '';

-- ---------------------------------------------------------------- breaks

-- A difference that a person has to explain. Its id says what it is, so that the next
-- reconciliation finds the same one.
CREATE TABLE ledger.break (
    break_id uuid CONSTRAINT break_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT break_kind_length CHECK (length(kind) BETWEEN 1 AND 40),
    payment_id uuid,
    attempt_no integer,
    end_to_end_id text NOT NULL,
    line_id uuid,
    statement_id uuid,
    expected_minor numeric,
    actual_minor numeric,
    currency text NOT NULL,
    owner text NOT NULL CONSTRAINT break_owner_known
        CHECK (owner IN ('finance', 'provider', 'bank', 'programme')),
    opened_on date NOT NULL,
    run_id uuid NOT NULL,
    CONSTRAINT break_partner_once UNIQUE (break_id, partner_id),
    CONSTRAINT break_of_run FOREIGN KEY (run_id, partner_id)
        REFERENCES ledger.reconciliation (run_id, partner_id),
    CONSTRAINT break_of_line FOREIGN KEY (line_id, partner_id)
        REFERENCES ledger.statement_line (line_id, partner_id)
);
CREATE INDEX break_by_partner ON ledger.break (partner_id, break_id);
CREATE INDEX break_by_payment ON ledger.break (payment_id) WHERE payment_id IS NOT NULL;

-- Which breaks a reconciliation found: its result, and what tells that one is gone.
CREATE TABLE ledger.sighting (
    run_id uuid NOT NULL,
    break_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    CONSTRAINT sighting_once PRIMARY KEY (run_id, break_id),
    CONSTRAINT sighting_of_break FOREIGN KEY (break_id, partner_id)
        REFERENCES ledger.break (break_id, partner_id),
    CONSTRAINT sighting_in_run FOREIGN KEY (run_id, partner_id)
        REFERENCES ledger.reconciliation (run_id, partner_id)
);

-- What happened to a break, one after the other. What moves money is proposed by one person and
-- confirmed by another.
CREATE TABLE ledger.break_event (
    break_id uuid NOT NULL,
    event_no integer NOT NULL CONSTRAINT break_event_no_positive CHECK (event_no >= 1),
    partner_id uuid NOT NULL,
    what text NOT NULL CONSTRAINT break_event_known CHECK (what IN
        ('gone', 'again', 'assigned', 'noted', 'proposed', 'declined', 'settled')),
    owner_id uuid,
    ending text CONSTRAINT break_event_ending_known CHECK (ending IN
        ('payment', 'fee', 'claim', 'recovered', 'write_off', 'explained')),
    payment_id uuid,
    attempt_no integer,
    of_break uuid,
    note text NOT NULL CONSTRAINT break_event_note_length CHECK (length(note) <= 500),
    at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    CONSTRAINT break_event_pkey PRIMARY KEY (break_id, event_no),
    CONSTRAINT break_event_of_break FOREIGN KEY (break_id, partner_id)
        REFERENCES ledger.break (break_id, partner_id),
    CONSTRAINT break_event_ends CHECK ((what IN ('proposed', 'settled')) = (ending IS NOT NULL)),
    CONSTRAINT break_event_assigns CHECK ((what = 'assigned') = (owner_id IS NOT NULL))
);

-- Where each break stands: open, gone by itself, or settled by people; who has it; what waits for a
-- second person.
CREATE VIEW ledger.break_standing WITH (security_invoker = true) AS
    SELECT b.*, coalesce(s.what, 'again') IN ('gone', 'settled') AS is_over,
        coalesce(s.what, 'open') AS last_turn, o.owner_id,
        CASE WHEN p.what = 'proposed' THEN p.event_no END AS proposal_no
    FROM ledger.break AS b
    LEFT JOIN LATERAL (SELECT e.what FROM ledger.break_event AS e
        WHERE e.break_id = b.break_id AND e.what IN ('gone', 'again', 'settled')
        ORDER BY e.event_no DESC LIMIT 1) AS s ON true
    LEFT JOIN LATERAL (SELECT e.owner_id FROM ledger.break_event AS e
        WHERE e.break_id = b.break_id AND e.what = 'assigned'
        ORDER BY e.event_no DESC LIMIT 1) AS o ON true
    LEFT JOIN LATERAL (SELECT e.what, e.event_no FROM ledger.break_event AS e
        WHERE e.break_id = b.break_id AND e.what IN ('proposed', 'declined', 'settled', 'gone')
        ORDER BY e.event_no DESC LIMIT 1) AS p ON true;
GRANT SELECT ON ledger.break_standing TO cbi_app;

CREATE FUNCTION ledger.check_break_event() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    standing record;
    proposed record;
BEGIN
    PERFORM ledger.must_see_now();
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.break ' || NEW.break_id::text, 0));
    IF NEW.event_no > 1 AND NOT EXISTS (SELECT FROM ledger.break_event AS e
            WHERE e.break_id = NEW.break_id AND e.event_no = NEW.event_no - 1) THEN
        PERFORM ledger.refuse('break_event_in_order');
    END IF;
    SELECT e.what INTO standing FROM ledger.break_event AS e
    WHERE e.break_id = NEW.break_id AND e.event_no < NEW.event_no
        AND e.what IN ('gone', 'again', 'settled') ORDER BY e.event_no DESC LIMIT 1;
    IF standing.what = 'settled' AND NEW.what <> 'noted' THEN
        PERFORM ledger.refuse('break_settled_once');
    END IF;
    IF NEW.what <> 'settled' OR NEW.ending = 'explained' THEN
        RETURN NEW;
    END IF;
    SELECT e.* INTO proposed FROM ledger.break_event AS e
    WHERE e.break_id = NEW.break_id AND e.event_no < NEW.event_no
        AND e.what IN ('proposed', 'declined', 'gone') ORDER BY e.event_no DESC LIMIT 1;
    IF proposed.what IS DISTINCT FROM 'proposed'
       OR (proposed.ending, proposed.payment_id, proposed.attempt_no, proposed.of_break)
            IS DISTINCT FROM (NEW.ending, NEW.payment_id, NEW.attempt_no, NEW.of_break) THEN
        PERFORM ledger.refuse('break_settled_as_proposed');
    END IF;
    IF proposed.actor_id = NEW.actor_id THEN
        PERFORM ledger.refuse('break_four_eyes');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER break_event_checked BEFORE INSERT ON ledger.break_event
    FOR EACH ROW EXECUTE FUNCTION ledger.check_break_event();
ALTER TABLE ledger.break_event ENABLE ALWAYS TRIGGER break_event_checked;

-- ---------------------------------------------------------------- freezes

-- Money went out for an attempt that had ended without it: no further attempt until a person has
-- settled that break.
CREATE TABLE ledger.freeze (
    payment_id uuid NOT NULL,
    break_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    frozen_at timestamptz NOT NULL,
    CONSTRAINT freeze_pkey PRIMARY KEY (payment_id, break_id),
    CONSTRAINT freeze_of_break FOREIGN KEY (break_id, partner_id)
        REFERENCES ledger.break (break_id, partner_id)
);
CREATE FUNCTION ledger.freeze_lock(payment_id uuid) RETURNS void LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('ledger.freeze ' || payment_id::text, 0));
CREATE FUNCTION ledger.check_freeze() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.must_see_now();
    PERFORM ledger.freeze_lock(NEW.payment_id);
    RETURN NEW;
END $$;
CREATE TRIGGER freeze_checked BEFORE INSERT ON ledger.freeze
    FOR EACH ROW EXECUTE FUNCTION ledger.check_freeze();
ALTER TABLE ledger.freeze ENABLE ALWAYS TRIGGER freeze_checked;

CREATE FUNCTION ledger.check_attempt_not_frozen() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.must_see_now();
    PERFORM ledger.freeze_lock(NEW.payment_id);
    IF EXISTS (
        SELECT FROM ledger.freeze AS f WHERE f.payment_id = NEW.payment_id
            AND NOT EXISTS (SELECT FROM ledger.break_event AS e
                WHERE e.break_id = f.break_id AND e.what = 'settled')) THEN
        PERFORM ledger.refuse('attempt_not_frozen');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attempt_not_frozen BEFORE INSERT ON ledger.attempt
    FOR EACH ROW WHEN (NEW.attempt_no > 1) EXECUTE FUNCTION ledger.check_attempt_not_frozen();
ALTER TABLE ledger.attempt ENABLE ALWAYS TRIGGER attempt_not_frozen;

DO $$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['allocation', 'unmatching', 'payee', 'naming', 'sighting', 'reconciliation',
            'reconciliation_page', 'reconciliation_end', 'break', 'break_event', 'freeze'] LOOP
        CALL cbi.make_append_only(('ledger.' || target)::regclass);
        CALL cbi.guard(('ledger.' || target)::regclass,
            $rule$partner_id = (SELECT cbi.partner_id()) OR (SELECT cbi.has_role('auditor'))$rule$,
            $rule$partner_id = (SELECT cbi.partner_id())$rule$);
    END LOOP;
    -- Under whose name is not for the program to choose; a turn is the reconciliation's.
    ALTER POLICY adding ON ledger.unmatching WITH CHECK (
        partner_id = (SELECT cbi.partner_id()) AND actor_id = (SELECT cbi.actor_id()));
    ALTER POLICY adding ON ledger.break_event WITH CHECK (
        partner_id = (SELECT cbi.partner_id())
        AND (actor_id = (SELECT cbi.actor_id()) OR what IN ('gone', 'again')));
END $$;

RESET ROLE;
