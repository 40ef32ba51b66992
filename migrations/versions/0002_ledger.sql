SET LOCAL ROLE cbi_owner;

-- Every foreign key between rows of organisations carries partner_id as well, because foreign
-- keys look past row-level security: without it one organisation could void another's payment.

-- An account of an organisation's books. Its id follows from code and currency; `floor_minor` is
-- the least balance, in the normal direction, that it may ever have.
CREATE TABLE ledger.account (
    account_id uuid CONSTRAINT account_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    code text NOT NULL CONSTRAINT account_code_length CHECK (length(code) BETWEEN 1 AND 200),
    currency text NOT NULL CONSTRAINT account_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    normal text NOT NULL CONSTRAINT account_normal_known CHECK (normal IN ('debit', 'credit')),
    floor_minor bigint,
    CONSTRAINT account_code_once UNIQUE (code, currency),
    CONSTRAINT account_currency_partner_once UNIQUE (account_id, currency, partner_id)
);
CALL cbi.make_append_only('ledger.account');
CALL cbi.guard('ledger.account',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$, $$partner_id = cbi.partner_id()$$);

-- One try at paying somebody. Attempt n+1 can only stand on the void outcome of attempt n, so
-- paying twice is refused here whatever the program believes; the foreign key follows below.
CREATE TABLE ledger.attempt (
    payment_id uuid NOT NULL,
    attempt_no integer NOT NULL CONSTRAINT attempt_no_positive CHECK (attempt_no >= 1),
    partner_id uuid NOT NULL,
    -- ISO 20022 gives this id 35 characters; it comes back in everything the bank sends.
    end_to_end_id text NOT NULL CONSTRAINT attempt_end_to_end_id_once UNIQUE
        CONSTRAINT attempt_end_to_end_id_length CHECK (length(end_to_end_id) BETWEEN 1 AND 35),
    amount_minor bigint NOT NULL CONSTRAINT attempt_amount_positive CHECK (amount_minor > 0),
    currency text NOT NULL CONSTRAINT attempt_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    opened_at timestamptz NOT NULL,
    previous_no integer GENERATED ALWAYS AS (nullif(attempt_no - 1, 0)) STORED,
    previous_outcome text GENERATED ALWAYS AS (CASE WHEN attempt_no > 1 THEN 'void' END) STORED,
    CONSTRAINT attempt_pkey PRIMARY KEY (payment_id, attempt_no),
    CONSTRAINT attempt_partner_once UNIQUE (payment_id, attempt_no, partner_id)
);
CREATE INDEX attempt_by_end_to_end_id ON ledger.attempt (partner_id, end_to_end_id);

-- The bytes a bank sent, sealed by the caller, and what was read from them. No name and no
-- account number stands here in the clear: `account_token` is a keyed hash, or ''.
CREATE TABLE ledger.statement (
    statement_id uuid CONSTRAINT statement_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    source text NOT NULL CONSTRAINT statement_source_known
        CHECK (source IN ('pain.002', 'camt.054', 'camt.053', 'pacs.004')),
    message_id text NOT NULL,
    original_message_id text NOT NULL,
    account_token text NOT NULL,
    currency text NOT NULL,
    sequence bigint,
    booked_on date,
    opening_minor bigint,
    closing_minor bigint,
    file_digest bytea NOT NULL CONSTRAINT statement_digest_length CHECK (length(file_digest) = 32),
    sealed bytea NOT NULL,
    wrapped_key bytea NOT NULL,
    received_at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    -- The same file twice is the same statement.
    CONSTRAINT statement_file_once UNIQUE (partner_id, file_digest),
    CONSTRAINT statement_partner_once UNIQUE (statement_id, partner_id)
);
-- Another file under a message id that was used already is a mistake somewhere. Two banks may
-- count alike, so the account or our own message that it answers belongs to the id; a message
-- without an id can't be told from another.
CREATE UNIQUE INDEX statement_message_once ON ledger.statement
    (partner_id, source, account_token, original_message_id, message_id) WHERE message_id <> '';

