-- Parts of a payment file are counted apart from chunks, say whom they pay and by which profile; and
-- an enrolment says what its family is paid by.
SET LOCAL ROLE cbi_owner;

-- ---------------------------------------------------------------- parts of a chunk

-- What a family is paid by, as it was enrolled; until now that was an account at a bank.
ALTER TABLE cbi.enrolment ADD COLUMN instrument_kind text NOT NULL DEFAULT 'bank_account'
    CONSTRAINT enrolment_instrument_known CHECK (
        instrument_kind IN ('bank_account', 'mobile_wallet', 'otc_cash'));
CREATE INDEX enrolment_by_instrument ON cbi.enrolment (programme_id, instrument_kind)
    WHERE closed_at IS NULL;

-- A chunk has one part of the file or several: a provider may take so many payments in a file, or
-- want one for each district or branch. Each part says whom it pays and by which profile.
ALTER TABLE cbi.chunk DISABLE TRIGGER append_only_row;
ALTER TABLE cbi.payment_file DISABLE TRIGGER append_only_row;
ALTER TABLE cbi.chunk NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.payment_file NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.entitlement NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.chunk DROP CONSTRAINT chunk_has_file,
    ADD COLUMN first_part integer,
    ADD COLUMN parts integer CONSTRAINT chunk_parts_range CHECK (parts BETWEEN 1 AND 10000);
ALTER TABLE cbi.payment_file
    ADD COLUMN chunk_no integer,
    ADD COLUMN payment_ids uuid[]
        CONSTRAINT payment_file_not_empty CHECK (cardinality(payment_ids) > 0),
    ADD COLUMN profile_code text,
    ADD COLUMN profile_version integer
        CONSTRAINT payment_file_profile_version CHECK (profile_version >= 0),
    ADD COLUMN own_version integer GENERATED ALWAYS AS (nullif(profile_version, 0)) STORED;
UPDATE cbi.chunk SET first_part = chunk_no, parts = 1;
UPDATE cbi.payment_file AS f SET chunk_no = f.part_no, profile_code = 'pain.001.001.09',
    profile_version = 0, payment_ids = (
        SELECT array_agg(e.entitlement_id ORDER BY e.entitlement_id)
        FROM cbi.chunk AS c JOIN cbi.entitlement AS e ON e.round_id = c.round_id
            AND e.entitlement_id > c.after_payment AND e.entitlement_id <= c.upto_payment
            AND e.cancelled_at IS NULL
        WHERE c.round_id = f.round_id AND c.chunk_no = f.part_no);
ALTER TABLE cbi.chunk ALTER COLUMN first_part SET NOT NULL, ALTER COLUMN parts SET NOT NULL;
ALTER TABLE cbi.payment_file ALTER COLUMN chunk_no SET NOT NULL,
    ALTER COLUMN payment_ids SET NOT NULL, ALTER COLUMN profile_code SET NOT NULL,
    ALTER COLUMN profile_version SET NOT NULL,
    ADD CONSTRAINT payment_file_profile_known FOREIGN KEY (partner_id, profile_code, own_version)
        REFERENCES cbi.fsp_profile (partner_id, code, version);
-- Its chunk comes first, its parts in the same transaction.
ALTER TABLE cbi.chunk ADD CONSTRAINT chunk_has_file FOREIGN KEY (round_id, first_part)
    REFERENCES cbi.payment_file (round_id, part_no) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE cbi.chunk FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.payment_file FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.entitlement FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.chunk ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE cbi.payment_file ENABLE ALWAYS TRIGGER append_only_row;

-- The parts of chunks follow one another.
CREATE FUNCTION cbi.check_chunk_parts() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    next integer := 1;
BEGIN
    IF NEW.chunk_no > 1 THEN
        SELECT c.first_part + c.parts INTO next FROM cbi.chunk AS c
        WHERE c.round_id = NEW.round_id AND c.chunk_no = NEW.chunk_no - 1;
    END IF;
    IF NEW.first_part IS DISTINCT FROM next THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'chunk_parts_in_order');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER chunk_parts_checked BEFORE INSERT ON cbi.chunk
    FOR EACH ROW EXECUTE FUNCTION cbi.check_chunk_parts();
ALTER TABLE cbi.chunk ENABLE ALWAYS TRIGGER chunk_parts_checked;

-- All parts of a chunk come at once, and pay what stands on the list between its ends, each once.
CREATE FUNCTION cbi.check_payment_file_parts() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    this record;
    reserved record;
    listed uuid[];
    paid uuid[];
