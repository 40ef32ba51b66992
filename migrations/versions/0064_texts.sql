-- An organisation may say a message in its own words: a version for a kind and a language, which
-- counts from its day on when another person has approved it. Until then, and where there is none,
-- the words that came with the program are said.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.message_text (
    text_id uuid CONSTRAINT message_text_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT message_text_of_partner REFERENCES cbi.partner,
    kind text NOT NULL CONSTRAINT message_text_kind_form CHECK (kind ~ '^person\.[a-z_]+$'),
    language text NOT NULL CONSTRAINT message_text_language_known CHECK (language IN ('es', 'en')),
    version integer NOT NULL CONSTRAINT message_text_version_range CHECK (
        version BETWEEN 1 AND 500),
    previous integer GENERATED ALWAYS AS (nullif(version - 1, 0)) STORED,
    -- One line, and nothing to be filled in but these three.
    words text NOT NULL
        CONSTRAINT message_text_words_length CHECK (length(words) BETWEEN 1 AND 480)
        CONSTRAINT message_text_words_line CHECK (words !~ '[[:cntrl:]]')
        CONSTRAINT message_text_placeholders_known CHECK (
            regexp_replace(words, '\{(reference|due_on|contact)\}', '', 'g') !~ '[{}]'),
    contact text CONSTRAINT message_text_contact_form CHECK (
        contact ~ '^\+?[0-9][0-9 ]{4,18}[0-9]$'),
    -- Names what help it is about: only for households that agreed to be contacted under this
    -- version of the question. Who appeals is asked another one.
    open_to text
        CONSTRAINT message_text_open_to_length CHECK (length(open_to) BETWEEN 1 AND 40)
        CONSTRAINT message_text_open_to_household CHECK (
            open_to IS NULL OR kind !~ '^person\.appeal_'),
    effective_from date NOT NULL,
    proposed_by uuid NOT NULL,
    proposed_at timestamptz NOT NULL,
    CONSTRAINT message_text_contact_said CHECK (
        (contact IS NULL) = (strpos(words, '{contact}') = 0)),
    CONSTRAINT message_text_version_once UNIQUE (partner_id, kind, language, version),
    CONSTRAINT message_text_author_once UNIQUE (text_id, partner_id, proposed_by),
    CONSTRAINT message_text_in_order FOREIGN KEY (partner_id, kind, language, previous)
        REFERENCES cbi.message_text (partner_id, kind, language, version)
);
CALL cbi.make_append_only('cbi.message_text');
CALL cbi.guard('cbi.message_text', $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND proposed_by = cbi.actor_id()
      AND cbi.has_role('programme', 'admin')$$);

CREATE TABLE cbi.message_text_approval (
    text_id uuid CONSTRAINT message_text_approval_once PRIMARY KEY,
    partner_id uuid NOT NULL,
    proposed_by uuid NOT NULL,
    approved_by uuid NOT NULL,
    approved_at timestamptz NOT NULL,
    CONSTRAINT message_text_approval_two_people CHECK (approved_by <> proposed_by),
    CONSTRAINT message_text_approval_of_text FOREIGN KEY (text_id, partner_id, proposed_by)
        REFERENCES cbi.message_text (text_id, partner_id, proposed_by)
);
CALL cbi.make_append_only('cbi.message_text_approval');
CALL cbi.guard('cbi.message_text_approval',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND approved_by = cbi.actor_id()
      AND cbi.has_role('programme', 'admin')$$);

GRANT SELECT ON cbi.message_text, cbi.message_text_approval TO cbi_door;
CREATE POLICY door ON cbi.message_text FOR SELECT TO cbi_door USING (true);
CREATE POLICY door ON cbi.message_text_approval FOR SELECT TO cbi_door USING (true);

RESET ROLE;

-- The own words of these notices, as `messenger`: those that counted when the notice was made, so
-- that they are the same at every try, and open ones only to who agreed to them then.
CREATE FUNCTION cbi.texts_of_notices(wanted uuid[])
RETURNS TABLE (notice_id uuid, version integer, words text, contact text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT n.notice_id, t.version, t.words, t.contact
    FROM unnest(wanted) AS w(notice_id)
    CROSS JOIN LATERAL (
        SELECT x.* FROM cbi.notice AS x WHERE x.notice_id = w.notice_id OFFSET 0) AS n
    LEFT JOIN LATERAL (
        SELECT x.granted, x.withdrawn_on, x.text_version FROM cbi.consent AS x
        WHERE x.household_id = (n.body ->> 'household_id')::uuid AND x.kind = 'contact'
          AND x.recorded_at <= n.made_at
        ORDER BY x.recorded_at DESC LIMIT 1) AS c ON true
    CROSS JOIN LATERAL (
        SELECT x.version, x.words, x.contact FROM cbi.message_text AS x
        JOIN cbi.message_text_approval AS a USING (text_id)
        WHERE x.partner_id = n.partner_id AND x.kind = n.kind
          AND x.language = CASE WHEN n.body ->> 'language' = 'en' THEN 'en' ELSE 'es' END
          AND a.approved_at <= n.made_at AND x.effective_from <= cbi.peru_day(n.made_at)
          AND (x.open_to IS NULL
               OR c.granted AND c.withdrawn_on IS NULL AND x.open_to = c.text_version)
        ORDER BY x.effective_from DESC, x.version DESC LIMIT 1) AS t
    WHERE cbi.has_role('messenger') AND n.kind LIKE 'person.%'
$$;

GRANT CREATE ON SCHEMA cbi TO cbi_door;
ALTER FUNCTION cbi.texts_of_notices(uuid[]) OWNER TO cbi_door;
REVOKE CREATE ON SCHEMA cbi FROM cbi_door;
REVOKE ALL ON FUNCTION cbi.texts_of_notices(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cbi.texts_of_notices(uuid[]) TO cbi_app;
