-- A grant is what a donor agreed to give an organisation: so much, between two days. What programmes
-- get of it, and what rounds take of it, stays within that, whoever books and however.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.grant_agreement (
    grant_id uuid CONSTRAINT grant_agreement_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT grant_agreement_of_partner REFERENCES cbi.partner,
    -- As in the name of its accounts, which has no colon.
    code text NOT NULL CONSTRAINT grant_agreement_code CHECK (code ~ '^[A-Z][A-Z0-9-]{1,19}$'),
    donor text NOT NULL CONSTRAINT grant_agreement_donor CHECK (length(donor) BETWEEN 1 AND 70),
    reference text NOT NULL CONSTRAINT grant_agreement_reference CHECK (
        length(reference) BETWEEN 1 AND 70),
    currency text NOT NULL CONSTRAINT grant_agreement_currency CHECK (currency ~ '^[A-Z]{3}$'),
    entered_by uuid NOT NULL,
    entered_at timestamptz NOT NULL,
    CONSTRAINT grant_agreement_code_once UNIQUE (partner_id, code),
    CONSTRAINT grant_agreement_partner_once UNIQUE (grant_id, partner_id)
);
COMMENT ON TABLE cbi.grant_agreement IS 'What donors agreed to give; how much and when is in versions.';
CALL cbi.make_append_only('cbi.grant_agreement');
CALL cbi.guard('cbi.grant_agreement', $$partner_id = (SELECT cbi.partner_id())
    OR (SELECT cbi.has_role('auditor'))$$,
    $$partner_id = cbi.partner_id() AND entered_by = cbi.actor_id()$$);

-- The agreement and its amendments, each with the whole amount and all days it leaves.
CREATE TABLE cbi.grant_version (
    grant_id uuid NOT NULL,
    version integer NOT NULL CONSTRAINT grant_version_range CHECK (version BETWEEN 1 AND 100),
    partner_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT grant_version_kind_known CHECK (
        kind IN ('agreement', 'no_cost_extension', 'top_up')),
    amount_minor bigint NOT NULL CONSTRAINT grant_version_amount CHECK (
        amount_minor BETWEEN 1 AND 1000000000000000),
    first_day date NOT NULL CONSTRAINT grant_version_first_day CHECK (
        first_day BETWEEN '2000-01-01' AND '2199-12-31'),
    last_day date NOT NULL CONSTRAINT grant_version_last_day CHECK (
        last_day BETWEEN first_day AND '2199-12-31'),
    entered_by uuid NOT NULL,
    entered_at timestamptz NOT NULL,
    CONSTRAINT grant_version_pkey PRIMARY KEY (grant_id, version),
    CONSTRAINT grant_version_author_once UNIQUE (grant_id, version, partner_id, entered_by),
    CONSTRAINT grant_version_begins CHECK ((version = 1) = (kind = 'agreement')),
    CONSTRAINT grant_version_of_grant FOREIGN KEY (grant_id, partner_id)
        REFERENCES cbi.grant_agreement (grant_id, partner_id)
);
CALL cbi.make_append_only('cbi.grant_version');
CALL cbi.guard('cbi.grant_version', $$partner_id = (SELECT cbi.partner_id())
    OR (SELECT cbi.has_role('auditor'))$$,
    $$partner_id = cbi.partner_id() AND entered_by = cbi.actor_id()$$);

CREATE TABLE cbi.grant_approval (
    grant_id uuid NOT NULL,
    version integer NOT NULL,
    partner_id uuid NOT NULL,
    entered_by uuid NOT NULL,
    approved_by uuid NOT NULL,
    approved_at timestamptz NOT NULL,
    CONSTRAINT grant_approval_once PRIMARY KEY (grant_id, version),
    CONSTRAINT grant_approval_two_people CHECK (approved_by <> entered_by),
    CONSTRAINT grant_approval_of_version FOREIGN KEY (grant_id, version, partner_id, entered_by)
        REFERENCES cbi.grant_version (grant_id, version, partner_id, entered_by)
);
CALL cbi.make_append_only('cbi.grant_approval');
CALL cbi.guard('cbi.grant_approval', $$partner_id = (SELECT cbi.partner_id())
    OR (SELECT cbi.has_role('auditor'))$$,
    $$partner_id = cbi.partner_id() AND approved_by = cbi.actor_id()$$);

