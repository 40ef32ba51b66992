"""Read and open everybody who agreed to the duplicate check, page by page, to match them at once.

The door writes down each reading itself, so none goes without. Afterwards: what of the pairs that
were matched is for people to see.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.household import to_record
from cbi.identities import Purpose
from cbi.person import KnownPerson
from cbi.vault import Broken, Vault, WrappedKey, open_as
from dedup.batch.columns import Columns, Encoder, Ints, concatenate
from dedup.batch.local import Matched
from dedup.batch.reasons import scores
from dedup.batch.words import Codes
from dedup.driver import Row, fetch
from dedup.find import Pair
from dedup.model import Model
from dedup.opening import Matched as MatchedPair
from dedup.record import Record
from dedup.runs import Ids

PAGE_HOUSEHOLDS = 1_000
BEGINNING = UUID(int=0)
_RECORDS = msgspec.msgpack.Decoder(list[Record])


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Households behind one id and up to another; ids grow with time."""

    after: UUID
    upto: UUID
    households: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some opened households as columns, small enough to send from one process to another.

    `partners` has one of each registration of the columns; `records` packs the persons, where
    they were asked for. `broken` households didn't open, and are not among these.
    """

    columns: Columns
    partners: list[UUID]
    households: int
    broken: list[UUID]
    records: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Population:
    """Everybody who was read; rows as in `columns`, the rest as in `Part`."""

    columns: Columns
    partners: list[UUID]
    households: int
    broken: list[UUID]
    packed: list[bytes]

    def __len__(self) -> int:
        """Return how many persons there are."""
        return len(self.columns)

    def records(self) -> Iterator[Record]:
        """Give the persons in the order of rows, where their parts were made with them."""
        return chain.from_iterable(map(_RECORDS.decode, self.packed))


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Pairs of rows that people should see, those of two registrations beside each other.

    Rows stand in the order of households' ids, so the household of `a` is the lower one.
    """

    a: Ints
    b: Ints
    household: Codes

    def __len__(self) -> int:
        """Return how many pairs there are."""
        return len(self.a)

    def take(self, at: slice | NDArray[np.bool_]) -> "Chosen":
        """Return some of the pairs."""
        return Chosen(a=self.a[at], b=self.b[at], household=self.household[at])


async def pages(conn: AsyncConnection, *, households: int = PAGE_HOUSEHOLDS) -> list[Page]:
    """Cut the households registered by now into pages, in the order of their ids.

    Who is registered later is checked against everybody at that moment, and is in no page.
    """
    rows = await conn.execute(
        text("SELECT upto, households FROM cbi.household_pages(:households ::integer)"),
        {"households": households},
    )
    found: list[Page] = []
    for upto, count in rows:
        after = found[-1].upto if found else BEGINNING
        found.append(Page(after=after, upto=upto, households=count))
    return found


async def read(conn: AsyncConnection, page: Page, *, purpose: Purpose) -> Sequence[Row]:
    """Read the sealed records of a page; open them only when the transaction is committed.

    For the reading is written down in it, and counts only then.
    """
    return await fetch(
        conn,
        "SELECT household_id, partner_id, ubigeo, kek_id, wrapped, person_ids, sealed"
        " FROM cbi.sealed_population($1, $2, $3)",
        page.after,
        page.upto,
        purpose,
    )


class Opening:
    """Takes sealed households, opens them, and keeps columns only."""

    def __init__(self, vault: Vault, *, with_records: bool = False) -> None:
        self._vault = vault
        self._encoder = Encoder()
        self._partners: dict[UUID, UUID] = {}
        self._known: dict[UUID, UUID] = {}
        self._households = 0
        self._broken: list[UUID] = []
        self._records: list[Record] | None = [] if with_records else None

    def take(self, rows: Sequence[Row]) -> None:
        """Open households and their persons; one that doesn't open is kept apart, whole."""
        for row in rows:
            try:
                records = self._open(row)
            except Broken:
                # One damaged record must not keep everybody else from being compared.
                self._broken.append(row["household_id"])
                continue
            self._households += 1
            # One object for each partner, or sending them would take longer than opening.
            partner_id = self._known.setdefault(row["partner_id"], row["partner_id"])
            self._partners[row["household_id"]] = partner_id
            for record in records:
                self._encoder.add(record)
            if self._records is not None:
                self._records += records

    def _open(self, row: Row) -> list[Record]:
        household_id, _, ubigeo, kek_id, wrapped, person_ids, sealed = row
        key = self._vault.unwrap(WrappedKey(kek_id=kek_id, wrapped=wrapped), household_id)
        people = [
            (person_id, open_as(key, message, KnownPerson, kind="person", owner=person_id))
            for person_id, message in zip(person_ids, sealed, strict=True)
        ]
        # As at registration: who lives elsewhere would tie strange families together.
        return [
            to_record(person, household_id=household_id, person_id=person_id, ubigeo=ubigeo)
            for person_id, person in people
            if person.lives_in_household
        ]

    def part(self) -> Part:
        """Return everybody taken so far."""
        columns = self._encoder.columns()
        return Part(
            columns=columns,
            partners=[self._partners[one] for one in columns.registrations],
            households=self._households,
            broken=self._broken,
            records=b"" if self._records is None else msgspec.msgpack.encode(self._records),
        )