CREATE TABLE ledger.statement_line (
    line_id uuid CONSTRAINT statement_line_pkey PRIMARY KEY,
    statement_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    source text NOT NULL,
    ordinal integer NOT NULL,
    status text NOT NULL CONSTRAINT statement_line_status_known
        CHECK (status IN ('accepted', 'rejected', 'booked', 'returned')),
    direction text NOT NULL CONSTRAINT statement_line_direction_known
        CHECK (direction IN ('debit', 'credit')),
    end_to_end_id text NOT NULL,
    bank_reference text NOT NULL,
    amount_minor bigint,
    currency text,
    booked_on date,
    reason text NOT NULL,
    CONSTRAINT statement_line_amount_with_currency
        CHECK ((amount_minor IS NULL) = (currency IS NULL)),
    CONSTRAINT statement_line_ordinal_once UNIQUE (statement_id, ordinal),
    CONSTRAINT statement_line_partner_once UNIQUE (line_id, partner_id),
    CONSTRAINT statement_line_of_statement FOREIGN KEY (statement_id, partner_id)
        REFERENCES ledger.statement (statement_id, partner_id)
);
CREATE INDEX statement_line_by_end_to_end_id
    ON ledger.statement_line (partner_id, end_to_end_id);

-- A part of a file that could not be read: kept, for it may be a payment, and never a reason to
-- drop the rest.
CREATE TABLE ledger.rejected_line (
    statement_id uuid NOT NULL,
    position integer NOT NULL,
    partner_id uuid NOT NULL,
    ordinal integer NOT NULL,
    where_ text NOT NULL,
    reason text NOT NULL,
    CONSTRAINT rejected_line_pkey PRIMARY KEY (statement_id, position),
    CONSTRAINT rejected_line_of_statement FOREIGN KEY (statement_id, partner_id)
        REFERENCES ledger.statement (statement_id, partner_id)
);

-- How an attempt ended. A time-out is no outcome, so a missing row means: not known yet.
CREATE TABLE ledger.outcome (
    payment_id uuid NOT NULL,
    attempt_no integer NOT NULL,
    partner_id uuid NOT NULL,
    outcome text NOT NULL CONSTRAINT outcome_known CHECK (outcome IN ('post', 'void')),
    reason text NOT NULL,
    line_id uuid,
    decided_at timestamptz NOT NULL,
    CONSTRAINT outcome_pkey PRIMARY KEY (payment_id, attempt_no),
    CONSTRAINT outcome_kind_once UNIQUE (payment_id, attempt_no, outcome, partner_id),
    CONSTRAINT outcome_of_attempt FOREIGN KEY (payment_id, attempt_no, partner_id)
        REFERENCES ledger.attempt (payment_id, attempt_no, partner_id),
    CONSTRAINT outcome_of_line FOREIGN KEY (line_id, partner_id)
        REFERENCES ledger.statement_line (line_id, partner_id)
);
ALTER TABLE ledger.attempt ADD CONSTRAINT attempt_after_void
    FOREIGN KEY (payment_id, previous_no, previous_outcome, partner_id)
    REFERENCES ledger.outcome (payment_id, attempt_no, outcome, partner_id);

-- A delivered attempt whose money came back. It stays delivered and returned: the first fact
-- is not unmade by the second.
CREATE TABLE ledger.giveback (
    payment_id uuid NOT NULL,
    attempt_no integer NOT NULL,
    partner_id uuid NOT NULL,
    delivered text GENERATED ALWAYS AS ('post') STORED,
    reason text NOT NULL,
    line_id uuid,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT giveback_pkey PRIMARY KEY (payment_id, attempt_no),
    CONSTRAINT giveback_after_delivery FOREIGN KEY (payment_id, attempt_no, delivered, partner_id)
        REFERENCES ledger.outcome (payment_id, attempt_no, outcome, partner_id),
    CONSTRAINT giveback_of_line FOREIGN KEY (line_id, partner_id)
        REFERENCES ledger.statement_line (line_id, partner_id)
);

