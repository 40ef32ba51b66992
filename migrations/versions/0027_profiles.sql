-- Profiles of payment files: a provider's format as data, never edited. A changed one is the next
-- version of its code.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.fsp_profile (
    partner_id uuid NOT NULL
        CONSTRAINT fsp_profile_of_partner REFERENCES cbi.partner (partner_id),
    code text NOT NULL,
    version integer NOT NULL CONSTRAINT fsp_profile_version_positive CHECK (version >= 1),
    content jsonb NOT NULL,
    sha256 bytea NOT NULL CONSTRAINT fsp_profile_digest CHECK (length(sha256) = 32),
    added_by uuid NOT NULL,
    added_at timestamptz NOT NULL,
    CONSTRAINT fsp_profile_pkey PRIMARY KEY (partner_id, code, version)
);
CALL cbi.make_append_only('cbi.fsp_profile');
CALL cbi.guard('cbi.fsp_profile', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND added_by = cbi.actor_id() AND cbi.has_role('finance')$$);

-- The newest row of a programme counts. Version 0 came with the program, and is in no table.
CREATE TABLE cbi.programme_profile (
    choice_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT programme_profile_pkey PRIMARY KEY,
    programme_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    code text NOT NULL,
    version integer NOT NULL CONSTRAINT programme_profile_version CHECK (version >= 0),
    own_version integer GENERATED ALWAYS AS (nullif(version, 0)) STORED,
    since timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    CONSTRAINT programme_profile_of_programme FOREIGN KEY (programme_id, partner_id)
        REFERENCES cbi.programme (programme_id, partner_id),
    CONSTRAINT programme_profile_known FOREIGN KEY (partner_id, code, own_version)
        REFERENCES cbi.fsp_profile (partner_id, code, version)
);
CREATE INDEX programme_profile_newest ON cbi.programme_profile (programme_id, choice_no);
CALL cbi.make_append_only('cbi.programme_profile');
CALL cbi.guard('cbi.programme_profile', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id() AND cbi.has_role('finance')$$);

RESET ROLE;
