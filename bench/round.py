"""How long a round takes: calculate, reserve, release, and hand its file out.

    .venv/bin/python bench/round.py --payments 100000 --json

Everybody enrolled is made up and stored as registrations store them, each with a bank account;
then one process does what the service does for each call, transaction by transaction, with every
constraint, trigger and policy on and `synchronous_commit = on`. `reserve_s` is funding and all
chunks: checked as of now, attempts, reservations, the part of the file written and sealed.
`file_s` is reading all parts back, as the treasurer does. `sign_s`, the three signatures between,
and `check_s`, the list's duplicate check that preparing makes, are not part of `total_s`. Beside
it, in the same run: COPY of the same entitlements, attempts and transfers into tables without
index or constraint, and opening as many sealed messages.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

sys.path.insert(0, str(Path(__file__).parent.parent))

from api import clock, db, settings
from api.embedded import EmbeddedPostgres
from api.state import Service, open_service
from bench.enrolled import PARTNER_ID, build, clerk
from cbi import tables
from cbi.calculate import calculate
from cbi.disburse import open_round, sign
from cbi.disbursement import Progress, Round, Signed, Step
from cbi.enrol import Programme
from cbi.identities import load_sealed_payees, open_payee
from cbi.payout import read_file
from cbi.profiles import BUILT_IN, SHIPPED
from cbi.recheck import RoundChecked, check_round
from cbi.release import release
from cbi.who import Who

LIMIT_ROWS = 100_000
OPENED = 5_000
ROUND_ID = UUID(int=7)
LISTS = ("cbi.entitlement", "ledger.attempt", "ledger.transfer")


async def measure(payments: int, data_dir: Path) -> dict[str, object]:
    database = EmbeddedPostgres(data_dir)
    try:
        await db.migrate(database.url("postgres"))
        loaded = settings.load({"CBI_DATA_DIR": str(data_dir)})
        service = open_service(loaded, database_url=database.url("cbi_app"))
        owner = db.connect(database.url("postgres"), pool_size=1)
        programme = await build(data_dir, service.engine, database.url("postgres"), payments)
        print("stored", file=sys.stderr)
        figures = {"payments": payments} | await paid(service, programme, payments)
        # Everything of the service; what follows is only there to compare with.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures |= {"peak_rss_mb": round(peak, 1)}
        copy_s = await copied(owner, min(payments, LIMIT_ROWS)) / min(payments, LIMIT_ROWS)
        open_s = await opened(service, min(payments, OPENED)) / min(payments, OPENED)
        figures |= {"limit_copy_s": round(copy_s * payments, 2)}
        figures |= {"limit_open_s": round(open_s * payments, 2)}
        await owner.dispose()
        await service.engine.dispose()
    finally:
        database.stop(whoever_holds=True)
    return figures


async def paid(service: Service, programme: Programme, payments: int) -> dict[str, object]:
    round_ = Round(
        round_id=ROUND_ID,
        programme_id=programme.programme_id,
        name="bench",
        first_month=date(2026, 4, 1),
        end_month=date(2026, 5, 1),
        pays_on=date(2026, 4, 2),
    )
    async with db.transaction(service.engine, clerk(0)) as conn:
        await open_round(
            conn, round_, partner_id=PARTNER_ID, actor_id=clerk(0).actor_id, at=clock.now()
        )
    seconds = {"calculate_s": await calculated(service)}
    check_s, cases = await checked(service)
    sign_s = await signed(service)
    reserve_s, release_s, done = await released(service)
    assert done.payments == payments, done
    file_s, total_minor = await handed_out(service)
    assert total_minor == done.total.amount_minor
    seconds |= {"reserve_s": reserve_s, "release_s": release_s, "file_s": file_s}
    total_s = sum(seconds.values())
    seconds |= {"total_s": total_s, "sign_s": sign_s, "check_s": check_s}
    seconds |= {"check_of_total": check_s / total_s, "cases": cases}
    return {name: round(value, 2) for name, value in seconds.items()}


async def calculated(service: Service) -> float:
    begin, who = time.perf_counter(), clerk(0)
    made: object = Progress
    while made is Progress or isinstance(made, Progress):
        async with db.transaction(service.engine, who) as conn:
            made = await calculate(
                conn,
                round_id=ROUND_ID,
                partner_id=PARTNER_ID,
                actor_id=who.actor_id,
                at=clock.now(),
            )
    return time.perf_counter() - begin


async def checked(service: Service) -> tuple[float, int]:
    """Seconds of checking everybody on the list against everybody, and the cases it opened."""
    begin, who = time.perf_counter(), clerk(1)
    done: object = Progress
    while not isinstance(done, RoundChecked):
        async with db.transaction(service.engine, who) as conn:
            by = Who(partner_id=PARTNER_ID, actor_id=who.actor_id, at=clock.now())
            done = await check_round(conn, round_id=ROUND_ID, desk=service.desk, who=by)
    return time.perf_counter() - begin, done.cases


async def signed(service: Service) -> float:
    begin = time.perf_counter()
    for place, step in enumerate((Step.PREPARED, Step.REVIEWED, Step.APPROVED), start=1):
        who = clerk(place)
        async with db.transaction(service.engine, who) as conn:
            await sign(
                conn,
                round_id=ROUND_ID,
                step=step,
                partner_id=PARTNER_ID,
                actor_id=who.actor_id,
                at=clock.now(),
            )
    return time.perf_counter() - begin


async def released(service: Service) -> tuple[float, float, Signed]:
    """Seconds of reserving and of the release itself, which is the last transaction."""
    reserve_s, who = 0.0, clerk(4)
    while True:
        begin = time.perf_counter()
        async with db.transaction(service.engine, who) as conn:
            done = await release(
                conn,
                round_id=ROUND_ID,
                partner_id=PARTNER_ID,
                actor_id=who.actor_id,
                at=clock.now(),
                keys=service.keys,
            )
        taken = time.perf_counter() - begin
        if isinstance(done, Signed):
            return reserve_s, taken, done
        reserve_s += taken


async def handed_out(service: Service) -> tuple[float, int]:
    """Seconds of reading every part, and what their control sums add up to."""
    begin, minor, part_no, parts = time.perf_counter(), 0, 1, 1
    while part_no <= parts:
        async with db.transaction(service.engine, clerk(4)) as conn:
            file = await read_file(conn, ROUND_ID, vault=service.vault, part_no=part_no)
        control = file.content[file.content.index(b"<CtrlSum>") + 9 :][:30].partition(b"<")[0]
        minor += int(control.replace(b".", b""))
        parts, part_no = file.parts, part_no + 1
    return time.perf_counter() - begin, minor


async def copied(owner: AsyncEngine, count: int) -> float:
    """Seconds to COPY so many payments' rows into bare tables."""
    taken = 0.0
    for table in LISTS:
        async with owner.begin() as conn:
            await conn.execute(text(f"CREATE TABLE bare AS SELECT * FROM {table} LIMIT 0"))
            driver = (await conn.get_raw_connection()).driver_connection
            rows = await driver.fetch(f"SELECT * FROM {table} LIMIT {count}")
            records, columns = [tuple(row) for row in rows], list(rows[0].keys())
            begin = time.perf_counter()
            await driver.copy_records_to_table("bare", records=records, columns=columns)
            taken += time.perf_counter() - begin
            await conn.execute(text("DROP TABLE bare"))
    return taken


async def opened(service: Service, count: int) -> float:
    """Seconds that one core needs to open so many households and their holders."""
    async with db.transaction(service.engine, clerk(0)) as conn:
        ids = (
            await conn.scalars(
                tables.entitlement.select()
                .with_only_columns(tables.entitlement.c.household_id)
                .limit(count)
            )
        ).all()
        payees = await load_sealed_payees(conn, ids, purpose="payment file")
    begin = time.perf_counter()
    for payee in payees.values():
        assert open_payee(payee, service.vault, SHIPPED[BUILT_IN]) is not None
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--payments", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cbi-bench-") as folder:
        figures = asyncio.run(measure(options.payments, Path(folder)))
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:<24} {figure}")


if __name__ == "__main__":
    main()
