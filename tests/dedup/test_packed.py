"""A packed list finds what one finds whose records are all held."""

import sys

import pytest

from dedup import find_all, packed
from dedup.find_all import find_within, keyed
from dedup.packed import PackedList
from tests.dedup.make import person
from tests.dedup.test_find import HASHER, MODEL
from tests.dedup.test_find_all import population


def listed(homes) -> PackedList:
    found = PackedList(HASHER)
    for records in homes:
        found.add(records)
    return found


@pytest.mark.parametrize("at_once", [7, 250])
async def test_a_packed_list_finds_the_same_whatever_it_opens_at_once(monkeypatch, at_once):
    monkeypatch.setattr(packed, "ROWS_AT_ONCE", at_once)
    homes = population(500, seed=15)
    place = {records[0].household_id: row for row, records in enumerate(homes)}
    known = await find_within(homes, await keyed(homes, HASHER), model=MODEL)
    within = {place[one]: sorted(place[other] for other in them) for one, them in known.items()}
    assert len(within) > 20
    assert await listed(homes).alike(MODEL) == dict(sorted(within.items()))


async def test_a_household_without_records_keeps_its_place():
    one = [person()]
    assert await listed([[], one, [], one]).alike(MODEL) == {1: [3], 3: [1]}
    assert await listed([[]]).alike(MODEL) == {}
    assert await listed([]).alike(MODEL) == {}


async def test_one_person_again_and_again_does_not_cost_the_square():
    homes = [[person(documents=[("ve-cedula", "20481516")])] for _ in range(600)]
    alike = await listed(homes).alike(MODEL)
    assert len(alike) == len(homes)
    told = sum(len(others) for others in alike.values())
    assert told <= 2 * find_all.WITHIN.per_person * len(homes)


def test_a_person_takes_some_hundred_bytes():
    homes = population(2_000, seed=16)
    found = listed(homes)
    persons = sum(map(len, homes))
    held = sum(map(sys.getsizeof, found._packed)) + sys.getsizeof(found._keys) * 2
    assert held / persons < 1_000
