"""How fast households are registered over HTTP, and what one duplicate check costs.

    .venv/bin/python bench/registration.py --households 600 --clients 1 --json

Starts `cbi serve` on an embedded database of its own, registers the example's households as JSON,
each one checked against everybody before it, and prints what was measured beside two limits of the
machine: bare commits of a row of the same size, and the scorer alone.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
import msgspec
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent.parent))

from api import db, settings
from api.demo import stage
from api.demo.population import population
from api.embedded import EmbeddedPostgres
from api.state import Service, open_service
from cbi import household
from cbi.identities import Candidates
from dedup import find, index
from dedup.blocking import key_hasher
from dedup.score import score
from tests.walk.served import Served

SEED = 2026
CHECKS = 200
COMMITS = 500


async def measure(households: int, clients: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="cbi-bench-") as folder:
        data_dir = Path(folder)
        database = EmbeddedPostgres(data_dir)
        try:
            await db.migrate(database.url("postgres"))
            loaded = settings.load({"CBI_DATA_DIR": folder})
            service = open_service(loaded, database_url=database.url("cbi_app"))
            state = await stage.set_up(service, households=households)
            people = [
                (partner.code, msgspec.to_builtins(registration))
                for partner in population(SEED, households).partners
                for registration in partner.registrations
            ]
            async with Served(data_dir) as served:
                registered = await register(served.url, state.keys, people, clients)
            checked = await check(service, households)
            limits = await machine(database, service)
            await service.engine.dispose()
        finally:
            database.stop(whoever_holds=True)
    return {"households": households, "clients": clients, **registered, **checked, **limits}


async def register(
    url: str, keys: dict[str, str], people: list[tuple[str, dict[str, object]]], clients: int
) -> dict[str, float]:
    """Register everybody through `clients` connections at once."""
    waiting = iter(people)
    millis: list[float] = []

    async def client() -> None:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
            for partner, body in waiting:
                headers = {"Authorization": f"Bearer {keys[f'{partner}/registro']}"}
                begin = time.perf_counter()
                answer = await http.post("/v1/households", json=body, headers=headers)
                millis.append((time.perf_counter() - begin) * 1000)
                assert answer.status_code == 201, answer.text

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    seconds = time.perf_counter() - begin
    persons = sum(len(body["persons"]) for _, body in people)  # type: ignore[arg-type]
    return {
        "persons": persons,
        "registrations_per_s": round(len(people) / seconds, 1),
        "registration_ms_p50": round(statistics.median(millis), 1),
        "registration_ms_p99": round(statistics.quantiles(millis, n=100)[98], 1),
    }


async def check(service: Service, households: int) -> dict[str, float]:
    """Search one household's persons: keys, candidates opened and scored, nothing written."""
    hasher = key_hasher(service.desk.matching_key)
    millis: list[float] = []
    per_household: list[int] = []
    registrations = [
        registration
        for partner in population(SEED, households).partners
        for registration in partner.registrations
    ]
    for registration in registrations[:CHECKS]:
        ids = [service.desk.new_id() for _ in registration.persons]
        records = household.to_records(registration, service.desk.new_id(), ids)
        actor = msgspec.structs.replace(db.SYSTEM, roles=frozenset({"registrar"}))
        async with service.engine.connect() as conn, conn.begin() as outer:
            await db.set_facts(conn, actor, request_id="bench")
            begin = time.perf_counter()
            await find.find(
                conn,
                records,
                index.keyed(records, hasher),
                model=service.desk.model,
                opener=Candidates(conn, service.vault),
            )
            millis.append((time.perf_counter() - begin) * 1000)
            per_household.append(len(records))
            await outer.rollback()
    return {
        "check_household_ms_p50": round(statistics.median(millis), 2),
        "check_household_ms_p99": round(statistics.quantiles(millis, n=100)[98], 2),
        "check_person_ms_mean": round(sum(millis) / sum(per_household), 2),
    }


async def machine(database: EmbeddedPostgres, service: Service) -> dict[str, float]:
    """What the machine can do at most: commits of one row, and pairs scored by one core."""
    engine = db.connect(database.url("postgres"), pool_size=1)
    row = {"row": bytes(2000)}
    async with engine.begin() as conn:
        await conn.execute(text("CREATE TABLE public.bare (row bytea)"))
    begin = time.perf_counter()
    for _ in range(COMMITS):
        async with engine.begin() as conn:
            await conn.execute(text("INSERT INTO public.bare VALUES (:row)"), row)
    commits = COMMITS / (time.perf_counter() - begin)
    await engine.dispose()
    registration = population(SEED, 60).partners[0].registrations[0]
    ids = [service.desk.new_id() for _ in registration.persons]
    one = household.to_records(registration, service.desk.new_id(), ids)[0]
    begin = time.perf_counter()
    for _ in range(5000):
        score(one, one, service.desk.model)
    return {
        "bare_commits_per_s": round(commits, 1),
        "scores_per_s_one_core": round(5000 / (time.perf_counter() - begin)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--households", type=int, default=600)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.households, options.clients))
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:<26} {figure}")


if __name__ == "__main__":
    main()
