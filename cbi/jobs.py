"""Make jobs, take them up, mark their chunks and end them.

A worker takes a job up (`take`, as the worker), then does chunk after chunk, each in a transaction
with the rights of the job's maker: `hold` first, the work, `mark` last. Who is killed leaves the
chunk undone and the lease to run out.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.import_refusal import JobEnded, TooManyJobs
from cbi.job import Chunk, End, Job, JobView, Marked, NewJob
from cbi.job_tables import job, job_chunk, job_end, job_lease
from cbi.refusal import NotFound
from ledger.violation import constraint_of

# A worker that says nothing for so long is gone. A chunk may take longer: it holds a lock.
LEASE_SECONDS = 10.0
WAITING_MAX = 20

# Whoever has fewest jobs at work comes first, then the oldest.
_TAKE = text("""
    WITH next AS MATERIALIZED (
        SELECT l.job_id FROM cbi.job_lease AS l JOIN cbi.job AS j USING (job_id)
        WHERE l.held_until < clock_timestamp() AND j.kind = ANY (:kinds ::text[])
          AND (:wanted ::uuid IS NULL OR l.job_id = :wanted ::uuid)
        ORDER BY (SELECT count(*) FROM cbi.job_lease AS o WHERE o.partner_id = l.partner_id
                  AND o.held_until >= clock_timestamp()), l.job_id
        LIMIT 1 FOR UPDATE OF l SKIP LOCKED
    ), taken AS (
        UPDATE cbi.job_lease AS l SET worker_id = :worker_id, takes = l.takes + 1,
            held_until = clock_timestamp() + make_interval(secs => :seconds ::double precision)
        FROM next WHERE l.job_id = next.job_id RETURNING l.job_id, l.takes
    )
    SELECT j.job_id, j.kind, j.partner_id, p.code AS partner_code, j.actor_id, j.subject_id,
           j.key_prefix, j.roles, j.area, j.request_id, j.made_at, taken.takes
    FROM taken JOIN cbi.job AS j USING (job_id) JOIN cbi.partner AS p USING (partner_id)
""")
_HOLD = text("""
    UPDATE cbi.job_lease SET
        held_until = clock_timestamp() + make_interval(secs => :seconds ::double precision)
    WHERE job_id = :job_id AND worker_id = :worker_id
""")
_LET_GO = text("""
    UPDATE cbi.job_lease SET worker_id = NULL,
        held_until = clock_timestamp() + make_interval(secs => :seconds ::double precision)
    WHERE job_id = :job_id AND worker_id = :worker_id
""")
_KEY = text("SELECT revoked_at, expires_at FROM cbi.find_key(:prefix)")
_VIEW = (
    "SELECT job_id, kind, partner_id, actor_id, subject_id, request_id, roles, state, done, total,"
    " made_at, started_at, at, ended_at, result, goes_on_at FROM cbi.job_standing"
)


async def make(
    conn: AsyncConnection,
    new: NewJob,
    *,
    partner_id: UUID,
    actor_id: UUID,
    area: str,
    key_prefix: str | None,
    at: datetime,
) -> JobView:
    """Make a job that a worker will take up once this transaction is committed.

    Raises TooManyJobs; the transaction, or the savepoint, is to be rolled back then.
    """
    facts = msgspec.structs.asdict(new) | {
        "roles": list(new.roles),
        "partner_id": partner_id,
        "actor_id": actor_id,
        "area": area,
        "key_prefix": key_prefix,
        "made_at": at,
    }
    try:
        await conn.execute(insert(job).values(facts))
    except IntegrityError as error:
        if constraint_of(error) == "job_waiting_max":
            raise TooManyJobs(jobs_max=WAITING_MAX) from error
        raise
    await conn.execute(insert(job_lease).values(job_id=new.job_id, partner_id=partner_id))
    return await load(conn, new.job_id)


async def load(conn: AsyncConnection, job_id: UUID) -> JobView:
    """Return a job as it stands; raises NotFound."""
    row = (
        await conn.execute(text(f"{_VIEW} WHERE job_id = :job_id"), {"job_id": job_id})
    ).one_or_none()
    if row is None:
        raise NotFound(what="job", wanted=job_id)
    return msgspec.convert(row._mapping, JobView)  # noqa: SLF001 -- public by its docs


async def list_jobs(
    conn: AsyncConnection, *, before: UUID | None, limit: int, partner_id: UUID
) -> list[JobView]:
    """Return a page of an organisation's jobs, newest first."""
    rows = await conn.execute(
        text(
            f"{_VIEW} WHERE partner_id = :partner_id AND (:before ::uuid IS NULL OR job_id <"
            " :before ::uuid) ORDER BY job_id DESC LIMIT :limit"
        ),
        {"before": before, "limit": limit, "partner_id": partner_id},
    )
    return [msgspec.convert(row._mapping, JobView) for row in rows]  # noqa: SLF001


