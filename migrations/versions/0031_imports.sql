-- A file of registrations on its way in. What it says of people is sealed under a key of the import's
-- own, in the pieces that came and in the staged rows; destroying the key erases all of it. Beside
-- it stand counts, places, codes and masked values only.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.import_file (
    import_id uuid CONSTRAINT import_file_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT import_file_of_partner REFERENCES cbi.partner,
    actor_id uuid NOT NULL,
    area text NOT NULL,
    file_digest bytea NOT NULL CONSTRAINT import_file_digest_length CHECK (length(file_digest) = 32),
    -- A file that was refused, broken or erased may come again.
    attempt_no integer NOT NULL CONSTRAINT import_file_attempt CHECK (attempt_no > 0),
    bytes bigint NOT NULL CONSTRAINT import_file_bytes CHECK (bytes > 0),
    format text NOT NULL,
    ubigeo_system text NOT NULL,
    accept_valid boolean NOT NULL,
    opened_at timestamptz NOT NULL,
    CONSTRAINT import_file_once 
        UNIQUE (partner_id, file_digest, format, ubigeo_system, attempt_no),
    CONSTRAINT import_file_partner_once UNIQUE (import_id, partner_id)
);
CALL cbi.make_append_only('cbi.import_file');
-- Who answers for an area sees the imports of that area.
CALL cbi.guard('cbi.import_file',
    $$partner_id = cbi.partner_id() AND area LIKE cbi.area() || '%' OR cbi.has_role('worker')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id() AND area = cbi.area()$$);

CREATE TABLE cbi.import_key (
    import_id uuid CONSTRAINT import_key_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    CONSTRAINT import_key_of_file FOREIGN KEY (import_id, partner_id)
        REFERENCES cbi.import_file (import_id, partner_id)
);
CALL cbi.guard('cbi.import_key', $$partner_id = cbi.partner_id() OR cbi.has_role('worker')$$,
    $$partner_id = cbi.partner_id()$$);
CREATE POLICY erasing ON cbi.import_key FOR DELETE TO cbi_app
    USING (partner_id = cbi.partner_id() AND cbi.has_role('registrar') OR cbi.has_role('worker'));
GRANT SELECT, INSERT, DELETE ON cbi.import_key TO cbi_app;
CREATE INDEX import_key_by_partner ON cbi.import_key (partner_id);

-- An organisation keeps so many files at most that are not erased.
CREATE FUNCTION cbi.refuse_many_imports() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('cbi.import ' || NEW.partner_id::text, 0));
    IF (SELECT count(*) FROM cbi.import_key AS k WHERE k.partner_id = NEW.partner_id) >= 200 THEN
        RAISE EXCEPTION 'organisation % has too many imports', NEW.partner_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'import_kept_max';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER import_kept_max BEFORE INSERT ON cbi.import_key
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_many_imports();
ALTER TABLE cbi.import_key ENABLE ALWAYS TRIGGER import_kept_max;

CREATE TABLE cbi.import_piece (
    import_id uuid NOT NULL,
    piece_no integer NOT NULL CONSTRAINT import_piece_no CHECK (piece_no > 0),
    partner_id uuid NOT NULL,
    digest bytea NOT NULL CONSTRAINT import_piece_digest_length CHECK (length(digest) = 32),
    sealed bytea NOT NULL CONSTRAINT import_piece_length CHECK (length(sealed) <= 8388608 + 28),
    CONSTRAINT import_piece_pkey PRIMARY KEY (import_id, piece_no),
    CONSTRAINT import_piece_of_file FOREIGN KEY (import_id, partner_id)
        REFERENCES cbi.import_file (import_id, partner_id)
);
CALL cbi.make_append_only('cbi.import_piece');
CALL cbi.guard('cbi.import_piece', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id()$$);

-- One household of the file; `sealed` is missing where the form has errors, for then the pieces
-- alone say what was written.
CREATE TABLE cbi.import_row (
    import_id uuid NOT NULL,
    row_no integer NOT NULL CONSTRAINT import_row_no CHECK (row_no > 0),
    partner_id uuid NOT NULL,
    -- Where in the file the household begins.
    line integer NOT NULL,
    sheet text NOT NULL,
    faults jsonb NOT NULL CONSTRAINT import_row_faults CHECK (jsonb_typeof(faults) = 'array'),
    sealed bytea,
    CONSTRAINT import_row_pkey PRIMARY KEY (import_id, row_no),
    CONSTRAINT import_row_partner_once UNIQUE (import_id, row_no, partner_id),
    CONSTRAINT import_row_of_file FOREIGN KEY (import_id, partner_id)
        REFERENCES cbi.import_file (import_id, partner_id)
);
CALL cbi.make_append_only('cbi.import_row');
CALL cbi.guard('cbi.import_row', $$partner_id = cbi.partner_id()$$, $$partner_id = cbi.partner_id()$$);

