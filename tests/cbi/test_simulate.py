"""What rules would have refused: a replay of promises, and who may see how much of it."""

import asyncio
from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import attempts
from cbi.holds import day_of
from cbi.overlap import FLOOR, Promise, check, digest, example, months_of
from cbi.overlap_refusal import SimulationQuotaSpent
from cbi.refusal import BadValue, NotFound
from cbi.replay import (
    COLUMNS,
    NOBODY,
    Cell,
    Fact,
    Outcome,
    refused,
    rounded,
    simulate,
    suppressed,
    total,
)
from cbi.simulate import Quota, list_tried, try_proposed, try_rules
from ledger.money import Money
from tests.cbi.agreed import valued
from tests.cbi.overlapping import AUGUST, JULY, agreed, one, promised
from tests.cbi.test_parted import paid
from tests.cbi.test_reserve import DAY, reserved
from tests.cbi.world import ALFA, AT, BETA, again, family, judged, programme_of, registered, staff
from tests.conftest import PARTNER_A, PARTNER_B

EXAMPLE = check(example())[0]
KEY = attempts.key_of(b"m" * 32)
COORDINATOR = staff(7, PARTNER_B, {"coordinator"})
LATER = AT + 30 * DAY
DOOR = text("SELECT * FROM cbi.promises_since(:at, :until, 99, :key)")
FACTS = {"at": AT, "until": LATER, "key": KEY}


def soles(minor: int) -> tuple[Money, ...]:
    return (Money(amount_minor=minor, currency="PEN"),) if minor else ()


def fact(family_no=1, assistance="mpca", first=JULY, *, hours=0, **more) -> Fact:
    more = {"partner_id": PARTNER_A, "is_counted": True, "stands_until": None, **more}
    return Fact(
        family=family_no,
        promise=Promise(
            assistance=assistance, months=months_of(first, 3), held_on=date(2026, 6, 1)
        ),
        held_at=AT + timedelta(hours=hours),
        money=Money(amount_minor=100, currency="PEN"),
        **more,
    )


@pytest.mark.parametrize(
    ("facts", "floor", "under_example"),
    [
        ([fact(), fact(2, hours=1)], [], []),
        ([fact(), fact(first=date(2026, 10, 1), hours=1)], [], [1]),
        ([fact(), fact(first=date(2027, 1, 1), hours=1)], [], []),
        ([fact(), fact(assistance="food", hours=1)], [], [1]),
        ([fact(), fact(assistance="rent", hours=1)], [], []),
        # What was refused stands in nobody's way: the third follows the first alone.
        (
            [
                fact(),
                fact(assistance="food", hours=1),
                fact(assistance="food", first=date(2026, 10, 1), hours=2),
            ],
            [],
            [1],
        ),
        # Given up before the next was promised.
        (
            [
                fact(stands_until=AT + timedelta(minutes=5)),
                fact(first=date(2026, 10, 1), hours=1),
            ],
            [],
            [],
        ),
    ],
)
def test_promises_are_replayed_in_their_order(facts, floor, under_example):
    assert refused(facts, FLOOR) == floor
    assert refused(facts, EXAMPLE) == under_example


def test_what_is_not_counted_only_stands_in_the_way():
    facts = [
        fact(partner_id=None, is_counted=False),
        fact(assistance="food", hours=1),
        fact(2, hours=2),
        fact(3, hours=2, partner_id=PARTNER_B),
    ]
    found = simulate(facts, in_force=FLOOR, proposed=EXAMPLE)
    one, two, none = (Cell(households=number, amounts=soles(100 * number)) for number in (1, 2, 0))
    assert found == [
        Outcome(partner_id=PARTNER_A, promised=two, refused_in_force=none, refused_proposed=one),
        Outcome(partner_id=PARTNER_B, promised=one, refused_in_force=none, refused_proposed=none),
    ]


CELLS = st.builds(Cell, households=st.integers(0, 9), amounts=st.just(soles(7)))
OUTCOMES = st.lists(
    st.builds(
        Outcome,
        partner_id=st.sampled_from([PARTNER_A, PARTNER_B, UUID(int=5)]),
        promised=CELLS,
        refused_in_force=CELLS,
        refused_proposed=CELLS,
    ),
    max_size=4,
)


