"""Match everybody with everybody: read and open in several processes, match, open cases.

What a run has done is written down as it goes. One that was killed goes on: reading and matching
are done again, and cases that are there stay as they are.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import compress
from operator import not_
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import SYSTEM, connect, transaction
from api.state import Service
from cbi import rematch
from cbi.identities import Purpose
from cbi.rematch import Chosen, Opening, Page, Part, Population
from dedup import models, runs
from dedup.batch import local
from dedup.batch.local import Matched
from dedup.model import Model
from dedup.opening import Opened, open_batch
from dedup.runs import Phase, Progress, Run

T = TypeVar("T")
Tell = Callable[[int, int], Awaitable[None]]

# Reads everybody's sealed records and opens cases between any two; nobody's key has this role.
MATCHER = msgspec.structs.replace(SYSTEM, roles=frozenset({"matcher"}))
# So many parts for each process: small enough to send, and none waits long for the last.
PARTS_PER_PROCESS = 4
# Nobody judges while a chunk is opened, so a chunk takes well under a second.
PAIRS_PER_CHUNK = 2_000
BROKEN_TOLD_MAX = 100


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did, in numbers.

    `unread` households declined, withdrew or were erased; those in `broken` (100 ids at most, of
    `broken_count`) didn't open, so nobody was compared with them. `crowds` counts by kind of key
    who was not searched by it; `twice` persons seem to stand twice in one registration. `opened` to
    `unchanged` count pairs of households.
    """

    households: int
    unread: int
    broken_count: int
    broken: tuple[UUID, ...]
    persons: int
    candidates: int
    pairs: int
    twice: int
    crowds: dict[str, int]
    opened: int
    reopened: int
    strengthened: int
    unchanged: int
    seconds: dict[str, float]


@asynccontextmanager
async def turn(service: Service) -> AsyncIterator[None]:
    """Keep other runs, and changes of the model, out meanwhile; raises RunUnderway."""
    conn = await service.engine.connect()
    try:
        await conn.execution_options(isolation_level="AUTOCOMMIT")
        await runs.take_turn(conn)
        yield
    finally:
        # The lock is the session's, so the session must end, not go back to the pool.
        await conn.invalidate()
        await conn.close()


async def start(service: Service, *, engine: runs.Engine, partner_ids: Sequence[UUID] = ()) -> Run:
    """Begin a run under the model in use; call it, and `go`, in one's `turn`."""
    run = Run(
        run_id=clock.new_id(),
        model_id=service.model.current.model_id,
        engine=engine,
        partners=tuple(partner_ids),
        started_at=clock.now(),
        started_by=MATCHER.actor_id,
    )
    async with transaction(service.engine, MATCHER, request_id=str(run.run_id)) as conn:
        await models.store(conn, service.model.current, actor_id=run.started_by, at=run.started_at)
        await runs.start(conn, run)
    return run


class Going:
    """A run as it goes: what it does, and what it tells."""

    def __init__(
        self, service: Service, run: Run, *, processes: int, told: Callable[[Progress], None]
    ) -> None:
        self.service = service
        self.run = run
        self.model = service.model.current
        assert self.model.model_id == run.model_id
        self.processes = processes
        self.told = told
        self.seconds: dict[str, float] = {}

    async def go(self, *, master: str = "") -> Ended:
        """Do the run, or do it again from where it was killed.

        A fault is written down, by its kind, and raised.
        """
        try:
            return await self._go(master)
        except Exception as error:
            await self.note("failed", counts={"fault": type(error).__name__})
            raise

    async def note(
        self, phase: Phase, done: int = 0, total: int = 0, counts: dict[str, Any] | None = None
    ) -> None:
        progress = Progress(phase=phase, done=done, total=total, counts=counts or {})
        async with transaction(self.service.engine, MATCHER) as conn:
            await runs.note(conn, self.run.run_id, progress, at=clock.now())
        self.told(progress)

    async def _go(self, master: str) -> Ended:
        begin = time.monotonic()
        everybody, unread = await read_everybody(
            self.service,
            purpose="duplicate check",
            request_id=str(self.run.run_id),
            processes=self.processes,
            tell=lambda done, total: self.note("reading", done, total),
            with_records=self.run.engine == "spark",
        )
        begin = self._took("reading", begin)
        await self.note("matching", 0, len(everybody), {"persons": len(everybody)})
        matched = self._match(everybody, master)
        pairs = rematch.chosen(everybody, matched, self.model, partner_ids=self.run.partners)
        begin = self._took("matching", begin)
        opened = await open_cases(
            self.service,
            self.model,
            everybody,
            pairs,
            request_id=str(self.run.run_id),
            tell=lambda done, total: self.note("opening", done, total),
        )
        self._took("opening", begin)
        ended = Ended(
            households=everybody.households,
            unread=unread,
            broken_count=len(everybody.broken),
            broken=tuple(everybody.broken[:BROKEN_TOLD_MAX]),
            persons=len(everybody),
            candidates=matched.candidates,
            pairs=len(pairs),
            twice=rematch.twice(everybody, matched),
            crowds=matched.crowds,
            seconds=self.seconds,
            **msgspec.structs.asdict(opened),
        )
        await self.note("finished", counts=msgspec.to_builtins(ended))
        return ended

    def _match(self, everybody: Population, master: str) -> Matched:
        if self.run.engine == "local":
            return local.match(everybody.columns, self.model, processes=self.processes)
        return _on_spark(everybody, self.model, master)

    def _took(self, phase: str, begin: float) -> float:
        now = time.monotonic()
        self.seconds[phase] = round(now - begin, 3)
        return now


