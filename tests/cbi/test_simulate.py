"""What rules would have refused: a replay of promises, and who may see how much of it."""

from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from api import db
from cbi.overlap import FLOOR, Promise, check, example, months_of
from cbi.refusal import BadValue
from cbi.replay import Cell, Fact, Outcome, refused, simulate, suppressed, total
from cbi.simulate import try_rules
from ledger.money import Money
from tests.cbi.overlapping import AUGUST, JULY, agreed, one, promised
from tests.cbi.test_parted import paid
from tests.cbi.test_reserve import DAY
from tests.cbi.world import ALFA, AT, BETA, again, family, judged, programme_of, registered, staff
from tests.conftest import PARTNER_A, PARTNER_B

EXAMPLE = check(example())[0]
COORDINATOR = staff(7, PARTNER_B, {"coordinator"})
LATER = AT + 30 * DAY


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
    return await try_rules(conn, rules, months=months, own=actor.partner_id, at=at)


async def test_a_coordinator_sees_all_sums_and_an_organisation_its_own(conn):
    await story(conn)
    found = await tried(conn, staff(7, UUID(int=9), {"coordinator"}))
    alfa, beta = found.outcomes
    assert (alfa.partner_id, beta.partner_id) == (PARTNER_A, PARTNER_B)
    assert alfa.promised.households == 6
    assert alfa.promised.amounts[0].amount_minor > 0
    assert alfa.refused_proposed == alfa.refused_in_force == Cell(households=0, amounts=())
    assert (beta.promised.households, beta.refused_in_force.households) == (7, 0)
    assert beta.refused_proposed.households == 6
    assert found.total.promised.households == 13
    # Of the others an organisation learns nothing but what its own would have been refused.
    for actor, counted, refused_ in ((ALFA, 6, 0), (BETA, 7, 6)):
        (mine,) = (await tried(conn, staff(3, actor.partner_id, {"programme"}))).outcomes
        assert mine.partner_id == actor.partner_id
        assert (mine.promised.households, mine.refused_proposed.households) == (counted, refused_)


async def test_the_door_masks_whose_and_how_much_of_other_organisations(conn):
    await story(conn)
    for actor, told in (
        (staff(3, PARTNER_B, {"programme"}), {PARTNER_B, None}),
        (staff(3, UUID(int=9), {"coordinator"}), {PARTNER_A, PARTNER_B}),
        (staff(3, UUID(int=9), {"programme", "finance", "admin"}), set()),
    ):
        await db.set_facts(conn, actor)
        rows = (
            await conn.execute(text("SELECT * FROM cbi.promises_since(:at, 99)"), {"at": AT})
        ).all()
        assert {row.partner_id for row in rows} == told
        assert all(row.amount_minor is None for row in rows if row.partner_id is None)
    await db.set_facts(conn, staff(3, PARTNER_A, {"programme"}))
    foreign = await conn.scalar(
        text(
            "SELECT count(*) FROM cbi.promises_since(:at, 99) AS p WHERE p.partner_id IS NULL"
            " AND p.family NOT IN (SELECT q.family FROM cbi.promises_since(:at, 99) AS q"
            " WHERE q.partner_id IS NOT NULL)"
        ),
        {"at": AT},
    )
    assert foreign == 0


async def test_few_families_of_another_organisation_are_not_told(conn):
    mine, theirs = await one(conn, family(1)), await one(conn, family(2), BETA)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    await promised(conn, await programme_of(conn, BETA), theirs, BETA, first=JULY)
    found = await tried(conn, COORDINATOR)
    told = {each.partner_id: each.promised for each in found.outcomes}
    assert told == {PARTNER_A: None, PARTNER_B: Cell(households=1, amounts=())}
    assert found.total is None


async def test_the_rules_in_force_stand_beside_the_proposed_ones(conn):
    await story(conn)
    await agreed(conn)
    none = check({**example(), "blocks": []})[0]
    found = await tried(conn, BETA, none)
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