-- How a row's household compares with everybody, before anybody is registered.
CREATE TABLE cbi.import_check (
    import_id uuid NOT NULL,
    row_no integer NOT NULL,
    partner_id uuid NOT NULL,
    status text NOT NULL CONSTRAINT import_check_status CHECK (
        status IN ('clear', 'review', 'faulty')),
    -- Of the strongest match: how strong, how many others; or why nobody could be compared.
    strength text,
    matches integer NOT NULL,
    why text,
    -- How many were compared: they count for the day's quota of checks.
    persons smallint NOT NULL CONSTRAINT import_check_persons CHECK (persons >= 0),
    checked_at timestamptz NOT NULL,
    CONSTRAINT import_check_pkey PRIMARY KEY (import_id, row_no),
    CONSTRAINT import_check_of_row FOREIGN KEY (import_id, row_no, partner_id)
        REFERENCES cbi.import_row (import_id, row_no, partner_id)
);
CALL cbi.make_append_only('cbi.import_check');
CALL cbi.guard('cbi.import_check', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id()$$);

CREATE INDEX import_check_compared ON cbi.import_check (partner_id, checked_at) WHERE persons > 0;

-- What the organisation does with the file: once.
CREATE TABLE cbi.import_decision (
    import_id uuid CONSTRAINT import_decision_once PRIMARY KEY,
    partner_id uuid NOT NULL,
    take text NOT NULL CONSTRAINT import_decision_take CHECK (
        take IN ('all', 'valid', 'rows', 'nothing')),
    rows integer[] NOT NULL,
    decided_by uuid NOT NULL,
    decided_at timestamptz NOT NULL,
    CONSTRAINT import_decision_rows CHECK ((take = 'rows') = (cardinality(rows) > 0)),
    CONSTRAINT import_decision_of_file FOREIGN KEY (import_id, partner_id)
        REFERENCES cbi.import_file (import_id, partner_id)
);
CALL cbi.make_append_only('cbi.import_decision');
CALL cbi.guard('cbi.import_decision', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id() AND decided_by = cbi.actor_id()$$);

-- What became of a row that was taken: written in the transaction that registers it.
CREATE TABLE cbi.import_outcome (
    import_id uuid NOT NULL,
    row_no integer NOT NULL,
    partner_id uuid NOT NULL,
    status text NOT NULL CONSTRAINT import_outcome_status CHECK (
        status IN ('clear', 'review', 'faulty')),
    household_id uuid,
    -- Not a new registration: the same was there.
    is_known boolean NOT NULL,
    -- It was there under this reference and is now what the row says: its next version.
    is_changed boolean NOT NULL,
    -- Which rule refused it.
    refusal text,
    at timestamptz NOT NULL,
    CONSTRAINT import_outcome_pkey PRIMARY KEY (import_id, row_no),
    CONSTRAINT import_outcome_sides CHECK (
        (household_id IS NULL) = (status = 'faulty') AND (refusal IS NULL) = (status <> 'faulty')),
    CONSTRAINT import_outcome_of_row FOREIGN KEY (import_id, row_no, partner_id)
        REFERENCES cbi.import_row (import_id, row_no, partner_id),
    CONSTRAINT import_outcome_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
CALL cbi.make_append_only('cbi.import_outcome');
CALL cbi.guard('cbi.import_outcome', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id()$$);

-- Where each row stands: what became of it, else how it was checked, else how it was read.
CREATE VIEW cbi.import_row_standing WITH (security_invoker = true) AS
    SELECT r.import_id, r.row_no, r.partner_id, r.line, r.sheet, r.faults,
           coalesce(o.status, CASE WHEN r.sealed IS NULL THEN 'faulty' END, c.status, 'waiting')
               AS status,
           c.strength, coalesce(c.matches, 0) AS matches, c.why,
           o.household_id, coalesce(o.is_known, false) AS is_known,
           coalesce(o.is_changed, false) AS is_changed, o.refusal
    FROM cbi.import_row AS r
    LEFT JOIN cbi.import_check AS c USING (import_id, row_no)
    LEFT JOIN cbi.import_outcome AS o USING (import_id, row_no);
GRANT SELECT ON cbi.import_row_standing TO cbi_app;
RESET ROLE;
