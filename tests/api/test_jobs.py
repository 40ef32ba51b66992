"""Jobs over HTTP and at work: resumed, cancelled, refused, given up."""

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import auth, clock, db, worker
from api.worker import Kind, Task, see_through, work_once
from cbi import check_tables, tables
from cbi.job import Chunk, JobView
from cbi.refusal import OutsideArea
from tests.api.house import AT, House
from tests.api.jobbing import actor_of

STEPS = 3
REGISTRAR = frozenset({"registrar"})


async def write(conn: AsyncConnection, task: Task, number: int) -> None:
    """A chunk's work: one check more or less would show if it were done twice."""
    job_id = task.job.job_id
    if number == 1:
        listed = {"list_id": job_id, "name": str(job_id), "purpose": "before_payment"}
        days = {"until": AT.date(), "opened_at": AT}
        await conn.execute(insert(check_tables.check_list).values(listed | days))
    await conn.execute(
        insert(tables.duplicate_check).values(
            at=AT,
            day=AT.date(),
            purpose="before_payment",
            persons=number,
            clear=0,
            review=0,
            blocked=0,
            unsearchable=0,
            request_id=str(job_id),
            list_id=job_id,
        )
    )


def nothing(task: Task, number: int) -> None:
    del task, number


def counting(before: Callable[[Task, int], object] = nothing) -> dict[str, Kind]:
    """A kind of job of three chunks, each of which writes its number."""

    async def work(conn: AsyncConnection, task: Task) -> Chunk:
        number = int(task.last.cursor.get("number", 0)) + 1
        await write(conn, task, number)
        waited = before(task, number)
        if asyncio.isfuture(waited) or asyncio.iscoroutine(waited):
            await waited
        result = {"numbers": number} if number == STEPS else None
        return Chunk(done=number, total=STEPS, cursor={"number": number}, result=result)

    return {"test-count": Kind(roles=REGISTRAR, work=work)}


async def made(house: House, who: str = "A/registrar") -> JobView:
    me = await actor_of(house, who)
    async with house.service.begin(me, request_id="made") as conn:
        return await worker.order(conn, "test-count", roles=REGISTRAR, actor=me)


async def written(house: House, job_id: UUID) -> list[int]:
    async with house.owner.connect() as conn:
        query = "SELECT persons FROM cbi.duplicate_check WHERE request_id = :id ORDER BY check_no"
        return list(await conn.scalars(text(query), {"id": str(job_id)}))


async def shown(house: House, job_id: UUID) -> dict:
    return (await house.get(f"/v1/jobs/{job_id}", "A/registrar")).json()


async def worked(house: House, job_id: UUID, kinds: dict[str, Kind], **more: float) -> bool:
    return await work_once(house.service, kinds, worker_id=uuid4(), wanted=job_id, **more)


async def test_a_job_is_worked_on_to_its_end_and_tells_how_far_it_is(house: House):
    job = await made(house)
    before = await shown(house, job.job_id)
    assert (before["state"], before["done"], before["result"]) == ("waiting", 0, None)
    told: list[tuple[int, int]] = []
    me = await actor_of(house, "A/registrar")
    view = await see_through(
        house.service, counting(), job.job_id, actor=me, tell=lambda *at: told.append(at)
    )
    assert told == [(0, 0), (1, 3), (2, 3), (3, 3), (3, 3)]
    assert (view.state, view.result) == ("done", {"numbers": 3})
    assert await written(house, job.job_id) == [1, 2, 3]
    after = await shown(house, job.job_id)
    assert (after["state"], after["done"], after["total"]) == ("done", 3, 3)
    listed = (await house.get("/v1/jobs", "A/auditor")).json()["items"]
    assert listed[0]["job_id"] == str(job.job_id)
    assert (await house.get(f"/v1/jobs/{job.job_id}", "B/registrar")).status_code == 404


async def test_what_was_broken_off_is_gone_on_with_and_nothing_happens_twice(house: House):
    job = await made(house)
    reached = asyncio.Event()

    def stop(task: Task, number: int) -> object:
        if number == 2:
            reached.set()
            return asyncio.Event().wait()
        return None

    # Its lease runs out at once: what keeps others away is that the chunk is not over.
    first = asyncio.create_task(worked(house, job.job_id, counting(stop), lease_seconds=0.0))
    await reached.wait()
    assert not await worked(house, job.job_id, counting())
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert await written(house, job.job_id) == [1]
    assert await worked(house, job.job_id, counting())
    assert await written(house, job.job_id) == [1, 2, 3]


async def test_a_cancelled_job_does_no_further_chunk(house: House):
    job = await made(house)
    path = f"/v1/jobs/{job.job_id}/cancellation"
    inside, go_on = asyncio.Event(), asyncio.Event()

    def wait(task: Task, number: int) -> object:
        inside.set()
        return go_on.wait()

    working = asyncio.create_task(worked(house, job.job_id, counting(wait)))
    await inside.wait()
    assert (await house.post(path, "A/finance")).status_code == 403
    cancelling = asyncio.create_task(house.post(path, "A/registrar"))
    await until_it_waits(house)
    go_on.set()
    answer = await cancelling
    await working
    assert (answer.status_code, answer.json()["state"], answer.json()["done"]) == (
        201,
        "cancelled",
        1,
    )
    assert await written(house, job.job_id) == [1]
    assert not await worked(house, job.job_id, counting())


async def until_it_waits(house: House) -> None:
    """Return once somebody waits for a lock; looking is the only way to know."""
    async with asyncio.timeout(20):
        while not await house.sql("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            continue


async def test_a_revoked_key_stops_its_jobs(house: House):
    key = await house.issue("A", f"leaver-{uuid4().hex[:6]}", "registrar")
    who = next(name for name, each in house.keys.items() if each == key)
    job = await made(house, who)

    async def revoke() -> None:
        async with db.transaction(house.service.engine, db.SYSTEM) as conn:
            assert await auth.revoke(conn, prefix=key.split("_")[1], at=clock.now())

    def at_first(task: Task, number: int) -> object:
        return revoke() if number == 1 else None

    assert await worked(house, job.job_id, counting(at_first))
    view = await shown(house, job.job_id)
    assert (view["state"], view["result"]) == ("failed", {"reason": "key-revoked"})
    assert await written(house, job.job_id) == [1]


async def test_a_refusal_ends_a_job_and_undoes_its_chunk(house: House):
    def refuse(task: Task, number: int) -> None:
        if number == 2:
            raise OutsideArea(area="24")

    job = await made(house)
    assert await worked(house, job.job_id, counting(refuse))
    view = await shown(house, job.job_id)
    assert (view["state"], view["done"], view["result"]) == (
        "failed",
        1,
        {"reason": "outside-area"},
    )
    assert await written(house, job.job_id) == [1]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""

    async def let_go(conn, job_id, *, worker_id, again_in_seconds):
        await real(conn, job_id, worker_id=worker_id, again_in_seconds=-1.0)

    real = worker.jobs.let_go
    monkeypatch.setattr(worker.jobs, "let_go", let_go)


async def test_a_job_that_keeps_failing_is_given_up(house: House, impatient: None):
    def fail(task: Task, number: int) -> None:
        raise ValueError("ours")

    job = await made(house)
    tries = 0
    while (await shown(house, job.job_id))["ended_at"] is None:
        assert await worked(house, job.job_id, counting(fail))
        tries += 1
    assert tries == worker.TAKES_MAX + 1
    view = await shown(house, job.job_id)
    assert (view["state"], view["result"]) == ("failed", {"reason": "kept-failing"})
    assert await written(house, job.job_id) == []
