"""Made-up households enrolled in a programme that has money: what a round is calculated from."""

import asyncio
import os
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from api import clock, db, settings
from api.db import Actor
from bench.stored import COLUMNS, copy_keys, ids_of, key_rows
from cbi import enrol, fund, tables, terms
from cbi.account import Instrument, cci
from cbi.document import Document
from cbi.enrol import Programme
from cbi.household import to_record
from cbi.identities import SealedHousehold
from cbi.person import Person
from cbi.vault import Vault, seal
from cbi.who import Who
from dedup import index
from dedup.blocking import Hasher, key_hasher
from ledger.money import Money

CHUNK = 5_000  # households
AT, DAY = datetime(2026, 3, 1, 12, tzinfo=UTC), date(2026, 3, 1)
PARTNER_ID, PROGRAMME_ID = UUID(int=1), UUID(int=2)
BY_SIZE = {1: 30_000, 2: 42_000, 3: 53_000, 4: 61_000}
GIVEN = ("María", "José", "Yaquelin", "Ángel", "Brayan", "Yenifer", "Usnavi", "Begoña", "Óscar")
SURNAMES = ("Peña", "Núñez", "D'Alessandro", "Güell", "de la Cruz", "Pérez", "Rodríguez", "Li")
CONSONANTS = "bcdfglmnprstv"
KINDS = ("registration", "duplicate_check", "fsp")
TABLES = {
    **COLUMNS,
    "cbi.enrolment": "enrolment_id programme_id partner_id household_id beneficiary_id"
    " assistance_group enrolled_at enrolled_by",
}
# A number apart from a household's and its persons', in the ids of `ids_of`.
ENROLMENT = 1 << 16


def clerk(place: int) -> Actor:
    """The person number `place` of the partner."""
    return Actor(
        actor_id=UUID(int=100 + place),
        partner_id=PARTNER_ID,
        partner_code="BENCH",
        roles=frozenset({"programme", "finance"}),
    )


async def build(data_dir: Path, app: AsyncEngine, url: str, households: int) -> Programme:
    """Store so many households with their people, and enrol them; `url` is the owner's."""
    owner = create_async_engine(url)
    async with owner.begin() as conn:
        await conn.execute(
            insert(tables.partner).values(
                partner_id=PARTNER_ID, code="BENCH", name="Bench", contact="-", added_at=AT
            )
        )
    programme = await _programme(data_dir, app, households)
    with ProcessPoolExecutor(2) as pool:
        chunks = [
            pool.submit(_store, str(data_dir), url, first, min(first + CHUNK, households))
            for first in range(0, households, CHUNK)
        ]
        for each in chunks:
            each.result()
    async with owner.connect() as conn:
        await conn.execution_options(isolation_level="AUTOCOMMIT")
        await conn.execute(text("VACUUM ANALYZE"))
        await conn.execute(text("CHECKPOINT"))
    await owner.dispose()
    return programme


async def _programme(data_dir: Path, app: AsyncEngine, households: int) -> Programme:
    told = settings.load({"CBI_DATA_DIR": str(data_dir)})
    who = clerk(0)
    facts = {"partner_id": PARTNER_ID, "at": AT}
    programme = Programme(
        programme_id=PROGRAMME_ID,
        code="BENCH",
        name="Bench",
        assistance_group="mpca",
        currency="PEN",
        payer_name="Asociación Puente",
        payer_agent="MOCK",
    )
    async with db.transaction(app, who) as conn:
        await enrol.open_programme(
            conn,
            programme,
            payer_account="NL94MOCK0191000001",
            vault=Vault({"k1": told.sealing_key}),
            matching_key=told.matching_key,
            **facts,
        )
        await terms.set_values(
            conn,
            programme_id=PROGRAMME_ID,
            currency=programme.currency,
            by_size=BY_SIZE,
            effective_from=DAY,
            who=Who(actor_id=who.actor_id, **facts),
        )
        await fund.deposit(
            conn,
            programme_id=PROGRAMME_ID,
            money=Money(amount_minor=households * max(BY_SIZE.values()), currency="PEN"),
            deposit_id=clock.new_id(),
            of_grant=None,
            on=DAY,
            actor_id=who.actor_id,
            **facts,
        )
    approver = clerk(1)
    async with db.transaction(app, approver) as conn:
        await terms.approve(
            conn,
            programme_id=PROGRAMME_ID,
            kind="values",
            version=1,
            who=Who(actor_id=approver.actor_id, **facts),
        )
    return programme


