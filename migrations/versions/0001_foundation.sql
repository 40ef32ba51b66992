-- Three roles. cbi_owner owns every object and never serves a request; cbi_app is what the
-- service connects as and owns nothing; cbi_door owns the few functions through which matching
-- may read across partners, and sees only the columns those functions hand out.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cbi_owner') THEN
        CREATE ROLE cbi_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cbi_app') THEN
        CREATE ROLE cbi_app LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cbi_door') THEN
        CREATE ROLE cbi_door NOLOGIN;
    END IF;
END $$;

-- Whoever migrates must be able to hand objects over; a superuser already is.
DO $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT cbi_owner, cbi_door TO %I', current_user);
    END IF;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;
GRANT USAGE ON SCHEMA public TO cbi_owner, cbi_app, cbi_door;

CREATE SCHEMA cbi AUTHORIZATION cbi_owner;
CREATE SCHEMA dedup AUTHORIZATION cbi_owner;
CREATE SCHEMA ledger AUTHORIZATION cbi_owner;
GRANT USAGE ON SCHEMA cbi, dedup, ledger TO cbi_app, cbi_door;

SET LOCAL ROLE cbi_owner;

-- The facts of a transaction. Each begins with set_config('app.…', …, true); an unset fact reads
-- as NULL, and a policy that compares with NULL lets nothing through.
CREATE FUNCTION cbi.actor_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.actor_id', true), '')::uuid;
CREATE FUNCTION cbi.partner_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.partner_id', true), '')::uuid;
CREATE FUNCTION cbi.area() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('app.area', true), '');
CREATE FUNCTION cbi.has_role(VARIADIC wanted text[]) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(string_to_array(current_setting('app.roles', true), ',') && wanted, false);

-- History is only ever added to. ENABLE ALWAYS, because a plain trigger is skipped under
-- session_replication_role = replica.
CREATE FUNCTION cbi.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'append_only';
END $$;

-- One call makes a table append-only for everybody, its owner and superusers included.
CREATE PROCEDURE cbi.make_append_only(target regclass) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON %s
                    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_change()', target);
    EXECUTE format('CREATE TRIGGER append_only_table BEFORE TRUNCATE ON %s
                    FOR EACH STATEMENT EXECUTE FUNCTION cbi.refuse_change()', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only_row', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only_table', target);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO cbi_app', target);
END $$;

-- One call forces row-level security with a reading and a writing rule for the service.
CREATE PROCEDURE cbi.guard(target regclass, may_read text, may_write text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY reading ON %s FOR SELECT TO cbi_app USING (%s)', target, may_read);
    EXECUTE format('CREATE POLICY adding ON %s FOR INSERT TO cbi_app WITH CHECK (%s)', target, may_write);
END $$;

REVOKE ALL ON PROCEDURE cbi.make_append_only(regclass), cbi.guard(regclass, text, text) FROM PUBLIC;
RESET ROLE;