@given(OUTCOMES)
def test_a_small_cell_is_told_of_ones_own_promises_only_and_no_sum_tells_it(outcomes):
    shown = suppressed(outcomes, own=PARTNER_A)
    names = ("promised", "refused_in_force", "refused_proposed")
    for was, told in zip(outcomes, shown, strict=True):
        for name in names:
            cell = getattr(told, name)
            is_small = 0 < getattr(was, name).households < 5
            is_own = was.partner_id == PARTNER_A and name == "promised"
            assert (cell is None) == (is_small and not is_own)
            assert cell in (None, getattr(was, name))
    is_whole = all(getattr(told, name) is not None for told in shown for name in names)
    summed = total(shown)
    assert (summed is not None) == (is_whole and bool(outcomes))
    if summed is not None:
        assert summed.promised.households == sum(each.promised.households for each in outcomes)


async def story(conn):
    """Six families that A promises cash and B food; one of B's alone; and what was paid."""
    cash, food = await programme_of(conn), await programme_of(conn, BETA, group="food")
    for seed in range(1, 7):
        mine = await one(conn, family(seed))
        await promised(conn, cash, mine, first=JULY)
        receipt = await one_again(conn, seed)
        await promised(conn, food, receipt, BETA, first=AUGUST, at=AT + timedelta(hours=seed))
    await promised(conn, food, await one(conn, family(50), BETA), BETA, first=JULY)
    await paid(conn, cash, ALFA, {"first": JULY, "end": AUGUST})


async def one_again(conn, seed):
    receipt = await registered(conn, again(family(seed)), BETA)
    await judged(conn, receipt.flags[0].case_id, "same_household")
    return receipt.household_id


async def tried(conn, actor, rules=EXAMPLE, *, months=6, at=LATER):
    await db.set_facts(conn, actor)
    return await try_rules(conn, rules, months=months, own=actor.partner_id, attempt_key=KEY, at=at)


async def proposed(conn, actor, version, *, months=6, at=LATER, quota=20):
    await db.set_facts(conn, actor)
    return await try_proposed(
        conn,
        version,
        months=months,
        own=actor.partner_id,
        quota=Quota(simulations_per_day=quota, day=day_of(at), opens_again_at=at),
        attempt_key=KEY,
        at=at,
    )


async def test_a_coordinator_sees_all_sums(conn):
    await story(conn)
    found = await tried(conn, staff(7, UUID(int=9), {"coordinator"}))
    alfa, beta = found.outcomes
    assert (alfa.partner_id, beta.partner_id) == (PARTNER_A, PARTNER_B)
    assert alfa.promised.households == 6
    assert alfa.promised.amounts[0].amount_minor > 0
    assert alfa.refused_proposed == alfa.refused_in_force == NOBODY
    assert (beta.promised.households, beta.refused_in_force.households) == (7, 0)
    assert beta.refused_proposed.households == 6
    assert found.total.promised.households == 13


async def test_an_organisation_gets_its_own_in_fives_of_rules_that_were_proposed(conn):
    await story(conn)
    version = (await agreed(conn, approved_by=())).version
    for actor, refused_ in ((ALFA, None), (BETA, None)):
        found = await proposed(conn, staff(3, actor.partner_id, {"programme"}), version)
        (mine,) = found.outcomes
        assert mine.partner_id == actor.partner_id
        # Of seven promises six were refused, and one not: of one family nothing is told.
        assert (mine.promised.households, mine.refused_proposed) == (5, refused_)
        assert found.total is None
    with pytest.raises(NotFound):
        await proposed(conn, staff(3, PARTNER_A, {"programme"}), version + 1)


