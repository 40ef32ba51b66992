"""The door through which families change holds the service to the decisions in force."""

from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi.adjudicate import conflicts
from cbi.enrol import families
from dedup.cluster import Tie
from dedup.cluster import families as clustered
from tests.cbi.deciding import (
    OTHER_VERDICTS,
    SEPARATE,
    case_between,
    history,
    household,
    place,
    refused,
    taken_back,
)
from tests.cbi.world import ALFA, BETA, judged, rolled_back, staff
from tests.conftest import PARTNER_A


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
    assert [await place(conn, case_id, ids, [7, 7, 7]) for case_id in ring] == [(0, 0)] * 3
    assert await history(conn) == before


async def test_without_a_decision_the_service_joins_nobody(conn):
    ids = [await household(conn, seed) for seed in (1, 2)]
    case_id = await case_between(conn, *ids)
    await refused(conn, case_id, ids, [1, 1])
    await refused(conn, uuid4(), ids, [1, 1])
    await judged(conn, case_id, "same_household", PARTNER_A)
    await refused(conn, case_id, ids, [1, 1])
    assert await families(conn, ids) == {one: one for one in ids}


async def test_the_door_holds_the_service_to_the_decisions(conn):
    a, b, c, d = ids = [await household(conn, seed) for seed in (1, 2, 3, 4)]
    first = await case_between(conn, a, b)
    await judged(conn, first, "same_household")
    await judged(conn, await case_between(conn, b, c), "same_household")
    for households, places in (
        # Parted without a decision, or in part; joined with strangers; somebody left out, told
        # twice, or drawn in.
        ([a, b, c], [1, 2, 3]),
        ([a, b, c], [1, 1, 2]),
        ([a, b, c, d], [1, 1, 1, 1]),
        ([a, b, c, d], [1, 1, 1, 2]),
        ([a, b], [1, 1]),
        ([a, b, c, c], [1, 1, 1, 1]),
        ([], []),
    ):
        await refused(conn, first, households, places)
    await judged(conn, await case_between(conn, a, c), "different")
    # Contradicted at one of two places: either may give way, but one must, and only one.
    for places in ([1, 1, 1], [1, 2, 3], [1, 2, 1]):
        await refused(conn, first, [a, b, c], places)
    await db.set_facts(conn, ALFA)
    async with rolled_back(conn):
        assert sum(await place(conn, first, [a, b, c], [1, 2, 2])) > 0
    assert await place(conn, first, [a, b, c], [1, 1, 2]) == (0, 0)
    assert len(set((await families(conn, ids)).values())) == 3


async def test_who_does_not_judge_is_told_nothing_of_families(conn):
    ids = [await household(conn, seed) for seed in (1, 2)]
    case_id = await case_between(conn, *ids)
    await judged(conn, case_id, "same_household")
    for roles, told in (({"registrar", "programme", "admin"}, 0), ({"coordinator"}, 2)):
        await db.set_facts(conn, staff(1, PARTNER_A, roles))
        around = await conn.execute(
            text("SELECT * FROM cbi.households_around(:id)"), {"id": case_id}
        )
        assert len(around.all()) == told
        ties = await conn.execute(text("SELECT * FROM cbi.ties_between(:ids)"), {"ids": ids})
        assert len(ties.all()) == told / 2


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
VERDICTS = st.sampled_from(("same_household",) * 4 + OTHER_VERDICTS)
# A second word on a pair takes the first one back.
DECISIONS = st.lists(st.tuples(PLACES, PLACES, VERDICTS), max_size=14)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(DECISIONS)
async def test_families_are_what_the_decisions_in_force_make_of_them(conn, decisions):
    async with rolled_back(conn):
        ids = [await household(conn, seed) for seed in range(1, SIZE + 1)]
        in_force: dict[tuple[UUID, UUID], tuple[int, UUID, str]] = {}
        told = None
        for number, (one, other, verdict) in enumerate(decisions):
            pair = tuple(sorted((ids[one], ids[other])))
            if one == other or verdict == in_force.get(pair, ("", "", ""))[2]:
                continue
            if pair in in_force:
                case_id = in_force[pair][1]
                told = await taken_back(conn, case_id, verdict)
            else:
                case_id = await case_between(conn, *pair)
                told = await judged(conn, case_id, verdict)
            in_force[pair] = (number, case_id, verdict)
        wanted = clustered(
            ids,
            [
                Tie(
                    case_id=case_id,
                    household_a=pair[0],
                    household_b=pair[1],
                    joins=verdict == "same_household",
                    decision_no=number,
                )
                for pair, (number, case_id, verdict) in in_force.items()
                if verdict in ("same_household", *SEPARATE)
            ],
        )
        found: dict[UUID, list[UUID]] = {}
        for household_id, family in (await families(conn, ids)).items():
            found.setdefault(family, []).append(household_id)
        assert {tuple(sorted(family)) for family in found.values()} == set(wanted.families)
        assert told is None or set(told.conflicts) <= set(wanted.conflicts)
        await db.set_facts(conn, staff(0, PARTNER_A, {"coordinator"}))
        listed = await conflicts(conn, after=None, limit=50)
        assert listed == sorted(wanted.conflicts, key=lambda one: one.case_id)
