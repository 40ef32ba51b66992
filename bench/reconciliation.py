"""How long it takes to reconcile a round with a bank's statement, and whether it is right.

    .venv/bin/python bench/reconciliation.py --lines 100000 --json

A round of so many payments is released as `bench/round.py` does; then a made-up bank
(`bench/statements.py`) tells of it, with 2 % of differences of every kind. `parse_s` reads the
large statement; `store_s` is the rest of taking all files in (sealed, lines stored); `match_s`
and `book_s` are the reconciliation. Beside it, in the same run: lxml alone walking the same file.
`wrong_automatic` counts matches that are not the truth, `missed` those that are true and were not
made; `breaks` has what was put in and what was found, by kind.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from multiprocessing import Process
from pathlib import Path
from uuid import UUID

from lxml import etree
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent.parent))

from api import clock, db, settings
from api.embedded import EmbeddedPostgres
from api.state import Service, open_service
from bench.enrolled import DAY, PARTNER_ID, build, clerk
from bench.round import paid
from bench.statements import ACCOUNT, Paid, write_files
from cbi import differences, payer, settle, statements
from cbi.disbursement import Progress
from ledger import breaks
from ledger.formats.read import read_file

SEED = 20_261_129
FINANCE = clerk(4)
Verb = Callable[..., Awaitable[object]]


class Clock:
    """Adds up what some calls take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Verb) -> Verb:
        async def timed(*args: object, **kwargs: object) -> object:
            begin = time.perf_counter()
            try:
                return await function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - begin

        return timed


async def measure(lines: int, data_dir: Path) -> dict[str, object]:
    database = EmbeddedPostgres(data_dir)
    try:
        await db.migrate(database.url("postgres"))
        loaded = settings.load({"CBI_DATA_DIR": str(data_dir)})
        service = open_service(loaded, database_url=database.url("cbi_app"))
        programme = await build(data_dir, service.engine, database.url("postgres"), lines)
        await paid(service, programme, lines)
        print("released", file=sys.stderr)
        # Another process writes the bank's files, so that what it holds is not counted as ours.
        maker = Process(target=make_files, args=(database.url("postgres"), data_dir))
        maker.start()
        await asyncio.to_thread(maker.join)
        assert maker.exitcode == 0
        await our_account(service, programme.programme_id, database.url("postgres"))
        figures = await reconciled(service, data_dir, lines)
        await service.engine.dispose()
    finally:
        database.stop(whoever_holds=True)
    return figures


def make_files(owner_url: str, folder: Path) -> None:
    """Let the bank write its files about all that was instructed."""
    write_files(asyncio.run(instructed(owner_url)), folder, seed=SEED, on=DAY)


async def instructed(owner_url: str) -> list[Paid]:
    owner = db.connect(owner_url, pool_size=1)
    async with owner.connect() as conn:
        rows = await conn.execute(
            text("SELECT end_to_end_id, amount_minor FROM ledger.attempt ORDER BY end_to_end_id")
        )
        made = [Paid(row.end_to_end_id, row.amount_minor) for row in rows]
    await owner.dispose()
    return made


async def our_account(service: Service, programme_id: UUID, owner_url: str) -> None:
    """Let the account of the made-up statements be the one that pays."""
    owner = db.connect(owner_url, pool_size=1)
    async with owner.begin() as conn:
        # The table may only be added to, also by its owner; this database is thrown away.
        await conn.execute(text("SET session_replication_role = replica"))
        await conn.execute(text("ALTER TABLE cbi.payer_account DISABLE TRIGGER USER"))
        await conn.execute(text("DELETE FROM cbi.payer_account"))
    await owner.dispose()
    async with db.transaction(service.engine, FINANCE) as conn:
        await payer.store(
            conn,
            ACCOUNT,
            programme_id=programme_id,
            vault=service.vault,
            matching_key=service.settings.matching_key,
            partner_id=PARTNER_ID,
        )


async def reconciled(service: Service, folder: Path, lines: int) -> dict[str, object]:
    first, large, *others = files_in(folder)
    await taken_in(service, first)
    await settled(service, DAY)
    walk_s = walked(large)
    begin = time.perf_counter()
    with large.open("rb") as file:
        assert sum(1 for _ in read_file(file)) > lines // 2
    parse_s = time.perf_counter() - begin
    begin = time.perf_counter()
    for path in (large, *others):
        await taken_in(service, path)
    store_s = time.perf_counter() - begin - parse_s
    booking = Clock()
    settle._book = booking.around(settle._book)  # noqa: SLF001 -- that part by itself
    differences.book = booking.around(differences.book)
    begin = time.perf_counter()
    await settled(service, clock.today() + timedelta(days=9))
    match_s = time.perf_counter() - begin - booking.seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    truth = json.loads((folder / "truth.json").read_text(encoding="ascii"))
    wrong, missed = await matches(service, set(truth["plain"]))
    put = {kind: len(ids) for kind, ids in truth["by_kind"].items()}
    async with db.transaction(service.engine, FINANCE) as conn:
        standing = await breaks.standing(conn, partner_id=PARTNER_ID)
    named = Counter(one.kind for one in standing)
    figures = {
        "lines": lines,
        "parse_s": parse_s,
        "store_s": store_s,
        "match_s": match_s,
        "book_s": booking.seconds,
        "total_s": parse_s + store_s + match_s + booking.seconds,
        "lxml_walk_s": walk_s,
    }
    return {
        **{name: round(value, 2) for name, value in figures.items()},
        "peak_rss_mb": round(peak, 1),
        "wrong_automatic": wrong,
        "missed": missed,
        "breaks": {
            kind: {"injected": put.get(kind, 0), "found": named.get(kind, 0)}
            for kind in sorted({*put, *named})
        },
    }


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]-*.xml"))


async def taken_in(service: Service, path: Path) -> None:
    with path.open("rb") as file:
        async with db.transaction(service.engine, FINANCE) as conn:
            await statements.take_in(
                conn,
                file,
                vault=service.vault,
                matching_key=service.settings.matching_key,
                partner_id=PARTNER_ID,
                actor_id=FINANCE.actor_id,
                at=clock.now(),
            )


async def settled(service: Service, as_of: date) -> settle.Settled:
    done: object = None
    while not isinstance(done, settle.Settled):
        async with db.transaction(service.engine, FINANCE) as conn:
            done = await settle.settle(
                conn,
                run_id=clock.new_id(),
                partner_id=PARTNER_ID,
                actor_id=FINANCE.actor_id,
                at=clock.now(),
                as_of=as_of,
            )
        assert isinstance(done, (Progress, settle.Settled))
    return done


def walked(path: Path) -> float:
    """Seconds that lxml alone needs to walk the file, each entry forgotten."""
    begin = time.perf_counter()
    for _, element in etree.iterparse(str(path), tag="{*}Ntry"):
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
    return time.perf_counter() - begin


async def matches(service: Service, plain: set[str]) -> tuple[int, int]:
    """How many payments were matched to a debit and should not be, and the other way round."""
    async with db.transaction(service.engine, FINANCE) as conn:
        rows = await conn.execute(
            text(
                "SELECT a.end_to_end_id FROM ledger.allocation_in_force c"
                " JOIN ledger.attempt a USING (payment_id, attempt_no)"
                " WHERE c.claim = 'statement'"
            )
        )
        made = set(rows.scalars())
    return len(made - plain), len(plain - made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cbi-bench-") as folder:
        figures = asyncio.run(measure(options.lines, Path(folder)))
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:<24} {figure}")


if __name__ == "__main__":
    main()
