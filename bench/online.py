"""How fast, and how well, one household is checked against everybody registered.

    .venv/bin/python bench/online.py --persons 1000000 --data /tmp/cbi-1m --json

Stores a made-up population as registrations store it, all but some second registrations of its
families, and then measures with those, which the database has never seen: the engine alone
(`dedup.find`), `POST /v1/check` of one household and of a list of 1,000, while another client goes
on asking, and whole registrations over HTTP by one client. With `--data` the folder is kept and
used again; registrations measured in one run stay stored, so each run takes others. Printed
beside: what the machine can do at most, in the same run.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import msgspec
from sqlalchemy import insert, text

sys.path.insert(0, str(Path(__file__).parent.parent))

from api import auth, clock, db, settings
from api.embedded import EmbeddedPostgres
from api.state import Service, open_service
from bench import stored
from bench.population import generate
from bench.stored import Held
from cbi import household, tables
from cbi.identities import Candidates
from cbi.vault import Vault, open_as, seal
from dedup import index
from dedup.blocking import key_hasher
from dedup.find import Household, find
from dedup.record import Record
from tests.walk.served import Served

HOUSEHOLD = 3
LIST_HOUSEHOLDS = 1_000
COPY_ROWS = 200_000
OPENED = 5_000
WARM_UP = 20


class Watched:
    """Opens candidates, remembering who was found by a key and who was compared as well."""

    def __init__(self, inner: Candidates) -> None:
        self._inner = inner
        self.by_key: set[UUID] = set()
        self.compared: set[UUID] = set()

    async def persons(self, person_ids: Sequence[UUID]) -> Mapping[UUID, Record]:
        self.by_key |= set(person_ids)
        return await self._inner.persons(person_ids)

    async def households(self, household_ids: Sequence[UUID]) -> list[Household]:
        found = await self._inner.households(household_ids)
        self.compared |= {one.person_id for each in found for one in each.persons}
        return found


async def measure(options: argparse.Namespace, data_dir: Path) -> dict[str, object]:
    begin = time.perf_counter()
    database = EmbeddedPostgres(data_dir)
    try:
        await db.migrate(database.url("postgres"))
        loaded = settings.load({"CBI_DATA_DIR": str(data_dir)})
        if not stored.is_built(data_dir):
            population = generate(options.persons, seed=options.seed, hard=options.hard)
            await stored.build(data_dir, population)
        built_s = round(time.perf_counter() - begin, 1)
        held = stored.load_held(data_dir)
        service = open_service(loaded, database_url=database.url("cbi_app"))
        figures = await size(database)
        figures |= {"build_s": built_s} | await engine(service, held)
        if not options.engine_only:
            figures |= await over_http(service, data_dir, held, options.registrations)
        figures |= await machine(database)
        await service.engine.dispose()
    finally:
        database.stop(whoever_holds=True)
    return figures


async def size(database: EmbeddedPostgres) -> dict[str, object]:
    owner = db.connect(database.url("postgres"), pool_size=1)
    async with owner.connect() as conn:
        row = (
            await conn.execute(
                text(
                    "SELECT (SELECT count(*) FROM cbi.person) AS persons,"
                    " (SELECT count(*) FROM dedup.key_entry) AS keys,"
                    " pg_total_relation_size('dedup.key_entry') / 1000000 AS keys_mb,"
                    " pg_database_size(current_database()) / 1000000 AS database_mb"
                )
            )
        ).one()
    await owner.dispose()
    return dict(row._mapping)  # noqa: SLF001 -- SQLAlchemy's public mapping


async def engine(service: Service, held: list[Held]) -> dict[str, object]:
    """Search each held registration: time those of three persons, count what all of them find."""
    hasher = key_hasher(service.desk.matching_key)
    actor = msgspec.structs.replace(db.SYSTEM, roles=frozenset({"registrar"}))
    millis: list[float] = []
    opened: list[int] = []
    true = by_key = compared = shown = alarms = 0
    for number, each in enumerate(held):
        ids = [service.desk.new_id() for _ in each.rows]
        records = records_of(each, service.desk.new_id(), ids)
        async with service.engine.connect() as conn, conn.begin() as outer:
            await db.set_facts(conn, actor, request_id="bench")
            opener = Watched(Candidates(conn, service.vault))
            begin = time.perf_counter()
            keys = index.keyed(records, hasher)
            found = await find(conn, records, keys, model=service.desk.model, opener=opener)
            taken = (time.perf_counter() - begin) * 1000
            await outer.rollback()
        if len(records) == HOUSEHOLD and number >= WARM_UP:
            millis.append(taken)
            opened.append(len(opener.by_key))
        truth = {
            (person_id, other)
            for person_id, others in zip(ids, each.stored, strict=True)
            for other in others
        }
        pairs = {(pair.person_id, pair.other_person_id) for pair in found.pairs}
        true += len(truth)
        by_key += sum(other in opener.by_key for _, other in truth)
        compared += sum(other in opener.by_key | opener.compared for _, other in truth)
        shown += len(truth & pairs)
        alarms += len(pairs - truth)
    return {
        "households_of_3": len(millis),
        **times("engine", millis),
        "candidates_p50": statistics.median(opened),
        "candidates_p99": statistics.quantiles(opened, n=100)[98],
        "true_pairs": true,
        "true_pairs_found_by_key": round(by_key / true, 4),
        "true_pairs_found": round(compared / true, 4),
        "true_pairs_shown": round(shown / true, 4),
        "other_pairs_shown": alarms,
    }


def records_of(held: Held, household_id: UUID, ids: Sequence[UUID]) -> list[Record]:
    district = stored.district_of(held.rows)
    return [
        household.to_record(
            stored.person_of(row), household_id=household_id, person_id=person_id, ubigeo=district
        )
        for row, person_id in zip(held.rows, ids, strict=True)
    ]


async def over_http(
    service: Service, data_dir: Path, held: list[Held], registrations: int
) -> dict[str, object]:
    """Check, then register, households of three that this database has not seen, by one client."""
    used = stored.remembered(data_dir, "used")
    bodies = [body_of(each) for each in held]
    bodies = [body for body in bodies if household.read(body, today=clock.today()).registration]
    many = bodies[-LIST_HOUSEHOLDS:]
    bodies = [body for body in bodies[:-LIST_HOUSEHOLDS] if len(body["persons"]) == HOUSEHOLD]
    bodies = bodies[used : used + registrations]
    assert len(bodies) > WARM_UP, "this folder's registrations are used up: take another"
    stored.remember(data_dir, "used", used + len(bodies))
    key = await hired(service)
    async with (
        Served(data_dir) as served,
        httpx.AsyncClient(
            base_url=served.url,
            trust_env=False,
            timeout=60,
            headers={"Authorization": f"Bearer {key}"},
        ) as http,
    ):
        asked = await opened_list(http)
        checks = [
            await posted(http, "/v1/check", asked | {"households": [body]}, 200) for body in bodies
        ]
        http.headers["Authorization"] = f"Bearer {await hired(service)}"
        listed = await a_whole_list(http, many)
        http.headers["Authorization"] = f"Bearer {key}"
        done = [await posted(http, "/v1/households", body, 201) for body in bodies]
    return {
        "registered": len(done),
        **times("check", [taken for taken, _ in checks[WARM_UP:]]),
        **listed,
        **times("registration", [taken for taken, _ in done[WARM_UP:]]),
        "in_review": sum(answer["status"] == "review" for _, answer in done),
    }


async def opened_list(http: httpx.AsyncClient) -> dict[str, object]:
    """Open a list to check on; what a question then begins with."""
    purpose = {"purpose": "before_registration"}
    body = {"name": "bench", "until": str(clock.today()), **purpose}
    _, opened = await posted(http, "/v1/lists", body, 201)
    return {"list": opened["list_id"], **purpose}


async def a_whole_list(
    http: httpx.AsyncClient, bodies: list[dict[str, object]]
) -> dict[str, object]:
    """Check a list at once, while another client asks who it is, again and again."""
    asked = await opened_list(http)
    waits: list[float] = []
    checking = asyncio.create_task(posted(http, "/v1/check", asked | {"households": bodies}, 200))
    while not checking.done():
        begin = time.perf_counter()
        answer = await http.get("/v1/me")
        waits.append((time.perf_counter() - begin) * 1000)
        assert answer.status_code == 200
    taken, answered = await checking
    return {
        "check_list_households": len(bodies),
        "check_list_persons": sum(len(body["persons"]) for body in bodies),
        "check_list_s": round(taken / 1000, 2),
        "check_list_review": answered["review"],
        **times("beside_check_list", waits),
        "beside_check_list_ms_max": round(max(waits), 1),
    }


async def posted(
    http: httpx.AsyncClient, path: str, body: object, status: int
) -> tuple[float, dict[str, object]]:
    begin = time.perf_counter()
    answer = await http.post(path, json=body)
    taken = (time.perf_counter() - begin) * 1000
    assert answer.status_code == status, answer.text
    return taken, answer.json()


async def hired(service: Service) -> str:
    """Add an organisation and a registrar of it; every run has a quota of its own."""
    partner_id, at = uuid4(), clock.now()
    async with db.transaction(service.engine, db.SYSTEM) as conn:
        await conn.execute(
            insert(tables.partner).values(
                partner_id=partner_id,
                code=f"BENCH-{partner_id.hex[:8].upper()}",
                name="Bench",
                contact="bench@example.org",
                added_at=at,
            )
        )
        actor_id = await auth.add_actor(
            conn, actor_id=uuid4(), partner_id=partner_id, handle="clerk", at=at
        )
        return await auth.issue(
            conn,
            key_id=uuid4(),
            actor_id=actor_id,
            roles=["registrar"],
            area="",
            at=at,
            expires_at=at + timedelta(days=1),
        )


def body_of(held: Held) -> dict[str, object]:
    """A held registration as a partner would send it."""
    persons = [msgspec.to_builtins(stored.person_of(row)) for row in held.rows]
    for place, person in enumerate(persons):
        person["relationship"] = "child" if place else "head"
    return {
        "reference": f"{held.rows[0]['registration_id']}-{uuid4().hex[:6]}",
        "registered_on": "2026-02-03",
        "ubigeo": stored.district_of(held.rows),
        "population_type": "in_destination",
        "consents": [
            {
                "kind": kind,
                "granted": True,
                "text_version": "1",
                "language": "es",
                "channel": "in_person",
                "given_on": "2026-02-03",
            }
            for kind in stored.CONSENTS
        ],
        "persons": persons,
    }


def times(name: str, millis: list[float]) -> dict[str, float]:
    return {
        f"{name}_ms_p50": round(statistics.median(millis), 2),
        f"{name}_ms_p99": round(statistics.quantiles(millis, n=100)[98], 2),
    }


async def machine(database: EmbeddedPostgres) -> dict[str, object]:
    """What the machine can do at most: rows copied, messages opened, empty answers a second."""
    owner = db.connect(database.url("postgres"), pool_size=1)
    rows = stored.key_rows([(number, os.urandom(16)) for number in range(COPY_ROWS)])
    async with owner.begin() as conn:
        await conn.execute(text("CREATE TEMPORARY TABLE copied (key bigint, person_id uuid)"))
        driver = (await conn.get_raw_connection()).driver_connection
        begin = time.perf_counter()
        await stored.copy_keys(driver, "copied", rows)
        copied = COPY_ROWS / (time.perf_counter() - begin)
        begin = time.perf_counter()
        for _ in range(1000):
            await conn.execute(text("SELECT 1"))
        asked = 1000 / (time.perf_counter() - begin)
    await owner.dispose()
    vault, owner_id = Vault({"k": bytes(32)}), uuid4()
    key, _ = vault.new_key(owner_id)
    message = seal(key, stored.person_of({"given1": "Ana"}), kind="person", owner=owner_id)
    begin = time.perf_counter()
    for _ in range(OPENED):
        open_as(key, message, household.Person, kind="person", owner=owner_id)
    return {
        "limit_copy_rows_per_s": round(copied),
        "limit_statements_per_s": round(asked),
        "limit_messages_opened_per_s": round(OPENED / (time.perf_counter() - begin)),
    }


@contextmanager
def folder(kept: Path | None):  # noqa: ANN201
    """The folder to keep, or one that is gone in the end."""
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="cbi-online-") as fresh:
        yield Path(fresh)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--registrations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("--engine-only", action="store_true", help="nothing over HTTP")
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
