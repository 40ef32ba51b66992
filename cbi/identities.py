"""Open sealed identities; every opening is written to the access log first.

This is the only way from the database to a name.
"""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import household, tables
from cbi.account import Instrument, Role
from cbi.document import Document
from cbi.household import Assistance, Intention, Person
from cbi.payable import payee_of, wants_document
from cbi.payment_files.profile import Profile
from cbi.payment_files.record import Payee
from cbi.person import KnownPerson, SpecificNeed
from cbi.vault import Vault, WrappedKey, open_as
from dedup.driver import Row, fetch
from dedup.find import Household
from dedup.record import Record

# As many as the doors for sealed records are asked for at once.
DOOR_MAX = 5_000
# So many are opened within some milliseconds.
OPENED_IN_A_ROW = 200
# What many identities at once are opened for.
Purpose = Literal["duplicate check", "model training"]


def _read_and_log(door: str) -> str:
    return (
        f"WITH sealed AS MATERIALIZED (SELECT * FROM {door}($1 ::uuid[])),"  # noqa: S608
        " logged AS (INSERT INTO cbi.access_log (purpose, household_id)"
        "  SELECT DISTINCT $2 ::text, s.household_id FROM sealed AS s"
        "  WHERE s.household_id <> ALL ($3 ::uuid[]) ORDER BY s.household_id)"
        " SELECT * FROM sealed"
    )


_SEALED_PERSONS = _read_and_log("cbi.sealed_persons")
_SEALED_HOUSEHOLDS = _read_and_log("cbi.sealed_households")


_SEALED_PAYEES = """
    SELECT h.household_id, h.sealed, k.kek_id, k.wrapped, p.person_ids, p.persons, h.ubigeo
    FROM unnest($1 ::uuid[]) AS w(household_id)
    JOIN cbi.household AS h USING (household_id) JOIN cbi.data_key AS k USING (household_id)
    CROSS JOIN LATERAL (
        SELECT array_agg(m.person_id ORDER BY m.ordinal) AS person_ids,
            array_agg(m.sealed ORDER BY m.ordinal) AS persons
        FROM cbi.person AS m WHERE m.household_id = w.household_id
            -- What was promised to a household before it ended still reaches its collector.
            AND (m.gone IS NULL OR m.gone = 'moved')) AS p"""


_SEALED_NEEDS = """
    SELECT p.household_id, k.kek_id, k.wrapped, n.person_id, n.sealed
    FROM unnest($1 ::uuid[]) AS w(household_id) JOIN cbi.person AS p USING (household_id)
    JOIN cbi.data_key AS k USING (household_id)
    CROSS JOIN LATERAL (
        SELECT x.person_id, x.sealed FROM cbi.specific_need AS x
        WHERE x.person_id = p.person_id ORDER BY x.version DESC LIMIT 1) AS n
    WHERE p.gone IS NULL
    ORDER BY p.household_id, n.person_id"""


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


class SealedPayee(msgspec.Struct, frozen=True):
    """A household as it is stored, to be opened for its payment only."""

    household_id: UUID
    sealed: bytes
    wrapped: WrappedKey
    person_ids: tuple[UUID, ...]
    persons: tuple[bytes, ...]  # the head first
    ubigeo: str


class _Account(msgspec.Struct, frozen=True):
    instrument: Instrument | None


class _Named(msgspec.Struct, frozen=True):
    given_names: str
    surnames: str
    roles: tuple[Role, ...] = ()


