SET LOCAL ROLE cbi_owner;

-- Every foreign key between rows of organisations carries partner_id as well, because foreign
-- keys look past row-level security: without it one organisation could answer for another's
-- household, or sign another's round.

-- ---------------------------------------------------------------- partners and their people

CREATE TABLE cbi.partner (
    partner_id uuid CONSTRAINT partner_pkey PRIMARY KEY,
    code text NOT NULL CONSTRAINT partner_code_once UNIQUE
        CONSTRAINT partner_code_form CHECK (code ~ '^[A-Z][A-Z0-9-]{1,19}$'),
    name text NOT NULL CONSTRAINT partner_name_length CHECK (length(name) BETWEEN 1 AND 200),
    contact text NOT NULL CONSTRAINT partner_contact_length CHECK (length(contact) <= 200),
    added_at timestamptz NOT NULL
);
-- Everybody may know whom to ask; only an administrator adds an organisation.
CALL cbi.guard('cbi.partner', 'true', $$cbi.has_role('admin')$$);
GRANT SELECT, INSERT ON cbi.partner TO cbi_app;

-- A person who acts, under a handle. Two keys of one person are still one person: the four
-- signatures of a round are counted here, not on keys.
CREATE TABLE cbi.actor (
    actor_id uuid CONSTRAINT actor_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT actor_of_partner REFERENCES cbi.partner,
    handle text NOT NULL CONSTRAINT actor_handle_form CHECK (handle ~ '^[a-z0-9][a-z0-9._-]{0,59}$'),
    added_at timestamptz NOT NULL,
    CONSTRAINT actor_handle_once UNIQUE (partner_id, handle)
);
CALL cbi.guard('cbi.actor',
    $$partner_id = cbi.partner_id() OR cbi.has_role('admin', 'auditor')$$, $$cbi.has_role('admin')$$);
GRANT SELECT, INSERT ON cbi.actor TO cbi_app;

