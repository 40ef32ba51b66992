"""How fast a partner's file is taken in, checked against everybody registered.

    .venv/bin/python bench/intake.py --households 50000 --persons-present 1000000 --json

Stores a made-up population as registrations store it, writes a file of other households (some of
them second registrations of families that are there), and takes it in as `cbi import households`
does: sent, staged, registered and checked by jobs, in a process of its own whose memory is
measured. Then takes in a second such file by way of review: staged and checked, looked at,
accepted. Then checks 1,000 households more without registering them. With `--data` the folder is
kept and used again; each run then adds its households.

Times of the first file are `total_s` = `send_s` + `parse_s` (read, sealed, staged) + `check_s`
(registered and checked); of the second `staged_total_s` = `staged_parse_s` + `staged_check_s` +
`staged_review_s` + `staged_accept_s`, with what it was sent in. `peak_rss_mb` is what the service
and its reader took at most, by the kernel's own mark; the database's share is not among it.
"""

import argparse
import asyncio
import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Literal

import xlsxwriter
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).parent.parent))

from api import auth, clock, db, settings
from api.embedded import EmbeddedPostgres
from api.importing import KINDS, order_acceptance
from api.sending import Declared, send
from api.state import Service, open_service
from api.worker import see_through
from bench import stored
from bench.laps import Laps
from bench.online import folder, size
from bench.population import generate
from cbi import asked, check, lists, staging, tables, uploads
from cbi.imported import Import
from cbi.lists import CheckList, Listed
from cbi.person import Person
from cbi.quotas import Quota

LISTED = 1_000
# Of a hundred households of the file so many are second registrations of somebody present.
HELD_PERCENT = 5
# Rows of the population to a household.
PERSONS_EACH = 3.5
ALONE_SHARE = 0.3
MILLION = 1_000_000
# Whoever measures compares all, whatever the quota of a day.
UNLIMITED = {"CBI_CHECK_PERSONS_PER_DAY": "1000000000"}
TITLES = (
    *("codigo_hogar", "fecha_registro", "ubigeo", "tipo_poblacion", "consentimiento_registro"),
    *("consentimiento_duplicados", "consentimiento_pago", "consentimiento_version"),
    *("nombres", "apellidos", "fecha_nacimiento", "sexo", "parentesco", "nacionalidad", "telefono"),
    *("tipo_documento", "numero_documento", "pais_documento"),
    *("tipo_documento_2", "numero_documento_2", "pais_documento_2"),
)

Cells = list[str]


async def measure(options: argparse.Namespace, data_dir: Path) -> dict[str, object]:
    database = EmbeddedPostgres(data_dir)
    try:
        await db.migrate(database.url("postgres"))
        settings.load({"CBI_DATA_DIR": str(data_dir)})
        if not stored.is_built(data_dir):
            await stored.build(data_dir, generate(options.persons_present, seed=options.seed))
        run_no = stored.remembered(data_dir, "intake_runs")
        stored.remember(data_dir, "intake_runs", run_no + 1)
        figures = await size(database)
        taken = options.households * (2 if options.staged else 1)
        households = families(data_dir, taken + LISTED, seed=run_no + 1)
        for way in ("direct", "staged")[: 1 + options.staged]:
            file = data_dir / f"hogares.{options.format}"
            written = write(file, islice(households, options.households), options.format)
            told = await taken_in(data_dir, file, way)
            if way == "direct":
                figures |= written | told
            else:
                figures |= {f"staged_{name}": value for name, value in told.items()}
        listed = list(households)
        figures["check_list_1000_s"] = await check_list(data_dir, listed)
    finally:
        database.stop(whoever_holds=True)
    return figures


async def taken_in(data_dir: Path, file: Path, way: str) -> dict[str, object]:
    """Take a file in with a process of its own, whose memory is measured."""
    taking = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--data", str(data_dir), "--take-in", str(file)),
        *("--way", way),
        stdout=subprocess.PIPE,
    )
    told, _ = await taking.communicate()
    assert taking.returncode == 0
    figures: dict[str, object] = json.loads(told)
    return figures


