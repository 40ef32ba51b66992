"""Imports at work: a file is staged and checked by one job, and registered by another."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.access import REGISTRAR
from api.aside import Aside, Source, aside
from api.check import quota_of
from api.db import WORKER, Actor, transaction
from api.state import Service
from api.worker import Duty, Kind, Task, order
from cbi import staging, uploads
from cbi.amend_many import amend_changed
from cbi.check_staged import check_staged
from cbi.imported import KEPT_DAYS, Import, StagedRow
from cbi.job import Chunk, JobView
from cbi.quotas import persons_left
from cbi.ready import Ready
from cbi.register_many import register_many

STAGING, ACCEPTANCE = "import-staging", "import-acceptance"
ROLES = frozenset({REGISTRAR})
STAGED_AT_ONCE = 1_000
CHECKED_AT_ONCE = 200
# Others wait with their registrations while so many are registered.
REGISTERED_AT_ONCE = 250


async def order_staging(conn: AsyncConnection, opened: Import, actor: Actor) -> JobView:
    """Have a file that is there whole staged and checked."""
    return await order(conn, STAGING, roles=ROLES, actor=actor, subject_id=opened.import_id)


async def order_acceptance(conn: AsyncConnection, opened: Import, actor: Actor) -> JobView:
    """Have the rows registered that were decided on."""
    return await order(conn, ACCEPTANCE, roles=ROLES, actor=actor, subject_id=opened.import_id)


class _Coming(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that are being made ready: after which row they come, and which they are."""

    after: int
    numbers: tuple[int, ...]
    contents: tuple[bytes, ...]
    ready: "asyncio.Future[list[Ready]]"


class _Work(msgspec.Struct, frozen=True, kw_only=True):
    """An import at work in one chunk."""

    conn: AsyncConnection
    task: Task
    opened: Import
    key: bytes
    beside: Aside


async def _work(conn: AsyncConnection, task: Task) -> _Work:
    assert task.job.subject_id is not None
    opened = await uploads.load_import(conn, task.job.subject_id)
    key = await uploads.key_of(conn, opened.import_id, vault=task.service.vault)
    kept = task.kept.get("beside")
    if isinstance(kept, Aside):
        beside = kept
    else:
        settings = task.service.settings
        beside = await task.stack.enter_async_context(
            aside(settings, task.actor, bytes_=opened.bytes)
        )
        task.kept["beside"] = beside
    return _Work(conn=conn, task=task, opened=opened, key=key, beside=beside)


async def stage(conn: AsyncConnection, task: Task) -> Chunk:
    """Stage the next rows; then, unless they are taken at once, check the next ones."""
    work = await _work(conn, task)
    staged = _number(task, "staged")
    if "after" in task.last.cursor:
        return await _check(work, staged, after=_number(task, "after"))
    rows = await _read_on(work, staged)
    if rows:
        await staging.stage(conn, work.opened, rows, first_no=staged + 1, key=work.key)
        staged += len(rows)
        return Chunk(done=staged, total=staged, cursor={"staged": staged})
    if not work.opened.accept_valid:
        return Chunk(done=0, total=staged, cursor={"staged": staged, "after": 0})
    actor = task.actor
    await staging.decide(
        conn,
        work.opened,
        "valid",
        actor_id=actor.actor_id,
        at=clock.now(),
        while_staging=True,
    )
    job = await order_acceptance(conn, work.opened, actor)
    result = {"households": staged, "job_id": str(job.job_id)}
    return Chunk(done=staged, total=staged, result=result)


async def _read_on(work: _Work, staged: int) -> Sequence[StagedRow]:
    """Return the next rows; those after them are read meanwhile."""
    kept = work.task.kept
    coming = kept.get("rows")
    if coming is None:
        content = await uploads.content_of(work.conn, work.opened, vault=work.task.service.vault)
        await work.beside.read(
            Source(
                content=content,
                format=work.opened.format,
                ubigeo_system=work.opened.ubigeo_system,
                skip=staged,
                today=clock.today(),
            )
        )
        coming = work.beside.take(STAGED_AT_ONCE)
    assert isinstance(coming, asyncio.Future)
    rows: list[StagedRow] = await coming
    kept["rows"] = work.beside.take(STAGED_AT_ONCE)
    return rows


