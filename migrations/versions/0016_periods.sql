-- What the books need beside transfers: closed periods, digests that are sealed in the log like
-- transfers, exchanges of two currencies, and payments that were delivered in part.
SET LOCAL ROLE cbi_owner;

-- Whoever waits for a lock must see what was committed meanwhile; with a snapshot of before it would
-- decide on what no longer is.
CREATE FUNCTION ledger.must_see_now() RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'this is decided in READ COMMITTED only'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'read_committed_only';
    END IF;
END $$;
CREATE OR REPLACE FUNCTION cbi.lock_round(round_id uuid) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.must_see_now();
    PERFORM pg_advisory_xact_lock(hashtextextended('cbi.round ' || round_id::text, 0));
END $$;

-- A digest of something that lies outside the transfers, sealed in the log beside them: nobody can
-- say afterwards that it was another.
CREATE TABLE ledger.digest (
    digest_id uuid CONSTRAINT digest_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    subject text NOT NULL CONSTRAINT digest_subject_known CHECK (subject IN ('period')),
    sha256 bytea NOT NULL CONSTRAINT digest_length CHECK (length(sha256) = 32),
    made_at timestamptz NOT NULL CONSTRAINT digest_made_then CHECK (
        made_at BETWEEN '1900-01-01 00:00:00+00' AND '9999-01-01 00:00:00+00'),
    actor_id uuid NOT NULL,
    xid bigint NOT NULL DEFAULT ledger.xact_no(),
    CONSTRAINT digest_partner_once UNIQUE (digest_id, partner_id)
);
CREATE INDEX digest_in_seal_order ON ledger.digest (xid);
CALL cbi.make_append_only('ledger.digest');
CALL cbi.guard('ledger.digest',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor', 'sealer')$$,
    $$partner_id = cbi.partner_id()$$);
REVOKE INSERT ON ledger.digest FROM cbi_app;
GRANT INSERT (digest_id, partner_id, subject, sha256, made_at, actor_id) ON ledger.digest TO cbi_app;

-- A period of an organisation's books, from the day after the one before. Nothing is booked in it
-- any more, so its trial balance stays what it was; the digest of these bytes is sealed.
CREATE TABLE ledger.period (
    partner_id uuid NOT NULL,
    until date NOT NULL,
    trial bytea NOT NULL,
    digest_id uuid NOT NULL,
    closed_at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    CONSTRAINT period_pkey PRIMARY KEY (partner_id, until),
    CONSTRAINT period_over CHECK (until < (closed_at AT TIME ZONE 'UTC')::date),
    CONSTRAINT period_sealed FOREIGN KEY (digest_id, partner_id)
        REFERENCES ledger.digest (digest_id, partner_id)
);
CALL cbi.make_append_only('ledger.period');
CALL cbi.guard('ledger.period',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$, $$partner_id = cbi.partner_id()$$);

-- Who books shares this lock until commit, who closes a period holds it alone.
CREATE FUNCTION ledger.period_lock(partner_id uuid) RETURNS bigint LANGUAGE sql STABLE
    RETURN hashtextextended('ledger.period ' || partner_id::text, 0);

CREATE FUNCTION ledger.check_period() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.must_see_now();
    PERFORM pg_advisory_xact_lock(ledger.period_lock(NEW.partner_id));
    -- A clock may be a little ahead; a period that is not over is not closed by saying so.
    IF NEW.closed_at > clock_timestamp() + interval '1 hour' THEN
        RAISE EXCEPTION 'nothing is closed in the future'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'period_over';
    END IF;
    IF EXISTS (SELECT FROM ledger.period AS p
               WHERE p.partner_id = NEW.partner_id AND p.until >= NEW.until) THEN
        RAISE EXCEPTION 'a later period is closed'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'period_in_order';
    END IF;
    IF (SELECT d.sha256 FROM ledger.digest AS d WHERE d.digest_id = NEW.digest_id)
        IS DISTINCT FROM sha256(NEW.trial) THEN
        RAISE EXCEPTION 'this is not the digest of the trial balance'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'period_sealed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER period_checked BEFORE INSERT ON ledger.period
    FOR EACH ROW EXECUTE FUNCTION ledger.check_period();
ALTER TABLE ledger.period ENABLE ALWAYS TRIGGER period_checked;

-- Money of one currency given for money of another. The two legs are transfers of this entry, whose
-- id is a digest of the other columns: who edits a rate has another entry.
CREATE TABLE ledger.exchange (
    entry_id uuid CONSTRAINT exchange_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    sold_minor bigint NOT NULL CONSTRAINT exchange_sold_positive CHECK (sold_minor > 0),
    sold_currency text NOT NULL,
    bought_minor bigint NOT NULL CONSTRAINT exchange_bought_positive CHECK (bought_minor > 0),
    bought_currency text NOT NULL,
    rate numeric NOT NULL CONSTRAINT exchange_rate_positive CHECK (rate > 0),
    rate_source text NOT NULL
        CONSTRAINT exchange_source_length CHECK (length(rate_source) BETWEEN 1 AND 100),
    rate_on date NOT NULL,
    name text NOT NULL CONSTRAINT exchange_name_length CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT exchange_two_currencies CHECK (sold_currency <> bought_currency)
);
COMMENT ON COLUMN ledger.exchange.rate IS 'units of what was bought for one unit of what was sold';
CALL cbi.make_append_only('ledger.exchange');
CALL cbi.guard('ledger.exchange',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$, $$partner_id = cbi.partner_id()$$);

-- Delivered in part: so much of the attempt and no more. NULL is all of it, or nothing when void.
ALTER TABLE ledger.outcome ADD COLUMN part_minor bigint
    CONSTRAINT outcome_part_positive CHECK (part_minor > 0)
    CONSTRAINT outcome_part_delivered CHECK (part_minor IS NULL OR outcome = 'post');
CREATE FUNCTION ledger.check_outcomes() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM new_outcomes AS o WHERE o.part_minor IS NOT NULL AND NOT EXISTS (
        SELECT FROM ledger.attempt AS a WHERE a.payment_id = o.payment_id
            AND a.attempt_no = o.attempt_no AND a.amount_minor > o.part_minor)) THEN
        RAISE EXCEPTION 'a part is less than the whole'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'outcome_part_of_attempt';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER outcome_checked AFTER INSERT ON ledger.outcome REFERENCING NEW TABLE AS new_outcomes
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_outcomes();
ALTER TABLE ledger.outcome ENABLE ALWAYS TRIGGER outcome_checked;

RESET ROLE;