CREATE TABLE cbi.api_key (
    key_id uuid CONSTRAINT api_key_pkey PRIMARY KEY,
    prefix text NOT NULL CONSTRAINT api_key_prefix_once UNIQUE,
    -- SHA-256 is enough: the secret has 256 random bits, so there is nothing to guess.
    digest bytea NOT NULL CONSTRAINT api_key_digest_length CHECK (length(digest) = 32),
    actor_id uuid NOT NULL CONSTRAINT api_key_of_actor REFERENCES cbi.actor,
    roles text[] NOT NULL CONSTRAINT api_key_roles_known CHECK (
        cardinality(roles) > 0 AND roles <@ ARRAY['registrar', 'programme', 'adjudicator',
            'finance', 'coordinator', 'auditor', 'admin']),
    area text NOT NULL DEFAULT '' CONSTRAINT api_key_area_form CHECK (area ~ '^([0-9]{2}){0,3}$'),
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CALL cbi.guard('cbi.api_key', $$cbi.has_role('admin')$$, $$cbi.has_role('admin')$$);
-- A revocation is for good.
CREATE POLICY revoking ON cbi.api_key FOR UPDATE TO cbi_app
    USING (cbi.has_role('admin') AND revoked_at IS NULL)
    WITH CHECK (cbi.has_role('admin') AND revoked_at IS NOT NULL);
GRANT SELECT, INSERT, UPDATE (revoked_at) ON cbi.api_key TO cbi_app;

-- ---------------------------------------------------------------- households

CREATE TABLE cbi.household (
    household_id uuid CONSTRAINT household_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT household_of_partner REFERENCES cbi.partner,
    -- Keyed hashes: a partner's own reference is often a document number in disguise.
    reference_key bigint NOT NULL,
    content_key bytea NOT NULL,
    ubigeo text NOT NULL CONSTRAINT household_ubigeo_form CHECK (ubigeo ~ '^[0-9]{6}$'),
    population_type text NOT NULL,
    size smallint NOT NULL CONSTRAINT household_size_range CHECK (size BETWEEN 1 AND 30),
    sealed bytea NOT NULL,
    registered_at timestamptz NOT NULL,
    registered_by uuid NOT NULL,
    CONSTRAINT household_reference_once UNIQUE (partner_id, reference_key),
    CONSTRAINT household_partner_once UNIQUE (household_id, partner_id)
);
CALL cbi.make_append_only('cbi.household');
CALL cbi.guard('cbi.household',
    $$partner_id = cbi.partner_id() AND ubigeo LIKE cbi.area() || '%'$$,
    $$partner_id = cbi.partner_id() AND ubigeo LIKE cbi.area() || '%'$$);
CREATE INDEX household_by_partner ON cbi.household (partner_id, household_id);

-- The data key of a household, wrapped by a key that is not in this database. Deleting the row
-- erases the people for good; everything that counts or pays them stays.
CREATE TABLE cbi.data_key (
    household_id uuid CONSTRAINT data_key_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    CONSTRAINT data_key_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
CALL cbi.guard('cbi.data_key', $$partner_id = cbi.partner_id()$$, $$partner_id = cbi.partner_id()$$);
CREATE POLICY erasing ON cbi.data_key FOR DELETE TO cbi_app
    USING (partner_id = cbi.partner_id() AND cbi.has_role('coordinator', 'admin'));
GRANT SELECT, INSERT, DELETE ON cbi.data_key TO cbi_app;

CREATE TABLE cbi.person (
    person_id uuid CONSTRAINT person_pkey PRIMARY KEY,
    household_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    ordinal smallint NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT person_ordinal_once UNIQUE (household_id, ordinal),
    CONSTRAINT person_partner_once UNIQUE (person_id, partner_id),
    CONSTRAINT person_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
CALL cbi.make_append_only('cbi.person');
CALL cbi.guard('cbi.person', $$partner_id = cbi.partner_id()$$, $$partner_id = cbi.partner_id()$$);

-- Specific needs stand apart: no door leads here, so they never leave the owning partner.
CREATE TABLE cbi.specific_need (
    person_id uuid CONSTRAINT specific_need_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT specific_need_of_person FOREIGN KEY (person_id, partner_id)
        REFERENCES cbi.person (person_id, partner_id)
);
CALL cbi.make_append_only('cbi.specific_need');
CALL cbi.guard('cbi.specific_need',
    $$partner_id = cbi.partner_id() AND cbi.has_role('registrar')$$,
    $$partner_id = cbi.partner_id() AND cbi.has_role('registrar')$$);

CREATE TABLE cbi.consent (
    household_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT consent_kind_known CHECK (
        kind IN ('registration', 'duplicate_check', 'fsp', 'referral', 'contact')),
    granted boolean NOT NULL,
    text_version text NOT NULL,
    language text NOT NULL,
    channel text NOT NULL,
    given_on date NOT NULL,
    withdrawn_on date,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT consent_pkey PRIMARY KEY (household_id, kind, recorded_at),
    CONSTRAINT consent_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
CALL cbi.make_append_only('cbi.consent');
CALL cbi.guard('cbi.consent', $$partner_id = cbi.partner_id()$$, $$partner_id = cbi.partner_id()$$);

-- The newest answer of each kind is the one in force.
CREATE VIEW cbi.consent_in_force WITH (security_invoker = true) AS
    SELECT DISTINCT ON (household_id, kind) household_id, kind,
           granted AND withdrawn_on IS NULL AS granted
    FROM cbi.consent ORDER BY household_id, kind, recorded_at DESC;
GRANT SELECT ON cbi.consent_in_force TO cbi_app;

-- Which family a registration belongs to: derived from judgements, kept with its history, never
-- a merge. The newest row of a household counts.
CREATE TABLE cbi.membership (
    membership_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT membership_pkey PRIMARY KEY,
    household_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    since timestamptz NOT NULL,
    case_id uuid,
    CONSTRAINT membership_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
CALL cbi.make_append_only('cbi.membership');
-- The service only ever starts a household as a family of its own, once; families are joined
-- through cbi.join_families, and never parted.
CALL cbi.guard('cbi.membership', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id() AND beneficiary_id = household_id AND case_id IS NULL$$);
CREATE UNIQUE INDEX membership_begins_once ON cbi.membership (household_id) WHERE case_id IS NULL;
CREATE INDEX membership_newest ON cbi.membership (household_id, membership_no DESC);
CREATE INDEX membership_of_beneficiary ON cbi.membership (beneficiary_id);

-- Every opening of a sealed identity.
CREATE TABLE cbi.access_log (
    access_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT access_log_pkey PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor_id uuid NOT NULL DEFAULT cbi.actor_id(),
    partner_id uuid NOT NULL DEFAULT cbi.partner_id(),
    request_id text NOT NULL DEFAULT coalesce(current_setting('app.request_id', true), ''),
    purpose text NOT NULL,
    household_id uuid NOT NULL
);
CALL cbi.make_append_only('cbi.access_log');
CALL cbi.guard('cbi.access_log', $$cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);
CREATE INDEX access_log_by_household ON cbi.access_log (household_id);

-- The stored answer of a request that carried an Idempotency-Key; written in the transaction
-- that did the work, so there is an answer exactly when there is the work.
CREATE TABLE cbi.answer (
    actor_id uuid NOT NULL,
    idempotency_key text NOT NULL
        CONSTRAINT answer_key_length CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    route text NOT NULL,
    request_digest bytea NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    answered_at timestamptz NOT NULL,
    CONSTRAINT answer_pkey PRIMARY KEY (actor_id, idempotency_key)
);
CALL cbi.make_append_only('cbi.answer');
CALL cbi.guard('cbi.answer', $$actor_id = cbi.actor_id()$$, $$actor_id = cbi.actor_id()$$);

-- ---------------------------------------------------------------- programmes

CREATE TABLE cbi.programme (
    programme_id uuid CONSTRAINT programme_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT programme_of_partner REFERENCES cbi.partner,
    code text NOT NULL CONSTRAINT programme_code_form CHECK (code ~ '^[A-Z][A-Z0-9-]{1,19}$'),
    name text NOT NULL,
    -- Assistance of one group may not overlap for one family; sectoral top-ups have groups of
    -- their own. A list, because a free word would be a way around every rule that hangs on it.
    assistance_group text NOT NULL CONSTRAINT programme_group_known CHECK (assistance_group IN (
        'mpca', 'transit_grant', 'food', 'rent', 'health', 'protection', 'education',
        'livelihood')),
    currency text NOT NULL,
    payer_name text NOT NULL,
    payer_agent text NOT NULL,
    added_at timestamptz NOT NULL,
    CONSTRAINT programme_code_once UNIQUE (partner_id, code),
    CONSTRAINT programme_partner_once UNIQUE (programme_id, partner_id),
    CONSTRAINT programme_group_once UNIQUE (programme_id, partner_id, assistance_group)
);
CALL cbi.make_append_only('cbi.programme');
CALL cbi.guard('cbi.programme', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id()$$);

-- The account a programme pays from, sealed; by its token (a keyed hash) the bank's statements are
-- told from those of accounts that are not ours.
CREATE TABLE cbi.payer_account (
    programme_id uuid CONSTRAINT payer_account_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    token text NOT NULL,
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT payer_account_of_programme FOREIGN KEY (programme_id, partner_id)
        REFERENCES cbi.programme (programme_id, partner_id)
);
CALL cbi.make_append_only('cbi.payer_account');
CALL cbi.guard('cbi.payer_account', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id()$$);

-- A value table is never edited: a later version replaces it from its date on.
CREATE TABLE cbi.transfer_value (
    programme_id uuid NOT NULL,
    version integer NOT NULL CONSTRAINT transfer_value_version_range CHECK (version >= 1),
    partner_id uuid NOT NULL,
    effective_from date NOT NULL,
    household_size smallint NOT NULL CONSTRAINT transfer_value_size_range CHECK (household_size >= 1),
    amount_minor bigint NOT NULL CONSTRAINT transfer_value_positive CHECK (amount_minor > 0),
    approved_by uuid NOT NULL,
    added_at timestamptz NOT NULL,
    CONSTRAINT transfer_value_pkey PRIMARY KEY (programme_id, version, household_size),
    CONSTRAINT transfer_value_of_programme FOREIGN KEY (programme_id, partner_id)
        REFERENCES cbi.programme (programme_id, partner_id)
);
CALL cbi.make_append_only('cbi.transfer_value');
CALL cbi.guard('cbi.transfer_value', $$partner_id = cbi.partner_id()$$,
    $$partner_id = cbi.partner_id()$$);

CREATE TABLE cbi.enrolment (
    enrolment_id uuid CONSTRAINT enrolment_pkey PRIMARY KEY,
    programme_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    household_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    assistance_group text NOT NULL,
    enrolled_at timestamptz NOT NULL,
    enrolled_by uuid NOT NULL,
    closed_at timestamptz,
    CONSTRAINT enrolment_once UNIQUE (enrolment_id, partner_id, household_id, assistance_group),
    CONSTRAINT enrolment_in_programme FOREIGN KEY (programme_id, partner_id, assistance_group)
        REFERENCES cbi.programme (programme_id, partner_id, assistance_group),
    CONSTRAINT enrolment_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
-- One open enrolment per household and programme; closed ones are history.
CREATE UNIQUE INDEX enrolment_one_open
    ON cbi.enrolment (household_id, programme_id) WHERE closed_at IS NULL;
-- One open enrolment per family and kind of assistance, whichever partner registered it. The
-- constraint sees all partners, though none of them sees another's rows.
CREATE UNIQUE INDEX enrolment_one_open_per_beneficiary
    ON cbi.enrolment (beneficiary_id, assistance_group) WHERE closed_at IS NULL;
CALL cbi.guard('cbi.enrolment', $$partner_id = cbi.partner_id()$$, $$partner_id = cbi.partner_id()$$);
CREATE POLICY closing ON cbi.enrolment FOR UPDATE TO cbi_app
    USING (partner_id = cbi.partner_id()) WITH CHECK (partner_id = cbi.partner_id());
GRANT SELECT, INSERT, UPDATE (closed_at) ON cbi.enrolment TO cbi_app;

-- A closed enrolment stays closed.
CREATE FUNCTION cbi.refuse_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.closed_at IS NOT NULL THEN
        RAISE EXCEPTION 'enrolment % is closed', OLD.enrolment_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'enrolment_closed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER enrolment_closed_once BEFORE UPDATE ON cbi.enrolment
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_reopening();
ALTER TABLE cbi.enrolment ENABLE ALWAYS TRIGGER enrolment_closed_once;

-- What hangs on a family hangs on the household's family of today, whatever the program believes.
CREATE FUNCTION cbi.refuse_strange_family() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.beneficiary_id IS DISTINCT FROM (
        SELECT m.beneficiary_id FROM cbi.membership m WHERE m.household_id = NEW.household_id
        ORDER BY m.membership_no DESC LIMIT 1) THEN
        RAISE EXCEPTION 'household % is of another family', NEW.household_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'family_of_today';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER family_of_today BEFORE INSERT ON cbi.enrolment
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_strange_family();
ALTER TABLE cbi.enrolment ENABLE ALWAYS TRIGGER family_of_today;

-- ---------------------------------------------------------------- rounds

CREATE TABLE cbi.round (
    round_id uuid CONSTRAINT round_pkey PRIMARY KEY,
    programme_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    name text NOT NULL CONSTRAINT round_name_length CHECK (length(name) BETWEEN 1 AND 100),
    months daterange NOT NULL CONSTRAINT round_months_bounded CHECK (
        NOT isempty(months) AND NOT lower_inf(months) AND NOT upper_inf(months)),
    -- A payment is for the months around it: without this, one day could pay any number of months.
    pays_on date NOT NULL CONSTRAINT round_months_near CHECK (
        lower(months) BETWEEN pays_on - 186 AND pays_on + 186),
    opened_at timestamptz NOT NULL,
    opened_by uuid NOT NULL,
    CONSTRAINT round_name_once UNIQUE (programme_id, name),
    CONSTRAINT round_partner_once UNIQUE (round_id, partner_id),
    CONSTRAINT round_months_once UNIQUE (round_id, partner_id, months),
    CONSTRAINT round_of_programme FOREIGN KEY (programme_id, partner_id)
        REFERENCES cbi.programme (programme_id, partner_id)
);
CALL cbi.make_append_only('cbi.round');
CALL cbi.guard('cbi.round', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id()$$);

-- One entitlement per family, round and kind; and none whose months overlap another's of the same
-- assistance group, whoever pays it. Its id is the payment's id in the ledger.
CREATE TABLE cbi.entitlement (
    entitlement_id uuid CONSTRAINT entitlement_pkey PRIMARY KEY,
    round_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    enrolment_id uuid NOT NULL,
    household_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT entitlement_kind_known CHECK (kind IN ('instalment', 'top_up')),
    assistance_group text NOT NULL,
    months daterange NOT NULL,
    household_size smallint NOT NULL,
    value_version integer NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT entitlement_positive CHECK (amount_minor > 0),
    currency text NOT NULL,
    computed_at timestamptz NOT NULL,
    cancelled_at timestamptz,
    cancelled_by uuid,
    cancelled_because text,
    CONSTRAINT entitlement_cancelled_whole CHECK (
        num_nulls(cancelled_at, cancelled_by, cancelled_because) IN (0, 3)),
    CONSTRAINT entitlement_of_round FOREIGN KEY (round_id, partner_id, months)
        REFERENCES cbi.round (round_id, partner_id, months),
    CONSTRAINT entitlement_of_enrolment
        FOREIGN KEY (enrolment_id, partner_id, household_id, assistance_group)
        REFERENCES cbi.enrolment (enrolment_id, partner_id, household_id, assistance_group),
    CONSTRAINT entitlement_once UNIQUE (beneficiary_id, round_id, kind),
    CONSTRAINT entitlement_once_per_enrolment UNIQUE (enrolment_id, round_id, kind),
    CONSTRAINT entitlement_no_overlap EXCLUDE USING gist (
        beneficiary_id WITH =, assistance_group WITH =, kind WITH =, months WITH &&)
        WHERE (cancelled_at IS NULL)
);
CREATE TRIGGER family_of_today BEFORE INSERT ON cbi.entitlement
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_strange_family();
ALTER TABLE cbi.entitlement ENABLE ALWAYS TRIGGER family_of_today;
CREATE INDEX entitlement_by_round ON cbi.entitlement (round_id, entitlement_id);
CREATE INDEX entitlement_of_household ON cbi.entitlement (household_id);
CALL cbi.guard('cbi.entitlement', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id()$$);
CREATE POLICY cancelling ON cbi.entitlement FOR UPDATE TO cbi_app
    USING (partner_id = cbi.partner_id()) WITH CHECK (partner_id = cbi.partner_id());
GRANT SELECT, INSERT, UPDATE (cancelled_at, cancelled_by, cancelled_because) ON cbi.entitlement
    TO cbi_app;

-- 1 calculated, 2 prepared, 3 reviewed, 4 approved, 5 released: each once, each after the one
-- before it, and the last four by four different people.
CREATE TABLE cbi.round_step (
    round_id uuid NOT NULL,
    step smallint NOT NULL CONSTRAINT round_step_known CHECK (step BETWEEN 1 AND 5),
    previous smallint GENERATED ALWAYS AS (nullif(step - 1, 0)) STORED,
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    at timestamptz NOT NULL,
    payments integer NOT NULL,
    amount_minor bigint NOT NULL,
    list_digest bytea NOT NULL,
    CONSTRAINT round_step_once PRIMARY KEY (round_id, step),
    CONSTRAINT round_step_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id),
    CONSTRAINT round_step_in_order FOREIGN KEY (round_id, previous)
        REFERENCES cbi.round_step (round_id, step)
);
CREATE UNIQUE INDEX round_step_four_people
    ON cbi.round_step (round_id, actor_id) WHERE step >= 2;
CALL cbi.make_append_only('cbi.round_step');
CALL cbi.guard('cbi.round_step', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

-- Whoever signs a round or changes its list holds this lock until commit, so that no payment is
-- cancelled while the round is being released.
CREATE FUNCTION cbi.lock_round(round_id uuid) RETURNS void LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('cbi.round ' || round_id::text, 0));

-- The list is made whole by the calculation: nothing is added to it later. A released payment is
-- history, it can't be called back by cancelling it; and a cancellation is for good.
CREATE FUNCTION cbi.refuse_late_entitlement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cbi.lock_round(NEW.round_id);
    IF EXISTS (SELECT FROM cbi.round_step WHERE round_id = NEW.round_id) THEN
        RAISE EXCEPTION 'round % is calculated', NEW.round_id
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'entitlement_before_signatures';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER entitlement_before_signatures BEFORE INSERT ON cbi.entitlement
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_late_entitlement();
ALTER TABLE cbi.entitlement ENABLE ALWAYS TRIGGER entitlement_before_signatures;

CREATE FUNCTION cbi.refuse_late_cancelling() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cbi.lock_round(OLD.round_id);
    IF OLD.cancelled_at IS NOT NULL
       OR EXISTS (SELECT FROM cbi.round_step WHERE round_id = OLD.round_id AND step = 5) THEN
        RAISE EXCEPTION 'entitlement % is settled', OLD.entitlement_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'entitlement_settled';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER entitlement_cancelled_once BEFORE UPDATE ON cbi.entitlement
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_late_cancelling();
ALTER TABLE cbi.entitlement ENABLE ALWAYS TRIGGER entitlement_cancelled_once;

-- The exact bytes that went to the financial service provider, sealed, with their digest.
CREATE TABLE cbi.payment_file (
    round_id uuid CONSTRAINT payment_file_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    message_id text NOT NULL CONSTRAINT payment_file_message_once UNIQUE,
    sha256 bytea NOT NULL,
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    sealed bytea NOT NULL,
    written_at timestamptz NOT NULL,
    CONSTRAINT payment_file_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id)
);
CALL cbi.make_append_only('cbi.payment_file');
CALL cbi.guard('cbi.payment_file', $$partner_id = cbi.partner_id() AND cbi.has_role('finance')$$,
    $$partner_id = cbi.partner_id()$$);

-- ---------------------------------------------------------------- doors

-- What the doors may read, column by column.
GRANT SELECT (prefix, digest, actor_id, roles, area, expires_at, revoked_at) ON cbi.api_key TO cbi_door;
GRANT SELECT (actor_id, partner_id, handle) ON cbi.actor TO cbi_door;
GRANT SELECT (partner_id, code) ON cbi.partner TO cbi_door;
GRANT SELECT (person_id, household_id, sealed) ON cbi.person TO cbi_door;
GRANT SELECT (household_id, ubigeo, partner_id, size) ON cbi.household TO cbi_door;
GRANT SELECT (household_id, kek_id, wrapped) ON cbi.data_key TO cbi_door;
GRANT SELECT ON cbi.consent TO cbi_door;
GRANT SELECT (household_id, assistance_group, months, cancelled_at, round_id)
    ON cbi.entitlement TO cbi_door;
GRANT SELECT (household_id, assistance_group, closed_at) ON cbi.enrolment TO cbi_door;
GRANT SELECT, INSERT ON cbi.membership TO cbi_door;
CREATE POLICY door ON cbi.api_key FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.actor FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.partner FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.person FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.household FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.data_key FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.consent FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.entitlement FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.enrolment FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.membership FOR SELECT TO cbi_door USING (true);
CREATE POLICY door_adding ON cbi.membership FOR INSERT TO cbi_door WITH CHECK (true);

-- Who holds this key: asked before anybody is known.
CREATE FUNCTION cbi.find_key(wanted text)
RETURNS TABLE (digest bytea, actor_id uuid, handle text, partner_id uuid, partner_code text,
               roles text[], area text, expires_at timestamptz, revoked_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.digest, a.actor_id, a.handle, p.partner_id, p.code, k.roles, k.area, k.expires_at,
           k.revoked_at
    FROM cbi.api_key k JOIN cbi.actor a USING (actor_id) JOIN cbi.partner p USING (partner_id)
    WHERE k.prefix = wanted
$$;

-- The sealed records of candidates, by id, for matching; only of those who agreed to it.
CREATE FUNCTION cbi.sealed_persons(wanted uuid[])
RETURNS TABLE (person_id uuid, household_id uuid, ubigeo text, sealed bytea, kek_id text,
               wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.person_id, h.household_id, h.ubigeo, p.sealed, d.kek_id, d.wrapped
    FROM unnest(wanted[1:5000]) AS w(person_id)
    JOIN cbi.person p USING (person_id) JOIN cbi.household h USING (household_id)
    JOIN cbi.data_key d USING (household_id)
    WHERE (SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent c
           WHERE c.household_id = h.household_id AND c.kind = 'duplicate_check'
           ORDER BY c.recorded_at DESC LIMIT 1)
    ORDER BY p.person_id
$$;

-- The family a household belongs to today.
CREATE FUNCTION cbi.beneficiaries_of(wanted uuid[])
RETURNS TABLE (household_id uuid, beneficiary_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (m.household_id) m.household_id, m.beneficiary_id
    FROM cbi.membership m WHERE m.household_id = ANY (wanted)
    ORDER BY m.household_id, m.membership_no DESC
$$;

-- The households that belong to these families today, under whatever id they began.
CREATE FUNCTION cbi.households_of(wanted uuid[])
RETURNS TABLE (household_id uuid, beneficiary_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT b.household_id, b.beneficiary_id
    FROM cbi.beneficiaries_of(ARRAY(
        SELECT DISTINCT m.household_id FROM cbi.membership m
        WHERE m.beneficiary_id = ANY (wanted))) b
    WHERE b.beneficiary_id = ANY (wanted)
$$;

-- Which of these families have assistance of this group in these months, outside this round:
-- a yes without by whom, where or how much. Asked by household, because what was promised before
-- two registrations were found to be one family stands under the id of that day.
CREATE FUNCTION cbi.assisted(wanted uuid[], wanted_group text, wanted_months daterange, outside uuid)
RETURNS TABLE (beneficiary_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT h.beneficiary_id
    FROM cbi.households_of(wanted) h JOIN cbi.entitlement e USING (household_id)
    WHERE e.assistance_group = wanted_group
      AND e.months && wanted_months AND e.cancelled_at IS NULL AND e.round_id <> outside
$$;

-- Whether another household of this one's family is enrolled for assistance of this group.
CREATE FUNCTION cbi.family_enrolled(wanted uuid, wanted_group text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM cbi.beneficiaries_of(ARRAY[wanted]) b,
             cbi.households_of(ARRAY[b.beneficiary_id]) h
        JOIN cbi.enrolment e USING (household_id)
        WHERE h.household_id <> wanted AND e.assistance_group = wanted_group
          AND e.closed_at IS NULL)
$$;

-- A decision joins two families: every household of either takes the id of the earlier one. The
-- case must have been decided so; the caller can't join families by any other way.
CREATE FUNCTION cbi.join_families(decided uuid, at timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    joined uuid[];
    kept uuid;
    moved integer;
BEGIN
    -- One at a time, so that two decisions on one family follow one another.
    PERFORM pg_advisory_xact_lock(hashtextextended('cbi.join_families', 0));
    SELECT array_agg(DISTINCT b.beneficiary_id) INTO joined
    FROM dedup.match_case c JOIN dedup.decision d USING (case_id),
         cbi.beneficiaries_of(ARRAY[c.household_a, c.household_b]) b
    WHERE c.case_id = decided
      -- One person alone in both is one household, whichever word was chosen.
      AND (d.verdict = 'same_household' OR d.verdict = 'same_person' AND (
          SELECT count(*) = 2 AND max(h.size) = 1 FROM cbi.household h
          WHERE h.household_id IN (c.household_a, c.household_b)));
    IF coalesce(cardinality(joined), 0) < 2 THEN
        RETURN 0;
    END IF;
    -- The id of the family that was known first stays: its assistance already hangs on it.
    SELECT m.beneficiary_id INTO kept FROM cbi.membership m
    WHERE m.beneficiary_id = ANY (joined) ORDER BY m.membership_no LIMIT 1;
    INSERT INTO cbi.membership (household_id, partner_id, beneficiary_id, since, case_id)
    SELECT current.household_id, h.partner_id, kept, at, decided
    FROM (SELECT DISTINCT ON (m.household_id) m.household_id, m.beneficiary_id
          FROM cbi.membership m
          WHERE m.household_id IN (SELECT household_id FROM cbi.membership
                                   WHERE beneficiary_id = ANY (joined))
          ORDER BY m.household_id, m.membership_no DESC) current
    JOIN cbi.household h USING (household_id)
    WHERE current.beneficiary_id = ANY (joined) AND current.beneficiary_id <> kept;
    GET DIAGNOSTICS moved = ROW_COUNT;
    RETURN moved;
END $$;

RESET ROLE;
GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.find_key(text) OWNER TO cbi_door;
ALTER FUNCTION cbi.sealed_persons(uuid[]) OWNER TO cbi_door;
ALTER FUNCTION cbi.beneficiaries_of(uuid[]) OWNER TO cbi_door;
ALTER FUNCTION cbi.households_of(uuid[]) OWNER TO cbi_door;
ALTER FUNCTION cbi.assisted(uuid[], text, daterange, uuid) OWNER TO cbi_door;
ALTER FUNCTION cbi.family_enrolled(uuid, text) OWNER TO cbi_door;
ALTER FUNCTION cbi.join_families(uuid, timestamptz) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
-- cbi.households_of stays behind the doors: it would tell a family's other registrations.
REVOKE ALL ON FUNCTION cbi.find_key(text), cbi.sealed_persons(uuid[]), cbi.beneficiaries_of(uuid[]),
    cbi.households_of(uuid[]), cbi.assisted(uuid[], text, daterange, uuid),
    cbi.family_enrolled(uuid, text), cbi.join_families(uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.find_key(text), cbi.sealed_persons(uuid[]), cbi.beneficiaries_of(uuid[]),
    cbi.assisted(uuid[], text, daterange, uuid), cbi.family_enrolled(uuid, text),
    cbi.join_families(uuid, timestamptz) TO cbi_app;