-- One balanced movement: it can't be out of balance, and can't cross currencies or organisations,
-- because both accounts are looked up with the row's own currency and partner.
CREATE TABLE ledger.transfer (
    transfer_id uuid CONSTRAINT transfer_pkey PRIMARY KEY,
    entry_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT transfer_kind_known CHECK (kind IN
        ('fund', 'reserve', 'post', 'void', 'reverse', 'fee', 'exchange', 'adjust', 'close')),
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT transfer_amount_positive CHECK (amount_minor > 0),
    payment_id uuid,
    attempt_no integer,
    reverses uuid CONSTRAINT transfer_reversed_once UNIQUE,
    effective_on date NOT NULL,
    posted_at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    -- The order of the seal: a transaction's id is final once it is below the horizon. A dump
    -- must therefore be restored into a cluster whose ids begin above these (pg_resetwal -x);
    -- otherwise new rows stand before sealed ones and `verify` says so.
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    outcome_needed text GENERATED ALWAYS AS
        (CASE WHEN kind IN ('post', 'void') THEN kind END) STORED,
    CONSTRAINT transfer_two_accounts CHECK (debit_account <> credit_account),
    CONSTRAINT transfer_attempt_complete CHECK ((payment_id IS NULL) = (attempt_no IS NULL)),
    CONSTRAINT transfer_reverse_names_its_original
        CHECK ((kind = 'reverse') = (reverses IS NOT NULL)),
    CONSTRAINT transfer_debit_account FOREIGN KEY (debit_account, currency, partner_id)
        REFERENCES ledger.account (account_id, currency, partner_id),
    CONSTRAINT transfer_credit_account FOREIGN KEY (credit_account, currency, partner_id)
        REFERENCES ledger.account (account_id, currency, partner_id),
    CONSTRAINT transfer_mirror_once
        UNIQUE (transfer_id, credit_account, debit_account, currency, amount_minor),
    -- A reversal is the exact mirror of what it takes back.
    CONSTRAINT transfer_reverse_mirrors
        FOREIGN KEY (reverses, debit_account, credit_account, currency, amount_minor)
        REFERENCES ledger.transfer
            (transfer_id, credit_account, debit_account, currency, amount_minor),
    -- A payment is booked as delivered or voided only beside that very outcome. Checked at the
    -- end of the transaction, so that either may be written first.
    CONSTRAINT transfer_of_outcome FOREIGN KEY (payment_id, attempt_no, outcome_needed, partner_id)
        REFERENCES ledger.outcome (payment_id, attempt_no, outcome, partner_id)
        DEFERRABLE INITIALLY DEFERRED
);
-- One movement of a kind between two accounts per attempt, whatever id the caller made for it.
CREATE UNIQUE INDEX transfer_attempt_once
    ON ledger.transfer (payment_id, attempt_no, kind, debit_account, credit_account)
    WHERE kind IN ('reserve', 'post', 'void') AND payment_id IS NOT NULL;
CREATE INDEX transfer_in_seal_order ON ledger.transfer (xid, transfer_id);
CREATE INDEX transfer_by_entry ON ledger.transfer (entry_id);

-- What one batch did to one account. A balance is the sum of these, so no row is ever contended;
-- a batch is named after its first transfer.
CREATE TABLE ledger.delta (
    account_id uuid NOT NULL CONSTRAINT delta_of_account REFERENCES ledger.account,
    batch_id uuid NOT NULL CONSTRAINT delta_of_batch REFERENCES ledger.transfer,
    partner_id uuid NOT NULL,
    debit_minor bigint NOT NULL CONSTRAINT delta_debit_not_negative CHECK (debit_minor >= 0),
    credit_minor bigint NOT NULL CONSTRAINT delta_credit_not_negative CHECK (credit_minor >= 0),
    CONSTRAINT delta_pkey PRIMARY KEY (account_id, batch_id)
);