async def test_one_family_more_changes_nothing_before_the_month_is_over(conn):
    await story(conn)
    version = (await agreed(conn, approved_by=())).version
    actor = staff(3, PARTNER_B, {"programme"})
    before = await proposed(conn, actor, version)
    more = [await one(conn, family(60 + seed), BETA) for seed in range(6)]
    programme = await programme_of(conn, BETA, group="rent")
    for household_id in more:
        await promised(conn, programme, household_id, BETA, first=JULY, at=LATER)
    assert await proposed(conn, actor, version) == before
    (following,) = (await proposed(conn, actor, version, at=LATER + 31 * DAY)).outcomes
    assert following.promised.households == 15


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_what_an_organisation_is_told_tells_no_few_families(promised_, refused_, attempted):
    refused_ = min(refused_, promised_)
    outcome = Outcome(
        partner_id=PARTNER_A,
        promised=Cell(households=promised_, amounts=soles(7)),
        refused_in_force=Cell(households=refused_, amounts=soles(3)),
        refused_proposed=NOBODY,
        attempts=Cell(households=attempted, amounts=()),
        let_in_force=NOBODY,
        let_proposed=Cell(households=attempted, amounts=()),
    )
    told = rounded(outcome)
    for name in COLUMNS:
        cell = getattr(told, name)
        if cell is None:
            continue
        assert cell.households % 5 == 0
        assert abs(cell.households - getattr(outcome, name).households) <= 2
        assert name == "promised" or cell.amounts == ()
    # Neither a few nor all but a few; and none at all is told like a few.
    is_told = told.refused_in_force is not None
    assert is_told == (refused_ >= 5 and promised_ - refused_ >= 5)
    assert told.refused_proposed is told.let_in_force is told.let_proposed is None


async def test_an_organisation_tries_so_many_a_day_and_each_try_is_kept(conn):
    version = (await agreed(conn, approved_by=())).version
    actor = staff(3, PARTNER_A, {"programme"})
    for _ in range(2):
        await proposed(conn, actor, version, quota=2)
    with pytest.raises(SimulationQuotaSpent):
        await proposed(conn, actor, version, quota=2)
    # Another organisation has its own, the next day another, and coordination is not counted.
    await proposed(conn, staff(3, PARTNER_B, {"programme"}), version, quota=2)
    await proposed(conn, actor, version, quota=2, at=LATER + DAY)
    await tried(conn, staff(7, PARTNER_A, {"coordinator"}))
    await db.set_facts(conn, staff(5, PARTNER_B, {"auditor"}))
    kept = await list_tried(conn, after=0, limit=9)
    assert [(each.partner_id, each.rules_version, each.is_exact) for each in kept] == [
        (PARTNER_A, version, False),
        (PARTNER_A, version, False),
        (PARTNER_B, version, False),
        (PARTNER_A, version, False),
        (PARTNER_A, None, True),
    ]
    assert {each.sha256 for each in kept} == {digest(EXAMPLE).hex()}


async def test_two_who_try_the_last_one_of_the_day_at_once_try_it_once(own):
    async with own.begin() as conn:
        version = (await agreed(conn, approved_by=())).version

    async def once():
        async with own.begin() as conn:
            return await proposed(conn, staff(3, PARTNER_A, {"programme"}), version, quota=1)

    done = await asyncio.gather(once(), once(), return_exceptions=True)
    names = sorted(type(each).__name__ for each in done)
    assert names == ["Simulation", "SimulationQuotaSpent"]


async def test_only_coordination_is_let_keep_an_exact_try(conn):
    actor = staff(3, PARTNER_A, {"programme"})
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await tried(conn, actor)


async def test_the_door_masks_whose_and_how_much_of_other_organisations(conn):
    await story(conn)
    for actor, told in (
        (staff(3, PARTNER_B, {"programme"}), {PARTNER_B, None}),
        (staff(3, UUID(int=9), {"coordinator"}), {PARTNER_A, PARTNER_B}),
        (staff(3, UUID(int=9), {"programme", "finance", "admin"}), set()),
    ):
        await db.set_facts(conn, actor)
        rows = (await conn.execute(DOOR, FACTS)).all()
        assert {row.partner_id for row in rows} == told
        assert all(row.amount_minor is None for row in rows if row.partner_id is None)
        assert all(not row.is_counted for row in rows if row.partner_id is None)
    await db.set_facts(conn, staff(3, PARTNER_A, {"programme"}))
    rows = (await conn.execute(DOOR, FACTS)).all()
    mine = {row.family for row in rows if row.partner_id is not None}
    assert {row.family for row in rows} == mine


