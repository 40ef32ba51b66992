-- What more a line says, for matching; and which statement says again what another one said.
SET LOCAL ROLE cbi_owner;

ALTER TABLE ledger.statement
    DROP CONSTRAINT statement_source_known,
    ADD CONSTRAINT statement_source_known CHECK (source IN ('pain.002', 'camt.054', 'camt.053',
        'pacs.004', 'mt940', 'statement-table', 'report-table')),
    -- The first statement with the same account, currency, sequence, balances and lines. Its lines
    -- count; those of this one are evidence and nothing else.
    ADD COLUMN repeats uuid
        CONSTRAINT statement_repeats_another CHECK (repeats <> statement_id),
    ADD CONSTRAINT statement_repeats_own FOREIGN KEY (repeats, partner_id)
        REFERENCES ledger.statement (statement_id, partner_id);

ALTER TABLE ledger.statement_line
    DROP CONSTRAINT statement_line_status_known,
    ADD CONSTRAINT statement_line_status_known
        CHECK (status IN ('accepted', 'rejected', 'booked', 'returned', 'unclaimed')),
    ADD COLUMN uetr text NOT NULL DEFAULT ''
        CONSTRAINT statement_line_uetr_length CHECK (length(uetr) <= 36),
    ADD COLUMN provider_id text NOT NULL DEFAULT ''
        CONSTRAINT statement_line_provider_id_length CHECK (length(provider_id) <= 35),
    ADD COLUMN batch_id text NOT NULL DEFAULT ''
        CONSTRAINT statement_line_batch_id_length CHECK (length(batch_id) <= 35),
    ADD COLUMN batch_count integer
        CONSTRAINT statement_line_batch_count_positive CHECK (batch_count >= 1),
    -- A keyed hash of the other side's account, or ''.
    ADD COLUMN account_token text NOT NULL DEFAULT ''
        CONSTRAINT statement_line_account_token_length CHECK (length(account_token) <= 64),
    -- Of a free text only what may be an id of ours: hexadecimal, or ''.
    ADD COLUMN reference text NOT NULL DEFAULT ''
        CONSTRAINT statement_line_reference_form CHECK (reference ~ '^([0-9a-f]{12,140})?$'),
    ADD COLUMN value_on date,
    ADD COLUMN fees_minor bigint,
    ADD COLUMN fees_currency text,
    ADD CONSTRAINT statement_line_fees_with_currency
        CHECK ((fees_minor IS NULL) = (fees_currency IS NULL)),
    -- The same for the same movement, also in another statement of the account; NULL where nothing
    -- moved.
    ADD COLUMN identity uuid;

-- The same statement under another file is known by its frame and by what its lines say in any
-- order; it is kept, and may bear the message id of the first.
ALTER TABLE ledger.statement
    DROP COLUMN sealed,
    ADD COLUMN content_digest bytea
        CONSTRAINT statement_content_digest_length CHECK (length(content_digest) = 32);
CREATE INDEX statement_by_content ON ledger.statement (partner_id, content_digest);
DROP INDEX ledger.statement_message_once;
CREATE UNIQUE INDEX statement_message_once ON ledger.statement
    (partner_id, source, account_token, original_message_id, message_id)
    WHERE message_id <> '' AND repeats IS NULL;

-- A file's bytes in pieces, each sealed with its own number and the number of all: none can be
-- left out, doubled or moved.
CREATE TABLE ledger.statement_piece (
    statement_id uuid NOT NULL,
    piece_no integer NOT NULL
        CONSTRAINT statement_piece_no_positive CHECK (piece_no >= 1),
    partner_id uuid NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT statement_piece_pkey PRIMARY KEY (statement_id, piece_no),
    CONSTRAINT statement_piece_of_statement FOREIGN KEY (statement_id, partner_id)
        REFERENCES ledger.statement (statement_id, partner_id)
);

-- A file that can't be read at all, kept for evidence: where it broke, and never what it says.
CREATE TABLE ledger.unread_file (
    unread_id uuid CONSTRAINT unread_file_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    file_digest bytea NOT NULL
        CONSTRAINT unread_file_digest_length CHECK (length(file_digest) = 32),
    where_ text NOT NULL CONSTRAINT unread_file_where_length CHECK (length(where_) <= 300),
    reason text NOT NULL CONSTRAINT unread_file_reason_length CHECK (length(reason) <= 300),
    wrapped_key bytea NOT NULL,
    received_at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    CONSTRAINT unread_file_once UNIQUE (partner_id, file_digest),
    CONSTRAINT unread_file_partner_once UNIQUE (unread_id, partner_id)
);
CREATE TABLE ledger.unread_piece (
    unread_id uuid NOT NULL,
    piece_no integer NOT NULL CONSTRAINT unread_piece_no_positive CHECK (piece_no >= 1),
    partner_id uuid NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT unread_piece_pkey PRIMARY KEY (unread_id, piece_no),
    CONSTRAINT unread_piece_of_file FOREIGN KEY (unread_id, partner_id)
        REFERENCES ledger.unread_file (unread_id, partner_id)
);

-- How an organisation's bank or provider lays out its tables. A change is a new version, so that a
-- file can be read again as it was read.
CREATE TABLE ledger.statement_layout (
    partner_id uuid NOT NULL,
    code text NOT NULL CONSTRAINT statement_layout_code_form CHECK (code ~ '^[a-z0-9-]{1,40}$'),
    version integer NOT NULL CONSTRAINT statement_layout_version_positive CHECK (version >= 1),
    layout jsonb NOT NULL,
    added_at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    previous integer GENERATED ALWAYS AS (nullif(version - 1, 0)) STORED,
    CONSTRAINT statement_layout_pkey PRIMARY KEY (partner_id, code, version),
    CONSTRAINT statement_layout_follows FOREIGN KEY (partner_id, code, previous)
        REFERENCES ledger.statement_layout (partner_id, code, version)
);
ALTER TABLE ledger.statement
    ADD COLUMN layout_code text,
    ADD COLUMN layout_version integer,
    ADD CONSTRAINT statement_of_layout FOREIGN KEY (partner_id, layout_code, layout_version)
        REFERENCES ledger.statement_layout (partner_id, code, version);

DO $$
DECLARE
    target text;
    reading text := $rule$partner_id = (SELECT cbi.partner_id())
        OR (SELECT cbi.has_role('auditor'))$rule$;
    writing text := $rule$partner_id = cbi.partner_id()$rule$;
    signed text := $rule$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$rule$;
BEGIN
    FOREACH target IN ARRAY ARRAY['statement_piece', 'unread_piece'] LOOP
        CALL cbi.make_append_only(('ledger.' || target)::regclass);
        CALL cbi.guard(('ledger.' || target)::regclass, reading, writing);
    END LOOP;
    FOREACH target IN ARRAY ARRAY['unread_file', 'statement_layout'] LOOP
        CALL cbi.make_append_only(('ledger.' || target)::regclass);
        CALL cbi.guard(('ledger.' || target)::regclass, reading, signed);
    END LOOP;
END $$;

CREATE INDEX statement_line_by_identity ON ledger.statement_line (partner_id, identity)
    WHERE identity IS NOT NULL;

RESET ROLE;
