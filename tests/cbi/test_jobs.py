"""What the database keeps of jobs: each chunk once, in order, by one worker at a time."""

from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from api import db
from cbi import jobs
from cbi.import_refusal import JobEnded, TooManyJobs
from cbi.job import Chunk
from cbi.refusal import NotFound
from ledger.violation import constraint_of
from tests.cbi.working import KIND, job_made, job_taken
from tests.cbi.world import ALFA, AT, BETA, add_partners, staff
from tests.conftest import PARTNER_A


@asynccontextmanager
async def refused_by(conn, constraint: str):
    with pytest.raises(IntegrityError) as caught:
        async with conn.begin_nested():
            yield
    assert constraint_of(caught.value) == constraint


@pytest.fixture(autouse=True)
async def partners(conn):
    await add_partners(conn)


async def at_work(conn, **more):
    """A job that a worker has begun, in its maker's transaction."""
    made, worker_id = await job_made(conn), uuid4()
    taken = await job_taken(conn, made.job_id, worker_id=worker_id, **more)
    await db.set_facts(conn, ALFA)
    assert await jobs.hold(conn, taken.job_id, worker_id=worker_id)
    return taken, await jobs.begin(conn, taken, at=AT), worker_id


async def cancelled(conn, job_id, who=ALFA):
    await db.set_facts(conn, who)
    return await jobs.cancel(conn, job_id, partner_id=who.partner_id, actor_id=who.actor_id, at=AT)


async def test_a_job_waits_runs_and_is_done(conn):
    made = await job_made(conn)
    assert (made.state, made.done, made.total, made.started_at) == ("waiting", 0, 0, None)
    taken, begun, worker_id = await at_work(conn)
    assert (await jobs.load(conn, taken.job_id)).state == "running"
    first = await jobs.mark(conn, taken, begun, Chunk(done=1, total=2, cursor={"n": 1}), at=AT)
    assert (await jobs.begin(conn, taken, at=AT)) == first
    view = await jobs.load(conn, taken.job_id)
    assert (view.state, view.done, view.total, view.started_at) == ("running", 1, 2, AT)
    facts = {"partner_id": PARTNER_A, "ended_by": ALFA.actor_id, "at": AT, "result": {"rows": 2}}
    assert await jobs.end(conn, taken.job_id, "done", **facts)
    assert not await jobs.end(conn, taken.job_id, "done", **facts)
    view = await jobs.load(conn, taken.job_id)
    assert (view.state, view.ended_at, view.result) == ("done", AT, {"rows": 2})
    assert not await jobs.hold(conn, taken.job_id, worker_id=worker_id)


async def test_a_chunk_is_marked_once_in_order_and_not_after_the_end(conn):
    taken, begun, _ = await at_work(conn)
    chunk = Chunk(done=1, total=9)
    first = await jobs.mark(conn, taken, begun, chunk, at=AT)
    async with refused_by(conn, "job_chunk_pkey"):
        await jobs.mark(conn, taken, begun, chunk, at=AT)
    async with refused_by(conn, "job_chunk_in_order"):
        later = await jobs.mark(conn, taken, first, chunk, at=AT)
        await jobs.mark(conn, taken, later.__replace__(chunk_no=7), chunk, at=AT)
    await cancelled(conn, taken.job_id)
    async with refused_by(conn, "job_chunk_before_end"):
        await jobs.mark(conn, taken, first, chunk, at=AT)


async def test_a_job_is_taken_up_by_one_worker_until_its_lease_runs_out(conn):
    made = await job_made(conn)
    first, second = uuid4(), uuid4()
    taken = await job_taken(conn, worker_id=first)
    assert (taken.job_id, taken.takes, taken.partner_code) == (made.job_id, 1, "ALFA")
    assert await job_taken(conn, worker_id=second) is None
    # What a worker that was killed leaves behind.
    await conn.execute(text("UPDATE cbi.job_lease SET held_until = now()"))
    taken = await job_taken(conn, worker_id=second)
    assert (taken.job_id, taken.takes) == (made.job_id, 2)
    await db.set_facts(conn, ALFA)
    assert not await jobs.hold(conn, made.job_id, worker_id=first)
    assert await jobs.hold(conn, made.job_id, worker_id=second)


async def test_whoever_has_fewest_jobs_at_work_comes_first(conn):
    ours = [await job_made(conn) for _ in range(3)]
    theirs = await job_made(conn, BETA)
    taken = [(await job_taken(conn)).job_id for _ in range(4)]
    assert taken == [ours[0].job_id, theirs.job_id, ours[1].job_id, ours[2].job_id]
    assert await job_taken(conn) is None


async def test_an_organisation_has_so_many_jobs_and_no_more(conn):
    made = [await job_made(conn) for _ in range(jobs.WAITING_MAX)]
    with pytest.raises(TooManyJobs):
        async with conn.begin_nested():
            await job_made(conn)
    await job_made(conn, BETA)
    await cancelled(conn, made[0].job_id)
    await job_made(conn)


async def test_a_job_has_no_right_that_its_maker_has_not(conn):
    clerk = staff(1, PARTNER_A, {"programme"})
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await job_made(conn, clerk)


async def test_nobody_sees_or_cancels_the_job_of_another_organisation(conn):
    made = await job_made(conn)
    with pytest.raises(NotFound):
        await cancelled(conn, made.job_id, BETA)
    facts = {"before": None, "limit": 10}
    assert await jobs.list_jobs(conn, **facts, partner_id=PARTNER_A) == []
    await db.set_facts(conn, ALFA)
    listed = await jobs.list_jobs(conn, **facts, partner_id=PARTNER_A)
    assert [each.job_id for each in listed] == [made.job_id]


async def test_what_is_over_is_cancelled_no_more_and_what_is_cancelled_stays_so(conn):
    taken, *_ = await at_work(conn)
    assert (await cancelled(conn, taken.job_id)).state == "cancelled"
    assert (await cancelled(conn, taken.job_id)).state == "cancelled"
    other, *_ = await at_work(conn)
    facts = {"partner_id": PARTNER_A, "ended_by": ALFA.actor_id, "at": AT, "result": {}}
    await jobs.end(conn, other.job_id, "done", **facts)
    with pytest.raises(JobEnded):
        await cancelled(conn, other.job_id)


async def test_a_worker_of_another_program_leaves_kinds_alone_that_it_does_not_know(conn):
    await job_made(conn)
    assert await job_taken(conn, kinds=("something-else",)) is None
    assert (await job_taken(conn, kinds=(KIND, "something-else"))) is not None
