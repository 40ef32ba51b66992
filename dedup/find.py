"""Find who of everybody registered may be one of these persons."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup.candidates import Candidates, Limits, choose
from dedup.compare import FIELDS, LEVELS, Compared, Prepared, compare, prepare
from dedup.driver import fetch
from dedup.index import Keyed
from dedup.model import Model
from dedup.record import Record
from dedup.score import Score, explained, weight_bits

_HOUSEHOLD = FIELDS.index("household")
# Codes of that field: how many others of the two households match.
_NONE, _ONE, _SEVERAL = (LEVELS["household"].index(level) for level in ("none", "one", "several"))


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A searched person and another who may be the same."""

    person_id: UUID
    household_id: UUID
    other_person_id: UUID
    other_household_id: UUID
    other_partner_id: UUID
    score: Score


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search brought: pairs, strongest first, and for whom it was not whole.

    `unsearched` had no key to search by, or one only and a crowd shares it. `crowded` was
    searched, but somebody who may be the same person was lost in a crowd. In both cases a person
    must look.
    """

    pairs: tuple[Pair, ...]
    unsearched: tuple[UUID, ...] = ()
    crowded: tuple[UUID, ...] = ()


class Household(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a household is, and everybody of it who can be compared."""

    household_id: UUID
    partner_id: UUID
    persons: tuple[Record, ...]


class Opener(Protocol):
    """Opens sealed records; whom it leaves out was erased or has withdrawn, and is passed over."""

    async def persons(self, person_ids: Sequence[UUID]) -> Mapping[UUID, Record]:
        """Open these persons."""

    async def households(self, household_ids: Sequence[UUID]) -> Iterable[Household]:
        """Open everybody of these households."""


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """Two persons compared; its weight alone, for few are worth explaining."""

    record: Record
    other: Record
    compared: Compared
    weight_bits: float


async def find(
    conn: AsyncConnection,
    records: Sequence[Record],
    keys: Keyed,
    *,
    model: Model,
    opener: Opener,
    limits: Limits = Limits(),  # noqa: B008 -- frozen
) -> Found:
    """Return the pairs that a person should see, each person at most once per other household.

    Pairs are ordered by weight, strongest first, then by id. `opener` is asked for candidates and
    for everybody of the households that share somebody with these; for persons whom that doesn't
    find it is asked again, for those who share a weak key only. Records may be of many households:
    each is searched as if alone, with the same result, and between two of them others have a turn.
    """
    sharing, crowds = await sharers(conn, records, keys, limits)
    return await search(records, keys, sharing, crowds, model=model, opener=opener, limits=limits)


async def search(
    records: Sequence[Record],
    keys: Keyed,
    sharing: Mapping[int, Sequence[UUID]],
    crowds: AbstractSet[int],
    *,
    model: Model,
    opener: Opener,
    limits: Limits,
) -> Found:
    """Find as `find` does, by who is known to share which keys."""
    candidates: dict[UUID, Candidates] = {}
    for household in by_household(records).values():
        own = frozenset(record.person_id for record in household)
        for record in household:
            candidates[record.person_id] = choose(
                keys[record.person_id], sharing, crowds, own=own, limits=limits
            )
        await asyncio.sleep(0)
    return await search_among(records, candidates, model=model, opener=opener)


async def search_among(
    records: Sequence[Record],
    candidates: Mapping[UUID, Candidates],
    *,
    model: Model,
    opener: Opener,
) -> Found:
    """Find as `find` does, by who is known to be worth comparing with whom."""
    searching = _Search(records, model=model, opener=opener)
    await searching.among({one: chosen.strong for one, chosen in candidates.items()})
    left = candidates.keys() - searching.matched()
    await searching.among({one: candidates[one].weak for one in left})
    return Found(
        pairs=searching.pairs(),
        unsearched=tuple(one for one, chosen in candidates.items() if not chosen.is_searched),
        crowded=tuple(
            one for one, chosen in candidates.items() if chosen.is_searched and chosen.is_lost
        ),
    )


def by_household(records: Iterable[Record]) -> defaultdict[UUID, list[Record]]:
    """Put the persons of each household together, in the order given."""
    found: defaultdict[UUID, list[Record]] = defaultdict(list)
    for record in records:
        found[record.household_id].append(record)
    return found


def in_context(
    likenesses: Sequence[Likeness], sure: Sequence[Likeness], model: Model
) -> list[Likeness]:
    """Weigh the pairs of two households anew, each knowing how many others of them match.

    `likenesses` holds every person of one with every person of the other, weighed alone; `sure`
    those of them that were chosen when each was weighed alone. Returns who is worth seeing then.
    """
    most = max(max(one.bits, one.kin_bits) for one in model.evidence[_HOUSEHOLD])
    is_solo = 1 in {
        len({one.record.who for one in likenesses}),
        len({one.other.who for one in likenesses}),
    }
    chosen = {_two(one) for one in sure}
    weighed = []
    for one in likenesses:
        if one.weight_bits + most < model.review_bits:
            continue
        others = len(chosen) - (_two(one) in chosen)
        level = 0 if is_solo else (_NONE, _ONE, _SEVERAL)[min(others, 2)]
        compared = msgspec.structs.replace(one.compared, codes=(*one.compared.codes[:-1], level))
        bits = weight_bits(compared, one.record.ubigeo, model)
        if bits >= model.review_bits:
            weighed.append(msgspec.structs.replace(one, compared=compared, weight_bits=bits))
    return weighed