class _Shown(_Named, frozen=True):
    documents: tuple[Document, ...] = ()


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Households whose identities were opened, and what for."""

    household_ids: tuple[UUID, ...]
    purpose: str


async def note_access(
    conn: AsyncConnection, household_ids: Sequence[UUID], *, purpose: str
) -> None:
    """Write to the access log, and remember it for the case that the transaction is undone."""
    await log_opening(conn, _remember(conn, sorted(set(household_ids)), purpose=purpose))


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
        .where(person.household_id.in_(list(homes)), person.gone.is_(None))
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


async def load_sealed_payees(
    conn: AsyncConnection, household_ids: Sequence[UUID], *, purpose: str
) -> dict[UUID, SealedPayee]:
    """Load households to be opened by `open_payee`; erased or foreign ones are missing."""
    await note_access(conn, household_ids, purpose=purpose)
    rows = await fetch(conn, _SEALED_PAYEES, sorted(household_ids))
    return {
        row[0]: SealedPayee(
            row[0],
            row[1],
            WrappedKey(kek_id=row[2], wrapped=row[3]),
            tuple(row[4]),
            tuple(row[5]),
            row[6],
        )
        for row in rows
    }


def open_payee(payee: SealedPayee, vault: Vault, profile: Profile) -> Payee | None:
    """Open what the profile's file needs and no more; None when it can't pay the household."""
    key = vault.unwrap(payee.wrapped, payee.household_id)
    home = open_as(key, payee.sealed, _Account, kind="household", owner=payee.household_id)
    shape = _Shown if wants_document(profile) else _Named
    # One after the other: nobody after the holder is opened.
    persons = (
        open_as(key, sealed, shape, kind="person", owner=person_id)
        for person_id, sealed in zip(payee.person_ids, payee.persons, strict=True)
    )
    return payee_of(home.instrument, persons, ubigeo=payee.ubigeo, profile=profile)


async def open_needs(
    conn: AsyncConnection, household_ids: Sequence[UUID], *, vault: Vault
) -> dict[UUID, frozenset[SpecificNeed]] | None:
    """Open the specific needs of one's own households, empty where there are none.

    None when they are not the caller's to see. Whoever opened the households has logged it.
    """
    ((may_see,),) = await fetch(conn, "SELECT cbi.has_role('registrar')")
    if not may_see:
        return None
    needs: dict[UUID, frozenset[SpecificNeed]] = dict.fromkeys(household_ids, frozenset())
    for household_id, kek_id, wrapped, person_id, sealed in await fetch(
        conn, _SEALED_NEEDS, sorted(household_ids)
    ):
        key = vault.unwrap(WrappedKey(kek_id=kek_id, wrapped=wrapped), household_id)
        opened = open_as(key, sealed, tuple[SpecificNeed, ...], kind="needs", owner=person_id)
        needs[household_id] |= frozenset(opened)
    return needs


class Candidates:
    """Opens the candidates of a duplicate check, whoever registered them, as records to compare.

    They come through the doors for sealed records, and stay in this process. Each household is
    written to the access log once, by the statement that reads it. Raises Broken.
    """

    def __init__(
        self, conn: AsyncConnection, vault: Vault, *, purpose: Purpose = "duplicate check"
    ) -> None:
        self._conn = conn
        self._vault = vault
        self._purpose = purpose
        self._keys: dict[UUID, bytes] = {}
        self._opened: dict[UUID, Record | None] = {}
        self._logged: set[UUID] = set()

    async def persons(self, person_ids: Sequence[UUID]) -> dict[UUID, Record]:
        """Open these persons; the erased and those who withdrew from the check are missing."""
        opened = await self._open_all(await self._fetch(_SEALED_PERSONS, person_ids))
        return {record.person_id: record for record in opened if record is not None}

    async def households(
        self, household_ids: Sequence[UUID], *, are_searched: bool = False
    ) -> list[Household]:
        """Open everybody who lives in these households, under the same conditions.

        Nobody is searched for who is only retained until what was promised is over.
        """
        rows = await self._fetch(_SEALED_HOUSEHOLDS, household_ids)
        if are_searched:
            rows = [row for row in rows if not row["is_retained"]]
        partner_of = {row["household_id"]: row["partner_id"] for row in rows}
        persons: dict[UUID, list[Record]] = {household_id: [] for household_id in partner_of}
        for record in await self._open_all(rows):
            if record is not None:
                persons[record.household_id].append(record)
        return [
            Household(
                household_id=household_id,
                partner_id=partner_id,
                persons=tuple(persons[household_id]),
            )
            for household_id, partner_id in partner_of.items()
        ]

    async def _fetch(self, door: str, wanted: Sequence[UUID]) -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(wanted), DOOR_MAX):
            found = await fetch(
                self._conn,
                door,
                wanted[start : start + DOOR_MAX],
                self._purpose,
                list(self._logged),
            )
            fresh = {row["household_id"] for row in found} - self._logged
            _remember(self._conn, sorted(fresh), purpose=self._purpose)
            self._logged |= fresh
            rows += found
        return rows

    async def _open_all(self, rows: Sequence[Row]) -> list[Record | None]:
        """Open rows in their order, and let others have a turn meanwhile."""
        opened = []
        for place, row in enumerate(rows):
            if place % OPENED_IN_A_ROW == OPENED_IN_A_ROW - 1:
                await asyncio.sleep(0)
            opened.append(self._open(row))
        return opened

    def _open(self, row: Row) -> Record | None:
        """Open a person, once; None for who lives elsewhere, and is compared with nobody."""
        person_id, household_id = row["person_id"], row["household_id"]
        if person_id in self._opened:
            return self._opened[person_id]
        key = self._keys.get(household_id)
        if key is None:
            wrapped = WrappedKey(kek_id=row["kek_id"], wrapped=row["wrapped"])
            key = self._keys[household_id] = self._vault.unwrap(wrapped, household_id)
        person = open_as(key, row["sealed"], KnownPerson, kind="person", owner=person_id)
        record = household.to_record(
            person,
            household_id=household_id,
            person_id=person_id,
            ubigeo=row["ubigeo"],
            stands_for=row["stands_for"],
        )
        self._opened[person_id] = record if person.lives_in_household else None
        return self._opened[person_id]


def _remember(conn: AsyncConnection, household_ids: Sequence[UUID], *, purpose: str) -> Opening:
    opening = Opening(household_ids=tuple(household_ids), purpose=purpose)
    conn.info.get("openings", []).append(opening)
    return opening


def can_be_paid(identity: Identity, profile: Profile) -> bool:
    """Say whether a payment by this profile can reach the household."""
    home = identity.household
    payee = payee_of(home.instrument, identity.persons, ubigeo=identity.ubigeo, profile=profile)
    return payee is not None