BEGIN
    FOR this IN SELECT n.round_id, n.chunk_no, min(n.part_no) AS first_part, count(*) AS parts,
            max(n.part_no) AS last_part
        FROM new_parts AS n GROUP BY n.round_id, n.chunk_no ORDER BY n.round_id, n.chunk_no
    LOOP
        PERFORM cbi.lock_round(this.round_id);
        SELECT c.* INTO reserved FROM cbi.chunk AS c
        WHERE c.round_id = this.round_id AND c.chunk_no = this.chunk_no;
        IF (this.first_part, this.parts, this.last_part) IS DISTINCT FROM
                (reserved.first_part, reserved.parts::bigint,
                 reserved.first_part + reserved.parts - 1) THEN
            PERFORM cbi.refuse_in_round(this.round_id, 'payment_file_parts_of_chunk');
        END IF;
        SELECT array_agg(e.entitlement_id ORDER BY e.entitlement_id)
            FILTER (WHERE e.cancelled_at IS NULL) INTO listed
        FROM cbi.entitlement AS e
        WHERE e.round_id = this.round_id AND e.entitlement_id > reserved.after_payment
            AND e.entitlement_id <= reserved.upto_payment;
        SELECT array_agg(p.payment_id ORDER BY p.payment_id) INTO paid
        FROM new_parts AS n CROSS JOIN LATERAL unnest(n.payment_ids) AS p(payment_id)
        WHERE n.round_id = this.round_id AND n.chunk_no = this.chunk_no;
        IF paid IS DISTINCT FROM listed THEN
            PERFORM cbi.refuse_in_round(this.round_id, 'payment_file_covers_chunk');
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER payment_file_parts_checked AFTER INSERT ON cbi.payment_file
    REFERENCING NEW TABLE AS new_parts
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_payment_file_parts();
ALTER TABLE cbi.payment_file ENABLE ALWAYS TRIGGER payment_file_parts_checked;

-- ---------------------------------------------------------------- follow-ups

ALTER TABLE cbi.followup_file DISABLE TRIGGER append_only_row;
ALTER TABLE cbi.followup_file NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.followup_payment NO FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.followup_file
    ADD COLUMN part_no integer NOT NULL DEFAULT 1
        CONSTRAINT followup_file_part_positive CHECK (part_no >= 1),
    ADD COLUMN payment_ids uuid[]
        CONSTRAINT followup_file_not_empty CHECK (cardinality(payment_ids) > 0),
    ADD COLUMN profile_code text NOT NULL DEFAULT 'pain.001.001.09',
    ADD COLUMN profile_version integer NOT NULL DEFAULT 0
        CONSTRAINT followup_file_profile_version CHECK (profile_version >= 0),
    ADD COLUMN own_version integer GENERATED ALWAYS AS (nullif(profile_version, 0)) STORED,
    DROP CONSTRAINT followup_file_pkey,
    ADD CONSTRAINT followup_file_pkey PRIMARY KEY (followup_id, part_no),
    ADD CONSTRAINT followup_file_profile_known FOREIGN KEY (partner_id, profile_code, own_version)
        REFERENCES cbi.fsp_profile (partner_id, code, version);
UPDATE cbi.followup_file AS f SET payment_ids = (
    SELECT array_agg(p.payment_id ORDER BY p.payment_id) FROM cbi.followup_payment AS p
    WHERE p.followup_id = f.followup_id);
ALTER TABLE cbi.followup_file ALTER COLUMN payment_ids SET NOT NULL,
    ALTER COLUMN part_no DROP DEFAULT, ALTER COLUMN profile_code DROP DEFAULT,
    ALTER COLUMN profile_version DROP DEFAULT;
ALTER TABLE cbi.followup_file FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.followup_payment FORCE ROW LEVEL SECURITY;
ALTER TABLE cbi.followup_file ENABLE ALWAYS TRIGGER append_only_row;

-- All parts of a follow-up's file come at once, and pay its list, each payment once.
CREATE FUNCTION cbi.check_followup_file_parts() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    this record;
BEGIN
    FOR this IN SELECT n.followup_id, min(n.part_no) AS first_part, count(*) AS parts,
            max(n.part_no) AS last_part
        FROM new_parts AS n GROUP BY n.followup_id ORDER BY n.followup_id
    LOOP
        IF this.first_part <> 1 OR this.parts <> this.last_part OR (
                SELECT array_agg(p.payment_id ORDER BY p.payment_id)
                FROM cbi.followup_payment AS p WHERE p.followup_id = this.followup_id)
            IS DISTINCT FROM (
                SELECT array_agg(p.payment_id ORDER BY p.payment_id)
                FROM new_parts AS n CROSS JOIN LATERAL unnest(n.payment_ids) AS p(payment_id)
                WHERE n.followup_id = this.followup_id) THEN
            PERFORM cbi.refuse_in_followup(this.followup_id, 'followup_file_covers_list');
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER followup_file_parts_checked AFTER INSERT ON cbi.followup_file
    REFERENCING NEW TABLE AS new_parts
    FOR EACH STATEMENT EXECUTE FUNCTION cbi.check_followup_file_parts();
ALTER TABLE cbi.followup_file ENABLE ALWAYS TRIGGER followup_file_parts_checked;

RESET ROLE;