def _store(folder: str, url: str, first: int, end: int) -> None:
    asyncio.run(_copy(folder, url, first, end))


async def _copy(folder: str, url: str, first: int, end: int) -> None:
    told = settings.load({"CBI_DATA_DIR": folder})
    vault, hasher = Vault({"k1": told.sealing_key}), key_hasher(told.matching_key)
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in TABLES}
    keys: list[tuple[int, bytes]] = []
    for number in range(first, end):
        keys += _add_household(rows, number, vault, hasher)
    engine = create_async_engine(url)
    async with engine.begin() as conn:
        # Foreign keys are right by making; checking each row would take longer than the copying.
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(text("SET LOCAL synchronous_commit = off"))
        driver = (await conn.get_raw_connection()).driver_connection
        assert driver.is_in_transaction()
        for name, records in rows.items():
            schema, _, table = name.partition(".")
            await driver.copy_records_to_table(
                table, schema_name=schema, records=records, columns=TABLES[name].split()
            )
        await copy_keys(driver, "key_entry", key_rows(keys), schema_name="dedup")
    await engine.dispose()


def _add_household(
    rows: dict[str, list[tuple[object, ...]]], number: int, vault: Vault, hasher: Hasher
) -> list[tuple[int, bytes]]:
    rng = Random(number)
    household_id = ids_of(number)[0]
    ours = (household_id, PARTNER_ID)
    size = 1 + number % 4
    key, wrapped = vault.new_key(household_id)
    sealed = SealedHousehold(
        reference=f"R-{number}",
        registered_on=DAY,
        intention="not_stated",
        assistance_wanted=(),
        instrument=Instrument(
            kind="bank_account", account=cci(bank_and_office="011366", account=f"{number:012}")
        ),
    )
    message = seal(key, sealed, kind="household", owner=household_id)
    rows["cbi.household"].append(
        (*ours, number, os.urandom(32), "150101", "in_destination", size, message, AT, PARTNER_ID)
    )
    rows["cbi.data_key"].append((*ours, wrapped.kek_id, wrapped.wrapped))
    rows["cbi.consent"] += [(*ours, kind, True, "1", "es", "in_person", DAY, AT) for kind in KINDS]
    rows["cbi.membership"].append((*ours, household_id, AT))
    keys: list[tuple[int, bytes]] = []
    for place in range(size):
        person_id = UUID(int=household_id.int + 1 + place)
        # Of most families the first person has the account, of some the second.
        collects = place == (1 if number % 8 == 7 else 0)
        person = _person(rng, head=place == 0, collects=collects)
        record = to_record(person, household_id=household_id, person_id=person_id, ubigeo="150101")
        keys += [(one, person_id.bytes) for one in index.keyed([record], hasher)[person_id]]
        rows["cbi.person"].append(
            (person_id, *ours, place, seal(key, person, kind="person", owner=person_id))
        )
    enrolment_id = UUID(int=household_id.int + ENROLMENT)
    rows["cbi.enrolment"].append(
        (enrolment_id, PROGRAMME_ID, PARTNER_ID, household_id, household_id, "mpca", AT, PARTNER_ID)
    )
    return keys


def _person(rng: Random, *, head: bool, collects: bool) -> Person:
    return Person(
        given_names=f"{rng.choice(GIVEN)} {_word(rng)}",
        surnames=f"{rng.choice(SURNAMES)} {_word(rng)}",
        birth_date=date(1960 + rng.randrange(60), 1 + rng.randrange(12), 1 + rng.randrange(28)),
        sex=rng.choice("FM"),
        relationship="head" if head else "child",
        roles=(*(("head",) if head else ()), *(("primary_collector",) if collects else ())),
        nationality="VEN",
        documents=(
            Document(type="ve-cedula", number=f"V{rng.randrange(10**7, 3 * 10**7)}", country="VEN"),
        ),
        phones=(f"+519{rng.randrange(10**7, 10**8)}",) if head else (),
    )


def _word(rng: Random) -> str:
    # Nobody here is anybody else: a case would keep a first payment back.
    return "".join(rng.choice(CONSONANTS) + rng.choice("aeiou") for _ in range(4)).capitalize()
