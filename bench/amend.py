"""How fast a changed list makes its households' next versions: row by row, and together.

    .venv/bin/python bench/amend.py --households 10000 --persons-present 100000 --json

Stores a made-up population as registrations store it, registers twice as many households as asked,
and changes something in each: a phone, the district, who lives there, a document. Half of them are
amended one after the other, each under a savepoint, 250 in a transaction, as it was done before;
the other half together, 250 at once, as the job of an accepted file does it. Both on one database,
taking turns, so that what else the machine does falls on both.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from random import Random

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

sys.path.insert(0, str(Path(__file__).parent.parent))

from api import clock, db, settings
from api.embedded import EmbeddedPostgres
from api.importing import REGISTERED_AT_ONCE
from api.state import Service
from bench import stored
from bench.intake import TITLES, clerk_of, families, service_of
from bench.online import folder
from bench.population import generate
from cbi.amend import amend
from cbi.amend_many import amend_changed
from cbi.household import Read, Registration
from cbi.imported import registration_of, staged
from cbi.ready import Maker, make_ready
from cbi.register_many import Registered, register_many
from dedup.blocking import key_hasher

Rows = Sequence[tuple[int, bytes, Registered]]
TURN = 1_000


async def measure(options: argparse.Namespace, data_dir: Path) -> dict[str, object]:
    database = EmbeddedPostgres(data_dir)
    try:
        await db.migrate(database.url("postgres"))
        settings.load({"CBI_DATA_DIR": str(data_dir)})
        if not stored.is_built(data_dir):
            await stored.build(data_dir, generate(options.persons_present, seed=options.seed))
        run_no = stored.remembered(data_dir, "amend_runs")
        stored.remember(data_dir, "amend_runs", run_no + 1)
        service = service_of(data_dir)
        clerk = await clerk_of(service)
        forms = read(data_dir, 2 * options.households, seed=run_no + 101)
        rows = await registered(service, clerk, forms, seed=options.seed)
        took = {"row_by_row_s": 0.0, "together_s": 0.0}
        for start in range(0, len(rows), 2 * TURN):
            for name, part in (
                ("row_by_row_s", rows[start : start + TURN]),
                ("together_s", rows[start + TURN : start + 2 * TURN]),
            ):
                begin = time.perf_counter()
                await amended(service, clerk, part, is_together=name == "together_s")
                took[name] += time.perf_counter() - begin
        await service.engine.dispose()
    finally:
        database.stop(whoever_holds=True)
    half = len(rows) // 2
    return {
        "households_each": half,
        "persons_present": options.persons_present,
        **{name: round(seconds, 2) for name, seconds in took.items()},
        "row_by_row_ms_each": round(1_000 * took["row_by_row_s"] / half, 2),
        "together_ms_each": round(1_000 * took["together_s"] / half, 2),
        "times_faster": round(took["row_by_row_s"] / took["together_s"], 1),
    }


def read(data_dir: Path, households: int, *, seed: int) -> list[Registration]:
    """Households of a file, those that can be registered."""
    lines = [list(TITLES)]
    for family in islice(families(data_dir, households, seed=seed), households):
        lines += family
    content = "\n".join(";".join(line) for line in lines).encode()
    rows = staged(content, format="csv", ubigeo_system="inei", today=clock.today())
    return [registration_of(row.content) for row in rows if row.content is not None]


async def registered(
    service: Service, clerk: db.Actor, forms: Sequence[Registration], *, seed: int
) -> Rows:
    """Register everybody; return what each household says a while later."""
    desk = service.desk
    maker = Maker(
        vault=desk.vault,
        matching_key=desk.matching_key,
        hasher=key_hasher(desk.matching_key),
        new_id=clock.new_id,
        partner_id=clerk.partner_id,
        today=clock.today(),
    )
    rng = Random(seed)
    rows = []
    for start in range(0, len(forms), REGISTERED_AT_ONCE):
        some = forms[start : start + REGISTERED_AT_ONCE]
        async with service.begin(clerk) as conn:
            became = await register_many(
                conn,
                [make_ready(each, maker) for each in some],
                desk=desk,
                partner_id=clerk.partner_id,
                actor_id=clerk.actor_id,
                area="",
                at=clock.now(),
            )
        for form, each in zip(some, became, strict=True):
            if each.household_id is not None:
                taken = Registered(status="faulty", taken_by=each.household_id)
                content = msgspec.json.encode(changed(rng, form))
                rows.append((len(rows) + 1, content, taken))
    return rows


def changed(rng: Random, form: Registration) -> Registration:
    """Change something of a household, as a list does that is kept up to date."""
    first, *others = form.persons
    match rng.randrange(4):
        case 0:
            first = msgspec.structs.replace(first, phones=(f"+519{rng.randrange(10**7, 10**8)}",))
        case 1:
            return msgspec.structs.replace(form, population_type="pendular")
        case 2:
            child = msgspec.structs.replace(
                first,
                given_names=f"{first.given_names} Menor",
                birth_date=date(2020, 1 + rng.randrange(12), 1 + rng.randrange(28)),
                relationship="child",
                roles=(),
                documents=(),
                phones=(),
            )
            others.append(child)
        case 3:
            first = msgspec.structs.replace(first, preferred_name="Otro")
    return msgspec.structs.replace(form, persons=(first, *others))


async def amended(service: Service, clerk: db.Actor, rows: Rows, *, is_together: bool) -> None:
    for start in range(0, len(rows), REGISTERED_AT_ONCE):
        some = rows[start : start + REGISTERED_AT_ONCE]
        async with service.begin(clerk) as conn:
            if is_together:
                outcomes = await amend_changed(
                    conn,
                    some,
                    desk=service.desk,
                    partner_id=clerk.partner_id,
                    actor_id=clerk.actor_id,
                    area="",
                    at=clock.now(),
                    today=clock.today(),
                )
                assert all(each.is_changed for each in outcomes), outcomes
            else:
                await one_by_one(conn, service, clerk, some)


async def one_by_one(conn: AsyncConnection, service: Service, clerk: db.Actor, rows: Rows) -> None:
    for _, content, became in rows:
        assert became.taken_by is not None
        async with conn.begin_nested():
            await amend(
                conn,
                became.taken_by,
                Read(registration=registration_of(content), faults=()),
                desk=service.desk,
                reason="changed",
                partner_id=clerk.partner_id,
                actor_id=clerk.actor_id,
                area="",
                at=clock.now(),
                today=clock.today(),
                by_reference=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--households", type=int, default=10_000)
    parser.add_argument("--persons-present", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--data", type=Path, help="a folder to keep and use again; a short path")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with folder(options.data) as data_dir:
        figures = asyncio.run(measure(options, data_dir))
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:<28} {figure}")


if __name__ == "__main__":
    main()
