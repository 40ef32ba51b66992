-- A file to check may have 50,000 households: it is kept as it was read, a thousand at a time, with
-- who stands in it twice. One of more persons than the day's quota goes on by itself the next day,
-- and the job says when.
SET LOCAL ROLE cbi_owner;

ALTER TABLE cbi.check_file
    -- Whose district codes it has, where its sender says it.
    ADD COLUMN ubigeo_system text
        CONSTRAINT check_file_ubigeo_system CHECK (ubigeo_system IN ('inei', 'reniec')),
    DROP CONSTRAINT check_file_format,
    ADD CONSTRAINT check_file_format CHECK (format IN ('csv', 'xlsx', 'json', 'ndjson', 'kobo'));
ALTER TABLE cbi.check_file_piece
    DROP CONSTRAINT check_file_piece_what,
    ADD CONSTRAINT check_file_piece_what CHECK (
        what IN ('asked', 'read', 'twice', 'answers', 'checked'));

CREATE OR REPLACE VIEW cbi.job_standing WITH (security_invoker = true) AS
    SELECT j.job_id, j.kind, j.partner_id, j.actor_id, j.subject_id, j.request_id, j.roles,
           coalesce(e.state, CASE WHEN c.chunk_no IS NULL THEN 'waiting' ELSE 'running' END)
               AS state,
           coalesce(c.done, 0) AS done, coalesce(c.total, 0) AS total,
           j.made_at, s.at AS started_at, coalesce(e.ended_at, c.at, j.made_at) AS at,
           e.ended_at, e.result,
           CASE WHEN e.state IS NULL THEN (c.cursor ->> 'goes_on_at')::timestamptz END
               AS goes_on_at
    FROM cbi.job AS j
    LEFT JOIN LATERAL (
        SELECT x.chunk_no, x.done, x.total, x.at, x.cursor FROM cbi.job_chunk AS x
        WHERE x.job_id = j.job_id ORDER BY x.chunk_no DESC LIMIT 1) AS c ON true
    LEFT JOIN LATERAL (
        SELECT x.at FROM cbi.job_chunk AS x
        WHERE x.job_id = j.job_id AND x.chunk_no = 0 OFFSET 0) AS s ON true
    LEFT JOIN LATERAL (
        SELECT x.state, x.ended_at, x.result FROM cbi.job_end AS x
        WHERE x.job_id = j.job_id OFFSET 0) AS e ON true;

RESET ROLE;
