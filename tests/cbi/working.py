"""Jobs of nobody's kind, made and taken up by hand."""

from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock, db
from cbi import jobs
from cbi.job import Job, JobView, NewJob
from tests.cbi.world import ALFA, AT

KIND = "test-count"


async def job_made(
    conn: AsyncConnection, who: db.Actor = ALFA, *, kind: str = KIND, **more: object
) -> JobView:
    """A job that needs a registrar."""
    await db.set_facts(conn, who)
    new = NewJob(job_id=clock.new_id(), kind=kind, roles=("registrar",), **more)
    return await jobs.make(
        conn,
        new,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        area=who.area,
        key_prefix=who.key_prefix,
        at=AT,
    )


async def job_taken(
    conn: AsyncConnection, job_id: UUID | None = None, **more: object
) -> Job | None:
    """What a worker takes up next; the transaction is the worker's from now on."""
    await db.set_facts(conn, db.WORKER)
    facts = {"worker_id": uuid4(), "kinds": (KIND,), "wanted": job_id} | more
    return await jobs.take(conn, **facts)


async def jobs_of_both_ends(conn: AsyncConnection) -> None:
    """A job of ALFA that is over, and one that waits."""
    ended = await job_made(conn)
    await job_made(conn)
    taken = await job_taken(conn, ended.job_id)
    await db.set_facts(conn, ALFA)
    await jobs.begin(conn, taken, at=AT)
    facts = {"partner_id": ALFA.partner_id, "actor_id": ALFA.actor_id, "at": AT}
    await jobs.cancel(conn, ended.job_id, **facts)
