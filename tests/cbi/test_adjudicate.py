"""A decision that two registrations are one household joins their families, and nothing else."""

import asyncio
import itertools
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi.enrol import families
from dedup.cluster import clusters
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    PARTNER_B,
    again,
    family,
    judged,
    registered,
    rolled_back,
    staff,
)
from tests.conftest import PARTNER_A

ONE_FAMILY = ("same_household",)
OTHER_VERDICTS = ("same_person", "household_split", "relative", "data_error", "different")


async def household(conn, seed, who=ALFA) -> UUID:
    return (await registered(conn, family(seed, size=2), who)).household_id


async def case_between(conn, one: UUID, other: UUID) -> UUID:
    """Open a case between two households of partner A, as matching would."""
    low, high = sorted((one, other))
    await db.set_facts(conn, ALFA)
    return await conn.scalar(
        text(
            "INSERT INTO dedup.match_case (household_a, household_b, partner_a, partner_b, reason,"
            " opened_at, opened_by, model_id, strength_bits) VALUES (:low, :high, :partner,"
            " :partner, 'duplicate', :at, :by, 'm', 9) RETURNING case_id"
        ),
        {"low": low, "high": high, "partner": PARTNER_A, "at": AT, "by": ALFA.actor_id},
    )


async def joined(conn, case_id: UUID) -> int:
    return await conn.scalar(text("SELECT cbi.join_families(:id, :at)"), {"id": case_id, "at": AT})


async def history(conn):
    rows = await conn.execute(
        text(
            "SELECT household_id, beneficiary_id, case_id FROM cbi.membership"
            " ORDER BY membership_no"
        )
    )
    return [tuple(row) for row in rows]


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


async def test_joining_again_changes_nothing(conn):
    ids = [await household(conn, seed) for seed in (1, 2, 3)]
    ring = [
        await case_between(conn, *pair)
        for pair in ((ids[0], ids[1]), (ids[1], ids[2]), (ids[0], ids[2]))
    ]
    counts = [(await judged(conn, case_id, "same_household")).households_joined for case_id in ring]
    assert counts == [1, 1, 0]
    await db.set_facts(conn, ALFA)
    before = await history(conn)
    assert [await joined(conn, case_id) for case_id in ring] == [0, 0, 0]
    assert await history(conn) == before


async def test_without_a_decision_the_service_joins_nobody(conn):
    ids = [await household(conn, seed) for seed in (1, 2)]
    case_id = await case_between(conn, *ids)
    assert await joined(conn, case_id) == 0
    assert await joined(conn, uuid4()) == 0
    await judged(conn, case_id, "same_household", PARTNER_A)
    assert await joined(conn, case_id) == 0
    assert await families(conn, ids) == {one: one for one in ids}


@pytest.mark.parametrize("who", [ALFA, BETA, staff(0, PARTNER_A, {"admin", "coordinator"})])
async def test_the_service_can_not_write_a_family_by_itself(conn, who):
    mine, other = [await household(conn, seed) for seed in (1, 2)]
    await judged(conn, await case_between(conn, mine, other), "same_household")
    await db.set_facts(conn, who)
    for household_id, beneficiary_id, case_id in (
        (other, uuid4(), None),
        (mine, other, uuid4()),
        # Parting what was joined would let the family be paid twice.
        (other, other, None),
    ):
        with pytest.raises(DBAPIError, match=r"row-level security|membership_begins_once"):
            async with conn.begin_nested():
                await conn.execute(
                    text(
                        "INSERT INTO cbi.membership (household_id, partner_id, beneficiary_id,"
                        " since, case_id) VALUES (:household_id, :partner_id, :beneficiary_id,"
                        " now(), :case_id)"
                    ),
                    {
                        "household_id": household_id,
                        "partner_id": who.partner_id,
                        "beneficiary_id": beneficiary_id,
                        "case_id": case_id,
                    },
                )
    assert await families(conn, [mine, other]) == dict.fromkeys((mine, other), mine)


@pytest.mark.parametrize("statement", ["UPDATE {} SET since = since", "DELETE FROM {}"])
async def test_the_history_of_families_is_only_added_to(conn, owner_conn, statement):
    with pytest.raises(DBAPIError, match="permission denied"):
        async with conn.begin_nested():
            await conn.execute(text(statement.format("cbi.membership")))
    await owner_conn.execute(text("SET LOCAL session_replication_role = replica"))
    await owner_conn.execute(
        text(
            "INSERT INTO cbi.membership (household_id, partner_id, beneficiary_id, since)"
            " VALUES (:id, :id, :id, now())"
        ),
        {"id": uuid4()},
    )
    with pytest.raises(DBAPIError, match="append-only"):
        await owner_conn.execute(text(statement.format("cbi.membership")))


SIZE = 6
PLACES = st.integers(0, SIZE - 1)
DECISIONS = st.lists(
    st.tuples(PLACES, PLACES, st.sampled_from(ONE_FAMILY * 3 + OTHER_VERDICTS)), max_size=12
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(DECISIONS)
async def test_families_are_the_clusters_of_the_decisions(conn, decisions):
    async with rolled_back(conn):
        ids = [await household(conn, seed) for seed in range(1, SIZE + 1)]
        verdicts = {}
        for one, other, verdict in decisions:
            if one != other:
                verdicts.setdefault(tuple(sorted((ids[one], ids[other]))), verdict)
        for pair, verdict in verdicts.items():
            await judged(conn, await case_between(conn, *pair), verdict)
        edges = [pair for pair, verdict in verdicts.items() if verdict == "same_household"]
        wanted = {one: one for one in ids}
        for cluster in clusters(edges):
            wanted |= dict.fromkeys(cluster, min(cluster, key=ids.index))
        assert await families(conn, ids) == wanted


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
