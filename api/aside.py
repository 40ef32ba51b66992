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
from cbi.imported import StagedRow, registration_of, staged
from cbi.intake import Format
from cbi.ready import Maker, Ready, make_ready
from cbi.vault import Vault
from dedup.blocking import key_hasher

F = TypeVar("F")
T = TypeVar("T")
# Starting a process takes about a second, in which a thread reads some hundred households.
LARGE_BYTES = 128 * 1024


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be read, from a household on."""

    content: bytes
    format: Format
    ubigeo_system: str
    skip: int
    today: date


class _Own(threading.local):
    """What the one thread of an executor keeps from call to call."""

    rows: Iterator[StagedRow]
    maker: Maker


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
