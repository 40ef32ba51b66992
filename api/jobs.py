"""Jobs as their organisation sees them: how far each is, and what became of it."""

from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.exceptions import PermissionDeniedException
from litestar.params import FromPath, FromQuery
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested
from cbi import jobs
from cbi.job import JobView


@get("/v1/jobs", tags=["jobs"])
async def list_jobs(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[JobView]:
    """List the jobs of one's organisation, newest first: counts, and nothing of anybody."""
    found = await jobs.list_jobs(conn, before=after, limit=limit + 1, partner_id=actor.partner_id)
    return page(found, limit=limit, cursor="job_id")


@get("/v1/jobs/{job_id:uuid}", tags=["jobs"])
async def show_job(conn: NamedDependency[AsyncConnection], job_id: FromPath[UUID]) -> JobView:
    """Show how far a job is: `done` of `total`, and its result when it has ended."""
    return await jobs.load(conn, job_id)


@post("/v1/jobs/{job_id:uuid}/cancellation", tags=["jobs"])
@once
async def cancel_job(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    job_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> JobView:
    """Cancel a job, after the chunk that is being worked on; what its chunks did stays.

    It takes a role that the job works with.
    """
    if not actor.roles & set((await jobs.load(conn, job_id)).roles):
        raise PermissionDeniedException
    return await jobs.cancel(
        conn,
        job_id,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )


HANDLERS = (list_jobs, show_job, cancel_job)
