"""Find for a whole list of households at once: among everybody registered, and in the list itself.

The result for each household is that of `find` for it alone. What is asked of the database is
asked for many together, and between two households the process does what else it has to do.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dedup import index
from dedup.blocking import Hasher
from dedup.candidates import Limits
from dedup.find import Found, Household, Opener, by_household, find, search
from dedup.index import Keyed
from dedup.model import Model
from dedup.record import Record

# Asked for together: enough that a query costs little, few enough that the answers fit the memory.
HOUSEHOLDS_AT_ONCE = 200
# In a list of some thousand a key of more than this is nobody's own, and who stands in it again
# and again needs no complete list of all places.
WITHIN = Limits(per_key=30, per_document=100, per_person=30)
NOBODY = UUID(int=0)


async def keyed(households: Iterable[Sequence[Record]], hasher: Hasher) -> Keyed:
    """Make the keys of everybody, giving way between two households."""
    keys: dict[UUID, Mapping[int, str]] = {}
    for records in households:
        keys |= index.keyed(records, hasher)
        await asyncio.sleep(0)
    return keys


async def find_all(
    conn: AsyncConnection,
    households: Sequence[Sequence[Record]],
    keys: Keyed,
    *,
    model: Model,
    opener: Opener,
) -> list[Found]:
    """Return for each of these households what `find` returns for it, in their order."""
    found: list[Found] = []
    for start in range(0, len(households), HOUSEHOLDS_AT_ONCE):
        some = households[start : start + HOUSEHOLDS_AT_ONCE]
        everybody = [record for records in some for record in records]
        together = await find(conn, everybody, keys, model=model, opener=opener)
        found += split(together, some)
    return found


async def find_within(
    households: Sequence[Sequence[Record]], keys: Keyed, *, model: Model
) -> dict[UUID, list[UUID]]:
    """Say which households of a list have somebody in common, by their ids; nothing is stored.

    Of one that is like very many others only some are told.
    """
    everybody = [record for records in households for record in records]
    people: defaultdict[int, list[UUID]] = defaultdict(list)
    rule_of: dict[int, str] = {}
    for record in everybody:
        for key, rule in keys[record.person_id].items():
            people[key].append(record.person_id)
            rule_of[key] = rule
    sharing = {key: sharers for key, sharers in people.items() if len(sharers) > 1}
    crowds = frozenset(key for key, them in sharing.items() if len(them) > WITHIN.of(rule_of[key]))
    found = await search(
        everybody, keys, sharing, crowds, model=model, opener=_List(everybody), limits=WITHIN
    )
    alike: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for pair in found.pairs:
        alike[pair.household_id].add(pair.other_household_id)
        alike[pair.other_household_id].add(pair.household_id)
    return {one: sorted(others) for one, others in alike.items()}


def split(found: Found, households: Sequence[Sequence[Record]]) -> Iterator[Found]:
    """Give each of these households its own part of what was found for all of them."""
    pairs, unsearched, crowded = defaultdict(list), defaultdict(list), defaultdict(list)
    home = {record.person_id: place for place, them in enumerate(households) for record in them}
    for pair in found.pairs:
        pairs[home[pair.person_id]].append(pair)
    for person_id in found.unsearched:
        unsearched[home[person_id]].append(person_id)
    for person_id in found.crowded:
        crowded[home[person_id]].append(person_id)
    for place in range(len(households)):
        yield Found(
            pairs=tuple(pairs[place]),
            unsearched=tuple(unsearched[place]),
            crowded=tuple(crowded[place]),
        )


class _List:
    """A list's own records, as if they were registered."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._persons = {record.person_id: record for record in records}
        self._homes = by_household(records)

    async def persons(self, person_ids: Sequence[UUID]) -> Mapping[UUID, Record]:
        return {one: self._persons[one] for one in person_ids}

    async def households(self, household_ids: Sequence[UUID]) -> list[Household]:
        return [
            Household(household_id=one, partner_id=NOBODY, persons=tuple(self._homes[one]))
            for one in household_ids
        ]
