"""Whole files that are checked as a job, and handed out with three more columns."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Annotated, get_args
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.access import PROGRAMME, REGISTRAR
from api.check import Months, in_turns, quota_of, wanted_of
from api.db import WORKER, Actor, transaction
from api.listing import FILE_HOUSEHOLDS_MAX, annotated
from api.once import once
from api.page import Key
from api.state import Requested, Service
from api.worker import Duty, Kind, Task, order
from cbi import asked, check, check_files, holds, intake, lists
from cbi.answered import Answer, Place, Status
from cbi.asked import ReadAsked
from cbi.check_files import CheckFile, CheckFormat, Opened
from cbi.household import Assistance
from cbi.intake.source import Row
from cbi.job import Chunk, JobView
from cbi.lists import Purpose
from cbi.own import Wanted
from cbi.refusal import FileUnreadable, NotFound

KIND = "check-file"
ROLES = frozenset({REGISTRAR, PROGRAMME})
DESTROY_EVERY_SECONDS = 600.0
MEDIA_TYPES = {
    "csv": "text/csv",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class ToCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about a file: what for, on which list, and what they are to get."""

    format: CheckFormat
    purpose: Purpose
    list_id: UUID
    wanted: Wanted | None


class _Read(msgspec.Struct, frozen=True):
    """A file as it was read, kept by its worker from chunk to chunk."""

    content: bytes
    rows: Sequence[Row]
    reads: Sequence[ReadAsked]
    twice: Sequence[Sequence[Place]]


@post("/v1/check/files", tags=["registration"])
@once
async def check_file(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    format: Annotated[CheckFormat, QueryParameter(description="csv, xlsx, json or ndjson")],  # noqa: A002
    purpose: FromQuery[Purpose],
    list_id: Annotated[UUID, QueryParameter(name="list")],
    assistance: FromQuery[Assistance | None] = None,
    first_month: FromQuery[date | None] = None,
    months: FromQuery[Months | None] = None,
    idempotency_key: Key = None,
) -> JobView:
    """Check a file as the request's body; the job says how far it is.

    Its `subject_id` is the file's. Sealed, it is kept for 7 days; then its key is destroyed.
    """
    return await take_in(
        conn,
        await request.body(),
        ToCheck(
            format=format,
            purpose=purpose,
            list_id=list_id,
            wanted=wanted_of(assistance, holds.span_of(first_month, months)),
        ),
        service=service,
        actor=actor,
    )


async def take_in(
    conn: AsyncConnection, content: bytes, asked: ToCheck, *, service: Service, actor: Actor
) -> JobView:
    """Keep a file that is to be checked, and have it checked."""
    at = clock.now()
    file = CheckFile(
        file_id=clock.new_id(),
        format=asked.format,
        purpose=asked.purpose,
        listed=await lists.active(
            conn,
            asked.list_id,
            purpose=asked.purpose,
            partner_id=actor.partner_id,
            day=clock.today(),
        ),
        wanted=asked.wanted,
        kept_until=check_files.kept_until(at),
    )
    await check_files.receive(
        conn, file, content, vault=service.vault, partner_id=actor.partner_id, at=at
    )
    return await order(conn, KIND, roles=ROLES, actor=actor, subject_id=file.file_id)


@get("/v1/check/files/{file_id:uuid}", tags=["registration"], media_type="text/csv")
async def read_file(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    file_id: FromPath[UUID],
) -> Response[bytes]:
    """Hand out a checked file: as it came, with three more columns. Its job must be done."""
    opened = await check_files.load(conn, file_id, vault=service.vault)
    checked = await check_files.pieces(conn, opened, "checked")
    if not checked:
        raise NotFound(what="file", wanted=file_id)
    kind = opened.file.format
    return Response(
        checked[0],
        media_type=MEDIA_TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="{file_id}.{kind}"'},
    )


async def work(conn: AsyncConnection, task: Task) -> Chunk:
    """Check the next thousand households of a file; with the last, make the file to hand out."""
    service, file_id, today = task.service, task.job.subject_id, clock.today()
    assert file_id is not None
    opened = await check_files.load(conn, file_id, vault=service.vault)
    file = opened.file
    read = await _read(conn, task, opened)
    done, total = int(str(task.last.cursor.get("done", 0))), len(read.rows)
    part = slice(done, done + check.HOUSEHOLDS_MAX)
    checked = await check.check(
        conn,
        read.reads[part],
        purpose=file.purpose,
        listed=file.listed,
        wanted=file.wanted,
        quota=quota_of(service.settings, today),
        desk=service.desk,
        partner_id=task.actor.partner_id,
        at=clock.now(),
        twice=read.twice[part],
    )
    answers = msgspec.json.encode(checked.households)
    await check_files.put(conn, opened, "answers", answers, piece_no=done)
    done += len(checked.households)
    if done < total:
        return Chunk(done=done, total=total, cursor={"done": done})
    result = await _finish(conn, opened, read)
    return Chunk(done=done, total=total, cursor={"done": done}, result=result)


async def _read(conn: AsyncConnection, task: Task, opened: Opened) -> _Read:
    known = task.kept.get(KIND)
    if isinstance(known, _Read):
        return known
    (content,) = await check_files.pieces(conn, opened, "asked")
    rows = await asyncio.to_thread(
        lambda: list(intake.rows(content, format=opened.file.format, ubigeo_system="inei"))
    )
    if len(rows) > FILE_HOUSEHOLDS_MAX:
        raise FileUnreadable(line=rows[FILE_HOUSEHOLDS_MAX].number, reason="too_many_rows")
    today = clock.today()
    reads = await in_turns(rows, lambda row: asked.of_file(row, today=today))
    twice = await check.find_twice(reads, desk=task.service.desk, day=today)
    read = _Read(content, rows, reads, twice)
    task.kept[KIND] = read
    return read


async def _finish(conn: AsyncConnection, opened: Opened, read: _Read) -> dict[str, object]:
    answers = [
        answer
        for piece in await check_files.pieces(conn, opened, "answers")
        for answer in msgspec.json.decode(piece, type=list[Answer])
    ]
    made = await asyncio.to_thread(
        annotated,
        read.content,
        list(zip(read.rows, answers, strict=True)),
        format=opened.file.format,
    )
    await check_files.put(conn, opened, "checked", made)
    statuses = [answer.status for answer in answers]
    result: dict[str, object] = {status: statuses.count(status) for status in get_args(Status)}
    return {"households": len(answers), **result}


async def _destroy(service: Service) -> None:
    async with transaction(service.engine, WORKER, request_id="worker") as conn:
        await check_files.destroy_over(conn)


CHECK_FILE = Kind(roles=ROLES, work=work)
DESTROY = Duty(name="destroy-checked-files", every_seconds=DESTROY_EVERY_SECONDS, do=_destroy)
HANDLERS = (check_file, read_file)