def population(parts: Sequence[Part]) -> Population:
    """Put parts together, in their order."""
    return Population(
        columns=concatenate([part.columns for part in parts]),
        partners=list(chain.from_iterable(part.partners for part in parts)),
        households=sum(part.households for part in parts),
        broken=list(chain.from_iterable(part.broken for part in parts)),
        packed=[part.records for part in parts],
    )


def chosen(
    everybody: Population, matched: Matched, model: Model, *, partner_ids: Collection[UUID] = ()
) -> Chosen:
    """Choose what people should see, of some partners only when told so.

    Without persons entered twice in one registration: that is for its own clerk to mend.
    """
    registration = everybody.columns.registration
    one, other = registration[matched.a], registration[matched.b]
    wanted = matched.kept & (matched.weight_bits >= model.review_bits) & (one != other)
    if partner_ids:
        is_theirs = np.array([partner in partner_ids for partner in everybody.partners])
        wanted &= is_theirs[one] | is_theirs[other]
    at = np.flatnonzero(wanted)
    at = at[np.lexsort((matched.b[at], matched.a[at], other[at], one[at]))]
    return Chosen(a=matched.a[at], b=matched.b[at], household=matched.household[at])


def twice(everybody: Population, matched: Matched) -> int:
    """Return how many pairs within one registration seem to be one person."""
    registration = everybody.columns.registration
    return int((registration[matched.a] == registration[matched.b]).sum())


def chunks(pairs: Chosen, everybody: Population, *, most: int) -> Iterator[Chosen]:
    """Cut into chunks of at most so many pairs, never between pairs of two registrations."""
    registration = everybody.columns.registration
    sides = np.stack((registration[pairs.a], registration[pairs.b]))
    begins = np.flatnonzero((np.diff(sides, prepend=-1) != 0).any(axis=0))
    ends = np.append(begins[1:], len(pairs))
    start = 0
    while start < len(pairs):
        fitting = ends[(ends > start) & (ends <= start + most)]
        end = int(fitting[-1]) if len(fitting) else int(ends[ends > start][0])
        yield pairs.take(slice(start, end))
        start = end


def ids(pairs: Chosen, everybody: Population) -> list[Ids]:
    """Return households and persons of pairs, by their ids."""
    columns = everybody.columns
    registration, homes, persons = columns.registration, columns.registrations, columns.person_ids
    return [
        Ids(
            household_a=homes[registration[a]],
            household_b=homes[registration[b]],
            person_a=persons[a],
            person_b=persons[b],
        )
        for a, b in zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)
    ]


def to_pairs(pairs: Chosen, everybody: Population, model: Model) -> list[MatchedPair]:
    """Return pairs with ids, partners and reasons."""
    partners = everybody.partners
    one, other = (everybody.columns.registration[side].tolist() for side in (pairs.a, pairs.b))
    found = scores(everybody.columns, pairs.a, pairs.b, pairs.household, model)
    return [
        MatchedPair(
            pair=Pair(
                person_id=two.person_a,
                household_id=two.household_a,
                other_person_id=two.person_b,
                other_household_id=two.household_b,
                other_partner_id=partners[theirs],
                score=score,
            ),
            partner_id=partners[ours],
        )
        for two, ours, theirs, score in zip(ids(pairs, everybody), one, other, found, strict=True)
    ]
