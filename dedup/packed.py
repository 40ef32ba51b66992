"""Who of a long list is like whom: its records are packed, and opened when they are compared.

The same is found as by `find_all.find_within`; a person takes some hundred bytes.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt

from dedup import index
from dedup.blocking import Hasher
from dedup.find import Household, search
from dedup.find_all import NOBODY, WITHIN
from dedup.model import Model
from dedup.record import Record

ROWS_AT_ONCE = 250
# Whom a crowd hides is looked for among so many of it: in a list of one person's copies everybody
# stands in every crowd.
LIMITS = msgspec.structs.replace(WITHIN, scan_max=10 * WITHIN.per_person)
_PLACE_BITS = 8
_RECORDS = msgspec.msgpack.Decoder(tuple[Record, ...])


class PackedList:
    """A list as it is read, household after household; then asked once."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._packed: list[bytes] = []
        self._keys = array("q")
        self._people = array("q")

    def add(self, records: Sequence[Record]) -> None:
        """Add the next household of the list; without records it is like nobody."""
        row = len(self._packed)
        named = [
            msgspec.structs.replace(
                record, household_id=_home(row), person_id=UUID(int=_code(row, place))
            )
            for place, record in enumerate(records)
        ]
        self._packed.append(msgspec.msgpack.encode(named) if named else b"")
        for person_id, keys in index.keyed(named, self._hasher).items():
            self._keys.extend(keys)
            self._people.extend([person_id.int] * len(keys))

    async def alike(self, model: Model) -> dict[int, list[int]]:
        """Say of each household, by its place from 0, which others have somebody in common."""
        sharers = _Sharers(self._keys, self._people)
        found: defaultdict[int, set[int]] = defaultdict(set)
        for start in range(0, len(self._packed), ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, len(self._packed))
            some = [record for row in range(start, stop) for record in self._opened(row)]
            keys = index.keyed(some, self._hasher)
            rules = {key: rule for each in keys.values() for key, rule in each.items()}
            sharing, crowds = sharers.of(rules)
            among = await search(
                some, keys, sharing, crowds, model=model, opener=self, limits=LIMITS
            )
            for pair in among.pairs:
                one, other = _row(pair.household_id), _row(pair.other_household_id)
                found[one].add(other)
                found[other].add(one)
        return {row: sorted(others) for row, others in sorted(found.items())}

    async def persons(self, person_ids: Sequence[UUID]) -> Mapping[UUID, Record]:
        """Open these persons, for `search`."""
        wanted = set(person_ids)
        rows = sorted({one.int >> _PLACE_BITS for one in wanted})
        return {
            record.person_id: record
            for row in rows
            for record in self._opened(row)
            if record.person_id in wanted
        }

    async def households(self, household_ids: Sequence[UUID]) -> Iterator[Household]:
        """Open everybody of these households, for `search`."""
        return (
            Household(household_id=one, partner_id=NOBODY, persons=self._opened(_row(one)))
            for one in household_ids
        )

    def _opened(self, row: int) -> tuple[Record, ...]:
        return _RECORDS.decode(self._packed[row]) if self._packed[row] else ()


class _Sharers:
    """Who has a key, among all of a list."""

    def __init__(self, keys: "array[int]", people: "array[int]") -> None:
        found: npt.NDArray[np.int64] = np.frombuffer(keys, dtype=np.int64)
        order = np.argsort(found, kind="stable")
        self._keys = found[order]
        self._people = np.frombuffer(people, dtype=np.int64)[order]

    def of(self, rules: Mapping[int, str]) -> tuple[dict[int, Sequence[UUID]], frozenset[int]]:
        """Who shares these keys, and which of them are a crowd's."""
        wanted = np.array(sorted(rules), dtype=np.int64)
        first = np.searchsorted(self._keys, wanted, side="left")
        behind = np.searchsorted(self._keys, wanted, side="right")
        sharing: dict[int, Sequence[UUID]] = {}
        crowds = set()
        several = np.flatnonzero(behind - first > 1)
        for place in several.tolist():
            key, start, stop = int(wanted[place]), int(first[place]), int(behind[place])
            if stop - start > LIMITS.of(rules[key]):
                crowds.add(key)
            stop = min(stop, start + LIMITS.scan_max + 1)
            sharing[key] = [UUID(int=int(one)) for one in self._people[start:stop]]
        return sharing, frozenset(crowds)


def _code(row: int, place: int) -> int:
    return row << _PLACE_BITS | place


def _home(row: int) -> UUID:
    return UUID(int=row)


def _row(household_id: UUID) -> int:
    return household_id.int
