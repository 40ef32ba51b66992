"""A database of made-up persons, stored as registrations store them; kept and built on."""

import asyncio
import io
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import get_args
from uuid import UUID

import msgspec
import numpy as np
from asyncpg import Connection as AsyncpgConnection
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from api import settings
from api.embedded import EmbeddedPostgres
from bench.population import Population
from cbi import household, tables
from cbi.account import Instrument, cci
from cbi.document import Document, DocumentType, issuer
from cbi.identities import SealedHousehold
from cbi.person import Person, settle
from cbi.vault import Vault, seal
from dedup import index
from dedup.blocking import key_hasher

Row = dict[str, str]
DOCUMENT_TYPES = get_args(DocumentType)
CHUNK = 2_000  # registrations
# About so many second registrations are kept out of the database, to be registered later.
HELD = 5_000
AT = datetime(2026, 1, 15, 12, tzinfo=UTC)
CONSENTS = ("registration", "duplicate_check", "fsp")
DONE = "bench_chunk"
_KEY_ROW = np.dtype(
    [
        *(("fields", ">i2"), ("key_bytes", ">i4"), ("key", ">i8")),
        *(("person_bytes", ">i4"), ("person", "V16")),
    ]
)


class Held(msgspec.Struct):
    """A registration that is not in the database, and who of it is: ids by place in it."""

    rows: list[Row]
    persons: list[int]
    stored: list[list[UUID]] = []


def person_of(row: Row) -> Person:
    """Make the person a row of the population tells of, as a registration would store it."""
    pairs = ((row.get(f"doc{at}_type"), row.get(f"doc{at}")) for at in (1, 2))
    documents = [
        Document(type=kind if kind in DOCUMENT_TYPES else "other", number=number)
        for kind, number in pairs
        if kind and number
    ]
    nationality, born = row.get("nationality", ""), row.get("birth_date")
    given = f"{row.get('given1', '')} {row.get('given2', '')}".strip()
    surnames = f"{row.get('surname1', '')} {row.get('surname2', '')}".strip()
    return settle(
        Person(
            # Who has one name writes it first: the form asks for a given name.
            given_names=given or surnames,
            surnames=surnames if given else "",
            birth_date=date.fromisoformat(born) if born else None,
            sex=row.get("sex", "not_stated"),
            nationality=nationality,
            documents=tuple(
                msgspec.structs.replace(one, country=issuer(one) or nationality)
                for one in documents
            ),
            phones=(row["phone"],) if "phone" in row else (),
        )
    )


def ids_of(number: int) -> tuple[UUID, UUID]:
    """The ids of the household and of the person who is number `number` of all; in that order."""
    millis = 1_700_000_000_000 + number
    low = (millis << 80) | (0x7 << 76) | (0x2 << 62)
    return UUID(int=low), UUID(int=low | 1)


async def build(data_dir: Path, population: Population, *, processes: int = 2) -> None:
    """Store all registrations but the held ones; goes on where an earlier run broke off.

    The database is migrated and the keys are made; it must be the same population every time.
    """
    database = EmbeddedPostgres(data_dir)
    url = database.url("postgres")
    engine = create_async_engine(url)
    async with engine.begin() as conn:
        await conn.execute(
            text(f"CREATE TABLE IF NOT EXISTS public.{DONE} (chunk int PRIMARY KEY)")
        )
        done = set(await conn.scalars(text(f"SELECT chunk FROM public.{DONE}")))
        await conn.execute(
            text("ALTER TABLE dedup.key_entry DROP CONSTRAINT IF EXISTS key_entry_pkey")
        )
    seen: dict[int, list[UUID]] = {}
    held: list[Held] = []
    with ProcessPoolExecutor(processes) as pool:
        running = []
        for number, chunk in enumerate(_chunks(population, seen, held)):
            if number not in done:
                running.append(pool.submit(_store_chunk, str(data_dir), url, number, chunk))
            while len(running) > 2 * processes:
                running.pop(0).result()
        for each in running:
            each.result()
    await _add_partners(engine, set(population.columns["partner"]))
    for each in held:
        each.stored = [seen.get(person, []) for person in each.persons]
    (data_dir / "held.json").write_bytes(msgspec.json.encode(held))
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
        await conn.execute(
            text(
                "ALTER TABLE dedup.key_entry ADD CONSTRAINT key_entry_pkey"
                " PRIMARY KEY (key, person_id)"
            )
        )
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="AUTOCOMMIT")
        await conn.execute(text("VACUUM ANALYZE"))
        await conn.execute(text("CHECKPOINT"))
    await engine.dispose()


async def _add_partners(engine: AsyncEngine, codes: set[str]) -> None:
    async with engine.begin() as conn:
        await conn.execute(
            insert(tables.partner).on_conflict_do_nothing(),
            [
                {
                    "partner_id": partner_of(code),
                    "code": code.upper(),
                    "name": code,
                    "contact": f"desk@{code}.example",
                    "added_at": AT,
                }
                for code in sorted(codes)
            ],
        )


