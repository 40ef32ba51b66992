"""Works on jobs inside the service: takes one up, does chunk after chunk, goes on after a kill.

A kind of job is one function: it does the next chunk in the transaction it is given, with the
rights of whoever made the job, and says how far the job is then. The chunk is marked in the same
transaction, so it is done and marked, or neither.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import WORKER, Actor, transaction
from api.logs import LOG
from api.problems import SOON
from api.quota_words import Says, spent, too_large
from api.state import Service
from api.wording import REFUSALS
from cbi import jobs
from cbi.check_refusal import CheckFileTooLarge
from cbi.import_refusal import TooManyJobs
from cbi.job import Chunk, Job, JobView, Marked, NewJob
from cbi.refusal import CheckQuotaSpent, FileUnreadable

LOOK_EVERY_SECONDS = 1.0
# A job that fails for a reason that may pass is tried again later and later, then given up.
TAKES_MAX = 5
# Refusals that may pass: a job that orders another waits until there is room for it.
PASSING = (*SOON, TooManyJobs)


class Task(msgspec.Struct, kw_only=True):
    """A job at work: whose rights it has, and what was marked last.

    `kept` is this worker's own memory from chunk to chunk, another worker begins with none; what
    is entered in `stack` is left when this worker leaves the job.
    """

    service: Service
    job: Job
    actor: Actor
    last: Marked
    stack: contextlib.AsyncExitStack
    kept: dict[str, object] = {}


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of job: the roles that it needs of its maker's, and how its next chunk is done.

    `work` is called within the chunk's transaction; what it raises undoes the chunk. A refusal
    ends the job, anything else is tried again.
    """

    roles: frozenset[str]
    work: Callable[[AsyncConnection, Task], Awaitable[Chunk]]


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """Something the service does by itself, every so many seconds."""

    name: str
    every_seconds: float
    do: Callable[[Service], Awaitable[None]]


async def order(
    conn: AsyncConnection,
    kind: str,
    *,
    roles: frozenset[str],
    actor: Actor,
    subject_id: UUID | None = None,
    job_id: UUID | None = None,
) -> JobView:
    """Make a job of the caller's, with those of `roles` that the caller has; raises TooManyJobs."""
    new = NewJob(
        job_id=job_id or clock.new_id(),
        kind=kind,
        roles=tuple(sorted(roles & actor.roles)),
        subject_id=subject_id,
    )
    return await jobs.make(
        conn,
        new,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        area=actor.area,
        key_prefix=actor.key_prefix,
        at=clock.now(),
    )


@asynccontextmanager
async def working(
    service: Service, kinds: Mapping[str, Kind], duties: Sequence[Duty] = ()
) -> AsyncIterator[None]:
    """Work on jobs and see to duties in the background while the service runs."""
    tasks = [
        asyncio.create_task(_forever(service, kinds, worker_id=clock.new_id()))
        for _ in range(service.settings.jobs_at_once)
    ]
    tasks += [asyncio.create_task(_again_and_again(service, duty)) for duty in duties]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def see_through(
    service: Service,
    kinds: Mapping[str, Kind],
    job_id: UUID,
    *,
    actor: Actor,
    tell: Callable[[int, int], None],
) -> JobView:
    """Work on one job to its end, or watch who works on it; `tell` hears of each step."""
    worker_id = clock.new_id()
    while True:
        async with transaction(service.engine, actor) as conn:
            view = await jobs.load(conn, job_id)
        tell(view.done, view.total)
        if view.ended_at is not None:
            return view
        if not await work_once(service, kinds, worker_id=worker_id, wanted=job_id, tell=tell):
            await asyncio.sleep(LOOK_EVERY_SECONDS / 2)


async def work_once(
    service: Service,
    kinds: Mapping[str, Kind],
    *,
    worker_id: UUID,
    wanted: UUID | None = None,
    tell: Callable[[int, int], None] | None = None,
    lease_seconds: float = jobs.LEASE_SECONDS,
) -> bool:
    """Take up one job and work on it while it is ours; False when there is none to take up."""
    async with transaction(service.engine, WORKER, request_id="worker") as conn:
        taken = await jobs.take(
            conn, worker_id=worker_id, kinds=kinds, wanted=wanted, lease_seconds=lease_seconds
        )
    if taken is None:
        return False
    if taken.takes > TAKES_MAX:
        await _fail(service, taken, {"reason": "kept-failing"})
        return True
    again_in_seconds = 0.0
    try:
        again_in_seconds = await _work(
            service, kinds[taken.kind], taken, worker_id, tell or _tell_nobody, lease_seconds
        )
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 -- the edge of a task: told, and tried again
        wording = None if isinstance(error, PASSING) else REFUSALS.get(type(error))
        if wording is not None:
            await _fail(service, taken, {"reason": wording.slug, **_detail(error)})
        again_in_seconds = float(2**taken.takes)
        LOG.warning("job_failed", extra={"facts": {"job_id": str(taken.job_id)}}, exc_info=error)
    finally:
        await asyncio.shield(_let_go(service, taken, worker_id, again_in_seconds))
    return True


