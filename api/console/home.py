"""The first page, with what waits for somebody, and the list of jobs."""

from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy.ext.asyncio import AsyncConnection

from api import access, jobs, quotas, uploads
from api.console.form import read_form
from api.console.pages import Answer, go, show
from api.db import Actor
from api.page import Page
from api.state import Requested, Service
from cbi.imported import ImportEntry
from cbi.job import JobView

# Home looks through so many of the newest.
NEWEST = 50
JOBS_ON_A_PAGE = 25
AT_WORK = ("waiting", "running")


@get("/")
async def show_home(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
) -> Answer:
    """Show what waits: files to decide on, jobs at work, and what may be checked yet today."""
    waiting: list[ImportEntry] = []
    quota: quotas.Standing | None = None
    if access.REGISTRAR in actor.roles:
        found: Page[ImportEntry] = await uploads.list_imports.fn(
            conn=conn, actor=actor, limit=NEWEST
        )
        waiting = [each for each in found.items if each.state in ("review", "uploading")]
    if actor.roles & access.CONSOLE["GET", "/console/checks/new"]:
        quota = await quotas.show_quota.fn(conn=conn, service=service, actor=actor)
    newest: Page[JobView] = await jobs.list_jobs.fn(conn=conn, actor=actor, limit=NEWEST)
    return show(
        request,
        "home.html",
        waiting=waiting,
        quota=quota,
        jobs=[each for each in newest.items if each.state in AT_WORK],
    )


@get("/jobs")
async def show_jobs(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    after: FromQuery[UUID | None] = None,
) -> Answer:
    """List the organisation's jobs, newest first."""
    found: Page[JobView] = await jobs.list_jobs.fn(
        conn=conn, actor=actor, after=after, limit=JOBS_ON_A_PAGE
    )
    return show(request, "jobs.html", jobs=found.items, next=found.next, at_work=AT_WORK)


@post("/jobs/{job_id:uuid}/cancellation")
async def cancel_job(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    job_id: FromPath[UUID],
) -> Answer:
    """Cancel a job; what is done of it stays."""
    await read_form(request)
    await jobs.cancel_job.fn(request=request, conn=conn, actor=actor, job_id=job_id)
    return go(request, "/console/jobs")


HANDLERS = (show_home, show_jobs, cancel_job)
