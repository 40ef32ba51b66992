"""Open sealed identities; every opening is written to the access log first.

This is the only way from the database to a name.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import household, tables
from cbi.account import Instrument, compact
from cbi.household import Assistance, Intention, Person
from cbi.payment_files import pain001
from cbi.vault import Vault, WrappedKey, open_as
from dedup.record import Record

# As many records as cbi.sealed_persons hands out at once.
DOOR_MAX = 5_000
CCI_DIGITS = 20


class SealedHousehold(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed of a household besides its persons."""

    reference: str
    registered_on: date
    intention: Intention
    assistance_wanted: tuple[Assistance, ...]
    instrument: Instrument | None


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An opened household."""

    household_id: UUID
    ubigeo: str
    household: SealedHousehold
    persons: tuple[Person, ...]


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Households whose identities were opened, and what for."""

    household_ids: tuple[UUID, ...]
    purpose: str


async def note_access(
    conn: AsyncConnection, household_ids: Sequence[UUID], *, purpose: str
) -> None:
    """Write to the access log, and remember it for the case that the transaction is undone."""
    opening = Opening(household_ids=tuple(sorted(set(household_ids))), purpose=purpose)
    conn.info.get("openings", []).append(opening)
    await log_opening(conn, opening)


async def log_opening(conn: AsyncConnection, opening: Opening) -> None:
    """Write an opening; actor, partner and request come from the transaction's facts."""
    await conn.execute(
        text(
            "INSERT INTO cbi.access_log (purpose, household_id)"
            " SELECT :purpose, unnest(:ids ::uuid[])"
        ),
        {"purpose": opening.purpose, "ids": list(opening.household_ids)},
    )


async def open_households(
    conn: AsyncConnection, household_ids: Sequence[UUID], *, vault: Vault, purpose: str
) -> dict[UUID, Identity]:
    """Open households of the caller's own partner; erased or foreign ones are missing."""
    if not household_ids:
        return {}
    await note_access(conn, household_ids, purpose=purpose)
    home, key, person = tables.household.c, tables.data_key.c, tables.person.c
    rows = await conn.execute(
        select(home.household_id, home.ubigeo, home.sealed, key.kek_id, key.wrapped)
        .join_from(tables.household, tables.data_key, key.household_id == home.household_id)
        .where(home.household_id.in_(household_ids))
        .order_by(home.household_id)
    )
    keys, homes = {}, {}
    for row in rows:
        wrapped = WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped)
        keys[row.household_id] = vault.unwrap(wrapped, row.household_id)
        homes[row.household_id] = row
    people: dict[UUID, list[Person]] = {household_id: [] for household_id in homes}
    found = await conn.execute(
        select(person.person_id, person.household_id, person.sealed)
        .where(person.household_id.in_(list(homes)))
        .order_by(person.household_id, person.ordinal)
    )
    for person_id, household_id, sealed in found:
        opened = open_as(keys[household_id], sealed, Person, kind="person", owner=person_id)
        people[household_id].append(opened)
    return {
        household_id: Identity(
            household_id=household_id,
            ubigeo=row.ubigeo,
            household=open_as(
                keys[household_id],
                row.sealed,
                SealedHousehold,
                kind="household",
                owner=household_id,
            ),
            persons=tuple(people[household_id]),
        )
        for household_id, row in homes.items()
    }


async def open_candidates(
    conn: AsyncConnection, person_ids: Sequence[UUID], *, vault: Vault
) -> Mapping[UUID, Record]:
    """Open candidates of a duplicate check, whoever registered them, as records to compare.

    They come through the door for sealed records, and stay in this process.
    """
    rows: list[Row[Any]] = []
    for start in range(0, len(person_ids), DOOR_MAX):
        wanted = list(person_ids[start : start + DOOR_MAX])
        rows += await conn.execute(
            text("SELECT * FROM cbi.sealed_persons(:wanted ::uuid[])"), {"wanted": wanted}
        )
    if not rows:
        return {}
    await note_access(conn, [row.household_id for row in rows], purpose="duplicate check")
    keys: dict[UUID, bytes] = {}
    records = {}
    for row in rows:
        if row.household_id not in keys:
            wrapped = WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped)
            keys[row.household_id] = vault.unwrap(wrapped, row.household_id)
        opened = open_as(
            keys[row.household_id], row.sealed, Person, kind="person", owner=row.person_id
        )
        records[row.person_id] = household.to_record(
            opened, household_id=row.household_id, person_id=row.person_id, ubigeo=row.ubigeo
        )
    return records


def holder_of(identity: Identity) -> Person | None:
    """Return the person in whose name the household's account is."""
    instrument = identity.household.instrument
    if instrument is None:
        return None
    return next((one for one in identity.persons if instrument.holder in one.roles), None)


def can_be_paid(identity: Identity) -> bool:
    """Say whether a bank transfer can reach the household: account, known bank, holder."""
    instrument = identity.household.instrument
    if instrument is None or instrument.kind != "bank_account" or holder_of(identity) is None:
        return False
    return pain001.reaches(compact(instrument.account), bank_of(instrument))


def bank_of(instrument: Instrument) -> str:
    """Return the bank as a payment file names it; a CCI names its bank itself."""
    return "" if len(compact(instrument.account)) == CCI_DIGITS else instrument.bank
