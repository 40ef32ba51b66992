"""Families follow the decisions in force: joined, parted again, and nothing else moves them."""

import asyncio
import itertools

import pytest

from api import db
from cbi.adjudicate import adjudicate_group, conflicts
from cbi.enrol import families
from dedup import judge
from dedup.cluster import Conflict
from dedup.judge import Said
from tests.cbi.deciding import (
    OTHER_VERDICTS,
    case_between,
    history,
    household,
    taken_back,
)
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    PARTNER_B,
    again,
    family,
    judged,
    judged_by,
    registered,
    staff,
)
from tests.conftest import PARTNER_A


async def test_one_household_at_two_partners_becomes_one_family_under_the_earlier_id(conn):
    mine = await registered(conn, family(1))
    theirs = await registered(conn, again(family(1)), BETA)
    case_id = theirs.flags[0].case_id
    first = await judged(conn, case_id, "same_household", PARTNER_A)
    assert (first.case.state, first.households_joined) == ("second_review", 0)
    second = await judged(conn, case_id, "same_household", PARTNER_B)
    assert (second.case.state, second.households_joined) == ("decided", 1)
    ids = [mine.household_id, theirs.household_id]
    for who in (ALFA, BETA):
        await db.set_facts(conn, who)
        assert await families(conn, ids) == dict.fromkeys(ids, mine.household_id)
    # What was before stays readable, with the case that changed it.
    assert await history(conn) == [
        (theirs.household_id, theirs.household_id, None),
        (theirs.household_id, mine.household_id, case_id),
    ]


@pytest.mark.parametrize("verdict", OTHER_VERDICTS)
async def test_any_other_decision_joins_nobody(conn, verdict):
    mine = await registered(conn, family(1))
    theirs = await registered(conn, again(family(1)), BETA)
    answer = await judged(conn, theirs.flags[0].case_id, verdict)
    assert (answer.case.state, answer.households_joined) == ("decided", 0)
    ids = [mine.household_id, theirs.household_id]
    assert await families(conn, ids) == {one: one for one in ids}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_chain_of_four_households_is_one_family_in_any_order(conn, order):
    ids = [await household(conn, seed) for seed in range(1, 5)]
    cases = [await case_between(conn, ids[place], ids[place + 1]) for place in range(3)]
    for place in order:
        await judged(conn, cases[place], "same_household")
    assert await families(conn, ids) == dict.fromkeys(ids, ids[0])


async def test_a_joining_is_undone_by_the_two_who_agree_on_it(conn):
    ids = [await household(conn, seed) for seed in (1, 2)]
    case_id = await case_between(conn, *ids)
    await judged(conn, case_id, "same_household")
    done = await taken_back(conn, case_id, "different")
    assert (done.case.state, done.households_joined, done.households_parted) == ("decided", 0, 2)
    apart = await families(conn, ids)
    # Fresh ids: under the old one either may have been promised something.
    assert len({*ids, *apart.values()}) == 4
    # And joined once more: the older of the two stays.
    again = await taken_back(conn, case_id, "same_household")
    assert (again.households_joined, again.households_parted) == (1, 0)
    assert len(set((await families(conn, ids)).values())) == 1
    await db.set_facts(conn, ALFA)
    assert [row[2] for row in await history(conn)] == [None, None] + [case_id] * 4


async def test_one_who_takes_its_word_back_parts_nobody(conn):
    ids = [await household(conn, seed) for seed in (1, 2)]
    case_id = await case_between(conn, *ids)
    view = (await judged(conn, case_id, "same_household")).case
    word = view.judgements[0].judgement_id
    done = await judged_by(conn, case_id, "different", PARTNER_A, supersedes=word)
    assert (done.case.state, done.households_parted) == ("disputed", 0)
    assert await families(conn, ids) == dict.fromkeys(ids, ids[0])
    # It is not open either: who is assisted and who may be enrolled stays as decided.
    assert await judge.open_case_ids(conn, ids) == {}


async def test_parting_two_leaves_the_others_together(conn):
    a, b, c = ids = [await household(conn, seed) for seed in (1, 2, 3)]
    await judged(conn, await case_between(conn, a, b), "same_household")
    second = await case_between(conn, b, c)
    await judged(conn, second, "same_household")
    assert (await taken_back(conn, second, "data_error")).households_parted == 3
    found = await families(conn, ids)
    assert found[a] == found[b] != found[c]