def _detail(error: Exception) -> dict[str, object]:
    """What else a failed job says of why: of a quota how much would fit, and when."""
    match error:
        case FileUnreadable():
            return {"detail": error.reason}
        case CheckQuotaSpent():
            return vars_of(error, spent(error))
        case CheckFileTooLarge():
            return vars_of(error, too_large(error))
    return {}


def vars_of(error: Exception, says: Says) -> dict[str, object]:
    """The facts of a refusal with what is said of them."""
    facts: dict[str, object] = msgspec.to_builtins(vars(error))
    return facts | {"es": says.es, "en": says.en}


def _tell_nobody(done: int, total: int) -> None:
    del done, total


async def _work(
    service: Service,
    kind: Kind,
    taken: Job,
    worker_id: UUID,
    tell: Callable[[int, int], None],
    lease_seconds: float,
) -> float:
    """Do chunk after chunk; return in how many seconds the job is to be taken up again."""
    actor = Actor(
        actor_id=taken.actor_id,
        partner_id=taken.partner_id,
        partner_code=taken.partner_code,
        roles=frozenset(taken.roles),
        area=taken.area,
        key_prefix=taken.key_prefix,
    )
    hold = partial(jobs.hold, job_id=taken.job_id, worker_id=worker_id, lease_seconds=lease_seconds)
    async with service.begin(actor, request_id=taken.request_id) as conn:
        if not await hold(conn):
            return 0.0
        last = await jobs.begin(conn, taken, at=clock.now())
    async with contextlib.AsyncExitStack() as stack:
        task = Task(service=service, job=taken, actor=actor, last=last, stack=stack)
        while True:
            async with service.begin(actor, request_id=taken.request_id) as conn:
                if not await hold(conn):
                    return 0.0
                chunk = await _chunk(conn, kind, task)
            if chunk is None:
                return 0.0
            tell(chunk.done, chunk.total)
            if chunk.result is not None:
                return 0.0
            if chunk.goes_on_at is not None:
                return max((chunk.goes_on_at - clock.now()).total_seconds(), 0.0)


async def _chunk(conn: AsyncConnection, kind: Kind, task: Task) -> Chunk | None:
    """Do one chunk and mark it; None when the job may not go on, and is ended."""
    taken = task.job
    facts = {"partner_id": taken.partner_id, "ended_by": taken.actor_id}
    if not await jobs.may_go_on(conn, taken, at=clock.now()):
        result = {"reason": "key-revoked"}
        await jobs.end(conn, taken.job_id, "failed", at=clock.now(), result=result, **facts)
        return None
    chunk = await kind.work(conn, task)
    task.last = await jobs.mark(conn, taken, task.last, chunk, at=clock.now())
    if chunk.result is not None:
        await jobs.end(conn, taken.job_id, "done", at=clock.now(), result=chunk.result, **facts)
    return chunk


async def _fail(service: Service, taken: Job, result: Mapping[str, object]) -> None:
    async with transaction(service.engine, WORKER, request_id=taken.request_id) as conn:
        await jobs.end(
            conn,
            taken.job_id,
            "failed",
            partner_id=taken.partner_id,
            ended_by=WORKER.actor_id,
            at=clock.now(),
            result=result,
        )


async def _let_go(service: Service, taken: Job, worker_id: UUID, again_in_seconds: float) -> None:
    """Give the job back; where that fails its lease runs out."""
    with contextlib.suppress(Exception):
        async with transaction(service.engine, WORKER, request_id="worker") as conn:
            await jobs.let_go(
                conn, taken.job_id, worker_id=worker_id, again_in_seconds=again_in_seconds
            )


async def _forever(service: Service, kinds: Mapping[str, Kind], *, worker_id: UUID) -> None:
    while True:
        found = False
        try:
            found = await work_once(service, kinds, worker_id=worker_id)
        except Exception as error:  # noqa: BLE001 -- the edge of a task: logged, tried again
            LOG.warning("worker_failed", exc_info=error)
        if not found:
            await asyncio.sleep(LOOK_EVERY_SECONDS)


async def _again_and_again(service: Service, duty: Duty) -> None:
    while True:
        try:
            await duty.do(service)
        except Exception as error:  # noqa: BLE001 -- as above
            LOG.warning("duty_failed", extra={"facts": {"duty": duty.name}}, exc_info=error)
        await asyncio.sleep(duty.every_seconds)