-- Which line proves which step of which attempt. A line is claimed once, and an attempt is
-- matched once by each kind of evidence.
CREATE TABLE ledger.allocation (
    line_id uuid CONSTRAINT allocation_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    attempt_no integer NOT NULL,
    claim text NOT NULL CONSTRAINT allocation_claim_known CHECK (claim IN ('status', 'rejection',
        'notification', 'statement', 'return_notice', 'return_notification', 'return')),
    amount_minor bigint,
    currency text,
    rule text NOT NULL,
    evidence jsonb NOT NULL,
    allocated_at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    CONSTRAINT allocation_claim_once UNIQUE (payment_id, attempt_no, claim),
    CONSTRAINT allocation_of_line FOREIGN KEY (line_id, partner_id)
        REFERENCES ledger.statement_line (line_id, partner_id),
    CONSTRAINT allocation_of_attempt FOREIGN KEY (payment_id, attempt_no, partner_id)
        REFERENCES ledger.attempt (payment_id, attempt_no, partner_id)
);

-- The Merkle log over all organisations' transfers. A leaf says nothing about a transfer without
-- its salt, so a proof for one organisation tells it nothing of another's.
CREATE TABLE ledger.leaf (
    leaf_no bigint CONSTRAINT leaf_pkey PRIMARY KEY
        CONSTRAINT leaf_no_not_negative CHECK (leaf_no >= 0),
    transfer_id uuid NOT NULL CONSTRAINT leaf_transfer_once UNIQUE
        CONSTRAINT leaf_of_transfer REFERENCES ledger.transfer,
    salt bytea NOT NULL CONSTRAINT leaf_salt_length CHECK (length(salt) = 16),
    leaf_hash bytea NOT NULL CONSTRAINT leaf_hash_length CHECK (length(leaf_hash) = 32),
    -- NULL for the first leaf; for every other one the leaf before it must exist: no gaps.
    previous_no bigint GENERATED ALWAYS AS (nullif(leaf_no, 0) - 1) STORED
        CONSTRAINT leaf_follows REFERENCES ledger.leaf
);

CREATE TABLE ledger.checkpoint (
    size bigint CONSTRAINT checkpoint_pkey PRIMARY KEY
        CONSTRAINT checkpoint_size_positive CHECK (size > 0),
    root bytea NOT NULL CONSTRAINT checkpoint_root_length CHECK (length(root) = 32),
    -- The roots of the perfect subtrees, largest first: with them the next seal need not read
    -- the whole log. Verification never trusts them.
    peaks bytea NOT NULL CONSTRAINT checkpoint_peaks_whole
        CHECK (length(peaks) = 32 * bit_count(size::bit(64))),
    note text NOT NULL,
    sealed_at timestamptz NOT NULL,
    last_leaf_no bigint GENERATED ALWAYS AS (size - 1) STORED
        CONSTRAINT checkpoint_of_leaf REFERENCES ledger.leaf
);

DO $$
DECLARE
    target text;
    reading text := $rule$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$rule$;
    writing text := $rule$partner_id = cbi.partner_id()$rule$;
BEGIN
    FOREACH target IN ARRAY ARRAY['attempt', 'statement', 'statement_line', 'rejected_line',
            'outcome', 'giveback', 'delta', 'allocation'] LOOP
        CALL cbi.make_append_only(('ledger.' || target)::regclass);
        CALL cbi.guard(('ledger.' || target)::regclass, reading, writing);
    END LOOP;
    FOREACH target IN ARRAY ARRAY['leaf', 'checkpoint'] LOOP
        CALL cbi.make_append_only(('ledger.' || target)::regclass);
        CALL cbi.guard(('ledger.' || target)::regclass, 'true', $rule$cbi.has_role('sealer')$rule$);
    END LOOP;
    -- A sealer that saw only some transfers would leave the others out of the log for good.
    CALL cbi.make_append_only('ledger.transfer');
    CALL cbi.guard('ledger.transfer',
        $rule$partner_id = cbi.partner_id() OR cbi.has_role('auditor', 'sealer')$rule$, writing);
END $$;

-- The service can't choose the transaction id of its rows: an old one would stand in a range
-- that is sealed already.
REVOKE INSERT ON ledger.transfer FROM cbi_app;
GRANT INSERT (transfer_id, entry_id, partner_id, kind, debit_account, credit_account, currency,
    amount_minor, payment_id, attempt_no, reverses, effective_on, posted_at, actor_id)
    ON ledger.transfer TO cbi_app;

RESET ROLE;