async def test_a_chain_that_a_decision_contradicts_is_a_conflict_that_is_told(conn):
    a, b, c = ids = [await household(conn, seed) for seed in (1, 2, 3)]
    await judged(conn, await case_between(conn, a, b), "same_household")
    against = await case_between(conn, a, c)
    await judged(conn, against, "relative")
    last = await case_between(conn, b, c)
    done = await judged(conn, last, "same_household")
    conflict = Conflict(case_id=last, because="contradicted", contradicted_by=(against,))
    assert (done.case.state, done.households_joined, done.conflicts) == ("decided", 0, (conflict,))
    found = await families(conn, ids)
    assert found[a] == found[b] != found[c]
    await db.set_facts(conn, staff(0, PARTNER_B, {"coordinator"}))
    assert await conflicts(conn, after=None, limit=10) == [conflict]
    assert await conflicts(conn, after=last, limit=10) == []
    await db.set_facts(conn, staff(0, PARTNER_A, {"registrar", "auditor"}))
    assert await conflicts(conn, after=None, limit=10) == []
    # People solve it: the two are one family after all.
    assert (await taken_back(conn, against, "same_household")).conflicts == ()
    assert len(set((await families(conn, ids)).values())) == 1


async def test_a_new_decision_on_a_reopened_case_takes_the_place_of_the_old(conn):
    ids = [await household(conn, seed) for seed in (1, 2)]
    first = await case_between(conn, *ids)
    await judged(conn, first, "different")
    second = await case_between(conn, *ids, reopens=first)
    await db.set_facts(conn, ALFA)
    assert await judge.open_case_ids(conn, ids) == {one: [second] for one in ids}
    # Until then the old one counts: a third can't be joined with both.
    third = await household(conn, 3)
    await judged(conn, await case_between(conn, ids[0], third), "same_household")
    done = await judged(conn, await case_between(conn, ids[1], third), "same_household")
    assert [one.contradicted_by for one in done.conflicts] == [(first,)]
    done = await judged(conn, second, "same_household")
    assert (done.households_joined, done.conflicts) == (1, ())
    assert await families(conn, [*ids, third]) == dict.fromkeys([*ids, third], ids[0])


async def test_a_group_is_judged_and_its_families_follow(conn):
    ids = [await household(conn, seed) for seed in (1, 2, 3)]
    cases = [await case_between(conn, *pair) for pair in itertools.pairwise(ids)]
    for partner_id, joined in ((PARTNER_A, 0), (PARTNER_B, 2)):
        who = staff(9, partner_id, {"adjudicator"})
        await db.set_facts(conn, who)
        said = Said(
            verdict="same_household",
            reason="",
            actor_id=who.actor_id,
            partner_id=partner_id,
            at=AT,
        )
        done = await adjudicate_group(conn, cases[1], said, size=2)
        assert done.households_joined == joined
    assert await families(conn, ids) == dict.fromkeys(ids, ids[0])


async def test_two_decisions_on_one_family_at_once_follow_one_another(own):
    async with own.begin() as conn:
        ids = [await household(conn, seed) for seed in (1, 2, 3)]
        cases = [await case_between(conn, ids[1], ids[2]), await case_between(conn, ids[0], ids[1])]
    for case_id in cases:
        async with own.begin() as conn:
            await judged(conn, case_id, "same_household", PARTNER_A)
    begun = asyncio.Barrier(2)

    async def decide(case_id):
        async with own.begin(BETA) as conn:
            await begun.wait()
            await judged(conn, case_id, "same_household", PARTNER_B)

    await asyncio.gather(*map(decide, cases))
    async with own.begin() as conn:
        assert await families(conn, ids) == dict.fromkeys(ids, ids[0])


@pytest.mark.parametrize("sizes", [(1, 1), (1, 2), (2, 2)])
async def test_one_person_alone_in_both_is_one_household(conn, sizes):
    """`same_person` parts nobody from a family; of two people alone it leaves nothing to part."""
    ids = [
        (await registered(conn, family(seed, size=size))).household_id
        for seed, size in enumerate(sizes, start=1)
    ]
    await judged(conn, await case_between(conn, *ids), "same_person")
    found = await families(conn, ids)
    assert (found[ids[0]] == found[ids[1]]) == (sizes == (1, 1))
