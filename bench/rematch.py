"""How long a run over everybody takes, phase by phase, on sealed records in the database.

    .venv/bin/python bench/rematch.py --persons 1000000 --data /tmp/cbi-1m --json

Stores a made-up population as registrations store it (`--data` keeps the folder, which
bench/online.py uses too), reads, opens, matches and clusters it as `cbi dedup run` does, and opens
the cases of the first `--pairs` pairs in a transaction that is rolled back. Printed beside: what
reading alone and opening alone take in one process, and PostgreSQL's COPY of the same bytes.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent.parent))

from api import db, rematch, settings
from api.embedded import EmbeddedPostgres
from api.rematch import MATCHER
from api.state import Service, open_service
from bench import stored
from bench.population import generate
from cbi import rematch as reading
from dedup.batch import choose, keys, local

SAMPLE_PAGES = 20
WATCH_SECONDS = 0.1
# Who does what inside local.match; one inside another counts for the outer.
PHASES = (
    (keys, "candidates", "keys and candidates"),
    (local, "levels_of", "compare"),
    (local, "twice", "entered twice"),
    (local, "in_context", "weigh, and families in context"),
    (choose, "one_to_one", "choose one to one"),
    (choose, "clusters", "cluster"),
)


class Timed:
    """Adds up seconds by phase; a phase inside another counts for the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = False

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        if self._inside:
            yield
            return
        self._inside, begin = True, time.perf_counter()
        try:
            yield
        finally:
            self._inside = False
            self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - begin

    def watch(self, module: object, function: str, phase: str) -> None:
        inner: Callable[..., Any] = getattr(module, function)

        def outer(*words: object, **more: object) -> object:
            with self.phase(phase):
                return inner(*words, **more)

        setattr(module, function, outer)


async def measure(options: argparse.Namespace, data_dir: Path) -> dict[str, object]:
    database = EmbeddedPostgres(data_dir)
    try:
        await db.migrate(database.url("postgres"))
        loaded = settings.load({"CBI_DATA_DIR": str(data_dir)})
        if not stored.is_built(data_dir):
            population = generate(options.persons, seed=options.seed, hard=options.hard)
            await stored.build(data_dir, population)
            del population
        service = open_service(loaded, database_url=database.url("cbi_app"))
        figures = await alone(service)
        figures |= await everybody(service, options)
        await service.engine.dispose()
    finally:
        database.stop(whoever_holds=True)
    return figures


