"""Find who of everybody registered may be one of these persons."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup.blocking import Hasher, keys
from dedup.compare import prepare
from dedup.model import Model
from dedup.record import Record
from dedup.score import Score, score_prepared

OpenRecords = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Record]]]
PER_KEY = 500


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A searched person and another who may be the same."""

    person_id: UUID
    household_id: UUID
    other_person_id: UUID
    other_household_id: UUID
    other_partner_id: UUID
    score: Score


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search brought: pairs, strongest first, and who could not be searched.

    `unsearched` had no key to search by, or only keys that a crowd shares: a person must look.
    `partly` lost some keys to a crowd and was searched by the others.
    """

    pairs: tuple[Pair, ...]
    unsearched: tuple[UUID, ...] = ()
    partly: tuple[UUID, ...] = ()


class _Candidate(msgspec.Struct, frozen=True):
    person_id: UUID
    household_id: UUID
    partner_id: UUID


async def find(
    conn: AsyncConnection,
    records: Sequence[Record],
    *,
    hasher: Hasher,
    model: Model,
    open_records: OpenRecords,
    per_key: int = PER_KEY,
) -> Found:
    """Return the pairs that a person should see, each person at most once per other household.

    Pairs are ordered by weight, strongest first, then by id. `open_records` is called once with
    the distinct candidates; whom it leaves out was erased, and is passed over. A key shared by
    more than `per_key` persons is not searched, and the result says whom that concerns.
    """
    keys_of = {record.person_id: keys(record, hasher) for record in records}
    candidates, passed_over = await _candidates(conn, keys_of, per_key=per_key)
    wanted = {
        record.person_id: [
            one
            for one in candidates.get(record.person_id, ())
            if one.household_id != record.household_id
        ]
        for record in records
    }
    distinct = sorted({one.person_id for found in wanted.values() for one in found})
    opened = await open_records(distinct) if distinct else {}
    pairs = _scored(records, wanted, opened, model)
    return Found(
        pairs=one_to_one(pairs),
        unsearched=tuple(
            record.person_id
            for record in records
            if len(keys_of[record.person_id]) == passed_over.get(record.person_id, 0)
        ),
        partly=tuple(
            record.person_id
            for record in records
            if 0 < passed_over.get(record.person_id, 0) < len(keys_of[record.person_id])
        ),
    )


def one_to_one(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Keep, between any two households, each person's strongest pair only, strongest first.

    A person of one registration is at most one person of another; what is left over between
    them is kin who look alike.
    """
    taken: set[tuple[UUID, UUID]] = set()
    kept = []
    for pair in sorted(pairs, key=_strongest_first):
        sides = (
            (pair.person_id, pair.other_household_id),
            (pair.other_person_id, pair.household_id),
        )
        if taken.isdisjoint(sides):
            taken.update(sides)
            kept.append(pair)
    return tuple(kept)


async def _candidates(
    conn: AsyncConnection, keys_of: Mapping[UUID, frozenset[int]], *, per_key: int
) -> tuple[Mapping[UUID, Sequence[_Candidate]], Mapping[UUID, int]]:
    """Ask the door, for all persons at once, who shares a key and how many keys were crowded."""
    asked = [(person_id, key) for person_id, found in keys_of.items() for key in sorted(found)]
    rows = await conn.execute(
        text(
            "SELECT asker, person_id, household_id, partner_id, keys_passed_over"
            " FROM dedup.candidates(:askers ::uuid[], :keys ::bigint[], :per_key ::integer)"
        ),
        {
            "askers": [person_id for person_id, _ in asked],
            "keys": [key for _, key in asked],
            "per_key": per_key,
        },
    )
    candidates: defaultdict[UUID, list[_Candidate]] = defaultdict(list)
    passed_over: dict[UUID, int] = {}
    for asker, person_id, household_id, partner_id, crowded in rows:
        if person_id is None:
            passed_over[asker] = crowded
        else:
            candidates[asker].append(_Candidate(person_id, household_id, partner_id))
    return candidates, passed_over


def _scored(
    records: Sequence[Record],
    wanted: Mapping[UUID, Sequence[_Candidate]],
    opened: Mapping[UUID, Record],
    model: Model,
) -> list[Pair]:
    others = {person_id: prepare(record) for person_id, record in opened.items()}
    pairs = []
    for record in records:
        own = prepare(record)
        for one in wanted[record.person_id]:
            other = others.get(one.person_id)
            if other is None:
                continue
            score = score_prepared(own, other, model)
            if score.weight_bits >= model.review_bits:
                pairs.append(
                    Pair(
                        person_id=record.person_id,
                        household_id=record.household_id,
                        other_person_id=one.person_id,
                        other_household_id=one.household_id,
                        other_partner_id=one.partner_id,
                        score=score,
                    )
                )
    return pairs


def _strongest_first(pair: Pair) -> tuple[float, UUID, UUID]:
    return -pair.score.weight_bits, pair.person_id, pair.other_person_id