-- Which grant a round is paid from. Named again before it is funded, the later name counts.
CREATE TABLE cbi.round_grant (
    naming_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT round_grant_pkey PRIMARY KEY,
    round_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT round_grant_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id),
    CONSTRAINT round_grant_of_grant FOREIGN KEY (grant_id, partner_id)
        REFERENCES cbi.grant_agreement (grant_id, partner_id)
);
CREATE INDEX round_grant_by_round ON cbi.round_grant (round_id, naming_no);
CREATE INDEX round_grant_by_grant ON cbi.round_grant (grant_id);
CALL cbi.make_append_only('cbi.round_grant');
CALL cbi.guard('cbi.round_grant', $$partner_id = (SELECT cbi.partner_id())
    OR (SELECT cbi.has_role('auditor'))$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

CREATE FUNCTION cbi.refuse_grant(wanted text, rule text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'grant % is held to %', coalesce(wanted, '(none)'), rule
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = rule;
END $$;

-- Of two who take of one grant, or amend it, at the same moment, the second sees what the first did.
CREATE FUNCTION cbi.lock_grant(wanted uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'what is taken after waiting is decided on what is, not on what was'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('cbi.grant ' || wanted::text, 0));
END $$;

-- The version that counts: the newest approved.
CREATE FUNCTION cbi.grant_in_force(wanted uuid)
RETURNS TABLE (version integer, amount_minor bigint, first_day date, last_day date)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT v.version, v.amount_minor, v.first_day, v.last_day FROM cbi.grant_version AS v
    WHERE v.grant_id = wanted AND EXISTS (
        SELECT FROM cbi.grant_approval AS a
        WHERE a.grant_id = v.grant_id AND a.version = v.version OFFSET 0)
    ORDER BY v.version DESC LIMIT 1
$$;

-- An amendment only adds: days, or money. So what was within the grant stays within it.
CREATE FUNCTION cbi.check_grant_approval() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made record;
    before record;
BEGIN
    PERFORM cbi.lock_grant(NEW.grant_id);
    SELECT v.* INTO made FROM cbi.grant_version AS v
    WHERE v.grant_id = NEW.grant_id AND v.version = NEW.version;
    SELECT v.* INTO before FROM cbi.grant_version AS v
    WHERE v.grant_id = NEW.grant_id AND v.version <> NEW.version AND EXISTS (
        SELECT FROM cbi.grant_approval AS a
        WHERE a.grant_id = v.grant_id AND a.version = v.version OFFSET 0)
    ORDER BY v.version DESC LIMIT 1;
    IF (CASE made.kind
        WHEN 'agreement' THEN before.version IS NOT NULL
        WHEN 'no_cost_extension' THEN (
            made.version > before.version AND made.first_day = before.first_day
            AND made.amount_minor = before.amount_minor AND made.last_day > before.last_day)
            IS NOT TRUE
        ELSE (
            made.version > before.version AND made.first_day = before.first_day
            AND made.amount_minor > before.amount_minor AND made.last_day >= before.last_day)
            IS NOT TRUE
        END) THEN
        PERFORM cbi.refuse_grant(NEW.grant_id::text, 'grant_amendment_adds');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER grant_approval_checked AFTER INSERT ON cbi.grant_approval
    FOR EACH ROW EXECUTE FUNCTION cbi.check_grant_approval();
ALTER TABLE cbi.grant_approval ENABLE ALWAYS TRIGGER grant_approval_checked;

-- ---------------------------------------------------------------- a programme's grants

-- Which grants a programme draws on is a term of it.
ALTER TABLE cbi.term DROP CONSTRAINT term_kind_known, ADD CONSTRAINT term_kind_known CHECK (
    kind IN ('values', 'scope', 'schedule', 'top_up', 'eligibility', 'grants'));
ALTER TABLE cbi.term ADD CONSTRAINT term_grants_whole CHECK (kind <> 'grants' OR coalesce(
    jsonb_typeof(content -> 'grants') = 'array' AND jsonb_array_length(content -> 'grants') <= 20
    AND NOT content @? '$.grants[*] ? (@.type() != "string")', false));

CREATE FUNCTION cbi.check_term_grants() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    strange text;
BEGIN
    SELECT g.code INTO strange FROM jsonb_array_elements_text(NEW.content -> 'grants') AS g(code)
    WHERE NOT EXISTS (SELECT FROM cbi.grant_agreement AS a
                      WHERE a.partner_id = NEW.partner_id AND a.code = g.code OFFSET 0) LIMIT 1;
    IF strange IS NOT NULL THEN
        PERFORM cbi.refuse_grant(strange, 'term_grants_known');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER term_grants_checked AFTER INSERT ON cbi.term
    FOR EACH ROW WHEN (NEW.kind = 'grants') EXECUTE FUNCTION cbi.check_term_grants();
ALTER TABLE cbi.term ENABLE ALWAYS TRIGGER term_grants_checked;

CREATE FUNCTION cbi.programme_grants(wanted uuid, day date) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT g.code FROM cbi.term_in_force(wanted, 'grants', day) AS t
    CROSS JOIN jsonb_array_elements_text(t.content -> 'grants') AS g(code)
$$;

-- What all programmes got of a grant. It lies in an account of each, from which it is allotted.
CREATE FUNCTION cbi.funded_of_grant(wanted uuid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    SELECT coalesce(sum(d.credit_minor), 0)::bigint
    FROM cbi.grant_agreement AS g
    JOIN cbi.programme AS p ON p.partner_id = g.partner_id
    CROSS JOIN LATERAL (
        SELECT a.account_id FROM ledger.account AS a
        WHERE a.code = 'programme:' || p.programme_id || ':grant:' || g.code
            AND a.currency = g.currency AND a.partner_id = g.partner_id OFFSET 0) AS a
    CROSS JOIN LATERAL (
        SELECT d.credit_minor FROM ledger.delta AS d WHERE d.account_id = a.account_id OFFSET 0) AS d
    WHERE g.grant_id = wanted
$$;

-- A donor's money names its grant where the programme draws on grants, and stays within it. Asked
-- after the batch is carried into the accounts: this trigger's name comes after that one's.
CREATE FUNCTION cbi.check_funded() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this record;
    given record;
    agreed record;
    drawn text[];
BEGIN
    FOR this IN
        SELECT DISTINCT split_part(d.code, ':', 2)::uuid AS programme_id,
            CASE split_part(c.code, ':', 3) WHEN 'grant' THEN split_part(c.code, ':', 4) END AS code,
            n.partner_id, n.currency, n.effective_on
        FROM new_transfers AS n
        CROSS JOIN LATERAL (SELECT a.code FROM ledger.account AS a
                            WHERE a.account_id = n.debit_account OFFSET 0) AS d
        CROSS JOIN LATERAL (SELECT a.code FROM ledger.account AS a
                            WHERE a.account_id = n.credit_account OFFSET 0) AS c
        -- An exchange brings nothing new; whatever else goes this way is a donor's.
        WHERE n.kind <> 'exchange' AND n.payment_id IS NULL
            AND d.code ~ '^programme:[0-9a-f-]{36}:advance$'
            AND split_part(c.code, ':', 3) IN ('fund', 'grant')
        ORDER BY code
    LOOP
        drawn := ARRAY(SELECT * FROM cbi.programme_grants(this.programme_id, this.effective_on));
        IF this.code IS NULL THEN
            IF cardinality(drawn) > 0 THEN
                PERFORM cbi.refuse_grant(NULL, 'funding_names_grant');
            END IF;
            CONTINUE;
        END IF;
        SELECT a.* INTO given FROM cbi.grant_agreement AS a
        WHERE a.partner_id = this.partner_id AND a.code = this.code;
        -- Where a programme draws on none, a code that no grant has is a name and nothing else.
        IF given.grant_id IS NULL AND cardinality(drawn) = 0 THEN
            CONTINUE;
        END IF;
        IF given.grant_id IS NULL OR NOT this.code = ANY (drawn) THEN
            PERFORM cbi.refuse_grant(this.code, 'funding_of_drawn_grant');
        END IF;
        IF given.currency <> this.currency THEN
            PERFORM cbi.refuse_grant(this.code, 'funding_in_grant_currency');
        END IF;
        PERFORM cbi.lock_grant(given.grant_id);
        SELECT * INTO agreed FROM cbi.grant_in_force(given.grant_id);
        IF (this.effective_on BETWEEN agreed.first_day AND agreed.last_day) IS NOT TRUE THEN
            PERFORM cbi.refuse_grant(this.code, 'funding_within_days');
        END IF;
        IF cbi.funded_of_grant(given.grant_id) > agreed.amount_minor THEN
            PERFORM cbi.refuse_grant(this.code, 'funding_within_grant');
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER transfer_funded AFTER INSERT ON ledger.transfer
    REFERENCING NEW TABLE AS new_transfers FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_funded();
ALTER TABLE ledger.transfer ENABLE ALWAYS TRIGGER transfer_funded;

-- ---------------------------------------------------------------- a round's grant

CREATE FUNCTION cbi.grant_of_round(wanted uuid) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT g.grant_id FROM cbi.round_grant AS g WHERE g.round_id = wanted
    ORDER BY g.naming_no DESC LIMIT 1
$$;

-- What is set aside for the rounds of a grant, less what they gave back, in its own currency.
CREATE FUNCTION cbi.taken_by_rounds(wanted uuid, outside uuid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    SELECT coalesce(sum(d.credit_minor - d.debit_minor), 0)::bigint
    FROM cbi.grant_agreement AS g
    CROSS JOIN LATERAL (SELECT DISTINCT r.round_id FROM cbi.round_grant AS r
                        WHERE r.grant_id = g.grant_id AND r.round_id <> outside OFFSET 0) AS r
    CROSS JOIN LATERAL unnest(ARRAY['available', 'committed', 'payable', 'delivered']) AS w(what)
    CROSS JOIN LATERAL (
        SELECT a.account_id FROM ledger.account AS a
        WHERE a.code = 'round:' || r.round_id || ':' || w.what AND a.currency = g.currency
            AND a.partner_id = g.partner_id OFFSET 0) AS a
    CROSS JOIN LATERAL (
        SELECT d.credit_minor, d.debit_minor FROM ledger.delta AS d
        WHERE d.account_id = a.account_id OFFSET 0) AS d
    WHERE g.grant_id = wanted AND cbi.grant_of_round(r.round_id) = g.grant_id
$$;

CREATE FUNCTION cbi.check_round_grant() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named text;
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    SELECT a.code INTO named FROM cbi.grant_agreement AS a WHERE a.grant_id = NEW.grant_id;
    IF EXISTS (SELECT FROM cbi.funding AS f WHERE f.round_id = NEW.round_id) THEN
        PERFORM cbi.refuse_grant(named, 'round_grant_before_funding');
    END IF;
    IF NOT EXISTS (
        SELECT FROM cbi.round AS o
        CROSS JOIN LATERAL cbi.programme_grants(o.programme_id, o.pays_on) AS g(code)
        WHERE o.round_id = NEW.round_id AND g.code = named) THEN
        PERFORM cbi.refuse_grant(named, 'round_of_drawn_grant');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER round_grant_checked AFTER INSERT ON cbi.round_grant
    FOR EACH ROW EXECUTE FUNCTION cbi.check_round_grant();
ALTER TABLE cbi.round_grant ENABLE ALWAYS TRIGGER round_grant_checked;

-- A round of a programme that draws on grants is funded from one of them: it pays between the
-- grant's days, and in its currency all its rounds together take no more than the grant.
CREATE FUNCTION cbi.check_funding_grant() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this record;
    given record;
    agreed record;
    drawn text[];
BEGIN
    SELECT o.programme_id, o.pays_on, p.currency INTO this
    FROM cbi.round AS o JOIN cbi.programme AS p USING (programme_id)
    WHERE o.round_id = NEW.round_id;
    drawn := ARRAY(SELECT * FROM cbi.programme_grants(this.programme_id, this.pays_on));
    SELECT a.* INTO given FROM cbi.grant_agreement AS a
    WHERE a.grant_id = cbi.grant_of_round(NEW.round_id);
    IF given.grant_id IS NULL THEN
        IF cardinality(drawn) > 0 THEN
            PERFORM cbi.refuse_grant(NULL, 'round_names_grant');
        END IF;
        RETURN NULL;
    END IF;
    IF NOT given.code = ANY (drawn) THEN
        PERFORM cbi.refuse_grant(given.code, 'round_of_drawn_grant');
    END IF;
    PERFORM cbi.lock_grant(given.grant_id);
    SELECT * INTO agreed FROM cbi.grant_in_force(given.grant_id);
    IF (this.pays_on BETWEEN agreed.first_day AND agreed.last_day) IS NOT TRUE THEN
        PERFORM cbi.refuse_grant(given.code, 'round_within_days');
    END IF;
    IF given.currency = this.currency AND NEW.amount_minor
            + cbi.taken_by_rounds(given.grant_id, NEW.round_id) > agreed.amount_minor THEN
        PERFORM cbi.refuse_grant(given.code, 'rounds_within_grant');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER funding_grant_checked AFTER INSERT ON cbi.funding
    FOR EACH ROW EXECUTE FUNCTION cbi.check_funding_grant();
ALTER TABLE cbi.funding ENABLE ALWAYS TRIGGER funding_grant_checked;

RESET ROLE;