async def alone(service: Service) -> dict[str, object]:
    """What one process reads, and what it opens, of some pages from the middle."""
    async with db.transaction(service.engine, MATCHER, request_id="bench") as conn:
        pages = await reading.pages(conn)
    middle = max(0, len(pages) // 2 - SAMPLE_PAGES // 2)
    sample = pages[middle : middle + SAMPLE_PAGES]
    rows, read_s, server_s = [], 0.0, 0.0
    for page in sample:
        begin = time.perf_counter()
        async with db.transaction(service.engine, MATCHER, request_id="bench") as conn:
            backend = psutil.Process(await conn.scalar(text("SELECT pg_backend_pid()")))
            before = sum(backend.cpu_times()[:2])
            rows.append(await reading.read(conn, page, purpose="duplicate check"))
            server_s += sum(backend.cpu_times()[:2]) - before
        read_s += time.perf_counter() - begin
    opening = reading.Opening(service.vault)
    begin, began_cpu = time.perf_counter(), time.process_time()
    for page_rows in rows:
        opening.take(page_rows)
    open_s, open_cpu = time.perf_counter() - begin, time.process_time() - began_cpu
    persons = len(opening.part().columns)
    copied = sum(len(message) for page_rows in rows for row in page_rows for message in row[6])
    return {
        "read_persons_per_s_one_process": round(persons / read_s),
        "open_persons_per_s_one_process": round(persons / open_s),
        # Processor time says more than wall time where others work on the same machine.
        "server_cpu_us_per_person": round(server_s / persons * 1e6, 1),
        "open_cpu_us_per_person": round(open_cpu / persons * 1e6, 1),
        "sealed_bytes_per_person": round(copied / persons),
        "copy_persons_per_s": round(persons / await copy_out(service, sample)),
    }


async def copy_out(service: Service, sample: list[reading.Page]) -> float:
    """The limit: seconds for the same rows by COPY, dropped as they come."""
    begin = time.perf_counter()
    async with db.transaction(service.engine, MATCHER, request_id="bench") as conn:
        driver = (await conn.get_raw_connection()).driver_connection
        assert driver is not None

        async def drop(_: bytes) -> None:
            """Take nothing."""

        for page in sample:
            await driver.copy_from_query(
                "SELECT * FROM cbi.sealed_population($1, $2, 'duplicate check')",
                *(page.after, page.upto),
                output=drop,
                format="binary",
            )
    return time.perf_counter() - begin


async def everybody(service: Service, options: argparse.Namespace) -> dict[str, object]:
    timed = Timed()
    for module, function, phase in PHASES:
        timed.watch(module, function, phase)
    model = service.model.current
    with watched() as peak:
        begin, began_cpu = time.perf_counter(), cpu_seconds()
        with timed.phase("read, open and encode"):
            people, _ = await rematch.read_everybody(
                service,
                purpose="duplicate check",
                request_id="bench",
                processes=options.processes,
            )
        read_s = time.perf_counter() - begin
        matched = local.match(people.columns, model, processes=options.processes)
        pairs = reading.chosen(people, matched, model)
        seconds, cpu = time.perf_counter() - begin, cpu_seconds() - began_cpu
    figures: dict[str, object] = {
        "persons": len(people),
        "households": people.households,
        "candidates": matched.candidates,
        "pairs": len(pairs),
        "clusters": len(people) - int(matched.clusters.max(initial=-1)) - 1,
        "processes": options.processes,
        "seconds": round(seconds, 1),
        "cpu_seconds_without_server": round(cpu, 1),
        "match, all of it, s": round(seconds - read_s, 1),
        "persons_per_s": round(len(people) / seconds),
        **peak,
    }
    for phase, took in timed.seconds.items():
        figures[f"{phase}, s"] = round(took, 1)
        figures[f"{phase}, persons/s"] = round(len(people) / took) if took else 0
    return figures | await cases(service, people, pairs.take(slice(0, options.pairs)))


async def cases(
    service: Service, people: reading.Population, pairs: reading.Chosen
) -> dict[str, object]:
    """Open cases as a run does, chunk by chunk, and once more when all are known."""
    model, taken = service.model.current, []
    async with service.engine.connect() as conn, conn.begin() as outer:
        await db.set_facts(conn, MATCHER, request_id="bench")
        for _ in range(2):
            begin = time.perf_counter()
            for chunk in reading.chunks(pairs, people, most=rematch.PAIRS_PER_CHUNK):
                await rematch.open_chunk(conn, model, people, chunk)
            taken.append(time.perf_counter() - begin)
        await outer.rollback()
    return {
        "case pairs": len(pairs),
        "new pairs opened/s": round(len(pairs) / taken[0]),
        "known pairs passed/s": round(len(pairs) / taken[1]),
    }


def cpu_seconds() -> float:
    """What this process and those that it waited for have used."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


@contextmanager
def watched() -> Iterator[dict[str, object]]:
    """Fill in the most memory that this process and its children held, when done."""
    peak: dict[str, object] = {}
    ours, theirs = multiprocessing.Pipe()
    watcher = multiprocessing.get_context("fork").Process(target=_watch, args=(theirs,))
    watcher.start()
    try:
        yield peak
    finally:
        ours.send(None)
        peak |= ours.recv()
        watcher.join()


def _watch(pipe: Any) -> None:  # noqa: ANN401 -- a connection of multiprocessing
    this = psutil.Process()
    parent = this.parent()
    most = {"peak_rss_mb": 0, "peak_pss_mb": 0}
    while not pipe.poll(WATCH_SECONDS):
        rss = pss = 0
        for process in (parent, *parent.children(recursive=True)):
            if process.pid == this.pid:
                continue
            try:
                held = process.memory_full_info()
            except psutil.Error:
                continue
            # Pages that processes share count for each in rss, and once in pss.
            rss, pss = rss + held.rss, pss + held.pss
        most["peak_rss_mb"] = max(most["peak_rss_mb"], round(rss / 1e6))
        most["peak_pss_mb"] = max(most["peak_pss_mb"], round(pss / 1e6))
    pipe.send(most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--persons", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=20_000, help="whose cases are opened")
    parser.add_argument("--data", type=Path, help="keep the database here")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cbi-bench-") as folder:
        figures = asyncio.run(measure(options, options.data or Path(folder)))
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:<34} {figure}")


if __name__ == "__main__":
    main()