async def test_a_promise_without_a_round_counts_by_its_value_table(conn):
    """Two persons get 150.00 a month; the table of the day counts, and where they live."""
    programme = await programme_of(conn)
    mine = await one(conn, family(1))
    await promised(conn, programme, mine, first=JULY)
    bare = await one(conn, family(2))
    await promised(conn, programme, bare)
    found = (await tried(conn, COORDINATOR, at=AT + 60 * DAY)).outcomes
    assert found[0].promised is None
    actor = staff(7, PARTNER_A, {"coordinator"})
    (own_,) = (await tried(conn, actor, at=AT + 60 * DAY)).outcomes
    # Three months; and June and July of the one that has no end, up to the day.
    assert own_.promised.amounts == soles(3 * 15_000 + 2 * 15_000)
    await valued(conn, programme, {1: 1, 2: 20_000}, who=ALFA, area="2401")
    (own_,) = (await tried(conn, actor, at=AT + 60 * DAY)).outcomes
    assert own_.promised.amounts == soles(5 * 20_000)


async def test_a_reservation_counts_and_what_it_became_counts_once(conn):
    await agreed(conn)
    programme = await programme_of(conn)
    households = [await one(conn, family(seed)) for seed in (1, 2)]
    for household_id in households:
        await reserved(
            conn,
            household_id,
            assistance=None,
            programme_id=programme.programme_id,
            first_month=JULY,
            months=3,
        )
    actor = staff(7, PARTNER_A, {"coordinator"})
    (mine,) = (await tried(conn, actor, at=AT + DAY)).outcomes
    assert mine.promised == Cell(households=2, amounts=soles(2 * 3 * 15_000))
    await promised(conn, programme, households[0], first=JULY, at=AT + DAY)
    (mine,) = (await tried(conn, actor, at=AT + 2 * DAY)).outcomes
    assert mine.promised == Cell(households=2, amounts=soles(2 * 3 * 15_000))
    # What expired was nobody's money.
    (mine,) = (await tried(conn, actor, at=AT + 30 * DAY)).outcomes
    assert mine.promised == Cell(households=2, amounts=soles(3 * 15_000))


async def test_few_families_of_another_organisation_are_not_told(conn):
    mine, theirs = await one(conn, family(1)), await one(conn, family(2), BETA)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    await promised(conn, await programme_of(conn, BETA), theirs, BETA, first=JULY)
    found = await tried(conn, COORDINATOR)
    told = {each.partner_id: each.promised for each in found.outcomes}
    assert told == {PARTNER_A: None, PARTNER_B: Cell(households=1, amounts=soles(45_000))}
    assert found.total is None


async def test_the_rules_in_force_stand_beside_the_proposed_ones(conn):
    await story(conn)
    await agreed(conn)
    none = check({**example(), "blocks": []})[0]
    found = await tried(conn, staff(7, PARTNER_B, {"coordinator"}), none)
    (beta,) = [each for each in found.outcomes if each.partner_id == PARTNER_B]
    assert found.in_force_version == 1
    assert (beta.refused_in_force.households, beta.refused_proposed.households) == (6, 0)
    assert found.since == datetime(2026, 1, 1, 12, tzinfo=AT.tzinfo)


async def test_what_was_promised_before_the_months_asked_for_is_not_counted(conn):
    await story(conn)
    found = await tried(conn, staff(7, UUID(int=9), {"coordinator"}), months=1, at=AT + 90 * DAY)
    assert found.outcomes == []


async def test_more_than_can_be_replayed_is_refused(conn, monkeypatch):
    await story(conn)
    monkeypatch.setattr("cbi.simulate.PROMISES_MAX", 3)
    with pytest.raises(BadValue):
        await tried(conn, COORDINATOR)
