-- A check belongs to a list of the organisation's own that is in use: a programme, a round that is
-- not released, or a named list with an end. Who may not say which of its lists somebody stands on
-- has no reason to ask. It says how many are blocked, too.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.check_list (
    list_id uuid CONSTRAINT check_list_pkey PRIMARY KEY,
    partner_id uuid NOT NULL DEFAULT cbi.partner_id()
        CONSTRAINT check_list_of_partner REFERENCES cbi.partner,
    name text NOT NULL CONSTRAINT check_list_name_length CHECK (length(name) BETWEEN 1 AND 100),
    purpose text NOT NULL CONSTRAINT check_list_purpose CHECK (
        purpose IN ('before_registration', 'before_enrolment', 'before_payment')),
    -- Its last day.
    until date NOT NULL,
    opened_at timestamptz NOT NULL,
    opened_by uuid NOT NULL DEFAULT cbi.actor_id(),
    CONSTRAINT check_list_partner_once UNIQUE (list_id, partner_id),
    CONSTRAINT check_list_name_once UNIQUE (partner_id, name),
    CONSTRAINT check_list_ends CHECK (
        until BETWEEN (opened_at AT TIME ZONE 'America/Lima')::date
            AND (opened_at AT TIME ZONE 'America/Lima')::date + 183)
);
CALL cbi.make_append_only('cbi.check_list');
CALL cbi.guard('cbi.check_list', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND opened_by = cbi.actor_id()$$);

ALTER TABLE cbi.duplicate_check
    ADD COLUMN list_id uuid,
    ADD COLUMN programme_id uuid,
    ADD COLUMN round_id uuid,
    ADD COLUMN blocked integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT duplicate_check_of_list FOREIGN KEY (list_id, partner_id)
        REFERENCES cbi.check_list (list_id, partner_id),
    ADD CONSTRAINT duplicate_check_of_programme FOREIGN KEY (programme_id, partner_id)
        REFERENCES cbi.programme (programme_id, partner_id),
    ADD CONSTRAINT duplicate_check_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id),
    -- Checks from before this rule have none.
    ADD CONSTRAINT duplicate_check_of_one CHECK (
        num_nonnulls(list_id, programme_id, round_id) = 1) NOT VALID,
    DROP CONSTRAINT duplicate_check_outcomes,
    ADD CONSTRAINT duplicate_check_outcomes CHECK (
        least(clear, review, blocked, unsearchable) >= 0);
ALTER TABLE cbi.duplicate_check ALTER COLUMN blocked DROP DEFAULT;

-- The list is in use on the day of the check, and is for this purpose; a round's is to pay.
CREATE FUNCTION cbi.check_active_list() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.list_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM cbi.check_list AS l WHERE l.list_id = NEW.list_id
                AND l.until >= NEW.day AND l.purpose = NEW.purpose)
       OR NEW.round_id IS NOT NULL AND (NEW.purpose <> 'before_payment' OR EXISTS (
            SELECT FROM cbi.round_step AS s WHERE s.round_id = NEW.round_id AND s.step = 5))
    THEN
        RAISE EXCEPTION 'no active list for this purpose'
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'duplicate_check_of_active';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER duplicate_check_of_active AFTER INSERT ON cbi.duplicate_check
    FOR EACH ROW EXECUTE FUNCTION cbi.check_active_list();
ALTER TABLE cbi.duplicate_check ENABLE ALWAYS TRIGGER duplicate_check_of_active;

-- A whole file that is checked as a job. It names people, so it is sealed under a key of its own,
-- what is found as well; after a week the key is destroyed, and then nobody reads either.
CREATE TABLE cbi.check_file (
    file_id uuid CONSTRAINT check_file_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL DEFAULT cbi.actor_id(),
    -- Of the key that sent it: a key for less doesn't read it.
    area text NOT NULL DEFAULT cbi.area(),
    format text NOT NULL CONSTRAINT check_file_format CHECK (
        format IN ('csv', 'xlsx', 'json', 'ndjson')),
    purpose text NOT NULL CONSTRAINT check_file_purpose CHECK (
        purpose IN ('before_registration', 'before_enrolment', 'before_payment')),
    list_id uuid,
    programme_id uuid,
    round_id uuid,
    assistance text,
    months daterange,
    received_at timestamptz NOT NULL,
    kept_until timestamptz NOT NULL,
    CONSTRAINT check_file_partner_once UNIQUE (file_id, partner_id),
    CONSTRAINT check_file_of_list FOREIGN KEY (list_id, partner_id)
        REFERENCES cbi.check_list (list_id, partner_id),
    CONSTRAINT check_file_of_programme FOREIGN KEY (programme_id, partner_id)
        REFERENCES cbi.programme (programme_id, partner_id),
    CONSTRAINT check_file_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id),
    CONSTRAINT check_file_of_one CHECK (num_nonnulls(list_id, programme_id, round_id) = 1),
    CONSTRAINT check_file_wanted CHECK (num_nonnulls(assistance, months) IN (0, 2)),
    CONSTRAINT check_file_kept CHECK (
        kept_until > received_at AND kept_until <= received_at + interval '168 hours')
);
CALL cbi.make_append_only('cbi.check_file');
CALL cbi.guard('cbi.check_file',
    $$partner_id = cbi.partner_id() AND area LIKE cbi.area() || '%'
      OR cbi.has_role('auditor', 'worker')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id() AND area = cbi.area()$$);

CREATE TABLE cbi.check_file_key (
    file_id uuid CONSTRAINT check_file_key_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    CONSTRAINT check_file_key_of_file FOREIGN KEY (file_id, partner_id)
        REFERENCES cbi.check_file (file_id, partner_id)
);
CREATE TABLE cbi.check_file_piece (
    file_id uuid NOT NULL,
    -- As it came; what was found, part by part; and the file with it, which is handed out.
    what text NOT NULL CONSTRAINT check_file_piece_what CHECK (
        what IN ('asked', 'answers', 'checked')),
    piece_no integer NOT NULL CONSTRAINT check_file_piece_no CHECK (piece_no >= 0),
    partner_id uuid NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT check_file_piece_pkey PRIMARY KEY (file_id, what, piece_no),
    CONSTRAINT check_file_piece_of_key FOREIGN KEY (file_id)
        REFERENCES cbi.check_file_key (file_id) ON DELETE CASCADE
);
CALL cbi.guard('cbi.check_file_key',
    $$partner_id = cbi.partner_id() AND EXISTS (SELECT FROM cbi.check_file AS f
        WHERE f.file_id = check_file_key.file_id AND f.area LIKE cbi.area() || '%' OFFSET 0)$$,
    $$partner_id = cbi.partner_id()$$);
CALL cbi.guard('cbi.check_file_piece',
    $$partner_id = cbi.partner_id() AND EXISTS (SELECT FROM cbi.check_file_key AS k
        WHERE k.file_id = check_file_piece.file_id OFFSET 0)$$,
    $$partner_id = cbi.partner_id()$$);
-- The worker destroys a key whose week is over, and what it sealed goes with it; it reads neither.
CREATE POLICY ending ON cbi.check_file_key FOR DELETE TO cbi_app USING (cbi.has_role('worker')
    AND EXISTS (SELECT FROM cbi.check_file AS f WHERE f.file_id = check_file_key.file_id
        AND f.kept_until <= now() OFFSET 0));
GRANT SELECT, INSERT, DELETE ON cbi.check_file_key TO cbi_app;
GRANT SELECT, INSERT ON cbi.check_file_piece TO cbi_app;

RESET ROLE;
