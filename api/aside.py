"""Work beside the service: a file read and made ready while the database works on what came before.

A small file is worked on by a thread; for a large one a process of its own uses another core, and
keeps the service answering.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import date
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import TypeVar
from uuid import UUID

import msgspec

from api import clock
from api.db import Actor
from api.settings import Settings
from cbi.answered import Place
from cbi.asked_rows import AskedRow, asked_rows, in_list
from cbi.imported import StagedRow, registration_of, staged
from cbi.intake import Format
from cbi.intake.checked import CheckedFile, annotated
from cbi.ready import Maker, Ready, make_ready
from cbi.vault import Vault
from dedup.blocking import key_hasher
from dedup.model import Model
from dedup.packed import PackedList

F = TypeVar("F")
T = TypeVar("T")
# Starting a process takes about a second, in which a thread reads some hundred households.
LARGE_BYTES = 128 * 1024


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be read, from a household on."""

    content: bytes
    format: Format
    ubigeo_system: str | None
    skip: int
    today: date


class AskedPart(msgspec.Struct, frozen=True):
    """Some households of a file to check, and how many persons of them are searched for."""

    piece: bytes
    households: int
    persons: int


class _Own(threading.local):
    """What the one thread of an executor keeps from call to call."""

    rows: Iterator[StagedRow]
    maker: Maker
    asked: Iterator[AskedRow]
    packed: PackedList
    references: list[str]
    skip: int


_OWN = _Own()


class Aside:
    """One worker beside the service; what it is asked it does in order."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def read(self, source: Source) -> None:
        """Begin to read a file; raises FileUnreadable."""
        await self._do(_read, source)

    def take(self, many: int) -> "asyncio.Future[list[StagedRow]]":
        """Return the file's next households, none at its end."""
        return self._do(_take, many)

    def ask(self, source: Source) -> None:
        """Begin to read a file to check."""
        self._do(_ask, source)

    def take_asked(self, many: int) -> "asyncio.Future[AskedPart]":
        """Return the next households of a file to check, none at its end; raises FileUnreadable."""
        return self._do(_take_asked, many)

    def twice(self, model: Model) -> "asyncio.Future[dict[int, list[Place]]]":
        """Say which households of the file that was read are like which, by place from 0."""
        return self._do(_twice, model)

    def annotated(self, checked: CheckedFile) -> "asyncio.Future[bytes]":
        """Write what was found into a file."""
        return self._do(annotated, checked)

    def ready(self, contents: list[bytes]) -> "asyncio.Future[list[Ready]]":
        """Make registrations ready to be stored."""
        return self._do(_ready, contents)

    def _do(self, what: Callable[[F], T], facts: F) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._executor, what, facts)


@asynccontextmanager
async def aside(settings: Settings, actor: Actor, *, bytes_: int) -> AsyncIterator[Aside]:
    """Open a worker for a file of so many bytes."""
    begin = (settings.sealing_key, settings.matching_key, actor.partner_id, clock.today())
    executor: Executor
    if bytes_ < LARGE_BYTES:
        executor = ThreadPoolExecutor(1, initializer=_begin, initargs=begin)
    else:
        context = get_context("spawn")
        executor = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=begin)
    try:
        yield Aside(executor)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _begin(sealing_key: bytes, matching_key: bytes, partner_id: UUID, today: date) -> None:
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    _OWN.maker = Maker(
        vault=Vault({"k1": sealing_key}),
        matching_key=matching_key,
        hasher=key_hasher(matching_key),
        new_id=clock.new_id,
        partner_id=partner_id,
        today=today,
    )


def _follow(parent: BaseProcess) -> None:
    """End with the service: who is left behind by a kill would hold names and keys for ever."""
    parent.join()
    os._exit(1)


def _read(source: Source) -> None:
    assert source.ubigeo_system is not None
    rows = staged(
        source.content,
        format=source.format,
        ubigeo_system=source.ubigeo_system,
        today=source.today,
    )
    _OWN.rows = islice(rows, source.skip, None)


def _take(many: int) -> list[StagedRow]:
    return list(islice(_OWN.rows, many))


def _ready(contents: list[bytes]) -> list[Ready]:
    return [make_ready(registration_of(content), _OWN.maker) for content in contents]


def _ask(source: Source) -> None:
    _OWN.packed, _OWN.references = PackedList(_OWN.maker.hasher), []
    _OWN.skip = source.skip
    # Nothing is read before the first household is taken.
    _OWN.asked = asked_rows(
        source.content,
        format=source.format,
        ubigeo_system=source.ubigeo_system,
        today=source.today,
    )


def _next_asked(today: date) -> tuple[AskedRow, int] | None:
    each = next(_OWN.asked, None)
    if each is None:
        return None
    found = in_list(each.read, row=len(_OWN.references), on=today)
    _OWN.packed.add(found)
    _OWN.references.append(each.read.reference)
    return each, len(found)


def _take_asked(many: int) -> AskedPart:
    # What was read before counts for who stands in the file twice.
    while len(_OWN.references) < _OWN.skip and _next_asked(_OWN.maker.today) is not None:
        pass
    rows: list[AskedRow] = []
    persons = 0
    while len(rows) < many and (taken := _next_asked(_OWN.maker.today)) is not None:
        rows.append(taken[0])
        persons += taken[1]
    return AskedPart(msgspec.json.encode(rows), len(rows), persons)


def _twice(model: Model) -> dict[int, list[Place]]:
    alike = asyncio.run(_OWN.packed.alike(model))
    return {
        row: [Place(row=other + 1, reference=_OWN.references[other]) for other in others]
        for row, others in alike.items()
    }
