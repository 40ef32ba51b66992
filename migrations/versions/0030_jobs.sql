-- Long work. A job, its chunks and its end are history; whose turn it is to work on it is a lease,
-- which passes on when its holder is gone. No name, number or date of anybody stands here.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.job (
    job_id uuid CONSTRAINT job_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT job_of_partner REFERENCES cbi.partner,
    actor_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT job_kind_form CHECK (kind ~ '^[a-z][a-z-]{1,39}$'),
    -- What it works on: an import, for example.
    subject_id uuid,
    -- The key that made it: once that is revoked or expired, the job ends. The command line of the
    -- machine itself has none.
    key_prefix text,
    roles text[] NOT NULL CONSTRAINT job_roles_some CHECK (cardinality(roles) > 0),
    area text NOT NULL,
    request_id text NOT NULL DEFAULT coalesce(current_setting('app.request_id', true), ''),
    made_at timestamptz NOT NULL,
    CONSTRAINT job_partner_once UNIQUE (job_id, partner_id)
);
COMMENT ON TABLE cbi.job IS 'Work that takes longer than a request, done with its maker''s rights.';
CREATE INDEX job_by_partner ON cbi.job (partner_id, job_id);
CREATE INDEX job_of_subject ON cbi.job (subject_id) WHERE subject_id IS NOT NULL;
CALL cbi.make_append_only('cbi.job');
-- A job has no right that its maker had not when making it. The worker is no organisation; its role
-- is told to the transaction by the program alone (cbi.api_key: api_key_roles_known).
CALL cbi.guard('cbi.job', $$partner_id = cbi.partner_id() OR cbi.has_role('worker')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id() AND area = cbi.area()
      AND roles <@ string_to_array(current_setting('app.roles', true), ',')$$);

-- Chunk 0 is the beginning. A chunk is marked in the transaction that does its work, once and in
-- order: so of two workers on one job the second one's work is undone.
CREATE TABLE cbi.job_chunk (
    job_id uuid NOT NULL,
    chunk_no integer NOT NULL,
    previous integer GENERATED ALWAYS AS (CASE WHEN chunk_no > 0 THEN chunk_no - 1 END) STORED,
    partner_id uuid NOT NULL,
    at timestamptz NOT NULL,
    done integer NOT NULL,
    total integer NOT NULL,
    -- Where the next chunk goes on.
    cursor jsonb NOT NULL,
    CONSTRAINT job_chunk_pkey PRIMARY KEY (job_id, chunk_no),
    CONSTRAINT job_chunk_in_order FOREIGN KEY (job_id, previous)
        REFERENCES cbi.job_chunk (job_id, chunk_no),
    CONSTRAINT job_chunk_of_job FOREIGN KEY (job_id, partner_id)
        REFERENCES cbi.job (job_id, partner_id),
    CONSTRAINT job_chunk_counts CHECK (chunk_no >= 0 AND done BETWEEN 0 AND total),
    CONSTRAINT job_chunk_cursor CHECK (jsonb_typeof(cursor) = 'object')
);
CALL cbi.make_append_only('cbi.job_chunk');
CALL cbi.guard('cbi.job_chunk', $$partner_id = cbi.partner_id() OR cbi.has_role('worker')$$,
    $$partner_id = cbi.partner_id()$$);

CREATE TABLE cbi.job_end (
    job_id uuid CONSTRAINT job_end_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    state text NOT NULL CONSTRAINT job_end_state CHECK (state IN ('done', 'failed', 'cancelled')),
    ended_at timestamptz NOT NULL,
    ended_by uuid NOT NULL,
    result jsonb NOT NULL CONSTRAINT job_end_result CHECK (jsonb_typeof(result) = 'object'),
    CONSTRAINT job_end_of_job FOREIGN KEY (job_id, partner_id)
        REFERENCES cbi.job (job_id, partner_id)
);
CALL cbi.make_append_only('cbi.job_end');
-- The worker ends what nobody's rights carry any more.
CALL cbi.guard('cbi.job_end', $$partner_id = cbi.partner_id() OR cbi.has_role('worker')$$,
    $$(partner_id = cbi.partner_id() OR cbi.has_role('worker')) AND ended_by = cbi.actor_id()$$);