async def take(
    conn: AsyncConnection,
    *,
    worker_id: UUID,
    kinds: Collection[str],
    wanted: UUID | None = None,
    lease_seconds: float = LEASE_SECONDS,
) -> Job | None:
    """Take up the next job that nobody works on, or that job; the caller acts as the worker."""
    facts = {
        "worker_id": worker_id,
        "kinds": sorted(kinds),
        "wanted": wanted,
        "seconds": lease_seconds,
    }
    row = (await conn.execute(_TAKE, facts)).one_or_none()
    return None if row is None else msgspec.convert(row._mapping, Job)  # noqa: SLF001


async def may_go_on(conn: AsyncConnection, taken: Job, *, at: datetime) -> bool:
    """Say whether the key that made the job still lives; without one the machine's owner did."""
    if taken.key_prefix is None:
        return True
    key = (await conn.execute(_KEY, {"prefix": taken.key_prefix})).one_or_none()
    return key is not None and key.revoked_at is None and key.expires_at > at


async def hold(
    conn: AsyncConnection,
    job_id: UUID,
    *,
    worker_id: UUID,
    lease_seconds: float = LEASE_SECONDS,
) -> bool:
    """Begin a chunk: keep the lease, and others away until the transaction ends.

    False when the job is ended, or another worker's.
    """
    facts = {"job_id": job_id, "worker_id": worker_id, "seconds": lease_seconds}
    return (await conn.execute(_HOLD, facts)).rowcount == 1


async def let_go(
    conn: AsyncConnection, job_id: UUID, *, worker_id: UUID, again_in_seconds: float
) -> None:
    """Give a job back before the lease has run out."""
    facts = {"job_id": job_id, "worker_id": worker_id, "seconds": again_in_seconds}
    await conn.execute(_LET_GO, facts)


async def begin(conn: AsyncConnection, taken: Job, *, at: datetime) -> Marked:
    """Return the last chunk of a job that is held, chunk 0 being its beginning."""
    chunk = job_chunk.c
    row = (
        await conn.execute(
            select(chunk.chunk_no, chunk.done, chunk.total, chunk.cursor)
            .where(chunk.job_id == taken.job_id)
            .order_by(chunk.chunk_no.desc())
            .limit(1)
        )
    ).one_or_none()
    if row is not None:
        return msgspec.convert(row._mapping, Marked)  # noqa: SLF001
    first = Marked(chunk_no=0, done=0, total=0, cursor={})
    await _insert_chunk(conn, taken, first, at=at)
    return first


async def mark(
    conn: AsyncConnection, taken: Job, last: Marked, chunk: Chunk, *, at: datetime
) -> Marked:
    """Mark that the chunk after `last` is done, in the transaction that did it."""
    marked = Marked(
        chunk_no=last.chunk_no + 1, done=chunk.done, total=chunk.total, cursor=chunk.cursor
    )
    await _insert_chunk(conn, taken, marked, at=at)
    lease = job_lease.c
    await conn.execute(update(job_lease).where(lease.job_id == taken.job_id).values(takes=0))
    return marked


async def end(
    conn: AsyncConnection,
    job_id: UUID,
    state: End,
    *,
    partner_id: UUID,
    ended_by: UUID,
    at: datetime,
    result: Mapping[str, object],
) -> bool:
    """End a job, after the chunk that somebody may be working on; False if it was ended before."""
    gone = await conn.execute(delete(job_lease).where(job_lease.c.job_id == job_id))
    if gone.rowcount == 0:
        return False
    await conn.execute(
        insert(job_end).values(
            job_id=job_id,
            partner_id=partner_id,
            state=state,
            ended_at=at,
            ended_by=ended_by,
            result=dict(result),
        )
    )
    return True


async def cancel(
    conn: AsyncConnection,
    job_id: UUID,
    *,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> JobView:
    """Cancel a job of one's own organisation; what its chunks have done stays.

    Cancelled before, it is as it was. Raises NotFound, JobEnded.
    """
    ended = await end(
        conn,
        job_id,
        "cancelled",
        partner_id=partner_id,
        ended_by=actor_id,
        at=at,
        result={},
    )
    after = await load(conn, job_id)
    if not ended and after.state != "cancelled":
        raise JobEnded(job_id=job_id, state=after.state)
    return after


async def _insert_chunk(conn: AsyncConnection, taken: Job, marked: Marked, *, at: datetime) -> None:
    facts = msgspec.structs.asdict(marked) | {"cursor": dict(marked.cursor)}
    await conn.execute(
        insert(job_chunk).values(job_id=taken.job_id, partner_id=taken.partner_id, at=at, **facts)
    )