async def _check(work: _Work, staged: int, *, after: int) -> Chunk:
    coming = await _next(work, after, only=None, many=CHECKED_AT_ONCE)
    if not coming.numbers:
        standing = await staging.load_standing(work.conn, work.opened)
        result = {
            "households": staged,
            "clear": standing.clear,
            "review": standing.review,
            "faulty": standing.faulty,
        }
        return Chunk(done=staged, total=staged, result=result)
    rows = dict(zip(coming.numbers, await coming.ready, strict=True))
    checked = await check_staged(
        work.conn,
        rows,
        desk=work.task.service.desk,
        partner_id=work.opened.partner_id,
        area=work.task.actor.area,
        room=await persons_left(
            work.conn,
            quota=quota_of(work.task.service.settings, clock.today()),
            partner_id=work.opened.partner_id,
        ),
    )
    await staging.note_checks(work.conn, work.opened, checked, at=clock.now())
    last = coming.numbers[-1]
    return Chunk(done=last, total=staged, cursor={"staged": staged, "after": last})


async def accept(conn: AsyncConnection, task: Task) -> Chunk:
    """Register the next rows that were decided on."""
    work = await _work(conn, task)
    only = await staging.rows_decided(conn, work.opened.import_id)
    after, total = _number(task, "after"), _number(task, "total")
    if not total:
        total = await staging.count_to_take(conn, work.opened, only=only)
    coming = await _next(work, after, only=only, many=REGISTERED_AT_ONCE)
    if not coming.numbers:
        return await _accepted(work, total)
    homes = await coming.ready
    task.kept["coming"] = await _made(work, coming.numbers[-1], only=only, many=REGISTERED_AT_ONCE)
    actor, now = task.actor, clock.now()
    clerk = {
        "partner_id": actor.partner_id,
        "actor_id": actor.actor_id,
    }
    became = await register_many(
        conn, homes, desk=task.service.desk, area=actor.area, at=now, **clerk
    )
    outcomes = await amend_changed(
        conn,
        list(zip(coming.numbers, coming.contents, became, strict=True)),
        desk=task.service.desk,
        area=actor.area,
        at=now,
        today=clock.today(),
        **clerk,
    )
    # The same moment as the event: the history finds what it came from by that.
    await staging.note_outcomes(conn, work.opened, outcomes, at=now)
    done = task.last.done + len(outcomes)
    return Chunk(done=done, total=total, cursor={"after": coming.numbers[-1], "total": total})


async def _accepted(work: _Work, total: int) -> Chunk:
    standing = await staging.load_standing(work.conn, work.opened)
    if standing.faulty == 0:
        # Every row is decided: what was not taken is not wanted, and nothing is left to mend.
        await uploads.erase(work.conn, work.opened.import_id)
    result = {
        "households": standing.households,
        "registered": standing.registered,
        "known": standing.known,
        "changed": standing.changed,
        "clear": standing.clear,
        "review": standing.review,
        "faulty": standing.faulty,
        "refused": standing.refused,
    }
    return Chunk(done=total, total=total, result=result)


async def _next(work: _Work, after: int, *, only: Sequence[int] | None, many: int) -> _Coming:
    """Return the rows after a row, which may be on their way already."""
    coming = work.task.kept.pop("coming", None)
    if isinstance(coming, _Coming) and coming.after == after:
        return coming
    return await _made(work, after, only=only, many=many)


async def _made(work: _Work, after: int, *, only: Sequence[int] | None, many: int) -> _Coming:
    rows = await staging.rows_to_take(
        work.conn, work.opened, after=after, limit=many, only=only, key=work.key
    )
    return _Coming(
        after=after,
        numbers=tuple(row_no for row_no, _ in rows),
        contents=tuple(content for _, content in rows),
        ready=work.beside.ready([content for _, content in rows]),
    )


def _number(task: Task, name: str) -> int:
    number = task.last.cursor.get(name, 0)
    assert isinstance(number, int)
    return number


async def _erase_old(service: Service) -> None:
    """Destroy the keys of files that nobody took in within 30 days."""
    async with transaction(service.engine, WORKER, request_id="erase") as conn:
        await uploads.erase_old(conn, before=clock.now() - timedelta(days=KEPT_DAYS))


KINDS = {
    STAGING: Kind(roles=ROLES, work=stage),
    ACCEPTANCE: Kind(roles=ROLES, work=accept),
}
DUTIES = (Duty(name="erase_old_imports", every_seconds=3_600.0, do=_erase_old),)
