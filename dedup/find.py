"""Find who of everybody registered may be one of these persons."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup.compare import LEVELS, Compared, Prepared, compare, prepare
from dedup.index import Keyed
from dedup.model import Model
from dedup.record import Record
from dedup.score import Score, explained, weight_bits

# A key of more persons than these is a crowd's (decision record 13).
PER_KEY = 500
# Of a crowd's key so many persons are looked through for another key in common.
SCAN_MAX = 5_000
# Whoever has the document of somebody else may be nobody but that person: no crowd makes this
# evidence too weak to matter, as it does for a name, a date or a phone.
DOCUMENT = "document"
# Codes of the field "household": how many others of the two households match.
_NONE, _ONE, _SEVERAL = (LEVELS["household"].index(level) for level in ("none", "one", "several"))


class Opener(Protocol):
    """Opens sealed records; whom it leaves out was erased or has withdrawn, and is passed over."""

    async def persons(self, person_ids: Sequence[UUID]) -> Mapping[UUID, Record]:
        """Open these persons."""

    async def members(self, household_ids: Sequence[UUID]) -> Mapping[UUID, Record]:
        """Open everybody of these households."""


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


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """Two persons compared; its weight alone, for few are worth explaining."""

    record: Record
    other: Record
    compared: Compared
    weight_bits: float


class _Candidates(msgspec.Struct, frozen=True):
    """Who shares keys with each asker, whose household is of which partner, whom a crowd hides."""

    of: Mapping[UUID, Sequence[UUID]]
    partner_of: Mapping[UUID, UUID]
    unsearched: tuple[UUID, ...]
    crowded: tuple[UUID, ...]


async def find(
    conn: AsyncConnection,
    records: Sequence[Record],
    keys: Keyed,
    *,
    model: Model,
    opener: Opener,
    per_key: int = PER_KEY,
    scan_max: int = SCAN_MAX,
) -> Found:
    """Return the pairs that a person should see, each person at most once per other household.

    Pairs are ordered by weight, strongest first, then by id. `opener` is asked for the distinct
    candidates once, and once for everybody of the households that share somebody with these.
    """
    candidates = await _candidates(conn, records, keys, per_key=per_key, scan_max=scan_max)
    wanted = sorted({one for found in candidates.of.values() for one in found})
    opened = await opener.persons(wanted) if wanted else {}
    comparing = _Comparing(model)
    alike = [
        likeness
        for record in records
        for other_id in candidates.of.get(record.person_id, ())
        if (other := opened.get(other_id)) is not None
        if (likeness := comparing.likeness(record, other)).weight_bits >= model.review_bits
    ]
    alike = await _in_whole_households(records, one_to_one(alike), comparing, opener)
    return Found(
        pairs=tuple(
            _pair(one, candidates.partner_of[one.other.household_id], model)
            for one in one_to_one(alike)
        ),
        unsearched=candidates.unsearched,
        crowded=candidates.crowded,
    )


def in_context(
    likenesses: Sequence[Likeness], sure: Sequence[Likeness], model: Model
) -> list[Likeness]:
    """Weigh the pairs of two households anew, each knowing how many others of them match.

    `likenesses` holds every person of one with every person of the other, weighed alone; `sure`
    those of them that were chosen when each was weighed alone.
    """
    sizes = [
        len({one.record.person_id for one in likenesses}),
        len({one.other.person_id for one in likenesses}),
    ]
    chosen = {_two(one) for one in sure}
    weighed = []
    for one in likenesses:
        others = len(chosen) - (_two(one) in chosen)
        level = 0 if min(sizes) == 1 else (_NONE, _ONE, _SEVERAL)[min(others, 2)]
        compared = msgspec.structs.replace(one.compared, codes=(*one.compared.codes[:-1], level))
        bits = weight_bits(compared, one.record.ubigeo, model)
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
            (one.record.person_id, one.other.household_id),
            (one.other.person_id, one.record.household_id),
        )
        if taken.isdisjoint(sides):
            taken.update(sides)
            kept.append(one)
    return kept


async def _candidates(
    conn: AsyncConnection, records: Sequence[Record], keys: Keyed, *, per_key: int, scan_max: int
) -> _Candidates:
    """Ask the door, for all persons at once, who shares keys, and what a crowd kept back."""
    asked = [(at, key) for at, record in enumerate(records) for key in keys[record.person_id]]
    rows = await conn.execute(
        text(
            "SELECT asker, person_id, household_id, partner_id, crowded_key, crowd"
            " FROM dedup.candidates(:askers ::integer[], :keys ::bigint[], :per_key ::integer,"
            " :scan_max ::integer)"
        ),
        {
            "askers": [at for at, _ in asked],
            "keys": [key for _, key in asked],
            "per_key": per_key,
            "scan_max": scan_max,
        },
    )
    found: defaultdict[UUID, list[UUID]] = defaultdict(list)
    partner_of: dict[UUID, UUID] = {}
    crowds = {record.person_id: 0 for record in records}
    crowded: set[UUID] = set()
    for at, person_id, household_id, partner_id, key, crowd in rows:
        asker = records[at]
        if person_id is not None:
            partner_of[household_id] = partner_id
            if household_id != asker.household_id:
                found[asker.person_id].append(person_id)
            continue
        crowds[asker.person_id] += key is not None
        if key is None or crowd > scan_max or keys[asker.person_id][key] == DOCUMENT:
            crowded.add(asker.person_id)
    # Two keys of crowds together are searched; one alone is not.
    unsearched = {one for one, count in crowds.items() if len(keys[one]) == min(count, 1)}
    return _Candidates(
        found, partner_of, tuple(sorted(unsearched)), tuple(sorted(crowded - unsearched))
    )


async def _in_whole_households(
    records: Sequence[Record], sure: Sequence[Likeness], comparing: "_Comparing", opener: Opener
) -> list[Likeness]:
    """Compare everybody of two households that share somebody; keep who is worth seeing."""
    if not sure:
        return []
    linked: defaultdict[tuple[UUID, UUID], list[Likeness]] = defaultdict(list)
    for one in sure:
        linked[one.record.household_id, one.other.household_id].append(one)
    opened = await opener.members(sorted({other_id for _, other_id in linked}))
    own, others = _by_household(records), _by_household(opened.values())
    return [
        one
        for (household_id, other_id), chosen in linked.items()
        for one in in_context(
            [
                comparing.likeness(record, other)
                for record in own[household_id]
                for other in others[other_id]
            ],
            chosen,
            comparing.model,
        )
        if one.weight_bits >= comparing.model.review_bits
    ]


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


def _by_household(records: Iterable[Record]) -> defaultdict[UUID, list[Record]]:
    found: defaultdict[UUID, list[Record]] = defaultdict(list)
    for record in records:
        found[record.household_id].append(record)
    return found


def _pair(likeness: Likeness, partner_id: UUID, model: Model) -> Pair:
    return Pair(
        person_id=likeness.record.person_id,
        household_id=likeness.record.household_id,
        other_person_id=likeness.other.person_id,
        other_household_id=likeness.other.household_id,
        other_partner_id=partner_id,
        score=explained(likeness.compared, likeness.record.ubigeo, model),
    )


def _two(likeness: Likeness) -> tuple[UUID, UUID]:
    return likeness.record.person_id, likeness.other.person_id