def one_to_one(likenesses: Iterable[Likeness]) -> list[Likeness]:
    """Keep, between any two households, each person's strongest pair only, strongest first.

    A person of one registration is at most one person of another; what is left over between
    them is kin who look alike.
    """
    taken: set[tuple[UUID, UUID]] = set()
    kept = []
    for one in sorted(likenesses, key=lambda one: (-one.weight_bits, _two(one))):
        sides = (
            (one.record.who, one.other.household_id),
            (one.other.who, one.record.household_id),
        )
        if taken.isdisjoint(sides):
            taken.update(sides)
            kept.append(one)
    return kept


async def sharers(
    conn: AsyncConnection, records: Sequence[Record], keys: Keyed, limits: Limits
) -> tuple[dict[int, Sequence[UUID]], frozenset[int]]:
    """Ask who shares keys, for all persons at once, and once more who is in the crowds."""
    limit_of = {
        key: limits.of(rule) for record in records for key, rule in keys[record.person_id].items()
    }
    sharing = await _sharing(conn, limit_of)
    crowds = frozenset(key for key, people in sharing.items() if len(people) > limit_of[key])
    if crowds:
        sharing |= await _sharing(conn, dict.fromkeys(crowds, limits.scan_max))
    return sharing, crowds


async def _sharing(conn: AsyncConnection, limit_of: Mapping[int, int]) -> dict[int, Sequence[UUID]]:
    """Return who has each of these keys: of a crowd one more than the key's limit."""
    rows = await fetch(
        conn,
        "SELECT key, person_ids FROM dedup.sharing($1 ::bigint[], $2 ::integer[])",
        list(limit_of),
        list(limit_of.values()),
    )
    return {row["key"]: row["person_ids"] for row in rows}


class _Search:
    """Compares some records with candidates, and whole households once they share somebody."""

    def __init__(self, records: Sequence[Record], *, model: Model, opener: Opener) -> None:
        self._records = {record.person_id: record for record in records}
        self._own = by_household(records)
        self._model = model
        self._opener = opener
        self._comparing = _Comparing(model)
        self._linked: set[tuple[UUID, UUID]] = set()
        self._partner_of: dict[UUID, UUID] = {}
        self._alike: list[Likeness] = []

    async def among(self, candidates: Mapping[UUID, Sequence[UUID]]) -> None:
        """Compare persons with their candidates; households that were linked before are done."""
        wanted = sorted({one for found in candidates.values() for one in found})
        opened = await self._opener.persons(wanted) if wanted else {}
        linked: defaultdict[tuple[UUID, UUID], list[Likeness]] = defaultdict(list)
        for members in self._own.values():
            alike = (
                self._comparing.likeness(record, opened[other_id])
                for record in members
                for other_id in candidates.get(record.person_id, ())
                if other_id in opened and opened[other_id].household_id != record.household_id
            )
            for one in one_to_one(
                one for one in alike if one.weight_bits >= self._model.review_bits
            ):
                linked[one.record.household_id, one.other.household_id].append(one)
            await asyncio.sleep(0)
        for two in self._linked:
            linked.pop(two, None)
        self._linked |= linked.keys()
        await self._compare_whole(linked)

    async def _compare_whole(self, linked: Mapping[tuple[UUID, UUID], Sequence[Likeness]]) -> None:
        wanted = sorted({other_id for _, other_id in linked})
        found = await self._opener.households(wanted) if wanted else ()
        others = {each.household_id: each for each in found}
        self._partner_of |= {each.household_id: each.partner_id for each in others.values()}
        for (household_id, other_id), sure in linked.items():
            await asyncio.sleep(0)
            if other_id in others:
                likenesses = [
                    self._comparing.likeness(record, other)
                    for record in self._own[household_id]
                    for other in others[other_id].persons
                ]
                self._alike += in_context(likenesses, sure, self._model)

    def matched(self) -> set[UUID]:
        """Return who was found so far in another household."""
        return {one.record.person_id for one in one_to_one(self._alike)}

    def pairs(self) -> tuple[Pair, ...]:
        """Return the pairs found so far that a person should see, strongest first."""
        return tuple(
            _pair(one, self._partner_of[one.other.household_id], self._model)
            for one in one_to_one(self._alike)
        )


class _Comparing:
    """Compares each two records once, and prepares each record once."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._prepared: dict[UUID, Prepared] = {}
        self._known: dict[tuple[UUID, UUID], Likeness] = {}

    def likeness(self, record: Record, other: Record) -> Likeness:
        two = record.person_id, other.person_id
        if two not in self._known:
            compared = compare(self._of(record), self._of(other))
            self._known[two] = Likeness(
                record=record,
                other=other,
                compared=compared,
                weight_bits=weight_bits(compared, record.ubigeo, self.model),
            )
        return self._known[two]

    def _of(self, record: Record) -> Prepared:
        if record.person_id not in self._prepared:
            self._prepared[record.person_id] = prepare(record)
        return self._prepared[record.person_id]


def _pair(likeness: Likeness, partner_id: UUID, model: Model) -> Pair:
    return Pair(
        person_id=likeness.record.person_id,
        household_id=likeness.record.household_id,
        other_person_id=likeness.other.who,
        other_household_id=likeness.other.household_id,
        other_partner_id=partner_id,
        score=explained(likeness.compared, likeness.record.ubigeo, model),
    )


def _two(likeness: Likeness) -> tuple[UUID, UUID]:
    return likeness.record.who, likeness.other.who