-- Whose turn it is. There is a row while the job is not ended; it is locked while a chunk is worked
-- on, so that a chunk which takes longer than the lease is not begun by another worker.
CREATE TABLE cbi.job_lease (
    job_id uuid CONSTRAINT job_lease_pkey PRIMARY KEY,
    partner_id uuid NOT NULL,
    worker_id uuid,
    held_until timestamptz NOT NULL DEFAULT '-infinity',
    -- How often it was taken up since its last chunk.
    takes integer NOT NULL DEFAULT 0,
    CONSTRAINT job_lease_of_job FOREIGN KEY (job_id, partner_id)
        REFERENCES cbi.job (job_id, partner_id)
);
CREATE INDEX job_lease_by_partner ON cbi.job_lease (partner_id);
CALL cbi.guard('cbi.job_lease', $$partner_id = cbi.partner_id() OR cbi.has_role('worker')$$,
    $$partner_id = cbi.partner_id()$$);
CREATE POLICY taking ON cbi.job_lease FOR UPDATE TO cbi_app
    USING (partner_id = cbi.partner_id() OR cbi.has_role('worker'))
    WITH CHECK (partner_id = cbi.partner_id() OR cbi.has_role('worker'));
CREATE POLICY ending ON cbi.job_lease FOR DELETE TO cbi_app
    USING (partner_id = cbi.partner_id() OR cbi.has_role('worker'));
GRANT SELECT, INSERT, UPDATE (worker_id, held_until, takes), DELETE ON cbi.job_lease TO cbi_app;

-- An organisation has so many jobs at most that are not ended: it doesn't keep the others waiting.
CREATE FUNCTION cbi.refuse_many_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('cbi.job ' || NEW.partner_id::text, 0));
    IF (SELECT count(*) FROM cbi.job_lease AS l WHERE l.partner_id = NEW.partner_id) >= 20 THEN
        RAISE EXCEPTION 'organisation % has too many jobs', NEW.partner_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'job_waiting_max';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER job_waiting_max BEFORE INSERT ON cbi.job
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_many_jobs();
ALTER TABLE cbi.job ENABLE ALWAYS TRIGGER job_waiting_max;

CREATE FUNCTION cbi.refuse_late_chunk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM cbi.job_end AS e WHERE e.job_id = NEW.job_id) THEN
        RAISE EXCEPTION 'job % is ended', NEW.job_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'job_chunk_before_end';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER job_chunk_before_end BEFORE INSERT ON cbi.job_chunk
    FOR EACH ROW EXECUTE FUNCTION cbi.refuse_late_chunk();
ALTER TABLE cbi.job_chunk ENABLE ALWAYS TRIGGER job_chunk_before_end;

CREATE VIEW cbi.job_standing WITH (security_invoker = true) AS
    SELECT j.job_id, j.kind, j.partner_id, j.actor_id, j.subject_id, j.request_id, j.roles,
           coalesce(e.state, CASE WHEN c.chunk_no IS NULL THEN 'waiting' ELSE 'running' END)
               AS state,
           coalesce(c.done, 0) AS done, coalesce(c.total, 0) AS total,
           j.made_at, s.at AS started_at, coalesce(e.ended_at, c.at, j.made_at) AS at,
           e.ended_at, e.result
    FROM cbi.job AS j
    LEFT JOIN LATERAL (
        SELECT x.chunk_no, x.done, x.total, x.at FROM cbi.job_chunk AS x
        WHERE x.job_id = j.job_id ORDER BY x.chunk_no DESC LIMIT 1) AS c ON true
    LEFT JOIN LATERAL (
        SELECT x.at FROM cbi.job_chunk AS x
        WHERE x.job_id = j.job_id AND x.chunk_no = 0 OFFSET 0) AS s ON true
    LEFT JOIN LATERAL (
        SELECT x.state, x.ended_at, x.result FROM cbi.job_end AS x
        WHERE x.job_id = j.job_id OFFSET 0) AS e ON true;
GRANT SELECT ON cbi.job_standing TO cbi_app;
RESET ROLE;
