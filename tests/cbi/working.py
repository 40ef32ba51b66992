"""Jobs of nobody's kind, made and taken up by hand."""

from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock, db
from cbi import jobs
from cbi.job import Job, JobView, NewJob
from tests.cbi.world import ALFA, AT

KIND = "test-count"
FILE = UUID(int=77)


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


async def a_file_taken_in(conn: AsyncConnection) -> None:
    """A file of ALFA with one row, in every table of imports, and a submission of a form."""
    await db.set_facts(conn, ALFA)
    await conn.execute(
        text(
            "INSERT INTO cbi.submission SELECT h.partner_id, 1, h.household_id, NULL, now()"
            " FROM cbi.household AS h LIMIT 1"
        )
    )
    row = "(:id, 1, :partner"
    for statement in (
        "import_file VALUES (:id, :partner, :actor, '', sha256(''), 1, 1, '', '', false, now())",
        "import_key VALUES (:id, :partner, 'k', '')",
        f"import_piece VALUES {row}, sha256(''), '')",
        f"import_row VALUES {row}, 1, '', '[]', '')",
        f"import_check VALUES {row}, 'clear', NULL, 0, NULL, 0, now())",
        "import_decision VALUES (:id, :partner, 'valid', '{}', :actor, now())",
        f"import_outcome VALUES {row}, 'faulty', NULL, false, false, 'x', now())",
    ):
        facts = {"id": FILE, "partner": ALFA.partner_id, "actor": ALFA.actor_id}
        wanted = {name: fact for name, fact in facts.items() if f":{name}" in statement}
        await conn.execute(text(f"INSERT INTO cbi.{statement}"), wanted)