def _chunks(
    population: Population, seen: dict[int, list[UUID]], held: list[Held]
) -> Iterator[list[tuple[int, list[Row]]]]:
    """Cut into chunks of (number of the first person, rows), and keep some second ones out."""

    def stored() -> Iterator[tuple[int, list[Row]]]:
        number = again = 0
        # Every third to fourth of ten persons stands in a second registration of some family.
        held_every = max(2, len(population) // (10 * HELD))
        for rows in population.registrations():
            persons = population.person[number : number + len(rows)].tolist()
            again += (is_second := any(person in seen for person in persons))
            if is_second and again % held_every == 0:
                held.append(Held(rows=rows, persons=persons))
            else:
                for at, person in enumerate(persons):
                    seen.setdefault(person, []).append(ids_of(number + at)[1])
                yield number, rows
            number += len(rows)

    everybody = stored()
    while chunk := list(islice(everybody, CHUNK)):
        yield chunk


def _store_chunk(folder: str, url: str, number: int, chunk: list[tuple[int, list[Row]]]) -> None:
    asyncio.run(_copy_chunk(folder, url, number, chunk))


async def _copy_chunk(
    folder: str, url: str, number: int, chunk: list[tuple[int, list[Row]]]
) -> None:
    told = settings.load({"CBI_DATA_DIR": folder})
    vault, hasher = Vault({"k1": told.sealing_key}), key_hasher(told.matching_key)
    rows_of: dict[str, list[tuple[object, ...]]] = {name: [] for name in COLUMNS}
    keys: list[tuple[int, bytes]] = []
    for first, rows in chunk:
        _add_registration(rows_of, keys, rows, first, vault=vault, hasher=hasher)
    engine = create_async_engine(url)
    async with engine.begin() as conn:
        # Foreign keys are right by making; checking each row would take longer than the copying.
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(text("SET LOCAL synchronous_commit = off"))
        await conn.execute(text(f"INSERT INTO public.{DONE} VALUES (:number)"), {"number": number})
        driver = (await conn.get_raw_connection()).driver_connection
        assert driver.is_in_transaction()
        for name, records in rows_of.items():
            schema, _, table = name.partition(".")
            await driver.copy_records_to_table(
                table, schema_name=schema, records=records, columns=COLUMNS[name].split()
            )
        await copy_keys(driver, "key_entry", key_rows(keys), schema_name="dedup")
    await engine.dispose()


COLUMNS = {
    "cbi.household": "household_id partner_id reference_key content_key ubigeo population_type"
    " size sealed registered_at registered_by",
    "cbi.data_key": "household_id partner_id kek_id wrapped",
    "cbi.person": "person_id household_id partner_id ordinal sealed",
    "cbi.consent": "household_id partner_id kind granted text_version language channel given_on"
    " recorded_at",
    "cbi.membership": "household_id partner_id beneficiary_id since",
}


def partner_of(code: str) -> UUID:
    """The id of a partner of the population."""
    return UUID(bytes=code.encode()[:16].rjust(16, b"\0"), version=4)


def _add_registration(
    rows_of: dict[str, list[tuple[object, ...]]],
    keys: list[tuple[int, bytes]],
    rows: list[Row],
    first: int,
    *,
    vault: Vault,
    hasher: object,
) -> None:
    household_id, partner_id = ids_of(first)[0], partner_of(rows[0]["partner"])
    at = AT + timedelta(milliseconds=first)
    key, wrapped = vault.new_key(household_id)
    sealed = SealedHousehold(
        reference=rows[0]["registration_id"],
        registered_on=AT.date(),
        intention="not_stated",
        assistance_wanted=(),
        instrument=Instrument(
            kind="bank_account", account=cci(bank_and_office="011366", account=f"{first:012}")
        ),
    )
    ours = (household_id, partner_id)
    rows_of["cbi.household"].append(
        (
            *ours,
            *(first, os.urandom(32), district_of(rows), "in_destination", len(rows)),
            *(seal(key, sealed, kind="household", owner=household_id), at, partner_id),
        )
    )
    rows_of["cbi.data_key"].append((*ours, wrapped.kek_id, wrapped.wrapped))
    rows_of["cbi.consent"] += [
        (*ours, kind, True, "1", "es", "in_person", AT.date(), at) for kind in CONSENTS
    ]
    rows_of["cbi.membership"].append((*ours, household_id, at))
    for place, row in enumerate(rows):
        person, person_id = person_of(row), ids_of(first + place)[1]
        message = seal(key, person, kind="person", owner=person_id)
        rows_of["cbi.person"].append((person_id, *ours, place, message))
        record = household.to_record(
            person, household_id=household_id, person_id=person_id, ubigeo=district_of(rows)
        )
        made = index.keyed([record], hasher)[person_id]  # type: ignore[arg-type]
        keys += [(one, person_id.bytes) for one in made]


def district_of(rows: list[Row]) -> str:
    """A registration has one district: the first that is told."""
    return next((row["ubigeo"] for row in rows if "ubigeo" in row), "150101")


def key_rows(keys: list[tuple[int, bytes]]) -> bytes:
    """Write matching keys in PostgreSQL's binary COPY format."""
    rows = np.zeros(len(keys), _KEY_ROW)
    rows["fields"], rows["key_bytes"], rows["person_bytes"] = 2, 8, 16
    rows["key"] = [key for key, _ in keys]
    rows["person"] = np.frombuffer(b"".join(person for _, person in keys), "V16")
    head = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    return head + rows.tobytes() + b"\xff\xff"


async def copy_keys(driver: AsyncpgConnection, table: str, rows: bytes, **where: str) -> None:
    await driver.copy_to_table(table, source=io.BytesIO(rows), format="binary", **where)


def load_held(data_dir: Path) -> list[Held]:
    return msgspec.json.decode((data_dir / "held.json").read_bytes(), type=list[Held])


def is_built(data_dir: Path) -> bool:
    return (data_dir / "held.json").exists()


def remembered(data_dir: Path, name: str) -> int:
    """Return a number of an earlier run on this folder; 0 on the first."""
    path = data_dir / name
    return int(path.read_text()) if path.exists() else 0


def remember(data_dir: Path, name: str, number: int) -> None:
    (data_dir / name).write_text(str(number))