class SparkFailed(Exception):
    """Spark did not start, or ended the work; its own log says why."""


def _on_spark(everybody: Population, model: Model, master: str) -> Matched:
    # Only with the extra `cbi[spark]`.
    from py4j.protocol import Py4JError  # noqa: PLC0415
    from pyspark.errors import PySparkException  # noqa: PLC0415

    from dedup.batch.spark import match_records, session  # noqa: PLC0415

    try:
        with session(master) as spark:
            return match_records(spark, everybody.records(), model)
    except (PySparkException, Py4JError) as error:
        # What Spark says of a fault may quote a record.
        raise SparkFailed(type(error).__name__) from None


async def silent(done: int, total: int) -> None:
    """Tell nobody how far it is."""


async def read_everybody(
    service: Service,
    *,
    purpose: Purpose,
    request_id: str,
    processes: int,
    tell: Tell = silent,
    with_records: bool = False,
) -> tuple[Population, int]:
    """Read and open everybody who agreed; returns them, and how many households did not.

    In forked processes, each with a connection of its own; rows are in the order of ids however
    many they are.
    """
    async with transaction(service.engine, MATCHER, request_id=request_id) as conn:
        pages = await rematch.pages(conn)
    shares = _shares(pages, PARTS_PER_PROCESS * processes)
    url = service.engine.url.render_as_string(hide_password=False)

    def read(at: int) -> Part:
        opening = Opening(service.vault, with_records=with_records)
        return _apart(_read(url, shares[at], opening, purpose=purpose, request_id=request_id))

    parts: list[Part] = []
    done, total = 0, sum(page.households for page in pages)
    # The loop is held up meanwhile; it has nothing else to do.
    for part, share in zip(
        local.in_processes(read, range(len(shares)), processes), shares, strict=True
    ):
        parts.append(part)
        done += sum(page.households for page in share)
        await tell(done, total)
    everybody = rematch.population(parts)
    # Who was registered while we read may stand on a page and be counted on none.
    unread = max(total - everybody.households - len(everybody.broken), 0)
    return everybody, unread


async def open_cases(
    service: Service,
    model: Model,
    everybody: Population,
    pairs: Chosen,
    *,
    request_id: str,
    tell: Tell = silent,
) -> Opened:
    """Open the cases of chosen pairs, chunk by chunk; what is known already stays as it is."""
    total, done = Opened(), 0
    for chunk in rematch.chunks(pairs, everybody, most=PAIRS_PER_CHUNK):
        async with transaction(service.engine, MATCHER, request_id=request_id) as conn:
            total = _sum(total, await open_chunk(conn, model, everybody, chunk))
        done += len(chunk)
        await tell(done, len(pairs))
    return total


async def open_chunk(
    conn: AsyncConnection, model: Model, everybody: Population, pairs: Chosen
) -> Opened:
    """Open the cases of some pairs, in the caller's transaction."""
    found = rematch.ids(pairs, everybody)
    are_new = await runs.are_new(conn, found, model_id=model.model_id)
    known = {(two.household_a, two.household_b) for two in compress(found, map(not_, are_new))}
    opened = Opened(unchanged=len(known))
    if any(are_new):
        new = rematch.to_pairs(pairs.take(np.array(are_new)), everybody, model)
        at, by = clock.now(), MATCHER.actor_id
        opened = _sum(opened, await open_batch(conn, new, model=model, at=at, actor_id=by))
    return opened


async def _read(
    url: str, pages: Sequence[Page], opening: Opening, *, purpose: Purpose, request_id: str
) -> Part:
    engine = connect(url, pool_size=1)
    try:
        for page in pages:
            async with transaction(engine, MATCHER, request_id=request_id) as conn:
                rows = await rematch.read(conn, page, purpose=purpose)
            opening.take(rows)
    finally:
        await engine.dispose()
    return opening.part()


def _sum(*parts: Opened) -> Opened:
    names = Opened.__struct_fields__
    return Opened(**{name: sum(getattr(part, name) for part in parts) for name in names})


def _shares(pages: Sequence[Page], count: int) -> list[Sequence[Page]]:
    """Cut pages into so many shares or fewer, none empty unless there is no page at all."""
    size = max(1, -(-len(pages) // count))
    return [pages[start : start + size] for start in range(0, len(pages), size)] or [()]


def _apart(work: Coroutine[Any, Any, T]) -> T:
    """Run in an event loop of its own: in a forked process, or beside the one that runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
