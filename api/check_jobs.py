"""Files at work: read a thousand households at a time, then checked as far as the quota goes.

What the quota has no room for goes on by itself the next day. Nothing of a file is held but the
piece at hand; who stands in it twice is found by the reader.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import TypeVar, get_args
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.access import PROGRAMME, REGISTRAR
from api.aside import Aside, Source, aside
from api.check import quota_of
from api.worker import Kind, Task
from cbi import check, check_files, lists, quotas
from cbi.answered import Place, Status
from cbi.asked_rows import PIECE, AskedRow, in_list
from cbi.check import fitting
from cbi.check_files import Opened
from cbi.check_refusal import CheckFileTooLarge
from cbi.intake.checked import ANSWERS, CheckedFile
from cbi.job import Chunk
from cbi.quotas import Quota
from cbi.refusal import CheckQuotaSpent

KIND = "check-file"
ROLES = frozenset({REGISTRAR, PROGRAMME})
# A file is kept for a week; of that it may take so many days to be checked.
SPREAD_DAYS_MAX = 5
# Of a day's quota a file that takes several leaves so much to other questions.
LEFT_FREE_PERCENT = 20
# So long a chunk waits for its reader; the transaction is open meanwhile.
WAITED_SECONDS = 10.0
T = TypeVar("T")
_TWICE = msgspec.json.Decoder(dict[int, tuple[Place, ...]])


class _Work(msgspec.Struct, frozen=True, kw_only=True):
    """A file at work in one chunk."""

    conn: AsyncConnection
    task: Task
    opened: Opened
    quota: Quota

    @property
    def partner_id(self) -> UUID:
        return self.task.actor.partner_id


async def work(conn: AsyncConnection, task: Task) -> Chunk:
    """Read the next thousand households, or check as many; with the last, make the file."""
    file_id = task.job.subject_id
    assert file_id is not None
    opened = await check_files.load(conn, file_id, vault=task.service.vault)
    default = quota_of(task.service.settings, clock.today())
    quota = await quotas.in_force(conn, default, partner_id=opened.partner_id)
    at_work = _Work(conn=conn, task=task, opened=opened, quota=quota)
    if "checked" not in task.last.cursor:
        return await _read_on(at_work)
    return await _check_on(at_work)


async def _read_on(work: _Work) -> Chunk:
    """Keep the next households; after the last, see whether they fit, and who is there twice."""
    read, persons = _number(work, "read"), _number(work, "persons")
    beside = await _beside(work, reading_from=read)
    part = await _awaited(work, "part", lambda: beside.take_asked(check.HOUSEHOLDS_MAX))
    if part is None:
        return _resting(work)
    if part.households:
        await check_files.put(work.conn, work.opened, "read", part.piece, piece_no=read)
        read, persons = read + part.households, persons + part.persons
        return Chunk(done=0, total=read, cursor={"read": read, "persons": persons})
    await _must_fit(work, persons)
    model = work.task.service.desk.model
    twice = await _awaited(work, "alike", lambda: beside.twice(model))
    if twice is None:
        return _resting(work)
    await check_files.put(work.conn, work.opened, "twice", msgspec.json.encode(twice))
    cursor = {"read": read, "persons": persons, "checked": 0, "charged": 0}
    return Chunk(done=0, total=read, cursor=cursor)


async def _must_fit(work: _Work, persons: int) -> None:
    """Refuse what doesn't fit the days that a file may take, or its list's."""
    quota = work.quota
    left = await quotas.persons_left(work.conn, quota=quota, partner_id=work.partner_id)
    a_day = quota.persons_per_day - _left_free(quota)
    fit = max(left - _left_free(quota), 0) + (SPREAD_DAYS_MAX - 1) * a_day
    if persons > max(left, fit):
        raise CheckFileTooLarge(
            persons=persons,
            persons_fit=fit,
            persons_per_day=quota.persons_per_day,
            days=SPREAD_DAYS_MAX,
        )
    today_fit = max(left - _left_free(quota), 0)
    days = 0 if persons <= left else -(-(persons - today_fit) // a_day)
    await _list_is_active(work, quota.day + timedelta(days=days))


async def _list_is_active(work: _Work, day: date) -> None:
    file = work.opened.file
    await lists.active(
        work.conn,
        file.listed.list_id,
        purpose=file.purpose,
        partner_id=work.partner_id,
        day=day,
    )


async def _check_on(work: _Work) -> Chunk:
    """Check as many households of the next piece as the quota has room for."""
    total, charged, done = (_number(work, name) for name in ("read", "charged", "checked"))
    if done == total:
        return await _finish(work)
    await _list_is_active(work, work.quota.day)
    rows, persons = await _next(work, done)
    left = await quotas.persons_left(work.conn, quota=work.quota, partner_id=work.partner_id)
    fits_whole = _number(work, "persons") - charged <= left
    room = left if fits_whole else left - _left_free(work.quota)
    many = fitting(persons, room)
    cursor = dict(work.task.last.cursor) | {"goes_on_at": None}
    if not many:
        if persons[0] > work.quota.persons_per_day - _left_free(work.quota):
            raise _spent(work, persons[0], left)
        at = work.quota.opens_again_at
        return Chunk(
            done=done, total=total, cursor=cursor | {"goes_on_at": at.isoformat()}, goes_on_at=at
        )
    file = work.opened.file
    checked = await check.check(
        work.conn,
        [each.read for each in rows[:many]],
        purpose=file.purpose,
        listed=file.listed,
        wanted=file.wanted,
        quota=work.quota,
        desk=work.task.service.desk,
        partner_id=work.partner_id,
        at=clock.now(),
        twice=await _twice(work, range(done, done + many)),
    )
    answers = msgspec.json.encode(checked.households)
    await check_files.put(work.conn, work.opened, "answers", answers, piece_no=done)
    done, charged = done + many, charged + sum(persons[:many])
    return Chunk(done=done, total=total, cursor=cursor | {"checked": done, "charged": charged})


async def _next(work: _Work, done: int) -> tuple[Sequence[AskedRow], Sequence[int]]:
    """Return the rest of the piece at hand, and how many persons of each household count."""
    first = done - done % check.HOUSEHOLDS_MAX
    (piece,) = await check_files.pieces(work.conn, work.opened, "read", only=first)
    rows = PIECE.decode(piece)[done - first :]
    return rows, [len(in_list(each.read, row=0, on=work.quota.day)) for each in rows]


async def _twice(work: _Work, rows: range) -> list[tuple[Place, ...]]:
    twice = work.task.kept.get("twice")
    if not isinstance(twice, Mapping):
        (piece,) = await check_files.pieces(work.conn, work.opened, "twice")
        twice = work.task.kept["twice"] = _TWICE.decode(piece)
    return [twice.get(row, ()) for row in rows]


async def _finish(work: _Work) -> Chunk:
    """Make the file that is handed out."""
    conn, opened = work.conn, work.opened
    (content,) = await check_files.pieces(conn, opened, "asked")
    answers = await check_files.pieces(conn, opened, "answers")
    beside = await _beside(work, reading_from=None)
    checked = CheckedFile(
        content=content,
        format=opened.file.format,
        read=await check_files.pieces(conn, opened, "read"),
        answers=answers,
    )
    made = await _awaited(work, "made", lambda: beside.annotated(checked))
    if made is None:
        return _resting(work)
    await check_files.put(conn, opened, "checked", made)
    counts = dict.fromkeys(get_args(Status), 0)
    for piece in answers:
        for answer in ANSWERS.decode(piece):
            counts[answer.status] += 1
    total = _number(work, "read")
    result: dict[str, object] = {
        "households": total,
        "persons": _number(work, "charged"),
        **counts,
    }
    return Chunk(done=total, total=total, cursor=work.task.last.cursor, result=result)


async def _beside(work: _Work, *, reading_from: int | None) -> Aside:
    """Return who reads beside the service; opened for this file, from a household on."""
    known = work.task.kept.get("beside")
    if isinstance(known, Aside):
        return known
    (content,) = await check_files.pieces(work.conn, work.opened, "asked")
    task, file = work.task, work.opened.file
    beside = await task.stack.enter_async_context(
        aside(task.service.settings, task.actor, bytes_=len(content))
    )
    if reading_from is not None:
        source = Source(
            content=content,
            format=file.format,
            ubigeo_system=file.ubigeo_system,
            skip=reading_from,
            today=work.quota.day,
        )
        # Whoever takes the first households hears what is wrong with the file.
        beside.ask(source)
    task.kept["beside"] = beside
    return beside


async def _awaited(work: _Work, name: str, begin: Callable[[], "asyncio.Future[T]"]) -> T | None:
    """Return what is worked on beside, or None while it isn't there: no transaction waits long."""
    coming = work.task.kept.get(name)
    if coming is None:
        coming = work.task.kept[name] = begin()
    assert isinstance(coming, asyncio.Future)
    await asyncio.wait({coming}, timeout=WAITED_SECONDS)
    if not coming.done():
        return None
    del work.task.kept[name]
    found: T = coming.result()
    return found


def _resting(work: _Work) -> Chunk:
    """Stand where the last chunk stood."""
    last = work.task.last
    return Chunk(done=last.done, total=last.total, cursor=last.cursor)


def _spent(work: _Work, persons: int, left: int) -> CheckQuotaSpent:
    return CheckQuotaSpent(
        persons_asked=persons,
        persons_left=left,
        persons_per_day=work.quota.persons_per_day,
        opens_again_at=work.quota.opens_again_at,
        households_fit=0,
    )


def _left_free(quota: Quota) -> int:
    return quota.persons_per_day * LEFT_FREE_PERCENT // 100


def _number(work: _Work, name: str) -> int:
    return int(str(work.task.last.cursor.get(name, 0)))


CHECK_FILE = Kind(roles=ROLES, work=work)