def families(data_dir: Path, households: int, *, seed: int) -> Iterator[list[Cells]]:
    """Households as lines of a file: strangers, and some who are there already."""
    rng = Random(seed)
    held = iter(stored.load_held(data_dir)[(seed - 1) * households // 20 :])
    everybody = generate(round(households * PERSONS_EACH * 1.6), seed=seed * 7919).registrations()
    # The population registers many who live alone; a partner's list has fewer of them.
    strangers = (rows for rows in everybody if len(rows) > 1 or rng.random() < ALONE_SHARE)
    for number in range(households):
        known = next(held, None) if rng.randrange(100) < HELD_PERCENT else None
        rows = known.rows if known is not None else next(strangers)
        yield lines(rows, f"R{seed}-{number}")


def lines(rows: list[stored.Row], code: str) -> list[Cells]:
    home = [code, "15/01/2026", stored.district_of(rows), "en destino", "sí", "sí", "sí", "1"]
    return [
        home + cells(stored.person_of(row), "jefe" if place == 0 else "hijo")
        for place, row in enumerate(rows)
    ]


def cells(person: Person, kin: str) -> Cells:
    born = "" if person.birth_date is None else f"{person.birth_date:%d/%m/%Y}"
    found = [person.given_names, person.surnames, born, person.sex, kin, person.nationality]
    found.append(person.phones[0] if person.phones else "")
    for document in person.documents[:2]:
        found += [document.type, document.number, document.country]
    return found


def write(
    file: Path, households: Iterator[list[Cells]], format_: Literal["csv", "xlsx"]
) -> dict[str, object]:
    """Write the file, and say how many households and persons stand in it."""
    homes = persons = 0

    def counted() -> Iterator[Cells]:
        nonlocal homes, persons
        yield list(TITLES)
        for family in households:
            homes += 1
            persons += len(family)
            yield from family

    if format_ == "csv":
        with file.open("w", encoding="utf-8", newline="") as text:
            csv.writer(text, delimiter=";").writerows(counted())
    else:
        with xlsxwriter.Workbook(file, {"constant_memory": True}) as book:
            sheet = book.add_worksheet("hogares")
            for at, row in enumerate(counted()):
                for column, text in enumerate(row):
                    sheet.write_string(at, column, text)
    return {
        "households": homes,
        "persons": persons,
        "format": format_,
        "file_mb": round(file.stat().st_size / MILLION, 1),
    }


async def take_in(data_dir: Path, file: Path, way: str) -> dict[str, object]:
    """Take a file in, and say how long each part took and how much memory it needed."""
    service = service_of(data_dir)
    clerk = await clerk_of(service)
    clock_ = Laps()
    declared = Declared(
        format=file.suffix[1:],  # type: ignore[arg-type]
        ubigeo_system="inei",
        accept_valid=way == "direct",
    )
    content = await asyncio.to_thread(file.read_bytes)
    opened = await send(service, content, declared, actor=clerk, request_id="bench")
    clock_.lap("send_s")
    if way == "direct":
        await work(service, clerk, opened, clock_.peak)
        clock_.lap("parse_s")
        await work(service, clerk, opened, clock_.peak)
        clock_.lap("check_s")
    else:
        await reviewed(service, clerk, opened, clock_)
    async with service.begin(clerk) as conn:
        standing = await staging.load_standing(conn, opened)
    await service.engine.dispose()
    return clock_.told() | {
        "registered": standing.registered,
        "review": standing.review,
        "faulty": standing.faulty,
    }


async def reviewed(service: Service, clerk: db.Actor, opened: Import, laps: Laps) -> None:
    """Stage, check, look at every row, and accept all that is right."""

    def staged(done: int, total: int) -> None:
        laps.peak()
        # Reading says that as much is done as there is; checking begins at none.
        if total and not done and "parse_s" not in laps.seconds:
            laps.lap("parse_s")

    await work(service, clerk, opened, staged)
    laps.lap("check_s")
    after = 0
    while True:
        async with service.begin(clerk) as conn:
            key = await uploads.key_if_kept(conn, opened.import_id, vault=service.vault)
            rows = await staging.list_rows(
                conn, opened, status=None, after=after, limit=1_000, key=key
            )
        if not rows:
            break
        after = rows[-1].row_no
    laps.lap("review_s")
    async with service.begin(clerk) as conn:
        await staging.decide(conn, opened, "valid", actor_id=clerk.actor_id, at=clock.now())
        await order_acceptance(conn, opened, clerk)
    await work(service, clerk, opened, laps.peak)
    laps.lap("accept_s")


async def work(
    service: Service, clerk: db.Actor, opened: Import, tell: Callable[[int, int], object]
) -> None:
    """See the import's last job through."""
    async with service.begin(clerk) as conn:
        standing = await staging.load_standing(conn, opened)
    assert standing.job_id is not None
    view = await see_through(service, KINDS, standing.job_id, actor=clerk, tell=tell)
    assert view.state == "done", view.result


async def check_list(data_dir: Path, families_: list[list[Cells]]) -> float:
    """How long a check of 1,000 households takes that registers nobody."""
    service = service_of(data_dir)
    clerk = await clerk_of(service)
    today = clock.today()
    reads = [
        asked.read({"reference": each[0][0], "persons": [form(one) for one in each]}, today=today)
        for each in families_
    ]
    quota = Quota(persons_per_day=10**9, day=today, opens_again_at=clock.now())
    begin = time.perf_counter()
    opened = CheckList(
        list_id=clock.new_id(),
        name=f"bench {clock.now().isoformat(timespec='microseconds')}",
        purpose="before_registration",
        until=today,
    )
    async with service.begin(clerk) as conn:
        await lists.open_list(conn, opened, at=clock.now())
        await check.check(
            conn,
            reads,
            purpose=opened.purpose,
            listed=Listed(kind="list", list_id=opened.list_id),
            quota=quota,
            desk=service.desk,
            partner_id=clerk.partner_id,
            at=clock.now(),
        )
    took = time.perf_counter() - begin
    await service.engine.dispose()
    return round(took, 2)


def form(line: Cells) -> dict[str, object]:
    """A line as the form of a person."""
    found = dict(zip(TITLES, line, strict=False))
    day, _, rest = found["fecha_nacimiento"].partition("/")
    month, _, year = rest.partition("/")
    person: dict[str, object] = {
        "given_names": found["nombres"],
        "surnames": found["apellidos"],
        "birth_date": f"{year}-{month}-{day}" if day else None,
        "sex": found["sexo"],
        "phones": [found["telefono"]] if found["telefono"] else [],
        "documents": [
            {
                "type": found[f"tipo_documento{at}"],
                "number": found[f"numero_documento{at}"],
                "country": found[f"pais_documento{at}"],
            }
            for at in ("", "_2")
            if found.get(f"numero_documento{at}")
        ],
    }
    return {name: value for name, value in person.items() if value not in (None, [])}


def service_of(data_dir: Path) -> Service:
    database = EmbeddedPostgres(data_dir)
    loaded = settings.load({"CBI_DATA_DIR": str(data_dir)} | UNLIMITED)
    return open_service(loaded, database_url=database.url("cbi_app"))


async def clerk_of(service: Service) -> db.Actor:
    """A registrar of one of the population's partners."""
    async with db.transaction(service.engine, db.SYSTEM) as conn:
        partner = tables.partner.c
        partner_id = (await conn.scalars(select(partner.partner_id).order_by(partner.code))).first()
        actor_id = await auth.add_actor(
            conn, actor_id=clock.new_id(), partner_id=partner_id, handle="bench", at=clock.now()
        )
    return db.Actor(
        actor_id=actor_id,
        partner_id=partner_id,
        partner_code="BENCH",
        roles=frozenset({"registrar", "programme"}),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--households", type=int, default=50_000)
    parser.add_argument("--persons-present", type=int, default=1_000_000)
    parser.add_argument("--format", choices=["csv", "xlsx"], default="csv")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--data", type=Path, help="a folder to keep and use again; a short path")
    parser.add_argument(
        "--staged",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="take a second file in by way of review",
    )
    parser.add_argument("--take-in", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=["direct", "staged"], help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.take_in is not None:
        print(json.dumps(asyncio.run(take_in(options.data, options.take_in, options.way))))
        return
    with folder(options.data) as data_dir:
        figures = asyncio.run(measure(options, data_dir))
    figures["persons_per_s"] = round(figures["persons"] / figures["total_s"])  # type: ignore[operator]
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:<28} {figure}")


if __name__ == "__main__":
    main()
