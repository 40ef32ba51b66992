"""Searching a list at once: the result of each household is the same as alone."""

import asyncio
import time
from uuid import UUID, uuid4

import pytest

from bench import stored
from bench.population import generate
from cbi import household
from dedup import find_all, index
from dedup.candidates import Limits
from dedup.find import Household, find
from dedup.find_all import find_within, keyed
from tests.dedup.make import person
from tests.dedup.test_find import HASHER, MODEL, OTHER_PARTNER


class Everybody:
    """Stands in for the vault, for many."""

    def __init__(self, homes):
        self.homes = homes
        self.known = {one.person_id: one for records in homes.values() for one in records}
        self.asked = 0

    async def persons(self, person_ids):
        self.asked += 1
        return {one: self.known[one] for one in person_ids}

    async def households(self, household_ids):
        self.asked += 1
        return [
            Household(household_id=one, partner_id=OTHER_PARTNER, persons=tuple(self.homes[one]))
            for one in household_ids
        ]


def population(persons: int, seed: int) -> list[list]:
    """Registrations of a made-up population, many families in two of them or more."""
    homes = []
    for rows in generate(persons, seed=seed, hard=True).registrations():
        household_id, district = uuid4(), stored.district_of(rows)
        homes.append(
            [
                household.to_record(
                    stored.person_of(row),
                    household_id=household_id,
                    person_id=uuid4(),
                    ubigeo=district,
                )
                for row in rows
            ]
        )
    return homes


async def registered(conn, homes) -> Everybody:
    for records in homes:
        await index.add(conn, records, index.keyed(records, HASHER))
    return Everybody({records[0].household_id: records for records in homes})


@pytest.mark.parametrize("limits", [Limits(), Limits(per_key=2, per_document=2, per_person=3)])
async def test_households_searched_together_are_found_as_each_alone(conn, monkeypatch, limits):
    monkeypatch.setitem(find.__kwdefaults__, "limits", limits)
    monkeypatch.setattr(find_all, "HOUSEHOLDS_AT_ONCE", 37)
    homes = population(1_200, seed=11)
    there, asked = homes[::3] + homes[1::3], homes[2::3]
    known = await registered(conn, there)
    keys = await keyed(asked, HASHER)
    together = await find_all.find_all(conn, asked, keys, model=MODEL, opener=known)
    alone = [await find(conn, one, keys, model=MODEL, opener=known) for one in asked]
    assert together == alone
    assert sum(bool(one.pairs) for one in alone) > 20
    assert any(one.crowded or one.unsearched for one in alone) or limits == Limits()


async def test_the_order_of_a_list_changes_nothing(conn):
    homes = population(400, seed=12)
    known = await registered(conn, homes[::2])
    asked = homes[1::2]
    keys = await keyed(asked, HASHER)
    one, other = [
        await find_all.find_all(conn, order, keys, model=MODEL, opener=known)
        for order in (asked, asked[::-1])
    ]
    assert one == other[::-1]


async def test_many_are_asked_about_in_a_few_statements(conn):
    homes = population(600, seed=13)
    known = await registered(conn, homes[::2])
    asked = homes[1::2]
    await find_all.find_all(conn, asked, await keyed(asked, HASHER), model=MODEL, opener=known)
    assert len(asked) > 80
    assert known.asked <= 4


async def test_others_have_a_turn_while_a_list_is_searched(conn):
    homes = population(1_500, seed=14)
    known = await registered(conn, homes[::2])
    waited, ended = [0.0], asyncio.Event()

    async def other():
        while not ended.is_set():
            begin = time.perf_counter()
            await asyncio.sleep(0)
            waited.append(time.perf_counter() - begin)

    beside = asyncio.create_task(other())
    keys = await keyed(homes[1::2], HASHER)
    await find_all.find_all(conn, homes[1::2], keys, model=MODEL, opener=known)
    ended.set()
    await beside
    # Some hundred turns, and the longest wait is far from the whole, whatever else runs here.
    assert len(waited) > 300
    assert max(waited) < sum(waited) / 4


async def test_who_stands_twice_in_a_list_is_found_without_the_database():
    one, other, third = person(), person(), person("Zulmarbe / Quintrallo", "1961-02-03")
    homes = [[one], [third], [other]]
    alike = await find_within(homes, await keyed(homes, HASHER), model=MODEL)
    assert alike == {
        one.household_id: [other.household_id],
        other.household_id: [one.household_id],
    }


async def test_what_stands_twice_in_a_list_is_what_registering_it_would_find(conn):
    homes = population(500, seed=15)
    keys = await keyed(homes, HASHER)
    alike = await find_within(homes, keys, model=MODEL)
    within = {frozenset((one, other)) for one, others in alike.items() for other in others}
    known = await registered(conn, homes)
    found = await find_all.find_all(conn, homes, keys, model=MODEL, opener=known)
    among = {
        frozenset((pair.household_id, pair.other_household_id))
        for each in found
        for pair in each.pairs
    }
    assert len(among) > 20
    assert within == among


async def test_one_person_again_and_again_does_not_cost_the_square():
    homes = [[person(documents=[("ve-cedula", "20481516")])] for _ in range(600)]
    keys = await keyed(homes, HASHER)
    alike = await find_within(homes, keys, model=MODEL)
    assert len(alike) == len(homes)
    told = sum(len(others) for others in alike.values())
    assert told <= 2 * find_all.WITHIN.per_person * len(homes)
    assert all(isinstance(one, UUID) for one in alike)
