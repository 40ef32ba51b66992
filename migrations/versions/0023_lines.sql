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
CREATE INDEX statement_line_by_identity ON ledger.statement_line (partner_id, identity)
    WHERE identity IS NOT NULL;

RESET ROLE;
